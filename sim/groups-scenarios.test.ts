import { expect, test } from "vitest";
import type { SimNode } from "../src/host/sim/node.ts";
import { must } from "../src/lib/assert.ts";
import { errorCode } from "../src/lib/error.ts";
import { GroupAdmin } from "../src/kafka/client/group-admin.ts";
import { commitOffsets, fetchOffsets } from "../src/kafka/client/group-offsets.ts";
import { GroupMember, type GroupMemberOptions } from "../src/kafka/client/group-member.ts";
import { KafkaClient } from "../src/kafka/client/kafka-client.ts";
import { encodeAssignment, encodeSubscription } from "../src/kafka/protocol/consumer-protocol.ts";
import { ErrorCode } from "../src/kafka/protocol/error-codes.ts";
import { heartbeat } from "../src/kafka/protocol/messages/heartbeat.ts";
import { joinGroup } from "../src/kafka/protocol/messages/join-group.ts";
import { syncGroup } from "../src/kafka/protocol/messages/sync-group.ts";
import { GROUP_METADATA_TOPIC } from "../src/kafka/protocol/internal-topics.ts";
import { checkCoordinators, checkReplicas } from "./kafka/check-group-state.ts";
import { orUndefined } from "./kafka/client.ts";
import { BROKER_PORT, LOG_DIRECTORY } from "./kafka/cluster-world.ts";
import { Consumer, Ledger } from "./kafka/group-workload.ts";
import { Scenario, type ScenarioOptions } from "./kafka/scenario.ts";
import { storedLogs } from "./kafka/stored-logs.ts";
import { filesOfNode } from "./stored-files.ts";
import { removeTopic } from "./kafka/topic-churn.ts";

const { NONE, COORDINATOR_NOT_AVAILABLE, GROUP_MAX_SIZE_REACHED } = ErrorCode;

const SETTINGS = [
  "offsets.topic.num.partitions=1",
  "offsets.topic.replication.factor=3",
  "offsets.topic.segment.bytes=65536",
  "offsets.retention.check.interval.ms=1000",
  "offsets.commit.timeout.ms=1500",
  "group.initial.rebalance.delay.ms=0",
  "group.min.session.timeout.ms=500",
  "min.insync.replicas=2",
];
const T0 = { topic: "t", partition: 0 };
const SESSION = { groupId: "g", topics: ["t"], sessionTimeoutMs: 3000, rebalanceTimeoutMs: 2000 };

/** A scenario with one partition of the offsets topic, which broker 1 leads, and a topic of three partitions. */
class Groups {
  readonly s: Scenario;
  readonly client: KafkaClient;
  readonly node: SimNode;
  readonly #clients: KafkaClient[] = [];

  private constructor(s: Scenario) {
    this.s = s;
    this.node = must(s.cluster.clients[0], "client");
    this.client = this.open("scenario");
  }

  static play(options: Partial<ScenarioOptions>, script: (g: Groups) => Promise<void>): Promise<void> {
    const { topics = ["t"], settings = [], ...rest } = options;
    return Scenario.play({ ...rest, topics: [GROUP_METADATA_TOPIC, ...topics], settings: [...SETTINGS, ...settings] }, async (s) => {
      const g = new Groups(s);
      if (topics.includes("t")) await s.topic("t", { partitions: 3 });
      await s.world.settle(g.client.retry({ again: () => false, retryTimeoutMs: 30_000 }, () => g.client.coordinatorOf("g")));
      await s.until("the offsets topic is in sync", () => s.isr(GROUP_METADATA_TOPIC).length === 3);
      await script(g);
    });
  }

  open(clientId: string): KafkaClient {
    const bootstrap = this.s.cluster.brokers.map(({ name }) => ({ host: name, port: BROKER_PORT }));
    const client = new KafkaClient({ host: this.node.host, bootstrap, clientId, requestTimeoutMs: 2500, retryTimeoutMs: 30_000, random: this.s.world.prng(`client/${clientId}`) });
    this.#clients.push(client);
    return client;
  }

  get coordinator(): number {
    return must(this.s.leader(GROUP_METADATA_TOPIC), "coordinator");
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.s.world.settle(promise, 120_000);
  }

  commit(offset: number, group = "g"): Promise<number[]> {
    return this.settle(commitOffsets(this.client, group, [{ ...T0, offset, metadata: String(offset) }], { memberId: "", generation: -1 }));
  }

  async committed(group = "g"): Promise<number | undefined> {
    return (await this.settle(fetchOffsets(this.client, group, [T0])))[0]?.offset;
  }

