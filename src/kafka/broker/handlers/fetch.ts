import { ZERO_UUID } from "../../../codec/model.ts";
import type { Decoded, Input } from "../../../codec/schema.ts";
import type { Clock, Timers } from "../../../host/clock.ts";
import type { BufferPool } from "../../../lib/buffer-pool.ts";
import type { TopicConfig } from "../../config/topic-config.ts";
import { route, type Handler, type RequestContext, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { fetch, type fetchResponse } from "../../protocol/messages/fetch.ts";
import { fetchFrom, type Fetched, type FetchOptions } from "../../replication/fetch.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import type { Conversions } from "../conversions.ts";
import { fetchMessages, type MessageTarget } from "../fetch-messages.ts";
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
  readonly conversions: Conversions;
  /** Of which the records of an answer are. */
  readonly buffers: BufferPool;
  configOf(topic: string): Pick<TopicConfig, "compressionType" | "messageDownconversionEnable">;
  /** fetch.max.bytes */
  readonly fetchBytesMax: number;
}

/** Before, consumers know messages of format 0 only, or (from here on) of format 1. */
const FORMAT_1_FROM = 2;
/** Before, the limits of a partition say how much of it is sent, and there is none for all. */
const RESPONSE_LIMIT_FROM = 3;
const BATCHES_FROM = 4;
const STORAGE_ERROR_FROM = 6;
const ZSTD_FROM = 10;
const TOPIC_IDS_FROM = 13;
const SESSIONS_FROM = 7;
/** From here on consumers may read from any replica (KIP-392). */
const ANY_REPLICA_FROM = 11;
const READ_COMMITTED = 1;
/** Errors that Kafka does not count as failures of its own. Source: ReplicaManager.readFromLocalLog. */
const EXPECTED = new Set<ErrorCode>([
  ErrorCode.NONE,
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.REPLICA_NOT_AVAILABLE,
  ErrorCode.KAFKA_STORAGE_ERROR,
  ErrorCode.OFFSET_OUT_OF_RANGE,
]);
const CONSUMER = -1;

type Request = Decoded<typeof fetch.request>;
type TopicResponse = Input<typeof fetchResponse>["responses"][number];

/**
 * Fetch, 0 to 16: with messages in place of batches up to version 3, sessions from version 7, topic ids from version 13
 * on, and waiting for min_bytes at most max_wait_ms. From followers up to 12, the version of
 * inter.broker.protocol.version 2.7.
 * Left out: preferred read replicas.
 * Source: KafkaApis.handleFetchRequest, ReplicaManager.fetchMessages.
 */
