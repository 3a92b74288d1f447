import { TaskGroup } from "../../lib/task-group.ts";
import type { Host } from "../../host/host.ts";
import { buildBatch, type BatchOptions } from "../records/build.ts";
import { RecordsValidator } from "../records/validate.ts";
import { defaultLogConfig, type LogConfig } from "./log-config.ts";
import type { LogContext } from "./log-context.ts";
import type { PartitionLog } from "./log.ts";
import { createLog, openLog, type OpenLogOptions } from "./open-log.ts";
import { SegmentCache } from "./segment-cache.ts";
import { TailBudget } from "./tail-cache.ts";

/** For tests: what logs share, on any host, with what went wrong. */
export interface TestContext extends LogContext {
  readonly ioErrors: Error[];
}

export interface TestLimits {
  readonly tailBytesMax?: number;
  readonly cacheBytesMax?: number;
}

export function testContext(host: Host, limits: TestLimits = {}): TestContext {
  const ioErrors: Error[] = [];
  const tasks = new TaskGroup((error) => host.fail(error));
  return {
    clock: host.clock,
    timers: host.timers,
    disk: host.disk,
    random: host.random,
    log: host.log,
    tasks,
    tails: new TailBudget(limits.tailBytesMax ?? 1024 * 1024),
    cache: new SegmentCache(limits.cacheBytesMax ?? 1024 * 1024, tasks),
    validator: new RecordsValidator(),
    producerExpirationMs: 604_800_000,
    ioErrors,
    saveRecoveryPoints: () => Promise.resolve(),
    onIoError: (_logDirectory, error) => ioErrors.push(error),
  };
}

export const LOG_DIRECTORY = "/data";

export function newTestLog(context: LogContext, config: Partial<LogConfig> = {}): PartitionLog {
  return createLog(context, { topic: "t", partition: 0, logDirectory: LOG_DIRECTORY, name: "t-0", config: { ...defaultLogConfig, ...config } });
}

export function openTestLog(context: LogContext, options: Partial<OpenLogOptions> = {}, config: Partial<LogConfig> = {}): Promise<PartitionLog> {
  return openLog(context, {
    topic: "t",
    partition: 0,
    logDirectory: LOG_DIRECTORY,
    name: "t-0",
    config: { ...defaultLogConfig, ...config },
    clean: false,
    recoveryPoint: 0,
    startOffset: 0,
    highWatermark: 0,
    ...options,
  });
}

export interface TestBatch extends BatchOptions {
  readonly count?: number;
  /** Of each record's value. */
  readonly bytes?: number;
  readonly timestamp?: number;
}

/** A batch whose values say what they are: `fill`, then as many more bytes as asked for. */
export function testBatch(fill: string, options: TestBatch = {}): Buffer {
  const { count = 1, bytes = 10, timestamp = 1_000 } = options;
  const records = Array.from({ length: count }, (_, index) => ({
    key: Buffer.from(`k${index}`),
    value: Buffer.alloc(Math.max(bytes, fill.length), fill),
    timestamp: timestamp + index,
  }));
  return buildBatch(records, options);
}