  member(options: Partial<GroupMemberOptions> = {}): GroupMember {
    return new GroupMember(this.open(`member-${this.#clients.length}`), { ...SESSION, ...options });
  }

  consumer(ledger: Ledger, instanceId?: string): Consumer {
    const name = `consumer-${this.#clients.length}`;
    const consumer = new Consumer(this.open(name), this.s.world.prng(name), { ledger, topics: ["t"], instanceId, sessionTimeoutMs: 3000, rebalanceTimeoutMs: 2000, commitEveryMs: 200, joinVersions: undefined, prefersRoundRobin: false });
    consumer.start();
    return consumer;
  }

  async stable(consumers: readonly Consumer[]): Promise<number> {
    await this.s.until("the group is stable", () => new Set(consumers.map(({ assignment }) => assignment?.generation ?? NaN)).size === 1 && consumers.every(({ assignment }) => assignment !== undefined) && consumers.flatMap(({ assignment }) => assignment?.partitions ?? []).length === 3, 60_000);
    return must(consumers[0]?.assignment, "assignment").generation;
  }

  /** Another coordinator than the one given, once it has loaded its groups. */
  async nextAfter(broker: number): Promise<number> {
    const next = (): number | undefined => this.s.leader(GROUP_METADATA_TOPIC);
    await this.s.until("another broker coordinates", () => next() !== broker && this.s.cluster.running(next() ?? broker)?.groups.core.ownedPartitions.length === 1, 60_000);
    return this.coordinator;
  }

  /** All heals; coordinators know what their logs say, and all replicas say the same. */
  async finish(): Promise<void> {
    const { s } = this;
    for (const client of this.#clients) await this.settle(client.close());
    s.world.net.heal();
    for (const node of [...s.cluster.members, ...s.cluster.brokers]) {
      node.resume();
      s.cluster.restart(node);
    }
    await s.convergence.agreed({ preferred: false });
    const admin = this.open("the end");
    const groups = await this.settle(new GroupAdmin(admin).list());
    // Sessions end, and groups without offsets go, so that nothing is appended while brokers stop.
    await s.until("groups are empty", () => [...must(s.cluster.running(this.coordinator), "coordinator").groups.core.groups()].every(({ state, offsets }) => state === "Empty" && !offsets.isEmpty), 60_000);
    await this.settle(admin.close());
    await s.convergence.quiet();
    const logs = s.cluster.brokers.map((node) => storedLogs(filesOfNode(node)));
    checkReplicas(logs);
    const compared = checkCoordinators(s.cluster.brokerIds.map((id) => ({ broker: must(s.cluster.running(id), `broker ${id}`), logs: must(logs[id - 1], "logs") })));
    expect(compared).toBe(1);
    expect(groups.length).toBeGreaterThanOrEqual(0);
    await s.finish();
    checkReplicas(s.cluster.brokers.map((node) => storedLogs(filesOfNode(node))));
  }
}

/** JoinGroup and SyncGroup of one lone member, to the broker that is named, whether it coordinates or not. */
async function joinAt(g: Groups, broker: number, memberId = ""): Promise<{ readonly code: number | undefined; readonly memberId: string; readonly generation: number }> {
  const metadata = encodeSubscription({ topics: ["t"] }, 0);
  const answer = await orUndefined(g.s.client.send(broker, joinGroup, 3, { groupId: "g", sessionTimeoutMs: 3000, rebalanceTimeoutMs: 2000, memberId, protocolType: "consumer", protocols: [{ name: "range", metadata }] }, 20_000));
  return { code: answer?.errorCode, memberId: answer?.memberId ?? "", generation: answer?.generationId ?? -1 };
}

async function syncAt(g: Groups, broker: number, memberId: string, generationId: number): Promise<number | undefined> {
  const assignment = encodeAssignment({ assignedPartitions: [{ topic: "t", partitions: [0, 1, 2] }] }, 0);
  return (await orUndefined(g.s.client.send(broker, syncGroup, 2, { groupId: "g", generationId, memberId, assignments: [{ memberId, assignment }] }, 20_000)))?.errorCode;
}

test("a commit whose answer is lost with its coordinator is there with the next one, and comes to the same when it is repeated", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    expect(await g.commit(1)).toEqual([NONE]);
    const before = g.coordinator;
    const [, follower] = [before, must(s.others(before)[0], "follower")];
    const endBefore = must(s.replica(before, GROUP_METADATA_TOPIC), "replica").log.endOffset;
    s.world.net.clog(s.cluster.node(before), g.node, 60_000);
    const committing = commitOffsets(g.client, "g", [{ ...T0, offset: 2, metadata: "2" }], { memberId: "", generation: -1 });
    await s.until("a follower has it", () => (s.replica(follower, GROUP_METADATA_TOPIC)?.log.writtenOffset ?? 0) > endBefore);
    await s.run(200);
    s.kill(before);
    await g.nextAfter(before);
    expect(await g.settle(committing)).toEqual([NONE]);
    expect(await g.committed()).toBe(2);
    await g.finish();
  });
});

