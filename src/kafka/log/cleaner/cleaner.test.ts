import { describe, expect, test } from "vitest";
import { batchBaseOffset, batchIsControl, batchLastOffset, batchRecordCount, wholeBatchSize } from "../../records/batch.ts";
import { buildBatch } from "../../records/build.ts";
import { buildEndTxnMarker } from "../../records/control.ts";
import { CleanerBench } from "./testing.ts";

const HOUR_MS = 3600_000;

/** [base, last, count], control batches with a "c". */
async function batchesOf(bench: CleanerBench): Promise<(string | number)[][]> {
  const bytes = await bench.bytes();
  const found: (string | number)[][] = [];
  for (let at = 0; at < bytes.length; ) {
    found.push([batchBaseOffset(bytes, at), batchLastOffset(bytes, at), batchRecordCount(bytes, at), ...(batchIsControl(bytes, at) ? ["c"] : [])]);
    at += wholeBatchSize(bytes, at, bytes.length);
  }
  return found;
}

/** Offsets of what is stored of these keys. */
async function offsetsOf(bench: CleanerBench, ...keys: readonly string[]): Promise<number[]> {
  return (await bench.stored()).filter((one) => keys.includes(one.key ?? "null")).map((one) => one.offset);
}

function endTxn(bench: CleanerBench, producerId: number, committed: boolean): number {
  return bench.appendBytes(buildEndTxnMarker(producerId, 0, { committed, coordinatorEpoch: 0, timestamp: 1 }), 0, "coordinator");
}

const txn = (producerId: number, baseSequence = 0): object => ({ producerId, producerEpoch: 0, baseSequence, transactional: true });

describe("what stays", () => {
  test("is the last record of each key, at its own offset, and nothing without a key", async () => {
    const bench = new CleanerBench();
    for (let round = 0; round < 6; round++) bench.put([`a=${round}`, `b=${round}`, `only-${round}=x`]);
    bench.log.appendAsFollower(buildBatch([{ key: null, value: Buffer.from("x"), timestamp: 1 }], { baseOffset: bench.log.endOffset }), () => undefined);
    await bench.roll();
    const before = await bench.fold();
    const written = await bench.stored();
    expect(await bench.clean()).toBe(true);
    expect(await bench.fold()).toEqual(before);
    expect([await offsetsOf(bench, "a"), await offsetsOf(bench, "b"), await offsetsOf(bench, "null")]).toEqual([[15], [16], []]);
    const known = new Map(written.map((one) => [one.offset, one]));
    for (const one of await bench.stored()) expect(one).toEqual(known.get(one.offset));
  });

  test("with a batch, a segment or all of them superseded, ends where it ended, and grows on", async () => {
    const bench = new CleanerBench();
    for (let round = 0; round < 40; round++) bench.put([`a=${"x".repeat(100)}`]);
    await bench.ready();
    const end = bench.log.endOffset;
    expect(await bench.clean()).toBe(true);
    expect([bench.log.startOffset, bench.log.endOffset, bench.log.segments[0]?.baseOffset]).toEqual([0, end, 0]);
    expect((await offsetsOf(bench, "a")).length).toBeLessThan(5);
    bench.put(["a=last"]);
    expect((await bench.fold()).get("a")).toBe("last");
  });

  test("of a key that was deleted is the mark, until its segment was last written delete.retention.ms before the newest clean one", async () => {
    const bench = new CleanerBench({ deleteRetentionMs: HOUR_MS });
    bench.put(["a=1", "b=1"]);
    bench.put(["a", "c=1"]);
    await bench.roll();
    await bench.clean();
    expect(await offsetsOf(bench, "a")).toEqual([2]);
    await bench.run(HOUR_MS - 1000);
    bench.put(["d=1"]);
    await bench.roll();
    await bench.clean();
    bench.put(["e=1"]);
    await bench.roll();
    // The newest clean segment is an hour less a second younger: not yet.
    await bench.clean();
    expect(await offsetsOf(bench, "a")).toEqual([2]);
    await bench.run(2000);
    for (const key of ["f", "g"]) {
      bench.put([`${key}=1`]);
      await bench.roll();
      await bench.clean();
    }
    expect([await offsetsOf(bench, "a"), (await bench.fold()).has("a")]).toEqual([[], false]);
  });

  test("keeps the time of the segments it came from, so that marks of deletion do not stay for ever", async () => {
    const bench = new CleanerBench({ segmentBytes: 400 });
    bench.put(["a=1"]);
    await bench.roll();
    const [first] = bench.log.segments;
    const modified = await bench.settle(first?.modifiedMs() ?? Promise.resolve(0));
    await bench.run(50_000);
    await bench.clean();
    expect(bench.log.segments[0]).not.toBe(first);
    expect(await bench.settle(bench.log.segments[0]?.modifiedMs() ?? Promise.resolve(1))).toBe(modified);
  });

  test("is all that the map had no room for: the next pass goes on there", async () => {
    const bench = new CleanerBench({}, { settings: { dedupeBufferBytes: 24 * 10, ioBufferLoadFactor: 0.5 } });
    for (let round = 0; round < 4; round++) for (const key of ["a", "b", "c", "d", "e", "f", "g"]) bench.put([`${key}=${round}`, `${key}${round}=x`]);
    await bench.roll();
    const before = await bench.fold();
    const ends: (number | undefined)[] = [];
    while (await bench.clean()) ends.push(bench.firstDirty);
    expect(ends.length).toBeGreaterThan(2);
    expect(ends).toEqual(ends.toSorted((a, b) => (a ?? 0) - (b ?? 0)));
    expect(ends.at(-1)).toBe(bench.log.segments.at(-1)?.baseOffset);
    expect(await bench.fold()).toEqual(before);
    expect((await offsetsOf(bench, "a")).length).toBe(1);
  });
});

