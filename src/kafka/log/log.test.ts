import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { batchMaxTimestamp, batchTimestampType } from "../records/batch.ts";
import { buildEndTxnMarker } from "../records/control.ts";
import { LogBench, testBatch } from "./testing.ts";

const client = { leaderEpoch: 0, origin: "client" } as const;
const ignore = (): void => undefined;

describe("appends and reads", () => {
  test("offsets count up over batches, and reads return whole batches from the one that holds the offset", async () => {
    const bench = new LogBench();
    expect([bench.append({ count: 3 }), bench.append({ count: 2 }), bench.append()]).toEqual([0, 3, 5]);
    expect(bench.log.endOffset).toBe(6);
    expect(await bench.read(4)).toEqual([
      [3, 4],
      [5, 5],
    ]);
    expect(await bench.read(6)).toEqual([]);
    expect(await bench.read(0, { maxOffset: 3 })).toEqual([[0, 2]]);
    expect(await bench.read(0, { maxOffset: 4 })).toEqual([[0, 2]]);
  });

  test("reads from files and from the tail agree at every offset and limit, and end with a segment", async () => {
    const config = { segmentBytes: 1000, indexIntervalBytes: 200 };
    const warm = new LogBench(config);
    const cold = new LogBench(config, { tailBytesMax: 0, cacheBytesMax: 0 });
    for (let index = 0; index < 60; index++) {
      for (const bench of [warm, cold]) bench.append({ count: 1 + (index % 4), bytes: 10 + ((index * 37) % 150) });
    }
    expect(cold.log.segments.length).toBeGreaterThan(5);
    for (let offset = 0; offset <= warm.log.endOffset; offset += 3) {
      for (const limits of [{ maxBytes: 0 }, { maxBytes: 100 }, { maxBytes: 100, minOneMessage: false }, { maxBytes: 700 }, { maxOffset: 50 }]) {
        const [fromTail, fromFiles] = [await warm.read(offset, limits), await cold.read(offset, limits)];
        expect(fromTail).toEqual(fromFiles);
        const end = (warm.log.segments.find(({ baseOffset }) => baseOffset > offset) ?? { baseOffset: warm.log.endOffset }).baseOffset;
        for (const [, last] of fromTail) expect(last).toBeLessThan(end);
      }
    }
    expect(await cold.readAll()).toEqual(await warm.readAll());
  });

  test("a first batch that is too large comes whole or cut, as asked", async () => {
    for (const limits of [{}, { tailBytesMax: 0 }]) {
      const bench = new LogBench({}, limits);
      bench.append({ bytes: 500 });
      bench.append({ bytes: 500 });
      const read = async (minOneMessage: boolean, maxBytes: number): Promise<number> => {
        const result = await bench.settle(bench.log.read({ offset: 0, maxBytes, maxOffset: 2, minOneMessage }));
        return result.kind === "read" ? result.bytes : -1;
      };
      expect(await read(false, 100)).toBe(100);
      expect(await read(true, 100)).toBe(bench.log.sizeBytes / 2);
      expect(await read(false, bench.log.sizeBytes - 1)).toBe(bench.log.sizeBytes / 2);
    }
  });

  test("offsets outside the log are OFFSET_OUT_OF_RANGE, its end is not", async () => {
    const bench = new LogBench();
    bench.append();
    for (const offset of [-1, 2]) {
      expect(bench.log.readTail({ offset, maxBytes: 1, maxOffset: 1, minOneMessage: true })).toMatchObject({ error: ErrorCode.OFFSET_OUT_OF_RANGE });
    }
    expect(await bench.read(1)).toEqual([]);
  });

  test("waiting fetches are told how many bytes lie between two offsets", () => {
    const bench = new LogBench({}, { tailBytesMax: 500 });
    for (let index = 0; index < 10; index++) bench.append({ bytes: 29 });
    const one = bench.log.sizeBytes / 10;
    expect(bench.log.availableBytes(8, 10)).toBe(2 * one);
    expect(bench.log.availableBytes(8, 9)).toBe(one);
    expect(bench.log.availableBytes(10, 10)).toBe(0);
    expect(bench.log.availableBytes(0, 10)).toBe(Infinity);
  });
});

