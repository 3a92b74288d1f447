import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { describeCluster } from "../../protocol/messages/describe-cluster.ts";
import { clusterOperations, NOT_REQUESTED } from "../authorized-operations.ts";
import type { MetadataCache } from "../metadata-cache.ts";

const BROKERS = 1;

/**
 * DescribeCluster, 0 to 1: brokers by the listener that was asked. Only brokers can be asked for: there are no KRaft
 * controllers. Source: KafkaApis.handleDescribeCluster (3.8.0).
 */
export function describeClusterRoute(services: { readonly clusterId: string; readonly metadata: MetadataCache }): Route {
  return route(describeCluster, (request, context) => {
    if (request.endpointType !== BROKERS) {
      return { throttleTimeMs: 0, errorCode: ErrorCode.UNSUPPORTED_ENDPOINT_TYPE, errorMessage: "This cluster has no controllers to describe: ask for its brokers.", clusterId: "", brokers: [], clusterAuthorizedOperations: NOT_REQUESTED };
    }
    return {
      throttleTimeMs: 0,
      errorCode: ErrorCode.NONE,
      clusterId: services.clusterId,
      controllerId: services.metadata.controllerId ?? -1,
      brokers: services.metadata.brokers.flatMap((broker) => {
        const endpoint = broker.endpoints.get(context.listenerName);
        return endpoint === undefined ? [] : [{ brokerId: broker.id, ...endpoint, rack: broker.rack }];
      }),
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? clusterOperations : NOT_REQUESTED,
    };
  });
}
