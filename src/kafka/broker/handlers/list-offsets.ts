import type { Input } from "../../../codec/schema.ts";
import { repeated } from "../../../lib/repeated.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { listOffsets, type listOffsetsResponse } from "../../protocol/messages/list-offsets.ts";
import type { Partition, ReadBound } from "../../replication/partition.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";

const LATEST = -1;
const EARLIEST = -2;
const MAX_TIMESTAMP = -3;
const EARLIEST_LOCAL = -4;

const CONSUMER = -1;
const DEBUGGING = -2;
const READ_COMMITTED = 1;
/** Older clients know OFFSET_NOT_AVAILABLE by another name. */
const OFFSET_NOT_AVAILABLE_FROM = 5;

type Answer = Input<typeof listOffsetsResponse>["topics"][number]["partitions"][number];

/**
 * ListOffsets, 0 to 8: by timestamp, the first, the last, and (7 on) the one with the greatest timestamp; the first
 * local one (8) is the first, for want of remote storage.
 * Source: KafkaApis.handleListOffsetRequest, Partition.fetchOffsetForTimestamp.
 */
export function listOffsetsRoute(replicas: ReplicaManager): Route {
  return route(listOffsets, async (request, context) => {
    const fromConsumer = request.replicaId === CONSUMER;
    const bound: ReadBound = !fromConsumer ? "end" : request.isolationLevel === READ_COMMITTED ? "lastStableOffset" : "highWatermark";
    const leaderOnly = request.replicaId !== DEBUGGING;
    const twice = repeated(request.topics.flatMap((topic) => topic.partitions.map((partition) => `${topic.name}-${partition.partitionIndex}`)));

    const answer = async (topic: string, asked: (typeof request.topics)[number]["partitions"][number]): Promise<Answer> => {
      const { partitionIndex, currentLeaderEpoch, timestamp, maxNumOffsets } = asked;
      const failed = (errorCode: number): Answer => ({ partitionIndex, errorCode, oldStyleOffsets: [], timestamp: -1, offset: -1, leaderEpoch: -1 });
      if (twice.has(`${topic}-${partitionIndex}`) && context.apiVersion > 0) return failed(ErrorCode.INVALID_REQUEST);
      const partition = replicas.find(topic, partitionIndex);
      if (typeof partition === "number") return failed(partition);
      const error = partition.check({ currentLeaderEpoch, leaderOnly });
      if (error !== ErrorCode.NONE) return failed(error);
      if (context.apiVersion === 0) {
        const offsets = await segmentStarts(partition, timestamp, maxNumOffsets, fromConsumer);
        return { ...failed(ErrorCode.NONE), oldStyleOffsets: offsets };
      }
      const found = await lookUp(partition, timestamp, bound, fromConsumer);
      if (partition.log.failure !== undefined) return failed(ErrorCode.KAFKA_STORAGE_ERROR);
      if (found === "not available") return failed(context.apiVersion >= OFFSET_NOT_AVAILABLE_FROM ? ErrorCode.OFFSET_NOT_AVAILABLE : ErrorCode.LEADER_NOT_AVAILABLE);
      return { ...failed(ErrorCode.NONE), ...found };
    };

    const topics = await Promise.all(
      request.topics.map(async (topic) => ({ name: topic.name, partitions: await Promise.all(topic.partitions.map((asked) => answer(topic.name, asked))) })),
    );
    return { topics };
  });
}

type Found = Pick<Answer, "timestamp" | "offset" | "leaderEpoch">;

/** Nothing found is an empty answer. `not available`: a new leader's high watermark has not reached its own epoch yet. */
async function lookUp(partition: Partition, timestamp: number, bound: ReadBound, fromConsumer: boolean): Promise<Found | "not available"> {
  const { log, epochStartOffset } = partition;
  const lagging = fromConsumer && epochStartOffset !== undefined && epochStartOffset > log.highWatermark;
  switch (timestamp) {
    case LATEST:
      return lagging ? "not available" : { timestamp: -1, offset: partition.boundOf(bound), leaderEpoch: partition.leaderEpoch };
    case EARLIEST:
    case EARLIEST_LOCAL:
      return { timestamp: -1, offset: log.startOffset, leaderEpoch: log.startEpoch ?? -1 };
    default: {
      const found = timestamp === MAX_TIMESTAMP ? await log.offsetOfMaxTimestamp() : await log.offsetForTimestamp(timestamp);
      if (found !== undefined && found.offset < partition.boundOf(bound)) return { timestamp: found.timestamp, offset: found.offset, leaderEpoch: found.leaderEpoch ?? -1 };
      return lagging ? "not available" : { timestamp: -1, offset: -1, leaderEpoch: -1 };
    }
  }
}

async function segmentStarts(partition: Partition, timestamp: number, countMax: number, fromConsumer: boolean): Promise<number[]> {
  const offsets = await partition.log.segmentOffsetsBefore(timestamp, countMax);
  const { highWatermark } = partition.log;
  return fromConsumer && offsets.some((offset) => offset > highWatermark) ? [highWatermark, ...offsets.filter((offset) => offset <= highWatermark)] : offsets;
}
