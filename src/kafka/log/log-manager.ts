import { AssertionFailure } from "../../lib/assert.ts";
import { OperationalError, errorCode, plainMessage, toError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import { RecordsValidator } from "../records/validate.ts";
import { LogCleaner, type CleanerSettings } from "./cleaner/cleaner.ts";
import type { LogConfig } from "./log-config.ts";
import type { LogContext } from "./log-context.ts";
import { LogDirectory } from "./log-directory.ts";
import { LogTimes } from "./log-times.ts";
import type { PartitionLog } from "./log.ts";
import { deletedDirectoryName, parsePartitionDirectory, partitionName } from "./names.ts";
import { createLog, openLog } from "./open-log.ts";
import { SegmentCache } from "./segment-cache.ts";
import { TailBudget } from "./tail-cache.ts";

/** After a start the disk has other things to do than housekeeping. */
const FIRST_TASK_DELAY_MS = 30_000;
/** What a timer can wait for. */
const DELAY_MS_MAX = 2 ** 31 - 1;
/** Opening a log that needs no recovery is a handful of small reads. */
const CLEAN_LOADS_AT_ONCE = 8;
const UNIQUE_ID_BYTES = 16;

export interface LogManagerOptions {
  readonly host: Pick<Host, "clock" | "timers" | "disk" | "random" | "log" | "buffers" | "fail">;
  /** log.dirs, absolute. */
  readonly directories: readonly string[];
  /** Directories that failed before, while their owner was read. */
  readonly failed: ReadonlyMap<string, Error>;
  readonly configOf: (topic: string) => LogConfig;
  /** log.segment.delete.delay.ms: how long the directory of a deleted partition stays. */
  readonly fileDeleteDelayMs: number;
  /** num.recovery.threads.per.data.dir. */
  readonly recoveriesPerDirectory: number;
  /** log.retention.check.interval.ms, log.flush.scheduler.interval.ms, log.flush.offset.checkpoint.interval.ms, log.flush.start.offset.checkpoint.interval.ms, replica.high.watermark.checkpoint.interval.ms. */
  readonly retentionCheckMs: number;
  readonly flushCheckMs: number;
  readonly recoveryPointCheckpointMs: number;
  readonly startOffsetCheckpointMs: number;
  readonly highWatermarkCheckpointMs: number;
  /** transactional.id.expiration.ms, and how often it is looked at. */
  readonly producerExpirationMs: number;
  readonly producerExpirationCheckMs: number;
  /** Memory for what was appended last, and for the indexes of open segments that are not appended to; of all logs together. */
  readonly tailBytesMax: number;
  readonly openSegmentBytesMax: number;
  /** Undefined: nothing is compacted. */
  readonly cleaner: CleanerSettings | undefined;
  /** Whether the topic's log is compacted where its policy asks for it. */
  readonly isCompacted: (topic: string) => boolean;
  /** A log directory failed while in use; its logs, by name, are gone. */
  onDirectoryFailed(directory: string, error: Error, partitions: readonly string[]): void;
}

/** Everything about logs in 2.7.1 that is not configured. */
export const logManagerDefaults = {
  retentionCheckMs: 300_000,
  flushCheckMs: DELAY_MS_MAX,
  recoveryPointCheckpointMs: 60_000,
  startOffsetCheckpointMs: 60_000,
  highWatermarkCheckpointMs: 5_000,
  fileDeleteDelayMs: 60_000,
  recoveriesPerDirectory: 1,
  producerExpirationMs: 604_800_000,
  producerExpirationCheckMs: 600_000,
  tailBytesMax: 32 * 1024 * 1024,
  openSegmentBytesMax: 64 * 1024 * 1024,
  cleaner: undefined,
  isCompacted: () => false,
} as const;

/** All logs of a broker: loads, creates and deletes them, and keeps house. Source: kafka.log.LogManager. */
export class LogManager {
  readonly #options: LogManagerOptions;
  readonly #context: LogContext;
  readonly #tasks: TaskGroup;
  readonly #directories: LogDirectory[];
  readonly #logs = new Map<string, PartitionLog>();
  /** Copies that are to replace a log in another directory. */
  readonly #futureLogs = new Map<string, PartitionLog>();
  readonly #timers = new Set<Timer>();
  readonly times = new LogTimes();
  /** Undefined: nothing is compacted. */
  readonly cleaner: LogCleaner | undefined;
  /** `loading`: a directory that fails is told by the end of `open`. */
  #state: "loading" | "open" | "closed" = "loading";

  private constructor(options: LogManagerOptions) {
    const { host } = options;
    this.#options = options;
    this.#tasks = new TaskGroup((error) => host.fail(error));
    this.#directories = options.directories.map((path) => this.#directory(path));
    this.#context = {
      clock: host.clock,
      timers: host.timers,
      disk: host.disk,
      random: host.random,
      log: host.log,
      tasks: this.#tasks,
      buffers: options.host.buffers,
      tails: new TailBudget(options.tailBytesMax, options.host.buffers),
      cache: new SegmentCache(options.openSegmentBytesMax, this.#tasks),
      validator: new RecordsValidator(),
      times: this.times,
      producerExpirationMs: options.producerExpirationMs,
      saveRecoveryPoints: async (path) => {
        const directory = this.#directories.find((one) => one.path === path);
        directory?.recoveryPoints.request();
        await directory?.recoveryPoints.settled();
        await directory?.cleanerPoints.settled();
      },
      onIoError: (path, error) => this.#fail(path, error),
    };
    this.cleaner =
      options.cleaner === undefined
        ? undefined
        : new LogCleaner({
            host,
            logs: () => this.#compactedLogs(),
            firstDirty: (log) => this.#directoryOf(log)?.cleanedTo.get(log.name),
            setFirstDirty: (log, offset) => this.#setCleanedTo(log, offset),
            settings: options.cleaner,
          });
  }

  /**
   * Locks the directories and loads all logs. Rejects where a directory is in use (ERR_LOG_DIRECTORY_LOCKED), holds
   * what no broker put there (ERR_LOG_DIRECTORY_NAME, ERR_DUPLICATE_LOG, ERR_SEGMENT_OVERFLOW), or where all failed
   * (ERR_NO_LOG_DIRECTORY).
   */
  static async open(options: LogManagerOptions): Promise<LogManager> {
    const manager = new LogManager(options);
    try {
      await manager.#load();
    } catch (error) {
      await manager.#giveUp();
      throw error;
    }
    return manager;
  }

  get(topic: string, partition: number): PartitionLog | undefined {
    return this.#logs.get(partitionName(topic, partition));
  }

  getFuture(topic: string, partition: number): PartitionLog | undefined {
    return this.#futureLogs.get(partitionName(topic, partition));
  }

  get logs(): Iterable<PartitionLog> {
    return this.#logs.values();
  }

  get futureLogs(): Iterable<PartitionLog> {
    return this.#futureLogs.values();
  }

  /** Every configured directory, and why it failed where it did. */
  get directories(): readonly { readonly path: string; readonly failure: Error | undefined }[] {
    return this.#directories;
  }

  /**
   * The partition's log, created where there is none, in the directory with the fewest. Rejects with ERR_LOG_STORAGE
   * where no directory can take it, or where it should exist (`isNew` is false) and may lie in one that failed.
   */
  async getOrCreate(topic: string, partition: number, isNew = true): Promise<PartitionLog> {
    const name = partitionName(topic, partition);
    const existing = this.#logs.get(name);
    if (existing !== undefined) return existing;
    const live = this.#live();
    if (!isNew && live.length < this.#directories.length) {
      throw new OperationalError("ERR_LOG_STORAGE", `The log of ${name} may lie in a log directory that has failed. Mend the disk and start the broker again`);
    }
    const counts = new Map(live.map((directory) => [directory, [...this.#logsIn(directory.path)].length]));
    for (const directory of live.toSorted((a, b) => (counts.get(a) ?? 0) - (counts.get(b) ?? 0))) {
      const log = await this.#createIn(directory, topic, partition);
      if (log !== undefined) return log;
    }
    throw new OperationalError("ERR_LOG_STORAGE", `No log directory is left for ${name}`);
  }

  /** In the map at once. Its names are durable before anything is written: a crash could otherwise keep later segments only. */
  async #createIn(directory: LogDirectory, topic: string, partition: number): Promise<PartitionLog | undefined> {
    const { disk } = this.#options.host;
    const name = partitionName(topic, partition);
    try {
      const log = createLog(this.#context, { topic, partition, logDirectory: directory.path, name, config: this.#options.configOf(topic) });
      this.#logs.set(name, this.#watched(log));
      await disk.syncDirectory(log.directory);
      await directory.syncNames();
      return log;
    } catch (error) {
      if (!isDiskError(error)) throw error;
      this.#fail(directory.path, toError(error));
      return undefined;
    }
  }

  /** Takes the partition's logs out of service at once; their files are removed later. Resolves when no checkpoint names them any more. */
  async delete(topic: string, partition: number): Promise<void> {
    const name = partitionName(topic, partition);
    for (const logs of [this.#logs, this.#futureLogs]) {
      const log = logs.get(name);
      if (log === undefined) continue;
      logs.delete(name);
      if (logs === this.#logs) this.cleaner?.abort(name);
      this.#retire(log);
      const directory = this.#directoryOf(log);
      const savers = directory === undefined ? [] : [directory.recoveryPoints, directory.startOffsets, directory.highWatermarks];
      if (directory !== undefined && logs === this.#logs && directory.cleanedTo.delete(name)) savers.push(directory.cleanerPoints);
      for (const saver of savers) saver.request();
      for (const saver of savers) await saver.settled();
    }
  }

  /** Settings have changed: of one topic, or of all. */
  reconfigure(topic?: string): void {
    for (const log of this.#allLogs()) if (topic === undefined || log.topic === topic) log.config = this.#options.configOf(log.topic);
  }

  #directoryOf(log: PartitionLog): LogDirectory | undefined {
    return this.#directories.find((one) => one.path === log.logDirectory);
  }

  // ---- compaction

  *#compactedLogs(): Iterable<PartitionLog> {
    for (const log of this.#logs.values()) if (log.config.cleanupPolicy.includes("compact") && this.#options.isCompacted(log.topic)) yield log;
  }

  #setCleanedTo(log: PartitionLog, offset: number): void {
    const directory = this.#directoryOf(log);
    if (this.#logs.get(log.name) !== log || directory === undefined) return;
    directory.cleanedTo.set(log.name, offset);
    directory.cleanerPoints.request();
  }

  /** What is appended behind a truncation was not cleaned, whatever stood there before. */
  #watched(log: PartitionLog): PartitionLog {
    log.onTruncated = (activeBase) => {
      if ((this.#directoryOf(log)?.cleanedTo.get(log.name) ?? 0) > activeBase) this.#setCleanedTo(log, activeBase);
    };
    return log;
  }

  #retire(log: PartitionLog): void {
    const { disk, random } = this.#options.host;
    const target = `${log.logDirectory}/${deletedDirectoryName(log.topic, log.partition, random.bytes(UNIQUE_ID_BYTES).toString("hex"))}`;
    const abandoned = log.abandon();
    this.#tasks.run(() => abandoned);
    try {
      disk.renameSync(log.directory, target);
    } catch (error) {
      if (!isDiskError(error)) throw error;
      this.#fail(log.logDirectory, toError(error));
      return;
    }
    log.moved(target);
    this.#removeLater(log.logDirectory, target);
  }

  #removeLater(logDirectory: string, path: string): void {
    this.#after(this.#options.fileDeleteDelayMs, () => this.#onDisk(logDirectory, () => this.#options.host.disk.removeDirectory(path)));
  }

  /** Starts the housekeeping. */
  start(): void {
    this.cleaner?.start();
    const { options, every } = { options: this.#options, every: this.#every.bind(this) };
    every(FIRST_TASK_DELAY_MS, options.retentionCheckMs, () => this.deleteOldSegments());
    every(FIRST_TASK_DELAY_MS, options.flushCheckMs, () => this.#flushOld());
    every(FIRST_TASK_DELAY_MS, options.recoveryPointCheckpointMs, () => this.checkpointRecoveryPoints());
    every(FIRST_TASK_DELAY_MS, options.startOffsetCheckpointMs, () => this.#save((directory) => directory.startOffsets));
    every(options.highWatermarkCheckpointMs, options.highWatermarkCheckpointMs, () => this.checkpointHighWatermarks());
    every(options.producerExpirationCheckMs, options.producerExpirationCheckMs, () => {
      const wallMs = this.#context.clock.wallMs();
      for (const log of this.#allLogs()) log.expireProducers(wallMs);
      return Promise.resolve();
    });
  }

  /** Retention of all logs; those that are only compacted lose what lies below their start. Returns how many segments went. */
  async deleteOldSegments(): Promise<number> {
    let count = 0;
    for (const log of this.#allLogs()) count += await log.deleteOldSegments();
    return count;
  }

  async checkpointRecoveryPoints(): Promise<void> {
    await this.#save((directory) => directory.recoveryPoints);
    for (const log of this.#allLogs()) await log.pruneSnapshots();
  }

  checkpointHighWatermarks(): Promise<void> {
    return this.#save((directory) => directory.highWatermarks);
  }

  async #save(saverOf: (directory: LogDirectory) => LogDirectory["recoveryPoints"]): Promise<void> {
    for (const directory of this.#live()) {
      saverOf(directory).request();
      await saverOf(directory).settled();
    }
  }

  async #flushOld(): Promise<void> {
    for (const log of this.#allLogs()) {
      if (this.#context.clock.wallMs() - log.lastFlushMs >= log.config.flushMs) await log.flush();
    }
  }

  /** Flushes and closes everything and leaves the mark of a clean stop in every directory that works. */
  async close(): Promise<void> {
    this.#state = "closed";
    for (const timer of this.#timers) timer.cancel();
    await this.cleaner?.close();
    await Promise.all(this.#live().map((directory) => this.#onDisk(directory.path, () => this.#closeDirectory(directory))));
    await this.#giveUp();
  }

  async #closeDirectory(directory: LogDirectory): Promise<void> {
    for (const log of this.#logsIn(directory.path)) await log.close();
    for (const saver of [directory.recoveryPoints, directory.startOffsets, directory.highWatermarks]) {
      saver.request();
      await saver.settled();
    }
    await directory.cleanerPoints.settled();
    if (directory.failure === undefined) await directory.markCleanStop();
  }

  /** Lets go of everything without writing. */
  async #giveUp(): Promise<void> {
    for (const log of this.#allLogs()) await log.abandon();
    await this.#tasks.settled();
    for (const directory of this.#directories) await directory.unlock();
  }

  // ---- loading

  #directory(path: string): LogDirectory {
    const directory = new LogDirectory({
      path,
      disk: this.#options.host.disk,
      tasks: this.#tasks,
      logs: () => this.#logsIn(path),
      onFailure: (error) => this.#fail(path, toError(error)),
    });
    directory.failure = this.#options.failed.get(path);
    return directory;
  }

  async #load(): Promise<void> {
    await Promise.all(this.#live().map((directory) => this.#onDisk(directory.path, () => directory.lock())));
    await Promise.all(this.#live().map((directory) => this.#onDisk(directory.path, () => this.#loadDirectory(directory))));
    if (this.#live().length === 0) throw this.#noDirectoryLeft();
    this.#state = "open";
  }

  async #loadDirectory(directory: LogDirectory): Promise<void> {
    const { host } = this.#options;
    const clean = await directory.wasStoppedCleanly();
    const checkpoints = await directory.readCheckpoints(host.log);
    const entries = await host.disk.readDirectory(directory.path);
    const names = entries.filter((entry) => entry.kind === "directory").map((entry) => entry.name);
    host.log.info(clean ? "loading logs after a clean stop" : "recovering logs: the last stop was not clean", { directory: directory.path, logs: names.length });
    const waiting = names.toSorted();
    const loadNext = async (): Promise<void> => {
      for (let name = waiting.pop(); name !== undefined && directory.failure === undefined; name = waiting.pop()) {
        const found = parsePartitionDirectory(name, directory.path);
        if (found.kind === "delete") {
          this.#removeLater(directory.path, `${directory.path}/${name}`);
          continue;
        }
        const key = partitionName(found.topic, found.partition);
        const log = await openLog(this.#context, {
          topic: found.topic,
          partition: found.partition,
          logDirectory: directory.path,
          name,
          config: this.#options.configOf(found.topic),
          clean,
          recoveryPoint: checkpoints.recoveryPoints.get(key) ?? 0,
          startOffset: checkpoints.startOffsets.get(key) ?? 0,
          highWatermark: checkpoints.highWatermarks.get(key) ?? 0,
        });
        this.#add(found.kind === "future" ? this.#futureLogs : this.#logs, log);
      }
    };
    const loads = clean ? Math.max(CLEAN_LOADS_AT_ONCE, this.#options.recoveriesPerDirectory) : this.#options.recoveriesPerDirectory;
    await Promise.all(Array.from({ length: loads }, loadNext));
    await directory.checkCleanerPoints(new Map([...this.#logsIn(directory.path)].map((log) => [log.name, log])));
    await directory.forgetCleanStop();
  }

  #add(logs: Map<string, PartitionLog>, log: PartitionLog): void {
    const other = logs.get(log.name);
    if (other !== undefined) {
      throw new OperationalError(
        "ERR_DUPLICATE_LOG",
        `${log.directory} and ${other.directory} hold the same partition, perhaps since a directory failed while the log moved to another. Remove the one that is known to be older`,
      );
    }
    logs.set(log.name, this.#watched(log));
  }

  // ---- failures

  #live(): LogDirectory[] {
    return this.#directories.filter((directory) => directory.failure === undefined);
  }

  *#allLogs(): Iterable<PartitionLog> {
    yield* this.#logs.values();
    yield* this.#futureLogs.values();
  }

  *#logsIn(path: string): Iterable<PartitionLog> {
    for (const log of this.#allLogs()) if (log.logDirectory === path) yield log;
  }

  /** Runs `task`; an error of the disk ends the directory, others pass. */
  async #onDisk(path: string, task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (!isDiskError(error)) throw error;
      this.#fail(path, toError(error));
    }
  }

  #fail(path: string, error: Error): void {
    const directory = this.#directories.find((one) => one.path === path);
    if (directory === undefined || directory.failure !== undefined) return;
    directory.failure = error;
    this.#options.host.log.error(`a log directory fails, and its logs are offline until the next start: ${plainMessage(error)}`, { directory: path });
    const gone = [...this.#logsIn(path)];
    for (const logs of [this.#logs, this.#futureLogs]) for (const log of gone) if (logs.get(log.name) === log) logs.delete(log.name);
    for (const log of gone) {
      const abandoned = log.abandon();
      this.#tasks.run(() => abandoned);
    }
    this.#tasks.run(() => directory.unlock());
    if (this.#state !== "open") return;
    this.#options.onDirectoryFailed(
      path,
      error,
      gone.map((log) => log.name),
    );
    if (this.#live().length === 0) this.#options.host.fail(this.#noDirectoryLeft());
  }

  #noDirectoryLeft(): OperationalError {
    const reasons = this.#directories.map((directory) => `${directory.path}: ${directory.failure === undefined ? "" : plainMessage(directory.failure)}`);
    return new OperationalError("ERR_NO_LOG_DIRECTORY", `no log directory can be used. ${reasons.join("; ")}. Mend that, then start the broker again: nothing that was acknowledged is lost`);
  }

  // ---- time

  #after(delayMs: number, task: () => Promise<void>): void {
    const timer = this.#options.host.timers.after(Math.min(delayMs, DELAY_MS_MAX), () => {
      this.#timers.delete(timer);
      if (this.#state !== "closed") this.#tasks.run(task);
    });
    this.#timers.add(timer);
  }

  #every(firstMs: number, periodMs: number, task: () => Promise<unknown>): void {
    if (periodMs >= DELAY_MS_MAX) return;
    this.#after(firstMs, async () => {
      await task();
      if (this.#state !== "closed") this.#every(periodMs, periodMs, task);
    });
  }
}

/** Of the disk, or of what is on it; not of what somebody put where it does not belong. */
function isDiskError(error: unknown): boolean {
  const code = errorCode(error);
  return !(error instanceof AssertionFailure) && code !== undefined && (code === "ERR_CHECKPOINT" || !code.startsWith("ERR_"));
}
