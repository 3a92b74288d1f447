import { longMax } from "../../lib/config/key.ts";
import type { TimestampType } from "../records/batch.ts";

/** What a log takes from its topic's configuration; each field is the topic key of that name, in camel case. */
export interface LogConfig {
  readonly segmentBytes: number;
  readonly segmentMs: number;
  readonly segmentJitterMs: number;
  readonly segmentIndexBytes: number;
  readonly indexIntervalBytes: number;
  readonly preallocate: boolean;
  readonly flushMessages: number;
  readonly flushMs: number;
  readonly maxMessageBytes: number;
  readonly messageTimestampType: TimestampType;
  readonly messageTimestampDifferenceMaxMs: number;
  readonly cleanupPolicy: readonly ("delete" | "compact")[];
  /** -1: no limit. */
  readonly retentionMs: number;
  /** -1: no limit. */
  readonly retentionBytes: number;
  readonly fileDeleteDelayMs: number;
  readonly minCompactionLagMs: number;
  readonly maxCompactionLagMs: number;
  readonly minCleanableDirtyRatio: number;
  readonly deleteRetentionMs: number;
}

/** The defaults of Kafka 2.7.1 (kafka.server.Defaults). */
export const defaultLogConfig: LogConfig = {
  segmentBytes: 1024 ** 3,
  segmentMs: 7 * 24 * 3600_000,
  segmentJitterMs: 0,
  segmentIndexBytes: 10 * 1024 ** 2,
  indexIntervalBytes: 4096,
  preallocate: false,
  flushMessages: longMax,
  flushMs: longMax,
  maxMessageBytes: 1024 * 1024 + 12,
  messageTimestampType: "CreateTime",
  messageTimestampDifferenceMaxMs: longMax,
  cleanupPolicy: ["delete"],
  retentionMs: 7 * 24 * 3600_000,
  retentionBytes: -1,
  fileDeleteDelayMs: 60_000,
  minCompactionLagMs: 0,
  maxCompactionLagMs: longMax,
  minCleanableDirtyRatio: 0.5,
  deleteRetentionMs: 24 * 3600_000,
};