test("a generation whose assignments can't be stored is nobody's: its sync is not answered with one, and the next coordinator does not know it", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    const before = g.coordinator;
    const joined = await g.settle(joinAt(g, before));
    expect([joined.code, joined.generation]).toEqual([NONE, 1]);
    s.cutOff(before);
    const syncing = syncAt(g, before, joined.memberId, joined.generation);
    await g.nextAfter(before);
    expect(await g.settle(syncing)).not.toBe(NONE);
    s.kill(before);
    const known = await g.settle(s.client.send(g.coordinator, heartbeat, 3, { groupId: "g", generationId: 1, memberId: joined.memberId, groupInstanceId: null }));
    expect(known.errorCode).toBe(ErrorCode.UNKNOWN_MEMBER_ID);
    await g.finish();
  });
});

test("a coordinator that was cut off and does not know it hands out a generation, but nobody gets an assignment in it", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    const before = g.coordinator;
    s.cutOff(before);
    const next = await g.nextAfter(before);
    // It does not say that it lives while the old coordinator waits for whoever asked it first.
    const member = g.member({ sessionTimeoutMs: 30_000 });
    const assignment = await g.settle(member.join());
    expect(assignment.partitions.length).toBe(3);
    const joined = await g.settle(joinAt(g, before));
    expect(joined.code).toBe(NONE);
    expect(await g.settle(syncAt(g, before, joined.memberId, joined.generation))).not.toBe(NONE);
    expect(await g.settle(member.heartbeat())).toBe("ok");
    s.world.net.heal();
    await s.until("the old coordinator follows", () => s.replica(before, GROUP_METADATA_TOPIC)?.isLeader === false);
    expect((await g.settle(joinAt(g, before))).code).toBe(ErrorCode.NOT_COORDINATOR);
    expect(g.coordinator).toBe(next);
    await g.finish();
  });
});

test("a coordinator that was paused beyond its session answers what had come meanwhile, and stores none of it", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    expect(await g.commit(1)).toEqual([NONE]);
    const before = g.coordinator;
    s.cluster.node(before).pause();
    const joining = joinAt(g, before);
    await g.nextAfter(before);
    expect(await g.commit(5)).toEqual([NONE]);
    s.cluster.node(before).resume();
    const joined = await g.settle(joining);
    if (joined.code === NONE) expect(await g.settle(syncAt(g, before, joined.memberId, joined.generation))).not.toBe(NONE);
    await s.until("the old coordinator follows", () => s.replica(before, GROUP_METADATA_TOPIC)?.isLeader === false);
    expect(await g.committed()).toBe(5);
    await g.finish();
  });
});

test("a coordinator is killed while a group is being shared out anew: all join again with the next one, and read on where they were", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    const ledger = new Ledger("g", () => true);
    const consumers = [g.consumer(ledger), g.consumer(ledger)];
    const first = await g.stable(consumers);
    expect(await s.write(must(s.leader("t"), "leader"), "t", ["a", "b"])).toBe(NONE);
    const before = g.coordinator;
    consumers.push(g.consumer(ledger));
    await s.until("the group rebalances", () => s.heard("group rebalances", before).some(({ fields }) => fields["state"] === "Stable"));
    s.kill(before);
    await g.nextAfter(before);
    expect(await g.stable(consumers)).toBeGreaterThan(first);
    for (const consumer of consumers) await g.settle(consumer.leave());
    expect([...(ledger.read.get("t-0")?.values() ?? [])]).toEqual(["a", "b"]);
    await g.finish();
  });
});

test("a static member that came back while its coordinator could store nothing: the next coordinator has one of the two, never both", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    const old = g.member({ instanceId: "i" });
    const first = await g.settle(old.join());
    const before = g.coordinator;
    s.cutOff(before);
    const young = g.member({ instanceId: "i" });
    const joining = young.join();
    await s.until("it is replaced", () => s.heard("static member replaced", before).length > 0);
    await g.nextAfter(before);
    s.world.net.heal();
    // Nothing of the replacement was stored, so that the old one is the member until the young one comes here.
    const second = await g.settle(joining);
    expect(second.memberId).not.toBe(first.memberId);
    expect(await g.settle(young.heartbeat())).toBe("ok");
    expect(await g.settle(old.heartbeat().catch((error: unknown) => errorCode(error)))).toBe("FENCED_INSTANCE_ID");
    expect(second.generation).toBeGreaterThanOrEqual(first.generation);
    await g.finish();
  });
});

