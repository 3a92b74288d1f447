import { OperationalError } from "../../lib/error.ts";

/** Names of directories and files below a log directory. Source: companion object of kafka.log.Log. */
export interface PartitionDirectory {
  readonly topic: string;
  readonly partition: number;
  /** `future`: being copied from another log directory. `delete`: waiting for its removal. */
  readonly kind: "current" | "future" | "delete";
}

const NAME_BYTES_MAX = 255;
const MARKED = /^\S+-\S+\.\S+-(future|delete)$/;

/** `topic-partition`; also the key of a partition in this folder's maps. */
export function partitionName(topic: string, partition: number): string {
  return `${topic}-${partition}`;
}

/** Throws ERR_LOG_DIRECTORY_NAME for a name that no log of Kafka has: nothing else may lie in a log directory. */
export function parsePartitionDirectory(name: string, parent: string): PartitionDirectory {
  const marked = name.endsWith("-delete") || name.endsWith("-future");
  const kind = MARKED.exec(name)?.[1];
  const plain = marked ? name.slice(0, name.lastIndexOf(".")) : name;
  const match = /^(.+)-(\d+)$/.exec(plain);
  const partition = Number(match?.[2]);
  if (match?.[1] === undefined || partition > 0x7fff_ffff || (marked && kind === undefined)) {
    throw new OperationalError(
      "ERR_LOG_DIRECTORY_NAME",
      `${parent}/${name} is not named topic-partition, topic-partition.<id>-delete or topic-partition.<id>-future. A log directory may hold nothing but logs: move it elsewhere`,
    );
  }
  return { topic: match[1], partition, kind: kind === "future" || kind === "delete" ? kind : "current" };
}

/** `uniqueId`: 32 hexadecimal digits. The topic is cut where the name would be too long for a file system. */
export function deletedDirectoryName(topic: string, partition: number, uniqueId: string): string {
  const suffix = `-${partition}.${uniqueId}-delete`;
  return topic.slice(0, NAME_BYTES_MAX - suffix.length) + suffix;
}

export type SegmentFileKind = "log" | "index" | "timeindex" | "txnindex" | "snapshot";

/** `00000000000000000042.log`; a snapshot is named by the offset that follows the last one in it. */
export function segmentFileName(offset: number, kind: SegmentFileKind): string {
  return `${String(offset).padStart(20, "0")}.${kind}`;
}

/** `cleaned`, `swap`: stages in which a compacted segment replaces others · `deleted`: to be removed. */
export type SegmentStage = "live" | "cleaned" | "swap" | "deleted";

export interface SegmentFile {
  readonly offset: number;
  readonly kind: SegmentFileKind;
  readonly stage: SegmentStage;
}

/** What the names of a segment's files end with. */
export function stageSuffix(stage: SegmentStage): string {
  return stage === "live" ? "" : `.${stage}`;
}

const SEGMENT_FILE = /^(\d+)\.(log|index|timeindex|txnindex|snapshot)(?:\.(deleted|cleaned|swap))?$/;

/** Undefined for files of other kinds. */
export function parseSegmentFile(name: string): SegmentFile | undefined {
  const match = SEGMENT_FILE.exec(name);
  if (match === null) return undefined;
  const offset = Number(match[1]);
  if (!Number.isSafeInteger(offset)) return undefined;
  return { offset, kind: match[2] as SegmentFileKind, stage: (match[3] as SegmentStage | undefined) ?? "live" };
}

export const LEADER_EPOCH_FILE = "leader-epoch-checkpoint";
export const CLEAN_SHUTDOWN_FILE = ".kafka_cleanshutdown";
export const LOCK_FILE = ".lock";
export const META_PROPERTIES_FILE = "meta.properties";
export const RECOVERY_POINT_FILE = "recovery-point-offset-checkpoint";
export const LOG_START_FILE = "log-start-offset-checkpoint";
export const HIGH_WATERMARK_FILE = "replication-offset-checkpoint";
export const CLEANER_FILE = "cleaner-offset-checkpoint";