describe("what may be cleaned", () => {
  async function twoRounds(config: object = {}): Promise<CleanerBench> {
    const bench = new CleanerBench(config);
    for (let round = 0; round < 12; round++) bench.put([`a=${round}${"x".repeat(60)}`]);
    await bench.settle(bench.log.flush());
    return bench;
  }

  test("is never the active segment", async () => {
    const bench = await twoRounds({ segmentBytes: 100_000 });
    bench.log.setHighWatermark(bench.log.endOffset);
    expect([await bench.clean(), (await bench.stored()).length]).toEqual([false, 12]);
  });

  test("is durable", async () => {
    const bench = new CleanerBench();
    bench.node.disk.options.syncMs = [1e6, 1e6];
    for (let round = 0; round < 12; round++) bench.put([`a=${round}${"x".repeat(60)}`]);
    bench.log.setHighWatermark(bench.log.endOffset);
    expect(bench.log.recoveryPoint).toBe(0);
    expect(await bench.clean()).toBe(false);
  });

  test("is below the high watermark and every transaction that is open", async () => {
    const bench = await twoRounds();
    expect(await bench.clean()).toBe(false);
    const [, second, third] = bench.log.segments;
    bench.log.setHighWatermark((third?.baseOffset ?? 0) - 1);
    await bench.clean();
    expect(bench.firstDirty).toBe(second?.baseOffset);
    const open = new CleanerBench();
    open.put(["t=1"], txn(5));
    for (let round = 0; round < 12; round++) open.put([`a=${round}${"x".repeat(60)}`]);
    await open.ready();
    expect(await open.clean()).toBe(false);
    endTxn(open, 5, true);
    await open.ready();
    expect(await open.clean()).toBe(true);
  });

  test("waits for min.compaction.lag.ms, and is due after max.compaction.lag.ms whatever its share", async () => {
    const bench = new CleanerBench({ minCompactionLagMs: 10_000 });
    const put = (value: number): void => void bench.appendBytes(buildBatch([{ key: Buffer.from("a"), value: Buffer.alloc(100, value), timestamp: bench.node.host.clock.wallMs() }]), 0, "coordinator");
    for (let value = 0; value < 12; value++) put(value);
    await bench.ready();
    expect(await bench.clean()).toBe(false);
    await bench.run(11_000);
    expect(await bench.clean()).toBe(true);
    const late = new CleanerBench({ minCleanableDirtyRatio: 1, maxCompactionLagMs: 60_000 });
    for (let value = 0; value < 12; value++) late.appendBytes(buildBatch([{ key: Buffer.from("a"), value: Buffer.alloc(100), timestamp: late.node.host.clock.wallMs() }]), 0, "coordinator");
    await late.ready();
    expect(await late.clean()).toBe(false);
    await late.run(61_000);
    expect(await late.clean()).toBe(true);
    expect(await late.clean()).toBe(false);
  });

  test("is cleaned when more of it is dirty than min.cleanable.dirty.ratio, and then looked at from the log's start where the note can't be", async () => {
    const bench = await twoRounds({ minCleanableDirtyRatio: 0.6 });
    bench.log.setHighWatermark(bench.log.endOffset);
    bench.firstDirty = bench.log.segments[1]?.baseOffset;
    bench.log.config = { ...bench.log.config, minCleanableDirtyRatio: 0.95 };
    expect(await bench.clean()).toBe(false);
    bench.log.config = { ...bench.log.config, minCleanableDirtyRatio: 0.3 };
    expect(await bench.clean()).toBe(true);
    bench.firstDirty = 5000;
    await bench.clean();
    expect(bench.firstDirty).toBeLessThan(100);
  });
});

