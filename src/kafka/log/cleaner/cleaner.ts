import type { Timer } from "../../../host/clock.ts";
import type { Host } from "../../../host/host.ts";
import { TaskGroup } from "../../../lib/task-group.ts";
import { NO_TIMESTAMP } from "../../records/batch.ts";
import type { PartitionLog } from "../log.ts";
import type { Segment } from "../segment.ts";
import { CleanerPass, type PassOutcome } from "./cleaner-pass.ts";
import { KeyMap } from "./key-map.ts";

/** What a timer can wait for. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** log.cleaner.*, by the ends of their names. */
export interface CleanerSettings {
  readonly backoffMs: number;
  readonly dedupeBufferBytes: number;
  readonly ioBufferLoadFactor: number;
  readonly ioBufferBytes: number;
}

export interface LogCleanerOptions {
  readonly host: Pick<Host, "clock" | "timers" | "log" | "fail">;
  /** Those that are to be compacted. */
  readonly logs: () => Iterable<PartitionLog>;
  /** Below, keys are unique; undefined where nothing is known. */
  readonly firstDirty: (log: PartitionLog) => number | undefined;
  readonly setFirstDirty: (log: PartitionLog, offset: number) => void;
  readonly settings: CleanerSettings;
}

interface Candidate {
  readonly log: PartitionLog;
  readonly firstDirty: number;
  readonly firstUncleanable: number;
  readonly truncations: number;
  /** Of its bytes, how many are dirty. */
  readonly ratio: number;
}

interface Running {
  readonly name: string;
  aborted: boolean;
}

/** Compacts logs, the dirtiest first and one at a time. Source: kafka.log.LogCleaner, LogCleanerManager. */
export class LogCleaner {
  readonly #options: LogCleanerOptions;
  readonly #tasks: TaskGroup;
  readonly #map: KeyMap;
  /** Their batches can't be read; until the next start they are left alone. */
  readonly #uncleanable = new WeakSet<PartitionLog>();
  #running: Running | undefined;
  #timer: Timer | undefined;
  #closed = false;

  constructor(options: LogCleanerOptions) {
    this.#options = options;
    this.#tasks = new TaskGroup((error) => options.host.fail(error));
    this.#map = new KeyMap(options.settings.dedupeBufferBytes, options.settings.ioBufferLoadFactor);
  }

  /** Looks for work every backoff, and after a pass at once. */
  start(): void {
    this.#wait(this.#options.settings.backoffMs);
  }

