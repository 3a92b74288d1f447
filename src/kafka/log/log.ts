import { assert, AssertionFailure } from "../../lib/assert.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import type { Disk } from "../../host/disk.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { NO_PRODUCER_ID, NO_TIMESTAMP, batchBaseOffset, batchProducerId, setBatchPlace, setBatchTimestamp } from "../records/batch.ts";
import { checkReplicated, refused, type Refusal } from "../records/validate.ts";
import type { EpochEnd } from "./leader-epochs.ts";
import type { LogConfig } from "./log-config.ts";
import { segmentOptions, type Appended, type LeaderAppend, type LogContext, type LogParts, type LogPath, type OutOfPlace } from "./log-context.ts";
import { LogEnd } from "./log-end.ts";
import { LogReader, type LogRead, type TimestampOffset } from "./log-reader.ts";
import { partitionName } from "./names.ts";
import { replayProducers } from "./producer-replay.ts";
import { ProducerState, type ProducerEntry } from "./producer-state.ts";
import { deletableSegments, oldestSnapshotNeeded, retentionRules, type RetentionRule, type RetentionView } from "./retention.ts";
import { SegmentBin } from "./segment-bin.ts";
import { swapSegments } from "./segment-swap.ts";
import { Segment, SegmentGone } from "./segment.ts";
import type { ReadLimits } from "./tail-cache.ts";
import type { AbortedTxn } from "./txn-index.ts";
import type { WriteDone } from "./write-queue.ts";

export type { Appended, LeaderAppend, OutOfPlace } from "./log-context.ts";

/**
 * One partition's log. Appends are decided and take effect at once; their bytes are in the file when `onWritten` is
 * called, before the append returns or later. One owner calls it: no append may come while a truncation or the close
 * runs (it is refused). An I/O error makes the log fail for good. Source: kafka.log.Log.
 */
export class PartitionLog {
  readonly topic: string;
  readonly partition: number;
  readonly logDirectory: string;
  /** Called after retention, DeleteRecords or the leader has moved the start forwards. */
  onStartMoved: (() => void) | undefined;
  /** Called after a truncation, before anything is appended, with the base offset of the active segment. */
  onTruncated: ((activeBase: number) => void) | undefined;
  readonly #context: LogContext;
  readonly #directory: LogPath;
  readonly #end: LogEnd;
  readonly #reader: LogReader;
  readonly #bin: SegmentBin;

  // startOffset ≤ lastStableOffset ≤ highWatermark ≤ endOffset
  #startOffset: number;
  #highWatermark: number;
  #firstUnstableOffset: number | undefined;

  /** Resolves when the truncation or close that is under way ends. */
  #exclusive: Promise<void> | undefined;
  /** Resolves when the exchange of segments that is under way ends. */
  #replacing: Promise<void> | undefined;
  #truncations = 0;
  #state: "open" | "retired" | "closed" | "failed" = "open";
  #failure: Error | undefined;

