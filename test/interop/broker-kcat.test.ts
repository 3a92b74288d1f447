import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath, dumpLog } from "../support/apache-kafka.ts";
import { hasDebianZooKeeper, startApacheZooKeeper, zkCli, type ApacheZooKeeper } from "../support/apache-zookeeper.ts";
import { startOdradekBroker, type OdradekBroker } from "../support/odradek-broker.ts";
import { eventually, run, type Finished } from "../support/processes.ts";

/** One broker of ours on Apache's own ZooKeeper; its judges are kcat (librdkafka) and Apache's kafka-dump-log 2.7.1. */

const hasKcat = await run("kcat", ["-V"]).then(
  () => true,
  () => false,
);
const able = hasKcat && hasDebianZooKeeper;
if (!able) console.warn("SKIPPED our broker on Apache ZooKeeper with kcat: it needs kcat and Debian's zookeeper (apt-get install kcat zookeeper)");

describe.runIf(able)("one broker on Apache ZooKeeper", () => {
  let zookeeper: ApacheZooKeeper;
  let broker: OdradekBroker;

  beforeAll(async () => {
    zookeeper = await startApacheZooKeeper();
    broker = await startOdradekBroker({ brokerId: 1, zookeeper: `127.0.0.1:${zookeeper.port}/kafka` });
  });

  afterAll(async () => {
    await broker?.remove();
    await zookeeper?.stop();
  });

  async function kcat(args: readonly string[], input?: string): Promise<string> {
    const finished = await run("kcat", ["-b", broker.bootstrap, ...args], input === undefined ? {} : { input });
    expect(finished, `kcat ${args.join(" ")}`).toMatchObject({ code: 0 });
    return finished.stdout;
  }

  const lines = (prefix: string, count: number): string => Array.from({ length: count }, (_, i) => `${prefix}${i}\n`).join("");
  const consume = (topic: string, ...args: readonly string[]): Promise<string> => kcat(["-C", "-t", topic, "-e", "-q", ...args]);

  test("kcat lists the broker, and the topic that producing to it has made", async () => {
    expect(await kcat(["-L"])).toContain(`broker 1 at ${broker.bootstrap} (controller)`);
    await kcat(["-P", "-t", "listed"], lines("x", 1));
    expect(await kcat(["-L", "-t", "listed"])).toMatch(/topic "listed" with 1 partitions:\s+partition 0, leader 1, replicas: 1, isrs: 1/);
  });

  test("what was produced is consumed, in order, with every codec and every acks", async () => {
    let produced = "";
    for (const acks of ["0", "1", "all"]) {
      for (const codec of ["none", "gzip", "snappy", "lz4", "zstd"]) {
        const batch = lines(`${acks}-${codec}-`, 200);
        await kcat(["-P", "-t", "all", "-z", codec, "-X", `acks=${acks}`], batch);
        produced += batch;
        // Nobody answers acks=0: the next producer must not overtake it.
        await eventually("the batch is there", async () => (await consume("all")).length === produced.length);
      }
    }
    expect(await consume("all")).toBe(produced);
  });

  test("an idempotent producer, keys, headers and offsets", async () => {
    await kcat(["-P", "-t", "keyed", "-K", ":", "-H", "h=1", "-X", "enable.idempotence=true"], "a:1\nb:2\nc:3\n");
    expect(await consume("keyed", "-f", "%o %k=%s %h\n", "-o", "1")).toBe("1 b=2 h=1\n2 c=3 h=1\n");
    expect(await kcat(["-Q", "-t", "keyed:0:-1"])).toBe("keyed [0] offset 3\n");
    expect(await kcat(["-Q", "-t", "keyed:0:-2"])).toBe("keyed [0] offset 0\n");
  });

  test("a consumer at the end waits, and gets what is produced then", async () => {
    await kcat(["-P", "-t", "tail"], "before\n");
    const waiting = kcat(["-C", "-t", "tail", "-o", "end", "-c", "1", "-q", "-X", "fetch.wait.max.ms=20000"]);
    // The consumer may still be finding the end: records are produced until it has one.
    let finished = false;
    void waiting.finally(() => (finished = true));
    await eventually("the consumer got a record", async () => {
      await kcat(["-P", "-t", "tail"], "after\n");
      return finished;
    });
    expect(await waiting).toBe("after\n");
  });

  test("more records than fit one fetch or one batch", async () => {
    const record = "y".repeat(100_000);
    await kcat(["-P", "-t", "large", "-X", "batch.size=1000000"], `${record}\n`.repeat(100));
    const consumed = await consume("large", "-X", "fetch.message.max.bytes=150000", "-f", "%o %S\n");
    expect(consumed).toBe(Array.from({ length: 100 }, (_, i) => `${i} ${record.length}\n`).join(""));
  });

  test("after a clean stop and after kill -9 everything that was acknowledged is there, and the broker registers at once", async () => {
    await kcat(["-P", "-t", "kept", "-X", "acks=all"], lines("one-", 500));
    expect(await broker.stop("SIGTERM")).toBe(0);
    await broker.start();
    await kcat(["-P", "-t", "kept", "-X", "acks=all"], lines("two-", 500));
    await broker.stop("SIGKILL");
    await broker.start();
    await kcat(["-P", "-t", "kept", "-X", "acks=all"], lines("three-", 500));
    expect(await consume("kept")).toBe(lines("one-", 500) + lines("two-", 500) + lines("three-", 500));
  });

  test("a second process on the same log directory is refused", async () => {
    const second = await startOdradekBroker({ brokerId: 1, zookeeper: `127.0.0.1:${zookeeper.port}/kafka`, settings: { "log.dirs": broker.logDir } }).catch((error: unknown) => String(error));
    expect(second).toContain("Another broker uses the log directory");
    expect(await kcat(["-L"])).toContain("broker 1 at");
  });

  test("the znodes are Kafka's own", async () => {
    const get = async (path: string): Promise<string> => (await zkCli(zookeeper.port, "get", `/kafka${path}`)).stdout;
    expect(await get("/brokers/ids/1")).toContain(`"endpoints":["PLAINTEXT://${broker.bootstrap}"]`);
    expect(await get("/brokers/topics/kept")).toContain('"partitions":{"0":[1]}');
    expect(await get("/brokers/topics/kept/partitions/0/state")).toMatch(/"leader":1,"version":1,"leader_epoch":\d+,"isr":\[1\]/);
    expect(await get("/controller")).toContain('"brokerid":1');
  });

  test("kafka-dump-log 2.7.1 reads logs, indexes and snapshots without a complaint", async (context) => {
    const classPath = await apacheKafkaClassPath("2.7.1");
    if (classPath === undefined) return context.skip();
    expect(await broker.stop("SIGTERM")).toBe(0);
    const files = readdirSync(broker.logDir, { recursive: true, encoding: "utf8" }).map((file) => join(broker.logDir, file));
    const ending = (suffix: string): string[] => files.filter((file) => file.endsWith(suffix));
    expect(ending(".log").length).toBeGreaterThanOrEqual(5);

    const check = async (...args: readonly string[]): Promise<Finished> => {
      const finished = await dumpLog(classPath, ...args);
      expect(finished).toMatchObject({ code: 0 });
      expect(finished.stdout + finished.stderr).not.toMatch(/Exception|Found timestamp mismatch|Mismatches|out of order|not found|Non-consecutive|corrupt|isvalid: false/i);
      return finished;
    };
    const records = await check("--deep-iteration", "--print-data-log", "--files", ending(".log").join(","));
    expect(records.stdout.match(/payload: (one|two|three)-\d+/g)).toHaveLength(1500);
    expect(records.stdout.match(/isvalid: true/g)?.length).toBeGreaterThan(20);
    const indexes = [...ending(".index"), ...ending(".timeindex")];
    const sane = await check("--index-sanity-check", "--files", indexes.join(","));
    expect(sane.stdout.match(/passed sanity check/g)).toHaveLength(indexes.length);
    await check("--verify-index-only", "--files", indexes.join(","));
    const snapshots = await check("--files", ending(".snapshot").join(","));
    expect(snapshots.stdout).toMatch(/producerId: 0 producerEpoch: 0 .* lastSequence: 2 lastOffset: 2/);
    await broker.start();
  }, 120_000);
});
