import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { ClusterAdmin } from "../../src/kafka/client/cluster-admin.ts";
import { GroupAdmin } from "../../src/kafka/client/group-admin.ts";
import type { KafkaClient } from "../../src/kafka/client/kafka-client.ts";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { JavaTools } from "../support/client-matrix/drivers/java.ts";
import { hasKcat } from "../support/client-matrix/drivers/kcat.ts";
import { KafkaCluster, type BrokerKind } from "../support/kafka-cluster.ts";
import { ownClient } from "../support/own-client.ts";
import { eventually, run } from "../support/processes.ts";

/**
 * All brokers of a cluster stop, and Apache Kafka 2.7.1's start in their place on the same directories and the same
 * ZooKeeper, and the other way round. Each lot finds what was there, adds a partition with kafka-topics.sh and writes;
 * topic ids, which ours alone show, stay as they were.
 */

const [GROWN, RENEWED, GROUP] = ["grown", "renewed", "readers"] as const;
const BROKERS = 2;
const BATCH = 20;
const SETTINGS = { "offsets.topic.replication.factor": BROKERS, "offsets.topic.num.partitions": 3 };

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";
const newest = await JavaTools.of("newest");
const able = classPath !== "" && newest !== undefined && hasKcat;
if (!able) console.warn("SKIPPED exchanged directories with added partitions: they need kcat, Apache Kafka 2.7.1 and the tools of the newest");

/** What Apache's, or ours, says of a directory that is not as the other should have left it. */
const COMPLAINT = /(?:WARN|ERROR|FATAL) kafka\.(?:log|server\.checkpoints)\.|corrupt|[Rr]ebuilding|[Rr]ecovering (?:unflushed|logs)|no clean shutdown|a log directory fails|indexes are built anew|a log (?:ends in front|that ends below)/;

/** JVMs that start. */
const SLOW = { timeout: 120_000 };

const ORDERS: readonly (readonly BrokerKind[])[] = [
  ["odradek", "apache", "odradek"],
  ["apache", "odradek", "apache", "odradek"],
];

