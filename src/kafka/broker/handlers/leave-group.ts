import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { leaveGroup } from "../../protocol/messages/leave-group.ts";

/** KIP-345: several members at once, static ones by their instance. */
const MEMBERS_FROM = 3;

/**
 * LeaveGroup, 0 to 5. Up to version 2 one member, whose error stands on top; from 3 on each has its own. The reasons of
 * version 5 are not kept. Source: KafkaApis.handleLeaveGroupRequest, LeaveGroupResponse.
 */
export function leaveGroupRoute(groups: Pick<GroupCoordinator, "leave">): Route {
  return route(leaveGroup, (request, { apiVersion }) => {
    const leaving =
      apiVersion < MEMBERS_FROM
        ? [{ memberId: request.memberId, instanceId: null }]
        : request.members.map(({ memberId, groupInstanceId }) => ({ memberId, instanceId: groupInstanceId }));
    const { error, members } = groups.leave(request.groupId, leaving);
    if (error !== ErrorCode.NONE) return { errorCode: error, members: [] };
    if (apiVersion < MEMBERS_FROM) return { errorCode: members[0] ?? ErrorCode.NONE, members: [] };
    return {
      errorCode: ErrorCode.NONE,
      members: leaving.map(({ memberId, instanceId }, index) => ({ memberId, groupInstanceId: instanceId, errorCode: members[index] ?? ErrorCode.NONE })),
    };
  });
}
