import type { Timers } from "../../host/clock.ts";
import type { EpochEnd } from "../log/leader-epochs.ts";
import type { AbortedTxn } from "../log/txn-index.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { Partition, ReadBound } from "./partition.ts";

/** What is asked of one partition. */
export interface FetchAsked {
  readonly fetchOffset: number;
  readonly currentLeaderEpoch: number;
  /** Of the reader's last record; -1: it does not say, and hears nothing of a divergence. */
  readonly lastFetchedEpoch: number;
  readonly maxBytes: number;
}

export interface FetchTarget extends FetchAsked {
  /** Or why this broker can't be asked for it. */
  readonly partition: Partition | ErrorCode;
}

export interface FetchOptions {
  readonly bound: ReadBound;
  readonly leaderOnly: boolean;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  /**
   * A batch larger than the limits comes whole all the same: the first of all, or the first of each partition while
   * `maxBytes` lasts.
   */
  readonly firstBatch: "whole once" | "whole each";
}

export interface ReadOptions extends Pick<FetchOptions, "bound" | "leaderOnly"> {
  /** The first batch comes whole, however large it is. */
  readonly minOneMessage: boolean;
}

/** The outcome for one partition; offsets are -1 where there is an error. */
export interface Fetched {
  readonly error: ErrorCode;
  readonly highWatermark: number;
  readonly lastStableOffset: number;
  readonly logStartOffset: number;
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
  /** Only where `bound` is the last stable offset. */
  readonly abortedTransactions: readonly AbortedTxn[] | null;
  /** The reader holds what this log does not: where to truncate; nothing is read then. */
  readonly diverging: EpochEnd | undefined;
}

export function failedFetch(error: ErrorCode): Fetched {
  return { error, highWatermark: -1, lastStableOffset: -1, logStartOffset: -1, chunks: [], bytes: 0, abortedTransactions: null, diverging: undefined };
}

/**
 * Reads from the partitions in their order; where that gives fewer than `minBytes`, no error and no divergence, waits
 * for more, at most `maxWaitMs`, and reads once more. Source: ReplicaManager.fetchMessages, DelayedFetch.
 */
export async function fetchFrom(targets: readonly FetchTarget[], options: FetchOptions, timers: Timers): Promise<readonly Fetched[]> {
  const minBytes = Math.min(options.minBytes, options.maxBytes);
  const first = await readAll(targets, options);
  const bytes = first.reduce((sum, fetched) => sum + fetched.bytes, 0);
  if (options.maxWaitMs <= 0 || targets.length === 0 || bytes >= minBytes || first.some(isUrgent)) return first;
  await untilWorthReading(targets, { ...options, minBytes }, timers);
  return readAll(targets, options);
}

/** Told at once, however little else there is to tell. */
export function isUrgent(fetched: Fetched): boolean {
  return fetched.error !== ErrorCode.NONE || fetched.diverging !== undefined;
}

async function readAll(targets: readonly FetchTarget[], options: FetchOptions): Promise<Fetched[]> {
  let room = options.maxBytes;
  let minOneMessage = true;
  const results: Fetched[] = [];
  for (const target of targets) {
    const fetched = await readPartition(target.partition, { ...target, maxBytes: Math.min(target.maxBytes, room) }, { ...options, minOneMessage });
    room = Math.max(0, room - fetched.bytes);
    if (fetched.bytes > 0) minOneMessage = options.firstBatch === "whole each" && room > 0;
    results.push(fetched);
  }
  return results;
}

