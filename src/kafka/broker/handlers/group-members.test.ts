import { describe, expect, test } from "vitest";
import { assert } from "../../../lib/assert.ts";
import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import type { JoinResult, StoredMember, SyncResult } from "../../coordinators/group/types.ts";
import type { Api } from "../../protocol/api.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { deleteGroups } from "../../protocol/messages/delete-groups.ts";
import { describeGroups } from "../../protocol/messages/describe-groups.ts";
import { heartbeat } from "../../protocol/messages/heartbeat.ts";
import { joinGroup } from "../../protocol/messages/join-group.ts";
import { leaveGroup } from "../../protocol/messages/leave-group.ts";
import { listGroups } from "../../protocol/messages/list-groups.ts";
import { syncGroup } from "../../protocol/messages/sync-group.ts";
import { NOT_REQUESTED } from "../authorized-operations.ts";
import { Served } from "../testing/served.ts";
import { deleteGroupsRoute } from "./delete-groups.ts";
import { describeGroupsRoute } from "./describe-groups.ts";
import { heartbeatRoute } from "./heartbeat.ts";
import { joinGroupRoute } from "./join-group.ts";
import { leaveGroupRoute } from "./leave-group.ts";
import { listGroupsRoute } from "./list-groups.ts";
import { syncGroupRoute } from "./sync-group.ts";

/** A coordinator that notes what it is asked and answers as it is told. */
class FakeGroups implements Pick<GroupCoordinator, "join" | "sync" | "heartbeat" | "leave" | "describe" | "list" | "deleteGroups"> {
  readonly asked: unknown[] = [];
  joined: JoinResult | "superseded" = { error: ErrorCode.NONE, memberId: "m-1", generation: 4, protocolType: "consumer", protocolName: "range", leaderId: "m-0", skipAssignment: true, members: [] };
  synced: SyncResult | "superseded" = { error: ErrorCode.NONE, protocolType: "consumer", protocolName: "range", assignment: Buffer.from("mine") };
  left: ReturnType<GroupCoordinator["leave"]> = { error: ErrorCode.NONE, members: [ErrorCode.NONE] };
  described: ReturnType<GroupCoordinator["describe"]> = { error: ErrorCode.NONE, state: "Dead", protocolType: "", protocolName: "", members: [] };

  join(...request: Parameters<GroupCoordinator["join"]>): ReturnType<GroupCoordinator["join"]> {
    this.asked.push(...request);
    return Promise.resolve(this.joined);
  }

  sync(...request: Parameters<GroupCoordinator["sync"]>): ReturnType<GroupCoordinator["sync"]> {
    this.asked.push(...request);
    return Promise.resolve(this.synced);
  }

  heartbeat(...request: Parameters<GroupCoordinator["heartbeat"]>): ErrorCode {
    this.asked.push(...request);
    return ErrorCode.REBALANCE_IN_PROGRESS;
  }

  leave(...request: Parameters<GroupCoordinator["leave"]>): ReturnType<GroupCoordinator["leave"]> {
    this.asked.push(request);
    return this.left;
  }

  describe(groupId: string): ReturnType<GroupCoordinator["describe"]> {
    this.asked.push(groupId);
    return this.described;
  }

  list(...request: Parameters<GroupCoordinator["list"]>): ReturnType<GroupCoordinator["list"]> {
    this.asked.push(request);
    return { error: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, groups: [{ groupId: "g", protocolType: "consumer", state: "Stable" }] };
  }

  deleteGroups(ids: readonly string[]): readonly ErrorCode[] {
    this.asked.push(ids);
    return ids.map((id) => (id === "g" ? ErrorCode.NONE : ErrorCode.GROUP_ID_NOT_FOUND));
  }
}

async function stage(): Promise<{ groups: FakeGroups; served: Served }> {
  const groups = new FakeGroups();
  const routes = [
    joinGroupRoute(groups), syncGroupRoute(groups), heartbeatRoute(groups), leaveGroupRoute(groups), describeGroupsRoute(groups), listGroupsRoute(groups), deleteGroupsRoute(groups),
  ];
  return { groups, served: await Served.start(routes) };
}

