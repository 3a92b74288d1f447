import { describe, expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { batchBaseOffset, batchLastOffset, wholeBatchSize } from "../records/batch.ts";
import type { LogConfig } from "./log-config.ts";
import type { PartitionLog } from "./log.ts";
import { LOG_DIRECTORY, newTestLog, openTestLog, testBatch, testContext, type TestBatch, type TestContext, type TestLimits } from "./testing.ts";

/** One log on a simulated machine. */
class Bench {
  readonly world = new World({ seed: 1 });
  readonly node = this.world.addNode("broker");
  context: TestContext;
  log: PartitionLog;
  #config: Partial<LogConfig>;

  constructor(config: Partial<LogConfig> = {}, limits: TestLimits = {}) {
    this.#config = config;
    this.context = testContext(this.node.host, limits);
    this.log = newTestLog(this.context, config);
  }

  append(fill: string, options: TestBatch = {}): number {
    const result = this.log.appendAsLeader(testBatch(fill, options), { leaderEpoch: 0, origin: "client" }, () => undefined);
    expect(result.kind).toBe("appended");
    return result.kind === "appended" ? result.firstOffset : -1;
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.world.settle(promise);
  }

  /** [first, last] of every batch that a read returns. */
  async read(offset: number, options: Partial<{ maxBytes: number; maxOffset: number; minOneMessage: boolean }> = {}): Promise<[number, number][]> {
    const read = await this.settle(this.log.read({ offset, maxBytes: 1e6, maxOffset: this.log.endOffset, minOneMessage: true, ...options }));
    if (read.kind === "refused") throw new Error(read.message);
    const bytes = Buffer.concat(read.chunks);
    expect(bytes.length).toBe(read.bytes);
    return offsetsIn(bytes);
  }

  files(): string[] {
    const { entries } = this.node.disk.files.directory(`${LOG_DIRECTORY}/t-0`);
    return [...entries.keys()].toSorted().map((name) => `${name} ${this.node.disk.peek(`${LOG_DIRECTORY}/t-0/${name}`)?.length}`);
  }

  async restart(options: { clean: boolean; recoveryPoint?: number; startOffset?: number; highWatermark?: number }): Promise<void> {
    this.context = testContext(this.node.host);
    this.log = await this.settle(openTestLog(this.context, options, this.#config));
  }
}

function offsetsIn(bytes: Buffer): [number, number][] {
  const offsets: [number, number][] = [];
  for (let at = 0, size = wholeBatchSize(bytes, 0, bytes.length); size > 0; size = wholeBatchSize(bytes, at, bytes.length)) {
    offsets.push([batchBaseOffset(bytes, at), batchLastOffset(bytes, at)]);
    at += size;
  }
  return offsets;
}

describe("appends and reads", () => {
  test("offsets count up over batches, and reads return whole batches from the one that holds the offset", async () => {
    const bench = new Bench();
    expect(bench.append("a", { count: 3 })).toBe(0);
    expect(bench.append("b", { count: 2 })).toBe(3);
    expect(bench.append("c")).toBe(5);
    expect(bench.log.endOffset).toBe(6);
    expect(await bench.read(4)).toEqual([
      [3, 4],
      [5, 5],
    ]);
    expect(await bench.read(6)).toEqual([]);
    expect(await bench.read(0, { maxOffset: 3 })).toEqual([[0, 2]]);
    expect(await bench.read(0, { maxOffset: 4 })).toEqual([[0, 2]]);
  });

  test("reads from files and from the tail agree at every offset and limit", async () => {
    const config = { segmentBytes: 1000, indexIntervalBytes: 200 };
    const warm = new Bench(config);
    const cold = new Bench(config, { tailBytesMax: 0, cacheBytesMax: 0 });
    for (let index = 0; index < 60; index++) {
      const options = { count: 1 + (index % 4), bytes: 10 + ((index * 37) % 150) };
      warm.append("x", options);
      cold.append("x", options);
    }
    for (let offset = 0; offset <= warm.log.endOffset; offset += 7) {
      for (const maxBytes of [0, 100, 700]) {
        for (const minOneMessage of [true, false]) {
          const limits = { maxBytes, minOneMessage };
          const [fromTail, fromFiles] = [await warm.read(offset, limits), await cold.read(offset, limits)];
          // A file read ends with its segment, a tail read does not.
          expect(fromTail.slice(0, fromFiles.length)).toEqual(fromFiles);
          expect(fromFiles.length > 0).toBe(fromTail.length > 0);
        }
      }
    }
  });

  test("a first batch that is too large comes whole or cut, as asked", async () => {
    for (const limits of [{}, { tailBytesMax: 0 }]) {
      const bench = new Bench({}, limits);
      bench.append("a", { bytes: 500 });
      const read = async (minOneMessage: boolean): Promise<number> => {
        const result = await bench.settle(bench.log.read({ offset: 0, maxBytes: 100, maxOffset: 1, minOneMessage }));
        return result.kind === "read" ? result.bytes : -1;
      };
      expect(await read(false)).toBe(100);
      expect(await read(true)).toBe(bench.log.sizeBytes);
    }
  });

  test("offsets outside the log are OFFSET_OUT_OF_RANGE, its end is not", async () => {
    const bench = new Bench();
    bench.append("a");
    for (const offset of [-1, 2]) {
      expect(bench.log.readTail({ offset, maxBytes: 1, maxOffset: 1, minOneMessage: true })).toMatchObject({ error: ErrorCode.OFFSET_OUT_OF_RANGE });
    }
    expect(await bench.read(1)).toEqual([]);
  });
});

describe("stop and start", () => {
  test("a clean stop trims the indexes, leaves a snapshot, and the log goes on where it ended", async () => {
    const bench = new Bench({ segmentBytes: 2000, indexIntervalBytes: 100 });
    for (let index = 0; index < 40; index++) bench.append("x", { bytes: 100, timestamp: 1000 + index });
    bench.log.setHighWatermark(40);
    await bench.settle(bench.log.close());
    expect(bench.files()).toMatchInlineSnapshot(`
      [
        "00000000000000000000.index 80",
        "00000000000000000000.log 1892",
        "00000000000000000000.timeindex 120",
        "00000000000000000011.index 80",
        "00000000000000000011.log 1892",
        "00000000000000000011.snapshot 10",
        "00000000000000000011.timeindex 120",
        "00000000000000000022.index 80",
        "00000000000000000022.log 1892",
        "00000000000000000022.snapshot 10",
        "00000000000000000022.timeindex 120",
        "00000000000000000033.index 48",
        "00000000000000000033.log 1204",
        "00000000000000000033.snapshot 10",
        "00000000000000000033.timeindex 72",
        "00000000000000000040.snapshot 10",
        "leader-epoch-checkpoint 8",
      ]
    `);
    await bench.restart({ clean: true, highWatermark: 40 });
    expect(bench.log.endOffset).toBe(40);
    expect(bench.append("y")).toBe(40);
    expect((await bench.read(13)).at(0)).toEqual([13, 13]);
  });
});
