import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { KafkaCluster, type BrokerKind } from "../support/kafka-cluster.ts";
import { hasConfluentKafka, ProducerHistory } from "../support/producer-history.ts";
import { run } from "../support/processes.ts";

/**
 * Two brokers of ours and one of Apache Kafka 2.7.1 in one cluster, each replicating from, leading and controlling the
 * others, while an idempotent producer (librdkafka) works throughout. The tests are one story, in this order. With
 * MIXED_CLUSTER=apache,apache,apache it is told of Apache's alone, which is how the story itself is tested.
 */

const KINDS = (process.env["MIXED_CLUSTER"] ?? "odradek,odradek,apache").split(",") as BrokerKind[];
const TOPIC = "history";
const PARTITIONS = 6;

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";
const hasKcat = await run("kcat", ["-V"]).then(
  () => true,
  () => false,
);
const able = hasKcat && hasConfluentKafka && classPath !== "";
if (!able) console.warn("SKIPPED our brokers in one cluster with Apache's: it needs kcat, confluent-kafka and Apache Kafka 2.7.1");

/** Faults that take sessions of 6 s and JVMs that start. */
const SLOW = { timeout: 240_000 };

describe.runIf(able)("two brokers of ours and one of Apache's", () => {
  let cluster: KafkaCluster;
  let producer: ProducerHistory;

  beforeAll(async () => {
    cluster = await KafkaCluster.plan(KINDS, classPath);
    // The first becomes the controller.
    await cluster.broker(1).start();
    await Promise.all([cluster.broker(2).start(), cluster.broker(3).start()]);
  }, 120_000);

  afterAll(async () => {
    await producer?.kill();
    await cluster?.close();
  });

  /** Starts a broker that was killed: ours at once, Apache's when ZooKeeper has forgotten it. */
  async function restart(id: number): Promise<void> {
    if (cluster.broker(id).kind === "apache") await cluster.forgotten(id);
    await cluster.broker(id).start();
  }

  test("a topic that kafka-topics.sh makes is in sync on all three, and each leads a third of it", SLOW, async () => {
    expect(await cluster.controller()).toBe(1);
    expect(await cluster.topics("--create", "--topic", TOPIC, "--partitions", String(PARTITIONS), "--replication-factor", "3")).toContain(`Created topic ${TOPIC}.`);
    await cluster.inSync(TOPIC);
    const layout = await cluster.layout(cluster.broker(1), TOPIC);
    expect(layout.map(({ leader }) => leader).toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2, 3, 3]);
    producer = new ProducerHistory({ bootstrap: cluster.bootstrap, topic: TOPIC, partitions: PARTITIONS, pauseMs: 20 });
    await producer.more(100);
  });

  test.each([2, 3, 1])("ours is the controller: broker %i is killed, the others go on, it comes back into sync", SLOW, async (id) => {
    expect(cluster.broker((await cluster.controller()) ?? 0).kind).toBe(KINDS[0]);
    await cluster.broker(id).kill();
    await producer.more(30);
    await restart(id);
    await cluster.inSync(TOPIC);
    await producer.more(30);
  });

  test("everything that was acknowledged is there once and in order", SLOW, async () => {
    await producer.finish();
    expect(producer.failures.slice(0, 3)).toEqual([]);
    for (const [partition, acknowledged] of producer.acknowledged.entries()) {
      const { stdout } = await run("kcat", ["-C", "-b", cluster.bootstrap, "-t", TOPIC, "-p", String(partition), "-o", "beginning", "-e", "-q"]);
      const values = stdout.trimEnd().split("\n").map((line) => line.split(" ").slice(0, 2).join(" "));
      expect(values).toEqual(acknowledged.toSorted((a, b) => a - b).map((n) => `${partition} ${n}`));
    }
  });
});
