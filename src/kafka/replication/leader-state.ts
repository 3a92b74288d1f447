import { ErrorCode } from "../protocol/error-codes.ts";
import type { LeaderEpoch } from "../protocol/ids.ts";
import type { IsrAnswer, IsrProposal } from "./ports.ts";

/**
 * When a follower last fetched: one object for all partitions of a fetch session, so that a fetch need not touch those
 * that it neither names nor finds changed. `ms` is monotonic; -Infinity before the first fetch.
 */
export interface FetchClock {
  ms: number;
}

/** What a leader knows of a follower. Source: kafka/cluster/Replica.scala. */
interface Follower {
  /** -1 until its first fetch from this leader. */
  logEndOffset: number;
  logStartOffset: number;
  /** When it had last read to the leader's end, but for what `clock` adds. */
  caughtUpMs: number;
  /** The leader's end when this follower was last looked at: as long as its session does not look again, it is there still. */
  leaderEndThen: number;
  clock: FetchClock;
}

export interface LeaderStateOptions {
  readonly localId: number;
  readonly epoch: LeaderEpoch;
  readonly epochStartOffset: number;
  readonly zkVersion: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** What is written here; the ends that `fetched` is told go on from it. */
  readonly endOffset: number;
  readonly nowMs: number;
  /** Of the epoch before, where this broker led in it too. */
  readonly previous?: LeaderState | undefined;
}

export interface FollowerFetchState {
  readonly fetchOffset: number;
  readonly logStartOffset: number;
  /** All below is written here. */
  readonly leaderEndOffset: number;
  readonly clock: FetchClock;
  readonly nowMs: number;
}

/** After these the controller will not take the proposal, however often it is repeated. Source: Partition.handleAlterIsrResponse. */
const FINAL = new Set<ErrorCode>([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.INVALID_UPDATE_VERSION]);

/**
 * A leader's view of its partition's replicas in one leader epoch: who is in sync, how far each has come, how far all
 * that count have, and which change of the in-sync replicas it has asked for. One change is asked for at a time; until
 * it is decided whoever may be in sync counts: with an expansion the new ones too, with a shrink still the old ones.
 * Source: kafka/cluster/Partition.scala.
 */
export class LeaderState {
  readonly epoch: LeaderEpoch;
  /** The first offset that this epoch writes. */
  readonly epochStartOffset: number;
  readonly #followers = new Map<number, Follower>();
  /** Followers that were to be proposed while another change was pending. */
  readonly #wants = new Set<number>();
  #isr: readonly number[];
  #zkVersion: number;
  #pending: IsrProposal | undefined;
  /** Committed and proposed ones. */
  #counted: ReadonlySet<number>;