describe("what an append is told", () => {
  test("a topic with LogAppendTime stamps the batch, and says when", async () => {
    const bench = new LogBench({ messageTimestampType: "LogAppendTime" });
    const wallMs = bench.node.host.clock.wallMs();
    expect(bench.log.appendAsLeader(testBatch(), client, ignore)).toMatchObject({ logAppendTime: wallMs });
    const read = bench.log.readTail({ offset: 0, maxBytes: 1000, maxOffset: 1, minOneMessage: true });
    if (read?.kind !== "read") throw new Error("no read");
    const [batch] = read.chunks;
    expect(batch && [batchTimestampType(batch, 0), batchMaxTimestamp(batch, 0)]).toEqual(["LogAppendTime", wallMs]);
    expect(await bench.settle(bench.log.offsetForTimestamp(wallMs))).toMatchObject({ offset: 0, timestamp: wallMs });
  });

  test("a repeated batch gets the offsets of the first one, and nothing is written", () => {
    const bench = new LogBench();
    const batch = { producerId: 5, producerEpoch: 0, baseSequence: 0, count: 2, timestamp: 777 };
    bench.append(batch);
    bench.append();
    const size = bench.log.sizeBytes;
    expect(bench.log.appendAsLeader(testBatch(batch), client, ignore)).toEqual({
      kind: "appended",
      firstOffset: 0,
      lastOffset: 1,
      logAppendTime: 778,
      logStartOffset: 0,
      duplicate: true,
    });
    expect(bench.log.sizeBytes).toBe(size);
  });

  test("refusals leave the log as it was", () => {
    const bench = new LogBench({ maxMessageBytes: 1000, segmentBytes: 500 });
    bench.append({ producerId: 1, producerEpoch: 0, baseSequence: 0 });
    const errors = [{ bytes: 2000 }, { bytes: 600 }, { producerId: 1, producerEpoch: 0, baseSequence: 7 }].map((options) => {
      const result = bench.log.appendAsLeader(testBatch(options), client, () => expect.unreachable());
      return result.kind === "refused" ? result.error : result.kind;
    });
    expect(errors).toEqual([ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.RECORD_LIST_TOO_LARGE, ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER]);
    expect([bench.log.endOffset, bench.log.segments.length]).toEqual([1, 1]);
  });

  test("no whole batch is no error, and nothing is appended", () => {
    const bench = new LogBench();
    expect(bench.log.appendAsLeader(testBatch().subarray(0, 70), client, ignore)).toMatchObject({ kind: "appended", firstOffset: -1, lastOffset: -1 });
    expect(bench.log.endOffset).toBe(0);
  });
});

