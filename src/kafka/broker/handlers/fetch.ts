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
      const begun = services.sessions.begin(
        {
          sessionId: context.apiVersion < SESSIONS_FROM ? 0 : request.sessionId,
          sessionEpoch: context.apiVersion < SESSIONS_FROM ? -1 : request.sessionEpoch,
          byTopicId,
          fromFollower: false,
          partitions: partitionsOf(request),
          forgotten: request.forgottenTopicsData.flatMap(({ topic, topicId, partitions }) => partitions.map((partition) => ({ topic, topicId, partition }))),
        },
        services.clock.monotonicMs(),
      );
      if (typeof begun === "number") return { errorCode: begun, responses: [] };
      // Anew with each request of a session: a topic may be heard of, or deleted and made again, in between.
      if (byTopicId) await learnNames(services, begun.partitions);
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

function partitionsOf(request: Request): FetchPartition[] {
  return request.topics.flatMap(({ topic, topicId, partitions }) =>
    partitions.map(({ partition, currentLeaderEpoch, fetchOffset, lastFetchedEpoch, logStartOffset, partitionMaxBytes }) => ({
      topic,
      topicId,
      partition,
      currentLeaderEpoch,
      fetchOffset,
      lastFetchedEpoch,
      logStartOffset,
      maxBytes: partitionMaxBytes,
    })),
  );
}

async function learnNames({ topicIds, metadata }: FetchServices, partitions: readonly FetchPartition[]): Promise<void> {
  for (const { topicId } of partitions) if (topicIds.nameOf(topicId) === undefined) await topicIds.find(topicId, metadata.topics);
}

function targetOf(services: FetchServices, asked: FetchPartition): FetchTarget {
  const { partition, fetchOffset, currentLeaderEpoch, maxBytes } = asked;
  const topic = asked.topicId === ZERO_UUID ? asked.topic : services.topicIds.nameOf(asked.topicId);
  if (topic === undefined) return { partition: ErrorCode.UNKNOWN_TOPIC_ID, fetchOffset, currentLeaderEpoch, maxBytes };
  const known = services.metadata.partition(topic, partition) !== undefined;
  return { partition: known ? services.replicas.find(topic, partition) : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, fetchOffset, currentLeaderEpoch, maxBytes };
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
