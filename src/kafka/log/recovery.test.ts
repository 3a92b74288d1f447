import { describe, expect, test } from "vitest";
import { Prng } from "../../lib/prng.ts";
import { buildEndTxnMarker } from "../records/control.ts";
import type { LogConfig } from "./log-config.ts";
import type { PartitionLog } from "./log.ts";
import { LogBench, offsetsIn, testBatch, type TestBatch } from "./testing.ts";

const name = (offset: number, kind: string): string => `${String(offset).padStart(20, "0")}.${kind}`;

/** Everything in a log that a reader, a follower or a producer could tell. */
async function meaning(bench: LogBench): Promise<object> {
  const { log } = bench;
  const times = [];
  for (let timestamp = 900; timestamp < 1400; timestamp += 50) times.push(await bench.settle(log.offsetForTimestamp(timestamp)));
  return {
    batches: await bench.readAll(),
    end: log.endOffset,
    epochs: Array.from({ length: 8 }, (_, epoch) => log.endOffsetForEpoch(epoch)),
    aborted: log.abortedTransactions(0, log.endOffset),
    producers: [...log.producers.values()].map(({ batches, ...entry }) => ({ ...entry, newest: batches.map((batch) => [batch.lastSequence, batch.lastOffset, batch.offsetDelta]).at(-1) })).toSorted((a, b) => a.producerId - b.producerId),
    times,
  };
}

/** A log of several segments with epochs, idempotent producers, and transactions. */
function filled(config: Partial<LogConfig> = {}): LogBench {
  const bench = new LogBench({ segmentBytes: 1500, indexIntervalBytes: 200, ...config });
  for (let index = 0; index < 60; index++) {
    const producerId = index % 3;
    const options: TestBatch = { bytes: 60, timestamp: 1000 + ((index * 7) % 40) + 5 * index, producerId, producerEpoch: 0, baseSequence: Math.floor(index / 3), transactional: producerId === 2 };
    bench.append({ ...options, leaderEpoch: Math.floor(index / 15) });
    if (index % 10 === 9) bench.appendBytes(buildEndTxnMarker(2, 0, { committed: index % 20 === 9, coordinatorEpoch: 1, timestamp: 1000 + index }), Math.floor(index / 15), "coordinator");
  }
  return bench;
}

