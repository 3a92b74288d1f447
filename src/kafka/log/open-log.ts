import { replaceTextFile } from "../../host/durable-file.ts";
import { OperationalError, errorCode } from "../../lib/error.ts";
import {
  NO_PRODUCER_ID,
  batchBaseOffset,
  batchChecksumHolds,
  batchLastOffset,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchProducerId,
} from "../records/batch.ts";
import { formatLeaderEpochs, parseLeaderEpochs, readTextFile } from "./checkpoint.ts";
import { LeaderEpochs } from "./leader-epochs.ts";
import type { LogConfig } from "./log-config.ts";
import { segmentOptions, type LogContext, type LogPath } from "./log-context.ts";
import { PartitionLog } from "./log.ts";
import { LEADER_EPOCH_FILE, parseSegmentFile, segmentFileName, type SegmentFile } from "./names.ts";
import { fitsSegment } from "./offset-index.ts";
import { replayProducers } from "./producer-replay.ts";
import { ProducerState } from "./producer-state.ts";
import { scanBatches } from "./scan.ts";
import { SegmentList } from "./segment-list.ts";
import { Segment } from "./segment.ts";
import { SnapshotFiles } from "./snapshot-files.ts";

const WINDOW_BYTES = 1024 * 1024;

export interface NewLogOptions {
  readonly topic: string;
  readonly partition: number;
  readonly logDirectory: string;
  /** The partition's directory in it. */
  readonly name: string;
  readonly config: LogConfig;
}

export interface OpenLogOptions extends NewLogOptions {
  /** The last stop was clean: nothing needs to be recovered. */
  readonly clean: boolean;
  /** As the checkpoints say; 0 where they do not. */
  readonly recoveryPoint: number;
  readonly startOffset: number;
  readonly highWatermark: number;
}

/** A new, empty log. Throws ERR_LOG_EXISTS where the directory already holds one. */
export function createLog(context: LogContext, options: NewLogOptions): PartitionLog {
  const directory: LogPath = { path: `${options.logDirectory}/${options.name}` };
  context.disk.makeDirectorySync(directory.path);
  if (exists(context, `${directory.path}/${segmentFileName(0, "log")}`)) {
    throw new OperationalError("ERR_LOG_EXISTS", `${directory.path} holds a log already, which was not there when this broker started. Restart the broker to load it, or move it away`);
  }
  const segment = Segment.create({ ...segmentOptions(context, directory, options.config), baseOffset: 0 });
  return new PartitionLog(context, {
    ...options,
    directory,
    segments: new SegmentList([segment]),
    epochs: new LeaderEpochs(),
    producers: new ProducerState(),
    snapshots: new SnapshotFiles(context.disk, directory, []),
    startOffset: 0,
    endOffset: 0,
    recoveryPoint: 0,
    highWatermark: 0,
  });
}

function exists(context: LogContext, path: string): boolean {
  try {
    context.disk.openSync(path, "read").closeSync();
    return true;
  } catch (error) {
    if (errorCode(error) === "ENOENT") return false;
    throw error;
  }
}

/**
 * The log in a directory, as Apache's broker or this one left it. After an unclean stop every batch from the recovery
 * point on is read and checked, and the log ends in front of the first that is damaged. Source: Log.loadSegments.
 */
export async function openLog(context: LogContext, options: OpenLogOptions): Promise<PartitionLog> {
  return new LogOpening(context, options).open();
}

class LogOpening {
  readonly #context: LogContext;
  readonly #options: OpenLogOptions;
  readonly #directory: LogPath;

  constructor(context: LogContext, options: OpenLogOptions) {
    this.#context = context;
    this.#options = options;
    this.#directory = { path: `${options.logDirectory}/${options.name}` };
  }

