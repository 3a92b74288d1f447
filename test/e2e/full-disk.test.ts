import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { Kafka, logLevel } from "kafkajs";
import { describe, expect, onTestFinished, test } from "vitest";
import { call, connectNodeClient, zookeeper } from "../support/node-zookeeper-client.ts";
import { eventually, freePort, ServerProcess, temporaryDirectory } from "../support/processes.ts";
import { maySmallDisk, SmallDisk } from "../support/small-disk.ts";
import { startOurZooKeeper } from "../support/zookeeper-member.ts";

/** Servers on a disk that is really full, or may really not be written. */

const KAFKA = resolve(import.meta.dirname, "../../bin/kafka-server-start.sh");
const ZOOKEEPER = resolve(import.meta.dirname, "../../bin/zookeeper-server-start.sh");

async function disk(megabytes: number): Promise<SmallDisk> {
  const mounted = await SmallDisk.mount(megabytes);
  onTestFinished(() => mounted.remove());
  return mounted;
}

function configFile(lines: Readonly<Record<string, string | number>>): string {
  const directory = temporaryDirectory();
  onTestFinished(() => directory.remove());
  const path = join(directory.path, "server.properties");
  writeFileSync(path, Object.entries(lines).map(([key, value]) => `${key}=${value}\n`).join(""));
  return path;
}

function started(command: readonly [string, readonly string[]]): ServerProcess {
  const server = new ServerProcess(...command);
  onTestFinished(async () => void (await server.stop("SIGKILL")));
  return server;
}

async function serves(server: ServerProcess, line: string): Promise<void> {
  await eventually(line, () => {
    if (!server.running) throw new Error(server.output);
    return server.output.includes(line);
  });
}

describe.skipIf(!maySmallDisk())("a full disk", () => {
  test("stops a broker in plain words, and what was acknowledged is there once it has room", async () => {
    const [small, member, port] = [await disk(40), await startOurZooKeeper(), await freePort()];
    onTestFinished(() => member.stop());
    const config = configFile({ "broker.id": 1, listeners: `PLAINTEXT://127.0.0.1:${port}`, "log.dirs": small.path, "zookeeper.connect": `127.0.0.1:${member.port}`, "log.segment.bytes": 4_000_000, "offsets.topic.replication.factor": 1 });
    const command = small.command(KAFKA, [config]);
    const broker = started(command);
    await serves(broker, "broker 1 serves");
    const kafka = new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING, retry: { retries: 0 } });
    const admin = kafka.admin();
    await admin.connect();
    await admin.createTopics({ topics: [{ topic: "filling", numPartitions: 1 }], waitForLeaders: true });
    await admin.disconnect();
    const producer = kafka.producer();
    await producer.connect();
    const acknowledged: string[] = [];
    for (let n = 0; n < 1000 && broker.running; n++) {
      await producer.send({ topic: "filling", acks: -1, messages: [{ value: `${n}-${"x".repeat(200_000)}` }] }).then(
        () => acknowledged.push(String(n)),
        () => undefined,
      );
    }
    await producer.disconnect();
    expect(acknowledged.length).toBeGreaterThan(50);
    expect(await broker.ended()).toBe(1);
    expect(broker.output).toMatch(new RegExp(`a log directory fails, and its logs are offline until the next start: ENOSPC: [^"]* '${small.path}/[^"]*' \\(the disk is full: make room on it\\)`));
    expect(broker.output).toMatch(/the node stops: no log directory can be used\. [^"]*Mend that, then start the broker again/);
    await small.mountAgain("size=200m");
    const again = started(command);
    await serves(again, "broker 1 serves");
    const seen = new Set<string>();
    const consumer = new Kafka({ brokers: [`127.0.0.1:${port}`], logLevel: logLevel.NOTHING }).consumer({ groupId: "g" });
    await consumer.connect();
    await consumer.subscribe({ topic: "filling", fromBeginning: true });
    await consumer.run({ eachMessage: ({ message }) => Promise.resolve(void seen.add(String(message.value).split("-", 1)[0] ?? "")) });
    await eventually("all that was acknowledged is there", () => acknowledged.every((n) => seen.has(n)));
    await consumer.disconnect();
  });

  test("stops a member in plain words, and what was acknowledged is there once it has room", async () => {
    const [small, port] = [await disk(8), await freePort()];
    const command = small.command(ZOOKEEPER, [configFile({ dataDir: small.path, clientPort: port, tickTime: 500, preAllocSize: 64, snapCount: 100_000 })]);
    const member = started(command);
    await serves(member, "serving clients");
    const client = await connectNodeClient(`127.0.0.1:${port}`);
    const acknowledged: string[] = [];
    for (let n = 0; n < 1000 && member.running; n++) {
      const done = call<string>((then) => client.create(`/n${n}`, Buffer.alloc(100_000, n), zookeeper.CreateMode.PERSISTENT, then));
      await Promise.race([done.then(() => acknowledged.push(`/n${n}`)), member.ended()]).catch(() => undefined);
    }
    client.close();
    expect(acknowledged.length).toBeGreaterThan(50);
    expect(await member.ended()).toBe(1);
    expect(member.output).toMatch(new RegExp(`the node stops: the transaction log in ${small.path}/version-2 could not be written: ENOSPC: [^"]* '${small.path}/[^"]*' \\(the disk is full: make room on it\\)\\. Mend that, then start this member again`));
    // Not even the snapshot of the start has room.
    const cramped = started(command);
    expect(await cramped.ended()).toBe(1);
    expect(cramped.output.trimEnd().split("\n").at(-1)).toMatch(/^ENOSPC: .*version-2.* \(the disk is full: make room on it\)$/);
    await small.mountAgain("size=200m");
    const again = started(command);
    await serves(again, "serving clients");
    const reader = await connectNodeClient(`127.0.0.1:${port}`);
    for (const path of acknowledged) expect([path, await call<object | null>((then) => reader.exists(path, then))]).not.toEqual([path, null]);
    reader.close();
  });
});