describe("writing", () => {
  test("small batches are in the file when the append returns; large ones later, in order, but can be read at once", async () => {
    const bench = new LogBench();
    bench.append();
    expect(bench.written).toEqual([0]);
    bench.append({ bytes: 100_000 });
    bench.append();
    bench.append();
    expect([bench.written, bench.log.writtenOffset, bench.log.endOffset]).toEqual([[0], 1, 4]);
    expect(bench.log.queuedBytes).toBeGreaterThan(100_000);
    expect(await bench.read(1)).toEqual([
      [1, 1],
      [2, 2],
      [3, 3],
    ]);
    await bench.run(100);
    expect([bench.written, bench.log.writtenOffset, bench.log.queuedBytes]).toEqual([[0, 1, 2, 3], 4, 0]);
    expect(bench.content("00000000000000000000.log").length).toBe(bench.log.sizeBytes);
  });

  test("what is not written yet stays in memory whatever the budget is", async () => {
    const bench = new LogBench({}, { tailBytesMax: 0 });
    bench.append({ bytes: 100_000 });
    expect(bench.context.tails.bytes).toBeGreaterThan(100_000);
    expect(await bench.read(0)).toEqual([[0, 0]]);
    await bench.run(100);
    expect(bench.context.tails.bytes).toBe(0);
    expect(await bench.read(0)).toEqual([[0, 0]]);
  });

  test("a batch repeated while the first one is being written is done with it", async () => {
    const bench = new LogBench();
    const batch = { producerId: 5, producerEpoch: 0, baseSequence: 0, bytes: 100_000 };
    const done: string[] = [];
    bench.log.appendAsLeader(testBatch(batch), client, () => done.push("first"));
    bench.log.appendAsLeader(testBatch(batch), client, () => done.push("second"));
    expect(done).toEqual([]);
    await bench.run(100);
    expect(done).toEqual(["first", "second"]);
  });

  test("flush.messages: the append is done when it is durable", async () => {
    const bench = new LogBench({ flushMessages: 1 });
    bench.append();
    bench.append();
    expect(bench.written).toEqual([]);
    await bench.world.run({ until: () => bench.written.length === 2, withinMs: 1000 });
    expect(bench.log.recoveryPoint).toBe(2);
    bench.node.powerLoss();
    expect(bench.content("00000000000000000000.log").length).toBe(bench.log.sizeBytes);
  });

  test("flush.messages: a sync that fails is told to the appends that wait for it", async () => {
    const bench = new LogBench({ flushMessages: 1 });
    bench.node.disk.inject = (call) => (call.operation === "sync" ? "EIO" : undefined);
    const errors: unknown[] = [];
    for (let index = 0; index < 2; index++) bench.log.appendAsLeader(testBatch(), client, (error) => errors.push(errorCode(error)));
    await bench.run(100);
    expect([errors, bench.context.ioErrors.length]).toEqual([["EIO", "EIO"], 1]);
    await expect(bench.settle(bench.log.truncateTo(0))).rejects.toThrow("failed");
  });

  test.each(["small", "large"])("an error of the disk fails the log once and for all, in a %s append", async (size) => {
    const bench = new LogBench();
    bench.append();
    bench.node.disk.inject = (call) => (call.operation === "write" ? "EIO" : undefined);
    const errors: (Error | undefined)[] = [];
    for (let index = 0; index < 2; index++) bench.log.appendAsLeader(testBatch({ bytes: size === "large" ? 100_000 : 10 }), client, (error) => errors.push(error));
    await bench.run(100);
    // The second is refused: not even the first one's index entry could be written.
    expect(errors.map(errorCode)).toEqual(["EIO"]);
    expect(bench.context.ioErrors).toHaveLength(1);
    expect(bench.log.appendAsLeader(testBatch(), client, ignore)).toMatchObject({ error: ErrorCode.KAFKA_STORAGE_ERROR });
    expect(bench.log.readTail({ offset: 0, maxBytes: 1, maxOffset: 1, minOneMessage: true })).toMatchObject({ error: ErrorCode.KAFKA_STORAGE_ERROR });
  });

  test("a disk that is full when a segment is rolled fails the log", () => {
    const bench = new LogBench({ segmentBytes: 300 });
    bench.append({ bytes: 100 });
    bench.node.disk.inject = (call) => (call.operation === "open" ? "ENOSPC" : undefined);
    expect(bench.log.appendAsLeader(testBatch({ bytes: 200 }), client, ignore)).toMatchObject({ error: ErrorCode.KAFKA_STORAGE_ERROR });
    expect(bench.context.ioErrors).toHaveLength(1);
  });
});