describe("transactions", () => {
  test("that were aborted lose their records at once and their markers a pass later, past the horizon, and readers are told as long as there is something to tell", async () => {
    const bench = new CleanerBench({ deleteRetentionMs: 0 });
    bench.put(["base=1"]);
    await bench.roll();
    await bench.clean();
    await bench.run(10);
    bench.put(["a=kept"]);
    const data = bench.put(["a=aborted", "b=aborted"], txn(5));
    const marker = endTxn(bench, 5, false);
    bench.put(["c=committed"], txn(6));
    const commit = endTxn(bench, 6, true);
    // Another batch of each, so that theirs are not the last ones.
    bench.put(["x=1"], txn(5, 2));
    endTxn(bench, 5, true);
    bench.put(["y=1"], txn(6, 1));
    endTxn(bench, 6, true);
    await bench.roll();
    const before = await bench.fold();
    expect(before.get("a")).toBe("kept");
    const has = async (offset: number): Promise<boolean> => (await batchesOf(bench)).some(([base = 0, last = 0]) => Number(base) <= offset && offset <= Number(last));
    await bench.run(10);
    expect(await bench.clean()).toBe(true);
    expect([await has(data), await has(marker), await has(commit), bench.log.abortedTransactions(0, 1000).length]).toEqual([false, true, true, 1]);
    for (let pass = 0; pass < 3; pass++) {
      await bench.run(10);
      bench.put([`z${pass}=1`]);
      await bench.roll();
      await bench.clean();
    }
    expect([await has(marker), bench.log.abortedTransactions(0, 1000).length]).toEqual([false, 0]);
    // Its record is still there.
    expect(await has(commit)).toBe(true);
    const after = await bench.fold();
    for (const [key, value] of before) expect([key, after.get(key)]).toEqual([key, value]);
  });

  test("leave the last batch of each producer, empty if need be, and its sequence numbers go on after a restart", async () => {
    const bench = new CleanerBench();
    bench.put(["a=1", "b=1"], { producerId: 9, producerEpoch: 2, baseSequence: 0 });
    const last = bench.put(["a=2", "b=2"], { producerId: 9, producerEpoch: 2, baseSequence: 2 });
    bench.put(["a=3", "b=3"]);
    await bench.roll();
    await bench.clean();
    expect((await batchesOf(bench)).slice(0, 1)).toEqual([[last, last + 1, 0]]);
    await bench.settle(bench.log.close());
    for (const name of bench.files().keys()) if (name.endsWith(".snapshot")) bench.node.host.disk.removeSync(`${bench.directory}/${name}`);
    await bench.reopen({ clean: false });
    expect(bench.log.producers.get(9)).toMatchObject({ epoch: 2, batches: [{ lastSequence: 3, lastOffset: last + 1 }] });
    expect(bench.put(["a=4"], { producerId: 9, producerEpoch: 2, baseSequence: 4 })).toBe(bench.log.endOffset - 1);
  });

  test("that end beyond what the map took are still aborted", async () => {
    const bench = new CleanerBench({ segmentBytes: 2000, deleteRetentionMs: 0 }, { settings: { dedupeBufferBytes: 24 * 10, ioBufferLoadFactor: 0.5 } });
    bench.put(["base=1"]);
    for (const key of ["a", "b", "c", "d", "e", "f", "g", "h"]) bench.put([`${key}=1`]);
    bench.put(["a=aborted"], txn(5));
    endTxn(bench, 5, false);
    bench.put(["x=1"], txn(5, 1));
    endTxn(bench, 5, true);
    while (bench.log.segments.length < 2) bench.put([`roll-${bench.log.endOffset}=${"r".repeat(200)}`]);
    await bench.ready();
    const before = await bench.fold();
    for (let pass = 0; pass < 3; pass++) {
      await bench.run(10);
      expect(await bench.clean()).toBe(true);
      expect((await bench.fold()).get("a")).toBe("1");
    }
    expect(await bench.fold()).toEqual(before);
  });
});

