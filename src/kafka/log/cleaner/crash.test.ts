import { describe, expect, test } from "vitest";
import { buildEndTxnMarker } from "../../records/control.ts";
import { CleanerBench, type Stored } from "./testing.ts";

/** Names that only an exchange of segments under way leaves. */
const UNDER_WAY = /\.(cleaned|swap)$/;

interface Filled {
  readonly bench: CleanerBench;
  readonly written: readonly Stored[];
  readonly fold: Map<string, string>;
  readonly producers: unknown;
  /** Disk operations before the pass. */
  readonly callsBefore: number;
}

/** Five segments and the active one: keys written again and again, deleted, in transactions that were aborted. */
async function filled(seed = 1): Promise<Filled> {
  const bench = new CleanerBench({ segmentBytes: 900, deleteRetentionMs: 0 }, { seed, settings: { ioBufferBytes: 1024 * 1024 } });
  for (const path of ["/", bench.logDirectory, bench.directory]) await bench.settle(bench.node.host.disk.syncDirectory(path));
  // A clean part, so that marks of deletion may go.
  bench.put(["gone=1", "k0=old", "k1=old"]);
  await bench.roll();
  expect(await bench.clean()).toBe(true);
  await bench.run(10);
  let sequence = 0;
  for (let index = 0; bench.log.segments.length < 6; index++) {
    bench.put([`k${index % 5}=${index}-${"x".repeat(40)}`, `k${(index + 1) % 7}=${index}`]);
    if (index % 4 === 1) {
      bench.put([`k${index % 3}=aborted`, `t${index}=aborted`], { producerId: 7, producerEpoch: 0, baseSequence: sequence, transactional: true });
      sequence += 2;
      bench.appendBytes(buildEndTxnMarker(7, 0, { committed: false, coordinatorEpoch: 0, timestamp: 1 }), 0, "coordinator");
    }
    if (index % 6 === 2) bench.put(["gone", `k${index % 5}`]);
  }
  await bench.ready();
  // So that some of the five stand alone and others go together.
  bench.log.config = { ...bench.log.config, segmentBytes: 1900 };
  return { bench, written: await bench.stored(), fold: await bench.fold(), producers: producersOf(bench), callsBefore: bench.node.disk.calls };
}

function producersOf(bench: CleanerBench): unknown {
  return [...bench.log.producers.values()].map((entry) => [entry.producerId, entry.epoch, entry.batches.at(-1)?.lastSequence, entry.currentTxnFirstOffset]);
}

/** After a stop in the midst of a pass, and the start: the log means what it meant. */
async function check({ bench, written, fold, producers }: Filled, endOffset: number, why: string): Promise<void> {
  expect([why, await bench.fold()]).toEqual([why, fold]);
  for (const [index, segment] of bench.log.segments.entries()) {
    expect([why, (await bench.settle(segment.nextOffset())) <= (bench.log.segments[index + 1]?.baseOffset ?? Infinity)]).toEqual([why, true]);
  }
  const stored = await bench.stored();
  const known = new Map(written.map((one) => [one.offset, one]));
  for (const one of stored) expect([why, one]).toEqual([why, known.get(one.offset)]);
  expect([why, bench.log.endOffset, producersOf(bench)]).toEqual([why, endOffset, producers]);
  expect([why, [...bench.files().keys()].filter((name) => UNDER_WAY.test(name))]).toEqual([why, []]);
}