describe("a log that was not closed", () => {
  test("is rebuilt, indexes and all, to what it was", async () => {
    const bench = filled();
    const before = await meaning(bench);
    bench.node.kill();
    bench.node.start();
    await bench.reopen({ clean: false });
    expect(await meaning(bench)).toEqual(before);
  });

  test("has, once recovered and closed, the files that a clean close leaves", async () => {
    const clean = filled();
    await clean.settle(clean.log.close());
    const crashed = filled();
    crashed.node.kill();
    crashed.node.start();
    await crashed.reopen({ clean: false });
    await crashed.settle(crashed.log.close());
    const files = clean.files();
    expect(crashed.files()).toEqual(files);
    for (const file of files.keys()) expect(crashed.content(file).equals(clean.content(file)) ? "" : file).toBe("");
  });

  test("loses of a batch that was cut in two only that batch, wherever it was cut", async () => {
    const whole = filled({ segmentBytes: 1e6 });
    const before = await whole.readAll();
    const bytes = whole.content(name(0, "log"));
    const lastBatch = bytes.length - testBatch({ bytes: 60, producerId: 2 }).length;
    for (let cut = bytes.length - 1; cut > lastBatch; cut -= 3) {
      const bench = filled({ segmentBytes: 1e6 });
      bench.node.kill();
      bench.node.start();
      bench.write(name(0, "log"), bytes.subarray(0, cut));
      await bench.reopen({ clean: false });
      const after = await bench.readAll();
      expect(after).toEqual(before.slice(0, after.length));
      expect(before.length - after.length).toBe(offsetsIn(bytes).length - offsetsIn(bytes.subarray(0, cut)).length);
    }
  });

  test("ends in front of a damaged batch, and what stood behind it is gone, in that segment and the later ones", async () => {
    for (const [damage, change] of [
      ["a flipped bit", (bytes: Buffer, at: number) => void (bytes[at + 80] = (bytes[at + 80] as number) ^ 1)],
      ["zeros", (bytes: Buffer, at: number) => void bytes.fill(0, at)],
      ["an offset that does not rise", (bytes: Buffer, at: number) => void bytes.writeInt32BE(0, at + 4)],
    ] as const) {
      const bench = filled();
      const before = await bench.readAll();
      const [, second] = bench.log.segments;
      const base = second?.baseOffset ?? 0;
      const bytes = Buffer.from(bench.content(name(base, "log")));
      const kept = offsetsIn(bytes).slice(0, 3);
      change(bytes, 3 * testBatch({ bytes: 60, producerId: 1 }).length);
      bench.node.kill();
      bench.node.start();
      bench.write(name(base, "log"), bytes);
      await bench.reopen({ clean: false });
      const expected = [...before.filter(([, last]) => last < base), ...kept];
      expect([damage, await bench.readAll()]).toEqual([damage, expected]);
      expect([...bench.files().keys()].filter((file) => file.endsWith(".log"))).toEqual([name(0, "log"), name(base, "log")]);
      bench.append({ timestamp: 5000 });
      expect((await bench.readAll()).length).toBe(expected.length + 1);
    }
  });

  test("is read from the recovery point on only: what lies before was made durable", async () => {
    const bench = filled();
    await bench.settle(bench.log.flush());
    const recoveryPoint = bench.log.segments.at(-2)?.baseOffset ?? 0;
    const before = await meaning(bench);
    bench.node.kill();
    bench.node.start();
    const read = new Set<string>();
    bench.node.disk.inject = (call) => {
      if (call.operation === "read") read.add(call.path);
      return undefined;
    };
    await bench.reopen({ clean: false, recoveryPoint });
    // The segment in front of the recovery point is looked at, for it may have been completed after the last flush.
    const older = bench.log.segments.slice(0, -3).map((segment) => `${bench.directory}/${name(segment.baseOffset, "log")}`);
    expect(older.filter((path) => read.has(path))).toEqual([]);
    bench.node.disk.inject = undefined;
    expect(await meaning(bench)).toEqual(before);
  });

  test("has the zeros of preallocation cut off", async () => {
    const bench = new LogBench({ preallocate: true, segmentBytes: 1e6 });
    bench.append({ count: 3 });
    const size = bench.log.sizeBytes;
    bench.node.kill();
    bench.node.start();
    await bench.reopen({ clean: false });
    expect([bench.log.endOffset, bench.log.sizeBytes, bench.files().get(name(0, "log"))]).toEqual([3, size, size]);
  });

  test("holds messages of the old formats", async () => {
    const v0 = Buffer.from("0000000000000014000000162356c1370000000000036b65790000000576616c7565000000000000001500000014a6f2489d0000ffffffff000000067365636f6e64", "hex");
    const v1 = Buffer.from("00000000000000160000001efa8f80f5010000000174876e8000000000036b65790000000576616c7565", "hex");
    for (const [bytes, expected] of [
      [Buffer.concat([v0, v1]), [20, 21, 22]],
      [Buffer.concat([v0, v1.subarray(0, -1), Buffer.from([0])]), [20, 21]],
    ] as const) {
      const bench = new LogBench();
      bench.node.kill();
      bench.node.start();
      bench.write(name(0, "log"), bytes);
      await bench.reopen({ clean: false });
      expect((await bench.readAll()).map(([, last]) => last)).toEqual(expected);
      expect(await bench.settle(bench.log.offsetForTimestamp(1))).toEqual(expected.length === 3 ? { offset: 22, timestamp: 1_600_000_000_000, leaderEpoch: undefined } : undefined);
    }
  });
});

