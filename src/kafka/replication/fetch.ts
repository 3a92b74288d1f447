import type { Timers } from "../../host/clock.ts";
import type { AbortedTxn } from "../log/txn-index.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { Partition, ReadBound } from "./partition.ts";

export interface FetchTarget {
  /** Or why this broker can't be asked for it. */
  readonly partition: Partition | ErrorCode;
  readonly fetchOffset: number;
  readonly currentLeaderEpoch: number;
  readonly maxBytes: number;
}

export interface FetchOptions {
  readonly bound: ReadBound;
  readonly leaderOnly: boolean;
  readonly minBytes: number;
  readonly maxBytes: number;
  readonly maxWaitMs: number;
  /** Fetch 0 to 2: no byte more than was asked for, a batch cut if need be. */
  readonly hardLimit: boolean;
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
}

export function failedFetch(error: ErrorCode): Fetched {
  return { error, highWatermark: -1, lastStableOffset: -1, logStartOffset: -1, chunks: [], bytes: 0, abortedTransactions: null };
}

/**
 * Reads from the partitions in their order; where that gives fewer than `minBytes` and no error, waits for more, at
 * most `maxWaitMs`, and reads once more. Source: ReplicaManager.fetchMessages, DelayedFetch.
 */
export async function fetchFrom(targets: readonly FetchTarget[], options: FetchOptions, timers: Timers): Promise<readonly Fetched[]> {
  const minBytes = Math.min(options.minBytes, options.maxBytes);
  const first = await readAll(targets, options);
  const bytes = first.reduce((sum, fetched) => sum + fetched.bytes, 0);
  const atOnce = options.maxWaitMs <= 0 || targets.length === 0 || bytes >= minBytes || first.some((fetched) => fetched.error !== ErrorCode.NONE);
  if (atOnce) return first;
  await untilWorthReading(targets, { ...options, minBytes }, timers);
  return readAll(targets, options);
}

async function readAll(targets: readonly FetchTarget[], options: FetchOptions): Promise<Fetched[]> {
  let room = options.maxBytes;
  let wholeFirstBatch = !options.hardLimit;
  const results: Fetched[] = [];
  for (const target of targets) {
    const fetched = await readOne(target, options, Math.min(target.maxBytes, room), wholeFirstBatch);
    if (fetched.bytes > 0) wholeFirstBatch = false;
    room = Math.max(0, room - fetched.bytes);
    results.push(fetched);
  }
  return results;
}

async function readOne(target: FetchTarget, options: FetchOptions, maxBytes: number, minOneMessage: boolean): Promise<Fetched> {
  const { partition, fetchOffset } = target;
  if (typeof partition === "number") return failedFetch(partition);
  const error = partition.check({ currentLeaderEpoch: target.currentLeaderEpoch, leaderOnly: options.leaderOnly });
  if (error !== ErrorCode.NONE) return failedFetch(error);
  const { log } = partition;
  const { highWatermark, lastStableOffset, startOffset } = log;
  const limits = { offset: fetchOffset, maxBytes, maxOffset: partition.boundOf(options.bound), minOneMessage };
  const read = log.readTail(limits) ?? (await log.read(limits));
  if (read.kind === "refused") return failedFetch(read.error);
  // A batch that did not fit is of no use to a client that may expect whole ones.
  const useless = !options.hardLimit && read.nextOffset === fetchOffset;
  return {
    error: ErrorCode.NONE,
    highWatermark,
    lastStableOffset,
    logStartOffset: startOffset,
    chunks: useless ? [] : read.chunks,
    bytes: useless ? 0 : read.bytes,
    abortedTransactions: options.bound === "lastStableOffset" ? log.abortedTransactions(fetchOffset, Math.max(fetchOffset, read.nextOffset)) : null,
  };
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
  for (const { partition, fetchOffset, currentLeaderEpoch } of targets) {
    if (typeof partition === "number" || partition.check({ currentLeaderEpoch, leaderOnly: options.leaderOnly }) !== ErrorCode.NONE) return true;
    const { log } = partition;
    if (fetchOffset < log.startOffset || fetchOffset > log.endOffset) return true;
    const bound = partition.boundOf(options.bound);
    if (bound > fetchOffset) bytes += log.availableBytes(fetchOffset, bound);
    if (bytes >= options.minBytes) return true;
  }
  return false;
}