  constructor(context: LogContext, parts: LogParts) {
    this.#context = context;
    this.topic = parts.topic;
    this.partition = parts.partition;
    this.logDirectory = parts.logDirectory;
    this.#directory = parts.directory;
    this.#startOffset = parts.startOffset;
    this.#highWatermark = Math.min(Math.max(parts.highWatermark, parts.startOffset), parts.endOffset);
    this.#end = new LogEnd(context, parts, {
      onFailure: (error) => this.#fail(error),
      background: this.#background,
      flush: async (upTo) => {
        await this.flush(upTo);
        return this.#state === "open" ? undefined : (this.#failure ?? this.#unusableError());
      },
    });
    this.#reader = new LogReader(this.#end.segments, this.#end.tail, context.buffers);
    this.#bin = new SegmentBin(context.timers, this.#background);
    this.setHighWatermark(this.#highWatermark);
  }

  /** `topic-partition`. */
  get name(): string {
    return partitionName(this.topic, this.partition);
  }

  /** The partition's own directory. */
  get directory(): string {
    return this.#directory.path;
  }

  get config(): LogConfig {
    return this.#end.config;
  }

  /** New segments obey the new configuration; what is decided at every append does so at once. */
  set config(config: LogConfig) {
    this.#end.config = config;
  }

  get startOffset(): number {
    return this.#startOffset;
  }

  get endOffset(): number {
    return this.#end.offset;
  }

  /** All below is in the files: a leader counts itself in by this offset, not by the end. */
  get writtenOffset(): number {
    return this.#end.queue.writtenOffset;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  get lastStableOffset(): number {
    return this.#firstUnstableOffset === undefined ? this.#highWatermark : Math.min(this.#firstUnstableOffset, this.#highWatermark);
  }

  /** All below is durable. */
  get recoveryPoint(): number {
    return this.#end.flusher.recoveryPoint;
  }

  get lastFlushMs(): number {
    return this.#end.flusher.lastFlushMs;
  }

  get sizeBytes(): number {
    return this.#end.segments.sizeBytes;
  }

  get segments(): readonly Segment[] {
    return this.#end.segments.all;
  }

  /** Below, records are durable and decided, and none is appended any more: compaction may look at them. */
  get cleanableOffset(): number {
    return Math.min(this.recoveryPoint, this.lastStableOffset, this.#end.segments.active.baseOffset);
  }

  /** How many truncations that dropped something have begun. */
  get truncations(): number {
    return this.#truncations;
  }

  get isOpen(): boolean {
    return this.#state === "open";
  }

  /** Bytes appended that are not in the files yet. */
  get queuedBytes(): number {
    return this.#end.queue.queuedBytes;
  }

  get producers(): ReadonlyMap<number, ProducerEntry> {
    return this.#end.producers.producers;
  }

  /** Why the log cannot be used any more. */
  get failure(): Error | undefined {
    return this.#failure;
  }

  // ---- appends

  /**
   * Appends one produced batch at the log's end; the bytes are changed in place and must not change afterwards.
   * `onWritten` is called once, and only where the result is "appended".
   */
  appendAsLeader(records: Buffer, append: LeaderAppend, onWritten: WriteDone): Appended | Refusal {
    const unusable = this.#unusable();
    if (unusable !== undefined) return unusable;
    const { config } = this;
    const wallMs = this.#context.clock.wallMs();
    const rules = {
      origin: append.origin,
      maxMessageBytes: config.maxMessageBytes,
      compacted: config.cleanupPolicy.includes("compact"),
      timestampType: config.messageTimestampType,
      timestampDifferenceMaxMs: config.messageTimestampDifferenceMaxMs,
    };
    const valid = this.#context.validator.validate(records, rules, wallMs);
    if (valid.kind === "refused") return valid;
    if (valid.kind === "empty") return this.#repeated(-1, -1, NO_TIMESTAMP, false, onWritten);
    if (valid.size > config.segmentBytes) {
      return refused(ErrorCode.RECORD_LIST_TOO_LARGE, `A batch of ${valid.size} bytes is larger than segment.bytes, ${config.segmentBytes}.`);
    }
    if (batchProducerId(records, 0) > NO_PRODUCER_ID) {
      const verdict = this.#end.producers.check(records, 0, valid.size, append.origin);
      if (verdict?.kind === "duplicate") return this.#repeated(verdict.firstOffset, verdict.lastOffset, verdict.timestamp, true, onWritten);
      if (verdict !== undefined) return verdict;
    }
    const batch = valid.size === records.length ? records : records.subarray(0, valid.size);
    const byAppend = config.messageTimestampType === "LogAppendTime";
    setBatchPlace(batch, 0, this.endOffset, append.leaderEpoch);
    setBatchTimestamp(batch, 0, valid.size, config.messageTimestampType, byAppend ? wallMs : valid.maxTimestamp);
    return this.#append(batch, wallMs, byAppend ? wallMs : NO_TIMESTAMP, onWritten);
  }

  /** Appends what the leader sent: any number of whole batches, offsets and epochs as they are. */
  appendAsFollower(records: Buffer, onWritten: WriteDone): Appended | Refusal | OutOfPlace {
    const unusable = this.#unusable();
    if (unusable !== undefined) return unusable;
    const checked = checkReplicated(records);
    if (checked.kind === "refused") return checked;
    if (checked.size === 0) return this.#repeated(-1, -1, NO_TIMESTAMP, false, onWritten);
    const firstOffset = batchBaseOffset(records, 0);
    if (firstOffset < this.endOffset) return { kind: "out-of-place", firstOffset, lastOffset: checked.lastOffset };
    return this.#append(checked.size === records.length ? records : records.subarray(0, checked.size), this.#context.clock.wallMs(), NO_TIMESTAMP, onWritten);
  }

  /** Nothing to write: done as soon as all that came before is written. */
  #repeated(firstOffset: number, lastOffset: number, logAppendTime: number, duplicate: boolean, onWritten: WriteDone): Appended {
    this.#end.queue.afterWritten(this.#end.segments.active, onWritten);
    return { kind: "appended", firstOffset, lastOffset, logAppendTime, logStartOffset: this.#startOffset, duplicate };
  }

  #append(bytes: Buffer, wallMs: number, logAppendTime: number, onWritten: WriteDone): Appended | Refusal {
    const firstOffset = batchBaseOffset(bytes, 0);
    try {
      this.#end.append(bytes, wallMs, onWritten);
    } catch (thrown) {
      this.#ioFailed(thrown);
      return refused(ErrorCode.KAFKA_STORAGE_ERROR, `The disk failed under ${this.#directory.path}.`);
    }
    this.#refreshUnstable();
    return { kind: "appended", firstOffset, lastOffset: this.endOffset - 1, logAppendTime, logStartOffset: this.#startOffset, duplicate: false };
  }

  #unusable(): Refusal | undefined {
    if (this.#state !== "open") return this.#notOpen();
    return this.#exclusive === undefined ? undefined : refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, `The log of ${this.name} is being truncated.`);
  }

  #notOpen(): Refusal {
    return refused(ErrorCode.KAFKA_STORAGE_ERROR, `The log of ${this.name} is ${this.#state}.`);
  }

  // ---- offsets

  /** Moves the high watermark, kept between the log's start and end. Returns where it is. */
  setHighWatermark(offset: number): number {
    this.#highWatermark = Math.min(Math.max(offset, this.#startOffset), this.endOffset);
    this.#end.producers.onHighWatermark(this.#highWatermark);
    this.#refreshUnstable();
    return this.#highWatermark;
  }

  /** Moves the high watermark if that is forwards. True: it moved. */
  advanceHighWatermark(offset: number): boolean {
    assert(offset <= this.endOffset, `the high watermark ${offset} of ${this.name} lies behind the end ${this.endOffset}`);
    return offset > this.#highWatermark && this.setHighWatermark(offset) === offset;
  }

  /** DeleteRecords, or the leader's start: what is below `offset` is gone. Refused above the high watermark. */
  advanceStartOffset(offset: number): Refusal | undefined {
    if (offset > this.#highWatermark) {
      return refused(ErrorCode.OFFSET_OUT_OF_RANGE, `The log of ${this.name} cannot start at ${offset}: the high watermark is ${this.#highWatermark}.`);
    }
    if (offset > this.#startOffset) this.#moveStart(offset);
    return undefined;
  }

  #moveStart(offset: number): void {
    const { flusher, epochs, producers, snapshots } = this.#end;
    const moved = offset > this.#startOffset;
    this.#startOffset = offset;
    flusher.recoveryPoint = Math.max(flusher.recoveryPoint, offset);
    epochs.truncateFromStart(offset);
    this.#end.saveEpochs();
    producers.onLogStart(offset);
    snapshots.pruneLater(this.#background, (taken) => taken < offset);
    this.#refreshUnstable();
    if (moved) this.onStartMoved?.();
  }

  #refreshUnstable(): void {
    const first = this.#end.producers.firstUnstableOffset;
    this.#firstUnstableOffset = first === undefined ? undefined : Math.max(first, this.#startOffset);
    const stable = this.lastStableOffset;
    assert(
      this.#startOffset <= stable && stable <= this.#highWatermark && this.#highWatermark <= this.endOffset,
      `the offsets of ${this.name} are out of order: ${this.#startOffset}, ${stable}, ${this.#highWatermark}, ${this.endOffset}`,
    );
  }

  expireProducers(wallMs: number): void {
    this.#end.producers.expire(wallMs, this.#context.producerExpirationMs);
  }

  // ---- leader epochs

  get latestEpoch(): number | undefined {
    return this.#end.epochs.latestEpoch;
  }

  /** The epoch in which the record at the log's start was written, where that is known. */
  get startEpoch(): number | undefined {
    const [first] = this.#end.epochs.entries;
    return first !== undefined && first.startOffset <= this.#startOffset ? first.epoch : undefined;
  }

  /** A leader of this epoch begins to write here. */
  assignEpoch(epoch: number, startOffset: number): void {
    this.#end.epochs.assign(epoch, startOffset);
    this.#end.saveEpochs();
  }

  endOffsetForEpoch(epoch: number): EpochEnd | undefined {
    return this.#end.epochs.endOffsetFor(epoch, this.endOffset);
  }

  // ---- reads

  /** As `read`, from memory alone; undefined where files would have to be read. */
  readTail(limits: ReadLimits): LogRead | Refusal | undefined {
    return this.#unreadable(limits.offset) ?? this.#reader.tail(limits);
  }

  /**
   * Stored bytes from the batch that holds `offset` on: whole batches, or a part of the first one where that is larger
   * than `maxBytes` and `minOneMessage` is false. OFFSET_OUT_OF_RANGE below the log's start and above its end.
   */
  async read(limits: ReadLimits): Promise<LogRead | Refusal> {
    for (;;) {
      const tail = this.readTail(limits);
      if (tail !== undefined) return tail;
      const read = await this.guarded(() => this.#reader.files(limits));
      if (read !== undefined) return this.#unreadable(limits.offset) ?? read;
    }
  }

  /** Bytes that a read of [from, to) would return; Infinity where that is more than is worth waiting for. */
  availableBytes(from: number, to: number): number {
    return this.#reader.availableBytes(from, to);
  }

  #unreadable(offset: number): Refusal | undefined {
    if (this.#state !== "open") return this.#notOpen();
    return offset >= this.#startOffset && offset <= this.endOffset
      ? undefined
      : refused(ErrorCode.OFFSET_OUT_OF_RANGE, `Offset ${offset} is not in ${this.name}, which holds ${this.#startOffset} to ${this.endOffset}.`);
  }

  /** Aborted transactions that overlap [from, to), for readers of committed records; perhaps more, never fewer. */
  abortedTransactions(from: number, to: number): AbortedTxn[] {
    return this.#reader.abortedTransactions(from, to);
  }

  /** The first record, at or above the log's start, whose timestamp is not below `timestamp`. */
  async offsetForTimestamp(timestamp: number): Promise<TimestampOffset | undefined> {
    await this.#end.queue.settled();
    return this.guarded(() => this.#reader.offsetForTimestamp(timestamp, this.#startOffset));
  }

  /** The first record with the greatest timestamp of all; perhaps one below the log's start that is still stored. */
  async offsetOfMaxTimestamp(): Promise<TimestampOffset | undefined> {
    await this.#end.queue.settled();
    return this.guarded(() => this.#reader.offsetOfMaxTimestamp());
  }

  /** ListOffsets 0: where segments begin that were last written at or before `timestamp` (-1 any, -2 the first), newest first. */
  async segmentOffsetsBefore(timestamp: number, countMax: number): Promise<number[]> {
    const log = { start: this.#startOffset, end: this.endOffset };
    const offsets = await this.guarded(() => this.#reader.segmentOffsetsBefore(timestamp, log, this.#context.clock.wallMs()));
    return (offsets ?? []).slice(0, countMax);
  }

  // ---- truncation

  /**
   * Drops all records at and above `offset`; the log then ends there, or where the batch begins that `offset` lies
   * in: batches are dropped whole, and the offsets of one shall be fetched again together (Apache's log would end at
   * `offset` and refuse that batch). False: the log ends at or below `offset`, and only leader epochs that nobody
   * wrote in are forgotten.
   * Rejects where the log cannot be used (ERR_LOG_STORAGE) or fails on the way.
   */
  truncateTo(offset: number): Promise<boolean> {
    assert(offset >= 0, `${this.name} cannot be truncated to ${offset}`);
    return this.#exclusively(async () => {
      if (offset >= this.endOffset) {
        this.#end.epochs.truncateFromEnd(this.endOffset);
        this.#end.saveEpochs();
        return false;
      }
      this.#truncations++;
      const segment = this.#end.segments.floor(offset);
      if (segment === undefined) this.#startOver(offset);
      else await this.#truncateIn(segment, offset);
      await this.#settleTruncation();
      return true;
    });
  }

  /** Drops everything; the log is empty and starts at `offset`. */
  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.#exclusively(async () => {
      this.#truncations++;
      this.#startOver(offset);
      await this.#settleTruncation();
    });
  }

  /** Nothing may be appended before the cut is durable: a crash could bring the old records back, beside the new ones. */
  async #settleTruncation(): Promise<void> {
    await this.#end.segments.active.sync();
    await this.#context.disk.syncDirectory(this.#directory.path);
    this.onTruncated?.(this.#end.segments.active.baseOffset);
    await this.#context.saveRecoveryPoints(this.logDirectory);
  }

  #truncateIn(segment: Segment, target: number): Promise<void> {
    const { segments, snapshots, epochs } = this.#end;
    return segment.use(async () => {
      const first = await segment.locate(target);
      const position = first?.position ?? segment.sizeBytes;
      const offset = Math.min(target, first?.baseOffset ?? target);
      const max = await segment.maxTimestampBefore(offset, position);
      await segment.knowFirstTimestamp();
      const startOffset = Math.min(this.#startOffset, offset);
      const state = new ProducerState();
      await snapshots.prune((taken) => taken > offset || taken <= startOffset);
      if (this.#end.producers.isEmpty) state.reset(offset);
      else await replayProducers(this.#context, { state, snapshots, segments, startOffset, upTo: offset });
      // From here on nothing awaits.
      this.#deleteSegments(
        segments.all.filter((one) => one.baseOffset > segment.baseOffset),
        "truncated",
      );
      segment.truncate(offset, position, max.timestamp, max.offset, this.#context.clock.wallMs());
      epochs.truncateFromEnd(offset);
      this.#moveEnd(startOffset, offset, state);
    });
  }

  #startOver(offset: number): void {
    const { segments, snapshots, epochs, producers } = this.#end;
    this.#deleteSegments(segments.all, "truncated");
    this.#end.addSegment(offset);
    epochs.clear();
    producers.reset(offset);
    snapshots.pruneLater(this.#background, () => true);
    snapshots.forgetTaken(offset);
    this.#moveEnd(offset, offset, producers);
  }

  #moveEnd(startOffset: number, endOffset: number, producers: ProducerState): void {
    this.#startOffset = startOffset;
    this.#end.moveBack(endOffset, producers);
    this.#reader.forgetPlaces();
    this.setHighWatermark(Math.min(this.#highWatermark, endOffset));
  }

  /** Runs `task` alone: what is queued is written and synced first, appends are refused and flushes wait. */
  async #exclusively<T>(task: () => Promise<T>): Promise<T> {
    while (this.#busy !== undefined) await this.#busy;
    if (this.#state !== "open") throw this.#unusableError();
    let end = (): void => undefined;
    this.#exclusive = new Promise((resolve) => (end = resolve));
    try {
      await this.#end.flusher.settled();
      await this.#end.queue.settled();
      return await task();
    } catch (thrown) {
      this.#ioFailed(thrown);
      throw thrown;
    } finally {
      this.#exclusive = undefined;
      end();
    }
  }

  /** What must end before a truncation, a close or an exchange of segments begins. */
  get #busy(): Promise<void> | undefined {
    return this.#exclusive ?? this.#replacing;
  }

  // ---- compaction

  /** A new segment with files of its own, `.cleaned`, that is to replace the one at `baseOffset` and others behind it. */
  createCleaned(baseOffset: number): Segment {
    return Segment.create({ ...segmentOptions(this.#context, this.#directory, this.config), baseOffset, stage: "cleaned" });
  }

  /**
   * Puts `cleaned`, complete and durable, in the place of neighbours that it was made from while `truncations` had
   * begun. False: the log has changed since, or can't be used any more; `cleaned` is not part of it then.
   */
  async replaceSegments(sources: readonly Segment[], cleaned: Segment, truncations: number): Promise<boolean> {
    while (this.#busy !== undefined) await this.#busy;
    let end = (): void => undefined;
    this.#replacing = new Promise((resolve) => (end = resolve));
    const replaced = await this.guarded(() =>
      cleaned.use(async () => {
        const { segments } = this.#end;
        if (!this.isOpen || truncations !== this.#truncations || sources.some((source) => source.active || !segments.all.includes(source))) return false;
        return swapSegments(this.#context.disk, this.#directory, cleaned, {
          isOpen: () => this.isOpen,
          exchange: () => {
            segments.replace(sources, cleaned);
            this.#bin.throwAway(sources, this.config.fileDeleteDelayMs);
          },
        });
      }),
    ).finally(() => {
      this.#replacing = undefined;
      end();
    });
    return replaced ?? false;
  }

  // ---- retention

  /** Deletes old segments as the topic's retention and the log's start ask. Returns how many. */
  async deleteOldSegments(): Promise<number> {
    const rules = (await this.guarded(() => retentionRules(this.config, this.#retentionView(), this.#context.clock.wallMs()))) ?? [];
    let count = 0;
    for (const rule of rules) count += this.#deleteBy(rule);
    return count;
  }

  #retentionView(): RetentionView {
    return { segments: this.#end.segments, startOffset: this.#startOffset, highWatermark: this.#highWatermark, endOffset: this.endOffset };
  }

  #deleteBy(rule: RetentionRule): number {
    if (this.#unusable() !== undefined || this.#replacing !== undefined) return 0;
    const { segments } = this.#end;
    const gone = deletableSegments(this.#retentionView(), rule);
    if (gone.length === 0) return 0;
    try {
      if (gone.length === segments.all.length) this.#end.roll(this.endOffset);
      this.#deleteSegments(gone, rule.why);
      this.#moveStart(Math.max(this.#startOffset, segments.first.baseOffset));
    } catch (thrown) {
      this.#ioFailed(thrown);
    }
    return gone.length;
  }

  /** Takes segments out of the log; their files are removed after file.delete.delay.ms. */
  #deleteSegments(gone: readonly Segment[], why: string): void {
    if (gone.length === 0) return;
    this.#context.log.info("segments deleted", { log: this.name, why, baseOffsets: gone.map((segment) => segment.baseOffset) });
    this.#end.segments.remove(gone);
    this.#bin.throwAway(gone, this.config.fileDeleteDelayMs);
  }

  /** The recovery point is on the disk: snapshots that no recovery or truncation is likely to need are removed. */
  async pruneSnapshots(): Promise<void> {
    const oldest = oldestSnapshotNeeded(this.#end.segments, this.recoveryPoint);
    await this.guarded(() => this.#end.snapshots.prune((offset) => offset < oldest));
  }

  // ---- flush and end

  /** Makes durable what is below `upTo`, and moves the recovery point there. */
  async flush(upTo = this.endOffset): Promise<void> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    // The log may have been cut meanwhile.
    if (this.#state === "open") await this.guarded(() => this.#end.flusher.flush(Math.min(upTo, this.endOffset)));
  }

  /** Flushes, completes and closes all files, so that the next start needs no recovery. */
  async close(): Promise<void> {
    await this.#exclusively(async () => {
      const { segments, flusher, snapshots, producers } = this.#end;
      if (segments.active.active) segments.active.deactivate();
      segments.active.trim();
      await flusher.flush(this.endOffset);
      const snapshot = snapshots.take(producers);
      if (snapshot !== undefined) await syncFile(this.#context.disk, snapshot);
      await this.#context.disk.syncDirectory(this.#directory.path);
      this.#state = "closed";
      await this.#closeFiles();
    });
  }

  /** The log is to be deleted, or its disk has failed: stops without writing, and reports no errors any more. */
  async abandon(): Promise<void> {
    if (this.#state === "open") this.#state = "retired";
    await this.#end.queue.settled();
    // A file that cannot even be closed makes no difference any more.
    await this.#closeFiles().catch(() => undefined);
  }

  /** The directory was renamed. */
  moved(path: string): void {
    this.#directory.path = path;
  }

  async #closeFiles(): Promise<void> {
    const { tail, segments } = this.#end;
    tail.truncateTo(0);
    await this.#bin.close();
    for (const segment of segments.all) await segment.close();
  }

  // ---- failures

  readonly #background = (task: () => Promise<void>): void => {
    this.#context.tasks.run(() => this.guarded(task));
  };

  #unusableError(): OperationalError {
    return new OperationalError("ERR_LOG_STORAGE", `The log in ${this.#directory.path} is ${this.#state}`, { cause: this.#failure });
  }

  /** Awaits I/O on the log's files; an error of the disk makes the log fail, and the result undefined, as a segment that was deleted meanwhile does. */
  async guarded<T>(task: () => Promise<T>): Promise<T | undefined> {
    if (this.#state !== "open") return undefined;
    try {
      return await task();
    } catch (thrown) {
      this.#ioFailed(thrown);
      return undefined;
    }
  }

  #ioFailed(thrown: unknown): void {
    if (thrown instanceof AssertionFailure) throw thrown;
    if (!(thrown instanceof SegmentGone)) this.#fail(toError(thrown));
  }

  #fail(error: Error): void {
    if (this.#state !== "open") return;
    this.#state = "failed";
    this.#failure = error;
    this.#context.onIoError(this.logDirectory, error);
  }
}

async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, "write");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}