  #wait(delayMs: number): void {
    if (this.#closed) return;
    this.#timer = this.#options.host.timers.after(Math.min(delayMs, DELAY_MS_MAX), () => {
      this.#tasks.run(async () => {
        const cleaned = await this.cleanOnce();
        this.#wait(cleaned ? 0 : this.#options.settings.backoffMs);
      });
    });
  }

  /** Ends the pass over that log, if one is under way, as soon as it looks. */
  abort(name: string): void {
    if (this.#running?.name === name) this.#running.aborted = true;
  }

  /** Ends the pass that is under way; no other begins. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#timer?.cancel();
    if (this.#running !== undefined) this.#running.aborted = true;
    await this.#tasks.settled();
  }

  /** One pass over the dirtiest log that asks for it. False: there was none, or it was not brought to its end. */
  async cleanOnce(): Promise<boolean> {
    const candidate = await this.#dirtiest();
    if (candidate === undefined || this.#closed) return false;
    const { log, firstDirty, firstUncleanable, truncations } = candidate;
    const running: Running = { name: log.name, aborted: false };
    this.#running = running;
    const windowBytes = this.#options.settings.ioBufferBytes / 2;
    const pass = new CleanerPass({ log, map: this.#map, firstDirty, firstUncleanable, truncations, windowBytes, aborted: () => running.aborted });
    const outcome = (await log.guarded(() => pass.run())) ?? { kind: "aborted" };
    this.#running = undefined;
    this.#map.clear();
    this.#settle(log, firstDirty, outcome);
    return outcome.kind === "cleaned";
  }

  #settle(log: PartitionLog, firstDirty: number, outcome: PassOutcome): void {
    const logger = this.#options.host.log;
    switch (outcome.kind) {
      case "cleaned": {
        const { endOffset, bytesBefore, bytesAfter } = outcome;
        this.#options.setFirstDirty(log, endOffset);
        logger.info("log cleaned", { log: log.name, firstDirty, endOffset, bytesBefore, bytesAfter, shrunk: bytesAfter < bytesBefore });
        break;
      }
      case "aborted":
        logger.info("cleaning aborted", { log: log.name, firstDirty });
        break;
      case "uncleanable":
        this.#uncleanable.add(log);
        logger.error("a log is not compacted until the next start: it grows", { log: log.name, directory: log.directory, problem: outcome.problem });
        break;
    }
  }

  async #dirtiest(): Promise<Candidate | undefined> {
    let best: Candidate | undefined;
    for (const log of this.#options.logs()) {
      if (this.#uncleanable.has(log)) continue;
      const candidate = await log.guarded(() => this.#candidate(log));
      if (candidate !== undefined && candidate.ratio > (best?.ratio ?? -1)) best = candidate;
    }
    return best;
  }

  /** Undefined where it is clean enough. */
  async #candidate(log: PartitionLog): Promise<Candidate | undefined> {
    const { truncations } = log;
    const firstDirty = this.#firstDirty(log);
    const dirty = log.segments.filter((segment, index) => !segment.active && (log.segments[index + 1]?.baseOffset ?? Infinity) > firstDirty);
    const firstUncleanable = await this.#firstUncleanable(log, dirty);
    const cleanable = dirty.filter((segment) => segment.baseOffset < firstUncleanable);
    const dirtyBytes = sizeOf(cleanable);
    const cleanBytes = sizeOf(log.segments.filter((segment) => segment.baseOffset < firstDirty));
    if (firstUncleanable <= firstDirty || dirtyBytes === 0) return undefined;
    const ratio = dirtyBytes / (cleanBytes + dirtyBytes);
    return ratio > log.config.minCleanableDirtyRatio || (await this.#isOverdue(log, cleanable)) ? { log, firstDirty, firstUncleanable, truncations, ratio } : undefined;
  }

  /** What was noted, unless that can't be, as for a log that lost its end or its beginning. */
  #firstDirty(log: PartitionLog): number {
    const noted = this.#options.firstDirty(log);
    if (noted === undefined) return log.startOffset;
    if (noted >= log.startOffset && noted <= log.endOffset) return noted;
    this.#options.setFirstDirty(log, log.startOffset);
    return log.startOffset;
  }

  /** The base of the first segment that a pass must not touch. */
  async #firstUncleanable(log: PartitionLog, dirty: readonly Segment[]): Promise<number> {
    const limit = log.segments.findLast((segment) => segment.baseOffset <= log.cleanableOffset)?.baseOffset ?? 0;
    const lagMs = log.config.minCompactionLagMs;
    if (lagMs <= 0) return limit;
    const newestMs = this.#options.host.clock.wallMs() - lagMs;
    for (const segment of dirty) {
      if (segment.baseOffset >= limit) break;
      if ((await segment.largestTimestamp()) > newestMs) return segment.baseOffset;
    }
    return limit;
  }

  /** Whether a record waits for longer than max.compaction.lag.ms; a segment is as old as its first batch. */
  async #isOverdue(log: PartitionLog, cleanable: readonly Segment[]): Promise<boolean> {
    const oldestMs = this.#options.host.clock.wallMs() - log.config.maxCompactionLagMs;
    if (oldestMs <= 0) return false;
    for (const segment of cleanable) {
      if (segment.firstTimestamp === NO_TIMESTAMP) await segment.knowFirstTimestamp();
      if (segment.firstTimestamp > 0 && segment.firstTimestamp < oldestMs) return true;
    }
    return false;
  }
}

function sizeOf(segments: readonly Segment[]): number {
  return segments.reduce((bytes, segment) => bytes + segment.sizeBytes, 0);
}
