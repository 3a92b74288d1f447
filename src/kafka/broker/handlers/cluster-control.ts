import { closeConnection, route, type RequestContext, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { leaderAndIsr } from "../../protocol/messages/leader-and-isr.ts";
import { stopReplica } from "../../protocol/messages/stop-replica.ts";
import { updateMetadata } from "../../protocol/messages/update-metadata.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import type { MetadataCache } from "../metadata-cache.ts";

export interface ClusterControlServices {
  readonly metadata: MetadataCache;
  readonly replicas: ReplicaManager;
  /** No partition of the topic is left in the metadata. */
  onTopicGone(topic: string): void;
  /** Deleted, whether others of their topic are left or not. */
  onPartitionsGone(partitions: readonly { readonly topic: string; readonly partition: number }[]): void;
  /** The czxid of this broker's registration; a request meant for an earlier one of its lives is refused. */
  brokerEpoch(): number;
}

const UNKNOWN_BROKER_EPOCH = -1;

/**
 * A request that its sender has given up, and sent again over a new connection, may arrive after that one: it must not
 * undo what came in between (metadata that is old for good, a replica deleted that has been made anew). Nobody waits
 * for its answer. In 2.7.1 it is carried out.
 */
class ControllerConnections {
  /** By listener and controller: the newest connection that was used. */
  readonly #newest = new Map<string, number>();

  isLate(controllerId: number, { listenerName, connectionNumber }: RequestContext): boolean {
    const key = `${listenerName}/${controllerId}`;
    if (connectionNumber < (this.#newest.get(key) ?? -1)) return true;
    this.#newest.set(key, connectionNumber);
    return false;
  }
}

/**
 * What the controller tells brokers, in Kafka 2.7.1's versions: LeaderAndIsr 0 to 4, StopReplica 0 to 3,
 * UpdateMetadata 0 to 6. Served from the version that inter.broker.protocol.version 2.7 uses: 4, 3 and 6.
 * Source: KafkaApis.handleLeaderAndIsrRequest, handleStopReplicaRequest, handleUpdateMetadataRequest.
 */
export function clusterControlRoutes(services: ClusterControlServices): Route[] {
  const { metadata, replicas } = services;
  const connections = new ControllerConnections();
  const isStale = (epoch: number): boolean => epoch !== UNKNOWN_BROKER_EPOCH && epoch < services.brokerEpoch();

  return [
    route(
      leaderAndIsr,
      async (request, context) => {
        if (connections.isLate(request.controllerId, context)) return closeConnection;
        if (isStale(request.brokerEpoch)) return { errorCode: ErrorCode.STALE_BROKER_EPOCH, partitionErrors: [] };
        const outcome = await replicas.becomeLeaderOrFollower(request);
        if (typeof outcome === "number") return { errorCode: outcome, partitionErrors: [] };
        return { errorCode: ErrorCode.NONE, partitionErrors: outcome };
      },
      { firstVersion: 4 },
    ),
    route(
      stopReplica,
      async (request, context) => {
        if (connections.isLate(request.controllerId, context)) return closeConnection;
        if (isStale(request.brokerEpoch)) return { errorCode: ErrorCode.STALE_BROKER_EPOCH, partitionErrors: [] };
        const outcome = await replicas.stopReplicas(request);
        if (typeof outcome === "number") return { errorCode: outcome, partitionErrors: [] };
        return { errorCode: ErrorCode.NONE, partitionErrors: outcome };
      },
      { firstVersion: 3 },
    ),
    route(
      updateMetadata,
      (request, context) => {
        if (connections.isLate(request.controllerId, context)) return closeConnection;
        if (isStale(request.brokerEpoch)) return { errorCode: ErrorCode.STALE_BROKER_EPOCH };
        if (!replicas.acceptsController(request.controllerEpoch)) return { errorCode: ErrorCode.STALE_CONTROLLER_EPOCH };
        const gone = metadata.update(request);
        for (const { topic } of gone) if (!metadata.hasTopic(topic)) services.onTopicGone(topic);
        if (gone.length > 0) services.onPartitionsGone(gone);
        return { errorCode: ErrorCode.NONE };
      },
      { firstVersion: 6 },
    ),
  ];
}
