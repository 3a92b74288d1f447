import { afterAll, beforeAll, describe, expect, test } from "vitest";
import type { BrokersView } from "../brokers-view.ts";
import type { ClusterBroker, KafkaCluster } from "../kafka-cluster.ts";
import { eventually } from "../processes.ts";
import type { ClientUnderTest, Consumer } from "./client.ts";
import { GroupUnderTest, LEAVE_MS_MAX, TAKEOVER_MS_MAX } from "./group.ts";
import { Observer } from "./observer.ts";

export interface Subject {
  readonly cluster: BrokersView;
  readonly client: ClientUnderTest;
}

const PARTITIONS = 3;
const RECORDS = 100;

/**
 * What every client has to see of a cluster, told in this order: its topic is made, three members share it, everything
 * that is produced with each of its codecs is seen once; a member is killed, another leaves, and nothing is lost or
 * seen again; what is committed is where the topic ends. `subject` is asked for when the tests run.
 */
export function judgeClient(name: string, subject: () => Subject, options: { readonly staticMembers?: boolean; readonly cooperativeMembers?: boolean } = {}): void {
  describe(name, () => {
    let story: GroupUnderTest;
    let client: ClientUnderTest;

    beforeAll(() => {
      const { cluster, client: judged } = subject();
      client = judged;
      story = new GroupUnderTest(cluster, { name: slug(name), partitions: PARTITIONS });
    });

    afterAll(() => story?.close());

    test("three members share a topic's partitions", async () => {
      await createTopic(subject(), story.topic, PARTITIONS);
      // Whoever begins alone would have to give partitions away again.
      for (let member = 0; member < 3; member++) story.join(client);
      await story.shared();
    });

    test("records of every codec are seen once, and committed", async () => {
      await Promise.all(client.codecs.map((codec) => story.produce(client, RECORDS, { codec })));
      await story.seenOnce();
      await story.committed();
    });

    test("a member that is killed is missed when its session ends, and what it committed is not seen again", async () => {
      await story.kill(story.members[0] as Consumer);
      await story.produce(client, 30);
      await story.shared(TAKEOVER_MS_MAX);
      await story.seenOnce();
      await story.committed();
    });

    test("a member that stops leaves, and its partitions are taken over without waiting for its session", async () => {
      const [leaving] = story.members;
      await story.stop(leaving as Consumer);
      await story.shared(LEAVE_MS_MAX);
      await story.produce(client, 30);
      await story.seenOnce();
    });

    test("when the last has left, the group is empty and its offsets are where the topic ends", async () => {
      const stored = await story.committed();
      await story.stop(story.members[0] as Consumer);
      await eventually("the group is empty", async () => (await story.observer.group(story.group)).state === "Empty");
      if (client.committed !== undefined) return expect(await client.committed(story.group, story.topic)).toEqual(stored);
      // A client that can't tell what is stored goes on behind it.
      const returning = story.join(client);
      await story.produce(client, 30);
      await story.seenOnce();
      await story.committed();
      await story.stop(returning);
    });

    test.runIf(options.staticMembers === true)("a static member that stops and comes back within its session gets its partitions back, and the other notices nothing", async () => {
      const stays = story.join(client, { instanceId: "stays" });
      const restarts = story.join(client, { instanceId: "restarts" });
      await story.shared();
      const [before, assignments] = [[...restarts.assigned], stays.assignments];
      await story.stop(restarts);
      const again = story.join(client, { instanceId: "restarts" });
      await story.shared();
      await story.produce(client, 30);
      await story.seenOnce();
      expect([...again.assigned]).toEqual(before);
      expect(stays.assignments).toBe(assignments);
    });

    test.runIf(options.cooperativeMembers === true)("cooperative members keep what they have while others join and leave", async () => {
      const { cluster } = subject();
      const cooperative = new GroupUnderTest(cluster, { name: `${slug(name)}-cooperative`, partitions: 6 });
      try {
        await createTopic(subject(), cooperative.topic, cooperative.partitions);
        const first = cooperative.join(client, { cooperative: true });
        await cooperative.shared();
        await cooperative.produce(client, 60);
        cooperative.join(client, { cooperative: true });
        await cooperative.shared();
        const kept = [...first.assigned];
        const leaving = cooperative.join(client, { cooperative: true });
        await cooperative.shared();
        expect(kept).toEqual(expect.arrayContaining([...first.assigned]));
        await cooperative.produce(client, 60);
        await cooperative.seenOnce();
        await cooperative.committed();
        const stays = [...first.assigned];
        await cooperative.stop(leaving);
        await cooperative.shared(LEAVE_MS_MAX);
        expect([...first.assigned]).toEqual(expect.arrayContaining(stays));
        await cooperative.produce(client, 60);
        await cooperative.seenOnce();
        await cooperative.committed();
      } finally {
        await cooperative.close();
      }
    });
  });
}

