import { spawn } from "node:child_process";
import { randomUUID } from "node:crypto";
import { once } from "node:events";
import { existsSync, readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { freePlace, odradek, up, type Place } from "../support/local-cluster.ts";
import { startOdradekBroker } from "../support/odradek-broker.ts";
import { childEnvironment, eventually, freePort, run, ServerProcess, temporaryDirectory, type Finished } from "../support/processes.ts";
import { startOurZooKeeper } from "../support/zookeeper-member.ts";

/** What people type: records in and out by `odradek` and by Kafka's scripts, and servers that are stopped by their scripts. */

const BIN = resolve(import.meta.dirname, "../../bin");
const script = (name: string): string => resolve(BIN, name);

/** Waits for records at most so long; nothing of it is waited for where all goes well. */
const TIMEOUT = ["--timeout-ms", "30000"];

describe("records in and out", () => {
  let place: Place;
  let cluster: ServerProcess;
  let bootstrap: string;

  beforeAll(async () => {
    place = await freePlace();
    const started = await up(place);
    cluster = started.process;
    bootstrap = started.ready.kafka.join(",");
  });
  afterAll(async () => {
    await cluster?.stop("SIGKILL");
    place?.remove();
  });

  const topic = (): string => `t-${randomUUID()}`;
  const produce = (to: string, input: string, ...args: readonly string[]): Promise<Finished> => run(script("odradek"), ["produce", to, "--dir", place.directory, ...args], { input, timeoutMs: 60_000 });
  const consumer = (...args: readonly string[]): Promise<Finished> => run(script("kafka-console-consumer.sh"), ["--bootstrap-server", bootstrap, ...args], { timeoutMs: 60_000 });

  test("odradek produce and consume find the cluster by its directory, or by --bootstrap", async () => {
    const name = topic();
    expect(await produce(name, "a\nb\n")).toEqual({ code: 0, stdout: "", stderr: "" });
    const consumed = await odradek(["consume", name, "--dir", place.directory, "--from-beginning", "--max", "2"]);
    expect([consumed.code, consumed.stdout.split("\n").toSorted(), consumed.stderr]).toEqual([0, ["", "a", "b"], ""]);
    const { code, stdout } = await odradek(["consume", name, "--bootstrap", bootstrap, "--from-beginning", "--max", "1", "--json"]);
    expect([code, JSON.parse(stdout)]).toMatchObject([0, { topic: name, offset: 0, key: null }]);
  });

  test("the scripts do, with keys, headers and a codec, and a group goes on where it was", async () => {
    const name = topic();
    const sent = await run(script("kafka-console-producer.sh"), ["--bootstrap-server", bootstrap, "--topic", name, "--property", "parse.key=true", "--property", "key.separator==", "--property", "parse.headers=true", "--compression-codec", "lz4"], { input: "h:1\tk=v\ng:2\tk=w\n" });
    expect(sent).toEqual({ code: 0, stdout: "", stderr: "" });
    const print = ["--property", "print.key=true", "--property", "print.headers=true"];
    expect(await consumer("--topic", name, "--from-beginning", "--group", name, "--max-messages", "1", ...print, ...TIMEOUT)).toEqual({ code: 0, stdout: "h:1\tk\tv\n", stderr: "Processed a total of 1 messages\n" });
    expect(await consumer("--topic", name, "--from-beginning", "--group", name, "--max-messages", "1", ...print, ...TIMEOUT)).toEqual({ code: 0, stdout: "g:2\tk\tw\n", stderr: "Processed a total of 1 messages\n" });
  });

  test("Ctrl-C ends a consumer with 130, after it has left its group, and the count", async () => {
    const name = topic();
    await produce(name, "a\n");
    const reading = new ServerProcess(script("kafka-console-consumer.sh"), ["--bootstrap-server", bootstrap, "--topic", name, "--from-beginning", "--group", name]);
    await eventually("the record", () => reading.output.startsWith("a\n"));
    expect(await reading.stop("SIGINT")).toBe(130);
    expect(reading.output).toBe("a\nProcessed a total of 1 messages\n");
    expect(await consumer("--topic", name, "--group", name, "--timeout-ms", "500")).toMatchObject({ code: 0, stdout: "" });
  });

  test("Ctrl-C ends a producer whose input has no end with 130, and what it was given is written", async () => {
    const name = topic();
    const writing = spawn(script("kafka-console-producer.sh"), ["--bootstrap-server", bootstrap, "--topic", name, "--timeout", "60000"], { env: childEnvironment(), stdio: ["pipe", "inherit", "inherit"] });
    const ended = once(writing, "exit");
    await new Promise((done) => writing.stdin.write("a\n", done));
    await eventually("the topic, which the first record makes", async () => (await odradek(["topics", "list", "--bootstrap", bootstrap])).stdout.includes(name));
    writing.kill("SIGINT");
    expect(await ended).toEqual([130, null]);
    expect((await odradek(["consume", name, "--bootstrap", bootstrap, "--from-beginning", "--max", "1"])).stdout).toBe("a\n");
  });

  test("a reader that has enough ends it with 0", async () => {
    const name = topic();
    await produce(name, `${"x".repeat(99)}\n`.repeat(20_000));
    const { stdout, stderr } = await run("sh", ["-c", `{ ${script("odradek")} consume ${name} --bootstrap ${bootstrap} --from-beginning; echo "code $?" >&2; } | head -1`], { timeoutMs: 60_000 });
    expect([stdout, stderr]).toEqual([`${"x".repeat(99)}\n`, "nobody reads the output any more\ncode 0\n"]);
  });

  test.each(["odradek logs --follow", "odradek --help", "kafka-topics.sh --help"])("%s ends with 0 and no word where nobody reads it", async (command) => {
    const asked = `${command.replace(/^\S+/, script)}${command.includes("logs") ? ` --dir ${place.directory}` : ""}`;
    const { stderr } = await run("sh", ["-c", `{ sleep 0.2; ${asked}; echo "code $?" >&2; } | true`], { timeoutMs: 30_000 });
    expect(stderr).toBe("code 0\n");
  });

  test("wrong usage: 2 by odradek, 1 by the scripts; a broker that does not answer is named", async () => {
    expect((await odradek(["consume"])).code).toBe(2);
    expect((await odradek(["consume", "t", "--bootstrap", bootstrap, "--offset", "1"])).code).toBe(2);
    expect(await consumer("--topic", "t", "--offset", "1")).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("--partition") as string });
    expect(await produce("t", "a\n", "--bootstrap", "localhost:1", "--timeout", "500")).toMatchObject({ code: 1, stderr: expect.stringContaining("no broker answers at localhost:1 within 0.5 s") as string });
  });

  test.each(["kafka-console-producer.sh", "kafka-console-consumer.sh"])("%s tells its version and its options", async (name) => {
    expect(await run(script(name), ["--version"])).toMatchObject({ code: 0, stdout: expect.stringMatching(/^2\.7\.1 /) as string });
    expect(await run(script(name), ["--help"])).toMatchObject({ code: 0, stdout: expect.stringContaining("--bootstrap-server") as string, stderr: "" });
    expect(await run(script(name), [])).toMatchObject({ code: 1, stdout: "", stderr: expect.stringContaining("--bootstrap-server") as string });
  });
});

