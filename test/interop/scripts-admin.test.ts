import { writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realHost } from "../../src/host/real/host.ts";
import { Consumer } from "../../src/kafka/client/consumer.ts";
import { GroupAdmin } from "../../src/kafka/client/group-admin.ts";
import { KafkaClient } from "../../src/kafka/client/kafka-client.ts";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import type { KafkaCluster } from "../support/kafka-cluster.ts";
import { startCluster } from "../support/odradek-cluster.ts";
import { run, temporaryDirectory, type Finished } from "../support/processes.ts";

/**
 * kafka-topics.sh, kafka-configs.sh and kafka-consumer-groups.sh beside Apache Kafka 2.7.1's own classes, on a cluster
 * of ours: the same stdout and the same exit code. What only asks is asked by both; what changes something is done by
 * each to a thing of its own, whose names are equally long.
 */

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";
if (classPath === "") console.warn("SKIPPED the administration scripts beside Apache's: they need Apache Kafka 2.7.1");

const BIN = resolve(import.meta.dirname, "../../bin");
const TOOLS = { topics: ["kafka.admin.TopicCommand", "kafka-topics.sh"], configs: ["kafka.admin.ConfigCommand", "kafka-configs.sh"], groups: ["kafka.admin.ConsumerGroupCommand", "kafka-consumer-groups.sh"] } as const;
type Tool = keyof typeof TOOLS;
type Whose = "apache" | "ours";

/** Some JVMs that start, one after the other. */
const SLOW = { timeout: 300_000 };
const NAMES: Readonly<Record<Whose, string>> = { apache: "theirs", ours: "mine12" };

