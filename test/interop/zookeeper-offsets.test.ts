import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import type { ClientUnderTest, Consumer, Seen } from "../support/client-matrix/client.ts";
import { hasKafkaPython, KAFKA_PYTHON, PYTHON } from "../support/client-matrix/drivers/python.ts";
import { scriptedClient } from "../support/client-matrix/drivers/script.ts";
import { Observer } from "../support/client-matrix/observer.ts";
import { hasKazoo, kazooGet, kazooSet } from "../support/kazoo.ts";
import type { BrokerKind, KafkaCluster } from "../support/kafka-cluster.ts";
import { startCluster } from "../support/odradek-cluster.ts";
import { eventually } from "../support/processes.ts";

/**
 * Offsets that a client of the days of Kafka 0.8.1 keeps in ZooKeeper through our brokers; kazoo is who looks there.
 * With MATRIX_CLUSTER=apache the same is told of Apache Kafka 2.7.1.
 */

const KIND = (process.env["MATRIX_CLUSTER"] ?? "odradek") as BrokerKind;
const TOPIC = "kept-in-zookeeper";
const GROUP = "of-old";
const PARTITIONS = 3;

describe.runIf(hasKafkaPython && hasKazoo)("a consumer of 0.8.1", () => {
  let cluster: KafkaCluster;
  let sent = 0;

  beforeAll(async () => {
    cluster = await startCluster({ kind: KIND, classPath: KIND === "apache" ? ((await apacheKafkaClassPath("2.7.1")) ?? "") : "" });
    await cluster.createTopic(TOPIC, PARTITIONS);
    await cluster.inSync(TOPIC);
  }, 120_000);

  afterAll(() => cluster?.close());

  /** It is told of one broker alone: version 0 has no coordinator, so any broker serves it. */
  function client(brokerId: number): ClientUnderTest {
    return scriptedClient({ name: "kafka-python to 0.8.1", command: [PYTHON, KAFKA_PYTHON], codecs: ["none"], bootstrap: cluster.broker(brokerId).bootstrap, options: { apiVersion: [0, 8, 1] } });
  }

  async function produce(count: number): Promise<void> {
    const messages = Array.from({ length: count }, (_, index) => ({ key: `key-${sent + index}`, value: `value-${sent + index}` }));
    await client(1).produce(TOPIC, messages, "none");
    sent += count;
  }

  /** What it sees until it has seen so many; it commits when it stops. */
  async function consume(brokerId: number, count: number): Promise<readonly Seen[]> {
    const consumer: Consumer = client(brokerId).consumer(TOPIC, GROUP);
    try {
      await eventually(`${count} records are seen`, () => consumer.records.length >= count);
    } catch (error) {
      await consumer.kill();
      throw new Error(`${String(error)}: ${consumer.records.length}\n${consumer.process.output.slice(-2000)}`, { cause: error });
    }
    await consumer.stop();
    return consumer.records;
  }

  const ends = (): Promise<Map<number, number>> => new Observer(cluster).ends(TOPIC, PARTITIONS);
  const znode = (partition: number): string => `/consumers/${GROUP}/offsets/${TOPIC}/${partition}`;

  test("reads a topic and commits in ZooKeeper, where the offsets are decimal numbers", async () => {
    await produce(60);
    expect(await consume(1, 60)).toHaveLength(60);
    for (const [partition, end] of await ends()) expect(await kazooGet(cluster.zookeeper, znode(partition))).toBe(String(end));
  });

  test("goes on behind them at another broker, which knows them too", async () => {
    expect(await client(2).committed?.(GROUP, TOPIC)).toEqual(await ends());
    await produce(30);
    const seen = await consume(3, 30);
    expect(seen.map(({ value }) => value).toSorted()).toEqual(Array.from({ length: 30 }, (_, index) => `value-${60 + index}`));
  });

  test("goes on from where a znode is set to", async () => {
    const end = (await ends()).get(0) ?? 0;
    await kazooSet(cluster.zookeeper, znode(0), "5");
    const seen = await consume(2, end - 5);
    expect(seen.map(({ partition, offset }) => `${partition} ${offset}`)).toEqual(Array.from({ length: end - 5 }, (_, index) => `0 ${5 + index}`));
    expect(await kazooGet(cluster.zookeeper, znode(0))).toBe(String(end));
  });

  test("finds nothing for a group that never committed, and the offsets topic was not needed for any of it", async () => {
    expect(await client(1).committed?.("of-nobody", TOPIC)).toEqual(new Map());
    expect(await cluster.exists("/brokers/topics/__consumer_offsets")).toBe(false);
  });
});
