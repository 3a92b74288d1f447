import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import type { CommitPartition } from "../../coordinators/group/types.ts";
import { OperationalError } from "../../../lib/error.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { offsetCommit } from "../../protocol/messages/offset-commit.ts";
import { writeConsumerOffset } from "../../znodes/operations.ts";
import type { ZooKeeperSession } from "../../znodes/zookeeper-session.ts";
import type { MetadataCache } from "../metadata-cache.ts";

export interface OffsetCommitServices {
  readonly groups: Pick<GroupCoordinator, "commit">;
  readonly metadata: MetadataCache;
  readonly zookeeper: Pick<ZooKeeperSession, "run">;
  /** offset.metadata.max.bytes, which Java measures in UTF-16 units. */
  readonly offsetMetadataMax: number;
}

/** -1 where a commit says nothing of its time or retention. */
const UNSET = -1;

/**
 * OffsetCommit, 0 to 9. A partition that does not exist is UNKNOWN_TOPIC_OR_PARTITION, and the others go on. Version 0
 * goes to ZooKeeper, at whichever broker it arrives, without a coordinator. Of a partition that is named twice the last
 * offset counts. Source: KafkaApis.handleOffsetCommitRequest, KafkaZkClient.setOrCreateConsumerOffset.
 */
export function offsetCommitRoute(services: OffsetCommitServices): Route {
  return route(offsetCommit, async (request, { apiVersion }) => {
    const errors = new Map<string, ErrorCode>();
    const known = new Map<string, CommitPartition>();
    for (const { name, partitions } of request.topics) {
      for (const { partitionIndex, committedOffset, committedLeaderEpoch, commitTimestamp, committedMetadata } of partitions) {
        const key = keyOf(name, partitionIndex);
        if (services.metadata.partition(name, partitionIndex) === undefined) errors.set(key, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
        else {
          known.set(key, {
            topic: name,
            partition: partitionIndex,
            offset: committedOffset,
            leaderEpoch: committedLeaderEpoch,
            metadata: committedMetadata ?? "",
            commitWallMs: commitTimestamp === UNSET ? undefined : commitTimestamp,
          });
        }
      }
    }
    const partitions = [...known.values()];
    const outcomes = partitions.length === 0 ? [] : await (apiVersion === 0 ? store(request.groupId, partitions) : commit(partitions));
    for (const [index, key] of [...known.keys()].entries()) errors.set(key, outcomes[index] ?? ErrorCode.UNKNOWN_SERVER_ERROR);
    return {
      topics: request.topics.map(({ name, partitions: named }) => ({
        name,
        partitions: named.map(({ partitionIndex }) => ({ partitionIndex, errorCode: errors.get(keyOf(name, partitionIndex)) ?? ErrorCode.UNKNOWN_SERVER_ERROR })),
      })),
    };

    function commit(wanted: readonly CommitPartition[]): Promise<readonly ErrorCode[]> {
      return services.groups.commit({
        groupId: request.groupId,
        memberId: request.memberId,
        instanceId: request.groupInstanceId,
        generation: request.generationIdOrMemberEpoch,
        retentionMs: request.retentionTimeMs === UNSET ? undefined : request.retentionTimeMs,
        partitions: wanted,
      });
    }
  });

  function store(group: string, wanted: readonly CommitPartition[]): Promise<ErrorCode[]> {
    return Promise.all(
      wanted.map(async ({ topic, partition, offset, metadata }) => {
        if (metadata.length > services.offsetMetadataMax) return ErrorCode.OFFSET_METADATA_TOO_LARGE;
        try {
          await services.zookeeper.run(writeConsumerOffset(group, topic, partition, offset));
          return ErrorCode.NONE;
        } catch (error) {
          if (error instanceof OperationalError) return ErrorCode.UNKNOWN_SERVER_ERROR;
          throw error;
        }
      }),
    );
  }
}

function keyOf(topic: string, partition: number): string {
  return `${partition}/${topic}`;
}
