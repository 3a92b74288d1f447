import type { Decoded, Input } from "../../../codec/schema.ts";
import { changeBrokerSettings, changeTopicSettings } from "../../config/alter.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { incrementalAlterConfigs, type incrementalAlterConfigsRequest, type incrementalAlterConfigsResponse } from "../../protocol/messages/incremental-alter-configs.ts";
import type { ConfigAdmin } from "../config-admin.ts";
import { badResource, notThisBroker, ResourceType, strangeResource, uniqueResources, type ResourceProblem } from "./config-resources.ts";

type Asked = Decoded<typeof incrementalAlterConfigsRequest>["resources"][number];
type Result = Input<typeof incrementalAlterConfigsResponse>["responses"][number];

/**
 * IncrementalAlterConfigs, 0 to 1 (KIP-339): sets, deletes, appends to and subtracts from single settings of topics, of
 * this broker or of all brokers, and keeps the others. There are no loggers whose level could be set.
 * Source: KafkaApis.handleIncrementalAlterConfigsRequest, AdminManager.incrementalAlterConfigs.
 */
export function incrementalAlterConfigsRoute(admin: ConfigAdmin): Route {
  return route(incrementalAlterConfigs, async ({ resources, validateOnly }) => {
    const refusal = strangeResource(resources, [ResourceType.topic, ResourceType.broker, ResourceType.brokerLogger]);
    const responses: Result[] = [];
    for (const resource of uniqueResources(resources)) {
      const { resourceType, resourceName } = resource;
      const outcome = refusal ?? (resourceType === ResourceType.brokerLogger ? changeLoggers(resource, admin.brokerId) : await change(admin, resource, validateOnly));
      responses.push({ ...outcome, resourceType, resourceName });
    }
    return { throttleTimeMs: 0, responses };
  });
}

function change(admin: ConfigAdmin, { resourceType, resourceName, configs }: Asked, validateOnly: boolean): Promise<ResourceProblem> {
  const rules = {
    topic: (current: ReadonlyMap<string, string>, topic: string) => changeTopicSettings(current, configs, topic),
    broker: (target: Parameters<typeof changeBrokerSettings>[1]) => changeBrokerSettings(configs, target),
  };
  return admin.change({ resourceType, resourceName }, rules, validateOnly);
}

function changeLoggers({ resourceName, configs }: Asked, brokerId: number): ResourceProblem {
  const problem = notThisBroker(resourceName, brokerId);
  if (problem !== undefined) return problem;
  const [first] = configs;
  return first === undefined ? { errorCode: ErrorCode.NONE, errorMessage: null } : badResource(`there is no logger ${first.name}`);
}