describe.runIf(able).each(ORDERS.map((kinds) => ({ kinds, order: kinds.join(", then ") })))("directories of $order", ({ kinds }) => {
  let cluster: KafkaCluster;
  let client: KafkaClient;
  /** By partition, what is in it. */
  const written: string[][] = [[], []];
  const committed = new Map<number, number>();
  /** The ids that a name has had, the present one last, and whether it is the same topic as when it was noted. */
  const ids = new Map<string, string[]>();
  let renewed = false;

  beforeAll(async () => {
    cluster = await KafkaCluster.plan(Array.from({ length: BROKERS }, () => kinds[0] ?? "odradek"), classPath, { settings: SETTINGS });
    client = ownClient(cluster.bootstrap);
    await Promise.all(cluster.brokers.map((broker) => broker.start()));
    for (const topic of [GROWN, RENEWED]) await create(topic, written.length);
  }, SLOW.timeout);

  afterAll(async () => {
    await client?.close();
    await cluster?.close();
  });

  /** Again and again: a broker that is asked may not know all brokers yet, or still know a topic of this name. */
  async function create(name: string, partitions: number): Promise<void> {
    await eventually(`topic ${name} is made`, async () => (await new ClusterAdmin(client).createTopic({ name, partitions, replicationFactor: BROKERS })).code === 0);
  }

  async function exchange(kind: BrokerKind): Promise<void> {
    await Promise.all(cluster.brokers.map((broker) => broker.stop()));
    await Promise.all(
      cluster.brokers.map(async (broker) => {
        await cluster.forgotten(broker.id);
        broker.become(kind);
        await broker.start();
      }),
    );
  }

  /** To every partition. */
  async function write(phase: string): Promise<void> {
    for (const [partition, records] of written.entries()) {
      const added = Array.from({ length: BATCH }, (_, n) => `${phase} ${partition} ${n}`);
      const produced = await run("kcat", ["-P", "-b", cluster.bootstrap, "-t", GROWN, "-p", String(partition), "-X", "acks=all"], { input: `${added.join("\n")}\n` });
      expect(produced).toMatchObject({ code: 0 });
      records.push(...added);
      committed.set(partition, records.length - partition);
    }
    expect(await new GroupAdmin(client).resetOffsets(GROUP, [...committed].map(([partition, offset]) => ({ topic: GROWN, partition, offset })))).toEqual(written.map(() => 0));
  }

  async function expectKept(): Promise<void> {
    await cluster.until("as many partitions as were made, all in sync", GROWN, (layout) => layout.length === written.length && layout.every(({ isr }) => isr.length === BROKERS));
    for (const [partition, records] of written.entries()) {
      const { stdout } = await run("kcat", ["-C", "-b", cluster.bootstrap, "-t", GROWN, "-p", String(partition), "-o", "beginning", "-e", "-q", "-f", "%o %s\\n"]);
      expect(stdout).toBe(records.map((record, offset) => `${offset} ${record}\n`).join(""));
    }
    const offsets = await new GroupAdmin(client).offsets(GROUP);
    expect(new Map(offsets.toSorted((a, b) => a.partition - b.partition).map(({ partition, offset }) => [partition, offset]))).toEqual(committed);
  }

  /** As every broker shows it. */
  async function idOf(topic: string): Promise<string> {
    const told = await Promise.all(
      cluster.brokers.map(async ({ bootstrap }) => {
        const one = ownClient(bootstrap);
        try {
          return (await one.metadata([topic])).topics[0]?.topicId ?? "";
        } finally {
          await one.close();
        }
      }),
    );
    expect(told[0]).toMatch(/^[A-Za-z0-9_-]{22}$/);
    expect(told).toEqual(cluster.brokers.map(() => told[0]));
    return told[0] ?? "";
  }

  async function expectIds(): Promise<void> {
    for (const topic of [GROWN, RENEWED]) {
      const had = ids.get(topic) ?? [];
      await cluster.inSync(topic);
      const id = await idOf(topic);
      if (had.length > 0 && (topic === GROWN || !renewed)) expect(id).toBe(had.at(-1));
      else expect(had).not.toContain(id);
      ids.set(topic, [...had, id]);
    }
    renewed = false;
  }

  async function renew(): Promise<void> {
    expect((await new ClusterAdmin(client).deleteTopics([RENEWED])).get(RENEWED)).toMatchObject({ code: 0 });
    await eventually("the topic is gone", async () => !(await cluster.exists(`/brokers/topics/${RENEWED}`)));
    await create(RENEWED, 1);
    await cluster.inSync(RENEWED);
    renewed = true;
  }

  test.each(kinds.map((kind, phase) => ({ kind, phase })))("$phase: $kind finds what was there, with the ids that it had, and goes on", SLOW, async ({ kind, phase }) => {
    if (phase > 0) {
      await exchange(kind);
      await expectKept();
      expect(cluster.brokers.flatMap(({ output }) => output.split("\n").filter((line) => COMPLAINT.test(line)))).toEqual([]);
      if (kind === "odradek") await expectIds();
    }
    if (phase > 0) {
      const altered = await cluster.tool("kafka.admin.TopicCommand", ["--alter", "--topic", GROWN, "--partitions", String(written.length + 1)]);
      expect(altered).toMatchObject({ code: 0 });
      written.push([]);
      await cluster.inSync(GROWN);
    }
    await write(`${phase}-${kind}`);
    await expectKept();
    // Noted, or unchanged by what has been added.
    if (kind === "odradek") await expectIds();
    await renew();
    if (kind === "odradek") await expectIds();
  });

  test("Apache's newest kafka-topics.sh shows the id", SLOW, async () => {
    expect(kinds.at(-1)).toBe("odradek");
    const described = await newest?.run(newest.release.topicCommand, ["--bootstrap-server", cluster.bootstrap, "--describe", "--topic", GROWN]);
    expect(described).toMatch(new RegExp(`TopicId: ${ids.get(GROWN)?.at(-1)}\\s+PartitionCount: ${written.length}\\b`));
  });
});
