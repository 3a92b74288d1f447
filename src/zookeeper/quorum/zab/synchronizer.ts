import type { Host } from "../../../host/host.ts";
import { assertNever } from "../../../lib/assert.ts";
import { errorCode, OperationalError } from "../../../lib/error.ts";
import { toHex, type Zxid } from "../../protocol/ids.ts";
import { SNAPSHOT_SIGNATURE, snapshotSignature } from "../../protocol/quorum.ts";
import type { CommittedTransaction } from "../../store/committed-window.ts";
import type { Database } from "../../store/database.ts";
import { TreeWriter } from "../../store/snapshot-format.ts";
import { nextSlice } from "../../store/snapshots.ts";
import type { LearnerLink, Output } from "./learner-link.ts";
import { encodeLeaderPacket, encodeProposed } from "./packets.ts";
import { logBytesMax, planSync, type SyncPlan } from "./sync-plan.ts";

export interface SynchronizerOptions {
  readonly database: Database;
  /** The keys of the same names. */
  readonly snapshotSizeFactor: number;
  readonly forceSnapshotSync: boolean;
  readonly maxConcurrentSnapshots: number;
}

export interface Behind {
  /** Last of its log. */
  readonly lastZxid: Zxid;
  readonly observer: boolean;
}

const FLUSH_BYTES = 64 * 1024;
/** Or after this long: a learner takes a leader that is silent for lost, and many small files, or a slow disk, take longer to read than it waits. */
const FLUSH_MS = 100;

/** Sends learners what they lack of the leader's history. Sources: LearnerHandler.syncFollower, LearnerSnapshotThrottler. */
export class Synchronizer {
  readonly #host: Host;
  readonly #options: SynchronizerOptions;
  #snapshots = 0;
  /** Streams that wait for another snapshot to be through. */
  readonly #waiting: (() => void)[] = [];

  constructor(host: Host, options: SynchronizerOptions) {
    this.#host = host;
    this.#options = options;
  }

  /** What is decided here and now stands in the link's queue when the call returns. */
  synchronize(link: LearnerLink, { lastZxid, observer }: Behind): void {
    const { database, forceSnapshotSync, snapshotSizeFactor } = this.#options;
    const { tree, window, logStart } = database;
    const plan = planSync(lastZxid, { lastZxid: tree.lastZxid, window, logStart: snapshotSizeFactor < 0 ? undefined : logStart, forceSnapshot: forceSnapshotSync });
    this.#host.log.info("a learner is synchronized", { from: link.remoteHost, its: `0x${toHex(lastZxid)}`, ours: `0x${toHex(tree.lastZxid)}`, by: plan.kind === "history" ? plan.head.kind : plan.kind });
    switch (plan.kind) {
      case "snap":
        return link.stream((output) => this.#sendSnapshot(output));
      case "history":
        link.send(encodeLeaderPacket(plan.head));
        for (const transaction of plan.transactions) link.send(encodeCommitted(transaction, observer));
        return;
      case "log":
        return link.stream((output) => this.#sendLog(output, plan, { lastZxid, observer }));
      default:
        assertNever(plan);
    }
  }

  async #sendSnapshot(output: Output): Promise<void> {
    while (this.#snapshots >= this.#options.maxConcurrentSnapshots) await new Promise<void>((resolve) => this.#waiting.push(resolve));
    this.#snapshots += 1;
    // What is committed from here on the learner hears of too, and what was committed since it began to wait once more.
    const writer = new TreeWriter(this.#options.database.tree);
    try {
      await output(encodeLeaderPacket({ kind: "snap", zxid: writer.zxid }));
      for (let slice = nextSlice(this.#host.clock, writer); slice !== undefined; slice = nextSlice(this.#host.clock, writer)) await output(slice);
      await output([snapshotSignature.encode({ text: SNAPSHOT_SIGNATURE })]);
    } finally {
      writer.close();
      this.#snapshots -= 1;
      this.#waiting.shift()?.();
    }
  }

  async #sendLog(output: Output, plan: SyncPlan & { readonly kind: "log" }, { lastZxid, observer }: Behind): Promise<void> {
    const { database, snapshotSizeFactor } = this.#options;
    const { walk, until, rest } = plan;
    const { clock } = this.#host;
    const bytesMax = logBytesMax(snapshotSizeFactor, await database.newestSnapshotBytes());
    if (bytesMax === undefined || (bytesMax !== Number.POSITIVE_INFINITY && (await database.logBytesFrom(lastZxid)) > bytesMax)) return this.#sendSnapshot(output);
    let begun = false;
    let gathered: Buffer[] = [];
    let gatheredBytes = 0;
    let flushedMs = clock.monotonicMs();
    const take = (transaction: CommittedTransaction): void => {
      if (walk.next(transaction.zxid) !== "send") return;
      gathered.push(...encodeCommitted(transaction, observer));
      gatheredBytes += transaction.payload.length;
    };
    const flush = (): Promise<void> => {
      const chunks = begun || walk.head === undefined ? gathered : [...encodeLeaderPacket(walk.head), ...gathered];
      begun = true;
      gathered = [];
      gatheredBytes = 0;
      flushedMs = clock.monotonicMs();
      return output(chunks);
    };
    try {
      for await (const transactions of database.readLog(lastZxid, until)) {
        for (const { header, payload } of transactions) take({ zxid: header.zxid, payload });
        if (gatheredBytes >= FLUSH_BYTES || (gatheredBytes > 0 && clock.monotonicMs() - flushedMs >= FLUSH_MS)) await flush();
      }
    } catch (error) {
      // A file that has been purged meanwhile, or was damaged all along: the window does not join on to what was read.
      if (errorCode(error) === undefined || errorCode(error) === "ECANCELED") throw error;
      this.#host.log.warn("the log can't be read to bring a learner up to date", { error });
    }
    for (const transaction of rest) take(transaction);
    if (walk.end()) return flush();
    // What is missing comes before the window's first transaction; next time the log is not tried.
    database.logBrokenBefore(until);
    if (!begun) return this.#sendSnapshot(output);
    throw new OperationalError("ZK_LOG", "the log lacks transactions that the learner needs; when it comes back it gets a snapshot");
  }
}

function encodeCommitted({ zxid, payload }: CommittedTransaction, observer: boolean): Buffer[] {
  if (observer) return encodeProposed("inform", zxid, payload);
  return [...encodeProposed("proposal", zxid, payload), ...encodeLeaderPacket({ kind: "commit", zxid })];
}