test("a static member that stood still while the group was shared out anew commits nothing for the generation before", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    const still = g.member({ instanceId: "still", sessionTimeoutMs: 20_000 });
    const first = await g.settle(still.join());
    await g.settle(still.commit([{ ...T0, offset: 1, metadata: "1" }]));
    const other = g.member({ instanceId: "other" });
    // Once the rebalance timeout is over it goes on without the one that does not come.
    const second = await g.settle(other.join());
    expect(second.generation).toBeGreaterThan(first.generation);
    expect(await g.settle(still.commit([{ ...T0, offset: 9, metadata: "9" }]).catch((error: unknown) => errorCode(error)))).toBe("ILLEGAL_GENERATION");
    expect(await g.committed()).toBe(1);
    expect(await g.settle(new GroupAdmin(g.client).removeMembers("g", ["still", "other"]))).toEqual([NONE, NONE]);
    await g.finish();
    expect(s.heard("member fenced")).toEqual([]);
  });
});

test("with fewer than min.insync.replicas commits are refused, and go on when the others are back", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    expect(await g.commit(1)).toEqual([NONE]);
    const coordinator = g.coordinator;
    const [one, other] = s.others(coordinator);
    s.kill(one);
    s.kill(other);
    await s.until("the coordinator is alone", () => s.isr(GROUP_METADATA_TOPIC).length === 1);
    const codes = await g.settle(commitOffsets(g.client, "g", [{ ...T0, offset: 2 }], { memberId: "", generation: -1 }, { retryTimeoutMs: 1000 }));
    expect(codes).toEqual([COORDINATOR_NOT_AVAILABLE]);
    expect(await g.committed()).toBe(1);
    s.start(one);
    s.start(other);
    expect(await g.commit(3)).toEqual([NONE]);
    expect(await g.committed()).toBe(3);
    await g.finish();
  });
});

test("a group that is larger than a new group.max.size shares itself out anew when it is loaded, and who is too many is refused", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    const ledger = new Ledger("g", () => true);
    const consumers = [g.consumer(ledger), g.consumer(ledger), g.consumer(ledger)];
    await g.stable(consumers);
    (s.cluster.shape.brokerSettings as string[]).push("group.max.size=2");
    for (const id of s.cluster.brokerIds) s.kill(id);
    await s.run(500);
    for (const id of s.cluster.brokerIds) s.start(id);
    await s.until("a group is loaded", () => s.heard("groups loaded").some(({ fields }) => fields["members"] === 3), 60_000);
    await s.until("two are left", () => consumers.filter(({ assignment }) => assignment !== undefined).length === 2 && consumers.flatMap(({ assignment }) => assignment?.partitions ?? []).length === 3, 60_000);
    expect(await g.settle(g.member().join().catch((error: unknown) => errorCode(error)))).toBe("GROUP_MAX_SIZE_REACHED");
    expect((await g.settle(joinAt(g, g.coordinator))).code).toBe(GROUP_MAX_SIZE_REACHED);
    for (const consumer of consumers) await g.settle(consumer.leave());
    await g.finish();
  });
});

test("offsets of a topic that is deleted go with it, and the next topic of that name begins without", async () => {
  await Groups.play({ topics: [] }, async (g) => {
    const { s } = g;
    // The same leaders, so that an epoch stands for one of them.
    const assignments = [[1, 2, 3], [2, 3, 1], [3, 1, 2]];
    await s.topic("t", { assignments });
    expect(await g.commit(7)).toEqual([NONE]);
    expect(await g.commit(8, "other")).toEqual([NONE]);
    await g.settle(removeTopic(s.client, "t"));
    await s.until("offsets go", () => s.heard("offsets of deleted partitions removed").length > 0);
    await s.until("no replica is left", () => s.cluster.brokerIds.every((id) => s.replica(id, "t") === undefined));
    await s.topic("t", { assignments });
    expect([await g.committed(), await g.committed("other")]).toEqual([-1, -1]);
    expect(await g.commit(1)).toEqual([NONE]);
    expect(await g.committed()).toBe(1);
    await g.settle(removeTopic(s.client, "t"));
    await g.finish();
  });
});

