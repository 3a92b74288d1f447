import type { Decoded, Input } from "../../codec/schema.ts";
import type { LogFields } from "../../host/log.ts";
import { must } from "../../lib/assert.ts";
import { partitionName } from "../log/names.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import type { fetchRequest, fetchResponse } from "../protocol/messages/fetch.ts";
import type { listOffsetsRequest, listOffsetsResponse } from "../protocol/messages/list-offsets.ts";
import type { offsetForLeaderEpochRequest, offsetForLeaderEpochResponse } from "../protocol/messages/offset-for-leader-epoch.ts";
import { FetchSessionClient } from "./fetch-session-client.ts";
import type { FollowedReplica, FollowerAppended, FollowerData } from "./ports.ts";

const EARLIEST_TIMESTAMP = -2;
const LATEST_TIMESTAMP = -1;
const UNDEFINED = -1;
/** Even where replica.fetch.backoff.ms is less: nothing is repeated without a pause. */
const BACKOFF_MS_MIN = 10;
/** Answers in a row that can't be used, until the next request has to wait. */
const UNUSED_MAX = 3;
const EMPTY = Buffer.alloc(0);
/** Of a leader that has not heard of it yet: the controller tells all replicas at once. It will within moments, so that the first pauses are short. */
const NOT_YET_LEADER: ReadonlySet<number> = new Set([ErrorCode.UNKNOWN_LEADER_EPOCH, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]);

/** What every fetcher of a broker asks with: replica.fetch.* and the broker's id. */
export interface FetcherRules {
  readonly replicaId: number;
  readonly maxWaitMs: number;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly partitionMaxBytes: number;
  readonly backoffMs: number;
}

/** A partition that follows the leader in one epoch. `offset`: where to fall back to while `truncating`, then the next to be fetched. */
export interface Followed {
  /** `topic-partition`. */
  readonly name: string;
  readonly replica: FollowedReplica;
  readonly leaderEpoch: number;
  phase: "truncating" | "fetching" | "outOfRange" | "behind";
  offset: number;
  /** 0: not. */
  delayedUntilMs: number;
  /** How often in a row the leader has not served it. */
  refusals: number;
}

/** Cut the log at `offset`; `complete`: then fetch, else ask for an older epoch. */
export interface Truncation {
  readonly followed: Followed;
  readonly offset: number;
  readonly complete: boolean;
  /** Where the log ends before. */
  readonly endOffset: number;
}

export type FetcherStep =
  /** Infinity: until something is followed. */
  | { readonly kind: "idle"; readonly untilMs: number }
  | { readonly kind: "truncate"; readonly truncations: readonly Truncation[] }
  | { readonly kind: "restart"; readonly followed: Followed; readonly offset: number }
  | { readonly kind: "epochs"; readonly asked: readonly Followed[]; readonly request: Input<typeof offsetForLeaderEpochRequest> }
  | { readonly kind: "offsets"; readonly asked: readonly Followed[]; readonly request: Input<typeof listOffsetsRequest> }
  | { readonly kind: "fetch"; readonly request: Input<typeof fetchRequest> };

/** How an append ended; a `restart` has been carried out, and the append repeated, before the core is told. */
export type FollowerOutcome = Exclude<FollowerAppended, { readonly kind: "restart" }> | "failed";

export interface FetcherMessage {
  readonly level: "info" | "warn" | "error";
  readonly message: string;
  readonly fields: LogFields;
}

type EpochAnswer = Decoded<typeof offsetForLeaderEpochResponse>["topics"][number]["partitions"][number];
type OffsetAnswer = Decoded<typeof listOffsetsResponse>["topics"][number]["partitions"][number];
type FetchAnswer = Decoded<typeof fetchResponse>["responses"][number]["partitions"][number];
type FetchTopic = Input<typeof fetchRequest>["topics"][number];

/** What a fetch asks of one partition. */
interface Asked {
  readonly followed: Followed;
  readonly offset: number;
  readonly logStartOffset: number;
}

function sameAsked(a: Asked, b: Asked): boolean {
  return a.followed === b.followed && a.offset === b.offset && a.logStartOffset === b.logStartOffset;
}

/**
 * What to do next with the partitions that are followed from one leader: one step at a time, each told as done before
 * the next is asked for. Truncates by leader epochs (KIP-101, KIP-279), then fetches in a session (KIP-227).
 * An assignment that changes is a new `Followed`: answers to the one before count for nothing.
 * As 2.7.1 it sends no `lastFetchedEpoch` and does not read `divergingEpoch`. Unlike 2.7.1 one ListOffsets asks for all
 * partitions that are out of range, after a failed fetch there is one pause of replica.fetch.backoff.ms, not two, and a
 * leader that has not heard of it yet is asked again sooner: a new topic is in sync at once, not after a second.
 * Source: AbstractFetcherThread.scala, ReplicaFetcherThread.scala.
 */
