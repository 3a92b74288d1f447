import type { Clock } from "../../host/clock.ts";
import { toError } from "../../lib/error.ts";
import type { TaskGroup } from "../../lib/task-group.ts";
import type { LogTimes } from "./log-times.ts";
import type { Segment } from "./segment.ts";

/** A larger write holds the loop for longer than the thread pool costs. */
const SYNC_BYTES_MAX = 64 * 1024;
/** A write that took this much longer than copying its bytes met the disk instead of the page cache: the next ones leave the loop alone. */
const SLOW_WRITE_MS = 2;
const COPIED_BYTES_PER_MS = 500_000;
/** What one gathered write takes at most. */
const GATHERED_BYTES_MAX = 4 * 1024 * 1024;

/** Undefined: the bytes are in the file, though not yet synced. */
export type WriteDone = (error: Error | undefined) => void;

interface Queued {
  readonly segment: Segment;
  /** Empty: nothing to write, only `done` to be called in its turn. */
  readonly bytes: Buffer;
  readonly position: number;
  readonly endOffset: number;
  readonly done: WriteDone;
}

/**
 * Writes a log's bytes in order: at once while nothing waits, the batch is small and the last write was quick; else
 * gathered and asynchronously, one write at a time. After a failure nothing is written any more.
 */
export class WriteQueue {
  /** All below this offset is in the files. */
  writtenOffset: number;
  failure: Error | undefined;

  readonly #clock: Clock;
  readonly #times: LogTimes;
  readonly #tasks: TaskGroup;
  readonly #onFailure: (error: Error) => void;
  #queue: Queued[] = [];
  #queuedBytes = 0;
  #draining: Promise<void> | undefined;
  #slow = false;

  constructor(options: { writtenOffset: number; clock: Clock; times: LogTimes; tasks: TaskGroup; onFailure: (error: Error) => void }) {
    this.writtenOffset = options.writtenOffset;
    this.#clock = options.clock;
    this.#times = options.times;
    this.#tasks = options.tasks;
    this.#onFailure = options.onFailure;
  }

  /** Bytes that wait, or are being written. */
  get queuedBytes(): number {
    return this.#queuedBytes;
  }

  /** `done` is called once: before this returns, or later. Records below `endOffset` are then in the file. */
  write(segment: Segment, bytes: Buffer, position: number, endOffset: number, done: WriteDone): void {
    if (this.failure !== undefined) {
      done(this.failure);
    } else if (this.#draining === undefined && !this.#slow && bytes.length <= SYNC_BYTES_MAX) {
      this.#writeNow(segment, bytes, position, endOffset, done);
    } else {
      this.#enqueue({ segment, bytes, position, endOffset, done });
    }
  }

  /** Calls `done` once all that was handed over before is written, and before anything later is. */
  afterWritten(segment: Segment, done: WriteDone): void {
    if (this.#draining === undefined) done(this.failure);
    else this.#enqueue({ segment, bytes: EMPTY, position: segment.sizeBytes, endOffset: this.writtenOffset, done });
  }

  /** Resolves when nothing waits; the caller must not let anything new come in between. */
  async settled(): Promise<void> {
    while (this.#draining !== undefined) await this.#draining;
  }

  #writeNow(segment: Segment, bytes: Buffer, position: number, endOffset: number, done: WriteDone): void {
    const startMs = this.#clock.monotonicMs();
    try {
      segment.file.writeSync([bytes], position);
    } catch (thrown) {
      this.#fail(toError(thrown));
      done(this.failure);
      return;
    }
    const elapsedMs = this.#clock.monotonicMs() - startMs;
    this.#times.written.observe(elapsedMs);
    this.#slow = tookLong(elapsedMs, bytes.length);
    segment.wroteTo(position + bytes.length);
    this.writtenOffset = endOffset;
    done(undefined);
  }

  #enqueue(queued: Queued): void {
    this.#queue.push(queued);
    this.#queuedBytes += queued.bytes.length;
    if (this.#draining !== undefined) return;
    const draining = this.#drain();
    this.#draining = draining;
    this.#tasks.run(() => draining);
  }

  async #drain(): Promise<void> {
    // What the same turn appends goes into the first write too.
    await Promise.resolve();
    while (this.#queue.length > 0 && this.failure === undefined) {
      const run = this.#nextRun();
      const [first] = run;
      if (first === undefined) break;
      const startMs = this.#clock.monotonicMs();
      try {
        await first.segment.file.write(
          run.map((queued) => queued.bytes),
          first.position,
        );
      } catch (thrown) {
        this.#queue.unshift(...run);
        this.#fail(toError(thrown));
        break;
      }
      const elapsedMs = this.#clock.monotonicMs() - startMs;
      this.#times.writtenBehind.observe(elapsedMs);
      this.#slow = tookLong(
        elapsedMs,
        run.reduce((sum, queued) => sum + queued.bytes.length, 0),
      );
      this.#settle(run);
    }
    this.#draining = undefined;
  }

  /** What can go in one write: neighbours in one file. */
  #nextRun(): Queued[] {
    let count = 0;
    let bytes = 0;
    for (const queued of this.#queue) {
      if (queued.segment !== this.#queue[0]?.segment || (count > 0 && bytes + queued.bytes.length > GATHERED_BYTES_MAX)) break;
      count++;
      bytes += queued.bytes.length;
    }
    return this.#queue.splice(0, count);
  }

  #settle(run: readonly Queued[]): void {
    for (const { segment, bytes, position, endOffset, done } of run) {
      this.#queuedBytes -= bytes.length;
      if (bytes.length > 0) {
        segment.wroteTo(position + bytes.length);
        this.writtenOffset = endOffset;
      }
      done(undefined);
    }
  }

  #fail(error: Error): void {
    this.failure = error;
    this.#onFailure(error);
    const waiting = this.#queue;
    this.#queue = [];
    this.#queuedBytes = 0;
    for (const queued of waiting) queued.done(error);
  }
}

function tookLong(elapsedMs: number, bytes: number): boolean {
  return elapsedMs > SLOW_WRITE_MS + bytes / COPIED_BYTES_PER_MS;
}

const EMPTY = Buffer.alloc(0);
