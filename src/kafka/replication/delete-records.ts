import type { Timers } from "../../host/clock.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { Partition } from "./partition.ts";

export interface DeleteRecordsOptions {
  /** -1: all that is committed. */
  readonly offset: number;
  readonly timeoutMs: number;
  readonly timers: Timers;
  /** Whether the broker is in the cluster: others are not waited for. */
  isAlive(broker: number): boolean;
  /** Calls `look` when brokers may have come or gone, until it returns true. Returns what ends it. */
  onBrokers(look: () => boolean): () => void;
}

/** The outcome for one partition: the first offset that is left on every live replica, -1 with most errors. */
export interface RecordsDeleted {
  readonly error: ErrorCode;
  readonly lowWatermark: number;
}

/**
 * Moves a led partition's log start, and resolves when all live replicas have followed, or with REQUEST_TIMED_OUT,
 * though they will. Segments go with the next retention. Source: ReplicaManager.deleteRecords,
 * Partition.deleteRecordsOnLeader, DelayedDeleteRecords.
 */
export function deleteRecordsOf(partition: Partition, options: DeleteRecordsOptions): RecordsDeleted | Promise<RecordsDeleted> {
  const refusal = refusalOf(partition, options.offset);
  if (refusal !== undefined) return failed(refusal);
  const requiredOffset = options.offset === -1 ? partition.log.highWatermark : options.offset;
  const moved = partition.log.advanceStartOffset(requiredOffset);
  if (moved !== undefined) return failed(moved.error);
  const lowWatermark = (): number => partition.lowWatermark((broker) => options.isAlive(broker));
  const atFirst = lowWatermark();
  if (atFirst >= requiredOffset) return { error: ErrorCode.NONE, lowWatermark: atFirst };
  return new Promise((resolve) => {
    const settle = (outcome: RecordsDeleted): true => {
      timer.cancel();
      unwatch();
      unwatchBrokers();
      resolve(outcome);
      return true;
    };
    const look = (): boolean => {
      const error = partition.check({ currentLeaderEpoch: -1, leaderOnly: true });
      if (error !== ErrorCode.NONE) return settle(failed(error));
      const reached = lowWatermark();
      return reached >= requiredOffset && settle({ error: ErrorCode.NONE, lowWatermark: reached });
    };
    const timer = options.timers.after(options.timeoutMs, () => settle({ error: ErrorCode.REQUEST_TIMED_OUT, lowWatermark: atFirst }));
    const unwatch = partition.watch((change) => {
      if (change === "followerStart" || change === "role") look();
    });
    const unwatchBrokers = options.onBrokers(look);
  });
}

function refusalOf(partition: Partition, offset: number): ErrorCode | undefined {
  const error = partition.check({ currentLeaderEpoch: -1, leaderOnly: true });
  if (error !== ErrorCode.NONE) return error;
  if (!partition.log.config.cleanupPolicy.includes("delete")) return ErrorCode.POLICY_VIOLATION;
  return offset < -1 ? ErrorCode.OFFSET_OUT_OF_RANGE : undefined;
}

function failed(error: ErrorCode): RecordsDeleted {
  return { error, lowWatermark: -1 };
}
