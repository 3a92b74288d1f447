import { ZERO_UUID } from "../../../codec/model.ts";
import type { Decoded, Input } from "../../../codec/schema.ts";
import type { Clock, Timers } from "../../../host/clock.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { fetch, type fetchResponse } from "../../protocol/messages/fetch.ts";
import { fetchFrom, failedFetch, type Fetched, type FetchOptions, type FetchTarget } from "../../replication/fetch.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import type { FetchedPartition, FetchPartition, FetchSessions } from "../fetch-sessions.ts";
import type { MetadataCache } from "../metadata-cache.ts";
import type { TopicIds } from "../topic-ids.ts";

export interface FetchServices {
  readonly metadata: MetadataCache;
  readonly replicas: ReplicaManager;
  readonly sessions: FetchSessions;
  readonly topicIds: TopicIds;
  readonly clock: Clock;
  readonly timers: Timers;
  /** fetch.max.bytes */
  readonly fetchBytesMax: number;
}

const TOPIC_IDS_FROM = 13;
const SESSIONS_FROM = 7;
/** From here on consumers may read from any replica (KIP-392). */
const ANY_REPLICA_FROM = 11;
const READ_COMMITTED = 1;
const CONSUMER = -1;

type Request = Decoded<typeof fetch.request>;
type TopicResponse = Input<typeof fetchResponse>["responses"][number];

/**
 * Fetch, 4 to 16, from consumers: with sessions from version 7, topic ids from version 13 on, and waiting for
 * min_bytes at most max_wait_ms.
 * Left out: versions 0 to 3, whose record formats must be converted; fetches of followers; preferred read replicas.
 * Source: KafkaApis.handleFetchRequest, ReplicaManager.fetchMessages.
 */
export function fetchRoute(services: FetchServices): Route {
  return route(
    fetch,
    async (request, context) => {
      const byTopicId = context.apiVersion >= TOPIC_IDS_FROM;
      const partitions = await namedPartitions(services, request, byTopicId);
      const begun = services.sessions.begin(
        {
          sessionId: context.apiVersion < SESSIONS_FROM ? 0 : request.sessionId,
          sessionEpoch: context.apiVersion < SESSIONS_FROM ? -1 : request.sessionEpoch,
          byTopicId,
          fromFollower: false,
          partitions,
          forgotten: forgottenPartitions(services, request),
        },
        services.clock.monotonicMs(),
      );
      if (typeof begun === "number") return { errorCode: begun, responses: [] };
      const options: FetchOptions = {
        bound: request.isolationLevel === READ_COMMITTED ? "lastStableOffset" : "highWatermark",
        leaderOnly: context.apiVersion < ANY_REPLICA_FROM,
        minBytes: request.minBytes,
        maxBytes: Math.min(request.maxBytes, services.fetchBytesMax),
        maxWaitMs: request.maxWaitMs,
        hardLimit: false,
      };
      const replicaId = request.replicaId === CONSUMER ? request.replicaState.replicaId : request.replicaId;
      const fetched =
        replicaId < 0
          ? await fetchFrom(begun.partitions.map((partition) => targetOf(services, partition)), options, services.timers)
          : begun.partitions.map(() => failedFetch(ErrorCode.NOT_LEADER_OR_FOLLOWER));
      const { sessionId, included } = begun.finish(fetched.map(asNews));
      return { sessionId, responses: grouped(begun.partitions, fetched, included) };
    },
    { firstVersion: 4 },
  );
}

async function namedPartitions(services: FetchServices, request: Request, byTopicId: boolean): Promise<FetchPartition[]> {
  const partitions: FetchPartition[] = [];
  for (const topic of request.topics) {
    const name = byTopicId ? ((await services.topicIds.find(topic.topicId, services.metadata.topics)) ?? "") : topic.topic;
    for (const { partition, currentLeaderEpoch, fetchOffset, lastFetchedEpoch, logStartOffset, partitionMaxBytes } of topic.partitions) {
      partitions.push({ topic: name, topicId: topic.topicId, partition, currentLeaderEpoch, fetchOffset, lastFetchedEpoch, logStartOffset, maxBytes: partitionMaxBytes });
    }
  }
  return partitions;
}

function forgottenPartitions(services: FetchServices, request: Request): Pick<FetchPartition, "topic" | "topicId" | "partition">[] {
  return request.forgottenTopicsData.flatMap((forgotten) => {
    const topic = forgotten.topicId === ZERO_UUID ? forgotten.topic : (services.topicIds.nameOf(forgotten.topicId) ?? "");
    return forgotten.partitions.map((partition) => ({ topic, topicId: forgotten.topicId, partition }));
  });
}

function targetOf(services: FetchServices, asked: FetchPartition): FetchTarget {
  const { topic, partition, fetchOffset, currentLeaderEpoch, maxBytes } = asked;
  const unknown = topic === "" ? ErrorCode.UNKNOWN_TOPIC_ID : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  const known = services.metadata.partition(topic, partition) !== undefined;
  return { partition: known ? services.replicas.find(topic, partition) : unknown, fetchOffset, currentLeaderEpoch, maxBytes };
}

function asNews(fetched: Fetched): FetchedPartition {
  return { errorCode: fetched.error, highWatermark: fetched.highWatermark, logStartOffset: fetched.logStartOffset, recordBytes: fetched.bytes, diverging: false };
}

/** Neighbouring partitions of one topic stand under one heading. */
function grouped(partitions: readonly FetchPartition[], fetched: readonly Fetched[], included: readonly boolean[]): TopicResponse[] {
  const topics: { topic: string; topicId: string; partitions: TopicResponse["partitions"][number][] }[] = [];
  for (const [index, asked] of partitions.entries()) {
    const result = fetched[index];
    if (included[index] !== true || result === undefined) continue;
    let last = topics.at(-1);
    if (last === undefined || last.topic !== asked.topic || last.topicId !== asked.topicId) topics.push((last = { topic: asked.topic, topicId: asked.topicId, partitions: [] }));
    last.partitions.push({
      partitionIndex: asked.partition,
      errorCode: result.error,
      highWatermark: result.highWatermark,
      lastStableOffset: result.lastStableOffset,
      logStartOffset: result.logStartOffset,
      abortedTransactions: result.abortedTransactions,
      records: result.chunks,
    });
  }
  return topics;
}
