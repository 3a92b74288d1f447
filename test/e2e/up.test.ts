import { cpSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { createServer } from "node:net";
import { afterAll, afterEach, beforeAll, describe, expect, test } from "vitest";
import { Kafka, logLevel } from "kafkajs";
import { freePlace, isAlive, odradek, up, type Place, type Ready } from "../support/local-cluster.ts";
import { eventually, type ServerProcess } from "../support/processes.ts";

/** `odradek up` and the commands around it, from dist/, as a newcomer runs them. */

describe("three nodes, one command", () => {
  let place: Place;
  let running: { readonly process: ServerProcess; readonly ready: Ready };

  beforeAll(async () => {
    place = await freePlace();
    running = await up(place);
  });
  afterAll(async () => {
    await running?.process.stop("SIGKILL");
    place?.remove();
  });

  const client = (): Kafka => new Kafka({ brokers: [...running.ready.kafka], logLevel: logLevel.NOTHING });
  const status = async (): Promise<{ healthy: boolean; nodes: { id: number; pid: number; member: string; broker: boolean; controller: boolean }[] }> =>
    JSON.parse((await odradek(["status", "--json", "--dir", place.directory])).stdout) as never;
  const healthy = (): Promise<unknown> => eventually("a healthy cluster", async () => (await status()).healthy);

  async function produce(topic: string, values: readonly string[]): Promise<void> {
    const producer = client().producer();
    await producer.connect();
    await producer.send({ topic, acks: -1, messages: values.map((value) => ({ value })) });
    await producer.disconnect();
  }

  async function consume(topic: string, count: number): Promise<string[]> {
    const consumer = client().consumer({ groupId: `${topic}-${count}` });
    const seen: string[] = [];
    await consumer.connect();
    await consumer.subscribe({ topic, fromBeginning: true });
    await consumer.run({ eachMessage: ({ message }) => Promise.resolve(void seen.push(String(message.value))) });
    await eventually(`${count} records of ${topic}`, () => seen.length >= count);
    await consumer.disconnect();
    return seen;
  }

  test("it says where clients find it, and every node leads, follows and is counted in", async () => {
    expect(running.ready).toMatchObject({ kafka: [0, 1, 2].map((at) => `localhost:${place.kafkaPort + at}`), zookeeper: [3, 4, 5].map((at) => `localhost:${place.kafkaPort + at}`) });
    const { nodes, healthy: isHealthy } = await status();
    expect(isHealthy).toBe(true);
    expect(nodes.map(({ member }) => member).toSorted()).toEqual(["follower", "follower", "leader"]);
    expect(nodes.filter(({ controller }) => controller)).toHaveLength(1);
    expect(nodes.map(({ id, pid }) => [String(id), pid])).toEqual(Object.entries(running.ready.pids.nodes));
  });

  test("a topic has a replica on each node, and its records come back through a group", async () => {
    const admin = client().admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: "first", numPartitions: 3 }], waitForLeaders: true });
    const { topics } = await admin.fetchTopicMetadata({ topics: ["first"] });
    expect(topics[0]?.partitions.map(({ replicas }) => replicas.toSorted((a, b) => a - b))).toEqual([[1, 2, 3], [1, 2, 3], [1, 2, 3]]);
    await admin.disconnect();
    await produce("first", ["a", "b", "c"]);
    expect((await consume("first", 3)).toSorted()).toEqual(["a", "b", "c"]);
  });

  test("a node that is killed is started again, and this is said", async () => {
    const victim = running.ready.pids.nodes["2"];
    process.kill(victim ?? 0, "SIGKILL");
    await eventually("the death in the output", () => running.process.output.includes("node 2 died (signal SIGKILL): starting it again"));
    await eventually("another process", async () => (await status()).nodes.find(({ id }) => id === 2)?.pid !== victim);
    await healthy();
    await produce("first", ["d"]);
  });

  test("what the nodes print can be read", async () => {
    const { stdout, code } = await odradek(["logs", "2", "--dir", place.directory]);
    expect(code).toBe(0);
    expect(stdout).toMatch(/^\d{4}-\d\d-\d\dT[\d:.]+Z INFO  broker: broker 2 serves /m);
    expect((await odradek(["logs", "7", "--dir", place.directory])).stderr).toContain("there is no node 7");
  });

  test("a second supervisor of the same directory is refused", async () => {
    const { code, stderr } = await odradek(["up", ...place.flags]);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringContaining(`is running already (process ${running.ready.pids.up})`) as string });
  });

  test("down stops all in good order, and the next up goes on with all the data", async () => {
    expect(await odradek(["down", "--dir", place.directory])).toMatchObject({ code: 0, stdout: `stopped the cluster of ${place.directory}\n` });
    await eventually("the end of up", () => !running.process.running);
    expect(await running.process.stop()).toBe(0);
    expect(await odradek(["down", "--dir", place.directory])).toMatchObject({ code: 0, stdout: `no cluster is running in ${place.directory}\n` });
    expect((await odradek(["status", "--dir", place.directory])).code).toBe(1);
    running = await up(place);
    expect((await consume("first", 4)).toSorted()).toEqual(["a", "b", "c", "d"]);
    for (const node of ["1", "2", "3"]) {
      const printed = readFileSync(`${place.directory}/node-${node}/node.log`, "utf8");
      expect(printed.match(/loading logs after a clean stop|the last stop was not clean/g)?.at(-1)).toBe("loading logs after a clean stop");
    }
  });

  test("Ctrl-C stops all, and nothing is left over when the supervisor is killed", async () => {
    const nodes = Object.values(running.ready.pids.nodes);
    await running.process.stop("SIGKILL");
    await eventually("the nodes' end", () => nodes.every((pid) => !isAlive(pid)));
    running = await up(place);
    expect(await running.process.stop("SIGINT")).toBe(0);
    expect(Object.values(running.ready.pids.nodes).filter(isAlive)).toEqual([]);
  });
});

