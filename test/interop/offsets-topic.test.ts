import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import type { Message } from "../support/client-matrix/client.ts";
import { JavaTools, javaClient } from "../support/client-matrix/drivers/java.ts";
import { hasKcat, kcat } from "../support/client-matrix/drivers/kcat.ts";
import { oldKafkaPython } from "../support/client-matrix/drivers/old.ts";
import { confluentKafka, hasConfluentKafka, hasKafkaPython } from "../support/client-matrix/drivers/python.ts";
import { GroupUnderTest } from "../support/client-matrix/group.ts";
import { cleanedOffsets, storedGroups } from "../support/client-matrix/stored-groups.ts";
import { fetchAll } from "../support/fetched-records.ts";
import { KafkaCluster, type BrokerKind, type ClusterBroker } from "../support/kafka-cluster.ts";

/** What a broker of ours and Apache Kafka 2.7.1 make of each other's directories: groups and offsets, cleaned logs, and topics in formats 0 and 1. */

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";
const tools = await JavaTools.of("reference");
const able = classPath !== "" && tools !== undefined && hasKcat && hasConfluentKafka && hasKafkaPython;
if (!able) console.warn("SKIPPED exchanged directories with groups and old formats: they need kcat, confluent-kafka, kafka-python and Apache Kafka 2.7.1");

const OFFSETS_PARTITIONS = 3;
const SETTINGS = {
  "min.insync.replicas": 1,
  "group.initial.rebalance.delay.ms": 0,
  "offsets.topic.num.partitions": OFFSETS_PARTITIONS,
  "offsets.topic.replication.factor": 1,
  // Rolled and cleaned within a test.
  "offsets.topic.segment.bytes": 16_384,
  "log.cleaner.backoff.ms": 500,
  "log.cleaner.min.cleanable.ratio": 0.01,
};

/** JVMs that start, and sessions of 6 s. */
const SLOW = { timeout: 120_000 };

/** Another one goes on with a broker's directory. */
async function exchange(cluster: KafkaCluster, broker: ClusterBroker, kind: BrokerKind, signal: "SIGTERM" | "SIGKILL"): Promise<void> {
  await broker.stop(signal);
  await cluster.forgotten(broker.id);
  broker.become(kind);
  await broker.start();
}

describe.runIf(able)("groups on a directory that ours and Apache's take turns on", () => {
  let cluster: KafkaCluster;
  let broker: ClusterBroker;
  let dynamic: GroupUnderTest;
  let fixed: GroupUnderTest;
  const simple = "simple-group";

  beforeAll(async () => {
    cluster = await KafkaCluster.plan(["odradek"], classPath, { settings: SETTINGS });
    broker = cluster.broker(1);
    await broker.start();
    dynamic = new GroupUnderTest(cluster, { name: "dynamic", partitions: 3 });
    fixed = new GroupUnderTest(cluster, { name: "static", partitions: 3 });
  }, 90_000);

  afterAll(async () => {
    await dynamic?.close();
    await fixed?.close();
    await cluster?.close();
  });

  /** All that kafka-consumer-groups.sh shows of offsets. */
  async function described(): Promise<string[]> {
    return ((await tools?.describeGroups(cluster.bootstrap)) ?? []).map((line) => JSON.stringify(line)).toSorted();
  }

  /** Both groups are shared, and have seen and committed whatever was sent. */
  async function settle(): Promise<void> {
    for (const story of [dynamic, fixed]) {
      await story.shared();
      await story.committed();
    }
  }

  /** The members that were there before go on. */
  async function goOn(): Promise<void> {
    const client = confluentKafka(cluster.bootstrap);
    for (const story of [dynamic, fixed]) {
      await story.produce(client, 30, { repeatable: true });
      await story.seenOnce();
    }
    await settle();
  }

  test("Apache's decoder reads what ours has stored of groups", SLOW, async () => {
    const client = confluentKafka(cluster.bootstrap);
    for (const story of [dynamic, fixed]) await cluster.createTopic(story.topic, story.partitions);
    for (const instanceId of ["one", "two"]) {
      dynamic.join(client);
      // librdkafka takes a static member that comes back after an outage of its coordinator for a second one (its commit from before is fenced).
      fixed.join(javaClient(tools as JavaTools, cluster.bootstrap), { instanceId });
    }
    for (const story of [dynamic, fixed]) {
      await story.shared();
      await story.produce(client, 60);
      await story.seenOnce();
    }
    await settle();
    await dynamic.observer.commit(simple, dynamic.topic, new Map([[0, 3], [2, 5]]));

    const stored = await storedGroups(classPath, broker, OFFSETS_PARTITIONS);
    const offsets = [...stored].filter(([key]) => key.startsWith("offset_commit::")).map(([key, value]) => `${key} ${value}`);
    const expected = [`offset_commit::group=${simple},partition=${dynamic.topic}-0 offset=3`, `offset_commit::group=${simple},partition=${dynamic.topic}-2 offset=5`];
    for (const { observer, group, topic, partitions } of [dynamic, fixed]) for (const [partition, offset] of await observer.committed(group, topic, partitions)) expected.push(`offset_commit::group=${group},partition=${topic}-${partition} offset=${offset}`);
    expect(offsets.toSorted()).toEqual(expected.toSorted());
    for (const { group, topic } of [dynamic, fixed]) {
      const value = JSON.parse(stored.get(`group_metadata::group=${group}`) ?? "{}") as Record<string, unknown>;
      expect(value).toMatchObject({ protocolType: "consumer", protocol: "range" });
      for (const partition of [0, 1, 2]) expect(value["assignment"]).toContain(`${topic}-${partition}`);
    }
    expect(stored.get(`group_metadata::group=${simple}`)).toBeUndefined();
  });

  test.each([
    ["apache", "SIGTERM"],
    ["odradek", "SIGTERM"],
    ["apache", "SIGKILL"],
    ["odradek", "SIGKILL"],
  ] as const)("%s goes on after a %s with all groups and offsets, and their members go on", SLOW, async (kind, signal) => {
    const before = await described();
    expect(before).toHaveLength(8);
    await exchange(cluster, broker, kind, signal);
    expect(await described()).toEqual(before);
    await goOn();
  });

  test("what one has cleaned the other goes on to clean, and the offsets are the same", SLOW, async () => {
    for (const story of [dynamic, fixed]) await story.close();
    /** Commits until the cleaner has got further with the group's partition. */
    const cleaned = async (): Promise<void> => {
      const before = Math.max(0, ...cleanedOffsets(broker).values());
      for (let round = 1; Math.max(0, ...cleanedOffsets(broker).values()) <= before; round++) {
        if (round > 2000) throw new Error(`nothing is cleaned: ${JSON.stringify([...cleanedOffsets(broker)])}\n${broker.output.slice(-2000)}`);
        await dynamic.observer.commit(simple, dynamic.topic, new Map([[0, round], [2, round + 1]]));
      }
    };
    for (const kind of ["apache", "odradek"] as const) {
      await cleaned();
      const [checkpoint, before] = [cleanedOffsets(broker), await described()];
      await exchange(cluster, broker, kind, "SIGTERM");
      for (const [partition, offset] of checkpoint) expect(cleanedOffsets(broker).get(partition) ?? -1).toBeGreaterThanOrEqual(offset);
      expect(await described()).toEqual(before);
    }
    await cleaned();
    const stored = await storedGroups(classPath, broker, OFFSETS_PARTITIONS);
    const committed = await dynamic.observer.committed(simple, dynamic.topic, 3);
    for (const partition of [0, 2]) expect(stored.get(`offset_commit::group=${simple},partition=${dynamic.topic}-${partition}`)).toBe(`offset=${committed.get(partition)}`);
  });
});