describe("a log that can't be cleaned", () => {
  test("for a damaged batch is left alone until the next start, says so, and serves on", async () => {
    const bench = new CleanerBench();
    for (let round = 0; round < 12; round++) bench.put([`a=${round}${"x".repeat(60)}`]);
    await bench.ready();
    const name = "00000000000000000000.log";
    const bytes = Buffer.from(bench.content(name));
    bytes[100] = (bytes[100] ?? 0) ^ 1;
    bench.write(name, bytes);
    expect([await bench.clean(), await bench.clean()]).toEqual([false, false]);
    expect(bench.node.log.lines().filter((line) => line.includes("not compacted until the next start")).length).toBe(1);
    expect([bench.log.isOpen, bench.firstDirty, [...bench.files().keys()].filter((file) => file.endsWith(".cleaned"))]).toEqual([true, undefined, []]);
    bench.put(["b=1"]);
  });

  test("since the keys of one batch do not fit the map says so", async () => {
    const bench = new CleanerBench({}, { settings: { dedupeBufferBytes: 24 * 4 } });
    bench.put(["a=1", "b=1", "c=1", "d=1", "e=1"]);
    await bench.roll();
    expect(await bench.clean()).toBe(false);
    expect(bench.node.log.lines().join("\n")).toContain("log.cleaner.dedupe.buffer.size");
  });
});