describe("what keeps a cluster from starting", () => {
  const places: Place[] = [];
  afterEach(() => {
    for (const place of places.splice(0)) place.remove();
  });
  const newPlace = async (): Promise<Place> => {
    const place = await freePlace();
    places.push(place);
    return place;
  };

  test("a port that is taken is named with its flag and who holds it, and nothing is left half started", async () => {
    const place = await newPlace();
    const server = createServer();
    await new Promise<void>((done) => server.listen(place.kafkaPort + 1, "127.0.0.1", done));
    const { code, stderr } = await odradek(["up", ...place.flags]);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(new RegExp(`port ${place.kafkaPort + 1} is taken by process ${process.pid} .*--kafka-port`)) as string });
    expect(await odradek(["down", "--dir", place.directory])).toMatchObject({ stdout: `no cluster is running in ${place.directory}\n` });
    // What the error advises works at once.
    expect(readdirSync(place.directory)).toEqual([]);
    const elsewhere = await newPlace();
    const { process: started } = await up({ ...place, flags: [...elsewhere.flags, "--dir", place.directory] });
    expect(await started.stop("SIGTERM")).toBe(0);
    server.close();
  });

  test("a node that can't start stops all, and says why", async () => {
    const place = await newPlace();
    const { process: first } = await up(place);
    await first.stop("SIGTERM");
    writeFileSync(`${place.directory}/node-3/logs/meta.properties`, "version=0\nbroker.id=9\n");
    const { code, stderr } = await odradek(["up", ...place.flags]);
    expect({ code, stderr }).toMatchObject({ code: 1, stderr: expect.stringMatching(/^node 3 did not start: .*node-3\/logs.* belongs to broker 9/m) as string });
  });

  test("a node directory that was copied after it had run is refused with the command that makes it fresh, which does", async () => {
    const place = await newPlace();
    const { process: first } = await up(place);
    await first.stop("SIGTERM");
    const [from, to] = [`${place.directory}/node-1`, `${place.directory}/node-2`];
    rmSync(`${to}/logs`, { recursive: true });
    cpSync(`${from}/logs`, `${to}/logs`, { recursive: true });
    const refused = await odradek(["up", ...place.flags]);
    expect(refused).toMatchObject({ code: 1, stderr: expect.stringMatching(/node 2 did not start: .*meta\.properties.*broker 1.*odradek fresh/s) as string });
    expect(await odradek(["fresh", to])).toMatchObject({ code: 2, stderr: expect.stringContaining("--yes") as string });
    expect(await odradek(["fresh", to, "--yes"])).toMatchObject({ code: 0, stdout: expect.stringContaining(`removed ${to}/logs/meta.properties`) as string });
    const { process: second } = await up(place);
    expect(await second.stop("SIGTERM")).toBe(0);
  });

  test("a node that dies again and again is given up, and with the last one the supervisor ends with 1", async () => {
    const place = await newPlace();
    const { process: started, ready } = await up({ ...place, flags: [...place.flags, "--nodes", "1"] });
    writeFileSync(`${place.directory}/node-1/logs/meta.properties`, "version=0\nbroker.id=9\n");
    process.kill(ready.pids.nodes[1] ?? 0, "SIGKILL");
    expect(await started.ended()).toBe(1);
    expect(started.output.match(/node 1 died/g)).toHaveLength(6);
    expect(started.output).toContain("it has died too often in a row and is not started again");
  });

  test("wrong usage has its own exit code and names the flag", async () => {
    expect(await odradek(["up", "--kafka-port", "many"])).toMatchObject({ code: 2, stderr: expect.stringContaining("--kafka-port") as string });
    expect(await odradek(["upp"])).toMatchObject({ code: 2, stderr: expect.stringContaining("unknown command") as string });
  });
});

test("a detached start leaves nothing in a directory that holds something else", async () => {
  const place = await freePlace();
  writeFileSync(`${place.directory}/letter.txt`, "Dear");
  expect(await odradek(["up", "--detach", ...place.flags])).toMatchObject({ code: 1, stderr: expect.stringContaining("letter.txt") as string });
  expect(readdirSync(place.directory)).toEqual(["letter.txt"]);
  place.remove();
});

test("a detached cluster outlives the command, until down", async () => {
  const place = await freePlace();
  const { code, stdout } = await odradek(["up", "--detach", ...place.flags]);
  expect({ code, stdout }).toMatchObject({ code: 0, stdout: expect.stringMatching(/^ready in \d+\.\d s {2}kafka localhost:\d+,localhost:\d+,localhost:\d+ {2}zookeeper localhost:/) as string });
  expect((await odradek(["status", "--dir", place.directory])).code).toBe(0);
  expect((await odradek(["down", "--dir", place.directory])).code).toBe(0);
  place.remove();
});