describe("servers in the process list", () => {
  /** As kafka-server-stop.sh of Apache Kafka 2.7.1 looks for them. */
  const APACHE_FINDS = "ps ax | grep ' kafka\\.Kafka ' | grep java | grep -v grep | awk '{print $1}'";

  test("Apache's script would find brokers of ours, ours does, and a unit stops its own one alone", async () => {
    const zookeeper = await startOurZooKeeper();
    const brokers = await Promise.all([1, 2].map((brokerId) => startOdradekBroker({ brokerId, zookeeper: `127.0.0.1:${zookeeper.port}` })));
    try {
      const pids = brokers.map(({ pid }) => String(pid()));
      const found = (await run("sh", ["-c", APACHE_FINDS])).stdout.trim().split("\n");
      expect(found).toEqual(expect.arrayContaining(pids));
      // Only looks: this machine may run other brokers.
      expect(await run("env", ["SIGNAL=0", script("kafka-server-stop.sh")])).toMatchObject({ code: 0, stdout: "" });
      expect(await run("env", [`MAINPID=${pids[0]}`, script("kafka-server-stop.sh")])).toMatchObject({ code: 0, stdout: "" });
      expect(await brokers[0]?.ended()).toBe(0);
      expect((await run("sh", ["-c", APACHE_FINDS])).stdout.trim().split("\n")).toContain(pids[1]);
    } finally {
      await Promise.all(brokers.map((broker) => broker.remove()));
      await zookeeper.stop();
    }
  });

  test("-daemon leaves the server in the background, its file named as EXTRA_ARGS says; a unit's stop script ends it", async () => {
    const directory = temporaryDirectory();
    const port = await freePort();
    const config = join(directory.path, "zookeeper.properties");
    writeFileSync(config, `dataDir=${directory.path}/data\nclientPort=${port}\n4lw.commands.whitelist=*\n`);
    expect(await run("env", [`LOG_DIR=${directory.path}`, "EXTRA_ARGS=-name member -loggc", script("zookeeper-server-start.sh"), "-daemon", config])).toEqual({ code: 0, stdout: "", stderr: "" });
    const log = join(directory.path, "member.out");
    const pid = await eventually("the member", async () => (await run("pgrep", ["-f", `QuorumPeerMain ${config}`])).stdout.trim() || undefined);
    try {
      await eventually("it serves", () => existsSync(log) && readFileSync(log, "utf8").includes("serving clients"));
      expect(await run("env", [`MAINPID=${pid}`, script("zookeeper-server-stop.sh")])).toMatchObject({ code: 0, stdout: "" });
      await eventually("its end", async () => (await run("pgrep", ["-f", `QuorumPeerMain ${config}`])).code === 1);
    } finally {
      await run("kill", ["-9", pid]);
      directory.remove();
    }
  });
});
