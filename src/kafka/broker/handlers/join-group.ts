import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { closeConnection, route, type Route } from "../../network/request.ts";
import { joinGroup } from "../../protocol/messages/join-group.ts";

const REBALANCE_TIMEOUT_FROM = 1;
/** KIP-394 */
const KNOWN_MEMBER_ID_FROM = 4;
const NULL_PROTOCOL_FROM = 7;
/** KIP-814 */
const SKIPPING_FROM = 9;

/**
 * JoinGroup, 0 to 9: answered when the rebalance has gathered the group, which may take as long as the members' rebalance
 * timeout. A join that its member has sent again over another connection is not answered: its connection closes.
 * Source: KafkaApis.handleJoinGroupRequest.
 */
export function joinGroupRoute(groups: Pick<GroupCoordinator, "join">): Route {
  return route(joinGroup, async (request, { apiVersion, clientId, clientHost }) => {
    const result = await groups.join({
      groupId: request.groupId,
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      clientId: clientId ?? "",
      // As Java writes an address without a name.
      clientHost: `/${clientHost}`,
      rebalanceTimeoutMs: apiVersion < REBALANCE_TIMEOUT_FROM ? request.sessionTimeoutMs : request.rebalanceTimeoutMs,
      sessionTimeoutMs: request.sessionTimeoutMs,
      protocolType: request.protocolType,
      protocols: request.protocols,
      requireKnownMemberId: apiVersion >= KNOWN_MEMBER_ID_FROM && request.groupInstanceId === null,
      supportsSkipping: apiVersion >= SKIPPING_FROM,
      reason: request.reason,
    });
    if (result === "superseded") return closeConnection;
    return {
      errorCode: result.error,
      generationId: result.generation,
      protocolType: result.protocolType,
      protocolName: apiVersion < NULL_PROTOCOL_FROM ? (result.protocolName ?? "") : result.protocolName,
      leader: result.leaderId,
      skipAssignment: result.skipAssignment,
      memberId: result.memberId,
      members: result.members.map(({ memberId, instanceId, metadata }) => ({ memberId, groupInstanceId: instanceId, metadata })),
    };
  });
}