describe("a log that was closed", () => {
  test("is the same after a stop and a start, and nothing is read again", async () => {
    const bench = filled();
    const before = await meaning(bench);
    await bench.settle(bench.log.close());
    expect(bench.node.resources.files).toEqual([]);
    await bench.reopen({ clean: true });
    expect(await meaning(bench)).toEqual(before);
  });

  test("has indexes built anew where they are missing or wrong", async () => {
    for (const damage of [
      (bench: LogBench, base: number) => bench.node.host.disk.removeSync(`${bench.directory}/${name(base, "index")}`),
      (bench: LogBench, base: number) => bench.write(name(base, "txnindex"), Buffer.alloc(34, 1)),
    ]) {
      const bench = filled();
      const before = await meaning(bench);
      await bench.settle(bench.log.close());
      const files = new Map([...bench.files().keys()].map((file) => [file, bench.content(file)]));
      for (const segment of bench.log.segments) damage(bench, segment.baseOffset);
      await bench.reopen({ clean: true });
      expect(await meaning(bench)).toEqual(before);
      await bench.settle(bench.log.close());
      for (const [file, content] of files) expect(bench.content(file).equals(content) ? "" : file).toBe("");
    }
  });

  test("has only what belongs to it: other indexes, and what was deleted or half compacted, goes", async () => {
    const bench = filled();
    const before = await meaning(bench);
    await bench.settle(bench.log.close());
    const files = [...bench.files().keys()];
    for (const file of [name(7, "index"), name(7, "timeindex"), name(0, "log.deleted"), name(0, "log.cleaned"), name(0, "index.cleaned"), name(5, "log.swap")]) bench.write(file, Buffer.alloc(20));
    await bench.reopen({ clean: true });
    expect([...bench.files().keys()]).toEqual(files);
    expect(await meaning(bench)).toEqual(before);
  });

  test("has a compaction completed that was interrupted: the new segment replaces those whose records it holds", async () => {
    const bench = filled();
    const before = await bench.readAll();
    await bench.settle(bench.log.close());
    const [first, second, third] = bench.log.segments;
    const merged = Buffer.concat([bench.content(name(0, "log")), bench.content(name(second?.baseOffset ?? 0, "log"))]);
    expect(first?.baseOffset).toBe(0);
    bench.write(name(0, "log.swap"), merged);
    bench.write(name(0, "index.swap"), Buffer.alloc(8));
    await bench.reopen({ clean: true });
    expect(bench.log.segments.slice(0, 2).map((segment) => segment.baseOffset)).toEqual([0, third?.baseOffset]);
    expect(await bench.readAll()).toEqual(before);
  });

  test("has a compaction completed of which only indexes were left to be renamed: they are built anew, the one of aborted transactions too", async () => {
    for (const left of [["txnindex"], ["timeindex", "txnindex"], ["index", "timeindex", "txnindex"]]) {
      const bench = filled();
      const before = await meaning(bench);
      await bench.settle(bench.log.close());
      const files = new Map([...bench.files().keys()].map((file) => [file, bench.content(file)]));
      const base = bench.log.segments.find((segment) => segment.txns.table.count > 0)?.baseOffset ?? -1;
      for (const kind of left) bench.node.host.disk.renameSync(`${bench.directory}/${name(base, kind)}`, `${bench.directory}/${name(base, kind)}.swap`);
      await bench.reopen({ clean: true });
      expect(await meaning(bench)).toEqual(before);
      await bench.settle(bench.log.close());
      for (const [file, content] of files) expect([file, bench.content(file).equals(content)]).toEqual([file, true]);
      expect([...bench.files().keys()]).toEqual([...files.keys()]);
    }
  });

  test("has a compaction undone of which a file is not yet renamed, and completed where all are, whatever has become of the old files", async () => {
    for (const [stage, old, completed] of [
      ["cleaned", "", false],
      ["mixed", "", false],
      ["swap", "", true],
      ["swap", ".deleted", true],
    ] as const) {
      const bench = filled();
      const before = await bench.readAll();
      await bench.settle(bench.log.close());
      const [, second] = bench.log.segments;
      const base = second?.baseOffset ?? 0;
      const merged = Buffer.concat([bench.content(name(0, "log")), bench.content(name(base, "log"))]);
      bench.write(`${name(0, "log")}.${stage === "cleaned" ? "cleaned" : "swap"}`, merged);
      bench.write(`${name(0, "index")}.${stage === "swap" ? "swap" : "cleaned"}`, Buffer.alloc(8));
      if (old !== "") for (const kind of ["log", "index", "timeindex"]) bench.node.host.disk.renameSync(`${bench.directory}/${name(0, kind)}`, `${bench.directory}/${name(0, kind)}${old}`);
      await bench.reopen({ clean: true });
      expect([stage, old, bench.log.segments[0]?.sizeBytes === merged.length]).toEqual([stage, old, completed]);
      expect(await bench.readAll()).toEqual(before);
      expect([...bench.files().keys()].filter((file) => /\.(cleaned|swap|deleted)$/.test(file))).toEqual([]);
    }
  });

  test("from a broker without producer state gets empty snapshots instead of a search", async () => {
    const bench = filled();
    await bench.settle(bench.log.close());
    for (const file of bench.files().keys()) if (file.endsWith(".snapshot")) bench.node.host.disk.removeSync(`${bench.directory}/${file}`);
    await bench.reopen({ clean: true });
    expect(bench.log.producers.size).toBe(0);
    expect([...bench.files().keys()].filter((file) => file.endsWith(".snapshot"))).toHaveLength(3);
  });

  test("that ends below its start is emptied", async () => {
    const bench = filled();
    await bench.settle(bench.log.close());
    await bench.reopen({ clean: true, startOffset: 500 });
    expect([bench.log.startOffset, bench.log.endOffset, await bench.readAll()]).toEqual([500, 500, []]);
  });

  test("a damaged snapshot is passed over, and the log read from the one before", async () => {
    const bench = filled();
    const before = await meaning(bench);
    await bench.settle(bench.log.close());
    const newest = [...bench.files().keys()].findLast((file) => file.endsWith(".snapshot")) ?? "";
    bench.write(newest, Buffer.alloc(50));
    await bench.reopen({ clean: true });
    expect(await meaning(bench)).toEqual(before);
  });
});

