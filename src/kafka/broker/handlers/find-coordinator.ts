import type { Input } from "../../../codec/schema.ts";
import { OperationalError } from "../../../lib/error.ts";
import { groupPartition } from "../../coordinators/group/group-core.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { GROUP_METADATA_TOPIC, TRANSACTION_STATE_TOPIC } from "../../protocol/internal-topics.ts";
import { findCoordinator, type findCoordinatorResponse } from "../../protocol/messages/find-coordinator.ts";
import { countPartitions } from "../../znodes/operations.ts";
import type { ZooKeeperSession } from "../../znodes/zookeeper-session.ts";
import { endpointOf } from "../endpoints.ts";
import type { MetadataCache } from "../metadata-cache.ts";
import type { OffsetsTopic } from "../offsets-topic.ts";
import type { TopicAdmin } from "../topic-admin.ts";

export interface FindCoordinatorServices {
  readonly metadata: MetadataCache;
  readonly topics: Pick<TopicAdmin, "whenCreated">;
  readonly offsetsTopic: Pick<OffsetsTopic, "ensure" | "partitionCount">;
  readonly zookeeper: Pick<ZooKeeperSession, "run">;
}

type Coordinator = Input<typeof findCoordinatorResponse>["coordinators"][number];

/** The topic whose partitions are spread over the coordinators, or why nobody can be named. */
type Place = { readonly topic: string; readonly partitions: number } | { readonly errorCode: ErrorCode; readonly message: string };

const KEYS_FROM = 4;
/** How long the first group waits for its topic to be made, before it is told to ask again: many clients do so only after a second. */
const MADE_MS_MAX = 1000;
const GROUP = 0;
const TRANSACTION = 1;

/**
 * FindCoordinator, 0 to 5: the leader of the partition that keeps a group, on the listener that was asked; the topic
 * is made where it is missing, and waited for. From version 4 on many groups at once (KIP-699). A transactional id's is named where
 * the topic exists (another broker has made it), and COORDINATOR_NOT_AVAILABLE where it does not: it is not made
 * before there are coordinators for it. Source: KafkaApis.handleFindCoordinatorRequest (2.7.1 and 3.8.0).
 */
export function findCoordinatorRoute(services: FindCoordinatorServices): Route {
  const { metadata } = services;

  return route(findCoordinator, async (request, context) => {
    const place = await placeOf(request.keyType);
    const locate = (key: string): Coordinator => {
      if ("errorCode" in place) return nobody(key, place.errorCode, place.message);
      const partition = groupPartition(key, place.partitions);
      const at = endpointOf(metadata, context.listenerName, metadata.partition(place.topic, partition)?.leader ?? -1);
      if (at === undefined) return nobody(key, ErrorCode.COORDINATOR_NOT_AVAILABLE, `partition ${partition} of ${place.topic} has no leader on listener ${context.listenerName}`);
      return { key, nodeId: at.id, host: at.host, port: at.port, errorCode: ErrorCode.NONE, errorMessage: null };
    };
    if (context.apiVersion < KEYS_FROM) return { ...locate(request.key), coordinators: [] };
    return { ...nobody("", ErrorCode.NONE, null), coordinators: request.coordinatorKeys.map(locate) };
  });

  async function placeOf(keyType: number): Promise<Place> {
    try {
      if (keyType === GROUP) return await groupsPlace();
      if (keyType === TRANSACTION) return await transactionsPlace();
    } catch (error) {
      // ZooKeeper is out of reach: clients ask again.
      if (error instanceof OperationalError) return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, message: error.message };
      throw error;
    }
    return { errorCode: ErrorCode.INVALID_REQUEST, message: `key type ${keyType} is neither a group's (0) nor a transactional id's (1)` };
  }

  async function groupsPlace(): Promise<Place> {
    const error = await services.offsetsTopic.ensure();
    const made = error === ErrorCode.NONE || (error === ErrorCode.LEADER_NOT_AVAILABLE && (await services.topics.whenCreated(GROUP_METADATA_TOPIC, 1, MADE_MS_MAX)));
    if (made) return { topic: GROUP_METADATA_TOPIC, partitions: await services.offsetsTopic.partitionCount() };
    return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, message: error === ErrorCode.LEADER_NOT_AVAILABLE ? `${GROUP_METADATA_TOPIC} is being made` : `${GROUP_METADATA_TOPIC} can't be made yet` };
  }

  async function transactionsPlace(): Promise<Place> {
    const partitions = metadata.hasTopic(TRANSACTION_STATE_TOPIC) ? await services.zookeeper.run(countPartitions(TRANSACTION_STATE_TOPIC)) : undefined;
    if (partitions !== undefined && partitions > 0) return { topic: TRANSACTION_STATE_TOPIC, partitions };
    return { errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, message: "transactions are still to come" };
  }
}

function nobody(key: string, errorCode: ErrorCode, errorMessage: string | null): Coordinator {
  return { key, nodeId: -1, host: "", port: -1, errorCode, errorMessage };
}
