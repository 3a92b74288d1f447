import { expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { deleteGroups } from "../protocol/messages/delete-groups.ts";
import { describeGroups } from "../protocol/messages/describe-groups.ts";
import { findCoordinator } from "../protocol/messages/find-coordinator.ts";
import { leaveGroup } from "../protocol/messages/leave-group.ts";
import { listGroups } from "../protocol/messages/list-groups.ts";
import { offsetCommit } from "../protocol/messages/offset-commit.ts";
import { offsetDelete } from "../protocol/messages/offset-delete.ts";
import { offsetFetch } from "../protocol/messages/offset-fetch.ts";
import { GroupAdmin } from "./group-admin.ts";
import { ScriptedCluster } from "../../../test/support/scripted-cluster.ts";

/** Group g1 is coordinated by broker 1, g2 by broker 2, … */
async function stage(): Promise<{ readonly cluster: ScriptedCluster; readonly admin: GroupAdmin }> {
  const cluster = await ScriptedCluster.start(3);
  cluster.every(findCoordinator, ({ coordinatorKeys: [key = ""] }) => ({ errorCode: 0, nodeId: -1, host: "", port: -1, coordinators: [{ key, nodeId: Number(key.slice(1)), host: `kafka${key.slice(1)}`, port: 9092, errorCode: 0 }] }));
  return { cluster, admin: new GroupAdmin(cluster.client()) };
}

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> => promise.then(() => undefined, errorCode);

test("list asks every broker, waits for those that load, and rejects where one does not answer", async () => {
  const { cluster, admin } = await stage();
  let loading = 2;
  for (const id of [1, 2, 3]) {
    cluster.on(id, listGroups, () => ({ errorCode: id === 2 && loading-- > 0 ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : 0, groups: id === 3 ? [] : [{ groupId: `g${3 - id}`, protocolType: "consumer", groupState: "Stable", groupType: "classic" }] }));
  }
  expect(await cluster.world.settle(admin.list())).toEqual([
    { groupId: "g1", protocolType: "consumer", state: "Stable", coordinator: 2 },
    { groupId: "g2", protocolType: "consumer", state: "Stable", coordinator: 1 },
  ]);
  cluster.node(3).kill();
  expect(await cluster.world.settle(codeOf(admin.list()))).toBe("ECONNREFUSED");
});

test("describe and delete ask each group's own coordinator, and keep the order", async () => {
  const { cluster, admin } = await stage();
  cluster.every(describeGroups, ({ groups }) => ({ groups: groups.map((groupId) => ({ errorCode: 0, groupId, groupState: "Empty", protocolType: "", protocolData: "", members: [] })) }));
  cluster.every(deleteGroups, ({ groupsNames }) => ({ throttleTimeMs: 0, results: groupsNames.map((groupId) => ({ groupId, errorCode: groupId === "g1" ? ErrorCode.NON_EMPTY_GROUP : 0 })) }));
  expect((await cluster.world.settle(admin.describe(["g3", "g1", "g2"]))).map(({ groupId }) => groupId)).toEqual(["g3", "g1", "g2"]);
  expect(await cluster.world.settle(admin.delete(["g3", "g1"]))).toEqual([0, ErrorCode.NON_EMPTY_GROUP]);
  expect(cluster.takeAsked().filter((one) => !one.includes("Find")).toSorted()).toEqual(["1: DeleteGroups 2", "1: DescribeGroups 5", "2: DescribeGroups 5", "3: DeleteGroups 2", "3: DescribeGroups 5"]);
});

test("a group's coordinator is told with where it is", async () => {
  const { cluster, admin } = await stage();
  expect(await cluster.world.settle(admin.coordinator("g2"))).toEqual({ id: 2, host: "kafka2", port: 9092 });
});

test("offsets are all that are committed, and are set as by nobody in particular", async () => {
  const { cluster, admin } = await stage();
  cluster.every(offsetFetch, ({ groups }) => ({ topics: [], groups: [{ groupId: "g2", topics: groups[0]?.topics === null ? [{ name: "t", partitions: [{ partitionIndex: 1, committedOffset: 4, metadata: "", errorCode: 0 }] }] : [] }] }));
  expect(await cluster.world.settle(admin.offsets("g2"))).toEqual([{ topic: "t", partition: 1, offset: 4, leaderEpoch: -1, metadata: "" }]);
  let who: unknown;
  cluster.every(offsetCommit, ({ memberId, generationIdOrMemberEpoch, topics }) => {
    who = [memberId, generationIdOrMemberEpoch];
    return { topics: topics.map(({ name, partitions }) => ({ name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: partitionIndex })) })).toReversed() };
  });
  expect(await cluster.world.settle(admin.resetOffsets("g2", [{ topic: "t", partition: 0, offset: 0 }, { topic: "u", partition: 3, offset: 5 }]))).toEqual([0, 3]);
  expect(who).toEqual(["", -1]);
});

test("offsets are deleted by partition; a group that is refused rejects", async () => {
  const { cluster, admin } = await stage();
  cluster.every(offsetDelete, ({ topics }) => ({ errorCode: 0, topics: topics.map(({ name, partitions }) => ({ name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: name === "t" ? ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC : 0 })) })) }));
  expect(await cluster.world.settle(admin.deleteOffsets("g1", [{ topic: "u", partition: 0 }, { topic: "t", partition: 0 }]))).toEqual([0, ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC]);
  cluster.every(offsetDelete, () => ({ errorCode: ErrorCode.GROUP_ID_NOT_FOUND, topics: [] }));
  expect(await cluster.world.settle(codeOf(admin.deleteOffsets("g1", [{ topic: "u", partition: 0 }])))).toBe("GROUP_ID_NOT_FOUND");
});

test("static members are removed by their instance ids", async () => {
  const { cluster, admin } = await stage();
  cluster.every(leaveGroup, ({ members }) => ({ errorCode: 0, members: members.map(({ memberId, groupInstanceId }) => ({ memberId, groupInstanceId, errorCode: groupInstanceId === "b" && memberId === "" ? ErrorCode.UNKNOWN_MEMBER_ID : 0 })) }));
  expect(await cluster.world.settle(admin.removeMembers("g3", ["a", "b"]))).toEqual([0, ErrorCode.UNKNOWN_MEMBER_ID]);
  cluster.serve(leaveGroup, 0, 2);
  expect(await cluster.world.settle(codeOf(new GroupAdmin(cluster.client()).removeMembers("g3", ["a"])))).toBe("ERR_UNSUPPORTED_VERSION");
});
