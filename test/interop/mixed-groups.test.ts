import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realHost } from "../../src/host/real/host.ts";
import { GroupAdmin } from "../../src/kafka/client/group-admin.ts";
import { GroupMember } from "../../src/kafka/client/group-member.ts";
import { KafkaClient } from "../../src/kafka/client/kafka-client.ts";
import { groupPartition } from "../../src/kafka/coordinators/group/group-core.ts";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { JavaTools, javaClient } from "../support/client-matrix/drivers/java.ts";
import { confluentKafka, hasConfluentKafka, hasKafkaPython, kafkaPython } from "../support/client-matrix/drivers/python.ts";
import { GroupUnderTest } from "../support/client-matrix/group.ts";
import { gather, outlive, slug, type Judged } from "../support/client-matrix/judge.ts";
import { Observer } from "../support/client-matrix/observer.ts";
import { storedGroups } from "../support/client-matrix/stored-groups.ts";
import { KafkaCluster, type BrokerKind } from "../support/kafka-cluster.ts";
import { GROUP_SETTINGS } from "../support/odradek-cluster.ts";
import { eventually } from "../support/processes.ts";

/**
 * Groups of three clients in a cluster of two brokers of ours and one of Apache Kafka 2.7.1: their coordinator moves
 * from ours to Apache's and back, each loading what the other has written. With MIXED_CLUSTER=apache,apache,apache it
 * is told of Apache's alone.
 */

const KINDS = (process.env["MIXED_CLUSTER"] ?? "odradek,odradek,apache").split(",") as BrokerKind[];
const OFFSETS_TOPIC = "__consumer_offsets";
const OFFSETS_PARTITIONS = 6;
const SETTINGS = { ...GROUP_SETTINGS, "offsets.topic.num.partitions": OFFSETS_PARTITIONS, "auto.leader.rebalance.enable": false };
/** The second of ours, and Apache's. */
const [OURS, THEIRS] = [2, 3];

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";
const tools = await JavaTools.of("reference");
const able = classPath !== "" && tools !== undefined && hasConfluentKafka && hasKafkaPython;
if (!able) console.warn("SKIPPED groups on our brokers beside Apache's: they need confluent-kafka, kafka-python and Apache Kafka 2.7.1");

const SLOW = { timeout: 150_000 };

describe.runIf(able)("groups on two brokers of ours and one of Apache's", () => {
  let cluster: KafkaCluster;
  let observer: Observer;
  const groups: Judged[] = [];

  beforeAll(async () => {
    cluster = await KafkaCluster.plan(KINDS, classPath, { settings: SETTINGS });
    observer = new Observer(cluster);
    // The first becomes the controller, and stays it.
    await cluster.broker(1).start();
    await Promise.all([cluster.broker(OURS).start(), cluster.broker(THEIRS).start()]);
    await observer.coordinator("first");
    await cluster.inSync(OFFSETS_TOPIC);
  }, 120_000);

  afterAll(async () => {
    await Promise.all(groups.map(({ story }) => story.close()));
    await cluster?.close();
  });

  /** A name of a group whose coordinator is the first of these, and the next one when that is gone. */
  async function nameOf(prefix: string, first: number, next: number): Promise<string> {
    const layout = await cluster.layout(cluster.broker(1), OFFSETS_TOPIC);
    const partition = layout.findIndex(({ replicas }) => replicas[0] === first && replicas[1] === next);
    expect(partition).toBeGreaterThanOrEqual(0);
    for (let attempt = 0; ; attempt++) {
      const name = `${prefix}-${attempt}`;
      if (groupPartition(`${name}-group`, OFFSETS_PARTITIONS) === partition) return name;
    }
  }

  test("gather on ours", SLOW, async () => {
    for (const client of [javaClient(tools as JavaTools, cluster.bootstrap), confluentKafka(cluster.bootstrap), kafkaPython(cluster.bootstrap)]) {
      const name = await nameOf(`mixed-${slug(client.name)}`, OURS, THEIRS);
      groups.push({ client, story: new GroupUnderTest(cluster, { name, partitions: 3 }) });
    }
    await gather(cluster, groups);
  });

  test.each([
    ["SIGKILL", OURS, THEIRS],
    ["SIGKILL", THEIRS, OURS],
    ["SIGTERM", OURS, THEIRS],
    ["SIGTERM", THEIRS, OURS],
  ] as const)("%s: broker %i gives them to broker %i, and they go on", SLOW, async (signal, from, to) => {
    for (const { story } of groups) expect(await observer.coordinator(story.group)).toBe(cluster.broker(from));
    await outlive(groups, () => cluster.broker(from).stop(signal));
    for (const { story } of groups) expect(await observer.coordinator(story.group)).toBe(cluster.broker(to));
    await cluster.forgotten(from);
    await cluster.broker(from).start();
    for (const topic of [OFFSETS_TOPIC, ...groups.map(({ story }) => story.topic)]) await cluster.inSync(topic);
  });

  test.each([OURS, THEIRS])("our own client is a member of a group of broker %i's, and sees the groups of all", SLOW, async (coordinator) => {
    const group = `${await nameOf("own", coordinator, coordinator === OURS ? THEIRS : OURS)}-group`;
    const host = realHost({ logLevel: "silent" });
    const bootstrap = cluster.brokers.map(({ port }) => ({ host: "127.0.0.1", port }));
    const client = new KafkaClient({ host, bootstrap, clientId: "own", requestTimeoutMs: 5000, random: { below: (bound) => Math.floor(Math.random() * bound) } });
    const topic = groups[0]?.story.topic ?? "";
    try {
      const member = new GroupMember(client, { groupId: group, topics: [topic], sessionTimeoutMs: 6000, rebalanceTimeoutMs: 10_000 });
      await member.join();
      expect(await member.heartbeat()).toBe("ok");
      await member.commit([{ topic, partition: 1, offset: 7 }]);
      const admin = new GroupAdmin(client);
      expect((await admin.list()).filter(({ groupId }) => [group, ...groups.map(({ story }) => story.group)].includes(groupId)).map(({ state }) => state)).toEqual(Array.from({ length: groups.length + 1 }, () => "Stable"));
      expect(await observer.group(group)).toEqual({ state: "Stable", members: ["own"] });
      expect(await observer.committed(group, topic, 3)).toEqual(new Map([[1, 7]]));
      await member.leave();
      await eventually("the group is empty", async () => (await observer.group(group)).state === "Empty");
      expect(await admin.delete([group])).toEqual([0]);
    } finally {
      await client.close();
    }
  });

  test("kafka-consumer-groups.sh sees all offsets where the topics end", SLOW, async () => {
    const described = (await tools?.describeGroups(cluster.bootstrap)) ?? [];
    const ours = described.filter(({ group }) => groups.some(({ story }) => story.group === group));
    expect(ours).toHaveLength(groups.length * 3);
    for (const line of ours) expect(line).toMatchObject({ lag: 0, current: line.end });
  });

  test("all replicas of the offsets topic tell of the same groups and offsets, as Apache's decoder reads them", SLOW, async () => {
    for (const { story } of groups) await story.close();
    // The controller last, so that each has somebody to hand over to.
    for (const id of [THEIRS, OURS, 1]) await cluster.broker(id).stop();
    const [first, ...others] = await Promise.all(cluster.brokers.map((broker) => storedGroups(classPath, broker, OFFSETS_PARTITIONS)));
    expect(first?.size).toBeGreaterThanOrEqual(groups.length * 4);
    for (const other of others) expect(other).toEqual(first);
  });
});