export class FetcherCore {
  /** For the driver, which empties it. */
  readonly messages: FetcherMessage[] = [];
  readonly #rules: FetcherRules;
  readonly #backoffMs: number;
  readonly #session = new FetchSessionClient<Asked>(sameAsked);
  readonly #byName = new Map<string, Followed>();
  readonly #unwatch = new Map<Followed, () => void>();

  // A partition of #byName is in one of these, or its next local work in one of the next two, or it is fetched.
  readonly #truncating = new Set<Followed>();
  readonly #outOfRange = new Set<Followed>();
  readonly #delayed = new Set<Followed>();
  /** No delay ends before; Infinity: there is none. */
  #delaysEndMs = Infinity;
  #truncations: Truncation[] = [];
  #restarts: { readonly followed: Followed; readonly offset: number }[] = [];

  #pausedUntilMs = 0;
  #unusedInRow = 0;

  constructor(rules: FetcherRules) {
    this.#rules = rules;
    this.#backoffMs = Math.max(rules.backoffMs, BACKOFF_MS_MIN);
  }

  /** Partitions followed. One that failed is not, until it is followed anew. */
  get size(): number {
    return this.#byName.size;
  }

  /** Neither unfollowed, nor failed, nor followed anew. */
  isCurrent(followed: Followed): boolean {
    return this.#byName.get(followed.name) === followed;
  }

  follow(name: string, replica: FollowedReplica, leaderEpoch: number): void {
    const before = this.#byName.get(name);
    if (before?.replica === replica && before.leaderEpoch === leaderEpoch) return;
    this.unfollow(name);
    const followed: Followed = { name, replica, leaderEpoch, phase: "truncating", offset: replica.log.highWatermark, delayedUntilMs: 0, refusals: 0 };
    this.#byName.set(name, followed);
    const unwatch = replica.watch((change) => {
      if (change === "logStart" && this.#isFetched(followed)) this.#want(followed);
    });
    this.#unwatch.set(followed, unwatch);
    this.#truncating.add(followed);
    // The controller has just told of the leader: there may be a way to it now.
    this.#pausedUntilMs = 0;
  }

  unfollow(name: string): void {
    const followed = this.#byName.get(name);
    if (followed === undefined) return;
    this.#byName.delete(name);
    this.#leave(followed);
    this.#unwatch.get(followed)?.();
    this.#unwatch.delete(followed);
  }

  unfollowAll(): void {
    for (const name of this.#byName.keys()) this.unfollow(name);
  }

  // ---- what next

  /** Order: local work, epochs, offsets, fetch. Nothing else may be asked before the step is told as done. */
  next(nowMs: number): FetcherStep {
    this.#endDelays(nowMs);
    return this.#localWork() ?? this.#pause(nowMs) ?? this.#askEpochs() ?? this.#askOffsets() ?? this.#askRecords(nowMs) ?? this.#idle();
  }

  #endDelays(nowMs: number): void {
    if (nowMs < this.#delaysEndMs) return;
    this.#delaysEndMs = Infinity;
    for (const followed of this.#delayed) {
      if (followed.delayedUntilMs > nowMs) {
        this.#delaysEndMs = Math.min(this.#delaysEndMs, followed.delayedUntilMs);
        continue;
      }
      this.#delayed.delete(followed);
      followed.delayedUntilMs = 0;
      this.#enter(followed, followed.phase);
    }
  }

  #localWork(): FetcherStep | undefined {
    for (const followed of this.#truncating) {
      if (followed.replica.log.latestEpoch === undefined) this.#truncateTo(followed, followed.offset, true);
    }
    const truncations = this.#truncations.filter(({ followed }) => this.isCurrent(followed));
    this.#truncations = [];
    if (truncations.length > 0) return { kind: "truncate", truncations };
    for (let restart = this.#restarts.shift(); restart !== undefined; restart = this.#restarts.shift()) {
      if (this.isCurrent(restart.followed)) return { kind: "restart", ...restart };
    }
    return undefined;
  }

  #pause(nowMs: number): FetcherStep | undefined {
    return nowMs < this.#pausedUntilMs ? { kind: "idle", untilMs: this.#pausedUntilMs } : undefined;
  }