/** A group and the client that its members are of. */
export interface Judged {
  readonly client: ClientUnderTest;
  readonly story: GroupUnderTest;
}

/** Two members in each group, which have seen and committed the first records. */
export async function gather(cluster: BrokersView, groups: readonly Judged[]): Promise<void> {
  const begin = async ({ client, story }: Judged): Promise<void> => {
    await createTopic({ cluster, client }, story.topic, story.partitions);
    for (let member = 0; member < 2; member++) story.join(client);
    await story.shared();
    await story.produce(client, 30);
    await story.seenOnce();
    await story.committed();
  };
  await Promise.all(groups.map((judged) => begin(judged)));
}

/** Groups outlive what `happens` to the broker that coordinates them: what they had committed is not seen again, what comes later is seen and committed. */
export async function outlive(groups: readonly Judged[], happens: () => Promise<unknown>): Promise<void> {
  await happens();
  const goOn = async ({ client, story }: Judged): Promise<void> => {
    await story.produce(client, 30, { repeatable: true });
    await story.seenOnce();
    await story.shared();
    await story.committed();
    // A member whose own session has ended meanwhile may join again only now.
    await story.produce(client, 30, { repeatable: true });
    await story.seenOnce();
    await story.committed();
    await eventually("the group is stable", async () => (await story.observer.group(story.group)).state === "Stable");
  };
  await Promise.all(groups.map((judged) => goOn(judged)));
}

/** Groups of these clients, all of one coordinator, which is killed. It runs again afterwards. */
export async function judgeFailover(cluster: KafkaCluster, clients: readonly ClientUnderTest[]): Promise<void> {
  const groups: Judged[] = [];
  try {
    const coordinator = await new Observer(cluster).coordinator("failover");
    for (const client of clients) groups.push({ client, story: await coordinatedBy(cluster, coordinator, `failover-${slug(client.name)}`) });
    await gather(cluster, groups);
    await outlive(groups, () => coordinator.kill());
    if (coordinator.kind === "apache") await cluster.forgotten(coordinator.id);
    await coordinator.start();
    for (const { story } of groups) await cluster.inSync(story.topic);
  } finally {
    await Promise.all(groups.map(({ story }) => story.close()));
  }
}

/** A group that this broker coordinates. */
async function coordinatedBy(cluster: KafkaCluster, broker: ClusterBroker, name: string): Promise<GroupUnderTest> {
  for (let attempt = 0; attempt < 100; attempt++) {
    const story = new GroupUnderTest(cluster, { name: `${name}-${attempt}`, partitions: PARTITIONS });
    if ((await story.observer.coordinator(story.group)).id === broker.id) return story;
  }
  throw new Error(`no group of broker ${broker.id}'s`);
}

/** By the client itself where it can. */
export async function createTopic({ cluster, client }: Subject, topic: string, partitions: number): Promise<void> {
  if (client.create === undefined) await cluster.createTopic(topic, partitions);
  else await client.create(topic, partitions, cluster.brokers.length);
  await cluster.inSync(topic);
}

/** For names of topics and groups. */
export function slug(name: string): string {
  return name.toLowerCase().replaceAll(/[^a-z0-9.]+/g, "-");
}