/** What was appended, as stored: the log must be a beginning of it. */
interface Model {
  batches: { readonly first: number; readonly last: number; readonly bytes: Buffer }[];
  /** Below, a loss of power takes nothing. */
  durable: number;
}

function appendDrawn(bench: LogBench, model: Model, prng: Prng, sequences: Map<number, number>): void {
  const producerId = prng.pick([-1, 1, 2]);
  const large = prng.chance(1, 8);
  const count = large ? 1 : prng.between(1, 4);
  const bytes = large ? prng.between(60_000, 90_000) : prng.between(1, 300);
  const baseSequence = sequences.get(producerId) ?? 0;
  const options: TestBatch = { count, bytes, timestamp: prng.between(1000, 1400), leaderEpoch: prng.below(3), ...(producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence, transactional: producerId === 2 }) };
  if (producerId >= 0) sequences.set(producerId, baseSequence + count);
  const batch = testBatch(options);
  const first = bench.appendBytes(batch, bench.log.latestEpoch ?? 0);
  model.batches.push({ first, last: first + count - 1, bytes: batch });
  if (!prng.chance(1, 10)) return;
  const marker = buildEndTxnMarker(2, 0, { committed: prng.chance(1, 2), coordinatorEpoch: 0, timestamp: 1000 });
  const at = bench.appendBytes(marker, bench.log.latestEpoch ?? 0, "coordinator");
  model.batches.push({ first: at, last: at, bytes: marker });
}

async function storedBatches(log: PartitionLog, bench: LogBench): Promise<Buffer> {
  const chunks: Buffer[] = [];
  for (let offset = log.startOffset; offset < log.endOffset; ) {
    const read = await bench.settle(log.read({ offset, maxBytes: 1e6, maxOffset: log.endOffset, minOneMessage: true }));
    if (read.kind === "refused" || read.bytes === 0) break;
    chunks.push(...read.chunks);
    offset = read.nextOffset;
  }
  return Buffer.concat(chunks);
}