  #idle(): FetcherStep {
    return { kind: "idle", untilMs: this.#delaysEndMs };
  }

  #askEpochs(): FetcherStep | undefined {
    if (this.#truncating.size === 0) return undefined;
    const asked = [...this.#truncating];
    const topics = byTopic(asked).map(([topic, partitions]) => ({
      topic,
      partitions: partitions.map(({ replica, leaderEpoch }) => ({
        partition: replica.partition,
        currentLeaderEpoch: leaderEpoch,
        leaderEpoch: must(replica.log.latestEpoch, "the latest epoch of a log that has one"),
      })),
    }));
    return { kind: "epochs", asked, request: { replicaId: this.#rules.replicaId, topics } };
  }

  #askOffsets(): FetcherStep | undefined {
    if (this.#outOfRange.size === 0) return undefined;
    const asked = [...this.#outOfRange];
    const topics = byTopic(asked).map(([name, partitions]) => ({
      name,
      partitions: partitions.map(({ replica, leaderEpoch, phase }) => ({
        partitionIndex: replica.partition,
        currentLeaderEpoch: leaderEpoch,
        timestamp: phase === "behind" ? EARLIEST_TIMESTAMP : LATEST_TIMESTAMP,
      })),
    }));
    return { kind: "offsets", asked, request: { replicaId: this.#rules.replicaId, isolationLevel: 0, topics } };
  }

  #askRecords(nowMs: number): FetcherStep | undefined {
    if (!this.#session.due) return undefined;
    const { replicaId, minBytes, maxBytes } = this.#rules;
    // Whose delay ends does not wait for records of others.
    const maxWaitMs = Math.min(this.#rules.maxWaitMs, Math.ceil(this.#delaysEndMs - nowMs));
    const { sessionId, epoch, send, forget } = this.#session.build();
    const forgottenTopicsData = byTopic(forget.map(({ followed }) => followed)).map(([topic, partitions]) => ({ topic, partitions: partitions.map(({ replica }) => replica.partition) }));
    return {
      kind: "fetch",
      request: { replicaId, maxWaitMs, minBytes, maxBytes, isolationLevel: 0, sessionId, sessionEpoch: epoch, topics: this.#inOrder(send), forgottenTopicsData, rackId: "" },
    };
  }

  /** A response that is full holds the first ones: their order is kept, and only neighbours share a topic's entry. */
  #inOrder(send: readonly Asked[]): FetchTopic[] {
    const topics: { topic: string; partitions: FetchTopic["partitions"][number][] }[] = [];
    for (const { followed, offset, logStartOffset } of send) {
      const { topic, partition } = followed.replica;
      let last = topics.at(-1);
      if (last?.topic !== topic) topics.push((last = { topic, partitions: [] }));
      last.partitions.push({
        partition,
        currentLeaderEpoch: followed.leaderEpoch,
        fetchOffset: offset,
        lastFetchedEpoch: UNDEFINED,
        logStartOffset,
        partitionMaxBytes: this.#rules.partitionMaxBytes,
      });
    }
    return topics;
  }

  // ---- truncation

  truncated(truncation: Truncation, outcome: "done" | "failed"): void {
    const { followed, complete, endOffset } = truncation;
    if (!this.isCurrent(followed)) return;
    if (outcome === "failed") {
      this.#fail(followed, "its log could not be truncated");
      return;
    }
    // Batches are dropped whole: the log may end below what was asked for.
    const end = followed.replica.log.endOffset;
    if (end < endOffset) this.#say("info", "truncated", followed, { from: endOffset, to: end, removed: endOffset - end });
    followed.offset = end;
    this.#enter(followed, complete ? "fetching" : "truncating");
  }

  restarted(followed: Followed, outcome: "done" | "failed"): void {
    if (!this.isCurrent(followed)) return;
    if (outcome === "failed") {
      this.#fail(followed, "its log could not be started anew");
      return;
    }
    this.#fetchFromEnd(followed);
  }

  epochsAnswered(asked: readonly Followed[], response: Decoded<typeof offsetForLeaderEpochResponse>, nowMs: number): void {
    const answers = new Map(response.topics.flatMap(({ topic, partitions }) => partitions.map((answer) => [partitionName(topic, answer.partition), answer] as const)));
    for (const followed of asked) {
      if (!this.isCurrent(followed)) continue;
      const answer = answers.get(followed.name);
      if (this.#served(followed, answer, nowMs)) this.#truncateBy(followed, answer);
    }
  }

  /** Source: AbstractFetcherThread.getOffsetTruncationState. */
  #truncateBy(followed: Followed, { leaderEpoch, endOffset }: EpochAnswer): void {
    const { log } = followed.replica;
    if (endOffset === UNDEFINED) {
      this.#say("warn", "the leader knows no epoch as old as the log's latest", followed, { latestEpoch: log.latestEpoch, to: followed.offset });
      this.#truncateTo(followed, followed.offset, true);
      return;
    }
    const mine = leaderEpoch === UNDEFINED ? undefined : log.endOffsetForEpoch(leaderEpoch);
    if (mine === undefined) {
      this.#truncateTo(followed, Math.min(endOffset, log.endOffset), true);
    } else if (mine.epoch === leaderEpoch) {
      this.#truncateTo(followed, Math.min(mine.endOffset, endOffset, log.endOffset), true);
    } else {
      this.#say("info", "asks for an older leader epoch", followed, { leaderHas: leaderEpoch, asksFor: mine.epoch });
      this.#truncateTo(followed, Math.min(mine.endOffset, log.endOffset), false);
    }
  }

  /** At the log's end too: leader epochs in which nobody wrote are forgotten. */
  #truncateTo(followed: Followed, offset: number, complete: boolean): void {
    const { highWatermark, endOffset } = followed.replica.log;
    if (offset < highWatermark) this.#say("warn", "truncates below the high watermark", followed, { to: offset, highWatermark });
    this.#leave(followed);
    this.#truncations.push({ followed, offset, complete, endOffset });
  }

  // ---- out of range

  offsetsAnswered(asked: readonly Followed[], response: Decoded<typeof listOffsetsResponse>, nowMs: number): void {
    const answers = new Map(response.topics.flatMap(({ name, partitions }) => partitions.map((answer) => [partitionName(name, answer.partitionIndex), answer] as const)));
    for (const followed of asked) {
      if (!this.isCurrent(followed)) continue;
      const answer = answers.get(followed.name);
      if (this.#served(followed, answer, nowMs)) this.#placeBy(followed, answer);
    }
  }

  /** Source: AbstractFetcherThread.fetchOffsetAndTruncate. */
  #placeBy(followed: Followed, { offset }: OffsetAnswer): void {
    const end = followed.replica.log.endOffset;
    if (followed.phase === "outOfRange") {
      if (offset < end) this.#truncateTo(followed, offset, true);
      else this.#enter(followed, "behind");
    } else if (offset > end) {
      this.#say("warn", "the log ends before its leader's starts, and starts anew there", followed, { from: end, to: offset });
      this.#leave(followed);
      this.#restarts.push({ followed, offset });
    } else {
      this.#fetchFromEnd(followed);
    }
  }

  // ---- fetches

  /** What is to be appended, in order. */
  fetched(response: Decoded<typeof fetchResponse>, nowMs: number): { readonly followed: Followed; readonly data: FollowerData }[] {
    const { errorCode, sessionId, responses } = response;
    const answers = responses.flatMap(({ topic, partitions }) => partitions.map((answer) => [partitionName(topic, answer.partitionIndex), answer] as const));
    const names = answers.map(([name]) => name);
    if (!this.#session.answered(errorCode, sessionId, names)) {
      this.#unused(errorCode, nowMs);
      return [];
    }
    this.#unusedInRow = 0;
    const data: { followed: Followed; data: FollowerData }[] = [];
    for (const [name, answer] of answers) {
      const followed = this.#byName.get(name);
      // The same assignment is as it was when it was asked for: only steps change it, and this one is not done yet.
      if (followed === undefined || this.#session.asked(name)?.followed !== followed) continue;
      if (answer.errorCode === ErrorCode.OFFSET_OUT_OF_RANGE) {
        this.#say("warn", "fetch offset out of range", followed, { offset: followed.offset });
        this.#enter(followed, "outOfRange");
      } else if (this.#served(followed, answer, nowMs)) {
        data.push({ followed, data: dataOf(answer) });
      }
    }
    return data;
  }

  #unused(errorCode: number, nowMs: number): void {
    this.#unusedInRow++;
    this.messages.push({ level: "info", message: "fetch session refused", fields: { error: errorCode === ErrorCode.NONE ? "partitions" : errorName(errorCode), inRow: this.#unusedInRow } });
    if (this.#unusedInRow % UNUSED_MAX === 0) this.#pauseFrom(nowMs);
  }

  appended(followed: Followed, outcome: FollowerOutcome, nowMs: number): void {
    if (!this.isCurrent(followed)) return;
    if (outcome === "failed") {
      this.#fail(followed, "what was fetched could not be written");
    } else if (outcome.kind === "appended") {
      this.#fetchFromEnd(followed);
    } else if (outcome.kind === "refused") {
      if (outcome.error === ErrorCode.CORRUPT_MESSAGE) {
        this.#say("error", "the leader sent damaged records", followed, { offset: followed.offset, problem: outcome.message });
        this.#delay(followed, nowMs, this.#backoffMs);
      } else {
        this.#fail(followed, outcome.message);
      }
    }
  }

  /** No answer: all pause for the backoff; the session is closed with the next request. */
  unreachable(nowMs: number): void {
    this.#session.failed();
    this.#pauseFrom(nowMs);
  }

  // ---- changes of state

  /** The leader answered for this partition without an error; else it is delayed, or fenced and gone. */
  #served<A extends { readonly errorCode: number }>(followed: Followed, answer: A | undefined, nowMs: number): answer is A {
    if (answer?.errorCode === ErrorCode.NONE) {
      followed.refusals = 0;
      return true;
    }
    if (answer?.errorCode === ErrorCode.FENCED_LEADER_EPOCH) {
      this.#say("info", "fenced by its leader", followed, { leaderEpoch: followed.leaderEpoch });
      this.unfollow(followed.name);
    } else {
      const pauseMs = answer !== undefined && NOT_YET_LEADER.has(answer.errorCode) ? Math.min(BACKOFF_MS_MIN * 2 ** followed.refusals, this.#backoffMs) : this.#backoffMs;
      const error = answer === undefined ? "no answer" : errorName(answer.errorCode);
      if (pauseMs === this.#backoffMs) this.#say("warn", "the leader does not serve this partition, trying again", followed, { phase: followed.phase, error });
      followed.refusals++;
      this.#delay(followed, nowMs, pauseMs);
    }
    return false;
  }

  #isFetched(followed: Followed): boolean {
    return followed.phase === "fetching" && followed.delayedUntilMs === 0;
  }

  #fetchFromEnd(followed: Followed): void {
    followed.offset = followed.replica.log.endOffset;
    this.#enter(followed, "fetching");
  }

  #want(followed: Followed): void {
    this.#session.set(followed.name, { followed, offset: followed.offset, logStartOffset: followed.replica.log.startOffset });
  }

  #enter(followed: Followed, phase: Followed["phase"]): void {
    if (phase !== "fetching") this.#leave(followed);
    followed.phase = phase;
    if (phase === "fetching") {
      this.#outOfRange.delete(followed);
      this.#want(followed);
    } else {
      (phase === "truncating" ? this.#truncating : this.#outOfRange).add(followed);
    }
  }

  /** Nothing is asked for it any more. */
  #leave(followed: Followed): void {
    this.#truncating.delete(followed);
    this.#outOfRange.delete(followed);
    this.#delayed.delete(followed);
    if (this.#delayed.size === 0) this.#delaysEndMs = Infinity;
    this.#session.set(followed.name, undefined);
  }

  #delay(followed: Followed, nowMs: number, pauseMs: number): void {
    this.#leave(followed);
    followed.delayedUntilMs = nowMs + pauseMs;
    this.#delayed.add(followed);
    this.#delaysEndMs = Math.min(this.#delaysEndMs, followed.delayedUntilMs);
  }

  #pauseFrom(nowMs: number): void {
    this.#pausedUntilMs = nowMs + this.#backoffMs;
  }

  #fail(followed: Followed, why: string): void {
    this.#say("error", "partition failed", followed, { why, offset: followed.offset });
    this.unfollow(followed.name);
  }

  #say(level: FetcherMessage["level"], message: string, followed: Followed, fields: LogFields): void {
    this.messages.push({ level, message, fields: { partition: followed.name, ...fields } });
  }
}

/** From a leader of Apache's, none are null or empty. A partition without news has them too: its high watermark and start count. */
function dataOf({ records, highWatermark, logStartOffset }: FetchAnswer): FollowerData {
  const [first = EMPTY, ...more] = records ?? [];
  return { records: more.length === 0 ? first : Buffer.concat([first, ...more]), highWatermark, logStartOffset };
}

function byTopic(partitions: readonly Followed[]): [string, Followed[]][] {
  const topics = new Map<string, Followed[]>();
  for (const followed of partitions) {
    const { topic } = followed.replica;
    const same = topics.get(topic);
    if (same === undefined) topics.set(topic, [followed]);
    else same.push(followed);
  }
  return [...topics];
}