/** Reads at most `maxBytes` of one partition, but for a first batch that may be larger. Source: Partition.readRecords. */
export async function readPartition(partition: Partition | ErrorCode, asked: FetchAsked, options: ReadOptions): Promise<Fetched> {
  if (typeof partition === "number") return failedFetch(partition);
  const { fetchOffset, currentLeaderEpoch, maxBytes } = asked;
  const error = partition.check({ currentLeaderEpoch, leaderOnly: options.leaderOnly });
  if (error !== ErrorCode.NONE) return failedFetch(error);
  const { log } = partition;
  const diverging = partition.divergence(asked.lastFetchedEpoch, fetchOffset);
  if (diverging === "unknown") return failedFetch(ErrorCode.OFFSET_OUT_OF_RANGE);
  // As it was before the read: what comes meanwhile must wake whoever waits.
  const { highWatermark, lastStableOffset, startOffset: logStartOffset } = log;
  const nothing: Fetched = { error, highWatermark, lastStableOffset, logStartOffset, chunks: [], bytes: 0, abortedTransactions: options.bound === "lastStableOffset" ? [] : null, diverging };
  if (diverging !== undefined) return nothing;
  // The response is full: no file is touched to say how little there is room for.
  if (maxBytes <= 0 && !options.minOneMessage) return fetchOffset >= logStartOffset && fetchOffset <= log.endOffset ? nothing : failedFetch(ErrorCode.OFFSET_OUT_OF_RANGE);
  const limits = { offset: fetchOffset, maxBytes, maxOffset: partition.boundOf(options.bound), minOneMessage: options.minOneMessage };
  const read = log.readTail(limits) ?? (await log.read(limits));
  if (read.kind === "refused") return failedFetch(read.error);
  const abortedTransactions = options.bound === "lastStableOffset" ? log.abortedTransactions(fetchOffset, Math.max(fetchOffset, read.nextOffset)) : null;
  // A batch that did not fit is of no use to a client that may expect whole ones.
  if (read.nextOffset === fetchOffset) return { ...nothing, abortedTransactions };
  return { ...nothing, chunks: read.chunks, bytes: read.bytes, abortedTransactions };
}

/** Resolves when a read would give `minBytes`, or an error, or when the time is over. */
function untilWorthReading(targets: readonly FetchTarget[], options: FetchOptions, timers: Timers): Promise<void> {
  return new Promise((resolve) => {
    let looking = false;
    let over = false;
    const finish = (): void => {
      over = true;
      timer.cancel();
      for (const stop of stops) stop();
      resolve();
    };
    const timer = timers.after(options.maxWaitMs, finish);
    // However much one turn appends, it is looked at once.
    const look = (): void => {
      if (looking || over) return;
      looking = true;
      timers.soon(() => {
        looking = false;
        if (!over && isWorthReading(targets, options)) finish();
      });
    };
    const stops = targets.map(({ partition }) => (typeof partition === "number" ? () => undefined : partition.watch(look)));
    // Something may have come while the first read waited for a file.
    look();
  });
}

function isWorthReading(targets: readonly FetchTarget[], options: FetchOptions): boolean {
  let bytes = 0;
  for (const target of targets) {
    bytes += availableTo(target.partition, target, options);
    if (bytes >= options.minBytes) return true;
  }
  return false;
}

/** Bytes that a read would give; Infinity where it should not wait: it would give an error, a divergence or more than is counted. */
export function availableTo(partition: Partition | ErrorCode, asked: FetchAsked, { bound, leaderOnly }: Pick<FetchOptions, "bound" | "leaderOnly">): number {
  if (typeof partition === "number") return Infinity;
  const { fetchOffset, currentLeaderEpoch, lastFetchedEpoch, maxBytes } = asked;
  if (partition.check({ currentLeaderEpoch, leaderOnly }) !== ErrorCode.NONE || partition.divergence(lastFetchedEpoch, fetchOffset) !== undefined) return Infinity;
  const { log } = partition;
  if (fetchOffset < log.startOffset || fetchOffset > log.endOffset) return Infinity;
  const until = partition.boundOf(bound);
  if (until <= fetchOffset) return 0;
  const bytes = log.availableBytes(fetchOffset, until);
  return bytes === Infinity ? Infinity : Math.min(bytes, maxBytes);
}
