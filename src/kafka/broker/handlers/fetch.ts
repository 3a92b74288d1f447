import { ZERO_UUID } from "../../../codec/model.ts";
import type { Decoded, Input } from "../../../codec/schema.ts";
import type { Clock, Timers } from "../../../host/clock.ts";
import { route, type RequestContext, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { fetch, type fetchResponse } from "../../protocol/messages/fetch.ts";
import { fetchFrom, type Fetched, type FetchOptions, type FetchTarget } from "../../replication/fetch.ts";
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
 * Fetch, 4 to 16: with sessions from version 7, topic ids from version 13 on, and waiting for min_bytes at most
 * max_wait_ms. From followers up to 12, the version of inter.broker.protocol.version 2.7.
 * Left out: versions 0 to 3, whose record formats must be converted; preferred read replicas.
 * Source: KafkaApis.handleFetchRequest, ReplicaManager.fetchMessages.
 */
export function fetchRoute(services: FetchServices): Route {
  return route(
    fetch,
    async (request, context) => {
      if (replicaIdOf(request) >= 0) return fetchAsReplica(services, request, context);
      const byTopicId = context.apiVersion >= TOPIC_IDS_FROM;
      const begun = services.sessions.begin(
        {
          sessionId: context.apiVersion < SESSIONS_FROM ? 0 : request.sessionId,
          sessionEpoch: context.apiVersion < SESSIONS_FROM ? -1 : request.sessionEpoch,
          byTopicId,
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
      const fetched = await fetchFrom(begun.partitions.map((partition) => targetOf(services, partition)), options, services.timers);
      const { sessionId, included } = begun.finish(fetched.map(asNews));
      const results = begun.partitions.flatMap(({ topic, topicId, partition }, index) => {
        const one = fetched[index];
        return one !== undefined && included[index] === true ? [{ topic, topicId, partition, fetched: one }] : [];
      });
      return { sessionId, responses: grouped(results) };
    },
    { firstVersion: 4 },
  );
}

/** Who asks: a follower's id, or -1 (a consumer) or -2 (a debugging one). Version 15 moved it. */
export function replicaIdOf(request: Request): number {
  return request.replicaId === CONSUMER ? request.replicaState.replicaId : request.replicaId;
}

/** What makes it an acknowledgement happens in this turn. No broker of inter.broker.protocol.version 2.7 asks by topic id. */
async function fetchAsReplica({ replicas, fetchBytesMax }: FetchServices, request: Request, context: RequestContext): Promise<Input<typeof fetchResponse>> {
  if (context.apiVersion >= TOPIC_IDS_FROM) return { errorCode: ErrorCode.INVALID_REQUEST, responses: [] };
  const { errorCode, sessionId, partitions } = await replicas.sessions.fetch({
    replicaId: replicaIdOf(request),
    clientId: context.clientId ?? "",
    sessionId: context.apiVersion < SESSIONS_FROM ? 0 : request.sessionId,
    sessionEpoch: context.apiVersion < SESSIONS_FROM ? -1 : request.sessionEpoch,
    minBytes: request.minBytes,
    maxBytes: Math.min(request.maxBytes, fetchBytesMax),
    maxWaitMs: request.maxWaitMs,
    partitions: partitionsOf(request),
    forgotten: request.forgottenTopicsData.flatMap(({ topic, partitions: forgotten }) => forgotten.map((partition) => ({ topic, partition }))),
  });
  return { errorCode, sessionId, responses: grouped(partitions.map((result) => ({ ...result, topicId: ZERO_UUID }))) };
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
  const { partition, fetchOffset, currentLeaderEpoch, lastFetchedEpoch, maxBytes } = asked;
  const topic = asked.topicId === ZERO_UUID ? asked.topic : services.topicIds.nameOf(asked.topicId);
  const found = topic === undefined ? ErrorCode.UNKNOWN_TOPIC_ID : services.metadata.partition(topic, partition) === undefined ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : services.replicas.find(topic, partition);
  return { partition: found, fetchOffset, currentLeaderEpoch, lastFetchedEpoch, maxBytes };
}

function asNews(fetched: Fetched): FetchedPartition {
  return {
    errorCode: fetched.error,
    highWatermark: fetched.highWatermark,
    logStartOffset: fetched.logStartOffset,
    recordBytes: fetched.bytes,
    diverging: fetched.diverging !== undefined,
  };
}

/** Neighbouring partitions of one topic stand under one heading. */
function grouped(results: readonly (Pick<FetchPartition, "topic" | "topicId" | "partition"> & { readonly fetched: Fetched })[]): TopicResponse[] {
  const topics: { topic: string; topicId: string; partitions: TopicResponse["partitions"][number][] }[] = [];
  for (const { topic, topicId, partition, fetched } of results) {
    let last = topics.at(-1);
    if (last === undefined || last.topic !== topic || last.topicId !== topicId) topics.push((last = { topic, topicId, partitions: [] }));
    last.partitions.push(describe(partition, fetched));
  }
  return topics;
}

/** `records` is never null: followers of 2.7.1 break on it. */
function describe(partitionIndex: number, fetched: Fetched): TopicResponse["partitions"][number] {
  const { error, highWatermark, lastStableOffset, logStartOffset, abortedTransactions, chunks, diverging } = fetched;
  const answer = { partitionIndex, errorCode: error, highWatermark, lastStableOffset, logStartOffset, abortedTransactions, records: chunks };
  return diverging === undefined ? answer : { ...answer, divergingEpoch: { epoch: diverging.epoch, endOffset: diverging.endOffset } };
}
