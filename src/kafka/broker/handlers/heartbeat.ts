import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import { route, type Route } from "../../network/request.ts";
import { heartbeat } from "../../protocol/messages/heartbeat.ts";

/** Heartbeat, 0 to 4. Source: KafkaApis.handleHeartbeatRequest. */
export function heartbeatRoute(groups: Pick<GroupCoordinator, "heartbeat">): Route {
  return route(heartbeat, ({ groupId, memberId, groupInstanceId, generationId }) => ({
    errorCode: groups.heartbeat({ groupId, memberId, instanceId: groupInstanceId, generation: generationId }),
  }));
}