/** Lives of one log, each ended by a crash in the midst of whatever was going on. */
async function liveThrough(seed: number, crash: "kill" | "powerLoss"): Promise<void> {
  const prng = new Prng(seed).fork("plan");
  const bench = new LogBench({ segmentBytes: 100_000, indexIntervalBytes: prng.pick([0, 500, 4096]), preallocate: prng.chance(1, 4), fileDeleteDelayMs: 100 }, { seed, tailBytesMax: prng.pick([0, 50_000]), cacheBytesMax: prng.pick([0, 100_000]) });
  for (const path of ["/", bench.logDirectory, bench.directory]) await bench.settle(bench.node.host.disk.syncDirectory(path));
  const model: Model = { batches: [], durable: 0 };
  for (let life = 0; life < 3; life++) {
    const sequences = new Map([...bench.log.producers.values()].map((entry) => [entry.producerId, (entry.batches.at(-1)?.lastSequence ?? -1) + 1]));
    bench.written.length = 0;
    bench.context.saveRecoveryPoints = () => {
      model.durable = bench.log.recoveryPoint;
      return Promise.resolve();
    };
    let truncating: { offset: number } | undefined;
    for (let step = prng.between(3, 60); step > 0; step--) {
      const draw = prng.below(20);
      if (draw < 14) {
        if (truncating === undefined) appendDrawn(bench, model, prng, sequences);
      } else if (draw < 16) {
        void bench.log.flush();
      } else if (draw < 17) {
        if (truncating === undefined) model.durable = bench.log.recoveryPoint;
      } else if (draw < 18 && truncating === undefined && prng.chance(1, 3)) {
        const offset = prng.below(bench.log.endOffset + 1);
        truncating = { offset };
        // Until it is done the log may be as long as before.
        const { batches } = model;
        const truncate = async (): Promise<void> => {
          await bench.log.truncateTo(offset);
          model.batches = batches.filter((batch) => batch.last < offset);
          bench.written.splice(0, Infinity, ...bench.written.filter((first) => first < bench.log.endOffset));
          sequences.clear();
          for (const entry of bench.log.producers.values()) sequences.set(entry.producerId, (entry.batches.at(-1)?.lastSequence ?? -1) + 1);
          truncating = undefined;
        };
        void truncate();
        model.durable = Math.min(model.durable, batches.findLast((batch) => batch.last < offset)?.last ?? 0);
      } else {
        await bench.run(prng.below(5));
      }
    }
    const written = Math.max(0, ...bench.written.map((first) => (model.batches.find((batch) => batch.first === first)?.last ?? -1) + 1));
    const survives = crash === "kill" && truncating === undefined ? written : model.durable;
    bench.node[crash]();
    bench.node.start();
    if (bench.node.disk.files.find(bench.directory) === undefined) {
      expect(survives).toBe(0);
      return;
    }
    await bench.reopen({ clean: false, recoveryPoint: model.durable });
    const stored = await storedBatches(bench.log, bench);
    const appended = Buffer.concat(model.batches.map((batch) => batch.bytes));
    expect(stored.equals(appended.subarray(0, stored.length))).toBe(true);
    const kept = offsetsIn(stored);
    expect(kept.length).toBeGreaterThanOrEqual(model.batches.filter((batch) => batch.last < survives).length);
    model.batches = model.batches.slice(0, kept.length);
    model.durable = bench.log.recoveryPoint;
    // What the log says of itself is what its bytes say.
    const reread = await meaning(bench);
    await bench.settle(bench.log.close());
    const copy = new LogBench({ segmentBytes: 1e8 });
    if (stored.length > 0) expect(copy.log.appendAsFollower(stored, () => undefined).kind).toBe("appended");
    const { end: copyEnd, ...expected } = (await meaning(copy)) as { end: number };
    const { end, ...found } = reread as { end: number };
    expect(end >= copyEnd).toBe(true);
    if (end === copyEnd) expect(found).toEqual(expected);
    await bench.reopen({ clean: true, recoveryPoint: end });
    expect(await meaning(bench)).toEqual(reread);
  }
}

describe("crashes", () => {
  const seeds = Array.from({ length: 50 }, (_, seed) => seed);

  test("a killed process: the log keeps every batch that was told to be written, and stays a beginning of what was appended", async () => {
    for (const seed of seeds) await liveThrough(seed, "kill").catch((error: unknown) => Promise.reject(new Error(`seed ${seed}`, { cause: error })));
  });

  test("a loss of power: the log keeps every batch below its recovery point, and stays a beginning of what was appended", async () => {
    for (const seed of seeds) await liveThrough(seed, "powerLoss").catch((error: unknown) => Promise.reject(new Error(`seed ${seed}`, { cause: error })));
  });
});
