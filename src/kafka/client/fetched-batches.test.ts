import { expect, test } from "vitest";
import { Codec, setBatchPlace } from "../records/batch.ts";
import { buildBatch, type BatchOptions } from "../records/build.ts";
import { buildEndTxnMarker } from "../records/control.ts";
import { readFetched } from "./fetched-batches.ts";

const record = (value: string) => ({ key: null, value: Buffer.from(value), timestamp: 5 });

function batch(baseOffset: number, values: readonly string[], options: BatchOptions = {}): Buffer {
  return buildBatch(values.map(record), { baseOffset, leaderEpoch: 3, ...options });
}

function marker(offset: number, producerId: number, committed: boolean): Buffer {
  const bytes = buildEndTxnMarker(producerId, 0, { committed, coordinatorEpoch: 0, timestamp: 5 });
  setBatchPlace(bytes, 0, offset, 3);
  return bytes;
}

const read = (bytes: Buffer, from = 0, aborted?: readonly { producerId: number; firstOffset: number }[]) => readFetched({ topic: "t", partition: 2, bytes, from, aborted });
const valuesOf = ({ records }: ReturnType<typeof readFetched>): string[] => records.map(({ offset, value }) => `${offset}${String(value)}`);

test("a record comes with all that it has, in every codec", () => {
  for (const codec of Object.values(Codec)) {
    const headers = [{ key: "h", value: Buffer.from("v") }, { key: "é", value: null }, { key: "", value: Buffer.alloc(0) }];
    const bytes = buildBatch([{ key: Buffer.from("k"), value: null, timestamp: 7, headers }, { key: null, value: Buffer.alloc(0), timestamp: 9 }, { key: null, value: Buffer.from("x"), timestamp: 9, headers: [{ key: "z", value: null }] }], { codec, baseOffset: 4, leaderEpoch: 3 });
    const common = { topic: "t", partition: 2, leaderEpoch: 3, timestampType: "CreateTime" };
    expect(read(bytes).records).toEqual([
      { ...common, offset: 4, timestamp: 7, key: Buffer.from("k"), value: null, headers },
      { ...common, offset: 5, timestamp: 9, key: null, value: Buffer.alloc(0), headers: [] },
      { ...common, offset: 6, timestamp: 9, key: null, value: Buffer.from("x"), headers: [{ key: "z", value: null }] },
    ]);
  }
});

test("what lies before the offset asked for is left out; a batch that is cut off waits", () => {
  const bytes = Buffer.concat([batch(4, ["a", "b", "c"]), batch(9, ["d"], { leaderEpoch: 5 })]);
  const whole = read(bytes, 5);
  expect([valuesOf(whole), whole.next, whole.leaderEpoch, whole.problem]).toEqual([["5b", "6c", "9d"], 10, 5, undefined]);
  const cut = read(bytes.subarray(0, bytes.length - 1), 5);
  expect([valuesOf(cut), cut.next, cut.leaderEpoch]).toEqual([["5b", "6c"], 7, 3]);
  expect(read(Buffer.alloc(0), 5)).toMatchObject({ records: [], next: 5, leaderEpoch: undefined });
});

test("control batches are never shown; aborted transactions only to who reads everything", () => {
  const transactional = (offset: number, producerId: number, value: string) => batch(offset, [value], { producerId, producerEpoch: 0, baseSequence: 0, transactional: true });
  const bytes = Buffer.concat([
    transactional(0, 1, "a"), transactional(1, 2, "b"), batch(2, ["plain"]), transactional(3, 1, "c"), marker(4, 1, false),
    transactional(5, 1, "d"), marker(6, 2, true), marker(7, 1, true), transactional(8, 2, "e"), marker(9, 2, false),
  ]);
  const all = read(bytes);
  expect([valuesOf(all), all.next]).toEqual([["0a", "1b", "2plain", "3c", "5d", "8e"], 10]);
  const aborted = [{ producerId: 2, firstOffset: 8 }, { producerId: 1, firstOffset: 0 }];
  expect(valuesOf(read(bytes, 0, aborted))).toEqual(["1b", "2plain", "5d"]);
});

test("damaged bytes are a problem, behind the records before them", () => {
  const good = batch(0, ["a"]);
  const damaged = Buffer.from(batch(1, ["b"]));
  damaged.writeUInt8(damaged.readUInt8(damaged.length - 1) ^ 1, damaged.length - 1);
  const told = read(Buffer.concat([good, damaged]));
  expect([valuesOf(told), told.next, told.problem]).toEqual([["0a"], 1, "the batch at offset 1 is damaged"]);
  const nonsense = read(Buffer.concat([good, Buffer.alloc(40)]));
  expect([valuesOf(nonsense), nonsense.problem]).toEqual([["0a"], "no batch can begin as the bytes at offset 1 do"]);
});
