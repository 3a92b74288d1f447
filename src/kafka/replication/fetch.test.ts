import { describe, expect, test } from "vitest";
import { offsetsIn, testBatch } from "../log/testing.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { fetchFrom, type Fetched, type FetchOptions, type FetchTarget } from "./fetch.ts";
import { append, FollowerClock, Outcome, PartitionBench } from "./testing/partition-bench.ts";

const BATCH_BYTES = testBatch().length;
const LONG_MS = 10_000;

/** A consumer's fetch, of one partition or more. */
function start(bench: PartitionBench, targets: readonly Partial<FetchTarget>[], options: Partial<FetchOptions> = {}): Promise<readonly Fetched[]> {
  return fetchFrom(
    targets.map((target) => ({ partition: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, fetchOffset: 0, currentLeaderEpoch: -1, lastFetchedEpoch: -1, maxBytes: 1e6, ...target })),
    { bound: "highWatermark", leaderOnly: true, minBytes: 1, maxBytes: 1e6, maxWaitMs: 0, firstBatch: "whole once", ...options },
    bench.node.host.timers,
  );
}

/** First offsets of what was read, the error, or where to truncate. */
function told({ error, chunks, diverging }: Fetched): string {
  if (error !== ErrorCode.NONE) return `error ${error}`;
  return diverging === undefined ? offsetsIn(Buffer.concat(chunks)).map(([first]) => first).join(" ") : `diverges ${diverging.epoch} ${diverging.endOffset}`;
}

async function read(bench: PartitionBench, ...[targets, options]: [Parameters<typeof start>[1], Parameters<typeof start>[2]?]): Promise<string[]> {
  return (await bench.settle(start(bench, targets, options))).map(told);
}

describe("a consumer", () => {
  test("reads to the high watermark, and waits for it to move", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    append(partition);
    append(partition);
    const second = new FollowerClock(bench, 2);
    second.fetch(partition, 1);
    expect(await read(bench, [{ partition }])).toEqual(["0"]);
    const waiting = Outcome.of(start(bench, [{ partition, fetchOffset: 1 }], { maxWaitMs: LONG_MS }));
    await bench.run(100);
    expect(waiting.value).toBe("waiting");
    second.fetch(partition, 2);
    await bench.run(1);
    expect(waiting.value === "waiting" ? [] : waiting.value.map(told)).toEqual(["1"]);
  });

  test("hears at once where its history ends, and reads nothing there", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ leaderEpoch: 2 });
    append(partition, { count: 2 });
    partition.become({ leader: 1, leaderEpoch: 5, isr: [1], replicas: [1], zkVersion: 0 });
    append(partition, { count: 3 });
    const [diverging] = await bench.settle(start(bench, [{ partition, fetchOffset: 3, lastFetchedEpoch: 4 }], { maxWaitMs: LONG_MS, minBytes: 1e6 }));
    expect(diverging).toMatchObject({ error: ErrorCode.NONE, bytes: 0, chunks: [], highWatermark: 5, logStartOffset: 0, diverging: { epoch: 2, endOffset: 2 } });
    expect(await read(bench, [{ partition, fetchOffset: 3, lastFetchedEpoch: 6 }], { maxWaitMs: LONG_MS })).toEqual(["error 1"]);
    expect(await read(bench, [{ partition, fetchOffset: 2, lastFetchedEpoch: 2 }], { maxWaitMs: LONG_MS })).toEqual(["2"]);
    expect(bench.world.nowMs).toBeLessThan(1000);
  });

  test("of a follower hears of it when a truncation brings it about while it waits", async () => {
    const bench = new PartitionBench();
    const partition = bench.create();
    partition.become({ leader: 2, leaderEpoch: 3, isr: [2], replicas: [1, 2], zkVersion: 0 });
    const records = Buffer.concat([testBatch({ baseOffset: 0, leaderEpoch: 1 }), testBatch({ baseOffset: 1, leaderEpoch: 2 })]);
    partition.appendAsFollower(3, { records, highWatermark: 2, logStartOffset: 0 }, () => undefined);
    const waiting = start(bench, [{ partition, fetchOffset: 2, lastFetchedEpoch: 2 }], { maxWaitMs: LONG_MS, leaderOnly: false });
    await bench.run(10);
    await bench.settle(partition.truncate(3, 1));
    expect((await bench.settle(waiting)).map(told)).toEqual(["error 1"]);
    expect(bench.world.nowMs).toBeLessThan(1000);
  });

  test("waits for min_bytes over all partitions, of which each counts up to its own limit", async () => {
    const bench = new PartitionBench();
    const [first, second] = [bench.led({ replicas: [1] }), bench.led({ replicas: [1] }, "u")];
    const targets = [{ partition: first, maxBytes: BATCH_BYTES }, { partition: second }];
    const waiting = Outcome.of(start(bench, targets, { minBytes: 3 * BATCH_BYTES, maxWaitMs: LONG_MS }));
    for (const partition of [first, first, first, second]) {
      await bench.run(10);
      append(partition);
    }
    await bench.run(10);
    expect(waiting.value).toBe("waiting");
    append(second);
    await bench.run(10);
    expect(waiting.value === "waiting" ? [] : waiting.value.map(told)).toEqual(["0", "0 1"]);
  });

  test("does not wait where a partition can't be read", async () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    expect(await read(bench, [{ partition }, {}], { maxWaitMs: LONG_MS })).toEqual(["", "error 3"]);
    expect(await read(bench, [{ partition, currentLeaderEpoch: 1 }], { maxWaitMs: LONG_MS })).toEqual(["error 75"]);
    expect(await read(bench, [{ partition, fetchOffset: 1 }], { maxWaitMs: LONG_MS })).toEqual(["error 1"]);
    expect(bench.world.nowMs).toBeLessThan(1000);
  });
});

test("a response that is full touches no file, and still tells of an offset that is out of range", async () => {
  const bench = new PartitionBench({ tailBytesMax: 0 });
  const [first, second] = [bench.led({ replicas: [1] }), bench.led({ replicas: [1] }, "u")];
  for (const partition of [first, second]) for (let count = 0; count < 2; count++) append(partition);
  const opened: string[] = [];
  bench.node.disk.inject = ({ operation, path }) => {
    if (operation === "read") opened.push(path);
    return undefined;
  };
  expect(await read(bench, [{ partition: first }, { partition: second }, { partition: second, fetchOffset: 3 }], { maxBytes: 1 })).toEqual(["0", "", "error 1"]);
  expect(opened.length).toBeGreaterThan(0);
  expect(opened.filter((path) => path.includes("/u-0/"))).toEqual([]);
});

test("the first batch comes whole: of all partitions, or of each until the response is full", async () => {
  const bench = new PartitionBench();
  const partitions = ["t", "u", "v"].map((topic) => bench.led({ replicas: [1] }, topic));
  for (const partition of partitions) for (let count = 0; count < 3; count++) append(partition);
  const targets = partitions.map((partition) => ({ partition, maxBytes: 1 }));
  expect(await read(bench, targets)).toEqual(["0", "", ""]);
  expect(await read(bench, targets, { firstBatch: "whole each" })).toEqual(["0", "0", "0"]);
  expect(await read(bench, targets, { firstBatch: "whole each", maxBytes: 2 * BATCH_BYTES })).toEqual(["0", "0", ""]);
  expect(await read(bench, targets.map((target) => ({ ...target, maxBytes: 2 * BATCH_BYTES })), { firstBatch: "whole each" })).toEqual(["0 1", "0 1", "0 1"]);
});
