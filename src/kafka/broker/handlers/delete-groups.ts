import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { deleteGroups } from "../../protocol/messages/delete-groups.ts";

/** DeleteGroups, 0 to 2; a group that is named twice is answered once. Source: KafkaApis.handleDeleteGroupsRequest. */
export function deleteGroupsRoute(groups: Pick<GroupCoordinator, "deleteGroups">): Route {
  return route(deleteGroups, (request) => {
    const ids = [...new Set(request.groupsNames)];
    const errors = groups.deleteGroups(ids);
    return { throttleTimeMs: 0, results: ids.map((groupId, index) => ({ groupId, errorCode: errors[index] ?? ErrorCode.NONE })) };
  });
}
