import type { Input } from "../../../codec/schema.ts";
import { alterBrokerSettings, alterTopicSettings } from "../../config/alter.ts";
import { route, type Route } from "../../network/request.ts";
import { alterConfigs, type alterConfigsResponse } from "../../protocol/messages/alter-configs.ts";
import type { ConfigAdmin } from "../config-admin.ts";
import { ResourceType, strangeResource, uniqueResources } from "./config-resources.ts";

type Result = Input<typeof alterConfigsResponse>["responses"][number];

/**
 * AlterConfigs, 0 to 2: replaces all settings of topics, of this broker or of all brokers; what is not named goes back
 * to its default. Of a resource that is named twice the last one counts. Answered by any broker.
 * Source: KafkaApis.handleAlterConfigsRequest, AdminManager.alterConfigs.
 */
export function alterConfigsRoute(admin: ConfigAdmin): Route {
  return route(alterConfigs, async ({ resources, validateOnly }) => {
    const refusal = strangeResource(resources, [ResourceType.topic, ResourceType.broker]);
    const responses: Result[] = [];
    for (const { resourceType, resourceName, configs } of uniqueResources(resources)) {
      const rules = { topic: (_: unknown, topic: string) => alterTopicSettings(configs, topic), broker: (target: Parameters<typeof alterBrokerSettings>[1]) => alterBrokerSettings(configs, target) };
      const outcome = refusal ?? (await admin.change({ resourceType, resourceName }, rules, validateOnly));
      responses.push({ ...outcome, resourceType, resourceName });
    }
    return { throttleTimeMs: 0, responses };
  });
}
