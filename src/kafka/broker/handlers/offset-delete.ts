import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import type { TopicPartition } from "../../coordinators/group/types.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { offsetDelete } from "../../protocol/messages/offset-delete.ts";
import type { MetadataCache } from "../metadata-cache.ts";

export interface OffsetDeleteServices {
  readonly groups: Pick<GroupCoordinator, "deleteOffsets">;
  readonly metadata: MetadataCache;
}

/**
 * OffsetDelete, 0: the group's own error stands alone on top; a partition that does not exist is
 * UNKNOWN_TOPIC_OR_PARTITION, and the others go on. Source: KafkaApis.handleOffsetDeleteRequest.
 */
export function offsetDeleteRoute(services: OffsetDeleteServices): Route {
  return route(offsetDelete, (request) => {
    const known = new Map<string, TopicPartition>();
    for (const { name, partitions } of request.topics) {
      for (const { partitionIndex } of partitions) {
        if (services.metadata.partition(name, partitionIndex) !== undefined) known.set(`${partitionIndex}/${name}`, { topic: name, partition: partitionIndex });
      }
    }
    const { error, partitions: errors } = services.groups.deleteOffsets(request.groupId, [...known.values()]);
    if (error !== ErrorCode.NONE) return { errorCode: error, topics: [] };
    const outcomes = new Map([...known.keys()].map((key, index) => [key, errors[index] ?? ErrorCode.NONE]));
    return {
      errorCode: ErrorCode.NONE,
      topics: request.topics.map(({ name, partitions }) => ({
        name,
        partitions: partitions.map(({ partitionIndex }) => ({ partitionIndex, errorCode: outcomes.get(`${partitionIndex}/${name}`) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION })),
      })),
    };
  });
}
