import type { Input } from "../../../codec/schema.ts";
import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { describeGroups, type describeGroupsResponse } from "../../protocol/messages/describe-groups.ts";
import { groupOperations, NOT_REQUESTED } from "../authorized-operations.ts";

type Described = Input<typeof describeGroupsResponse>["groups"][number];

/**
 * DescribeGroups, 0 to 5. A group that does not exist is Dead, without an error. What members want and have got is told
 * of a stable group only. Source: KafkaApis.handleDescribeGroupRequest, GroupMetadata.summary.
 */
export function describeGroupsRoute(groups: Pick<GroupCoordinator, "describe">): Route {
  return route(describeGroups, (request) => {
    const describe = (groupId: string): Described => {
      const { error, state, protocolType, protocolName, members } = groups.describe(groupId);
      if (error !== ErrorCode.NONE) return { errorCode: error, groupId, groupState: "", protocolType: "", protocolData: "", members: [], authorizedOperations: NOT_REQUESTED };
      const stable = state === "Stable";
      return {
        errorCode: ErrorCode.NONE,
        groupId,
        groupState: state,
        protocolType,
        protocolData: stable ? protocolName : "",
        members: members.map((member) => ({
          memberId: member.memberId,
          groupInstanceId: member.instanceId,
          clientId: member.clientId,
          clientHost: member.clientHost,
          memberMetadata: stable ? member.subscription : NOTHING,
          memberAssignment: stable ? member.assignment : NOTHING,
        })),
        authorizedOperations: request.includeAuthorizedOperations ? groupOperations : NOT_REQUESTED,
      };
    };
    return { groups: request.groups.map(describe) };
  });
}

const NOTHING = Buffer.alloc(0);