describe("a new segment begins", () => {
  const bases = (bench: LogBench): number[] => bench.log.segments.map((segment) => segment.baseOffset);

  test("where the batch would make the segment larger than segment.bytes", () => {
    const bench = new LogBench({ segmentBytes: 2 * testBatch().length });
    for (let index = 0; index < 5; index++) bench.append();
    expect(bases(bench)).toEqual([0, 2, 4]);
  });

  test("where the records are older than segment.ms, by their timestamps, or by the clock where they have none", async () => {
    const stamped = new LogBench({ segmentMs: 1000 });
    for (const timestamp of [5000, 6000, 6001, 6002]) stamped.append({ timestamp });
    expect(bases(stamped)).toEqual([0, 2]);
    const unstamped = new LogBench({ segmentMs: 1000 });
    unstamped.append({ timestamp: -1 });
    await unstamped.run(500);
    unstamped.append({ timestamp: -1 });
    await unstamped.run(501);
    unstamped.append({ timestamp: -1 });
    expect(bases(unstamped)).toEqual([0, 2]);
  });

  test("where an index is full; with room for no entry each batch gets its own", () => {
    const bench = new LogBench({ segmentIndexBytes: 24, indexIntervalBytes: 0 });
    for (let index = 0; index < 6; index++) bench.append({ timestamp: 1000 + index });
    expect(bases(bench)).toEqual([0, 2, 4]);
    const none = new LogBench({ segmentIndexBytes: 12 });
    for (let index = 0; index < 3; index++) none.append();
    expect(bases(none)).toEqual([0, 1, 2]);
  });

  test("where an offset is too far from the segment's first one", () => {
    const bench = new LogBench();
    bench.replicate({ baseOffset: 0 });
    bench.replicate({ baseOffset: 2 ** 31 - 1 }, { baseOffset: 2 ** 31 + 5 });
    expect(bases(bench)).toEqual([0, 2 ** 31 + 5]);
  });

  test("active indexes have their full size, complete ones that of their entries, the last of the times included", async () => {
    const bench = new LogBench({ segmentBytes: 1000, indexIntervalBytes: 0, segmentIndexBytes: 1001 });
    for (let index = 0; bench.log.segments.length < 2; index++) bench.append({ bytes: 100, timestamp: 1000 + index });
    const [first, second] = bench.log.segments;
    const count = second?.baseOffset ?? 0;
    const files = bench.files();
    expect(files.get("00000000000000000000.index")).toBe(8 * (count - 1));
    expect(files.get("00000000000000000000.timeindex")).toBe(12 * (count - 1));
    expect(files.get(`${String(count).padStart(20, "0")}.index`)).toBe(1000);
    expect(files.get(`${String(count).padStart(20, "0")}.timeindex`)).toBe(996);
    expect(await bench.settle(first?.largestTimestamp() ?? Promise.resolve(0))).toBe(1000 + count - 1);
  });

  test("preallocated segments have their full size until they are complete", async () => {
    const bench = new LogBench({ segmentBytes: 1000, preallocate: true });
    for (let index = 0; index < 12; index++) bench.append({ bytes: 100 });
    expect(bench.log.segments.length).toBe(3);
    await bench.run(1000);
    const [first] = bench.log.segments;
    expect(bench.files().get("00000000000000000000.log")).toBe(first?.sizeBytes);
    expect([...bench.files()].filter(([name, size]) => name.endsWith(".log") && size === 1000)).toHaveLength(1);
    expect((await bench.readAll()).length).toBe(12);
  });
});