  constructor({ localId, epoch, epochStartOffset, zkVersion, replicas, isr, endOffset, nowMs, previous }: LeaderStateOptions) {
    this.epoch = epoch;
    this.epochStartOffset = epochStartOffset;
    this.#isr = isr;
    this.#zkVersion = zkVersion;
    this.#counted = new Set(isr);
    for (const replica of replicas) {
      if (replica === localId) continue;
      const before = previous === undefined ? undefined : previous.#followers.get(replica);
      const sinceMs = this.#counted.has(replica) ? nowMs : Number.NEGATIVE_INFINITY;
      this.#followers.set(replica, {
        logEndOffset: before?.logEndOffset ?? -1,
        logStartOffset: before?.logStartOffset ?? -1,
        caughtUpMs: sinceMs,
        leaderEndThen: endOffset,
        // Sessions of an earlier epoch count for nothing.
        clock: { ms: sinceMs },
      });
    }
  }

  /** As the controller has them. */
  get isr(): readonly number[] {
    return this.#isr;
  }

  /** Assigned ones, this broker's among them. */
  get replicaCount(): number {
    return this.#followers.size + 1;
  }

  /** How many the controller has in sync: what a produce must find before it is appended. */
  get inSyncCount(): number {
    return this.#isr.length;
  }

  /** How many hold back the high watermark as members: what a produce must find when it is acknowledged. */
  get countedCount(): number {
    return this.#counted.size;
  }

  get pending(): IsrProposal | undefined {
    return this.#pending;
  }

  /** Whether it is assigned a replica, in sync or not. */
  isFollower(broker: number): boolean {
    return this.#followers.has(broker);
  }

  /** A follower that is not in the ISR, or is being left out. */
  mayJoin(broker: number): boolean {
    return this.#followers.has(broker) && !(this.#isr.includes(broker) && (this.#pending?.isr.includes(broker) ?? true));
  }

  /**
   * Notes a follower's fetch, which says that it has all before `fetchOffset`; to be called before the clock is set
   * to now. True: it has moved.
   */
  fetched(broker: number, { fetchOffset, logStartOffset, leaderEndOffset, clock, nowMs }: FollowerFetchState): boolean {
    const follower = this.#followers.get(broker);
    if (follower === undefined) return false;
    follower.caughtUpMs = caughtUpOf(follower);
    if (fetchOffset >= leaderEndOffset) follower.caughtUpMs = nowMs;
    else if (fetchOffset >= follower.leaderEndThen) follower.caughtUpMs = Math.max(follower.caughtUpMs, follower.clock.ms);
    const moved = fetchOffset !== follower.logEndOffset;
    follower.logStartOffset = logStartOffset;
    follower.logEndOffset = fetchOffset;
    follower.leaderEndThen = leaderEndOffset;
    follower.clock = clock;
    return moved;
  }

  /** Where the follower's log starts; -1 where it has not said so yet, undefined where it is none. */
  logStartOf(broker: number): number | undefined {
    return this.#followers.get(broker)?.logStartOffset;
  }

  /** The lowest of `ownStart` and the log starts of followers that are alive. Source: Partition.lowWatermarkIfLeader. */
  lowWatermark(ownStart: number, isAlive: (broker: number) => boolean): number {
    let lowest = ownStart;
    for (const [id, { logStartOffset }] of this.#followers) if (logStartOffset < lowest && isAlive(id)) lowest = logStartOffset;
    return lowest;
  }

  /** The session of this clock does not fetch the partition any more, or in vain: from here on its clock says nothing about it. */
  fetchEnded(broker: number, clock: FetchClock): void {
    const follower = this.#followers.get(broker);
    if (follower === undefined || follower.clock !== clock) return;
    follower.caughtUpMs = caughtUpOf(follower);
    follower.clock = { ms: clock.ms };
    this.#wants.delete(broker);
  }

  /**
   * The offset below which everything is on each replica that counts: this one, those in sync, and those that have
   * caught up within `lagMsMax` and are about to be. -1 where one that counts has not fetched yet.
   */
  highWatermark(writtenOffset: number, nowMs: number, lagMsMax: number): number {
    let lowest = writtenOffset;
    for (const [id, follower] of this.#followers) {
      if (follower.logEndOffset >= lowest) continue;
      if (this.#counted.has(id) || nowMs - caughtUpOf(follower) <= lagMsMax) lowest = follower.logEndOffset;
    }
    return lowest;
  }

  /**
   * To take a follower in that has just fetched: it must have all that is committed, and all from before this epoch,
   * of which more may have been committed than this leader knows. The proposal counts from now on.
   */
  expansion(broker: number, highWatermark: number): IsrProposal | undefined {
    if (!this.#isToJoin(broker, highWatermark)) return undefined;
    if (this.#pending !== undefined) {
      this.#wants.add(broker);
      return undefined;
    }
    return this.#expand([broker]);
  }

  /** To take those in that could not be proposed while another change was pending, where they still fetch. */
  expansions(highWatermark: number, nowMs: number, lagMsMax: number): IsrProposal | undefined {
    if (this.#pending !== undefined) return undefined;
    const fresh = [...this.#wants].filter((broker) => {
      const follower = this.#followers.get(broker);
      return follower !== undefined && nowMs - follower.clock.ms <= lagMsMax && this.#isToJoin(broker, highWatermark);
    });
    this.#wants.clear();
    return fresh.length === 0 ? undefined : this.#expand(fresh);
  }

  /** To leave those out that lack something written and have not been caught up for longer than `lagMsMax`. */
  shrink(writtenOffset: number, nowMs: number, lagMsMax: number): IsrProposal | undefined {
    if (this.#pending !== undefined) return undefined;
    const lags = (broker: number): boolean => {
      const follower = this.#followers.get(broker);
      return follower !== undefined && follower.logEndOffset < writtenOffset && nowMs - caughtUpOf(follower) > lagMsMax;
    };
    const isr = this.#isr.filter((broker) => !lags(broker));
    if (isr.length === this.#isr.length) return undefined;
    // Until it is committed, they may be elected: they count.
    return (this.#pending = this.#proposal(isr));
  }

  /**
   * What the controller said to a proposal. `done`: nothing is to be sent, and where the proposal stays pending, so it
   * does until the next epoch · `again`: it is to be sent again · `committed`: it holds, and others may be proposed.
   */
  decided(proposal: IsrProposal, answer: IsrAnswer): "done" | "again" | "committed" {
    if (this.#pending !== proposal) return "done";
    if (answer.kind === "error") return FINAL.has(answer.error) ? "done" : "again";
    if (answer.leaderEpoch !== this.epoch || answer.zkVersion <= this.#zkVersion) return "done";
    this.#isr = answer.isr;
    this.#zkVersion = answer.zkVersion;
    this.#pending = undefined;
    this.#counted = new Set(answer.isr);
    return "committed";
  }

  #isToJoin(broker: number, highWatermark: number): boolean {
    const follower = this.#followers.get(broker);
    return follower !== undefined && !this.#counted.has(broker) && follower.logEndOffset >= highWatermark && follower.logEndOffset >= this.epochStartOffset;
  }

  #expand(brokers: readonly number[]): IsrProposal {
    const isr = [...this.#isr, ...brokers];
    this.#counted = new Set(isr);
    return (this.#pending = this.#proposal(isr));
  }

  #proposal(isr: readonly number[]): IsrProposal {
    return { leaderEpoch: this.epoch, isr, zkVersion: this.#zkVersion };
  }
}

/** Whoever had all when it was last looked at had it still at its session's last fetch, or that would have looked again. */
function caughtUpOf(follower: Follower): number {
  return follower.logEndOffset >= follower.leaderEndThen ? Math.max(follower.caughtUpMs, follower.clock.ms) : follower.caughtUpMs;
}
