import type { Clock, Timers } from "../../host/clock.ts";
import type { Disk } from "../../host/disk.ts";
import type { Logger } from "../../host/log.ts";
import type { Random } from "../../host/random.ts";
import type { BufferPool } from "../../lib/buffer-pool.ts";
import type { TaskGroup } from "../../lib/task-group.ts";
import type { RecordsValidator } from "../records/validate.ts";
import type { LogTimes } from "./log-times.ts";
import type { LeaderEpochs } from "./leader-epochs.ts";
import type { LogConfig } from "./log-config.ts";
import type { ProducerState } from "./producer-state.ts";
import type { SegmentCache } from "./segment-cache.ts";
import type { SegmentList } from "./segment-list.ts";
import type { SegmentOptions } from "./segment.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";
import type { TailBudget } from "./tail-cache.ts";

/** What the logs of a broker share. */
export interface LogContext {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly disk: Disk;
  readonly random: Random;
  readonly log: Logger;
  readonly tasks: TaskGroup;
  readonly buffers: BufferPool;
  readonly tails: TailBudget;
  readonly cache: SegmentCache;
  readonly validator: RecordsValidator;
  readonly times: LogTimes;
  /** Producers that wrote nothing for so long are forgotten. */
  readonly producerExpirationMs: number;
  /** Called, and awaited, after a truncation: an older recovery point on the disk would vouch for what is written next. */
  saveRecoveryPoints(logDirectory: string): Promise<void>;
  /** The disk failed under this log directory: nothing in it can be used any more. */
  onIoError(logDirectory: string, error: Error): void;
}

/** A partition's own directory; its path changes when the log moves. */
export interface LogPath {
  path: string;
}

/** A log as its files were found, or as it was created. */
export interface LogParts {
  readonly topic: string;
  readonly partition: number;
  /** The log directory that holds the partition's own. */
  readonly logDirectory: string;
  readonly directory: LogPath;
  readonly config: LogConfig;
  readonly segments: SegmentList;
  readonly epochs: LeaderEpochs;
  readonly producers: ProducerState;
  readonly snapshots: SnapshotFiles;
  readonly startOffset: number;
  readonly endOffset: number;
  readonly recoveryPoint: number;
  readonly highWatermark: number;
}

export interface Appended {
  readonly kind: "appended";
  /** -1, as the last one, where the records held no whole batch. */
  readonly firstOffset: number;
  readonly lastOffset: number;
  /** -1 on topics with CreateTime, but for duplicates: those have the original batch's max timestamp. */
  readonly logAppendTime: number;
  readonly logStartOffset: number;
  /** The batch was appended before; nothing was written now. */
  readonly duplicate: boolean;
}

/** What a leader sent does not continue this log: it begins below the log's end. */
export interface OutOfPlace {
  readonly kind: "out-of-place";
  readonly firstOffset: number;
  /** Of all that was sent. */
  readonly lastOffset: number;
}

export interface LeaderAppend {
  readonly leaderEpoch: number;
  readonly origin: "client" | "coordinator";
}

/** All of a segment's options but which one it is. */
export function segmentOptions(context: LogContext, directory: LogPath, config: LogConfig): Omit<SegmentOptions, "baseOffset" | "sizeBytes"> {
  const jitterMax = Math.min(config.segmentJitterMs, config.segmentMs, 0xffff_ffff);
  return {
    disk: context.disk,
    cache: context.cache,
    directory,
    config,
    createdMs: context.clock.wallMs(),
    rollJitterMs: jitterMax === 0 ? 0 : context.random.below(jitterMax),
  };
}