export function fetchRoute(services: FetchServices): Route {
  const answer: Handler<typeof fetch> = async (request, context) => {
    const { apiVersion } = context;
    if (replicaIdOf(request) >= 0) return fetchAsReplica(services, request, context);
    const byTopicId = apiVersion >= TOPIC_IDS_FROM;
    const begun = services.sessions.begin(
      {
        sessionId: apiVersion < SESSIONS_FROM ? 0 : request.sessionId,
        sessionEpoch: apiVersion < SESSIONS_FROM ? -1 : request.sessionEpoch,
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
      leaderOnly: apiVersion < ANY_REPLICA_FROM,
      minBytes: request.minBytes,
      maxBytes: Math.min(request.maxBytes, services.fetchBytesMax),
      maxWaitMs: request.maxWaitMs,
      firstBatch: apiVersion < RESPONSE_LIMIT_FROM ? "whole each" : "whole once",
    };
    const targets = begun.partitions.map((partition) => targetOf(services, partition, apiVersion));
    const fetched =
      apiVersion < BATCHES_FROM
        ? await fetchMessages(targets, { ...options, magic: apiVersion < FORMAT_1_FROM ? 0 : 1 }, services)
        : await fetchFrom(targets, options, services.timers);
    count(targets, fetched);
    const { sessionId, included } = begun.finish(fetched.map(asNews));
    const results = begun.partitions.flatMap(({ topic, topicId, partition }, index) => {
      const one = fetched[index];
      return one !== undefined && included[index] === true ? [{ topic, topicId, partition, fetched: one }] : [];
    });
    return { sessionId, responses: grouped(results, apiVersion) };
  };
  return route(fetch, answer, {
    purposeOf: (request) => (replicaIdOf(request) >= 0 ? "FetchFollower" : "FetchConsumer"),
    returns: ({ responses }, apiVersion) => {
      // Of what was converted one piece may stand for several, or several for one.
      if (apiVersion < BATCHES_FROM) return;
      for (const { partitions } of responses) for (const { records } of partitions) for (const chunk of records ?? []) services.buffers.release(chunk);
    },
  });
}

function count(targets: readonly MessageTarget[], fetched: readonly Fetched[]): void {
  for (const [index, { partition }] of targets.entries()) {
    const one = fetched[index];
    if (one !== undefined && typeof partition !== "number") partition.traffic.fetched(one.bytes, !EXPECTED.has(one.error));
  }
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
  for (const { fetched } of partitions) replicas.traffic.replicationBytesOut += fetched.bytes;
  return { errorCode, sessionId, responses: grouped(partitions.map((result) => ({ ...result, topicId: ZERO_UUID })), context.apiVersion) };
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

function targetOf(services: FetchServices, asked: FetchPartition, apiVersion: number): MessageTarget {
  const { fetchOffset, currentLeaderEpoch, lastFetchedEpoch, maxBytes } = asked;
  const topic = asked.topicId === ZERO_UUID ? asked.topic : services.topicIds.nameOf(asked.topicId);
  const target = { fetchOffset, currentLeaderEpoch, lastFetchedEpoch, maxBytes, convertible: true };
  if (topic === undefined) return { ...target, partition: ErrorCode.UNKNOWN_TOPIC_ID };
  if (services.metadata.partition(topic, asked.partition) === undefined) return { ...target, partition: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION };
  const partition = services.replicas.find(topic, asked.partition);
  if (apiVersion >= ZSTD_FROM || typeof partition === "number") return { ...target, partition };
  const { compressionType, messageDownconversionEnable } = services.configOf(topic);
  return compressionType === "zstd" ? { ...target, partition: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE } : { ...target, partition, convertible: messageDownconversionEnable };
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
function grouped(results: readonly (Pick<FetchPartition, "topic" | "topicId" | "partition"> & { readonly fetched: Fetched })[], apiVersion: number): TopicResponse[] {
  const topics: { topic: string; topicId: string; partitions: TopicResponse["partitions"][number][] }[] = [];
  for (const { topic, topicId, partition, fetched } of results) {
    let last = topics.at(-1);
    if (last === undefined || last.topic !== topic || last.topicId !== topicId) topics.push((last = { topic, topicId, partitions: [] }));
    last.partitions.push(describe(partition, fetched, apiVersion));
  }
  return topics;
}

/** `records` is never null: followers of 2.7.1 break on it. Consumers before STORAGE_ERROR_FROM take an error that they don't know for fatal. */
function describe(partitionIndex: number, fetched: Fetched, apiVersion: number): TopicResponse["partitions"][number] {
  const error = fetched.error === ErrorCode.KAFKA_STORAGE_ERROR && apiVersion < STORAGE_ERROR_FROM ? ErrorCode.NOT_LEADER_OR_FOLLOWER : fetched.error;
  const { highWatermark, lastStableOffset, logStartOffset, abortedTransactions, chunks, diverging } = fetched;
  const answer = { partitionIndex, errorCode: error, highWatermark, lastStableOffset, logStartOffset, abortedTransactions, records: chunks };
  return diverging === undefined ? answer : { ...answer, divergingEpoch: { epoch: diverging.epoch, endOffset: diverging.endOffset } };
}