describe("a follower", () => {
  test("takes offsets, gaps and leader epochs as they are", async () => {
    const bench = new LogBench();
    bench.replicate({ baseOffset: 10, count: 2, leaderEpoch: 3 }, { baseOffset: 20, leaderEpoch: 5 });
    expect(await bench.readAll()).toEqual([
      [10, 11],
      [20, 20],
    ]);
    expect(await bench.read(13)).toEqual([[20, 20]]);
    expect([bench.log.endOffset, bench.log.latestEpoch]).toEqual([21, 5]);
    expect(bench.log.endOffsetForEpoch(3)).toEqual({ epoch: 3, endOffset: 20 });
    expect(bench.log.endOffsetForEpoch(4)).toEqual({ epoch: 3, endOffset: 20 });
    expect(bench.log.endOffsetForEpoch(5)).toEqual({ epoch: 5, endOffset: 21 });
  });

  test.each([0, 1024 * 1024])("is read on over gaps, within a segment and between two, with a tail of %i bytes", async (tailBytesMax) => {
    const bench = new LogBench({ segmentBytes: 3 * testBatch().length }, { tailBytesMax });
    for (const baseOffset of [0, 10, 20, 35, 36, 50, 70]) bench.replicate({ baseOffset });
    expect(bench.log.segments.map((segment) => segment.baseOffset)).toEqual([0, 35, 70]);
    for (const limits of [{ maxBytes: 1 }, {}]) {
      const offsets: number[] = [];
      for (let offset = 0; offset < bench.log.endOffset; offset = (offsets.at(-1) ?? Infinity) + 1) offsets.push(...(await bench.read(offset, limits)).map(([, last]) => last));
      expect(offsets).toEqual([0, 10, 20, 35, 36, 50, 70]);
    }
  });

  test("spreads what it is sent over segments, and says when all of it is written", async () => {
    const bench = new LogBench({ segmentBytes: 1000 });
    let done = 0;
    const batches = Array.from({ length: 40 }, (_, index) => testBatch({ baseOffset: index, bytes: 100, leaderEpoch: 0 }));
    bench.log.appendAsFollower(Buffer.concat(batches), () => done++);
    expect([bench.log.segments.length, done]).toEqual([8, 1]);
    expect((await bench.readAll()).length).toBe(40);
  });

  test("refuses what begins below its end, and what is damaged or out of order", () => {
    const bench = new LogBench();
    bench.replicate({ baseOffset: 0, count: 5 });
    expect(bench.replicate({ baseOffset: 3, count: 5 })).toEqual({ kind: "out-of-place", firstOffset: 3, lastOffset: 7 });
    expect(bench.replicate({ baseOffset: 3 }, { baseOffset: 9, count: 2 })).toEqual({ kind: "out-of-place", firstOffset: 3, lastOffset: 10 });
    const damaged = testBatch({ baseOffset: 5 });
    damaged[70] = 99;
    const shuffled = Buffer.concat([testBatch({ baseOffset: 9 }), testBatch({ baseOffset: 8 })]);
    for (const bytes of [damaged, shuffled]) expect(bench.log.appendAsFollower(bytes, ignore)).toMatchObject({ error: ErrorCode.CORRUPT_MESSAGE });
    expect(bench.log.endOffset).toBe(5);
  });

  test("keeps of a fetch the whole batches", () => {
    const bench = new LogBench();
    const bytes = Buffer.concat([testBatch({ baseOffset: 0 }), testBatch({ baseOffset: 1 }).subarray(0, 65)]);
    expect(bench.log.appendAsFollower(bytes, ignore)).toMatchObject({ lastOffset: 0 });
  });
});

describe("transactions", () => {
  const txn = { producerEpoch: 0, transactional: true };

  test("readers of committed records stop at the oldest open one, and are told what was aborted", () => {
    const bench = new LogBench();
    const marker = (producerId: number, committed: boolean): number =>
      bench.appendBytes(buildEndTxnMarker(producerId, 0, { committed, coordinatorEpoch: 0, timestamp: 1000 }), 0, "coordinator");
    const stable = (): number => {
      bench.log.setHighWatermark(bench.log.endOffset);
      return bench.log.lastStableOffset;
    };
    bench.append({ ...txn, producerId: 1, baseSequence: 0 });
    bench.append({ ...txn, producerId: 2, baseSequence: 0 });
    bench.append();
    expect(stable()).toBe(0);
    expect(marker(1, false)).toBe(3);
    expect(stable()).toBe(1);
    expect(marker(2, true)).toBe(4);
    expect(bench.log.lastStableOffset).toBe(1);
    expect(stable()).toBe(5);
    expect(bench.log.abortedTransactions(0, 5)).toEqual([{ producerId: 1, firstOffset: 0, lastOffset: 3, lastStableOffset: 1 }]);
    expect(bench.log.abortedTransactions(4, 5)).toEqual([]);
  });
});

describe("offsets", () => {
  test("the high watermark stays between start and end, and advances only forwards", () => {
    const bench = new LogBench();
    bench.append({ count: 10 });
    expect([bench.log.setHighWatermark(99), bench.log.setHighWatermark(4)]).toEqual([10, 4]);
    expect([bench.log.advanceHighWatermark(3), bench.log.advanceHighWatermark(4), bench.log.advanceHighWatermark(7)]).toEqual([false, false, true]);
    expect(() => bench.log.advanceHighWatermark(11)).toThrow("behind the end");
  });

  test("the start moves up to the high watermark, not beyond, and not back", async () => {
    const bench = new LogBench({ segmentBytes: 300 });
    for (let index = 0; index < 9; index++) bench.append({ bytes: 100, leaderEpoch: index });
    bench.log.setHighWatermark(5);
    expect(bench.log.advanceStartOffset(6)).toMatchObject({ error: ErrorCode.OFFSET_OUT_OF_RANGE });
    expect(bench.log.advanceStartOffset(5)).toBeUndefined();
    expect(bench.log.advanceStartOffset(2)).toBeUndefined();
    expect([bench.log.startOffset, bench.log.startEpoch]).toEqual([5, 5]);
    expect(bench.log.endOffsetForEpoch(2)).toEqual({ epoch: 2, endOffset: 5 });
    await expect(bench.read(4)).rejects.toThrow("not in t-0");
    expect((await bench.read(5))[0]).toEqual([5, 5]);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(5);
  });
});

