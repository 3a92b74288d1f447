import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { KafkaCluster, type BrokerKind, type ClusterBroker } from "../support/kafka-cluster.ts";
import { eventually, run } from "../support/processes.ts";
import { hasConfluentKafka, ProducerHistory } from "../support/producer-history.ts";

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
  /** One after the other; each ends before the next begins. */
  const producers: ProducerHistory[] = [];
  const deleted: string[] = [];

  beforeAll(async () => {
    cluster = await KafkaCluster.plan(KINDS, classPath);
    // The first becomes the controller.
    await cluster.broker(1).start();
    await Promise.all([cluster.broker(2).start(), cluster.broker(3).start()]);
  }, 120_000);

  afterAll(async () => {
    await producers.at(-1)?.kill();
    await cluster?.close();
  });

  function more(count: number): Promise<void> {
    return producers.at(-1)?.more(count) ?? Promise.resolve();
  }

  /** Another producer goes on. */
  async function produce(requestsInFlight: number): Promise<void> {
    await producers.at(-1)?.finish();
    producers.push(new ProducerHistory({ bootstrap: cluster.bootstrap, topic: TOPIC, partitions: PARTITIONS, pauseMs: 20, requestsInFlight }));
    await more(50);
  }

  /** Starts brokers that were killed or stopped: ours at once on its own files, else when ZooKeeper has forgotten the last process. */
  async function restart(ids: readonly number[], kind?: BrokerKind): Promise<void> {
    const start = async (id: number): Promise<void> => {
      const broker = cluster.broker(id);
      if (broker.kind === "apache" || kind !== undefined) await cluster.forgotten(id);
      if (kind !== undefined) broker.become(kind);
      await broker.start();
    };
    await Promise.all(ids.map(start));
    await cluster.inSync(TOPIC);
    await more(30);
  }

  /** The others must be able to go on without it. */
  async function kill(id: number): Promise<void> {
    await cluster.broker(id).kill();
    await more(30);
  }

  /** SIGTERM: it hands over what it leads, and nobody is without a leader meanwhile. */
  async function stop(id: number): Promise<void> {
    const broker = cluster.broker(id);
    const stopped = broker.stop();
    const leaderless = await cluster.leaderlessWhile(cluster.others(id)[0] as ClusterBroker, TOPIC, stopped);
    // A JVM says which signal it was.
    expect(await stopped).toBe(broker.kind === "apache" ? 143 : 0);
    expect(broker.output).toMatch(/controlled shutdown succeeded/i);
    expect(leaderless).toEqual([]);
    await more(30);
  }

  async function controllerKind(): Promise<BrokerKind> {
    return cluster.broker(await eventually("a controller", () => cluster.controller())).kind;
  }

  /** A topic with records that kcat and kafka-console-producer.sh wrote; deleted, it is marked so everywhere. */
  async function createAndDelete(topic: string): Promise<void> {
    await cluster.createTopic(topic, 3);
    await cluster.inSync(topic);
    expect(await run("kcat", ["-P", "-b", cluster.bootstrap, "-t", topic, "-X", "acks=all"], { input: "one\ntwo\n" })).toMatchObject({ code: 0 });
    expect(await cluster.tool("kafka.tools.ConsoleProducer", ["--topic", topic, "--request-required-acks", "all"], "three\nfour\n")).toMatchObject({ code: 0 });
    const { stdout } = await run("kcat", ["-C", "-b", cluster.bootstrap, "-t", topic, "-e", "-q"]);
    expect(stdout.trim().split("\n").toSorted()).toEqual(["four", "one", "three", "two"]);
    expect(await cluster.tool("kafka.admin.TopicCommand", ["--delete", "--topic", topic])).toMatchObject({ code: 0 });
    await eventually("the topic is gone", async () => !(await cluster.exists(`/brokers/topics/${topic}`)));
    await eventually("it is marked everywhere", () => cluster.brokers.every((broker) => broker.directories(topic).every((name) => name.endsWith("-delete"))));
    deleted.push(topic);
  }

  /** Whom kafka-leader-election.sh's ZooKeeper mode asks. */
  async function electPreferred(): Promise<void> {
    const partitions = Array.from({ length: PARTITIONS }, (_, partition) => ({ topic: TOPIC, partition }));
    await cluster.createNode("/admin/preferred_replica_election", JSON.stringify({ version: 1, partitions }));
    await eventually("the election is done", async () => !(await cluster.exists("/admin/preferred_replica_election")));
    await cluster.preferred(TOPIC);
  }

  /** What was acknowledged stands in every partition once and in order, for kcat and, of one partition, for kafka-console-consumer.sh. */
  async function expectHistory(): Promise<void> {
    expect(producers.flatMap(({ failures }) => failures.slice(0, 3))).toEqual([]);
    const numbers = (text: string): string[] => text.trimEnd().split("\n").map((line) => line.split(" ", 2).join(" "));
    for (let partition = 0; partition < PARTITIONS; partition++) {
      const expected = producers.flatMap(({ acknowledged }) => acknowledged[partition]?.toSorted((a, b) => a - b) ?? []).map((n) => `${partition} ${n}`);
      const { stdout } = await run("kcat", ["-C", "-b", cluster.bootstrap, "-t", TOPIC, "-p", String(partition), "-o", "beginning", "-e", "-q"]);
      expect(numbers(stdout)).toEqual(expected);
      if (partition > 0) continue;
      const consumed = await cluster.tool("kafka.tools.ConsoleConsumer", ["--topic", TOPIC, "--partition", "0", "--offset", "earliest", "--max-messages", String(expected.length)]);
      expect(numbers(consumed.stdout)).toEqual(expected);
    }
  }

  async function expectEqualLogs(): Promise<void> {
    const [first, ...others] = await Promise.all(cluster.brokers.map((broker) => cluster.batches(broker, TOPIC, PARTITIONS)));
    expect(first?.length).toBeGreaterThan(100);
    for (const other of others) expect(other).toEqual(first);
  }

  test("a topic that kafka-topics.sh makes is in sync on all three, and each leads a third of it", SLOW, async () => {
    expect(await cluster.controller()).toBe(1);
    const created = await cluster.tool("kafka.admin.TopicCommand", ["--create", "--topic", TOPIC, "--partitions", String(PARTITIONS), "--replication-factor", "3"]);
    expect(created.stdout).toContain(`Created topic ${TOPIC}.`);
    await cluster.inSync(TOPIC);
    const layout = await cluster.layout(cluster.broker(1), TOPIC);
    expect(layout.map(({ leader }) => leader).toSorted((a, b) => a - b)).toEqual([1, 1, 2, 2, 3, 3]);
    await produce(5);
  });

  describe("ours is the controller", () => {
    test.each([2, 3])("broker %i is killed, the others go on, it comes back into sync", SLOW, async (id) => {
      expect(await controllerKind()).toBe(KINDS[0]);
      await kill(id);
      await restart([id]);
    });

    test("broker 2 is stopped and hands over, and nobody is without a leader", SLOW, async () => {
      expect(await controllerKind()).toBe(KINDS[0]);
      await stop(2);
      await restart([2]);
    });

    test("preferred replicas lead again, as /admin/preferred_replica_election asks; a topic comes and goes", SLOW, async () => {
      expect(await controllerKind()).toBe(KINDS[0]);
      await electPreferred();
      await createAndDelete("by-ours");
    });
  });

  describe("Apache's is the controller", () => {
    test("both of ours are killed, the controller among them, and come back", SLOW, async () => {
      // With more in flight, librdkafka can't go on after a request that was refused for want of replicas and a later one that was not.
      await produce(1);
      await Promise.all([cluster.broker(1).kill(), cluster.broker(2).kill()]);
      await eventually("broker 3 is the controller", async () => (await cluster.controller()) === 3);
      await restart([1, 2]);
      await produce(5);
    });

    test.each([1, 2])("broker %i is killed, the others go on, it comes back into sync", SLOW, async (id) => {
      expect(await controllerKind()).toBe("apache");
      await kill(id);
      await restart([id]);
    });

    test.each([1, 2])("broker %i is stopped and hands over, and nobody is without a leader", SLOW, async (id) => {
      expect(await controllerKind()).toBe("apache");
      await stop(id);
      await restart([id]);
    });

    test("preferred replicas lead again, as /admin/preferred_replica_election asks; a topic comes and goes", SLOW, async () => {
      expect(await controllerKind()).toBe("apache");
      await electPreferred();
      await createAndDelete("by-apache");
    });

    test("it is killed itself: one of ours takes over, and it comes back into sync", SLOW, async () => {
      expect(await controllerKind()).toBe("apache");
      await kill(3);
      await restart([3]);
      expect(await controllerKind()).toBe(KINDS[0]);
    });
  });

  describe("each on the other's files, and all replicas catch up", () => {
    test("Apache's is stopped, under our controller, and goes on as ours", SLOW, async () => {
      expect(await controllerKind()).toBe(KINDS[0]);
      await stop(3);
      await restart([3], KINDS[0]);
    });

    test("ours is killed and goes on as Apache's", SLOW, async () => {
      await kill(2);
      await restart([2], "apache");
    });

    test("ours is stopped and goes on as Apache's", SLOW, async () => {
      await stop(3);
      await restart([3], "apache");
    });

    test("Apache's is killed and goes on as ours", SLOW, async () => {
      await kill(2);
      await restart([2], KINDS[1]);
    });
  });

  test("the controller is stopped: another takes over, and nobody is without a leader; preferred replicas lead again by themselves", SLOW, async () => {
    const id = (await cluster.controller()) ?? 0;
    await stop(id);
    await eventually("another controller", async () => ![undefined, id].includes(await cluster.controller()));
    await restart([id]);
    await cluster.preferred(TOPIC);
  });

  test("everything that was acknowledged is there once and in order, all replicas' logs are equal, and nothing is left of deleted topics", SLOW, async () => {
    await producers.at(-1)?.finish();
    await expectHistory();
    await expectEqualLogs();
    const left = (): string[] => cluster.brokers.flatMap((broker) => deleted.flatMap((topic) => broker.directories(topic)));
    // Apache's looks for the first time 30 s after its start.
    await eventually("the files of deleted topics are gone", () => left().length === 0, 60_000);
  });
});
