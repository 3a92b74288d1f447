import type { LeaderEpoch } from "../protocol/ids.ts";

/** What a leader knows of a follower. Source: kafka/cluster/Replica.scala. */
interface Follower {
  /** -1 until its first fetch in this epoch. */
  logEndOffset: number;
  logStartOffset: number;
  /** When it had last read to the leader's end. */
  caughtUpMs: number;
  /** At its last fetch: the time, and the leader's end then. */
  fetchedMs: number;
  leaderEndOffsetThen: number;
}

/**
 * A leader's view of its partition's replicas in one leader epoch: who is in sync, how far each has come, and how far
 * all that count have. Source: kafka/cluster/Partition.scala.
 */
export class LeaderState {
  readonly epoch: LeaderEpoch;
  /** The first offset that this epoch writes. */
  readonly epochStartOffset: number;
  readonly #localId: number;
  readonly #isr: ReadonlySet<number>;
  readonly #followers = new Map<number, Follower>();

  constructor(options: {
    readonly localId: number;
    readonly epoch: LeaderEpoch;
    readonly epochStartOffset: number;
    readonly replicas: readonly number[];
    readonly isr: readonly number[];
    readonly nowMs: number;
  }) {
    this.epoch = options.epoch;
    this.epochStartOffset = options.epochStartOffset;
    this.#localId = options.localId;
    this.#isr = new Set(options.isr);
    for (const replica of options.replicas) {
      if (replica === options.localId) continue;
      const caughtUpMs = this.#isr.has(replica) ? options.nowMs : Number.NEGATIVE_INFINITY;
      this.#followers.set(replica, { logEndOffset: -1, logStartOffset: -1, caughtUpMs, fetchedMs: Number.NEGATIVE_INFINITY, leaderEndOffsetThen: -1 });
    }
  }

  get inSyncCount(): number {
    return this.#isr.size;
  }

  isReplica(broker: number): boolean {
    return broker === this.#localId || this.#followers.has(broker);
  }

  /** Notes a follower's fetch, which says that it has all before `fetchOffset`. */
  fetched(broker: number, fetch: { readonly fetchOffset: number; readonly logStartOffset: number; readonly leaderEndOffset: number; readonly nowMs: number }): void {
    const follower = this.#followers.get(broker);
    if (follower === undefined) return;
    if (fetch.fetchOffset >= fetch.leaderEndOffset) follower.caughtUpMs = Math.max(follower.caughtUpMs, fetch.nowMs);
    else if (fetch.fetchOffset >= follower.leaderEndOffsetThen) follower.caughtUpMs = Math.max(follower.caughtUpMs, follower.fetchedMs);
    follower.logStartOffset = fetch.logStartOffset;
    follower.logEndOffset = fetch.fetchOffset;
    follower.leaderEndOffsetThen = fetch.leaderEndOffset;
    follower.fetchedMs = fetch.nowMs;
  }

  /**
   * The offset below which everything is on each replica that counts: this one, those in sync, and those that have
   * caught up within `lagMsMax` and are about to be.
   */
  highWatermark(localEndOffset: number, nowMs: number, lagMsMax: number): number {
    let lowest = localEndOffset;
    for (const [id, follower] of this.#followers) {
      const counts = this.#isr.has(id) || nowMs - follower.caughtUpMs <= lagMsMax;
      if (counts && follower.logEndOffset < lowest) lowest = follower.logEndOffset;
    }
    return lowest;
  }
}
