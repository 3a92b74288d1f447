import type { Random } from "../../host/random.ts";
import { ErrorCode } from "../protocol/error-codes.ts";

/** One partition that is asked for: by name, or from version 13 on by id, with an empty name. */
export interface FetchPartition {
  readonly topic: string;
  readonly topicId: string;
  readonly partition: number;
  readonly currentLeaderEpoch: number;
  readonly fetchOffset: number;
  readonly lastFetchedEpoch: number;
  readonly logStartOffset: number;
  readonly maxBytes: number;
}

/** What decides whether a partition stands in an incremental response. */
export interface FetchedPartition {
  readonly errorCode: number;
  readonly highWatermark: number;
  readonly logStartOffset: number;
  readonly recordBytes: number;
  readonly diverging: boolean;
}

export interface SessionRequest {
  readonly sessionId: number;
  readonly sessionEpoch: number;
  readonly byTopicId: boolean;
  readonly partitions: readonly FetchPartition[];
  readonly forgotten: readonly Pick<FetchPartition, "topic" | "topicId" | "partition">[];
}

/** A request within a session, or without one. */
export interface FetchContext {
  /** In the order in which they are to be read. */
  readonly partitions: readonly FetchPartition[];
  /** Which of the results (in the order of `partitions`) the response holds, and under which session. */
  finish(results: readonly FetchedPartition[]): { readonly sessionId: number; readonly included: readonly boolean[] };
}

const INITIAL_EPOCH = 0;
const FINAL_EPOCH = -1;
const NO_SESSION = 0;
/** A session that lived, or lay idle, for so long may make room for another. */
const EVICTION_MS = 120_000;

interface CachedPartition {
  request: FetchPartition;
  highWatermark: number;
  logStartOffset: number;
}

interface Session {
  readonly id: number;
  readonly byTopicId: boolean;
  readonly createdMs: number;
  lastUsedMs: number;
  /** The epoch that the next request must have. */
  epoch: number;
  /** In the order in which they are read: those that had data move to the end. */
  readonly partitions: Map<string, CachedPartition>;
}

/**
 * Consumers' incremental fetch sessions (KIP-227): a client names its partitions once and then only what changes, and
 * a response holds only what is new. Source: kafka/server/FetchSession.scala; followers have a table of their own
 * (replication/follower-sessions.ts), so that nobody needs privileges in this one.
 */
export class FetchSessions {
  readonly #slots: number;
  readonly #random: Random;
  readonly #sessions = new Map<number, Session>();

  /** `slots`: max.incremental.fetch.session.cache.slots. */
  constructor(options: { readonly slots: number; readonly random: Random }) {
    this.#slots = options.slots;
    this.#random = options.random;
  }

  get size(): number {
    return this.#sessions.size;
  }

  /** The context of a request, or the error code of its whole response. */
  begin(request: SessionRequest, nowMs: number): FetchContext | number {
    if (request.sessionEpoch === INITIAL_EPOCH || request.sessionEpoch === FINAL_EPOCH) {
      this.#sessions.delete(request.sessionId);
      return request.sessionEpoch === FINAL_EPOCH || request.partitions.length === 0 ? sessionless(request.partitions) : this.#full(request, nowMs);
    }
    const session = this.#sessions.get(request.sessionId);
    if (session === undefined) return ErrorCode.FETCH_SESSION_ID_NOT_FOUND;
    if (session.epoch !== request.sessionEpoch) return ErrorCode.INVALID_FETCH_SESSION_EPOCH;
    if (session.byTopicId !== request.byTopicId) return ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR;
    return this.#incremental(session, request, nowMs);
  }

  #full(request: SessionRequest, nowMs: number): FetchContext {
    return {
      partitions: request.partitions,
      finish: (results) => {
        const included = results.map(() => true);
        if (!this.#makeRoom(request, nowMs)) return { sessionId: NO_SESSION, included };
        const session: Session = {
          id: this.#newId(),
          byTopicId: request.byTopicId,
          createdMs: nowMs,
          lastUsedMs: nowMs,
          epoch: 1,
          partitions: new Map(),
        };
        for (const [index, partition] of request.partitions.entries()) {
          const result = results[index];
          session.partitions.set(keyOf(partition), { request: partition, ...remembered(result) });
        }
        this.#sessions.set(session.id, session);
        return { sessionId: session.id, included };
      },
    };
  }

  #incremental(session: Session, request: SessionRequest, nowMs: number): FetchContext {
    for (const partition of request.partitions) {
      const cached = session.partitions.get(keyOf(partition));
      if (cached === undefined) session.partitions.set(keyOf(partition), { request: partition, highWatermark: -1, logStartOffset: -1 });
      else cached.request = partition;
    }
    for (const partition of request.forgotten) session.partitions.delete(keyOf(partition));
    if (session.partitions.size === 0) {
      this.#sessions.delete(session.id);
      return sessionless([]);
    }
    session.lastUsedMs = nowMs;
    session.epoch = session.epoch === 0x7fff_ffff ? 1 : session.epoch + 1;
    const entries = [...session.partitions];
    return {
      partitions: entries.map(([, cached]) => cached.request),
      finish: (results) => {
        const included = entries.map(([key, cached], index) => {
          const result = results[index];
          if (result === undefined || !isNews(cached, result)) return false;
          Object.assign(cached, remembered(result));
          if (result.recordBytes > 0 && session.partitions.delete(key)) session.partitions.set(key, cached);
          return true;
        });
        return { sessionId: session.id, included };
      },
    };
  }

  #makeRoom(request: SessionRequest, nowMs: number): boolean {
    if (this.#sessions.size < this.#slots) return true;
    const victim = this.#victim(request, nowMs);
    return victim !== undefined && this.#sessions.delete(victim.id);
  }

  /** An idle session; else a smaller one that has had its time. */
  #victim(request: SessionRequest, nowMs: number): Session | undefined {
    let smallest: Session | undefined;
    for (const session of this.#sessions.values()) {
      if (nowMs - session.lastUsedMs > EVICTION_MS) return session;
      const lived = nowMs - session.createdMs > EVICTION_MS;
      const weaker = lived && session.partitions.size < request.partitions.length;
      if (weaker && (smallest === undefined || session.partitions.size < smallest.partitions.size)) smallest = session;
    }
    return smallest;
  }

  #newId(): number {
    for (;;) {
      const id = 1 + this.#random.below(0x7fff_ffff);
      if (!this.#sessions.has(id)) return id;
    }
  }
}

function sessionless(partitions: readonly FetchPartition[]): FetchContext {
  return { partitions, finish: (results) => ({ sessionId: NO_SESSION, included: results.map(() => true) }) };
}

function keyOf(partition: Pick<FetchPartition, "topic" | "topicId" | "partition">): string {
  return `${partition.topic}${partition.topicId}-${partition.partition}`;
}

/** An error is told again with the next response: so nothing is remembered with it. */
function remembered(result: FetchedPartition | undefined): { highWatermark: number; logStartOffset: number } {
  return result === undefined || result.errorCode !== ErrorCode.NONE ? { highWatermark: -1, logStartOffset: -1 } : { highWatermark: result.highWatermark, logStartOffset: result.logStartOffset };
}

function isNews(cached: CachedPartition, result: FetchedPartition): boolean {
  return (
    result.recordBytes > 0 ||
    result.errorCode !== ErrorCode.NONE ||
    result.diverging ||
    result.highWatermark !== cached.highWatermark ||
    result.logStartOffset !== cached.logStartOffset
  );
}
