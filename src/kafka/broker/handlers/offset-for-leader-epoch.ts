import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { offsetForLeaderEpoch } from "../../protocol/messages/offset-for-leader-epoch.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";

/**
 * OffsetForLeaderEpoch, 0 to 4: where a leader epoch ends in the leader's log; epoch and offset -1 where that is not
 * known. Source: KafkaApis.handleOffsetForLeaderEpochRequest, ReplicaManager.lastOffsetForLeaderEpoch.
 */
export function offsetForLeaderEpochRoute(replicas: ReplicaManager): Route {
  return route(offsetForLeaderEpoch, (request) => ({
    topics: request.topics.map((topic) => ({
      topic: topic.topic,
      partitions: topic.partitions.map(({ partition: index, currentLeaderEpoch, leaderEpoch }) => {
        const failed = (errorCode: number) => ({ errorCode, partition: index, leaderEpoch: -1, endOffset: -1 });
        const partition = replicas.find(topic.topic, index);
        if (typeof partition === "number") return failed(partition);
        const error = partition.check({ currentLeaderEpoch, leaderOnly: true });
        if (error !== ErrorCode.NONE) return failed(error);
        const end = partition.log.endOffsetForEpoch(leaderEpoch);
        return end === undefined ? failed(ErrorCode.NONE) : { errorCode: ErrorCode.NONE, partition: index, leaderEpoch: end.epoch, endOffset: end.endOffset };
      }),
    })),
  }));
}
