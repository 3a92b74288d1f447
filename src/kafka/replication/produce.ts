import type { Timers } from "../../host/clock.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { RecordError, Refusal } from "../records/validate.ts";
import type { LeaderAppended, Partition } from "./partition.ts";

export interface ProduceOptions {
  /** 0: nobody waits · 1: written here · -1: on all in-sync replicas. */
  readonly acks: -1 | 0 | 1;
  readonly timeoutMs: number;
  readonly origin: "client" | "coordinator";
}

/** The outcome for one partition. */
export interface Produced {
  readonly error: ErrorCode;
  readonly message: string | null;
  readonly recordErrors: readonly RecordError[];
  readonly baseOffset: number;
  readonly logAppendTime: number;
  readonly logStartOffset: number;
}

/** What min.insync.replicas says for a partition's topic. */
export type InSyncMin = (partition: Partition) => number;

/** Errors of which Kafka tells no log start. */
const WITHOUT_LOG_START = new Set<ErrorCode>([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.CORRUPT_MESSAGE,
  ErrorCode.MESSAGE_TOO_LARGE,
  ErrorCode.RECORD_LIST_TOO_LARGE,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.KAFKA_STORAGE_ERROR,
]);

/** Refusals that Kafka does not count as failures of its own. Source: ReplicaManager.appendToLocalLog. */
const EXPECTED = new Set<ErrorCode>([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.MESSAGE_TOO_LARGE,
  ErrorCode.RECORD_LIST_TOO_LARGE,
  ErrorCode.CORRUPT_MESSAGE,
  ErrorCode.KAFKA_STORAGE_ERROR,
]);

export function failedProduce(error: ErrorCode, message: string | null = null, logStartOffset = -1): Produced {
  return { error, message, recordErrors: [], baseOffset: -1, logAppendTime: -1, logStartOffset };
}

function refusedProduce(refusal: Refusal, logStartOffset: number): Produced {
  return { ...failedProduce(refusal.error, refusal.message, WITHOUT_LOG_START.has(refusal.error) ? -1 : logStartOffset), recordErrors: refusal.recordErrors ?? [] };
}

/**
 * Appends to one partition, in this very turn, and resolves when `acks` is met. Source: ReplicaManager.appendRecords,
 * DelayedProduce.
 */
export function produceTo(partition: Partition, records: Buffer, options: ProduceOptions, inSyncMin: InSyncMin, timers: Timers): Produced | Promise<Produced> {
  let settle: ((written: ErrorCode) => void) | undefined;
  let written: ErrorCode | undefined;
  const minimum = options.acks === -1 ? inSyncMin(partition) : 0;
  const appended = partition.append(records, { origin: options.origin, inSyncMin: minimum }, (error) => {
    written = error;
    settle?.(error);
  });
  if (appended.kind === "refused") {
    partition.traffic.refused(appended.error === ErrorCode.MESSAGE_TOO_LARGE ? records.length : 0, !EXPECTED.has(appended.error));
    return refusedProduce(appended, partition.log.startOffset);
  }
  const messages = appended.duplicate || appended.firstOffset < 0 ? 0 : appended.lastOffset - appended.firstOffset + 1;
  partition.traffic.appended(messages, records.length);
  if (written !== undefined) return afterWrite(partition, appended, written, options, inSyncMin, timers);
  return new Promise((resolve) => {
    settle = (error) => resolve(afterWrite(partition, appended, error, options, inSyncMin, timers));
  });
}

function afterWrite(partition: Partition, appended: LeaderAppended, error: ErrorCode, options: ProduceOptions, inSyncMin: InSyncMin, timers: Timers): Produced | Promise<Produced> {
  if (error !== ErrorCode.NONE) return failedProduce(error);
  const done: Produced = {
    error: ErrorCode.NONE,
    message: null,
    recordErrors: [],
    baseOffset: appended.firstOffset,
    logAppendTime: appended.logAppendTime,
    logStartOffset: appended.logStartOffset,
  };
  if (options.acks !== -1) return done;
  const replicated = (): Produced => (partition.countedCount >= inSyncMin(partition) ? done : failedProduce(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, null, appended.logStartOffset));
  if (partition.isLeader && partition.log.highWatermark >= appended.requiredOffset) return replicated();
  return new Promise((resolve) => {
    const timer = timers.after(options.timeoutMs, () => {
      giveUp();
      resolve(failedProduce(ErrorCode.REQUEST_TIMED_OUT, null, appended.logStartOffset));
    });
    const giveUp = partition.acknowledge(appended.requiredOffset, (outcome) => {
      timer.cancel();
      resolve(outcome === ErrorCode.NONE ? replicated() : failedProduce(outcome));
    });
  });
}
