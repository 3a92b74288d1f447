import type { LogContext, LogPath } from "./log-context.ts";
import type { Saver } from "./saver.ts";
import type { SegmentList } from "./segment-list.ts";
import type { WriteQueue } from "./write-queue.ts";

/** Makes a log durable and keeps its recovery point: all below it survives a loss of power. */
export class Flusher {
  recoveryPoint: number;
  lastFlushMs: number;
  /** Files were created, perhaps the directory itself, since the directories were synced. */
  newFiles = true;

  readonly #context: LogContext;
  readonly #directory: LogPath;
  readonly #logDirectory: string;
  readonly #segments: SegmentList;
  readonly #queue: WriteQueue;
  readonly #epochSaver: Saver;
  #target = 0;
  #truncations = 0;
  #running: Promise<void> | undefined;

  constructor(context: LogContext, options: { directory: LogPath; logDirectory: string; segments: SegmentList; queue: WriteQueue; epochSaver: Saver; recoveryPoint: number }) {
    this.#context = context;
    this.#directory = options.directory;
    this.#logDirectory = options.logDirectory;
    this.#segments = options.segments;
    this.#queue = options.queue;
    this.#epochSaver = options.epochSaver;
    this.recoveryPoint = options.recoveryPoint;
    this.lastFlushMs = context.clock.wallMs();
  }

  /** Resolves when all below `upTo` is durable. Flushes that are asked for at the same time share one. */
  async flush(upTo: number): Promise<void> {
    this.#target = Math.max(this.#target, upTo);
    while (this.recoveryPoint < this.#target || this.#segments.all.some((segment) => segment.unsynced && !segment.active)) {
      this.#running ??= this.#syncAll().finally(() => (this.#running = undefined));
      await this.#running;
    }
  }

  /** Resolves when the flush that is under way, if any, has ended, well or not. */
  async settled(): Promise<void> {
    await this.#running?.catch(() => undefined);
  }

  /** The log ends at `endOffset` now. */
  truncated(endOffset: number): void {
    this.recoveryPoint = Math.min(this.recoveryPoint, endOffset);
    this.#target = Math.min(this.#target, endOffset);
    this.#truncations++;
  }

  async #syncAll(): Promise<void> {
    const { clock, times } = this.#context;
    const startMs = clock.monotonicMs();
    const target = this.#target;
    const truncations = this.#truncations;
    await this.#queue.settled();
    if (this.#queue.failure !== undefined) throw this.#queue.failure;
    await this.#epochSaver.settled();
    if (this.newFiles) {
      this.newFiles = false;
      await this.#context.disk.syncDirectory(this.#directory.path);
      await this.#context.disk.syncDirectory(this.#logDirectory);
    }
    for (const segment of this.#segments.all) {
      if (segment.unsynced && (!segment.active || segment.baseOffset < target)) await segment.sync();
    }
    times.flushed.observe(clock.monotonicMs() - startMs);
    // After a truncation other records stand at these offsets.
    if (truncations !== this.#truncations) return;
    this.recoveryPoint = Math.max(this.recoveryPoint, target);
    this.lastFlushMs = this.#context.clock.wallMs();
  }
}
