import { assert, AssertionFailure, must } from "../../lib/assert.ts";
import type { Disk, File } from "../../host/disk.ts";
import { batchBaseOffset, batchLastOffset, batchMaxTimestamp, NO_TIMESTAMP } from "../records/batch.ts";
import type { LogConfig } from "./log-config.ts";
import { segmentFileName, stageSuffix, type SegmentFileKind, type SegmentStage } from "./names.ts";
import { fitsSegment, OffsetIndex } from "./offset-index.ts";
import { scanBatches } from "./scan.ts";
import type { Cached, SegmentCache } from "./segment-cache.ts";
import { TimeIndex } from "./time-index.ts";
import { TxnIndex, type AbortedTxn } from "./txn-index.ts";

/** Index entries are written when this many bytes have gathered, a crash rebuilds them anyway; the first one at once, for tools that look at a live index. */
const INDEX_WRITE_BYTES = 512;
/** Enough to find a batch between two entries of an index in one read. */
const LOCATE_WINDOW_BYTES = 8192;

export interface SegmentOptions {
  readonly disk: Disk;
  readonly cache: SegmentCache;
  /** Where the files are; the log changes it when it moves. */
  readonly directory: { readonly path: string };
  readonly baseOffset: number;
  readonly config: LogConfig;
  /** Of `.log`: 0 for a segment that is new. */
  readonly sizeBytes: number;
  /** When this process first saw the segment. */
  readonly createdMs: number;
  /** How much earlier than segment.ms this segment ends. */
  readonly rollJitterMs: number;
}

export interface BatchPlace {
  readonly position: number;
  readonly sizeBytes: number;
  /** Of a v0/v1 wrapper its last one: the format does not tell the first. */
  readonly baseOffset: number;
}

interface Indexes {
  readonly offsets: OffsetIndex;
  readonly times: TimeIndex;
}

/** The segment was deleted while it was read: look at the log anew. */
export class SegmentGone extends Error {
  override readonly name = "SegmentGone";
}

/**
 * A piece of a log: `.log` and its three indexes, named by the first offset that may be in it. The last segment of a
 * log is active: appended to, its files open, its indexes pre-sized as Kafka's are. Others are opened when they are
 * read and released by the cache. `.log` is written by the log's queue; everything else here.
 * Source: kafka.log.LogSegment, AbstractIndex.
 */
export class Segment implements Cached {
  readonly baseOffset: number;
  /** Bytes of `.log`, those included that are still being written. */
  sizeBytes: number;
  /** Bytes of `.log` that can be read from the file. */
  writtenBytes: number;
  txns = new TxnIndex(Buffer.alloc(0));
  #hasTxnFile = false;
  /** Max timestamp of the first batch, by which the segment's age is measured. */
  firstTimestamp = NO_TIMESTAMP;
  /** As the names of its files tell. */
  stage: SegmentStage = "live";

  readonly #options: SegmentOptions;
  #createdMs: number;
  #active = false;
  #log: File | undefined;
  #indexes: Indexes | undefined;
  #indexFiles: { readonly offsets: File; readonly times: File } | undefined;
  /** The index files differ from what was synced. */
  #indexesChanged = false;
  #txnFile: File | undefined;
  #bytesSinceEntry = 0;
  /** -1: no record has a timestamp. Undefined: the time index was not looked at yet. */
  #maxTimestamp: number | undefined;
  #offsetOfMaxTimestamp = 0;
  #preallocated = false;
  #users = 0;
  #whenUnused: (() => void)[] = [];
  /** Something was written that no sync has made durable. */
  unsynced = false;

  constructor(options: SegmentOptions) {
    this.#options = options;
    this.baseOffset = options.baseOffset;
    this.sizeBytes = options.sizeBytes;
    this.writtenBytes = options.sizeBytes;
    this.#createdMs = options.createdMs;
  }

