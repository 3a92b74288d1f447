import { cpSync, readFileSync, renameSync, symlinkSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { eventually, freePort, run, ServerProcess, temporaryDirectory, type Finished } from "../support/processes.ts";

/**
 * A cluster as guides for Apache Kafka 2.7.1 set it up on three servers: unpack, edit two files, write myid, start, copy
 * the node to the other servers, change what differs. Here the servers are directories of one machine, so that their
 * ports differ too. The tests are one story, in this order.
 */

const ROOT = resolve(import.meta.dirname, "../..");
const IDS = [1, 2, 3] as const;
type Id = (typeof IDS)[number];

interface Ports {
  readonly client: number;
  readonly quorum: number;
  readonly election: number;
  readonly kafka: number;
}

describe("three servers set up by hand", () => {
  const place = temporaryDirectory();
  const ports = new Map<Id, Ports>();
  const processes: ServerProcess[] = [];
  const servers = new Map<string, ServerProcess>();
  const node = (id: Id): string => join(place.path, `node-${id}`);
  const portsOf = (id: Id): Ports => ports.get(id) as Ports;
  const start = (id: Id, which: "zookeeper" | "kafka", env: Readonly<Record<string, string>> = {}): void => {
    const file = which === "kafka" ? "server" : which;
    const started = new ServerProcess(join(node(id), `bin/${which}-server-start.sh`), [join(node(id), `config/${file}.properties`)], { cwd: node(id), env });
    processes.push(started);
    servers.set(`${which} ${id}`, started);
  };
  const says = (id: Id, which: "zookeeper" | "kafka"): ServerProcess => servers.get(`${which} ${id}`) as ServerProcess;
  const script = (name: string, args: readonly string[], input = ""): Promise<Finished> => run(join(node(2), "bin", name), ["--bootstrap-server", `127.0.0.1:${portsOf(3).kafka}`, ...args], { input, timeoutMs: 60_000 });

  beforeAll(async () => {
    for (const id of IDS) ports.set(id, { client: await freePort(), quorum: await freePort(), election: await freePort(), kafka: await freePort() });
    expect(await run("npm", ["pack", "--silent", "--ignore-scripts", "--pack-destination", place.path], { cwd: ROOT, timeoutMs: 60_000 })).toMatchObject({ code: 0 });
    expect(await run("sh", ["-c", "tar xzf ./*.tgz && rm ./*.tgz"], { cwd: place.path })).toMatchObject({ code: 0 });
    renameSync(join(place.path, "package"), node(1));
    symlinkSync(join(ROOT, "node_modules"), join(node(1), "node_modules"));
  });
  afterAll(async () => {
    for (const one of processes) await one.stop("SIGKILL");
    place.remove();
  });

  test("the package has the files that are edited, and the directory that myid goes into", () => {
    expect(readFileSync(join(node(1), "config/zookeeper.properties"), "utf8")).toContain("clientPort=2181");
    expect(readFileSync(join(node(1), "config/server.properties"), "utf8")).toContain("broker.id=0");
    writeFileSync(
      join(node(1), "config/zookeeper.properties"),
      `# the directory where the snapshot is stored.
dataDir=${node(1)}/zookeeper
dataLogDir=${node(1)}/log/zookeeper
# the port at which the clients will connect
clientPort=${portsOf(1).client}
maxClientCnxns=0
admin.enableServer=false
# admin.serverPort=8080
tickTime=2000
initLimit=10
syncLimit=5

${IDS.map((id) => `server.${id}=127.0.0.1:${portsOf(id).quorum}:${portsOf(id).election}`).join("\n")}
`,
    );
    writeFileSync(join(node(1), "zookeeper/myid"), "1\n");
    writeFileSync(
      join(node(1), "config/server.properties"),
      `# With the same id
broker.id=1
# Change the IP address to your own
listeners=PLAINTEXT://127.0.0.1:${portsOf(1).kafka}
# logs dir
log.dirs=${node(1)}/logs

zookeeper.connect=${IDS.map((id) => `127.0.0.1:${portsOf(id).client}`).join(",")}
`,
    );
  });

  test("the first node alone waits, both halves of it, and says for whom; what a JVM would be told is named as without effect", async () => {
    start(1, "zookeeper");
    start(1, "kafka", { KAFKA_HEAP_OPTS: "-Xmx1G -Xms1G", JMX_PORT: "9999" });
    await eventually("the member says whom it waits for", () => says(1, "zookeeper").output.includes("waiting for member 2"));
    expect(says(1, "zookeeper").output).toMatch(/no quorum since \S+, 2 of 3 voting members are needed: waiting for member 2 \(127\.0\.0\.1:\d+\) and member 3 \(127\.0\.0\.1:\d+\)/);
    const { output } = await eventually("the broker waits for ZooKeeper", () => says(1, "kafka").output.includes("zookeeper") && says(1, "kafka"));
    expect(output).toContain("KAFKA_HEAP_OPTS is set and has no effect");
    expect(output).toContain("JMX_PORT is set and has no effect");
  });

  test("copies of it that differ in myid, broker.id and listeners join; nothing is started again", async () => {
    for (const id of [2, 3] as const) {
      cpSync(node(1), node(id), { recursive: true, verbatimSymlinks: true });
      writeFileSync(join(node(id), "zookeeper/myid"), `${id}\n`);
      for (const file of ["zookeeper", "server"]) {
        const path = join(node(id), `config/${file}.properties`);
        const changed = readFileSync(path, "utf8").replaceAll(node(1), node(id)).replace("broker.id=1", `broker.id=${id}`);
        writeFileSync(path, changed.replace(`PLAINTEXT://127.0.0.1:${portsOf(1).kafka}`, `PLAINTEXT://127.0.0.1:${portsOf(id).kafka}`).replace(`clientPort=${portsOf(1).client}`, `clientPort=${portsOf(id).client}`));
      }
      start(id, "zookeeper");
      start(id, "kafka");
    }
    for (const id of IDS) await eventually(`broker ${id} serves`, () => says(id, "kafka").output.includes(`broker ${id} serves`));
    for (const one of processes) expect(one.running).toBe(true);
  });

  test("it is one cluster: a topic of three replicas, written and read through any of them", async () => {
    expect(await script("kafka-topics.sh", ["--create", "--topic", "t", "--partitions", "3", "--replication-factor", "3"])).toMatchObject({ code: 0, stdout: "Created topic t.\n" });
    expect(await script("kafka-console-producer.sh", ["--topic", "t", "--request-required-acks", "-1"], "a\nb\nc\n")).toMatchObject({ code: 0 });
    const { stdout } = await script("kafka-console-consumer.sh", ["--topic", "t", "--from-beginning", "--max-messages", "3", "--timeout-ms", "30000"]);
    expect(stdout.trim().split("\n").toSorted()).toEqual(["a", "b", "c"]);
    const described = await script("kafka-topics.sh", ["--describe", "--topic", "t"]);
    expect(described.stdout.match(/Isr: \d,\d,\d$/gm)).toHaveLength(3);
  });

  test("a copy of a node that has run is told apart: file, both ids, and what to do", async () => {
    const path = join(place.path, "copy");
    cpSync(node(1), path, { recursive: true, verbatimSymlinks: true });
    const properties = join(path, "config/server.properties");
    writeFileSync(properties, readFileSync(properties, "utf8").replaceAll(node(1), path).replace("broker.id=1", "broker.id=4").replace(String(portsOf(1).kafka), String(await freePort())));
    const refused = await run(join(path, "bin/kafka-server-start.sh"), [properties]);
    expect(refused.code).toBe(1);
    expect(refused.stdout + refused.stderr).toContain(join(path, "logs/meta.properties"));
    expect(refused.stdout + refused.stderr).toMatch(/\b4\b[^]*\b1\b|\b1\b[^]*\b4\b/);
    expect(refused.stdout + refused.stderr).toContain("odradek fresh");
  });

  test("a server that is stopped ends with 0 and comes back to where it was", async () => {
    expect(await says(2, "kafka").stop()).toBe(0);
    expect(await says(2, "zookeeper").stop()).toBe(0);
    start(2, "zookeeper");
    start(2, "kafka");
    await eventually("broker 2 serves", () => says(2, "kafka").output.includes("broker 2 serves"));
    await eventually("all replicas are in sync again", async () => (await script("kafka-topics.sh", ["--describe", "--under-replicated-partitions"])).stdout === "");
  });
});