describe("a pass over five segments", () => {
  test("whose n-th disk operation fails, for every n, leaves a log that means the same after the next start", { timeout: 180_000 }, async () => {
    const failures = new Map<string, number>();
    for (let n = 1; ; n++) {
      const state = await filled();
      const { bench } = state;
      let failed: string | undefined;
      const end = bench.log.endOffset;
      bench.node.disk.inject = (call) => {
        if (call.index !== state.callsBefore + n) return undefined;
        failed = call.operation;
        return "EIO";
      };
      const cleaned = await bench.clean();
      bench.node.disk.inject = undefined;
      if (failed === undefined) {
        expect([n > 40, cleaned]).toEqual([true, true]);
        await bench.run(2000);
        await bench.settle(bench.log.close());
        expect(bench.node.resources.files).toEqual([]);
        break;
      }
      failures.set(failed, (failures.get(failed) ?? 0) + 1);
      const why = `${failed} ${n}`;
      // A directory that is synced in the background of the bin, or a file that is only closed, may fail unnoticed.
      if (failed !== "stat") expect([why, bench.context.ioErrors.length, bench.log.isOpen]).toEqual([why, 1, false]);
      await bench.settle(bench.log.isOpen ? bench.log.close() : bench.log.abandon());
      bench.node.kill();
      bench.node.start();
      await bench.reopen({ clean: false, recoveryPoint: end, highWatermark: end });
      await check(state, end, why);
    }
    expect([...failures.keys()]).toEqual(expect.arrayContaining(["open", "read", "write", "sync", "rename", "syncDirectory", "setModifiedTime", "truncate"]));
  });

  for (const crash of ["kill", "powerLoss"] as const) {
    test(`and a ${crash === "kill" ? "kill" : "loss of power"} in front of the n-th disk operation, for every n: the keys' last values, the end and the producers are what they were, and later passes work`, { timeout: 180_000 }, async () => {
      let completed = 0;
      const struckIn = new Set<string>();
      for (let n = 1; ; n++) {
        const state = await filled(n);
        const { bench } = state;
        const end = bench.log.endOffset;
        let struck: string | undefined;
        let settled = false;
        bench.node.disk.inject = (call) => {
          if (call.index !== state.callsBefore + n) return undefined;
          struck = call.operation;
          bench.node[crash]();
          return "ESHUTDOWN";
        };
        const pass = bench.cleaner.cleanOnce().then(() => (settled = true));
        await bench.world.run({ until: () => settled || struck !== undefined, withinMs: 60_000 });
        bench.node.disk.inject = undefined;
        if (struck === undefined) {
          await pass;
          expect(n).toBeGreaterThan(40);
          break;
        }
        struckIn.add(struck);
        bench.node.start();
        await bench.reopen({ clean: false, recoveryPoint: end, highWatermark: end });
        if (bench.node.log.lines().some((line) => line.includes("compaction completed at start"))) completed++;
        await check(state, end, `${crash} ${n}`);
        bench.cleaner = bench.newCleaner();
        bench.log.setHighWatermark(end);
        expect(await bench.clean()).toBe(true);
        await check(state, end, `${crash} ${n}, cleaned again`);
      }
      expect(completed).toBeGreaterThan(2);
      expect([...struckIn]).toEqual(expect.arrayContaining(["open", "read", "write", "sync", "rename", "syncDirectory", "setModifiedTime", "truncate", "stat"]));
    });
  }

  test("and a loss of power in front of every sync of the directory, drawn again and again: no segment comes back beside the one that took its place", { timeout: 180_000 }, async () => {
    for (let seed = 1000; seed < 1006; seed++) {
      for (let n = 1; ; n++) {
        const state = await filled(seed * 16 + n);
        const { bench } = state;
        const end = bench.log.endOffset;
        let syncs = 0;
        let struck = false;
        let settled = false;
        bench.node.disk.inject = (call) => {
          if (call.operation !== "syncDirectory" || ++syncs !== n) return undefined;
          struck = true;
          bench.node.powerLoss();
          return "ESHUTDOWN";
        };
        void bench.cleaner.cleanOnce().then(() => (settled = true));
        await bench.world.run({ until: () => settled || struck, withinMs: 60_000 });
        bench.node.disk.inject = undefined;
        if (!struck) break;
        bench.node.start();
        await bench.reopen({ clean: false, recoveryPoint: end, highWatermark: end });
        await check(state, end, `seed ${seed}, sync ${n}`);
      }
    }
  });
});
