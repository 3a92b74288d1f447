import { expect, test } from "vitest";
import type { Decoded } from "../../codec/schema.ts";
import { errorCode } from "../../lib/error.ts";
import { decodeAssignment, encodeAssignment, encodeSubscription, subscribedTopics } from "../protocol/consumer-protocol.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { findCoordinator } from "../protocol/messages/find-coordinator.ts";
import { heartbeat } from "../protocol/messages/heartbeat.ts";
import { joinGroup } from "../protocol/messages/join-group.ts";
import { leaveGroup } from "../protocol/messages/leave-group.ts";
import { offsetCommit } from "../protocol/messages/offset-commit.ts";
import { offsetFetch } from "../protocol/messages/offset-fetch.ts";
import { syncGroup } from "../protocol/messages/sync-group.ts";
import { GroupMember, type GroupMemberOptions } from "./group-member.ts";
import type { KafkaClient } from "./kafka-client.ts";
import { ScriptedCluster, topicLedBy } from "../../../test/support/scripted-cluster.ts";

type Joined = { errorCode?: number; generationId?: number; leader?: string; memberId?: string; skipAssignment?: boolean; members?: { memberId: string; metadata: Buffer }[] };

interface Stage {
  readonly cluster: ScriptedCluster;
  readonly client: KafkaClient;
  readonly member: GroupMember;
  readonly joins: Decoded<typeof joinGroup.request>[];
  readonly syncs: Decoded<typeof syncGroup.request>[];
  coordinator: number;
}

/** Answers to joins and syncs, one after the other, the last one again and again. */
async function stage(script: { joins?: Joined[]; syncs?: { errorCode?: number; assignment?: Buffer }[] } = {}, options: Partial<GroupMemberOptions> = {}): Promise<Stage> {
  const cluster = await ScriptedCluster.start(2);
  const client = cluster.client();
  const made: Stage = { cluster, client, member: new GroupMember(client, { groupId: "g", topics: ["t"], sessionTimeoutMs: 3000, rebalanceTimeoutMs: 5000, ...options }), joins: [], syncs: [], coordinator: 1 };
  cluster.topics = [topicLedBy("t", [1, 1, 1])];
  cluster.every(findCoordinator, () => ({ errorCode: 0, nodeId: -1, host: "", port: -1, coordinators: [{ key: "g", nodeId: made.coordinator, host: `kafka${made.coordinator}`, port: 9092, errorCode: 0 }] }));
  const joins = [...(script.joins ?? [{}])];
  cluster.every(joinGroup, (request) => {
    made.joins.push(request);
    const answer = joins.length > 1 ? joins.shift() : joins[0];
    return { errorCode: 0, generationId: 4, protocolName: "range", leader: "other", memberId: "m1", members: [], ...answer };
  });
  const syncs = [...(script.syncs ?? [{}])];
  cluster.every(syncGroup, (request) => {
    made.syncs.push(request);
    const answer = syncs.length > 1 ? syncs.shift() : syncs[0];
    return { errorCode: 0, assignment: encodeAssignment({ assignedPartitions: [{ topic: "t", partitions: [2, 0] }] }, 0), ...answer };
  });
  return made;
}

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> => promise.then(() => undefined, errorCode);

test("a member without an id takes the one that it is given, joins with it, and gets its assignment", async () => {
  const { cluster, member, joins, syncs } = await stage({ joins: [{ errorCode: ErrorCode.MEMBER_ID_REQUIRED, memberId: "m1", generationId: -1 }, {}] });
  const assignment = await cluster.world.settle(member.join());
  expect(assignment).toEqual({ generation: 4, memberId: "m1", leaderId: "other", protocol: "range", partitions: [{ topic: "t", partition: 2 }, { topic: "t", partition: 0 }] });
  expect(joins.map(({ memberId, sessionTimeoutMs, rebalanceTimeoutMs, protocolType, groupInstanceId }) => [memberId, sessionTimeoutMs, rebalanceTimeoutMs, protocolType, groupInstanceId])).toEqual([["", 3000, 5000, "consumer", null], ["m1", 3000, 5000, "consumer", null]]);
  expect(joins[0]?.protocols.map(({ name, metadata }) => [name, subscribedTopics(metadata)])).toEqual([["range", ["t"]], ["roundrobin", ["t"]]]);
  expect(syncs.map(({ generationId, memberId, protocolType, protocolName, assignments }) => [generationId, memberId, protocolType, protocolName, assignments])).toEqual([[4, "m1", "consumer", "range", []]]);
});

test("the leader shares out what all subscribe to; with skipAssignment it does not", async () => {
  const members = [{ memberId: "m2", metadata: encodeSubscription({ topics: ["t"] }, 1) }, { memberId: "m1", metadata: encodeSubscription({ topics: ["t"] }, 0) }];
  for (const skipAssignment of [false, true]) {
    const { cluster, member, syncs } = await stage({ joins: [{ leader: "m1", members, skipAssignment }] });
    await cluster.world.settle(member.join());
    const shared = syncs[0]?.assignments.map(({ memberId, assignment }) => [memberId, decodeAssignment(assignment)?.assignedPartitions]);
    expect(shared).toEqual(skipAssignment ? [] : [["m2", [{ topic: "t", partitions: [2] }]], ["m1", [{ topic: "t", partitions: [0, 1] }]]]);
  }
});

