import { expect, test } from "vitest";
import { Prng } from "../../../lib/prng.ts";
import { Codec, setBatchPlace } from "../../records/batch.ts";
import { buildBatch, type RecordToWrite } from "../../records/build.ts";
import { compress } from "../../records/compression.ts";
import { buildEndTxnMarker } from "../../records/control.ts";
import { legacyMessage } from "../../records/legacy.ts";
import { LogBench } from "../testing.ts";
import { CleanerBench, foldOf, packed, storedRecords, type Stored } from "./testing.ts";

const SEEDS = Array.from({ length: 40 }, (_, seed) => seed);
const STEPS = 90;
const TRANSACTIONAL = [1, 2];
const IDEMPOTENT = 3;

/**
 * A log that is compacted, killed and left without power, beside one that keeps all. It is flushed before a loss of
 * power: of a compacted log a recovery can't tell what was lost between two segments from what was cleaned away.
 */
class History {
  readonly prng: Prng;
  readonly bench: CleanerBench;
  readonly all = new LogBench({ segmentBytes: 1e8, cleanupPolicy: ["compact"] }, { tailBytesMax: 1e8 });
  #records = 0;
  /** What is read from it is as it was appended. */
  readonly #tailBytesMax: number;
  readonly seen = new Set<string>();

  constructor(seed: number) {
    this.prng = new Prng(seed).fork("plan");
    const { prng } = this;
    this.#tailBytesMax = prng.pick([0, 0, 3000]);
    this.bench = new CleanerBench(
      { segmentBytes: prng.between(600, 4000), indexIntervalBytes: prng.pick([0, 200, 4096]), deleteRetentionMs: prng.pick([0, 0, 30]), preallocate: prng.chance(1, 4), fileDeleteDelayMs: prng.pick([0, 50]) },
      { seed, settings: { ioBufferBytes: prng.pick([0, 4096, 65_536]), dedupeBufferBytes: prng.pick([24 * 24, 24 * 60, 65_536]) }, tailBytesMax: this.#tailBytesMax, cacheBytesMax: prng.pick([0, 100_000]) },
    );
  }

  async live(): Promise<void> {
    const { bench, prng } = this;
    for (const path of ["/", bench.logDirectory, bench.directory]) await bench.settle(bench.node.host.disk.syncDirectory(path));
    for (let step = 0; step < STEPS; step++) {
      const draw = prng.below(20);
      if (draw < 13) this.#append();
      else if (draw < 15) await bench.ready();
      else if (draw < 16) await bench.run(prng.below(40));
      else if (draw < 18) await this.#pass(prng.chance(1, 2) ? prng.pick(["kill", "powerLoss"]) : undefined);
      else if (draw < 19 && prng.chance(1, 3)) await this.#crash(prng.pick(["kill", "powerLoss"]));
    }
    // What is open ends, and all is cleaned.
    for (const producerId of TRANSACTIONAL) this.#endTxn(producerId);
    for (let count = bench.log.segments.length; bench.log.segments.length === count; ) this.#append();
    for (const producerId of TRANSACTIONAL) this.#endTxn(producerId);
    await bench.ready();
    while (await bench.clean()) await this.#check("passes at the end");
    await bench.run(200);
    await bench.settle(bench.log.close());
    expect(bench.node.resources.files).toEqual([]);
    await bench.reopen({ clean: true });
    await this.#check("a clean stop");
  }

  #append(): void {
    const { prng, bench } = this;
    const draw = prng.below(10);
    if (draw === 0) {
      this.#endTxn(prng.pick(TRANSACTIONAL));
      return;
    }
    const base = bench.log.endOffset + (prng.chance(1, 10) ? prng.between(1, 5) : 0);
    this.#take(draw < 3 ? this.#legacy(base) : this.#batch(base, draw < 5 ? prng.pick(TRANSACTIONAL) : draw < 6 ? IDEMPOTENT : -1));
  }

