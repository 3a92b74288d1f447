import { TaskGroup } from "../../lib/task-group.ts";
import type { Host } from "../../host/host.ts";
import { World } from "../../host/sim/world.ts";
import { batchBaseOffset, batchLastOffset, wholeBatchSize } from "../records/batch.ts";
import { buildBatch, type BatchOptions } from "../records/build.ts";
import { RecordsValidator } from "../records/validate.ts";
import { defaultLogConfig, type LogConfig } from "./log-config.ts";
import type { Appended, LogContext, OutOfPlace } from "./log-context.ts";
import type { PartitionLog } from "./log.ts";
import { LogTimes } from "./log-times.ts";
import { createLog, openLog, type OpenLogOptions } from "./open-log.ts";
import { SegmentCache } from "./segment-cache.ts";
import { TailBudget, type ReadLimits } from "./tail-cache.ts";

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
    buffers: host.buffers,
    tails: new TailBudget(limits.tailBytesMax ?? 1024 * 1024, host.buffers),
    cache: new SegmentCache(limits.cacheBytesMax ?? 1024 * 1024, tasks),
    validator: new RecordsValidator(),
    times: new LogTimes(),
    // The batches of `testBatch` are from 1970.
    producerExpirationMs: Infinity,
    ioErrors,
    saveRecoveryPoints: () => Promise.resolve(),
    onIoError: (_logDirectory, error) => ioErrors.push(error),
  };
}

export interface TestBatch extends BatchOptions {
  readonly count?: number;
  /** Of each record's value. */
  readonly bytes?: number;
  /** Of the first record; those behind it come a millisecond later each. */
  readonly timestamp?: number;
}

export function testBatch({ count = 1, bytes = 10, timestamp = 1_000, ...options }: TestBatch = {}): Buffer {
  const records = Array.from({ length: count }, (_, index) => ({ key: Buffer.from(`k${index}`), value: Buffer.alloc(bytes, index), timestamp: timestamp + index }));
  return buildBatch(records, options);
}

/** One log, `t-0`, on a simulated machine. */
export class LogBench {
  readonly world: World;
  readonly node: World["nodes"][number];
  readonly logDirectory = "/data";
  readonly directory = "/data/t-0";
  context: TestContext;
  log: PartitionLog;
  /** Appends that were told to be written, by first offset. */
  readonly written: number[] = [];
  readonly #config: LogConfig;
  readonly #limits: TestLimits;

  constructor(config: Partial<LogConfig> = {}, limits: TestLimits & { readonly seed?: number } = {}) {
    this.world = new World({ seed: limits.seed ?? 1 });
    this.node = this.world.addNode("broker");
    this.#config = { ...defaultLogConfig, ...config };
    this.#limits = limits;
    this.context = testContext(this.node.host, limits);
    this.log = createLog(this.context, { topic: "t", partition: 0, logDirectory: this.logDirectory, name: "t-0", config: this.#config });
  }

  /** Appends as a leader; the batch's first offset. */
  append(options: TestBatch & { readonly origin?: "client" | "coordinator" } = {}): number {
    return this.appendBytes(testBatch(options), options.leaderEpoch, options.origin);
  }

  appendBytes(batch: Buffer, leaderEpoch = 0, origin: "client" | "coordinator" = "client"): number {
    const expected = this.log.endOffset;
    const result = this.log.appendAsLeader(batch, { leaderEpoch, origin }, (error) => {
      if (error === undefined) this.written.push(expected);
    });
    if (result.kind === "refused") throw new Error(result.message);
    return result.firstOffset;
  }

  /** Appends as a follower does: batches placed at these offsets. */
  replicate(...batches: readonly TestBatch[]): Appended | OutOfPlace {
    const result = this.log.appendAsFollower(Buffer.concat(batches.map((batch) => testBatch(batch))), () => undefined);
    if (result.kind === "refused") throw new Error(result.message);
    return result;
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.world.settle(promise);
  }

  /** [first, last] of every whole batch that a read returns. */
  async read(offset: number, limits: Partial<ReadLimits> = {}): Promise<[number, number][]> {
    const read = await this.settle(this.log.read({ offset, maxBytes: 1e6, maxOffset: this.log.endOffset, minOneMessage: true, ...limits }));
    if (read.kind === "refused") throw new Error(read.message);
    return offsetsIn(Buffer.concat(read.chunks, read.bytes));
  }

  /** [first, last] of every batch in the log. */
  async readAll(): Promise<[number, number][]> {
    const all: [number, number][] = [];
    for (let offset = this.log.startOffset; offset < this.log.endOffset; offset = (all.at(-1)?.[1] ?? 0) + 1) {
      const next = await this.read(offset);
      if (next.length === 0) break;
      all.push(...next);
    }
    return all;
  }

  /** Names in the log's directory, with sizes, and the content of one. */
  files(): Map<string, number> {
    const { entries } = this.node.disk.files.directory(this.directory);
    return new Map([...entries.keys()].toSorted().map((name) => [name, this.content(name).length]));
  }

  content(name: string): Buffer {
    return this.node.disk.peek(`${this.directory}/${name}`) ?? Buffer.alloc(0);
  }

  /** Changes a file behind the log's back. */
  write(name: string, content: Buffer): void {
    const file = this.node.host.disk.openSync(`${this.directory}/${name}`, "truncate");
    file.writeSync([content], 0);
    file.closeSync();
  }

  /** Opens the log anew, in this life of the machine or the next. */
  async reopen(options: Partial<OpenLogOptions>): Promise<void> {
    this.context = testContext(this.node.host, this.#limits);
    this.log = await this.settle(
      openLog(this.context, {
        topic: "t",
        partition: 0,
        logDirectory: this.logDirectory,
        name: "t-0",
        config: this.#config,
        clean: false,
        recoveryPoint: 0,
        startOffset: 0,
        highWatermark: 0,
        ...options,
      }),
    );
  }

  /** Lets time pass. */
  run(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }
}

export function offsetsIn(bytes: Buffer): [number, number][] {
  const offsets: [number, number][] = [];
  for (let at = 0, size = wholeBatchSize(bytes, 0, bytes.length); size > 0; size = wholeBatchSize(bytes, at, bytes.length)) {
    offsets.push([batchBaseOffset(bytes, at), batchLastOffset(bytes, at)]);
    at += size;
  }
  return offsets;
}