describe("truncation", () => {
  const filled = (): LogBench => {
    const bench = new LogBench({ segmentBytes: 1000, indexIntervalBytes: 100 });
    for (let index = 0; index < 40; index++) {
      bench.append({ count: 2, bytes: 40, timestamp: 1000 + 10 * index, leaderEpoch: Math.floor(index / 10), producerId: 7, producerEpoch: 0, baseSequence: 2 * index });
    }
    return bench;
  };

  test("leaves a prefix, from which the log grows as if there had never been more", async () => {
    for (const offset of [0, 1, 2, 13, 38, 40, 79]) {
      const bench = filled();
      const before = await bench.readAll();
      expect(await bench.settle(bench.log.truncateTo(offset))).toBe(true);
      const kept = before.filter(([, last]) => last < offset);
      expect(await bench.readAll()).toEqual(kept);
      // Batches of two go whole.
      const end = offset - (offset % 2);
      expect([bench.log.endOffset, bench.log.highWatermark, bench.log.writtenOffset]).toEqual([end, 0, end]);
      expect(bench.append({ producerId: 7, producerEpoch: 0, baseSequence: end, timestamp: 5000, leaderEpoch: 9 })).toBe(end);
      expect(bench.log.endOffsetForEpoch(8)?.endOffset).toBe(end);
      expect(await bench.settle(bench.log.offsetForTimestamp(4000))).toMatchObject({ offset: end });
      await bench.settle(bench.log.close());
      await bench.reopen({ clean: true });
      expect(await bench.readAll()).toEqual([...kept, [end, end]]);
    }
  });

  test("within what came in one piece hides nothing of the rest from readers", async () => {
    const bench = new LogBench();
    bench.replicate({ baseOffset: 0 });
    bench.replicate({ baseOffset: 1 }, { baseOffset: 2 }, { baseOffset: 3 });
    await bench.settle(bench.log.truncateTo(3));
    const kept = [[0, 0], [1, 1], [2, 2]];
    expect(await bench.readAll()).toEqual(kept);
    bench.replicate({ baseOffset: 3, leaderEpoch: 1 });
    expect(await bench.readAll()).toEqual([...kept, [3, 3]]);
  });

  test("at or behind the end only forgets leader epochs that nobody wrote in", async () => {
    const bench = filled();
    bench.log.assignEpoch(20, 80);
    expect(await bench.settle(bench.log.truncateTo(80))).toBe(false);
    expect([bench.log.latestEpoch, bench.log.endOffset]).toEqual([3, 80]);
  });

  test("forgets what producers did in the dropped part: their numbers go on from the kept one", async () => {
    const bench = filled();
    await bench.settle(bench.log.truncateTo(50));
    const append = (baseSequence: number) => bench.log.appendAsLeader(testBatch({ producerId: 7, producerEpoch: 0, baseSequence }), client, ignore);
    expect(append(60)).toMatchObject({ error: ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER });
    expect(append(50)).toMatchObject({ kind: "appended", duplicate: false });
  });

  test("an older segment that becomes the active one goes on ageing from its first record", async () => {
    const bench = new LogBench({ segmentMs: 1000, segmentBytes: 3 * testBatch().length });
    for (const timestamp of [5000, 5001, 5002, 5003]) bench.append({ timestamp });
    await bench.settle(bench.log.truncateTo(2));
    bench.append({ timestamp: 6001 });
    expect(bench.log.segments.map((segment) => segment.baseOffset)).toEqual([0, 2]);
    await bench.settle(bench.log.close());
    await bench.reopen({ clean: true });
    bench.append({ timestamp: 7002 });
    expect(bench.log.segments.length).toBe(3);
  });

  test("refuses appends while it runs, and lets them in again", async () => {
    const bench = filled();
    const truncation = bench.log.truncateTo(50);
    expect(bench.log.appendAsLeader(testBatch(), client, ignore)).toMatchObject({ error: ErrorCode.NOT_LEADER_OR_FOLLOWER });
    await bench.settle(truncation);
    expect(bench.append()).toBe(50);
  });

  test("waits for what is on its way to the file", async () => {
    const bench = new LogBench();
    for (const bytes of [10, 900_000, 10]) bench.append({ bytes });
    await bench.settle(bench.log.truncateTo(2));
    expect([bench.log.endOffset, bench.written]).toEqual([2, [0, 1, 2]]);
    expect(await bench.readAll()).toEqual([
      [0, 0],
      [1, 1],
    ]);
  });

  test("below the first segment, or in full, starts the log over", async () => {
    const bench = new LogBench();
    bench.replicate({ baseOffset: 100, count: 10, leaderEpoch: 1 });
    await bench.settle(bench.log.truncateFullyAndStartAt(1000));
    expect([bench.log.startOffset, bench.log.endOffset, bench.log.highWatermark, bench.log.latestEpoch]).toEqual([1000, 1000, 1000, undefined]);
    bench.replicate({ baseOffset: 1000 });
    expect(await bench.readAll()).toEqual([[1000, 1000]]);
    await bench.settle(bench.log.truncateTo(500));
    expect([bench.log.startOffset, bench.log.endOffset]).toEqual([500, 500]);
    await bench.settle(bench.log.truncateFullyAndStartAt(500));
    bench.replicate({ baseOffset: 500 });
    expect(await bench.readAll()).toEqual([[500, 500]]);
  });

  test("removes files after file.delete.delay.ms, and at the next start what is left", async () => {
    const bench = filled();
    const deleted = (): number => [...bench.files().keys()].filter((name) => name.endsWith(".deleted")).length;
    await bench.settle(bench.log.truncateTo(0));
    expect(deleted()).toBeGreaterThan(0);
    await bench.run(59_000);
    expect(deleted()).toBeGreaterThan(0);
    await bench.run(2_000);
    expect(deleted()).toBe(0);
  });
});