function versionsOf(api: Api): number[] {
  const { first, last } = api.request.versions;
  return Array.from({ length: last - first + 1 }, (_, index) => first + index);
}

describe("JoinGroup", () => {
  const request = {
    groupId: "g",
    sessionTimeoutMs: 6000,
    rebalanceTimeoutMs: 9000,
    memberId: "m-1",
    groupInstanceId: null,
    protocolType: "consumer",
    protocols: [{ name: "range", metadata: Buffer.from("r") }, { name: "sticky", metadata: Buffer.from("s") }],
    reason: "why not",
  };

  test.each(versionsOf(joinGroup))("version %i: what the member says comes to the coordinator, its answer comes back", async (version) => {
    const { groups, served } = await stage();
    assert(groups.joined !== "superseded", "an answer");
    groups.joined = { ...groups.joined, members: [{ memberId: "m-0", instanceId: "i", metadata: Buffer.from("x") }] };
    const answer = await served.ask(joinGroup, version, request);
    expect(groups.asked).toEqual([
      {
        groupId: "g",
        memberId: "m-1",
        instanceId: null,
        clientId: "client-7",
        clientHost: expect.stringMatching(/^\/[\w.]+$/),
        // Members of before 0.10.1 have no time of their own for a rebalance.
        rebalanceTimeoutMs: version === 0 ? 6000 : 9000,
        sessionTimeoutMs: 6000,
        protocolType: "consumer",
        protocols: request.protocols,
        requireKnownMemberId: version >= 4,
        supportsSkipping: version === 9,
        reason: version >= 8 ? "why not" : null,
      },
    ]);
    expect(answer).toEqual({
      throttleTimeMs: 0,
      errorCode: 0,
      generationId: 4,
      protocolType: version >= 7 ? "consumer" : null,
      protocolName: "range",
      leader: "m-0",
      skipAssignment: version === 9,
      memberId: "m-1",
      members: [{ memberId: "m-0", groupInstanceId: version >= 5 ? "i" : null, metadata: Buffer.from("x") }],
    });
  });

  test.each([5, 9])("version %i: a static member needs no id to join with", async (version) => {
    const { groups, served } = await stage();
    await served.ask(joinGroup, version, { ...request, groupInstanceId: "i" });
    expect(groups.asked).toMatchObject([{ instanceId: "i", requireKnownMemberId: false }]);
  });

  test("where there is no protocol its name is empty up to version 6, and null from 7 on", async () => {
    const { groups, served } = await stage();
    groups.joined = { error: ErrorCode.MEMBER_ID_REQUIRED, memberId: "m-2", generation: -1, protocolType: null, protocolName: null, leaderId: "", skipAssignment: false, members: [] };
    for (const version of versionsOf(joinGroup)) {
      expect(await served.ask(joinGroup, version, request)).toMatchObject({ errorCode: 79, memberId: "m-2", generationId: -1, protocolName: version < 7 ? "" : null, leader: "", members: [] });
    }
  });

  test("one that its member has sent again elsewhere loses its connection, unanswered", async () => {
    const { groups, served } = await stage();
    groups.joined = "superseded";
    await expect(served.ask(joinGroup, 9, request)).rejects.toMatchObject({ code: "ECONNRESET" });
  });
});

describe("SyncGroup", () => {
  const request = {
    groupId: "g",
    generationId: 4,
    memberId: "m-1",
    groupInstanceId: "i",
    protocolType: "consumer",
    protocolName: "range",
    assignments: [{ memberId: "m-1", assignment: Buffer.from("a") }],
  };

  test.each(versionsOf(syncGroup))("version %i: the assignment goes to the coordinator, the member's own comes back", async (version) => {
    const { groups, served } = await stage();
    const answer = await served.ask(syncGroup, version, request);
    const protocol = version >= 5 ? { protocolType: "consumer", protocolName: "range" } : { protocolType: null, protocolName: null };
    expect(groups.asked).toEqual([{ groupId: "g", memberId: "m-1", instanceId: version >= 3 ? "i" : null, generation: 4, ...protocol, assignments: request.assignments }]);
    expect(answer).toEqual({ throttleTimeMs: 0, errorCode: 0, ...protocol, assignment: Buffer.from("mine") });
  });

  test("from version 5 on a member that does not say what it takes the group for is refused", async () => {
    const { groups, served } = await stage();
    for (const lacking of [{ protocolType: null }, { protocolName: null }]) {
      expect(await served.ask(syncGroup, 5, { ...request, ...lacking })).toMatchObject({ errorCode: ErrorCode.INCONSISTENT_GROUP_PROTOCOL, assignment: Buffer.alloc(0) });
    }
    expect(groups.asked).toEqual([]);
  });

  test("one that its member has sent again elsewhere loses its connection, unanswered", async () => {
    const { groups, served } = await stage();
    groups.synced = "superseded";
    await expect(served.ask(syncGroup, 5, request)).rejects.toMatchObject({ code: "ECONNRESET" });
  });
});

