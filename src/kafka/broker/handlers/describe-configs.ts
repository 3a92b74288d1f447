import type { Input } from "../../../codec/schema.ts";
import { describeBroker, describeClusterDefaults, describeTopic, type ConfigEntry } from "../../config/describe.ts";
import { topicNameProblem } from "../../controller/create-topics.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { describeConfigs, type describeConfigsResponse } from "../../protocol/messages/describe-configs.ts";
import { readConfig } from "../../znodes/operations.ts";
import type { ZooKeeperSession } from "../../znodes/zookeeper-session.ts";
import type { BrokerSettings } from "../broker-settings.ts";
import type { MetadataCache } from "../metadata-cache.ts";
import { badResource, notThisBroker, ResourceType, strangeResource, type ResourceName, type ResourceProblem } from "./config-resources.ts";

export interface DescribeConfigsServices {
  readonly brokerId: number;
  readonly metadata: MetadataCache;
  readonly settings: Pick<BrokerSettings, "layers">;
  readonly zookeeper: ZooKeeperSession;
}

type Result = Input<typeof describeConfigsResponse>["results"][number];

/**
 * DescribeConfigs, 0 to 4: a topic's settings as ZooKeeper holds them at this moment, on any broker; a broker's own
 * only there, those of all brokers everywhere. There are no loggers to describe: a broker's list of them is empty.
 * Source: KafkaApis.handleDescribeConfigsRequest, AdminManager.describeConfigs.
 */
export function describeConfigsRoute(services: DescribeConfigsServices): Route {
  return route(describeConfigs, async (request) => {
    const refusal = strangeResource(request.resources, [ResourceType.topic, ResourceType.broker, ResourceType.brokerLogger]);
    const failed = ({ resourceType, resourceName }: ResourceName, problem: ResourceProblem): Result => ({ ...problem, resourceType, resourceName, configs: [] });

    const one = async (resource: (typeof request.resources)[number]): Promise<Result> => {
      if (refusal !== undefined) return failed(resource, refusal);
      const options = { keys: resource.configurationKeys, synonyms: request.includeSynonyms, documentation: request.includeDocumentation };
      const configs = await entriesOf(services, resource, options);
      return "errorCode" in configs ? failed(resource, configs) : { errorCode: ErrorCode.NONE, errorMessage: null, resourceType: resource.resourceType, resourceName: resource.resourceName, configs };
    };

    return { throttleTimeMs: 0, results: await Promise.all(request.resources.map(one)) };
  });
}

async function entriesOf(services: DescribeConfigsServices, { resourceType, resourceName }: ResourceName, options: Parameters<typeof describeBroker>[1]): Promise<ConfigEntry[] | ResourceProblem> {
  const { brokerId, metadata, settings, zookeeper } = services;
  if (resourceType === ResourceType.topic) {
    const nameProblem = topicNameProblem(resourceName);
    if (nameProblem !== undefined) return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, errorMessage: nameProblem };
    if (!metadata.hasTopic(resourceName)) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, errorMessage: null };
    return describeTopic(settings.layers, await zookeeper.run(readConfig({ type: "topics", name: resourceName })), options);
  }
  if (resourceType === ResourceType.broker && resourceName === "") return describeClusterDefaults(settings.layers, options);
  if (resourceName === "") return badResource("the id of a broker is missing");
  const problem = notThisBroker(resourceName, brokerId);
  if (problem !== undefined) return problem;
  return resourceType === ResourceType.broker ? describeBroker(settings.layers, options) : [];
}
