import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import type { ClientUnderTest, Consumer } from "../support/client-matrix/client.ts";
import { JavaTools, javaClient, javaScripts } from "../support/client-matrix/drivers/java.ts";
import { hasKcat, kcat } from "../support/client-matrix/drivers/kcat.ts";
import { confluentKafka, hasConfluentKafka, hasKafkaPython, kafkaPython } from "../support/client-matrix/drivers/python.ts";
import { GroupUnderTest } from "../support/client-matrix/group.ts";
import { createTopic, judgeClient, judgeFailover } from "../support/client-matrix/judge.ts";
import type { BrokerKind, KafkaCluster } from "../support/kafka-cluster.ts";
import { StartedCluster } from "../support/local-cluster.ts";
import { eventually } from "../support/processes.ts";
import { startCluster } from "../support/odradek-cluster.ts";

/**
 * The world's clients on a cluster that `npm start` has brought up. With MATRIX_CLUSTER=apache the same is told of Apache
 * Kafka 2.7.1, which is how the story itself is tested.
 */

const KIND = (process.env["MATRIX_CLUSTER"] ?? "odradek") as BrokerKind;
const reference = await JavaTools.of("reference");
const newest = await JavaTools.of("newest");

interface Candidate {
  readonly name: string;
  readonly staticMembers?: boolean;
  readonly cooperativeMembers?: boolean;
  readonly of: (bootstrap: string) => ClientUnderTest;
}

const java = (tools: JavaTools | undefined, cooperativeMembers = false): Candidate[] => (tools === undefined ? [] : [{ name: `Java ${tools.release.version}`, staticMembers: true, cooperativeMembers, of: (bootstrap) => javaClient(tools, bootstrap) }]);
const candidates: readonly Candidate[] = [
  ...(hasKcat ? [{ name: "kcat", of: kcat }] : []),
  ...(hasConfluentKafka ? [{ name: "confluent-kafka", staticMembers: true, cooperativeMembers: true, of: confluentKafka }] : []),
  ...(hasKafkaPython ? [{ name: "kafka-python", of: kafkaPython }] : []),
  ...java(reference),
  ...java(newest, true),
  ...[reference, newest].flatMap((tools) => (tools === undefined ? [] : [{ name: `Kafka's scripts ${tools.release.version}`, of: (bootstrap: string) => javaScripts(tools, bootstrap) }])),
];

async function apacheOrOurs(): Promise<KafkaCluster> {
  return startCluster({ kind: KIND, classPath: KIND === "apache" ? ((await apacheKafkaClassPath("2.7.1")) ?? "") : "" });
}

describe.runIf(candidates.length > 0)("on a cluster", () => {
  let cluster: KafkaCluster | StartedCluster;

  beforeAll(async () => {
    cluster = KIND === "apache" ? await apacheOrOurs() : await StartedCluster.start();
  }, 120_000);

  afterAll(() => cluster?.close());

  for (const { name, of, ...options } of candidates) judgeClient(name, () => ({ cluster, client: of(cluster.bootstrap) }), options);

  test.runIf(candidates.length > 1)("one group of them all has one owner for each partition", async () => {
    // The scripts' consumers are Java's.
    const clients = candidates.filter(({ name }) => !name.startsWith("Kafka's")).map(({ of }) => of(cluster.bootstrap));
    const story = new GroupUnderTest(cluster, { name: "mixed", partitions: clients.length });
    try {
      await createTopic({ cluster, client: clients[0] as ClientUnderTest }, story.topic, story.partitions);
      for (const client of clients) story.join(client);
      await story.shared();
      for (const client of clients) await story.produce(client, 30);
      await story.seenOnce();
      await story.committed();
    } finally {
      await story.close();
    }
  });

  test.runIf(reference !== undefined && newest !== undefined)("kafka-consumer-groups.sh of both Javas sees the same of all groups", async () => {
    const described = async (tools: JavaTools | undefined): Promise<string[]> => ((await tools?.describeGroups(cluster.bootstrap)) ?? []).map((line) => JSON.stringify(line)).toSorted();
    const byReference = await described(reference);
    expect(byReference.length).toBeGreaterThanOrEqual(candidates.length * 4);
    expect(await described(newest)).toEqual(byReference);
  });

  test("kafka-consumer-groups.sh of both Javas lists, resets, deletes offsets and groups", { timeout: 120_000 }, async () => {
    await Promise.all([reference, newest].filter((tools) => tools !== undefined).map((tools) => administer(tools)));
  });

  async function administer(tools: JavaTools): Promise<void> {
    const name = `administered-by-${tools.release.version}`;
    const story = new GroupUnderTest(cluster, { name, partitions: 3 });
    const { topic, group, observer } = story;
    const client = javaClient(tools, cluster.bootstrap);
    const groups = (...args: readonly string[]): Promise<string> => tools.consumerGroups(cluster.bootstrap, ...args);
    const stored = (): Promise<[number, number][]> => observer.committed(group, topic, 3).then((offsets) => [...offsets]);
    try {
      await cluster.createTopic(topic, 3);
      story.join(client);
      await story.shared();
      await story.produce(client, 60);
      await story.committed();
      expect(await groups("--list", "--state", "Stable")).toMatch(new RegExp(`^${group} +Stable`, "m"));
      expect(await groups("--describe", "--group", group, "--members", "--verbose")).toMatch(new RegExp(`^${group} +\\S+ +/\\S+ +java +3 +`, "m"));
      expect(await groups("--delete", "--group", group)).toContain("GroupNotEmptyException");
      await story.stop(story.members[0] as Consumer);
      await eventually("the group is empty", async () => (await observer.group(group)).state === "Empty");
      await groups("--group", group, "--topic", `${topic}:0,1`, "--reset-offsets", "--to-offset", "1", "--execute");
      expect((await stored()).slice(0, 2)).toEqual([[0, 1], [1, 1]]);
      await groups("--delete-offsets", "--group", group, "--topic", `${topic}:1`);
      expect((await stored()).map(([partition]) => partition)).toEqual([0, 2]);
      expect(await groups("--delete", "--group", group)).toContain("successful");
      expect(await groups("--list")).not.toContain(group);
    } finally {
      await story.close();
    }
  }
});

test.runIf(candidates.length > 0)("groups outlive the broker that coordinates them", { timeout: 180_000 }, async () => {
  // One whose brokers stay down when they are killed.
  const cluster = await apacheOrOurs();
  try {
    await judgeFailover(cluster, candidates.filter(({ name }) => ["confluent-kafka", "kafka-python", "Java 2.7.1"].includes(name)).map(({ of }) => of(cluster.bootstrap)));
  } finally {
    await cluster.close();
  }
});
