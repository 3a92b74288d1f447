import { ZERO_UUID } from "../../../codec/model.ts";
import type { Input } from "../../../codec/schema.ts";
import { route, type RequestContext, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { GROUP_METADATA_TOPIC, isInternalTopic } from "../../protocol/internal-topics.ts";
import { metadata, type metadataResponse } from "../../protocol/messages/metadata.ts";
import { clusterOperations, NOT_REQUESTED, topicOperations } from "../authorized-operations.ts";
import type { MetadataCache, PartitionMetadata } from "../metadata-cache.ts";
import type { OffsetsTopic } from "../offsets-topic.ts";
import type { TopicIds } from "../topic-ids.ts";

export interface MetadataServices {
  readonly clusterId: string;
  readonly metadata: MetadataCache;
  readonly topicIds: TopicIds;
  readonly autoCreateTopics: boolean;
  /** Makes a topic with the broker's defaults. Resolves with NONE, or why it can't be. */
  createTopic(topic: string): Promise<number>;
  readonly offsetsTopic: Pick<OffsetsTopic, "ensure">;
}

type Topic = Input<typeof metadataResponse>["topics"][number];
type Partition = Topic["partitions"][number];

/** From this version on a missing listener is told apart from a missing leader. */
const LISTENER_ERRORS_FROM = 6;
const TOPIC_IDS_FROM = 10;
const LOOK_UP_BY_ID_FROM = 12;

/**
 * Metadata, 0 to 12: live brokers by the listener that was asked, topics with their partitions, topic ids from
 * version 10 on. A topic that is just being created is LEADER_NOT_AVAILABLE without partitions.
 * The topic of groups is made whenever it is named, whatever the settings and the request say of creation; that of
 * transactions is not until there are coordinators for it. Nothing is hidden, for want of an authorizer.
 * Source: KafkaApis.handleTopicMetadataRequest (2.7.1 and 3.8.0), MetadataCache.getPartitionMetadata.
 */
export function metadataRoute(services: MetadataServices): Route {
  const cache = services.metadata;

  return route(metadata, async (request, context) => {
    const all = request.topics === null || (context.apiVersion === 0 && request.topics.length === 0);
    const named = request.topics ?? [];
    const topics: Topic[] = [];
    if (all) {
      topics.push(...(await Promise.all(cache.topics.map((name) => knownTopic(name, context)))));
    } else {
      const badId = context.apiVersion < LOOK_UP_BY_ID_FROM && named.some((topic) => topic.name === null || topic.topicId !== ZERO_UUID);
      const seen = new Set<string>();
      for (const topic of named) {
        if (badId) topics.push(failedTopic(topic.name ?? "", ErrorCode.INVALID_REQUEST, topic.topicId));
        else if (topic.name === null || topic.topicId !== ZERO_UUID) topics.push(await topicById(topic.topicId, context));
        else if (!seen.has(topic.name)) topics.push(await topicByName(topic.name, request.allowAutoTopicCreation, context));
        if (topic.name !== null) seen.add(topic.name);
      }
    }
    if (request.includeTopicAuthorizedOperations) for (const topic of topics) Object.assign(topic, { topicAuthorizedOperations: topicOperations });
    return {
      brokers: cache.brokers.flatMap((broker) => {
        const endpoint = broker.endpoints.get(context.listenerName);
        return endpoint === undefined ? [] : [{ nodeId: broker.id, ...endpoint, rack: broker.rack }];
      }),
      clusterId: services.clusterId,
      controllerId: cache.controllerId ?? -1,
      topics,
      clusterAuthorizedOperations: request.includeClusterAuthorizedOperations ? clusterOperations : NOT_REQUESTED,
    };
  });

  async function topicByName(name: string, mayCreate: boolean, context: RequestContext): Promise<Topic> {
    if (cache.hasTopic(name)) return knownTopic(name, context);
    if (name === GROUP_METADATA_TOPIC) {
      const outcome = await services.offsetsTopic.ensure();
      return outcome === ErrorCode.NONE ? knownTopic(name, context) : failedTopic(name, outcome);
    }
    if (!mayCreate || !services.autoCreateTopics || isInternalTopic(name)) return failedTopic(name, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    const error = await services.createTopic(name);
    return failedTopic(name, error === ErrorCode.NONE || error === ErrorCode.TOPIC_ALREADY_EXISTS ? ErrorCode.LEADER_NOT_AVAILABLE : error);
  }

  async function topicById(id: string, context: RequestContext): Promise<Topic> {
    const name = await services.topicIds.find(id, cache.topics);
    return name === undefined || !cache.hasTopic(name) ? failedTopic(null, ErrorCode.UNKNOWN_TOPIC_ID, id) : knownTopic(name, context);
  }

  async function knownTopic(name: string, context: RequestContext): Promise<Topic> {
    const partitions = cache.partitions(name).map((partition) => describePartition(partition, context));
    const id = context.apiVersion < TOPIC_IDS_FROM ? undefined : await services.topicIds.idOf(name);
    return { errorCode: ErrorCode.NONE, name, topicId: id ?? ZERO_UUID, isInternal: isInternalTopic(name), partitions };
  }

  function describePartition(partition: PartitionMetadata, context: RequestContext): Partition {
    const reachable = (id: number): boolean => cache.broker(id)?.endpoints.has(context.listenerName) === true;
    // Version 0 has no way to say that a replica's broker is gone, other than to leave it out with an error.
    const shown = (ids: PartitionMetadata["isr"]): PartitionMetadata["isr"] => (context.apiVersion === 0 ? ids.filter(reachable) : ids);
    const { leader, leaderEpoch, replicas, isr, offlineReplicas } = partition;
    const described = { partitionIndex: partition.partition, leaderEpoch, replicaNodes: [...shown(replicas)], isrNodes: [...shown(isr)], offlineReplicas: [...offlineReplicas] };
    if (!reachable(leader)) {
      const noListener = context.apiVersion >= LISTENER_ERRORS_FROM && cache.broker(leader) !== undefined;
      return { ...described, leaderId: -1, errorCode: noListener ? ErrorCode.LISTENER_NOT_FOUND : ErrorCode.LEADER_NOT_AVAILABLE };
    }
    const hidden = described.replicaNodes.length < replicas.length || described.isrNodes.length < isr.length;
    return { ...described, leaderId: leader, errorCode: hidden ? ErrorCode.REPLICA_NOT_AVAILABLE : ErrorCode.NONE };
  }
}

function failedTopic(name: string | null, errorCode: number, topicId: string = ZERO_UUID): Topic {
  return { errorCode, name, topicId, isInternal: name !== null && isInternalTopic(name), partitions: [] };
}