  #take(bytes: Buffer): void {
    for (const one of [this.bench, this.all]) {
      const result = one.log.appendAsFollower(Buffer.from(bytes), () => undefined);
      if (result.kind !== "appended") throw new Error(JSON.stringify(result));
    }
  }

  #drawn(): RecordToWrite[] {
    const { prng } = this;
    return Array.from({ length: prng.between(1, 5) }, () => ({
      key: prng.chance(1, 20) ? null : Buffer.from(`k${prng.below(12)}`),
      value: prng.chance(1, 5) ? null : Buffer.from(`${this.#records++}-${"v".repeat(prng.below(80))}`),
      timestamp: prng.between(1000, 2000),
    }));
  }

  #batch(baseOffset: number, producerId: number): Buffer {
    const records = this.#drawn();
    const codec = this.prng.pick([Codec.none, Codec.none, Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]);
    this.seen.add(`v2/${codec}`);
    const last = this.bench.log.producers.get(producerId)?.batches.at(-1)?.lastSequence ?? -1;
    const producer = producerId < 0 ? {} : { producerId, producerEpoch: 0, baseSequence: last + 1, transactional: producerId !== IDEMPOTENT };
    const timestampType = this.prng.chance(1, 5) ? "LogAppendTime" : "CreateTime";
    return packed(buildBatch(records, { baseOffset, timestampType, ...producer }), codec);
  }

  #legacy(base: number): Buffer {
    const magic = this.prng.chance(1, 2) ? 0 : 1;
    const codec = this.prng.pick([Codec.none, Codec.gzip, Codec.snappy, Codec.lz4]);
    const records = this.#drawn();
    this.seen.add(`v${magic}/${codec}`);
    const relative = codec !== Codec.none && magic === 1;
    const inner = records.map(({ key, value, timestamp }, index) => legacyMessage({ magic, offset: relative ? index : base + index, codec: 0, timestamp, appendTime: false, key, value }));
    if (codec === Codec.none) return Buffer.concat(inner);
    const timestamp = Math.max(...records.map((record) => record.timestamp));
    return legacyMessage({ magic, offset: base + records.length - 1, codec, timestamp, appendTime: magic === 1 && this.prng.chance(1, 4), key: null, value: compress(codec, Buffer.concat(inner), magic) });
  }

  #endTxn(producerId: number): void {
    if ((this.bench.log.producers.get(producerId)?.currentTxnFirstOffset ?? -1) < 0) return;
    const marker = buildEndTxnMarker(producerId, 0, { committed: this.prng.chance(1, 2), coordinatorEpoch: 0, timestamp: 1000 });
    setBatchPlace(marker, 0, this.bench.log.endOffset, 0);
    this.#take(marker);
  }

  /** A pass, to its end or to a crash in its midst. */
  async #pass(crash: "kill" | "powerLoss" | undefined): Promise<void> {
    const { bench } = this;
    if (crash === undefined) {
      if (await bench.clean()) this.seen.add("cleaned");
      await this.#check("a pass");
      return;
    }
    if (crash === "powerLoss") await bench.settle(bench.log.flush());
    const strikeAt = bench.node.disk.calls + this.prng.between(1, 150);
    let settled = false;
    const { recoveryPoint } = bench.log;
    let struck = false;
    bench.node.disk.inject = (call) => {
      if (call.index !== strikeAt) return undefined;
      struck = true;
      bench.node[crash]();
      return "ESHUTDOWN";
    };
    void bench.cleaner.cleanOnce().then(() => (settled = true));
    await bench.world.run({ until: () => settled || struck, withinMs: 60_000 });
    bench.node.disk.inject = undefined;
    if (struck) await this.#restart(crash, recoveryPoint);
    else await this.#check("a pass that was not struck");
  }

  async #crash(crash: "kill" | "powerLoss"): Promise<void> {
    if (crash === "powerLoss") await this.bench.settle(this.bench.log.flush());
    const { recoveryPoint } = this.bench.log;
    this.bench.node[crash]();
    await this.#restart(crash, recoveryPoint);
  }

  async #restart(crash: string, recoveryPoint: number): Promise<void> {
    const { bench } = this;
    this.seen.add(crash);
    bench.node.start();
    await bench.reopen({ clean: false, recoveryPoint });
    bench.cleaner = bench.newCleaner();
    if (bench.node.log.lines().some((line) => line.includes("compaction completed at start"))) this.seen.add("completed");
    await this.#check(crash);
  }

  async #check(after: string): Promise<void> {
    const { bench, all } = this;
    const stored = await this.#stored(bench);
    const written = await this.#stored(all);
    expect([after, [...foldOf(stored)]]).toEqual([after, [...foldOf(written)]]);
    const known = new Map(written.map((one) => [one.offset, one]));
    expect([after, stored.filter((one) => !same(one, known.get(one.offset)))]).toEqual([after, []]);
    const clean = stored.filter((one) => one.offset < (bench.firstDirty ?? 0)).map((one) => one.key);
    if (this.#tailBytesMax === 0) expect([after, clean.length]).toEqual([after, new Set(clean).size]);
    expect([after, bench.log.endOffset, bench.log.startOffset]).toEqual([after, all.log.endOffset, 0]);
    expect([after, producersOf(bench)]).toEqual([after, producersOf(all)]);
  }

  async #stored(bench: LogBench): Promise<Stored[]> {
    const chunks: Buffer[] = [];
    for (let offset = 0; offset < bench.log.endOffset; ) {
      const read = await bench.settle(bench.log.read({ offset, maxBytes: 1e8, maxOffset: bench.log.endOffset, minOneMessage: true }));
      if (read.kind === "refused") throw new Error(read.message);
      if (read.bytes === 0) break;
      chunks.push(...read.chunks);
      offset = read.nextOffset;
    }
    return storedRecords(Buffer.concat(chunks), bench.log);
  }
}

function same(one: Stored, other: Stored | undefined): boolean {
  return other !== undefined && one.timestamp === other.timestamp && one.key === other.key && one.value === other.value;
}

function producersOf({ log }: LogBench): unknown {
  return [...log.producers.values()].map((entry) => [entry.producerId, entry.epoch, entry.batches.at(-1)?.lastSequence, entry.currentTxnFirstOffset]).toSorted((a, b) => Number(a[0]) - Number(b[0]));
}

test("whatever was written, cleaned and interrupted: the last values, the end and the producers are those of a log that keeps all, what is left is as it was written, and keys are unique where it is clean", { timeout: 300_000 }, async () => {
  const seen = new Set<string>();
  for (const seed of SEEDS) {
    const history = new History(seed);
    await history.live().catch((error: unknown) => Promise.reject(new Error(`seed ${seed}: ${error instanceof Error ? error.message : String(error)}`, { cause: error })));
    for (const one of history.seen) seen.add(one);
  }
  const formats = ["v0/0", "v0/1", "v0/2", "v0/3", "v1/0", "v1/1", "v1/2", "v1/3", "v2/0", "v2/1", "v2/2", "v2/3", "v2/4"];
  expect([...seen]).toEqual(expect.arrayContaining([...formats, "cleaned", "kill", "powerLoss", "completed"]));
});