  /** A new, empty, active segment; files that lie in its place are emptied. `cleaned`: one that is to replace others. */
  static create({ stage = "live", ...options }: Omit<SegmentOptions, "sizeBytes"> & { readonly stage?: "live" | "cleaned" }): Segment {
    const segment = new Segment({ ...options, sizeBytes: 0 });
    const { disk, config } = options;
    segment.stage = stage;
    segment.#log = disk.openSync(segment.#path("log"), "truncate");
    if (config.preallocate && stage === "live") {
      segment.#log.truncateSync(config.segmentBytes);
      segment.#preallocated = true;
    }
    disk.removeSync(segment.#path("txnindex"));
    segment.#startIndexes();
    segment.#maxTimestamp = NO_TIMESTAMP;
    segment.#offsetOfMaxTimestamp = options.baseOffset;
    segment.activate();
    return segment;
  }

  get active(): boolean {
    return this.#active;
  }

  get inUse(): boolean {
    return this.#users > 0 || this.#active || this.unsynced;
  }

  get weightBytes(): number {
    return (this.#indexes?.offsets.table.sizeBytes ?? 0) + (this.#indexes?.times.table.sizeBytes ?? 0);
  }

  /** `.log`, open. */
  get file(): File {
    return must(this.#log, `the open file of segment ${this.baseOffset}`);
  }

  get offsetIndex(): OffsetIndex {
    return must(this.#indexes, `the indexes of segment ${this.baseOffset}`).offsets;
  }

  get timeIndex(): TimeIndex {
    return must(this.#indexes, `the indexes of segment ${this.baseOffset}`).times;
  }

  /** -1 where no record has a timestamp; for a segment that is open. */
  get maxTimestamp(): number {
    return must(this.#maxTimestamp, `the max timestamp of segment ${this.baseOffset}`);
  }

  #path(kind: SegmentFileKind, stage = this.stage): string {
    return `${this.#options.directory.path}/${segmentFileName(this.baseOffset, kind)}${stageSuffix(stage)}`;
  }

  /** Runs `task` with the file and the indexes open; they stay so until it ends. */
  async use<T>(task: (file: File) => Promise<T>): Promise<T> {
    this.#users++;
    try {
      await this.#load();
      return await task(this.file);
    } catch (thrown) {
      throw this.stage === "deleted" && !(thrown instanceof AssertionFailure) ? new SegmentGone() : thrown;
    } finally {
      if (!this.#active && this.stage !== "deleted") this.#options.cache.touch(this);
      this.#endUse();
    }
  }

  #endUse(): void {
    this.#users--;
    if (this.#users === 0) for (const resolve of this.#whenUnused.splice(0)) resolve();
  }

  async #load(): Promise<void> {
    const { disk, config } = this.#options;
    if (this.#indexes === undefined) {
      const [offsets, times] = await Promise.all([disk.readFile(this.#path("index")), disk.readFile(this.#path("timeindex"))]);
      this.#indexes ??= {
        offsets: new OffsetIndex(this.baseOffset, config.segmentIndexBytes, offsets),
        times: new TimeIndex(this.baseOffset, config.segmentIndexBytes, times),
      };
      if (this.#maxTimestamp === undefined) {
        this.#maxTimestamp = this.timeIndex.lastTimestamp;
        this.#offsetOfMaxTimestamp = this.timeIndex.lastOffset;
      }
    }
    if (this.#log === undefined) {
      const file = await disk.open(this.#path("log"), "write");
      if (this.#log === undefined) this.#log = file;
      else await file.close();
    }
  }

  /** For a segment that was not filled by this process, before it is appended to. */
  knowFirstTimestamp(): Promise<void> {
    return this.use(async (file) => {
      await scanBatches(file, 0, this.writtenBytes, { bodies: "none", windowBytes: 0 }, (buffer, at) => {
        this.firstTimestamp = batchMaxTimestamp(buffer, at);
        return true;
      });
    });
  }

  /** The greatest timestamp of a record, or the file's modification time where records have none. */
  async largestTimestamp(): Promise<number> {
    if (this.#maxTimestamp === undefined) await this.use(() => Promise.resolve());
    return this.maxTimestamp >= 0 ? this.maxTimestamp : this.modifiedMs();
  }

  /** The greatest timestamp of the batches in front of `position`, where the first batch at or above `offset` begins. */
  maxTimestampBefore(offset: number, position: number): Promise<{ readonly timestamp: number; readonly offset: number }> {
    return this.use(async (file) => {
      const kept = new TimeIndex(this.baseOffset, this.timeIndex.maxBytes, Buffer.from(this.timeIndex.table.bytes.subarray(0, this.timeIndex.table.sizeBytes)));
      kept.truncateTo(offset);
      let max = { timestamp: kept.lastTimestamp, offset: kept.lastOffset };
      const start = this.offsetIndex.positionFor(kept.lastOffset);
      await scanBatches(file, start, position, { bodies: "none", windowBytes: LOCATE_WINDOW_BYTES }, (buffer, at) => {
        const timestamp = batchMaxTimestamp(buffer, at);
        if (timestamp > max.timestamp) max = { timestamp, offset: batchLastOffset(buffer, at) };
      });
      return max;
    });
  }

  async modifiedMs(): Promise<number> {
    for (;;) {
      const path = this.#path("log");
      const stat = await this.#options.disk.stat(path);
      // The file may have got another name meanwhile.
      if (stat !== undefined || path === this.#path("log")) return stat?.modifiedMs ?? 0;
    }
  }

  /** For a segment that takes the place of others: it is as old as they are. Nothing may be on its way to the file. */
  setModified(wallMs: number): Promise<void> {
    return this.#options.disk.setModifiedTime(this.#path("log"), wallMs);
  }

  indexBytes(): Promise<{ readonly offsets: number; readonly times: number }> {
    return this.use(() => Promise.resolve({ offsets: this.offsetIndex.table.sizeBytes, times: this.timeIndex.table.sizeBytes }));
  }

  /** The transactions of `.txnindex`, for a segment that has such a file. */
  async loadTxns(): Promise<void> {
    this.txns = new TxnIndex(await this.#options.disk.readFile(this.#path("txnindex")));
    this.#hasTxnFile = true;
  }

  /** The first batch that ends at or above `offset`, among those that are written. Undefined where there is none. */
  locate(offset: number): Promise<BatchPlace | undefined> {
    return this.use(async (file) => {
      let found: BatchPlace | undefined;
      const start = this.offsetIndex.positionFor(offset);
      await scanBatches(file, start, this.writtenBytes, { bodies: "none", windowBytes: LOCATE_WINDOW_BYTES }, (buffer, at, sizeBytes, position) => {
        if (batchLastOffset(buffer, at) < offset) return false;
        found = { position, sizeBytes, baseOffset: batchBaseOffset(buffer, at) };
        return true;
      });
      return found;
    });
  }

  /** The offset behind the last batch; the base offset of an empty segment. Reads from the last index entry on. */
  nextOffset(): Promise<number> {
    return this.use(async (file) => {
      let next = this.baseOffset;
      const start = this.offsetIndex.positionFor(this.offsetIndex.lastOffset);
      await scanBatches(file, start, this.writtenBytes, { bodies: "none", windowBytes: LOCATE_WINDOW_BYTES }, (buffer, at) => {
        next = batchLastOffset(buffer, at) + 1;
      });
      return next;
    });
  }

  /** `.log` holds the first `bytes` bytes; what a sync that began earlier made durable does not count them. */
  wroteTo(bytes: number): void {
    this.writtenBytes = bytes;
    this.unsynced = true;
  }

  /** Makes this the segment that is appended to: opens its files for writing and pre-sizes the indexes. */
  activate(): void {
    const { disk, cache } = this.#options;
    cache.forget(this);
    this.#active = true;
    this.#bytesSinceEntry = 0;
    this.#log ??= disk.openSync(this.#path("log"), "write");
    this.#indexFiles ??= {
      offsets: disk.openSync(this.#path("index"), "write"),
      times: disk.openSync(this.#path("timeindex"), "write"),
    };
    this.#writeIndexes();
    // Down and up again: what lies behind the entries must be zeros.
    this.#indexFiles.offsets.truncateSync(this.offsetIndex.table.sizeBytes);
    this.#indexFiles.offsets.truncateSync(this.offsetIndex.maxBytes);
    this.#indexFiles.times.truncateSync(this.timeIndex.table.sizeBytes);
    this.#indexFiles.times.truncateSync(this.timeIndex.maxBytes);
    this.#indexesChanged = true;
    this.unsynced = true;
  }

  /** Nothing more will be appended: closes the time index with the greatest timestamp and trims both indexes. */
  deactivate(): void {
    this.timeIndex.append(this.maxTimestamp, this.#offsetOfMaxTimestamp, true);
    this.#writeIndexes();
    const files = must(this.#indexFiles, `the index files of segment ${this.baseOffset}`);
    files.offsets.truncateSync(this.offsetIndex.table.sizeBytes);
    files.times.truncateSync(this.timeIndex.table.sizeBytes);
    this.#active = false;
    this.#indexesChanged = true;
    this.unsynced = true;
  }

  /** Cuts off what was preallocated and not used; nothing may be on its way to the file. */
  trim(): void {
    if (!this.#preallocated) return;
    assert(this.sizeBytes === this.writtenBytes, `segment ${this.baseOffset} is trimmed while bytes are on their way to it`);
    this.#preallocated = false;
    this.file.truncateSync(this.sizeBytes);
    this.unsynced = true;
  }

  /** Whether the next batch must go to a new segment. */
  mustRollBefore(batchBytes: number, lastOffset: number, maxTimestamp: number, wallMs: number, config: LogConfig): boolean {
    if (this.sizeBytes > config.segmentBytes - batchBytes) return true;
    if (this.offsetIndex.isFull || this.timeIndex.isFull || !fitsSegment(this.baseOffset, lastOffset)) return true;
    if (this.sizeBytes === 0) return false;
    const compacted = config.cleanupPolicy.includes("compact") && config.maxCompactionLagMs > 0;
    const ageMax = compacted ? Math.min(config.maxCompactionLagMs, config.segmentMs) : config.segmentMs;
    const age = this.firstTimestamp >= 0 ? maxTimestamp - this.firstTimestamp : wallMs - this.#createdMs;
    return age > ageMax - this.#options.rollJitterMs;
  }

  /** Takes the batch, which will stand at the end of `.log`, into size, indexes and times. */
  note(buffer: Buffer, at: number, size: number): void {
    const lastOffset = batchLastOffset(buffer, at);
    const timestamp = batchMaxTimestamp(buffer, at);
    assert(fitsSegment(this.baseOffset, lastOffset), `offset ${lastOffset} does not fit segment ${this.baseOffset}`);
    const position = this.sizeBytes;
    if (position === 0) this.firstTimestamp = timestamp;
    if (timestamp > this.maxTimestamp) {
      this.#maxTimestamp = timestamp;
      this.#offsetOfMaxTimestamp = lastOffset;
    }
    if (this.#bytesSinceEntry > this.#options.config.indexIntervalBytes && !this.offsetIndex.isFull && !this.timeIndex.isFull) {
      this.offsetIndex.append(lastOffset, position);
      this.timeIndex.append(this.maxTimestamp, this.#offsetOfMaxTimestamp);
      this.#bytesSinceEntry = 0;
      if (this.offsetIndex.table.count === 1 || this.offsetIndex.table.unpersistedBytes >= INDEX_WRITE_BYTES) this.#writeIndexes();
    }
    this.#bytesSinceEntry += size;
    this.sizeBytes += size;
    this.unsynced = true;
  }

  noteAborted(txn: AbortedTxn): void {
    this.txns.append(txn);
    this.#openTxnFile().writeSync([this.txns.table.unpersisted()], this.txns.table.persistedBytes);
    this.txns.table.markPersisted();
    this.unsynced = true;
  }

  #openTxnFile(): File {
    this.#hasTxnFile = true;
    return (this.#txnFile ??= this.#options.disk.openSync(this.#path("txnindex"), "write"));
  }

  /** Before a recovery reads all batches again: empty indexes, nothing known of the records. */
  startRecovery(): void {
    this.#startIndexes();
    this.sizeBytes = 0;
    this.writtenBytes = 0;
    this.#maxTimestamp = NO_TIMESTAMP;
    this.#offsetOfMaxTimestamp = this.baseOffset;
    this.#bytesSinceEntry = 0;
    this.#txnFile?.closeSync();
    this.#txnFile = undefined;
    this.#options.disk.removeSync(this.#path("txnindex"));
    this.#hasTxnFile = false;
    this.txns = new TxnIndex(Buffer.alloc(0));
  }

  #startIndexes(): void {
    const { disk, config } = this.#options;
    this.#indexes = {
      offsets: new OffsetIndex(this.baseOffset, config.segmentIndexBytes, Buffer.alloc(0)),
      times: new TimeIndex(this.baseOffset, config.segmentIndexBytes, Buffer.alloc(0)),
    };
    this.#indexFiles ??= { offsets: disk.openSync(this.#path("index"), "truncate"), times: disk.openSync(this.#path("timeindex"), "truncate") };
  }

  /** After a recovery: cuts `.log` behind the last good batch and makes everything of the segment durable. */
  async finishRecovery(): Promise<void> {
    this.writtenBytes = this.sizeBytes;
    await this.file.truncate(this.sizeBytes);
    this.deactivate();
    await this.sync();
  }

  /**
   * Cuts the segment at `position`, where the first batch at or above `offset` begins. `maxTimestamp` and its offset
   * are those of the records that stay. Nothing may be on its way to the file.
   */
  truncate(offset: number, position: number, maxTimestamp: number, offsetOfMaxTimestamp: number, wallMs: number): void {
    assert(this.sizeBytes === this.writtenBytes, `segment ${this.baseOffset} is cut while bytes are on their way to it`);
    this.offsetIndex.truncateTo(offset);
    this.timeIndex.truncateTo(offset);
    this.txns.truncateTo(offset);
    this.file.truncateSync(position);
    this.#preallocated = false;
    this.sizeBytes = position;
    this.writtenBytes = position;
    if (position === 0) {
      this.#createdMs = wallMs;
      this.firstTimestamp = NO_TIMESTAMP;
    }
    this.#maxTimestamp = maxTimestamp;
    this.#offsetOfMaxTimestamp = offsetOfMaxTimestamp;
    if (this.#hasTxnFile) this.#openTxnFile().truncateSync(this.txns.table.sizeBytes);
    this.activate();
  }

  #writeIndexes(): void {
    const files = must(this.#indexFiles, `the index files of segment ${this.baseOffset}`);
    for (const [file, { table }] of [
      [files.offsets, this.offsetIndex],
      [files.times, this.timeIndex],
    ] as const) {
      if (table.unpersistedBytes === 0) continue;
      file.writeSync([table.unpersisted()], table.persistedBytes);
      table.markPersisted();
      this.#indexesChanged = true;
    }
  }

  /** Makes all that was written durable. All bytes of `.log` up to the caller's offset must have been written. */
  async sync(): Promise<void> {
    this.#users++;
    try {
      this.unsynced = false;
      if (this.#indexFiles !== undefined) this.#writeIndexes();
      await this.#log?.dataSync();
      if (this.#indexesChanged) {
        this.#indexesChanged = false;
        await this.#indexFiles?.offsets.dataSync();
        await this.#indexFiles?.times.dataSync();
      }
      await this.#txnFile?.dataSync();
      if (!this.#active && !this.unsynced) await this.#closeIndexFiles();
    } finally {
      this.#endUse();
    }
    if (!this.#active && this.stage !== "deleted") this.#options.cache.touch(this);
  }

  async #closeIndexFiles(): Promise<void> {
    const open = [this.#indexFiles?.offsets, this.#indexFiles?.times, this.#txnFile];
    this.#indexFiles = undefined;
    this.#txnFile = undefined;
    for (const file of open) await file?.close();
  }

  /** Lets go of files and memory; the next `use` opens them again. */
  async release(): Promise<void> {
    if (this.inUse) return;
    const log = this.#log;
    this.#log = undefined;
    this.#indexes = undefined;
    await this.#closeIndexFiles();
    await log?.close();
  }

  /**
   * Renames the files. A start that finds some of them with the old names takes them for what `.log` is: it goes
   * first, and last where it comes alive, for live indexes without it are not looked at.
   */
  moveTo(stage: SegmentStage): void {
    const kinds: SegmentFileKind[] = this.#hasTxnFile ? ["log", "index", "timeindex", "txnindex"] : ["log", "index", "timeindex"];
    if (stage === "live") kinds.reverse();
    for (const kind of kinds) this.#options.disk.renameSync(this.#path(kind), this.#path(kind, stage));
    this.stage = stage;
  }

  /** So that it is found as deleted whatever happens next. */
  markDeleted(): void {
    this.#options.cache.forget(this);
    this.moveTo("deleted");
  }

  /** Removes the files, once nobody reads them, of a segment that is out of its log or never came into it. */
  async remove(): Promise<void> {
    await this.close();
    for (const kind of ["log", "index", "timeindex", "txnindex"] as const) await this.#options.disk.remove(this.#path(kind));
  }

  /** Closes the files, once nobody reads them, without writing anything. */
  async close(): Promise<void> {
    this.#options.cache.forget(this);
    while (this.#users > 0) await new Promise<void>((resolve) => this.#whenUnused.push(resolve));
    this.#active = false;
    this.unsynced = false;
    await this.release();
  }
}