test("a member that the leader left out owns nothing", async () => {
  const { cluster, member } = await stage({ syncs: [{ assignment: Buffer.alloc(0) }] });
  expect((await cluster.world.settle(member.join())).partitions).toEqual([]);
});

test("it joins again: with its id where the group is being shared out anew, without where it is not known any more", async () => {
  for (const [code, id] of [[ErrorCode.REBALANCE_IN_PROGRESS, "m1"], [ErrorCode.ILLEGAL_GENERATION, "m1"], [ErrorCode.UNKNOWN_MEMBER_ID, ""]] as const) {
    const { cluster, member, joins } = await stage({ syncs: [{ errorCode: code }, {}] });
    await cluster.world.settle(member.join());
    expect(joins.map(({ memberId }) => memberId)).toEqual(["", id]);
  }
  const { cluster, member, joins } = await stage({ joins: [{}, { errorCode: ErrorCode.UNKNOWN_MEMBER_ID }, {}] });
  await cluster.world.settle(member.join());
  await cluster.world.settle(member.join());
  expect(joins.map(({ memberId }) => memberId)).toEqual(["", "m1", ""]);
});

test("it waits for a coordinator that loads, and follows one that moves or goes down", async () => {
  const loading = await stage({ joins: [{ errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS }, { errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS }, {}] });
  await loading.cluster.world.settle(loading.member.join());
  expect(loading.cluster.takeAsked().filter((one) => one.includes("FindCoordinator"))).toHaveLength(1);

  const moved = await stage();
  moved.cluster.on(1, joinGroup, () => {
    moved.coordinator = 2;
    return { errorCode: ErrorCode.NOT_COORDINATOR, generationId: -1, protocolName: null, leader: "", memberId: "", members: [] };
  });
  await moved.cluster.world.settle(moved.member.join());
  expect(moved.cluster.takeAsked().filter((one) => one.includes("JoinGroup"))).toEqual(["1: JoinGroup 9", "2: JoinGroup 9"]);

  const down = await stage();
  await down.cluster.world.settle(down.member.join());
  down.cluster.node(1).kill();
  down.coordinator = 2;
  const again = new GroupMember(down.cluster.client({ bootstrap: [{ host: "kafka2", port: 9092 }] }), { groupId: "g", topics: ["t"], sessionTimeoutMs: 3000, rebalanceTimeoutMs: 5000 });
  await down.cluster.world.settle(Promise.all([down.member.join(), again.join()]));
});

test("where another attempt would end no better, the join rejects with the error's name", async () => {
  for (const code of [ErrorCode.FENCED_INSTANCE_ID, ErrorCode.GROUP_MAX_SIZE_REACHED, ErrorCode.INCONSISTENT_GROUP_PROTOCOL, ErrorCode.INVALID_SESSION_TIMEOUT, ErrorCode.GROUP_AUTHORIZATION_FAILED]) {
    const { cluster, member, joins } = await stage({ joins: [{ errorCode: code }] });
    const told = await cluster.world.settle(codeOf(member.join()));
    expect([told, joins.length]).toEqual([Object.entries(ErrorCode).find(([, value]) => value === code)?.[0], 1]);
  }
});

test("a closed client ends a join that waits", async () => {
  const { cluster, client, member } = await stage();
  cluster.every(joinGroup, () => new Promise(() => undefined));
  const joining = codeOf(member.join());
  await cluster.world.run({ forMs: 100 });
  await cluster.world.settle(client.close());
  expect(await cluster.world.settle(joining)).toBe("ECONNABORTED");
});

test("a heartbeat tells whether to join again, and who is fenced", async () => {
  const { cluster, member } = await stage({}, { instanceId: "i" });
  await cluster.world.settle(member.join());
  const seen: unknown[] = [];
  for (const [code, outcome] of [[0, "ok"], [ErrorCode.REBALANCE_IN_PROGRESS, "rejoin"], [ErrorCode.ILLEGAL_GENERATION, "rejoin"], [ErrorCode.UNKNOWN_MEMBER_ID, "rejoin"]] as const) {
    cluster.every(heartbeat, ({ memberId, generationId, groupInstanceId }) => (seen.push([memberId, generationId, groupInstanceId]), { errorCode: code }));
    expect(await cluster.world.settle(member.heartbeat())).toBe(outcome);
  }
  expect(seen).toEqual([["m1", 4, "i"], ["m1", 4, "i"], ["m1", 4, "i"], ["m1", -1, "i"]]);
  expect([member.memberId, member.generation]).toEqual(["", -1]);
  cluster.every(heartbeat, () => ({ errorCode: ErrorCode.FENCED_INSTANCE_ID }));
  expect(await cluster.world.settle(codeOf(member.heartbeat()))).toBe("FENCED_INSTANCE_ID");
});