test.each(versionsOf(heartbeat))("Heartbeat, version %i", async (version) => {
  const { groups, served } = await stage();
  const answer = await served.ask(heartbeat, version, { groupId: "g", generationId: 4, memberId: "m-1", groupInstanceId: "i" });
  expect(groups.asked).toEqual([{ groupId: "g", memberId: "m-1", instanceId: version >= 3 ? "i" : null, generation: 4 }]);
  expect(answer).toEqual({ throttleTimeMs: 0, errorCode: ErrorCode.REBALANCE_IN_PROGRESS });
});

describe("LeaveGroup", () => {
  const members = [{ memberId: "m-1", groupInstanceId: null, reason: "done" }, { memberId: "", groupInstanceId: "i" }];

  test.each([0, 1, 2])("version %i: one member, whose error stands on top", async (version) => {
    const { groups, served } = await stage();
    groups.left = { error: ErrorCode.NONE, members: [ErrorCode.UNKNOWN_MEMBER_ID] };
    expect(await served.ask(leaveGroup, version, { groupId: "g", memberId: "m-1", members: [] })).toMatchObject({ errorCode: ErrorCode.UNKNOWN_MEMBER_ID });
    groups.left = { error: ErrorCode.NONE, members: [ErrorCode.NONE] };
    expect(await served.ask(leaveGroup, version, { groupId: "g", memberId: "m-1", members: [] })).toMatchObject({ errorCode: ErrorCode.NONE });
    expect(groups.asked[0]).toEqual(["g", [{ memberId: "m-1", instanceId: null }]]);
  });

  test.each([3, 4, 5])("version %i: several members, each with its own error", async (version) => {
    const { groups, served } = await stage();
    groups.left = { error: ErrorCode.NONE, members: [ErrorCode.NONE, ErrorCode.FENCED_INSTANCE_ID] };
    expect(await served.ask(leaveGroup, version, { groupId: "g", memberId: "", members })).toEqual({
      throttleTimeMs: 0,
      errorCode: 0,
      members: [{ memberId: "m-1", groupInstanceId: null, errorCode: 0 }, { memberId: "", groupInstanceId: "i", errorCode: ErrorCode.FENCED_INSTANCE_ID }],
    });
    expect(groups.asked).toEqual([["g", [{ memberId: "m-1", instanceId: null }, { memberId: "", instanceId: "i" }]]]);
  });

  test("the group's own error stands on top in every version, with no members", async () => {
    const { groups, served } = await stage();
    groups.left = { error: ErrorCode.NOT_COORDINATOR, members: [] };
    for (const version of versionsOf(leaveGroup)) {
      expect(await served.ask(leaveGroup, version, { groupId: "g", memberId: "m-1", members })).toEqual({ throttleTimeMs: 0, errorCode: ErrorCode.NOT_COORDINATOR, members: [] });
    }
  });
});