describe("the exchange of segments", () => {
  async function dirty(config: object = {}): Promise<CleanerBench> {
    const bench = new CleanerBench({ segmentBytes: 1000, ...config }, { settings: { ioBufferBytes: 1024 * 1024 } });
    for (let round = 0; round < 36; round++) bench.put([`k${round % 6}=${round}-${"x".repeat(60)}`]);
    await bench.ready();
    return bench;
  }

  test("leaves indexes that are those a recovery builds", async () => {
    const bench = await dirty();
    await bench.clean();
    await bench.run(2000);
    await bench.settle(bench.log.close());
    const files = new Map([...bench.files().keys()].map((file) => [file, bench.content(file)]));
    for (const file of files.keys()) if (file.endsWith("index")) bench.node.host.disk.removeSync(`${bench.directory}/${file}`);
    await bench.reopen({ clean: true });
    await bench.settle(bench.log.close());
    for (const [file, content] of files) if (!file.endsWith(".snapshot")) expect([file, bench.content(file).equals(content)]).toEqual([file, true]);
  });

  test("is not noticed by reads, lookups of times and appends, at whatever operation of the disk they come", { timeout: 120_000 }, async () => {
    for (let n = 1; ; n++) {
      const bench = await dirty();
      const { calls } = bench.node.disk;
      const fold = await bench.fold();
      const before = bench.node.disk.calls;
      expect(before).toBeGreaterThan(calls);
      let struck = false;
      let read: Promise<unknown> | undefined;
      let time: Promise<unknown> | undefined;
      bench.node.disk.inject = (call) => {
        if (call.index === before + n) {
          struck = true;
          bench.node.host.timers.soon(() => {
            bench.put(["late=1"]);
            read = bench.log.read({ offset: 0, maxBytes: 1e6, maxOffset: bench.log.endOffset, minOneMessage: true });
            time = bench.log.offsetForTimestamp(1000);
          });
        }
        return undefined;
      };
      expect(await bench.clean()).toBe(true);
      bench.node.disk.inject = undefined;
      if (!struck) break;
      await bench.world.run({ until: () => time !== undefined, withinMs: 1000 });
      expect([n, await bench.settle(read ?? Promise.resolve())]).toMatchObject([n, { kind: "read" }]);
      expect((await bench.settle(time ?? Promise.resolve())) === undefined).toBe(false);
      await bench.ready();
      expect(await bench.fold()).toEqual(new Map([...fold, ["late", "1"]]));
      await bench.run(2000);
      expect([...bench.files().keys()].filter((file) => /\.(cleaned|swap|deleted)$/.test(file))).toEqual([]);
      await bench.settle(bench.log.close());
      expect(bench.node.resources.files).toEqual([]);
    }
  });

  for (const [what, disturb] of [
    ["truncation", (bench: CleanerBench) => bench.log.truncateTo(20).then(() => undefined)],
    ["full truncation", (bench: CleanerBench) => bench.log.truncateFullyAndStartAt(7)],
    ["close", (bench: CleanerBench) => bench.log.close()],
    ["deletion", (bench: CleanerBench) => bench.log.abandon()],
    ["retention", (bench: CleanerBench) => bench.log.deleteOldSegments().then(() => undefined)],
  ] as const) {
    test(`and a ${what} that comes at whatever operation of the disk do not harm each other`, { timeout: 120_000 }, async () => {
      let aborted = 0;
      for (let n = 1; ; n++) {
        const bench = await dirty(what === "retention" ? { cleanupPolicy: ["compact", "delete"], retentionBytes: 1800, retentionMs: -1 } : {});
        const written = await bench.stored();
        const before = bench.node.disk.calls;
        let disturbance: Promise<void> | undefined;
        let done = false;
        bench.node.disk.inject = (call) => {
          if (call.index === before + n) {
            bench.node.host.timers.soon(() => {
              disturbance = disturb(bench).then(() => void (done = true));
            });
          }
          return undefined;
        };
        const cleaned = await bench.clean();
        bench.node.disk.inject = undefined;
        if (bench.node.disk.calls < before + n) break;
        await bench.world.run({ until: () => disturbance !== undefined && done, withinMs: 60_000 });
        if (!cleaned) aborted++;
        expect([n, bench.context.ioErrors]).toEqual([n, []]);
        const wasOpen = bench.log.isOpen;
        if (wasOpen) {
          // What comes now stands at offsets where other records stood.
          for (let round = 0; round < 10; round++) bench.put([`new${round}=1`]);
          await bench.ready();
          await bench.run(2000);
          await bench.settle(bench.log.close());
        }
        expect([n, bench.node.resources.files]).toEqual([n, []]);
        await bench.reopen({ clean: what !== "deletion" });
        const stored = await bench.stored();
        expect([n, stored.map((one) => one.offset)]).toEqual([n, [...new Set(stored.map((one) => one.offset))].toSorted((a, b) => a - b)]);
        const known = new Map(written.map((one) => [one.offset, one]));
        const old = stored.filter((one) => !(one.key ?? "").startsWith("new"));
        for (const one of old) expect([n, one]).toEqual([n, known.get(one.offset)]);
        const keys = new Set(stored.map((one) => one.key));
        if (what === "truncation") expect([n, old.every((one) => one.offset < 20), stored.length - old.length]).toEqual([n, true, 10]);
        if (what === "full truncation") expect([n, old.length, bench.log.startOffset]).toEqual([n, 0, 7]);
        if (what === "close" || what === "deletion") for (let key = 0; key < 6; key++) expect([n, keys.has(`k${key}`)]).toEqual([n, true]);
        if (what === "retention") for (let key = 0; key < 6; key++) expect([n, keys.has(`k${key}`)]).toEqual([n, true]);
        expect([n, [...bench.files().keys()].filter((file) => /\.(cleaned|swap)$/.test(file))]).toEqual([n, []]);
      }
      expect(aborted).toBeGreaterThan(0);
    });
  }

  test("is refused after a truncation, though the sources lie below it: what superseded their records may be gone", async () => {
    const bench = await dirty();
    const { log } = bench;
    const { truncations } = log;
    const fold = [...(await bench.fold()).keys()];
    const sources = log.segments.slice(0, 1);
    const cleaned = log.createCleaned(0);
    cleaned.deactivate();
    await bench.settle(cleaned.sync());
    await bench.settle(log.truncateTo(log.endOffset));
    expect(log.truncations).toBe(truncations);
    await bench.settle(log.truncateTo(log.segments[1]?.baseOffset ?? 0));
    expect(await bench.settle(log.replaceSegments(sources, cleaned, truncations))).toBe(false);
    await bench.settle(cleaned.remove());
    expect([[...(await bench.fold()).keys()], log.segments[0] === sources[0]]).toEqual([fold, true]);
  });

  test("can be ended by name and by the close of the cleaner, and leaves nothing", async () => {
    for (const end of [(bench: CleanerBench) => bench.cleaner.abort(bench.log.name), (bench: CleanerBench) => void bench.cleaner.close()]) {
      const bench = await dirty();
      const before = bench.node.disk.calls;
      bench.node.disk.inject = (call) => {
        if (call.index === before + 15) end(bench);
        return undefined;
      };
      expect([await bench.clean(), bench.firstDirty]).toEqual([false, undefined]);
      expect(bench.node.log.lines().join("\n")).toContain("cleaning aborted");
      expect([...bench.files().keys()].filter((file) => file.endsWith(".cleaned"))).toEqual([]);
    }
  });
});

test("the cleaner looks every backoff, goes on at once after a pass, and stops when it is closed", async () => {
  const bench = new CleanerBench({}, { settings: { dedupeBufferBytes: 24 * 10, ioBufferLoadFactor: 0.5, backoffMs: 5000 } });
  for (let round = 0; round < 40; round++) bench.put([`k${round}=${"x".repeat(50)}`]);
  await bench.roll();
  bench.cleaner.start();
  await bench.run(4900);
  expect(bench.firstDirty).toBeUndefined();
  await bench.run(1000);
  expect(bench.firstDirty).toBe(bench.log.segments.at(-1)?.baseOffset);
  await bench.settle(bench.cleaner.close());
  const { firstDirty } = bench;
  for (let round = 0; round < 40; round++) bench.put([`k${round}=${"x".repeat(50)}`]);
  await bench.ready();
  await bench.run(60_000);
  expect(bench.firstDirty).toBe(firstDirty);
});