test("all brokers are killed at once: what was committed is there, and the group's members are still its members", async () => {
  await Groups.play({}, async (g) => {
    const { s } = g;
    const member = g.member({ sessionTimeoutMs: 20_000 });
    const { generation } = await g.settle(member.join());
    await g.settle(member.commit([{ ...T0, offset: 4, metadata: "four" }]));
    for (const id of s.cluster.brokerIds) s.kill(id);
    await s.run(300);
    for (const id of s.cluster.brokerIds) s.start(id);
    await s.until("the group is loaded", () => s.heard("groups loaded").some(({ fields }) => fields["members"] === 1), 60_000);
    expect(await g.settle(member.heartbeat())).toBe("ok");
    expect(member.generation).toBe(generation);
    expect(await g.committed()).toBe(4);
    await g.settle(member.leave());
    await g.finish();
  });
});

test("replicas of the offsets topic are compacted while their leader changes to and fro, and say the same in the end", async () => {
  await Groups.play({ settings: ["offsets.topic.segment.bytes=2048", "log.cleaner.backoff.ms=100", "log.cleaner.min.cleanable.ratio=0.1", "log.cleaner.delete.retention.ms=0", "log.flush.offset.checkpoint.interval.ms=200"] }, async (g) => {
    const { s } = g;
    let offset = 0;
    for (const move of [1, 2, 3, 4]) {
      for (let times = 0; times < 40; times++) expect(await g.commit(++offset, `g${times % 5}`)).toEqual([NONE]);
      const before = g.coordinator;
      if (move % 2 === 0) await s.stop(before);
      else s.kill(before);
      await g.nextAfter(before);
      expect(await g.commit(++offset, "g0")).toEqual([NONE]);
      s.start(before);
      await s.until("all are in sync", () => s.isr(GROUP_METADATA_TOPIC).length === 3, 60_000);
    }
    await s.until("every replica is compacted", () => s.cluster.brokerIds.every((id) => s.heard("log cleaned", id).some(({ fields }) => fields["shrunk"] === true)));
    expect(await g.committed("g0")).toBe(offset);
    await g.finish();
    for (const node of s.cluster.brokers) expect(must(storedLogs(filesOfNode(node)).get(`${GROUP_METADATA_TOPIC}-0`), "log").bytes.length).toBeLessThan(8 * 2048);
  });
});

test("a broker that is killed while it puts a cleaned segment in its place completes that when it starts, and has lost nothing", async () => {
  await Groups.play({ settings: ["offsets.topic.segment.bytes=2048", "log.cleaner.backoff.ms=100", "log.cleaner.min.cleanable.ratio=0.1"] }, async (g) => {
    const { s } = g;
    const [victim] = s.others(g.coordinator);
    const { disk } = s.cluster.node(victim);
    disk.options.syncMs = [60, 120];
    const directory = `${LOG_DIRECTORY}/${GROUP_METADATA_TOPIC}-0`;
    const swaps = (): boolean => {
      const found = disk.files.find(directory);
      return found?.kind === "directory" && [...found.entries.keys()].some((name) => name.endsWith(".log.swap"));
    };
    for (let offset = 1; s.heard("compaction completed at start", victim).length === 0; ) {
      expect(offset).toBeLessThan(2000);
      const committing = (async () => {
        for (let times = 0; times < 40; times++) await commitOffsets(g.client, `g${times % 5}`, [{ ...T0, offset: offset++, metadata: "" }], { memberId: "", generation: -1 });
      })();
      await s.until("segments are exchanged", swaps, 60_000);
      s.kill(victim);
      await g.settle(committing);
      s.start(victim);
      await s.until("all are in sync", () => s.isr(GROUP_METADATA_TOPIC).length === 3, 60_000);
    }
    await g.finish();
  });
});

test("five thousand groups of one partition are loaded within five seconds", async () => {
  await Groups.play({ settings: ["offsets.topic.segment.bytes=1048576", "log.cleaner.enable=false"] }, async (g) => {
    const { s } = g;
    const groups = Array.from({ length: 5000 }, (_, index) => `group-${index}`);
    for (let at = 0; at < groups.length; at += 250) {
      const commits = groups.slice(at, at + 250).map((group, index) => commitOffsets(g.client, group, [{ ...T0, offset: at + index, metadata: "" }], { memberId: "", generation: -1 }));
      expect((await g.settle(Promise.all(commits))).flat().every((code) => code === NONE)).toBe(true);
    }
    const before = g.coordinator;
    s.kill(before);
    await s.until("another broker leads", () => ![before, undefined].includes(s.leader(GROUP_METADATA_TOPIC)), 60_000);
    const begunMs = s.world.nowMs;
    await g.nextAfter(before);
    expect(s.world.nowMs - begunMs).toBeLessThan(5000);
    expect(await g.committed("group-4321")).toBe(4321);
    expect(s.cluster.running(g.coordinator)?.groups.list([], []).groups.length).toBe(5000);
    await g.finish();
  });
});
