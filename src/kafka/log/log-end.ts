import { replaceTextFile } from "../../host/durable-file.ts";
import { assert } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { NO_PRODUCER_ID, batchBaseOffset, batchLastOffset, batchLeaderEpoch, batchMagic, batchMaxTimestamp, batchProducerId, wholeBatchSize } from "../records/batch.ts";
import { formatLeaderEpochs } from "./checkpoint.ts";
import { Flusher } from "./flusher.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type { LogConfig } from "./log-config.ts";
import { segmentOptions, type LogContext, type LogParts, type LogPath } from "./log-context.ts";
import { LEADER_EPOCH_FILE } from "./names.ts";
import type { ProducerState } from "./producer-state.ts";
import { Saver } from "./saver.ts";
import type { SegmentList } from "./segment-list.ts";
import { Segment } from "./segment.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";
import { TailCache } from "./tail-cache.ts";
import { WriteQueue, type WriteDone } from "./write-queue.ts";

export interface LogEndHooks {
  onFailure(error: Error): void;
  /** Runs what may fail as the disk does, beside everything else. */
  background(task: () => Promise<void>): void;
  /** Resolves with why what lies below `upTo` is not durable; undefined where it is. */
  flush(upTo: number): Promise<Error | undefined>;
}

/**
 * Where a log grows: takes batches into memory, at once, and their bytes to the tail and to the file, now or later.
 * What belongs together changes together here: end offset, active segment, leader epochs, producers.
 */
export class LogEnd {
  readonly segments: SegmentList;
  readonly epochs: LeaderEpochs;
  readonly snapshots: SnapshotFiles;
  readonly queue: WriteQueue;
  readonly tail: TailCache;
  readonly flusher: Flusher;
  config: LogConfig;
  producers: ProducerState;
  /** The next record's. */
  offset: number;
  readonly #context: LogContext;
  readonly #directory: LogPath;
  readonly #hooks: LogEndHooks;
  readonly #epochSaver: Saver;

  constructor(context: LogContext, parts: LogParts, hooks: LogEndHooks) {
    this.#context = context;
    this.#directory = parts.directory;
    this.#hooks = hooks;
    this.segments = parts.segments;
    this.epochs = parts.epochs;
    this.snapshots = parts.snapshots;
    this.config = parts.config;
    this.producers = parts.producers;
    this.offset = parts.endOffset;
    this.queue = new WriteQueue({ writtenOffset: parts.endOffset, clock: context.clock, times: context.times, tasks: context.tasks, onFailure: (error) => hooks.onFailure(error) });
    this.tail = new TailCache(context.tails, parts.endOffset);
    this.#epochSaver = new Saver(context.tasks, async () => {
      try {
        await replaceTextFile(context.disk, parts.directory.path, LEADER_EPOCH_FILE, formatLeaderEpochs(this.epochs.entries));
      } catch (error) {
        hooks.onFailure(toError(error));
      }
    });
    this.flusher = new Flusher(context, { ...parts, queue: this.queue, epochSaver: this.#epochSaver });
  }

  /** Appends whole batches, placed and checked. `done` is called once, with the last byte in its file, or durable where flush.messages asks for it. */
  append(bytes: Buffer, wallMs: number, done: WriteDone): void {
    let chunkAt = 0;
    for (let at = 0; at < bytes.length; ) {
      const size = wholeBatchSize(bytes, at, bytes.length);
      if (this.segments.active.mustRollBefore(size, batchLastOffset(bytes, at), batchMaxTimestamp(bytes, at), wallMs, this.config)) {
        if (at > chunkAt) this.#write(bytes.subarray(chunkAt, at), ignore);
        chunkAt = at;
        this.roll(rollBase(bytes, at));
      }
      this.#takeIn(bytes, at, size);
      at += size;
    }
    this.saveEpochs();
    const durable = this.offset - this.flusher.recoveryPoint >= this.config.flushMessages;
    this.#write(chunkAt === 0 ? bytes : bytes.subarray(chunkAt), durable ? this.#afterFlush(done) : done);
  }

  #takeIn(bytes: Buffer, at: number, size: number): void {
    const segment = this.segments.active;
    const lastOffset = batchLastOffset(bytes, at);
    assert(lastOffset >= this.offset, `offset ${lastOffset} is appended to ${this.#directory.path}, which ends at ${this.offset}`);
    if (batchMagic(bytes, at) < 2) this.epochs.clear();
    else if (batchLeaderEpoch(bytes, at) >= 0) this.epochs.assign(batchLeaderEpoch(bytes, at), batchBaseOffset(bytes, at));
    segment.note(bytes, at, size);
    this.offset = lastOffset + 1;
    if (batchProducerId(bytes, at) > NO_PRODUCER_ID) {
      const completed = this.producers.apply(bytes, at, size);
      if (completed?.aborted === true) segment.noteAborted(completed);
    }
    this.producers.endOffset = this.offset;
  }

  /** Hands over the bytes of batches that were taken in, all of one segment and the last ones there. */
  #write(bytes: Buffer, done: WriteDone): void {
    const segment = this.segments.active;
    const written = this.tail.add(bytes, this.offset - 1);
    this.queue.write(segment, bytes, segment.sizeBytes - bytes.length, this.offset, (error) => {
      if (error === undefined) written();
      done(error);
    });
  }

  #afterFlush(done: WriteDone): WriteDone {
    return (error) => {
      if (error !== undefined) {
        done(error);
        return;
      }
      this.#context.tasks.run(async () => done(await this.#hooks.flush(this.offset)));
    };
  }

  /** A new active segment. Its base is `expectedBase`, or the log's end where that is greater. */
  roll(expectedBase: number): void {
    const base = Math.max(expectedBase, this.offset);
    const old = this.segments.active;
    if (base === old.baseOffset) {
      // Indexes without room for a single entry: the empty segment is as good as a new one.
      assert(old.sizeBytes === 0, `segment ${base} of ${this.#directory.path} is rolled onto itself`);
      return;
    }
    old.deactivate();
    this.queue.afterWritten(old, (error) => {
      if (error === undefined) this.#trim(old);
    });
    this.producers.endOffset = base;
    this.snapshots.take(this.producers);
    this.addSegment(base);
    this.#hooks.background(async () => void (await this.#hooks.flush(base)));
  }

  #trim(segment: Segment): void {
    try {
      segment.trim();
    } catch (error) {
      this.#hooks.onFailure(toError(error));
    }
  }

  addSegment(baseOffset: number): void {
    this.segments.add(Segment.create({ ...segmentOptions(this.#context, this.#directory, this.config), baseOffset }));
    this.flusher.newFiles = true;
  }

  /** Brings the file up to date, later, where the epochs have changed. */
  saveEpochs(): void {
    if (!this.epochs.changed) return;
    this.epochs.changed = false;
    this.#epochSaver.request();
  }

  /** The segments were cut, or replaced: the log ends at `offset` now, with nothing on its way to the files. */
  moveBack(offset: number, producers: ProducerState): void {
    this.offset = offset;
    this.producers = producers;
    this.producers.endOffset = offset;
    this.queue.writtenOffset = offset;
    this.flusher.truncated(offset);
    this.tail.truncateTo(offset);
    this.snapshots.take(producers);
    this.saveEpochs();
  }
}

/** v0/v1 messages do not tell the first offset of a wrapper: as far below the last one as a segment may reach. */
function rollBase(bytes: Buffer, at: number): number {
  return batchMagic(bytes, at) < 2 ? Math.max(0, batchLastOffset(bytes, at) - 0x7fff_ffff) : batchBaseOffset(bytes, at);
}

const ignore = (): void => undefined;