describe.runIf(able)("topics in formats 0 and 1, written by Apache's", () => {
  const BATCH = 100;
  const CODECS = ["none", "gzip", "snappy", "lz4"] as const;
  const TOPICS = [
    { topic: "in-format-0", version: "0.9.0" },
    { topic: "in-format-1", version: "0.10.0" },
  ];
  const messages = CODECS.flatMap((codec) => Array.from({ length: BATCH }, (_, index): Message => ({ key: `${codec}-${index}`, value: `${index} ${"of many ".repeat(index % 7)}` })));
  const later: readonly Message[] = [{ key: "later", value: "by ours" }];
  let cluster: KafkaCluster;
  let broker: ClusterBroker;

  beforeAll(async () => {
    cluster = await KafkaCluster.plan(["apache"], classPath, { settings: SETTINGS });
    broker = cluster.broker(1);
    await broker.start();
  }, 90_000);

  afterAll(() => cluster?.close());

  async function expectFetched(topic: string, version: number, from: number, expected: readonly Message[]): Promise<ReadonlySet<number>> {
    const { lines, magics } = await fetchAll(cluster, broker, { topic, version, from, to: expected.length });
    expect(lines).toEqual(expected.map(({ key, value }, offset) => `${offset} ${key} ${value}`).slice(from));
    return magics;
  }

  test("are read on ours by Fetch 0 to 12, from anywhere, and by kcat and kafka-python", SLOW, async () => {
    const client = kcat(broker.bootstrap);
    for (const { topic, version } of TOPICS) {
      await cluster.tool("kafka.admin.TopicCommand", ["--create", "--topic", topic, "--partitions", "1", "--replication-factor", "1", "--config", `message.format.version=${version}`]);
      for (const codec of CODECS) await client.produce(topic, messages.filter(({ key }) => key.startsWith(codec)), codec);
    }
    await exchange(cluster, broker, "odradek", "SIGTERM");
    for (const [magic, { topic }] of TOPICS.entries()) {
      for (let version = 0; version <= 12; version++) {
        expect(await expectFetched(topic, version, 0, messages), `Fetch ${version}`).toEqual(new Set([version < 2 ? 0 : magic]));
        for (const from of [50, 150, 250, 350]) await expectFetched(topic, version, from, messages);
      }
      const expected = messages.map((message, offset) => ({ partition: 0, offset, ...message }));
      expect(await oldKafkaPython(broker.bootstrap, [0, 8, 2], CODECS).read(topic, { from: 0, count: messages.length })).toEqual(expected);
      expect(await oldKafkaPython(broker.bootstrap, [1, 0], CODECS).read(topic, { from: 0, count: messages.length })).toEqual(expected);
    }
  });

  test("get format 2 behind them from ours, and Apache's reads both, as it did before", SLOW, async () => {
    for (const { topic } of TOPICS) {
      await kcat(broker.bootstrap).produce(topic, later, "none");
      for (const version of [0, 3, 12]) await expectFetched(topic, version, 0, [...messages, ...later]);
    }
    await exchange(cluster, broker, "apache", "SIGKILL");
    for (const { topic } of TOPICS) {
      await cluster.inSync(topic);
      for (const version of [0, 3, 12]) await expectFetched(topic, version, 0, [...messages, ...later]);
    }
  });
});