describe("retention", () => {
  const filled = (config: object): LogBench => {
    const bench = new LogBench({ segmentBytes: 3 * testBatch().length, ...config });
    const wallMs = bench.node.host.clock.wallMs();
    for (let index = 0; index < 12; index++) bench.append({ timestamp: wallMs - 12_000 + 1000 * index });
    return bench;
  };

  test("by time: segments whose newest record is too old, from the oldest on, below the high watermark", async () => {
    const bench = filled({ retentionMs: 7_500 });
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(0);
    bench.log.setHighWatermark(5);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(1);
    expect(bench.log.startOffset).toBe(3);
    bench.log.setHighWatermark(12);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(0);
    await bench.run(2_000);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(1);
    await bench.run(20_000);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(2);
    expect([bench.log.startOffset, bench.log.endOffset, bench.log.segments.length]).toEqual([12, 12, 1]);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(0);
    expect(bench.append()).toBe(12);
  });

  test("by size: as many of the oldest as leave no less than retention.bytes", async () => {
    const bench = filled({ retentionMs: -1, retentionBytes: 5 * testBatch().length });
    bench.log.setHighWatermark(12);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(2);
    expect(bench.log.startOffset).toBe(6);
  });

  test("tells its owner that the start has moved, after it has, and only then", async () => {
    const bench = filled({ retentionMs: -1, retentionBytes: 5 * testBatch().length });
    const starts: number[] = [];
    bench.log.onStartMoved = () => starts.push(bench.log.startOffset);
    bench.log.setHighWatermark(12);
    expect(bench.log.advanceStartOffset(2)).toBeUndefined();
    expect(bench.log.advanceStartOffset(2)).toBeUndefined();
    expect(bench.log.advanceStartOffset(13)).toMatchObject({ error: ErrorCode.OFFSET_OUT_OF_RANGE });
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(2);
    expect(starts).toEqual([2, 6]);
    expect(bench.log.advanceStartOffset(10)).toBeUndefined();
    // What is below the start goes, and the start stays.
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(1);
    expect(starts).toEqual([2, 6, 10]);
  });

  test("a topic that is only compacted loses only what is below its start", async () => {
    const bench = filled({ cleanupPolicy: ["compact"], retentionMs: 1, retentionBytes: 1 });
    bench.log.setHighWatermark(12);
    bench.log.advanceStartOffset(7);
    expect(await bench.settle(bench.log.deleteOldSegments())).toBe(2);
    expect(bench.log.segments[0]?.baseOffset).toBe(6);
  });

  test("readers of a segment that goes finish, or read what is left", async () => {
    const bench = new LogBench({ segmentBytes: 1000, retentionBytes: 1, fileDeleteDelayMs: 0 }, { tailBytesMax: 0, cacheBytesMax: 0 });
    for (let index = 0; index < 40; index++) bench.append({ bytes: 100 });
    bench.log.setHighWatermark(40);
    const reads = Array.from({ length: 20 }, (_, index) => bench.log.read({ offset: index, maxBytes: 1000, maxOffset: 40, minOneMessage: true }));
    const deletion = bench.log.deleteOldSegments();
    const results = await bench.settle(Promise.all(reads));
    await bench.settle(deletion);
    await bench.run(1000);
    expect(results.every((result) => result.kind === "read" || result.error === ErrorCode.OFFSET_OUT_OF_RANGE)).toBe(true);
    expect(bench.context.ioErrors).toEqual([]);
    expect(bench.node.resources.files.filter((path) => path.includes("00000000000000000000"))).toEqual([]);
  });
});

