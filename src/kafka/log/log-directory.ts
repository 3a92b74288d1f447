import { replaceTextFile } from "../../host/durable-file.ts";
import { OperationalError, errorCode } from "../../lib/error.ts";
import type { TaskGroup } from "../../lib/task-group.ts";
import type { Disk, FileLock } from "../../host/disk.ts";
import type { Logger } from "../../host/log.ts";
import { formatMetaProperties, parseMetaProperties, type DirectoryOwner } from "../config/meta-properties.ts";
import { formatOffsets, parseOffsets, readTextFile, type PartitionOffsets } from "./checkpoint.ts";
import type { PartitionLog } from "./log.ts";
import { CLEANER_FILE, CLEAN_SHUTDOWN_FILE, HIGH_WATERMARK_FILE, LOCK_FILE, LOG_START_FILE, META_PROPERTIES_FILE, RECOVERY_POINT_FILE } from "./names.ts";
import { Saver } from "./saver.ts";

export interface Checkpoints {
  readonly recoveryPoints: PartitionOffsets;
  readonly startOffsets: PartitionOffsets;
  readonly highWatermarks: PartitionOffsets;
}

/** One of a broker's log directories: its lock, its checkpoints and the mark of a clean stop. Source: kafka.log.LogManager. */
export class LogDirectory {
  readonly path: string;
  /** Why nothing in it can be used. */
  failure: Error | undefined;
  readonly recoveryPoints: Saver;
  readonly startOffsets: Saver;
  readonly highWatermarks: Saver;
  readonly cleanerPoints: Saver;
  /** By partition name: below, compaction has made keys unique. Also of logs that this broker does not compact, for one that does. */
  readonly cleanedTo = new Map<string, number>();
  readonly #disk: Disk;
  #lock: FileLock | undefined;
  #namesSync: Promise<void> | undefined;
  #nextNamesSync: Promise<void> | undefined;

  /** `logs`: those in this directory now. A checkpoint that cannot be written ends the directory: `onFailure`. */
  constructor(options: { path: string; disk: Disk; tasks: TaskGroup; logs: () => Iterable<PartitionLog>; onFailure: (error: unknown) => void }) {
    const { path, disk, tasks, logs, onFailure } = options;
    this.path = path;
    this.#disk = disk;
    const saver = (name: string, offsetOf: (log: PartitionLog) => number | undefined): Saver => {
      let saved: string | undefined;
      return new Saver(tasks, async () => {
        const text = formatOffsets(offsetsOf(logs(), offsetOf));
        if (text === saved || this.failure !== undefined) return;
        try {
          await replaceTextFile(disk, path, name, text);
          saved = text;
        } catch (error) {
          onFailure(error);
        }
      });
    };
    this.recoveryPoints = saver(RECOVERY_POINT_FILE, (log) => log.recoveryPoint);
    this.startOffsets = saver(LOG_START_FILE, (log) => (log.startOffset > (log.segments[0]?.baseOffset ?? 0) ? log.startOffset : undefined));
    this.highWatermarks = saver(HIGH_WATERMARK_FILE, (log) => log.highWatermark);
    this.cleanerPoints = saver(CLEANER_FILE, (log) => this.cleanedTo.get(log.name));
  }

