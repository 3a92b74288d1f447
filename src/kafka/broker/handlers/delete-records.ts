import type { Timers } from "../../../host/clock.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { isInternalTopic } from "../../protocol/internal-topics.ts";
import { deleteRecords } from "../../protocol/messages/delete-records.ts";
import { deleteRecordsOf, type RecordsDeleted } from "../../replication/delete-records.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import type { MetadataCache } from "../metadata-cache.ts";

export interface DeleteRecordsServices {
  readonly metadata: MetadataCache;
  readonly replicas: Pick<ReplicaManager, "find">;
  readonly timers: Timers;
}

/**
 * DeleteRecords, 0 to 2, on the leaders (KIP-107): answers once the records below the offset (-1: the high watermark)
 * are gone from all live replicas, or after timeout_ms with REQUEST_TIMED_OUT.
 * Source: KafkaApis.handleDeleteRecordsRequest, ReplicaManager.deleteRecords.
 */
export function deleteRecordsRoute({ metadata, replicas, timers }: DeleteRecordsServices): Route {
  return route(deleteRecords, async ({ topics, timeoutMs }) => {
    const one = (topic: string, partition: number, offset: number): RecordsDeleted | Promise<RecordsDeleted> => {
      if (metadata.partition(topic, partition) === undefined) return { error: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, lowWatermark: -1 };
      if (isInternalTopic(topic)) return { error: ErrorCode.INVALID_TOPIC_EXCEPTION, lowWatermark: -1 };
      const found = replicas.find(topic, partition);
      if (typeof found === "number") return { error: found, lowWatermark: -1 };
      return deleteRecordsOf(found, {
        offset,
        timeoutMs: Math.max(timeoutMs, 0),
        timers,
        isAlive: (broker) => metadata.broker(broker) !== undefined,
        onBrokers: (look) => metadata.watch(look),
      });
    };

    const results = topics.map(async ({ name, partitions }) => ({
      name,
      partitions: await Promise.all(
        partitions.map(async ({ partitionIndex, offset }) => {
          const { error, lowWatermark } = await one(name, partitionIndex, offset);
          return { partitionIndex, lowWatermark, errorCode: error };
        }),
      ),
    }));
    return { throttleTimeMs: 0, topics: await Promise.all(results) };
  });
}