describe("lookups by time", () => {
  test("find the first record, by offset, that is not older, for any timestamps, from memory and from files", async () => {
    const batches = fc.array(fc.array(fc.integer({ min: 0, max: 60 }), { minLength: 1, maxLength: 3 }), { minLength: 1, maxLength: 25 });
    await fc.assert(
      fc.asyncProperty(batches, fc.nat(30), async (all, start) => {
        const bench = new LogBench({ segmentBytes: 600, indexIntervalBytes: 150 }, { cacheBytesMax: 0 });
        const records: { offset: number; timestamp: number }[] = [];
        for (const timestamps of all) {
          // The batches of `testBatch` count up by a millisecond.
          const [timestamp = 0] = timestamps;
          const offset = bench.append({ count: timestamps.length, timestamp });
          for (let index = 0; index < timestamps.length; index++) records.push({ offset: offset + index, timestamp: timestamp + index });
        }
        bench.log.setHighWatermark(bench.log.endOffset);
        bench.log.advanceStartOffset(Math.min(start, bench.log.endOffset));
        for (let timestamp = 0; timestamp <= 64; timestamp += 4) {
          const expected = records.find((record) => record.offset >= start && record.timestamp >= timestamp);
          const found = await bench.settle(bench.log.offsetForTimestamp(timestamp));
          expect(found && { offset: found.offset, timestamp: found.timestamp }).toEqual(expected);
        }
        const max = Math.max(...records.map((record) => record.timestamp));
        expect((await bench.settle(bench.log.offsetOfMaxTimestamp()))?.offset).toBe(records.find((record) => record.timestamp === max)?.offset);
      }),
      { numRuns: 60 },
    );
  });

  test("ListOffsets 0 goes by the segments' files", async () => {
    const bench = new LogBench({ segmentBytes: 2 * testBatch().length });
    for (let index = 0; index < 6; index++) {
      bench.append();
      await bench.run(1000);
    }
    const wallMs = bench.node.host.clock.wallMs();
    expect(await bench.settle(bench.log.segmentOffsetsBefore(-1, 10))).toEqual([6, 4, 2, 0]);
    expect(await bench.settle(bench.log.segmentOffsetsBefore(-2, 10))).toEqual([0]);
    expect(await bench.settle(bench.log.segmentOffsetsBefore(-1, 2))).toEqual([6, 4]);
    expect(await bench.settle(bench.log.segmentOffsetsBefore(wallMs - 2500, 10))).toEqual([2, 0]);
    expect(await bench.settle(bench.log.segmentOffsetsBefore(0, 10))).toEqual([]);
  });
});