  async open(): Promise<PartitionLog> {
    const { clean, config, startOffset: checkpointedStart } = this.#options;
    const found = await this.#settleFiles();
    const { segments, damaged } = await this.#segmentsOf(found);
    const snapshots = new SnapshotFiles(
      this.#context.disk,
      this.#directory,
      found.filter((file) => file.kind === "snapshot").map((file) => file.offset),
    );
    const epochs = await this.#readEpochs();
    const rebuild = { segments, snapshots, epochs, startOffset: checkpointedStart };
    const recoverFrom = clean ? undefined : await this.#firstToRecover(segments, damaged);
    for (const segment of damaged) {
      if (recoverFrom === undefined || segment.baseOffset < recoverFrom) await this.#rebuild(segment, await this.#producersAt(segment.baseOffset, rebuild), undefined);
    }
    if (recoverFrom !== undefined) await this.#recover(recoverFrom, rebuild);
    await this.#dropWhatEndsBelow(checkpointedStart, segments);
    if (segments.all.length === 0) segments.add(Segment.create({ ...segmentOptions(this.#context, this.#directory, config), baseOffset: checkpointedStart }));

    const { active } = segments;
    const endOffset = await active.nextOffset();
    const startOffset = Math.max(checkpointedStart, segments.first.baseOffset);
    epochs.truncateFromEnd(endOffset);
    epochs.truncateFromStart(startOffset);
    if (epochs.changed) {
      await replaceTextFile(this.#context.disk, this.#directory.path, LEADER_EPOCH_FILE, formatLeaderEpochs(epochs.entries));
      epochs.changed = false;
    }
    await active.knowFirstTimestamp();
    await active.use(() => Promise.resolve(active.activate()));
    const producers = await this.#finalProducers(segments, snapshots, startOffset, endOffset);
    return new PartitionLog(this.#context, {
      ...this.#options,
      directory: this.#directory,
      segments,
      epochs,
      producers,
      snapshots,
      startOffset,
      endOffset,
      recoveryPoint: endOffset,
    });
  }

  #path(file: Pick<SegmentFile, "offset" | "kind">, stage = ""): string {
    return `${this.#directory.path}/${segmentFileName(file.offset, file.kind)}${stage}`;
  }

  /** Finishes deletions and replacements that a stop interrupted. Returns the files that remain. */
  async #settleFiles(): Promise<SegmentFile[]> {
    const { disk } = this.#context;
    const files = await this.#list();
    for (const file of files) if (file.stage === "deleted") await disk.remove(this.#path(file, ".deleted"));
    const cleaned = files.filter((file) => file.stage === "cleaned");
    const firstCleaned = Math.min(...cleaned.map((file) => file.offset));
    const swaps = files.filter((file) => file.stage === "swap");
    if (cleaned.length === 0 && swaps.length === 0) return files.filter((file) => file.stage === "live");
    // A replacement is complete only when all of its files have left the stage `.cleaned`, the first one last.
    for (const swap of swaps) {
      const isAlive = swap.kind !== "log" && swap.offset < firstCleaned && !swaps.some((one) => one.kind === "log" && one.offset === swap.offset);
      // Its `.log` is in place already and this index not: all of them are built anew, this one above all.
      if (isAlive) await this.#forgetIndex(swap.offset);
      if (swap.kind !== "log" || swap.offset >= firstCleaned) await disk.remove(this.#path(swap, ".swap"));
    }
    for (const file of cleaned) await disk.remove(this.#path(file, ".cleaned"));
    for (const swap of swaps) {
      if (swap.kind === "log" && swap.offset < firstCleaned) await this.#completeSwap(swap);
    }
    return (await this.#list()).filter((file) => file.stage === "live");
  }

  async #forgetIndex(offset: number): Promise<void> {
    await this.#context.disk.remove(this.#path({ offset, kind: "index" }));
    await this.#context.disk.syncDirectory(this.#directory.path);
  }

  async #list(): Promise<SegmentFile[]> {
    const entries = await this.#context.disk.readDirectory(this.#directory.path);
    const files = entries.flatMap((entry) => (entry.kind === "file" ? (parseSegmentFile(entry.name) ?? []) : []));
    return files.toSorted((a, b) => a.offset - b.offset);
  }

  /** The swap file takes the place of the segments whose records it holds; its indexes are rebuilt later. */
  async #completeSwap(swap: SegmentFile): Promise<void> {
    const { disk } = this.#context;
    let endOffset = swap.offset;
    const file = await disk.open(this.#path(swap, ".swap"), "read");
    await scanBatches(file, 0, file.sizeSync(), { bodies: "none", windowBytes: WINDOW_BYTES }, (buffer, at) => {
      endOffset = batchLastOffset(buffer, at) + 1;
    });
    await file.close();
    this.#context.log.info("compaction completed at start", { log: this.#directory.path, baseOffset: swap.offset });
    for (const old of await this.#list()) {
      const replaced = old.offset === swap.offset || (old.offset > swap.offset && old.offset < endOffset);
      if (old.stage === "live" && old.kind !== "snapshot" && replaced) await disk.remove(this.#path(old));
    }
    await disk.rename(this.#path(swap, ".swap"), this.#path(swap));
  }

  /** `damaged`: segments whose indexes must be built anew. */
  async #segmentsOf(files: readonly SegmentFile[]): Promise<{ segments: SegmentList; damaged: Segment[] }> {
    const { disk } = this.#context;
    const kindsOf = new Map<number, Set<string>>();
    for (const { offset, kind } of files) kindsOf.set(offset, (kindsOf.get(offset) ?? new Set()).add(kind));
    const segments: Segment[] = [];
    const damaged: Segment[] = [];
    for (const [baseOffset, kinds] of kindsOf) {
      if (!kinds.has("log")) {
        for (const kind of ["index", "timeindex", "txnindex"] as const) if (kinds.has(kind)) await disk.remove(this.#path({ offset: baseOffset, kind }));
        continue;
      }
      const sizeBytes = (await disk.stat(this.#path({ offset: baseOffset, kind: "log" })))?.size ?? 0;
      const segment = new Segment({ ...segmentOptions(this.#context, this.#directory, this.#options.config), baseOffset, sizeBytes });
      segments.push(segment);
      if (kinds.has("txnindex")) await segment.loadTxns();
      if (!kinds.has("timeindex")) await (await disk.open(this.#path({ offset: baseOffset, kind: "timeindex" }), "write")).close();
      const problem = kinds.has("index") ? segment.txns.problem(baseOffset) : "there is no offset index";
      if (problem === undefined) continue;
      damaged.push(segment);
      this.#context.log.warn("a segment's indexes are built anew", { log: this.#directory.path, baseOffset, problem });
    }
    return { segments: new SegmentList(segments), damaged };
  }

  async #readEpochs(): Promise<LeaderEpochs> {
    const path = `${this.#directory.path}/${LEADER_EPOCH_FILE}`;
    return LeaderEpochs.of(parseLeaderEpochs(await readTextFile(this.#context.disk, path), path));
  }

  /** The base of the segment that the recovery point lies in, or of the one before it where that was not completed. */
  async #firstToRecover(segments: SegmentList, damaged: readonly Segment[]): Promise<number | undefined> {
    const [first] = segments.from(this.#options.recoveryPoint);
    if (first === undefined) return undefined;
    const previous = segments.all[segments.all.indexOf(first) - 1];
    const trusted = previous === undefined || damaged.includes(previous) || (await isComplete(previous, this.#options.config));
    return trusted ? first.baseOffset : previous.baseOffset;
  }

  async #recover(from: number, log: Rebuild): Promise<void> {
    await log.snapshots.prune((offset) => offset > from);
    const producers = await this.#producersAt(from, log);
    for (const segment of log.segments.from(from)) {
      producers.endOffset = Math.max(producers.endOffset, segment.baseOffset);
      log.snapshots.take(producers);
      const cut = await this.#rebuild(segment, producers, log.epochs);
      const next = log.segments.after(segment);
      if (next === undefined || this.#follows(next, producers.endOffset, cut)) continue;
      const gone = log.segments.all.filter((one) => one.baseOffset > segment.baseOffset);
      log.segments.remove(gone);
      for (const one of gone) await this.#remove(one);
      break;
    }
    log.snapshots.take(producers);
  }

  /**
   * Whether nothing is missing between a segment that ends at `endOffset`, perhaps since it was cut, and the next one.
   * Where nothing was synced the end of a segment may be lost and the next one kept, which Apache does not notice.
   * Compacted topics have gaps of their own.
   */
  #follows(next: Segment, endOffset: number, cut: boolean): boolean {
    if (next.baseOffset === endOffset || (!cut && this.#options.config.cleanupPolicy.includes("compact"))) return true;
    this.#context.log.warn("a log ends in front of missing records", { log: this.#directory.path, endOffset, nextSegment: next.baseOffset });
    return false;
  }

  async #producersAt(offset: number, log: Rebuild): Promise<ProducerState> {
    const state = new ProducerState();
    await replayProducers(this.#context, { state, snapshots: log.snapshots, segments: log.segments, startOffset: log.startOffset, upTo: Math.max(offset, log.startOffset) });
    state.endOffset = offset;
    return state;
  }

  /** Reads the segment's batches, builds its indexes from them and cuts it behind the last good one. True: it was cut. */
  async #rebuild(segment: Segment, producers: ProducerState, epochs: LeaderEpochs | undefined): Promise<boolean> {
    const sizeBytes = segment.sizeBytes;
    let lastOffset = segment.baseOffset - 1;
    let problem: string | undefined;
    segment.startRecovery();
    await segment.use(async (file) => {
      const scan = await scanBatches(file, 0, sizeBytes, { bodies: "all", windowBytes: WINDOW_BYTES }, (buffer, at, size) => {
        const next = batchLastOffset(buffer, at);
        if (!batchChecksumHolds(buffer, at, size)) problem = "its checksum does not hold";
        else if (next <= lastOffset || next < batchBaseOffset(buffer, at)) problem = `its offset ${next} follows ${lastOffset}`;
        if (problem !== undefined) return true;
        if (!fitsSegment(segment.baseOffset, next)) throw this.#overflow(segment.baseOffset, next);
        lastOffset = next;
        segment.note(buffer, at, size);
        takeIn(segment, producers, epochs, buffer, at, size);
        return false;
      });
      if (scan.reason === "corrupt") problem = "its size or format is impossible";
      if (scan.reason === "cut") problem = "it is cut off";
      await segment.finishRecovery();
    });
    if (problem === undefined) return false;
    this.#context.log.warn("a log ends in front of a damaged batch", {
      log: this.#directory.path,
      segment: segment.baseOffset,
      problem,
      endOffset: lastOffset + 1,
      bytesCut: sizeBytes - segment.sizeBytes,
    });
    return true;
  }

  #overflow(baseOffset: number, offset: number): OperationalError {
    return new OperationalError(
      "ERR_SEGMENT_OVERFLOW",
      `${this.#path({ offset: baseOffset, kind: "log" })} holds offset ${offset}, too far from its first one for an index: a segment of a Kafka before 2.0. Start Apache Kafka 2.7 on the directory once, which splits it`,
    );
  }

  async #dropWhatEndsBelow(startOffset: number, segments: SegmentList): Promise<void> {
    if (segments.all.length === 0 || (await segments.active.nextOffset()) >= startOffset) return;
    this.#context.log.warn("a log that ends below its start is emptied: segments are missing", { log: this.#directory.path, startOffset });
    const gone = segments.all;
    segments.remove(gone);
    for (const segment of gone) await this.#remove(segment);
  }

  async #remove(segment: Segment): Promise<void> {
    await segment.close();
    for (const kind of ["log", "index", "timeindex", "txnindex"] as const) await this.#context.disk.remove(this.#path({ offset: segment.baseOffset, kind }));
  }

  async #finalProducers(segments: SegmentList, snapshots: SnapshotFiles, startOffset: number, endOffset: number): Promise<ProducerState> {
    const state = new ProducerState();
    if (this.#options.clean && snapshots.offsets.length === 0) {
      // Written before producers had state: there is nothing to find, and nothing shall be searched for next time.
      for (const offset of [...segments.all.slice(-2).map((segment) => segment.baseOffset), endOffset]) {
        state.reset(offset);
        snapshots.take(state);
      }
      return state;
    }
    await snapshots.prune((offset) => offset > endOffset || offset <= startOffset);
    await replayProducers(this.#context, { state, snapshots, segments, startOffset, upTo: endOffset });
    snapshots.take(state);
    return state;
  }
}

interface Rebuild {
  readonly segments: SegmentList;
  readonly snapshots: SnapshotFiles;
  readonly epochs: LeaderEpochs;
  readonly startOffset: number;
}

function takeIn(segment: Segment, producers: ProducerState, epochs: LeaderEpochs | undefined, buffer: Buffer, at: number, size: number): void {
  if (batchMagic(buffer, at) >= 2) {
    const epoch = batchLeaderEpoch(buffer, at);
    if (epochs !== undefined && epoch > (epochs.latestEpoch ?? -1)) epochs.assign(epoch, batchBaseOffset(buffer, at));
    if (batchProducerId(buffer, at) > NO_PRODUCER_ID) {
      const completed = producers.apply(buffer, at, size);
      if (completed?.aborted === true) segment.noteAborted(completed);
    }
  }
  producers.endOffset = batchLastOffset(buffer, at) + 1;
}

/**
 * Whether a segment below the recovery point was completed before the stop: it may have been rolled after the last
 * flush, which leaves its records durable but not the end of its indexes.
 */
function isComplete(segment: Segment, config: LogConfig): Promise<boolean> {
  return segment.use(async (file) => {
    const { offsetIndex, timeIndex } = segment;
    if (offsetIndex.untrimmed || timeIndex.untrimmed) return false;
    const start = offsetIndex.positionFor(offsetIndex.lastOffset);
    let complete = true;
    const scan = await scanBatches(file, start, segment.sizeBytes, { bodies: "none", windowBytes: WINDOW_BYTES }, (buffer, at, _size, position) => {
      if (batchMaxTimestamp(buffer, at) > timeIndex.lastTimestamp || position - start > config.indexIntervalBytes) complete = false;
    });
    return complete && scan.reason === "end";
  });
}