describe("DescribeGroups", () => {
  const member: StoredMember = {
    memberId: "m-1",
    instanceId: "i",
    clientId: "c",
    clientHost: "/10.0.0.1",
    rebalanceTimeoutMs: 1,
    sessionTimeoutMs: 2,
    subscription: Buffer.from("wants"),
    assignment: Buffer.from("has"),
  };

  test.each(versionsOf(describeGroups))("version %i: a stable group with all that its members have", async (version) => {
    const { groups, served } = await stage();
    groups.described = { error: ErrorCode.NONE, state: "Stable", protocolType: "consumer", protocolName: "range", members: [member] };
    const answer = await served.ask(describeGroups, version, { groups: ["g", "h"], includeAuthorizedOperations: true });
    const described = {
      errorCode: 0,
      groupState: "Stable",
      protocolType: "consumer",
      protocolData: "range",
      members: [{ memberId: "m-1", groupInstanceId: version >= 4 ? "i" : null, clientId: "c", clientHost: "/10.0.0.1", memberMetadata: Buffer.from("wants"), memberAssignment: Buffer.from("has") }],
      // Read, delete and describe are operations 3, 6 and 8.
      authorizedOperations: version >= 3 ? 0b1_0100_1000 : NOT_REQUESTED,
    };
    expect(answer).toEqual({ throttleTimeMs: 0, groups: [{ ...described, groupId: "g" }, { ...described, groupId: "h" }] });
    expect(groups.asked).toEqual(["g", "h"]);
    expect(await served.ask(describeGroups, version, { groups: ["g"], includeAuthorizedOperations: false })).toMatchObject({ groups: [{ authorizedOperations: NOT_REQUESTED }] });
  });

  test.each(["PreparingRebalance", "CompletingRebalance", "Empty"])("a group in %s shows its members, but not what they want and have", async (state) => {
    const { groups, served } = await stage();
    groups.described = { error: ErrorCode.NONE, state, protocolType: "consumer", protocolName: "range", members: [member] };
    expect(await served.ask(describeGroups, 5, { groups: ["g"], includeAuthorizedOperations: false })).toMatchObject({
      groups: [{ groupState: state, protocolType: "consumer", protocolData: "", members: [{ memberId: "m-1", memberMetadata: Buffer.alloc(0), memberAssignment: Buffer.alloc(0) }] }],
    });
  });

  test("a group that does not exist is Dead without an error; one that can't be asked for is its error and nothing else", async () => {
    const { groups, served } = await stage();
    expect(await served.ask(describeGroups, 5, { groups: ["g"], includeAuthorizedOperations: true })).toMatchObject({ groups: [{ errorCode: 0, groupState: "Dead", members: [], authorizedOperations: 0b1_0100_1000 }] });
    groups.described = { error: ErrorCode.NOT_COORDINATOR, state: "Dead", protocolType: "", protocolName: "", members: [] };
    expect(await served.ask(describeGroups, 5, { groups: ["g"], includeAuthorizedOperations: true })).toEqual({
      throttleTimeMs: 0,
      groups: [{ errorCode: ErrorCode.NOT_COORDINATOR, groupId: "g", groupState: "", protocolType: "", protocolData: "", members: [], authorizedOperations: NOT_REQUESTED }],
    });
  });
});

test.each(versionsOf(listGroups))("ListGroups, version %i: what is there comes beside the error", async (version) => {
  const { groups, served } = await stage();
  const answer = await served.ask(listGroups, version, { statesFilter: ["Stable"], typesFilter: ["classic"] });
  expect(groups.asked).toEqual([[version >= 4 ? ["Stable"] : [], version >= 5 ? ["classic"] : []]]);
  expect(answer).toEqual({
    throttleTimeMs: 0,
    errorCode: ErrorCode.COORDINATOR_LOAD_IN_PROGRESS,
    groups: [{ groupId: "g", protocolType: "consumer", groupState: version >= 4 ? "Stable" : "", groupType: version >= 5 ? "classic" : "" }],
  });
});

test.each(versionsOf(deleteGroups))("DeleteGroups, version %i: a group that is named twice is answered once", async (version) => {
  const { groups, served } = await stage();
  expect(await served.ask(deleteGroups, version, { groupsNames: ["h", "g", "h"] })).toEqual({
    throttleTimeMs: 0,
    results: [{ groupId: "h", errorCode: ErrorCode.GROUP_ID_NOT_FOUND }, { groupId: "g", errorCode: 0 }],
  });
  expect(groups.asked).toEqual([["h", "g"]]);
});
