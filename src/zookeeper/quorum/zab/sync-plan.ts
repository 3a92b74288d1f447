import { must } from "../../../lib/assert.ts";
import { counterOf, epochOf, type Zxid } from "../../protocol/ids.ts";
import type { CommittedTransaction, CommittedWindow } from "../../store/committed-window.ts";

/**
 * How a learner's history is made the leader's. Sources: LearnerHandler.syncFollower and queueCommittedProposals,
 * ZKDatabase.calculateTxnLogSizeLimit.
 */

/** What the leader has, at one moment; nothing of it is applied before what was decided stands in the learner's queue. */
export interface LeaderHistory {
  /** Of the last transaction in the tree. */
  readonly lastZxid: Zxid;
  readonly window: Pick<CommittedWindow, "min" | "max" | "from">;
  /**
   * From this transaction on the log holds each one. A member that took over a leader's snapshot has a gap before it:
   * the log alone does not show that. Undefined: the log is not to be used (`zookeeper.snapshotSizeFactor` below 0).
   */
  readonly logStart: Zxid | undefined;
  /** `zookeeper.forceSnapshotSync`. */
  readonly forceSnapshot: boolean;
}

/** The packet that begins the synchronization. */
export interface SyncHead {
  readonly kind: "diff" | "trunc";
  readonly zxid: Zxid;
}

export type SyncPlan =
  | { readonly kind: "snap" }
  /** The head, then each transaction as a proposal and its commit. */
  | { readonly kind: "history"; readonly head: SyncHead; readonly transactions: readonly CommittedTransaction[] }
  /** First the log, from the learner's transaction up to `until`, then `rest`: `walk` says of each what becomes of it. */
  | { readonly kind: "log"; readonly walk: HistoryWalk; readonly until: Zxid; readonly rest: readonly CommittedTransaction[] };

const SNAP: SyncPlan = { kind: "snap" };

/** For a learner whose last logged transaction is `learnerZxid`. */
export function planSync(learnerZxid: Zxid, history: LeaderHistory): SyncPlan {
  const { lastZxid, window } = history;
  const min = window.min ?? lastZxid;
  const max = window.max ?? lastZxid;
  if (history.forceSnapshot) return SNAP;
  if (learnerZxid === lastZxid) return { kind: "history", head: { kind: "diff", zxid: learnerZxid }, transactions: [] };
  // Whoever has more of an epoch than its later leaders has all that they have of it, too.
  if (learnerZxid > max && !beginsEpoch(learnerZxid)) return { kind: "history", head: { kind: "trunc", zxid: max }, transactions: [] };
  if (learnerZxid > max) return SNAP;
  const walk = new HistoryWalk(learnerZxid, max);
  if (learnerZxid >= min) return fromWindow(walk, window.from(min));
  if (history.logStart === undefined || learnerZxid < history.logStart) return SNAP;
  return { kind: "log", walk, until: min, rest: window.from(min) };
}

function fromWindow(walk: HistoryWalk, entries: readonly CommittedTransaction[]): SyncPlan {
  const transactions = entries.filter((entry) => walk.next(entry.zxid) === "send");
  return walk.end() ? { kind: "history", head: must(walk.head, "a head"), transactions } : SNAP;
}

/**
 * Goes through the leader's transactions in order, from one on that the learner has or should have. As soon as
 * there is a `head` it can be sent, and after it all that is to "send"; "broken" means that only a snapshot helps.
 */
export class HistoryWalk {
  readonly #learnerZxid: Zxid;
  readonly #max: Zxid;
  #last: Zxid | undefined;
  #broken = false;
  #head: SyncHead | undefined;

  constructor(learnerZxid: Zxid, max: Zxid) {
    this.#learnerZxid = learnerZxid;
    this.#max = max;
  }

  get head(): SyncHead | undefined {
    return this.#head;
  }

  next(zxid: Zxid): "skip" | "send" | "broken" {
    const last = this.#last;
    if (this.#broken) return "broken";
    if (last !== undefined && zxid <= last) return "skip";
    if (last === undefined ? zxid > this.#learnerZxid : !follows(last, zxid)) return this.#break();
    this.#last = zxid;
    if (zxid < this.#learnerZxid) return "skip";
    if (this.#head !== undefined) return "send";
    // Nobody is sent the transactions of an epoch that another history has instead of them: that takes a snapshot.
    if (zxid > this.#learnerZxid && !beginsEpoch(this.#learnerZxid)) return this.#break();
    this.#head = { kind: "diff", zxid: this.#max };
    return zxid === this.#learnerZxid ? "skip" : "send";
  }

  /** After the last one: whether the learner has, with what was sent, all that the leader has. */
  end(): boolean {
    if (this.#broken || this.#last !== this.#max) return false;
    if (this.#head === undefined && beginsEpoch(this.#learnerZxid)) this.#head = { kind: "diff", zxid: this.#max };
    return this.#head !== undefined;
  }

  #break(): "broken" {
    this.#broken = true;
    return "broken";
  }
}

/** Transactions of an epoch are numbered without gaps, from 1. */
export function follows(last: Zxid, next: Zxid): boolean {
  return next === last + 1 || (epochOf(next) > epochOf(last) && counterOf(next) === 1);
}

/** No transaction has such a number, but a leader's snapshot may, before its first one. */
function beginsEpoch(zxid: Zxid): boolean {
  return counterOf(zxid) === 0;
}

const SNAPSHOT_SIZE_FACTOR = 0.33;

/**
 * How much log may be read instead of sending a snapshot, by `zookeeper.snapshotSizeFactor`; undefined: none at all.
 * A factor of 0 sets no limit, one above 1 counts as the default.
 */
export function logBytesMax(factor: number, snapshotBytes: number): number | undefined {
  if (factor < 0) return undefined;
  if (factor === 0) return Number.POSITIVE_INFINITY;
  return snapshotBytes * (factor > 1 ? SNAPSHOT_SIZE_FACTOR : factor);
}