test("a commit names the member and its generation, and rejects with what it was refused with", async () => {
  for (const last of [2, 9]) {
    const { cluster, member } = await stage();
    cluster.serve(offsetCommit, 0, last);
    await cluster.world.settle(member.join());
    const seen: unknown[] = [];
    let code: number = ErrorCode.NONE;
    cluster.every(offsetCommit, ({ groupId, memberId, generationIdOrMemberEpoch, topics }) => {
      seen.push([groupId, memberId, generationIdOrMemberEpoch, topics.map(({ name, partitions }) => [name, partitions.map(({ partitionIndex, committedOffset, committedMetadata }) => [partitionIndex, committedOffset, committedMetadata])])]);
      return { topics: topics.map(({ name, partitions }) => ({ name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: partitionIndex === 2 ? code : 0 })) })) };
    });
    await cluster.world.settle(member.commit([{ topic: "t", partition: 0, offset: 7, metadata: "seven" }, { topic: "u", partition: 1, offset: 1 }, { topic: "t", partition: 2, offset: 9 }]));
    expect(seen).toEqual([["g", "m1", 4, [["t", [[0, 7, "seven"], [2, 9, ""]]], ["u", [[1, 1, ""]]]]]]);
    code = ErrorCode.ILLEGAL_GENERATION;
    expect(await cluster.world.settle(codeOf(member.commit([{ topic: "t", partition: 0, offset: 7 }, { topic: "t", partition: 2, offset: 8 }])))).toBe("ILLEGAL_GENERATION");
    expect([member.memberId, member.generation]).toEqual(["m1", -1]);
    // Who is in no generation is no simple consumer either, for whom an empty group would take this.
    const asked = seen.length;
    code = ErrorCode.NONE;
    expect(await cluster.world.settle(codeOf(member.commit([{ topic: "t", partition: 0, offset: 9 }])))).toBe("UNKNOWN_MEMBER_ID");
    expect(seen.length).toBe(asked);
  }
});

test("a commit goes to the next coordinator, even where its first partition is refused for a reason of its own", async () => {
  const { cluster, member } = await stage();
  await cluster.world.settle(member.join());
  const made = cluster;
  let moved = false;
  made.every(offsetCommit, ({ topics }) => {
    const codes = moved ? [0, 0] : [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NOT_COORDINATOR];
    moved = true;
    return { topics: topics.map(({ name, partitions }) => ({ name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: codes[partitionIndex] ?? 0 })) })) };
  });
  made.takeAsked();
  await made.world.settle(member.commit([{ topic: "t", partition: 0, offset: 7 }, { topic: "t", partition: 1, offset: 8 }]));
  expect(made.takeAsked()).toEqual(["1: OffsetCommit 9", "1: FindCoordinator 5", "1: OffsetCommit 9"]);
});

test("committed offsets come in both shapes of the answer, and errors by their names", async () => {
  for (const last of [7, 9]) {
    const { cluster, member } = await stage();
    cluster.serve(offsetFetch, 0, last);
    let code: number = ErrorCode.NONE;
    cluster.every(offsetFetch, (request, { apiVersion }) => {
      const topics = [{ name: "t", partitions: [{ partitionIndex: 1, committedOffset: 12, committedLeaderEpoch: 3, metadata: "x", errorCode: code }, { partitionIndex: 2, committedOffset: -1, metadata: null, errorCode: 0 }] }];
      const wanted = apiVersion >= 8 ? request.groups[0]?.topics : request.topics;
      expect(wanted).toEqual([{ name: "t", partitionIndexes: [1, 2] }]);
      return apiVersion >= 8 ? { topics: [], groups: [{ groupId: "g", topics }] } : { topics, groups: [] };
    });
    const ask = () => member.committed([{ topic: "t", partition: 1 }, { topic: "t", partition: 2 }]);
    expect(await cluster.world.settle(ask())).toEqual([{ topic: "t", partition: 1, offset: 12, leaderEpoch: 3, metadata: "x" }, { topic: "t", partition: 2, offset: -1, leaderEpoch: -1, metadata: "" }]);
    code = ErrorCode.UNSTABLE_OFFSET_COMMIT;
    expect(await cluster.world.settle(codeOf(ask()))).toBe("UNSTABLE_OFFSET_COMMIT");
  }
});

test("leaving names the member in both shapes; a static member, and one that never joined, say nothing", async () => {
  for (const last of [2, 5]) {
    const { cluster, member } = await stage();
    cluster.serve(leaveGroup, 0, last);
    const seen: unknown[] = [];
    cluster.every(leaveGroup, ({ memberId, members }) => (seen.push([memberId, members.map((one) => one.memberId)]), { errorCode: 0, members: [] }));
    await cluster.world.settle(member.leave());
    expect(seen).toEqual([]);
    await cluster.world.settle(member.join());
    await cluster.world.settle(member.leave());
    expect(seen).toEqual([last === 2 ? ["m1", []] : ["", ["m1"]]]);
    expect(member.memberId).toBe("");
  }
  const { cluster, member } = await stage({}, { instanceId: "i" });
  await cluster.world.settle(member.join());
  cluster.takeAsked();
  await cluster.world.settle(member.leave());
  expect(cluster.takeAsked()).toEqual([]);
});