/** A server whose directory can't be used ends at once: its last line and its exit code. */
async function refusal(command: readonly [string, readonly string[]]): Promise<readonly [code: number | null, line: string]> {
  const server = started(command);
  return [await server.ended(), server.output.trimEnd().split("\n").at(-1) ?? ""];
}

describe.skipIf(!maySmallDisk())("a directory that may not be written", () => {
  test("ends the start of a broker and of a member with one plain line and exit code 1", async () => {
    const [small, member] = [await disk(8), await startOurZooKeeper()];
    onTestFinished(() => member.stop());
    const broker = async (logDirs: string): Promise<[string, string[]]> =>
      small.command(KAFKA, [configFile({ "broker.id": 1, listeners: `PLAINTEXT://127.0.0.1:${await freePort()}`, "log.dirs": logDirs, "zookeeper.connect": `127.0.0.1:${member.port}` })]);
    const zookeeper_ = async (dataDir: string): Promise<[string, string[]]> => small.command(ZOOKEEPER, [configFile({ dataDir, clientPort: await freePort() })]);
    const file = configFile({});
    expect(await refusal(await broker(`${file}/logs`))).toEqual([1, expect.stringMatching(/^no log directory can be used\. .*server\.properties.* \(something else is where a directory should be: move it away, or name another path\)\. Mend that/)]);
    expect(await refusal(await zookeeper_(`${file}/data`))).toEqual([1, expect.stringMatching(/^\S*server\.properties\/data\/myid can't be read: ENOTDIR/)]);
    await small.mountAgain("ro");
    expect(await refusal(await broker(small.path))).toEqual([1, expect.stringMatching(/^no log directory can be used\. .*EROFS: .* \(the disk is mounted read-only: mount it for writing\)\. Mend that/)]);
    expect(await refusal(await zookeeper_(small.path))).toEqual([1, expect.stringMatching(/^EROFS: .* \(the disk is mounted read-only: mount it for writing\)$/)]);
  });
});
