import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { closeConnection, route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { syncGroup } from "../../protocol/messages/sync-group.ts";

/** KIP-559: from here on a member says what it takes the group for. */
const PROTOCOL_FROM = 5;

/**
 * SyncGroup, 0 to 5: answered when the leader has brought the assignment and it is stored. One that its member has
 * sent again over another connection is not answered: its connection closes. Source: KafkaApis.handleSyncGroupRequest.
 */
export function syncGroupRoute(groups: Pick<GroupCoordinator, "sync">): Route {
  return route(syncGroup, async (request, { apiVersion }) => {
    if (apiVersion >= PROTOCOL_FROM && (request.protocolType === null || request.protocolName === null)) return { errorCode: ErrorCode.INCONSISTENT_GROUP_PROTOCOL, assignment: Buffer.alloc(0) };
    const result = await groups.sync({
      groupId: request.groupId,
      memberId: request.memberId,
      instanceId: request.groupInstanceId,
      generation: request.generationId,
      protocolType: request.protocolType,
      protocolName: request.protocolName,
      assignments: request.assignments,
    });
    if (result === "superseded") return closeConnection;
    return { errorCode: result.error, protocolType: result.protocolType, protocolName: result.protocolName, assignment: result.assignment };
  });
}