describe.runIf(classPath !== "")("administration scripts", () => {
  let cluster: KafkaCluster;
  let client: KafkaClient;
  const directory = temporaryDirectory();
  const readers: Consumer[] = [];

  beforeAll(async () => {
    cluster = await startCluster({ classPath, settings: { "log.retention.ms": 600_000_000, "log.segment.bytes": 1_073_741_824 } });
    client = newClient("setup");
    const topics: readonly (readonly string[])[] = [["plain", "--partitions", "3"], ["with.dot", "--partitions", "1", "--config", "retention.ms=1000", "--config", "cleanup.policy=delete", "--config", "max.message.bytes=100000"], ["moved", "--replica-assignment", "1:2:3,2:3:1"]];
    for (const [name = "", ...more] of topics) expect(await tool("ours", "topics", ["--create", "--topic", name, ...more])).toMatchObject({ code: 0 });
    const groups = new GroupAdmin(client);
    await groups.resetOffsets("empty", [{ topic: "plain", partition: 0, offset: 0 }, { topic: "plain", partition: 2, offset: 0 }]);
    await groups.resetOffsets("a-group-with-a-long-name", [{ topic: "with.dot", partition: 0, offset: 0 }]);
    for (const [group, topic, instanceId] of [["live", "plain", undefined], ["static", "moved", "instance-1"]] as const) await reader(group, topic, instanceId);
  }, 180_000);

  afterAll(async () => {
    await Promise.all(readers.map((consumer) => consumer.close()));
    await client?.close();
    await cluster?.close();
    directory.remove();
  });

  function newClient(clientId: string): KafkaClient {
    const host = realHost({ logLevel: "silent" });
    const bootstrap = cluster.bootstrap.split(",").map((at) => ({ host: at.slice(0, at.lastIndexOf(":")), port: Number(at.slice(at.lastIndexOf(":") + 1)) }));
    return new KafkaClient({ host, bootstrap, clientId, requestTimeoutMs: 10_000, random: host.random });
  }

  async function reader(groupId: string, topic: string, instanceId: string | undefined): Promise<void> {
    const consumer = new Consumer(newClient(`reader-of-${groupId}`), {
      source: { kind: "group", groupId, topics: [topic], sessionTimeoutMs: 300_000, heartbeatMs: 3000, pollIntervalMsMax: 300_000, instanceId },
      reset: "earliest", readCommitted: false, fetchBytesMin: 1, fetchBytesMax: 1_000_000, fetchWaitMs: 100, partitionBytesMax: 100_000, metadataMaxAgeMs: 60_000,
    });
    readers.push(consumer);
    await consumer.poll(3000);
  }

  function tool(whose: Whose, which: Tool, args: readonly string[], bootstrap = cluster.bootstrap): Promise<Finished> {
    const [className, script] = TOOLS[which];
    const all = args.includes("--zookeeper") ? args : ["--bootstrap-server", bootstrap, ...args];
    return whose === "ours" ? run(resolve(BIN, script), all, { timeoutMs: 90_000 }) : run("java", ["-XX:TieredStopAtLevel=1", "-cp", classPath, className, ...all], { timeoutMs: 90_000 });
  }

  /** As printed, or with the lines sorted, where Apache's come in the order of a hash map of Scala's. */
  type Order = "as printed" | "sorted";
  const shown = ({ code, stdout }: Finished, order: Order): unknown => ({ code, stdout: order === "sorted" ? stdout.split("\n").toSorted() : stdout });

  test.each<[Tool, Order, string]>([
    ["topics", "as printed", "--list"],
    ["topics", "as printed", "--list --exclude-internal"],
    ["topics", "as printed", "--list --topic pl.*,moved"],
    ["topics", "as printed", "--list --topic none"],
    ["topics", "as printed", "-list"],
    ["topics", "as printed", "--describe --exclude-internal"],
    ["topics", "as printed", "--describe --topic __consumer_offsets"],
    ["topics", "as printed", "--describe --topic with\\.dot"],
    ["topics", "as printed", "--describe --topic none"],
    ["topics", "as printed", "--describe --topic none --if-exists"],
    ["topics", "as printed", "--describe --topics-with-overrides --exclude-internal"],
    ["topics", "as printed", "--describe --under-replicated-partitions"],
    ["topics", "as printed", "--describe --unavailable-partitions"],
    ["topics", "as printed", "--describe --under-min-isr-partitions"],
    ["topics", "as printed", "--describe --at-min-isr-partitions"],
    ["topics", "as printed", "--alter --topic none --partitions 3"],
    ["topics", "as printed", "--delete --topic none"],
    ["topics", "as printed", "--list --create"],
    ["topics", "as printed", "--create --topic x --partitions 1 --replica-assignment 1"],
    ["configs", "sorted", "--describe --entity-type topics --entity-name with.dot"],
    ["configs", "sorted", "--describe --topic with.dot --all"],
    ["configs", "sorted", "--describe --entity-type topics"],
    ["configs", "sorted", "--describe --entity-type brokers"],
    ["configs", "sorted", "--describe --entity-type brokers --entity-default"],
    ["configs", "as printed", "--describe --entity-type topics --entity-name none"],
    ["configs", "as printed", "--alter --topic plain --delete-config retention.ms"],
    ["configs", "as printed", "--alter --topic plain --add-config nosuch=1"],
    ["configs", "as printed", "--alter --topic plain"],
    ["groups", "sorted", "--list"],
    ["groups", "sorted", "--list --state"],
    ["groups", "sorted", "--list --state Empty,Stable"],
    ["groups", "as printed", "--list --state nosuch"],
    ["groups", "sorted", "--describe --group empty"],
    ["groups", "sorted", "--describe --group live"],
    ["groups", "sorted", "--describe --all-groups"],
    ["groups", "as printed", "--describe --group live --members"],
    ["groups", "as printed", "--describe --group static --members --verbose"],
    ["groups", "as printed", "--describe --group live --state"],
    ["groups", "as printed", "--describe --all-groups --state"],
    ["groups", "as printed", "--describe --group none"],
    ["groups", "as printed", "--describe --group none --state"],
    ["groups", "as printed", "--describe"],
    ["groups", "as printed", "--reset-offsets --group live --topic plain --to-earliest"],
    ["groups", "sorted", "--reset-offsets --group empty --topic plain --to-latest --dry-run"],
    ["groups", "sorted", "--reset-offsets --group empty --all-topics --to-current --dry-run --export"],
    ["groups", "sorted", "--reset-offsets --group empty --group a-group-with-a-long-name --all-topics --to-current --dry-run --export"],
    ["groups", "as printed", "--reset-offsets --group empty --topic plain:1 --shift-by 1 --dry-run"],
    ["groups", "as printed", "--reset-offsets --group empty --topic plain:0 --by-duration PT1H --dry-run"],
  ])("kafka-%s, %s: %s", SLOW, async (which, order, line) => {
    const args = line.split(" ");
    const [apache, ours] = await Promise.all([tool("apache", which, args), tool("ours", which, args)]);
    expect(shown(ours, order)).toEqual(shown(apache, order));
    if (apache.code !== 0) expect(ours.stderr).not.toBe("");
  });

  /** Each of the lines by each of the tools, with a thing of its own for NAME. */
  async function story(lines: readonly (readonly [Tool, string])[]): Promise<Readonly<Record<Whose, readonly unknown[]>>> {
    const told: Record<Whose, unknown[]> = { apache: [], ours: [] };
    for (const whose of ["apache", "ours"] as const) {
      for (const [which, line] of lines) {
        const { code, stdout } = await tool(whose, which, line.replaceAll("NAME", NAMES[whose]).split(" "));
        told[whose].push([line, code, stdout.replaceAll(NAMES[whose], "NAME").split("\n").toSorted()]);
      }
    }
    return told;
  }

  test("a topic's life: made, there already, changed, deleted", SLOW, async () => {
    const { apache, ours } = await story([
      ["topics", "--create --topic NAME --replica-assignment 1:2,2:3 --config retention.ms=5000"],
      ["topics", "--create --topic NAME --if-not-exists"],
      ["topics", "--create --topic NAME"],
      ["topics", "--create --topic NAME_2 --partitions 1 --replication-factor 1"],
      ["topics", "--create --topic NAME-3 --replication-factor 4"],
      ["topics", "--alter --topic NAME --partitions 4 --replica-assignment 1:2,2:3,3:1,1:3"],
      ["configs", "--alter --entity-type topics --entity-name NAME --add-config segment.bytes=100000,cleanup.policy=[delete] --delete-config retention.ms"],
      ["topics", "--describe --topic NAME"],
      ["configs", "--describe --topic NAME"],
      ["topics", "--delete --topic NAME.*"],
    ]);
    // Whoever refuses, the words are the broker's.
    expect(ours).toEqual(apache);
  });

  test("--zookeeper: what is made and listed is the same", SLOW, async () => {
    const through = ["--zookeeper", cluster.zookeeper];
    for (const whose of ["apache", "ours"] as const) {
      const name = `through-${NAMES[whose]}`;
      expect(await tool(whose, "topics", [...through, "--create", "--topic", name, "--partitions", "1", "--replication-factor", "3"])).toMatchObject({ code: 0, stdout: `Created topic ${name}.\n` });
      await cluster.inSync(name);
    }
    const [apache, ours] = await Promise.all((["apache", "ours"] as const).map((whose) => tool(whose, "topics", [...through, "--list", "--exclude-internal"])));
    expect(ours?.stdout).toBe(apache?.stdout);
    expect(await tool("ours", "configs", [...through, "--alter", "--topic", "through-mine12", "--add-config", "retention.ms=1000"])).toMatchObject({ code: 0, stdout: "Completed updating config for topic through-mine12.\n" });
    expect((await tool("apache", "configs", [...through, "--describe", "--entity-type", "topics", "--entity-name", "through-mine12"])).stdout).toContain("retention.ms=1000");
  });

  test("a group's life: its offsets set, taken from a file, deleted, and then itself", SLOW, async () => {
    const groups = new GroupAdmin(client);
    for (const name of Object.values(NAMES)) await groups.resetOffsets(name, [{ topic: "plain", partition: 0, offset: 0 }]);
    const { apache, ours } = await story([
      ["groups", "--reset-offsets --group NAME --topic plain:0,1 --topic moved --to-latest --execute"],
      ["groups", "--describe --group NAME"],
      ["groups", "--delete-offsets --group NAME --topic plain:0 --topic moved"],
      ["groups", "--delete --group NAME"],
      ["groups", "--describe --group NAME"],
    ]);
    expect(ours).toEqual(apache);
  });

  test("settings of a broker and of all", SLOW, async () => {
    const lines: readonly (readonly [Tool, string])[] = [
      ["configs", "--alter --broker 2 --add-config log.cleaner.backoff.ms=20000"],
      ["configs", "--alter --entity-type brokers --entity-default --add-config log.cleaner.backoff.ms=16000"],
      ["configs", "--alter --entity-type brokers --entity-default --delete-config log.cleaner.backoff.ms"],
      ["configs", "--alter --broker 2 --delete-config log.cleaner.backoff.ms"],
      ["configs", "--alter --broker 2 --delete-config log.cleaner.backoff.ms"],
    ];
    const { apache, ours } = await story(lines);
    expect(ours).toEqual(apache);
  });

  test("a time that can't be read: the same code, in words of our own", SLOW, async () => {
    const args = ["--reset-offsets", "--group", "empty", "--topic", "plain:0", "--to-datetime", "2026-11-22T12:00:00"];
    const [apache, ours] = await Promise.all([tool("apache", "groups", args), tool("ours", "groups", args)]);
    expect(ours.code).toBe(apache.code);
    for (const { stdout } of [apache, ours]) expect(stdout).toMatch(/^\nError: Executing consumer group command failed due to /);
  });

  test("no broker to be reached: groups end with 0, the others with 1", SLOW, async () => {
    const [apache, ours] = await Promise.all((["apache", "ours"] as const).map((whose) => tool(whose, "groups", ["--list", "--timeout", "2000"], "127.0.0.1:9")));
    expect([apache?.code, ours?.code]).toEqual([0, 0]);
    for (const told of [apache, ours]) expect(told?.stdout).toMatch(/^\nError: Executing consumer group command failed due to /);
    const patience = join(directory.path, "patience.properties");
    writeFileSync(patience, "default.api.timeout.ms=2000\n");
    expect((await tool("ours", "topics", ["--list", "--command-config", patience], "127.0.0.1:9")).code).toBe(1);
  });
});
