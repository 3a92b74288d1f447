import { assert, AssertionFailure } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import type { Disk } from "../../host/disk.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import {
  NO_PRODUCER_ID,
  NO_TIMESTAMP,
  batchBaseOffset,
  batchLastOffset,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchProducerId,
  setBatchPlace,
  setBatchTimestamp,
  wholeBatchSize,
} from "../records/batch.ts";
import { checkReplicated, refused, type Refusal } from "../records/validate.ts";
import { formatLeaderEpochs, replaceTextFile } from "./checkpoint.ts";
import type { EpochEnd, LeaderEpochs } from "./leader-epochs.ts";
import { Flusher } from "./flusher.ts";
import type { LogConfig } from "./log-config.ts";
import { segmentOptions, type Appended, type LeaderAppend, type LogContext, type LogParts, type LogPath, type OutOfPlace } from "./log-context.ts";
import { LogReader, type LogRead, type TimestampOffset } from "./log-reader.ts";
import { LEADER_EPOCH_FILE, partitionName } from "./names.ts";
import { replayProducers } from "./producer-replay.ts";
import { ProducerState, type ProducerEntry } from "./producer-state.ts";
import { deletableSegments, oldestSnapshotNeeded, retentionRules, type RetentionRule, type RetentionView } from "./retention.ts";
import { Saver } from "./saver.ts";
import { SegmentBin } from "./segment-bin.ts";
import type { SegmentList } from "./segment-list.ts";
import { Segment, SegmentGone } from "./segment.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";
import { TailCache, type ReadLimits } from "./tail-cache.ts";
import type { AbortedTxn } from "./txn-index.ts";
import { WriteQueue, type WriteDone } from "./write-queue.ts";

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
  readonly #context: LogContext;
  readonly #directory: LogPath;
  readonly #segments: SegmentList;
  readonly #epochs: LeaderEpochs;
  readonly #snapshots: SnapshotFiles;
  readonly #queue: WriteQueue;
  readonly #tail: TailCache;
  readonly #reader: LogReader;
  readonly #epochSaver: Saver;
  readonly #flusher: Flusher;
  readonly #bin: SegmentBin;
  #config: LogConfig;
  #producers: ProducerState;

  // startOffset ≤ lastStableOffset ≤ highWatermark ≤ endOffset; recoveryPoint ≤ the active segment's base or the end.
  #startOffset: number;
  #highWatermark: number;
  #endOffset: number;
  #firstUnstableOffset: number | undefined;

  /** Resolves when the truncation or close that is under way ends. */
  #exclusive: Promise<void> | undefined;
  #state: "open" | "retired" | "closed" | "failed" = "open";
  #failure: Error | undefined;

  constructor(context: LogContext, parts: LogParts) {
    this.#context = context;
    this.topic = parts.topic;
    this.partition = parts.partition;
    this.logDirectory = parts.logDirectory;
    this.#directory = parts.directory;
    this.#config = parts.config;
    this.#segments = parts.segments;
    this.#epochs = parts.epochs;
    this.#producers = parts.producers;
    this.#snapshots = parts.snapshots;
    this.#startOffset = parts.startOffset;
    this.#endOffset = parts.endOffset;
    this.#highWatermark = Math.min(Math.max(parts.highWatermark, parts.startOffset), parts.endOffset);
    this.#queue = new WriteQueue({
      writtenOffset: parts.endOffset,
      clock: context.clock,
      tasks: context.tasks,
      onFailure: (error) => this.#fail(error),
    });
    this.#tail = new TailCache(context.tails, parts.endOffset);
    this.#reader = new LogReader(this.#segments, this.#tail);
    this.#epochSaver = new Saver(context.tasks, () => this.#guarded(() => this.#writeEpochs()));
    this.#flusher = new Flusher(context, { ...parts, queue: this.#queue, epochSaver: this.#epochSaver });
    this.#bin = new SegmentBin(context.timers, this.#background);
    this.#producers.onHighWatermark(this.#highWatermark);
    this.#refreshUnstable();
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
    return this.#config;
  }

  /** New segments obey the new configuration; what is decided at every append does so at once. */
  set config(config: LogConfig) {
    this.#config = config;
  }

  get startOffset(): number {
    return this.#startOffset;
  }

  get endOffset(): number {
    return this.#endOffset;
  }

  /** All below is in the files: a leader counts itself in by this offset, not by the end. */
  get writtenOffset(): number {
    return this.#queue.writtenOffset;
  }

  get highWatermark(): number {
    return this.#highWatermark;
  }

  get lastStableOffset(): number {
    return this.#firstUnstableOffset === undefined ? this.#highWatermark : Math.min(this.#firstUnstableOffset, this.#highWatermark);
  }

  get recoveryPoint(): number {
    return this.#flusher.recoveryPoint;
  }

  get sizeBytes(): number {
    return this.#segments.sizeBytes;
  }

  get segments(): readonly Segment[] {
    return this.#segments.all;
  }

  /** Bytes appended that are not in the files yet. */
  get queuedBytes(): number {
    return this.#queue.queuedBytes;
  }

  get lastFlushMs(): number {
    return this.#flusher.lastFlushMs;
  }

  get producers(): ReadonlyMap<number, ProducerEntry> {
    return this.#producers.producers;
  }

  get latestEpoch(): number | undefined {
    return this.#epochs.latestEpoch;
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
    const config = this.#config;
    const wallMs = this.#context.clock.wallMs();
    const valid = this.#context.validator.validate(
      records,
      {
        origin: append.origin,
        maxMessageBytes: config.maxMessageBytes,
        compacted: config.cleanupPolicy.includes("compact"),
        timestampType: config.messageTimestampType,
        timestampDifferenceMaxMs: config.messageTimestampDifferenceMaxMs,
      },
      wallMs,
    );
    if (valid.kind === "refused") return valid;
    if (valid.kind === "empty") return this.#repeated(-1, -1, NO_TIMESTAMP, false, onWritten);
    if (valid.size > config.segmentBytes) {
      return refused(ErrorCode.RECORD_LIST_TOO_LARGE, `A batch of ${valid.size} bytes is larger than segment.bytes, ${config.segmentBytes}.`);
    }
    if (batchProducerId(records, 0) > NO_PRODUCER_ID) {
      const verdict = this.#producers.check(records, 0, valid.size, append.origin);
      if (verdict?.kind === "duplicate") return this.#repeated(verdict.firstOffset, verdict.lastOffset, verdict.timestamp, true, onWritten);
      if (verdict !== undefined) return verdict;
    }
    const batch = valid.size === records.length ? records : records.subarray(0, valid.size);
    const firstOffset = this.#endOffset;
    const byAppend = config.messageTimestampType === "LogAppendTime";
    setBatchPlace(batch, 0, firstOffset, append.leaderEpoch);
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
    if (firstOffset < this.#endOffset) return { kind: "out-of-place", firstOffset };
    return this.#append(checked.size === records.length ? records : records.subarray(0, checked.size), this.#context.clock.wallMs(), NO_TIMESTAMP, onWritten);
  }

  /** Nothing to write: done as soon as all that came before is written. */
  #repeated(firstOffset: number, lastOffset: number, logAppendTime: number, duplicate: boolean, onWritten: WriteDone): Appended {
    this.#queue.afterWritten(this.#segments.active, onWritten);
    return { kind: "appended", firstOffset, lastOffset, logAppendTime, logStartOffset: this.#startOffset, duplicate };
  }

  #unusable(): Refusal | undefined {
    if (this.#state !== "open") return refused(ErrorCode.KAFKA_STORAGE_ERROR, `The log of ${this.name} is ${this.#state}.`);
    return this.#exclusive === undefined ? undefined : refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, `The log of ${this.name} is being truncated.`);
  }

  #append(bytes: Buffer, wallMs: number, logAppendTime: number, onWritten: WriteDone): Appended | Refusal {
    const firstOffset = batchBaseOffset(bytes, 0);
    try {
      let chunkAt = 0;
      for (let at = 0; at < bytes.length; ) {
        const size = wholeBatchSize(bytes, at, bytes.length);
        if (this.#segments.active.mustRollBefore(size, batchLastOffset(bytes, at), batchMaxTimestamp(bytes, at), wallMs, this.#config)) {
          if (at > chunkAt) this.#write(bytes.subarray(chunkAt, at), ignore);
          chunkAt = at;
          this.#roll(rollBase(bytes, at));
        }
        this.#takeIn(bytes, at, size);
        at += size;
      }
      this.#epochsChanged();
      this.#refreshUnstable();
      const done = this.#endOffset - this.#flusher.recoveryPoint < this.#config.flushMessages ? onWritten : this.#afterFlush(onWritten);
      this.#write(chunkAt === 0 ? bytes : bytes.subarray(chunkAt), done);
    } catch (thrown) {
      this.#ioFailed(thrown);
      return refused(ErrorCode.KAFKA_STORAGE_ERROR, `The disk failed under ${this.#directory.path}.`);
    }
    return { kind: "appended", firstOffset, lastOffset: this.#endOffset - 1, logAppendTime, logStartOffset: this.#startOffset, duplicate: false };
  }

  /** One batch into everything that is in memory. */
  #takeIn(bytes: Buffer, at: number, size: number): void {
    const segment = this.#segments.active;
    const lastOffset = batchLastOffset(bytes, at);
    assert(lastOffset >= this.#endOffset, `offset ${lastOffset} is appended to ${this.name}, which ends at ${this.#endOffset}`);
    if (batchMagic(bytes, at) < 2) this.#epochs.clear();
    else if (batchLeaderEpoch(bytes, at) >= 0) this.#epochs.assign(batchLeaderEpoch(bytes, at), batchBaseOffset(bytes, at));
    segment.note(bytes, at, size);
    this.#endOffset = lastOffset + 1;
    if (batchProducerId(bytes, at) > NO_PRODUCER_ID) {
      const completed = this.#producers.apply(bytes, at, size);
      if (completed?.aborted === true) segment.noteAborted(completed);
    }
    this.#producers.endOffset = this.#endOffset;
  }

  /** Hands over the bytes of batches that were taken in, all of one segment and the last ones there. */
  #write(bytes: Buffer, done: WriteDone): void {
    const segment = this.#segments.active;
    const written = this.#tail.add(bytes, this.#endOffset - 1);
    this.#queue.write(segment, bytes, segment.sizeBytes - bytes.length, this.#endOffset, (error) => {
      if (error === undefined) written();
      done(error);
    });
  }

  /** A new active segment. Its base is `expectedBase`, or the log's end where that is greater. */
  #roll(expectedBase: number): void {
    const base = Math.max(expectedBase, this.#endOffset);
    const old = this.#segments.active;
    if (base === old.baseOffset) {
      // Indexes without room for a single entry: the empty segment is as good as a new one.
      assert(old.sizeBytes === 0, `segment ${base} of ${this.name} is rolled onto itself`);
      return;
    }
    old.deactivate();
    this.#producers.endOffset = base;
    this.#snapshots.take(this.#producers);
    this.#addSegment(base);
    this.#background(() => this.flush(base));
  }

  #addSegment(baseOffset: number): void {
    this.#segments.add(Segment.create({ ...segmentOptions(this.#context, this.#directory, this.#config), baseOffset }));
    this.#flusher.newFiles = true;
  }

  // ---- offsets

  /** Moves the high watermark, kept between the log's start and end. Returns where it is. */
  setHighWatermark(offset: number): number {
    this.#highWatermark = Math.min(Math.max(offset, this.#startOffset), this.#endOffset);
    this.#producers.onHighWatermark(this.#highWatermark);
    this.#refreshUnstable();
    return this.#highWatermark;
  }

  /** Moves the high watermark if that is forwards. True: it moved. */
  advanceHighWatermark(offset: number): boolean {
    assert(offset <= this.#endOffset, `the high watermark ${offset} of ${this.name} lies behind the end ${this.#endOffset}`);
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
    this.#startOffset = offset;
    this.#flusher.recoveryPoint = Math.max(this.#flusher.recoveryPoint, offset);
    this.#epochs.truncateFromStart(offset);
    this.#epochsChanged();
    this.#producers.onLogStart(offset);
    this.#snapshots.pruneLater(this.#background, (taken) => taken < offset);
    this.#refreshUnstable();
  }

  #refreshUnstable(): void {
    const first = this.#producers.firstUnstableOffset;
    this.#firstUnstableOffset = first === undefined ? undefined : Math.max(first, this.#startOffset);
    const stable = this.lastStableOffset;
    assert(
      this.#startOffset <= stable && stable <= this.#highWatermark && this.#highWatermark <= this.#endOffset,
      `the offsets of ${this.name} are out of order: ${this.#startOffset}, ${stable}, ${this.#highWatermark}, ${this.#endOffset}`,
    );
  }

  expireProducers(wallMs: number): void {
    this.#producers.expire(wallMs, this.#context.producerExpirationMs);
  }

  // ---- leader epochs

  /** A leader of this epoch begins to write here. */
  assignEpoch(epoch: number, startOffset: number): void {
    this.#epochs.assign(epoch, startOffset);
    this.#epochsChanged();
  }

  endOffsetForEpoch(epoch: number): EpochEnd | undefined {
    return this.#epochs.endOffsetFor(epoch, this.#endOffset);
  }

  /** The epoch in which the record at the log's start was written, where that is known. */
  get startEpoch(): number | undefined {
    const [first] = this.#epochs.entries;
    return first !== undefined && first.startOffset <= this.#startOffset ? first.epoch : undefined;
  }

  #epochsChanged(): void {
    if (!this.#epochs.changed) return;
    this.#epochs.changed = false;
    this.#epochSaver.request();
  }

  #writeEpochs(): Promise<void> {
    return replaceTextFile(this.#context.disk, this.#directory.path, LEADER_EPOCH_FILE, formatLeaderEpochs(this.#epochs.entries));
  }

  // ---- reads

  /** As `read`, from memory alone; undefined where files would have to be read. */
  readTail(limits: ReadLimits): LogRead | Refusal | undefined {
    return this.#outOfRange(limits.offset) ?? this.#reader.tail(limits);
  }

  /**
   * Stored bytes from the batch that holds `offset` on: whole batches, or a part of the first one where that is larger
   * than `maxBytes` and `minOneMessage` is false. OFFSET_OUT_OF_RANGE below the log's start and above its end.
   */
  async read(limits: ReadLimits): Promise<LogRead | Refusal> {
    for (;;) {
      const tail = this.readTail(limits);
      if (tail !== undefined) return tail;
      const read = await this.#guarded(() => this.#reader.files(limits));
      if (read !== undefined) return this.#outOfRange(limits.offset) ?? read;
      if (this.#state !== "open") return refused(ErrorCode.KAFKA_STORAGE_ERROR, `The log of ${this.name} is ${this.#state}.`);
    }
  }

  /** Bytes that a read of [from, to) would return at least; for waiting fetches. */
  availableBytes(from: number, to: number): number {
    return this.#reader.availableBytes(from, to);
  }

  #outOfRange(offset: number): Refusal | undefined {
    return offset >= this.#startOffset && offset <= this.#endOffset
      ? undefined
      : refused(ErrorCode.OFFSET_OUT_OF_RANGE, `Offset ${offset} is not in ${this.name}, which holds ${this.#startOffset} to ${this.#endOffset}.`);
  }

  /** Aborted transactions that overlap [from, to), for readers of committed records; perhaps more, never fewer. */
  abortedTransactions(from: number, to: number): AbortedTxn[] {
    return this.#reader.abortedTransactions(from, to);
  }

  /** The first record, at or above the log's start, whose timestamp is not below `timestamp`. */
  async offsetForTimestamp(timestamp: number): Promise<TimestampOffset | undefined> {
    await this.#queue.settled();
    return this.#guarded(() => this.#reader.offsetForTimestamp(timestamp, this.#startOffset));
  }

  /** The first record with the greatest timestamp of all. */
  async offsetOfMaxTimestamp(): Promise<TimestampOffset | undefined> {
    await this.#queue.settled();
    return this.#guarded(() => this.#reader.offsetOfMaxTimestamp(this.#startOffset));
  }

  /** ListOffsets 0: where segments begin that were last written at or before `timestamp` (-1 any, -2 the first), newest first. */
  async segmentOffsetsBefore(timestamp: number, countMax: number): Promise<number[]> {
    const offsets = await this.#guarded(() => this.#reader.segmentOffsetsBefore(timestamp, { start: this.#startOffset, end: this.#endOffset }, this.#context.clock.wallMs()));
    return (offsets ?? []).slice(0, countMax);
  }

  // ---- flush

  /** Makes durable what is below `upTo`, and moves the recovery point there. */
  async flush(upTo = this.#endOffset): Promise<void> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    if (this.#state === "open") await this.#guarded(() => this.#flusher.flush(upTo));
  }

  /** flush.messages: the append is done when it is durable. */
  #afterFlush(onWritten: WriteDone): WriteDone {
    return (error) => {
      if (error !== undefined) {
        onWritten(error);
        return;
      }
      this.#background(async () => {
        await this.flush();
        onWritten(this.#failure);
      });
    };
  }

  // ---- truncation

  /**
   * Drops all records at and above `offset`, and the whole batch that `offset` lies in; the log then ends there. A
   * follower's. False: the log ends at or below `offset`, and only leader epochs that nobody wrote in are forgotten.
   */
  truncateTo(offset: number): Promise<boolean> {
    assert(offset >= 0, `${this.name} cannot be truncated to ${offset}`);
    return this.#exclusively(async () => {
      if (offset >= this.#endOffset) {
        this.#epochs.truncateFromEnd(this.#endOffset);
        this.#epochsChanged();
        return false;
      }
      const segment = this.#segments.floor(offset);
      if (segment === undefined) this.#startOver(offset);
      else await this.#truncateIn(segment, offset);
      await this.#settleTruncation();
      return true;
    });
  }

  /** Drops everything; the log is empty and starts at `offset`. */
  truncateFullyAndStartAt(offset: number): Promise<void> {
    return this.#exclusively(async () => {
      this.#startOver(offset);
      await this.#settleTruncation();
    });
  }

  /** Nothing may be appended before the cut is durable: a crash could bring the old records back, beside the new ones. */
  async #settleTruncation(): Promise<void> {
    await this.#segments.active.sync();
    await this.#context.disk.syncDirectory(this.#directory.path);
    await this.#context.saveRecoveryPoints(this.logDirectory);
  }

  #truncateIn(segment: Segment, offset: number): Promise<void> {
    return segment.use(async () => {
      const position = (await segment.locate(offset))?.position ?? segment.sizeBytes;
      const max = await segment.maxTimestampBefore(offset, position);
      const startOffset = Math.min(this.#startOffset, offset);
      const producers = new ProducerState();
      await this.#snapshots.prune((taken) => taken > offset || taken <= startOffset);
      if (this.#producers.isEmpty) producers.reset(offset);
      else await replayProducers(this.#context, { state: producers, snapshots: this.#snapshots, segments: this.#segments, startOffset, upTo: offset });
      // From here on nothing awaits.
      this.#deleteSegments(
        this.#segments.all.filter((one) => one.baseOffset > offset),
        "truncated",
      );
      segment.truncate(offset, position, max.timestamp, max.offset, this.#context.clock.wallMs());
      this.#epochs.truncateFromEnd(offset);
      this.#producers = producers;
      this.#afterTruncation(startOffset, offset);
    });
  }

  #startOver(offset: number): void {
    this.#deleteSegments(this.#segments.all, "truncated");
    this.#addSegment(offset);
    this.#epochs.clear();
    this.#producers.reset(offset);
    this.#snapshots.pruneLater(this.#background, () => true);
    this.#snapshots.forgetTaken(offset);
    this.#afterTruncation(offset, offset);
  }

  #afterTruncation(startOffset: number, endOffset: number): void {
    this.#startOffset = startOffset;
    this.#endOffset = endOffset;
    this.#queue.writtenOffset = endOffset;
    this.#flusher.truncated(endOffset);
    if (startOffset === endOffset) this.#tail.clear(endOffset);
    else this.#tail.truncateTo(endOffset);
    this.#reader.forgetPlaces();
    this.#producers.endOffset = endOffset;
    this.#snapshots.take(this.#producers);
    this.#epochsChanged();
    this.setHighWatermark(Math.min(this.#highWatermark, endOffset));
  }

  /** Runs `task` alone: what is queued is written and synced first, appends and flushes wait or are refused. */
  async #exclusively<T>(task: () => Promise<T>): Promise<T> {
    while (this.#exclusive !== undefined) await this.#exclusive;
    let end: () => void = ignore;
    this.#exclusive = new Promise((resolve) => (end = resolve));
    try {
      await this.#flusher.settled();
      await this.#queue.settled();
      return await task();
    } catch (thrown) {
      this.#ioFailed(thrown);
      throw thrown;
    } finally {
      this.#exclusive = undefined;
      end();
    }
  }

  // ---- retention

  /** Deletes old segments as the topic's retention and the log's start ask. Returns how many. */
  async deleteOldSegments(): Promise<number> {
    const rules = (await this.#guarded(() => retentionRules(this.#config, this.#retentionView(), this.#context.clock.wallMs()))) ?? [];
    let count = 0;
    for (const rule of rules) count += this.#deleteBy(rule);
    return count;
  }

  #retentionView(): RetentionView {
    return { segments: this.#segments, startOffset: this.#startOffset, highWatermark: this.#highWatermark, endOffset: this.#endOffset };
  }

  #deleteBy(rule: RetentionRule): number {
    if (this.#unusable() !== undefined) return 0;
    const gone = deletableSegments(this.#retentionView(), rule);
    if (gone.length === 0) return 0;
    try {
      if (gone.length === this.#segments.all.length) this.#roll(this.#endOffset);
      this.#deleteSegments(gone, rule.why);
      this.#moveStart(Math.max(this.#startOffset, this.#segments.first.baseOffset));
    } catch (thrown) {
      this.#ioFailed(thrown);
    }
    return gone.length;
  }

  /** Takes segments out of the log; their files are removed after file.delete.delay.ms. */
  #deleteSegments(gone: readonly Segment[], why: string): void {
    if (gone.length === 0) return;
    this.#context.log.info("segments deleted", { log: this.name, why, baseOffsets: gone.map((segment) => segment.baseOffset) });
    this.#segments.remove(gone);
    this.#bin.throwAway(gone, this.#config.fileDeleteDelayMs);
  }

  /** The recovery point is on the disk: snapshots that no recovery or truncation is likely to need are removed. */
  async pruneSnapshots(): Promise<void> {
    const oldest = oldestSnapshotNeeded(this.#segments, this.recoveryPoint);
    await this.#guarded(() => this.#snapshots.prune((offset) => offset < oldest));
  }

  // ---- end

  /** Flushes, completes and closes all files, so that the next start needs no recovery. */
  async close(): Promise<void> {
    await this.#exclusively(async () => {
      const { active } = this.#segments;
      if (active.active) active.deactivate();
      await this.#flusher.flush(this.#endOffset);
      const snapshot = this.#snapshots.take(this.#producers);
      if (snapshot !== undefined) await syncFile(this.#context.disk, snapshot);
      await this.#context.disk.syncDirectory(this.#directory.path);
      this.#state = "closed";
      await this.#closeFiles();
    });
  }

  /** The log is to be deleted, or its disk has failed: stops without writing, and reports no errors any more. */
  async abandon(): Promise<void> {
    if (this.#state !== "failed") this.#state = "retired";
    await this.#queue.settled();
    await this.#closeFiles();
  }

  /** The directory was renamed. */
  moved(path: string): void {
    this.#directory.path = path;
  }

  async #closeFiles(): Promise<void> {
    this.#tail.clear(this.#endOffset);
    await this.#bin.close();
    for (const segment of this.#segments.all) await segment.close();
  }

  // ---- failures

  readonly #background = (task: () => Promise<void>): void => {
    this.#context.tasks.run(() => this.#guarded(task));
  };

  /** Awaits I/O; an error makes the log fail, and the result undefined. */
  async #guarded<T>(task: () => Promise<T>): Promise<T | undefined> {
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

/** v0/v1 messages do not tell the first offset of a wrapper: as far below the last one as a segment may reach. */
function rollBase(bytes: Buffer, at: number): number {
  return batchMagic(bytes, at) < 2 ? Math.max(0, batchLastOffset(bytes, at) - 0x7fff_ffff) : batchBaseOffset(bytes, at);
}

async function syncFile(disk: Disk, path: string): Promise<void> {
  const file = await disk.open(path, "write");
  try {
    await file.sync();
  } finally {
    await file.close();
  }
}

const ignore = (): void => undefined;
