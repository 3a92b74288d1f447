import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { OffsetIndex, fitsSegment } from "./offset-index.ts";
import { TimeIndex } from "./time-index.ts";
import { TxnIndex } from "./txn-index.ts";

const empty = Buffer.alloc(0);
/** What the file of a table would hold. */
const stored = ({ table }: { table: OffsetIndex["table"] }): Buffer => Buffer.from(table.bytes.subarray(0, table.sizeBytes));

describe("offset index", () => {
  test("the entry found is the greatest one not above the offset, for any entries", () => {
    const steps = fc.array(fc.record({ offset: fc.integer({ min: 1, max: 50 }), position: fc.integer({ min: 1, max: 1000 }) }), { maxLength: 100 });
    fc.assert(
      fc.property(steps, fc.nat(6000), (deltas, target) => {
        const index = new OffsetIndex(100, 8 * 1000, empty);
        const entries: { offset: number; position: number }[] = [];
        let [offset, position] = [100, 0];
        for (const delta of deltas) {
          offset += delta.offset;
          position += delta.position;
          index.append(offset, position);
          entries.push({ offset, position });
        }
        expect(index.positionFor(target)).toBe(entries.findLast((entry) => entry.offset <= target)?.position ?? 0);
        expect(index.lastOffset).toBe(entries.at(-1)?.offset ?? 100);
        const cut = new OffsetIndex(100, 8 * 1000, stored(index));
        cut.truncateTo(target);
        expect(cut.table.count).toBe(entries.filter((entry) => entry.offset < target).length);
      }),
    );
  });

  test("entries are int32 pairs, relative to the base", () => {
    const index = new OffsetIndex(1000, 80, empty);
    index.append(1005, 4711);
    index.append(1000 + 0x7fff_ffff, 4712);
    expect(stored(index).toString("hex")).toBe("00000005000012677fffffff00001268");
    expect([fitsSegment(1000, 999), fitsSegment(1000, 1000 + 0x7fff_ffff), fitsSegment(1000, 1001 + 0x7fff_ffff)]).toEqual([false, true, false]);
  });

  test("it is full at its size rounded down to entries, and refuses what does not rise", () => {
    const index = new OffsetIndex(0, 23, empty);
    index.append(1, 10);
    expect(index.isFull).toBe(false);
    expect(() => index.append(1, 20)).toThrow("not above");
    index.append(2, 20);
    expect(index.isFull).toBe(true);
    expect(() => index.append(3, 30)).toThrow("full");
  });

  test("the zeros of a file that was not trimmed are no entries", () => {
    const index = new OffsetIndex(0, 800, empty);
    index.append(3, 100);
    index.append(9, 200);
    const loaded = new OffsetIndex(0, 800, Buffer.concat([stored(index), Buffer.alloc(784)]));
    expect([loaded.table.count, loaded.lastOffset, loaded.untrimmed]).toEqual([2, 9, true]);
    expect(new OffsetIndex(0, 800, stored(index)).untrimmed).toBe(false);
    expect(new OffsetIndex(0, 800, Buffer.alloc(800)).table.count).toBe(0);
  });
});

describe("time index", () => {
  test("the offset found belongs to the greatest timestamp not above the one asked for", () => {
    const index = new TimeIndex(100, 1200, empty);
    index.append(1000, 110);
    index.append(2000, 120);
    expect([999, 1000, 1999, 2000, 9999].map((timestamp) => index.offsetFor(timestamp))).toEqual([100, 110, 110, 120, 120]);
    expect(stored(index).toString("hex")).toBe("00000000000003e80000000a00000000000007d000000014");
  });

  test("timestamps that do not rise are ignored; the last place is kept for closing", () => {
    const index = new TimeIndex(0, 36, empty);
    index.append(-1, 0);
    expect(index.table.count).toBe(0);
    index.append(10, 1);
    index.append(10, 2);
    index.append(5, 3);
    expect([index.table.count, index.lastOffset, index.isFull]).toEqual([1, 1, false]);
    index.append(20, 4);
    expect(index.isFull).toBe(true);
    expect(() => index.append(30, 5)).toThrow("full");
    index.append(30, 5, true);
    expect(index.lastTimestamp).toBe(30);
    index.truncateTo(4);
    expect(index.lastTimestamp).toBe(10);
  });

  test("the zeros of a file that was not trimmed are no entries, but a timestamp of 0 is one", () => {
    const index = new TimeIndex(0, 120, empty);
    index.append(0, 0);
    index.append(7, 1);
    expect(new TimeIndex(0, 120, Buffer.concat([stored(index), Buffer.alloc(96)])).table.count).toBe(2);
    expect(new TimeIndex(0, 120, Buffer.alloc(120)).table.count).toBe(0);
    expect(new TimeIndex(0, 120, Buffer.alloc(12)).table.count).toBe(1);
  });
});

describe("transaction index", () => {
  const txns = [
    { producerId: 1, firstOffset: 0, lastOffset: 10, lastStableOffset: 11 },
    { producerId: 2, firstOffset: 5, lastOffset: 20, lastStableOffset: 12 },
    { producerId: 1, firstOffset: 12, lastOffset: 30, lastStableOffset: 31 },
  ];
  const index = (): TxnIndex => {
    const built = new TxnIndex(empty);
    for (const txn of txns) built.append(txn);
    return built;
  };
  const collect = (from: number, to: number): { found: number[]; done: boolean } => {
    const found: typeof txns = [];
    const done = index().collect(from, to, found);
    return { found: found.map((txn) => txn.lastOffset), done };
  };

  test("it finds what overlaps a range, and tells when later segments have nothing to add", () => {
    expect(collect(0, 3)).toEqual({ found: [10], done: true });
    expect(collect(0, 11)).toEqual({ found: [10], done: true });
    expect(collect(11, 12)).toEqual({ found: [20], done: true });
    expect(collect(11, 40)).toEqual({ found: [20, 30], done: false });
    expect(collect(31, 40)).toEqual({ found: [], done: false });
  });

  test("entries are 34 bytes, and are read back", () => {
    const bytes = stored(index());
    expect(bytes.subarray(0, 34).toString("hex")).toBe("000000000000000000010000000000000000000000000000000a000000000000000b");
    expect(new TxnIndex(bytes).entry(1)).toEqual(txns[1]);
  });

  test("a truncation drops transactions whose markers are gone", () => {
    const cut = index();
    cut.truncateTo(20);
    expect(cut.table.count).toBe(1);
  });

  test("an entry of another version, or from before the segment, is a problem", () => {
    expect(index().problem(0)).toBeUndefined();
    expect(index().problem(11)).toMatch("ends at 10");
    const bytes = stored(index());
    bytes.writeInt16BE(1, 34);
    expect(new TxnIndex(bytes).problem(0)).toMatch("version");
  });
});

test("a table knows what its file lacks, through appends, truncations and writes", () => {
  const { table } = new OffsetIndex(0, 8000, empty);
  const index = new OffsetIndex(0, 8000, empty);
  expect(table.unpersistedBytes).toBe(0);
  index.append(1, 1);
  index.append(2, 2);
  index.table.markPersisted();
  index.append(3, 3);
  expect([index.table.persistedBytes, index.table.unpersisted().toString("hex")]).toEqual([16, "0000000300000003"]);
  index.truncateTo(2);
  expect([index.table.persistedBytes, index.table.unpersistedBytes]).toEqual([8, 0]);
});
