import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { CompressionTypes, Kafka, logLevel, type Admin } from "kafkajs";
import { startOdradekBroker, type OdradekBroker } from "../support/odradek-broker.ts";
import { startOurZooKeeper, type OurZooKeeper } from "../support/zookeeper-member.ts";

describe("kafkajs on our broker on our ZooKeeper member", () => {
  let zookeeper: OurZooKeeper;
  let broker: OdradekBroker;
  let kafka: Kafka;
  let admin: Admin;

  beforeAll(async () => {
    zookeeper = await startOurZooKeeper();
    broker = await startOdradekBroker({ brokerId: 7, zookeeper: `127.0.0.1:${zookeeper.port}` });
    kafka = new Kafka({ brokers: [broker.bootstrap], logLevel: logLevel.NOTHING });
    admin = kafka.admin();
    await admin.connect();
  });

  afterAll(async () => {
    await admin?.disconnect();
    await broker?.remove();
    await zookeeper?.stop();
  });

  const offsets = async (topic: string): Promise<string[]> => (await admin.fetchTopicOffsets(topic)).toSorted((a, b) => a.partition - b.partition).map(({ low, high }) => `${low}-${high}`);

  test("a topic is made, described, listed and deleted", async () => {
    expect(await admin.createTopics({ topics: [{ topic: "made", numPartitions: 3, configEntries: [{ name: "retention.ms", value: "1000" }] }] })).toBe(true);
    expect(await admin.createTopics({ topics: [{ topic: "made" }] })).toBe(false);
    expect(await admin.listTopics()).toContain("made");
    const { topics } = await admin.fetchTopicMetadata({ topics: ["made"] });
    expect(topics[0]?.partitions.map(({ leader, replicas, isr }) => ({ leader, replicas, isr }))).toEqual(Array.from({ length: 3 }, () => ({ leader: 7, replicas: [7], isr: [7] })));
    await admin.deleteTopics({ topics: ["made"] });
    expect(await admin.listTopics()).not.toContain("made");
    await expect(admin.createTopics({ topics: [{ topic: "wrong", configEntries: [{ name: "retention.ms", value: "soon" }] }] })).rejects.toMatchObject({ errors: [{ type: "INVALID_CONFIG" }] });
    await expect(admin.createTopics({ topics: [{ topic: "wide", replicationFactor: 3 }] })).rejects.toMatchObject({ errors: [{ type: "INVALID_REPLICATION_FACTOR" }] });
  });

  test("what is produced stands in its partitions, with acks all, idempotent and compressed too", async () => {
    await admin.createTopics({ topics: [{ topic: "produced", numPartitions: 2 }] });
    const producer = kafka.producer({ idempotent: true, maxInFlightRequests: 1 });
    await producer.connect();
    const [first] = await producer.send({ topic: "produced", acks: -1, messages: [{ partition: 0, key: "k", value: "v", headers: { h: "1" } }] });
    expect(first).toMatchObject({ errorCode: 0, baseOffset: "0" });
    await producer.send({ topic: "produced", acks: -1, compression: CompressionTypes.GZIP, messages: Array.from({ length: 100 }, (_, i) => ({ partition: 1, value: `${i}` })) });
    await producer.disconnect();
    expect(await offsets("produced")).toEqual(["0-1", "0-100"]);
  });

  test("the cluster is described", async () => {
    const { brokers, controller, clusterId } = await admin.describeCluster();
    expect({ brokers, controller }).toEqual({ brokers: [{ nodeId: 7, host: "127.0.0.1", port: broker.port }], controller: 7 });
    expect(clusterId).toMatch(/^[A-Za-z0-9_-]{22}$/);
  });
});
