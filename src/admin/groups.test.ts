import { expect, test } from "vitest";
import { KafkaClient } from "../kafka/client/kafka-client.ts";
import { encodeAssignment } from "../kafka/protocol/consumer-protocol.ts";
import { describeGroups } from "../kafka/protocol/messages/describe-groups.ts";
import { findCoordinator } from "../kafka/protocol/messages/find-coordinator.ts";
import { listGroups as listGroupsApi } from "../kafka/protocol/messages/list-groups.ts";
import { listOffsets } from "../kafka/protocol/messages/list-offsets.ts";
import { offsetFetch } from "../kafka/protocol/messages/offset-fetch.ts";
import { errorCode } from "../lib/error.ts";
import { adminOf, type Admin } from "./admin.ts";
import { groupMemberRows, groupOffsetRows, listGroups, parseGroupStates } from "./groups.ts";
import { ScriptedCluster, topicLedBy } from "../../test/support/scripted-cluster.ts";

async function stage(): Promise<{ readonly cluster: ScriptedCluster; readonly admin: Admin; readonly client: KafkaClient }> {
  const cluster = await ScriptedCluster.start(1);
  cluster.every(findCoordinator, ({ coordinatorKeys: [key = ""] }) => ({ errorCode: 0, nodeId: -1, host: "", port: -1, coordinators: [{ key, nodeId: 1, host: "kafka1", port: 9092, errorCode: 0 }] }));
  const client = cluster.client({ retryTimeoutMs: 1000 });
  return { cluster, client, admin: adminOf(client, 1000) };
}

const assigned = (topic: string, ...partitions: readonly number[]): Buffer => encodeAssignment({ assignedPartitions: [{ topic, partitions }] }, 0);

test("groups of other protocols are not listed; states that the broker does not tell are asked for, and filtered here", async () => {
  const { cluster, admin } = await stage();
  const group = (groupId: string, protocolType: string, groupState: string) => ({ groupId, protocolType, groupState, groupType: "" });
  cluster.every(listGroupsApi, () => ({ errorCode: 0, groups: [group("a", "consumer", ""), group("connect", "connect", ""), group("b", "", "Empty")] }));
  cluster.every(describeGroups, ({ groups }) => ({ groups: groups.map((groupId) => ({ errorCode: 0, groupId, groupState: "Stable", protocolType: "consumer", protocolData: "", members: [] })) }));
  const states = async (...wanted: Parameters<typeof listGroups>) => (await cluster.world.settle(listGroups(...wanted))).map(({ groupId, state }) => [groupId, state]);
  expect(await states(admin)).toEqual([["a", ""], ["b", "Empty"]]);
  expect(await states(admin, { states: [] })).toEqual([["a", "Stable"], ["b", "Empty"]]);
  expect(await states(admin, { states: parseGroupStates([" stable "], "--state") })).toEqual([["a", "Stable"]]);
});

test("members with the most partitions come first, then what nobody owns; bytes that are no assignment are none; ends that can't be had are unknown", async () => {
  const { cluster, admin } = await stage();
  cluster.topics = [topicLedBy("t", [1, 1, 1, -1])];
  const member = (memberId: string, memberAssignment: Buffer) => ({ memberId, groupInstanceId: null, clientId: "c", clientHost: "/h", memberMetadata: Buffer.alloc(0), memberAssignment });
  cluster.every(describeGroups, () => ({ groups: [{ errorCode: 0, groupId: "g", groupState: "Stable", protocolType: "consumer", protocolData: "range", members: [member("m1", assigned("t", 2)), member("m2", assigned("t", 1, 0)), member("m3", Buffer.alloc(0)), member("m4", Buffer.from("garbage"))] }] }));
  cluster.every(offsetFetch, () => ({ topics: [], groups: [{ groupId: "g", topics: [{ name: "t", partitions: [{ partitionIndex: 3, committedOffset: 5, metadata: "", errorCode: 0 }, { partitionIndex: 1, committedOffset: 4, metadata: "", errorCode: 0 }] }] }] }));
  cluster.every(listOffsets, ({ topics }) => ({ topics: topics.map(({ name, partitions }) => ({ name, partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: 0, oldStyleOffsets: [], offset: 9 })) })) }));
  const [view] = await cluster.world.settle(groupOffsetRows(admin, ["g", "g"]));
  expect(view?.rows.map(({ partition, committed, end, consumerId }) => [partition, committed, end, consumerId])).toEqual([[0, undefined, 9, "m2"], [1, 4, 9, "m2"], [2, undefined, 9, "m1"], [3, 5, undefined, undefined]]);
  const [members] = await cluster.world.settle(groupMemberRows(admin, ["g"]));
  expect(members?.rows.map(({ consumerId, partitions }) => [consumerId, partitions.length])).toEqual([["m1", 1], ["m2", 2], ["m3", 0], ["m4", 0]]);
});

test("a group that is none of consumers is not described", async () => {
  const { cluster, admin } = await stage();
  cluster.every(describeGroups, ({ groups }) => ({ groups: groups.map((groupId) => ({ errorCode: 0, groupId, groupState: "Stable", protocolType: "connect", protocolData: "", members: [] })) }));
  expect(await cluster.world.settle(groupMemberRows(admin, ["g"]).then(() => undefined, errorCode))).toBe("ERR_GROUP_TYPE");
});
