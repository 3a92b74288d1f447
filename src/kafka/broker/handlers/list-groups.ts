import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { route, type Route } from "../../network/request.ts";
import { listGroups } from "../../protocol/messages/list-groups.ts";

/**
 * ListGroups, 0 to 5: the groups that this broker coordinates, those in certain states (4 on), and of certain types
 * (5 on), of which there is one: classic. While a part of them is being loaded, the others come beside
 * COORDINATOR_LOAD_IN_PROGRESS. Source: KafkaApis.handleListGroupsRequest (3.8.0).
 */
export function listGroupsRoute(groups: Pick<GroupCoordinator, "list">): Route {
  return route(listGroups, (request) => {
    const listed = groups.list(request.statesFilter, request.typesFilter);
    return {
      errorCode: listed.error,
      groups: listed.groups.map(({ groupId, protocolType, state }) => ({ groupId, protocolType, groupState: state, groupType: "classic" })),
    };
  });
}