  /** Throws ERR_LOG_DIRECTORY_LOCKED where another broker, of whatever make, uses the directory. */
  async lock(): Promise<void> {
    await this.#disk.makeDirectory(this.path);
    await this.#disk.syncDirectory(this.path.slice(0, this.path.lastIndexOf("/")) || "/");
    this.#lock = await this.#disk.lock(`${this.path}/${LOCK_FILE}`);
    if (this.#lock !== undefined) return;
    throw new OperationalError("ERR_LOG_DIRECTORY_LOCKED", `Another broker uses the log directory ${this.path}: it holds the lock on ${LOCK_FILE}. Stop it, or give this broker log.dirs of its own`);
  }

  async unlock(): Promise<void> {
    await this.#lock?.release();
    this.#lock = undefined;
  }

  /** What recovery, the log's start and compaction rest on may be missing or damaged, at the price of reading more. */
  async readCheckpoints(logger: Logger): Promise<Checkpoints> {
    const read = async (name: string): Promise<Map<string, number>> => {
      const path = `${this.path}/${name}`;
      return parseOffsets(await readTextFile(this.#disk, path), path);
    };
    const lenient = async (name: string): Promise<Map<string, number>> => {
      try {
        return await read(name);
      } catch (error) {
        if (errorCode(error) !== "ERR_CHECKPOINT") throw error;
        logger.warn("a checkpoint cannot be used and counts as empty", { directory: this.path, name, error });
        return new Map();
      }
    };
    for (const [name, offset] of await lenient(CLEANER_FILE)) this.cleanedTo.set(name, offset);
    return { recoveryPoints: await lenient(RECOVERY_POINT_FILE), startOffsets: await lenient(LOG_START_FILE), highWatermarks: await read(HIGH_WATERMARK_FILE) };
  }

  /** The logs are loaded: forgets what is noted of those that are gone, or that end below it. A log must not grow into such a note. */
  async checkCleanerPoints(logs: ReadonlyMap<string, PartitionLog>): Promise<void> {
    let wrong = false;
    for (const [name, offset] of this.cleanedTo) {
      const log = logs.get(name);
      if (log !== undefined && offset <= log.endOffset) continue;
      this.cleanedTo.delete(name);
      wrong = true;
    }
    if (wrong) this.cleanerPoints.request();
    await this.cleanerPoints.settled();
  }

  /** The partitions' directories that are in it by now stay. Who asks while a sync is under way shares the next one. */
  syncNames(): Promise<void> {
    if (this.#namesSync === undefined) {
      this.#namesSync = this.#disk.syncDirectory(this.path).finally(() => (this.#namesSync = undefined));
      return this.#namesSync;
    }
    this.#nextNamesSync ??= this.#namesSync
      .catch(() => undefined)
      .then(() => {
        this.#nextNamesSync = undefined;
        return this.syncNames();
      });
    return this.#nextNamesSync;
  }

  async wasStoppedCleanly(): Promise<boolean> {
    return (await this.#disk.stat(`${this.path}/${CLEAN_SHUTDOWN_FILE}`)) !== undefined;
  }

  /** Durably, before anything is written: a mark that came back after a crash would vouch for damaged logs. */
  async forgetCleanStop(): Promise<void> {
    await this.#disk.remove(`${this.path}/${CLEAN_SHUTDOWN_FILE}`);
    await this.#disk.syncDirectory(this.path);
  }

  /** The last thing that is written: all logs are closed, all checkpoints saved. */
  async markCleanStop(): Promise<void> {
    const file = await this.#disk.open(`${this.path}/${CLEAN_SHUTDOWN_FILE}`, "truncate");
    await file.sync();
    await file.close();
    await this.#disk.syncDirectory(this.path);
  }
}

function offsetsOf(logs: Iterable<PartitionLog>, offsetOf: (log: PartitionLog) => number | undefined): Map<string, number> {
  const offsets = new Map<string, number>();
  for (const log of logs) {
    const offset = offsetOf(log);
    if (offset !== undefined) offsets.set(log.name, offset);
  }
  return offsets;
}

/** Whose a log directory is; undefined where it is nobody's yet. Throws ERR_META_PROPERTIES, or as the disk does. */
export async function readDirectoryOwner(disk: Disk, directory: string): Promise<DirectoryOwner | undefined> {
  const path = `${directory}/${META_PROPERTIES_FILE}`;
  try {
    return parseMetaProperties((await disk.readFile(path)).toString("latin1"), path);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return undefined;
    throw error;
  }
}

export function writeDirectoryOwner(disk: Disk, directory: string, owner: DirectoryOwner): Promise<void> {
  return replaceTextFile(disk, directory, META_PROPERTIES_FILE, formatMetaProperties(owner));
}
