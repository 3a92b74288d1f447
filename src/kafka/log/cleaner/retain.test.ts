import { describe, expect, test } from "vitest";
import {
  Codec,
  batchBaseOffset,
  batchBaseSequence,
  batchChecksumHolds,
  batchCodec,
  batchFirstTimestamp,
  batchIsControl,
  batchIsTransactional,
  batchLastOffset,
  batchLastSequence,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  batchTimestampType,
  setBatchTimestamp,
  wholeBatchSize,
} from "../../records/batch.ts";
import { buildBatch } from "../../records/build.ts";
import { legacyMessage } from "../../records/legacy.ts";
import { compress } from "../../records/compression.ts";
import { RecordReader } from "../../records/record-reader.ts";
import { UNPACKED_BYTES_MAX } from "../../records/compression.ts";
import { retainRecords } from "./retain.ts";
import { packed } from "./testing.ts";

interface Seen {
  offset: number;
  timestamp: number;
  key: string | undefined;
}

function read(bytes: Buffer): Seen[] {
  const reader = new RecordReader();
  const seen: Seen[] = [];
  reader.open(bytes, 0, bytes.length, UNPACKED_BYTES_MAX);
  while (reader.next()) seen.push({ offset: reader.offset, timestamp: reader.timestamp, key: reader.key()?.toString() });
  expect(reader.problem).toBeUndefined();
  return seen;
}

/** What stays of the batch, which stands in the midst of other bytes, of the records at these offsets. */
function retained(batch: Buffer, offsets: readonly number[], retainEmpty = false): Buffer | undefined {
  const around = Buffer.concat([Buffer.alloc(7, 1), batch, Buffer.alloc(9, 2)]);
  const result = retainRecords(new RecordReader(), around, 7, batch.length, { keep: (record) => offsets.includes(record.offset), retainEmpty });
  expect(result.problem).toBeUndefined();
  if (result.bytes !== undefined) {
    expect(wholeBatchSize(result.bytes, 0, result.bytes.length)).toBe(result.bytes.length);
    expect(batchChecksumHolds(result.bytes, 0, result.bytes.length)).toBe(true);
  }
  return result.bytes;
}

const records = [50, 40, 90, 60].map((timestamp, index) => ({ key: Buffer.from(`k${index}`), value: Buffer.alloc(20, index), timestamp, headers: [{ key: "h", value: Buffer.from([index]) }] }));
const options = { baseOffset: 100, leaderEpoch: 7, producerId: 12, producerEpoch: 3, baseSequence: 2 ** 31 - 2, transactional: true };

for (const codec of [Codec.none, Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd]) {
  describe(`a batch with codec ${codec}`, () => {
    const batch = packed(buildBatch(records, options), codec);

    test("of which all stays is the bytes that it was", () => {
      expect(retained(batch, [100, 101, 102, 103])?.equals(batch)).toBe(true);
    });

    test("of which some stay keeps their offsets, times and headers, its own offsets, epoch, producer and sequence numbers, and says how many and how new they are", () => {
      const some = retained(batch, [101, 103]) ?? Buffer.alloc(0);
      expect(read(some)).toEqual([
        { offset: 101, timestamp: 40, key: "k1" },
        { offset: 103, timestamp: 60, key: "k3" },
      ]);
      expect([batchMagic(some, 0), batchBaseOffset(some, 0), batchLastOffset(some, 0), batchRecordCount(some, 0), batchMaxTimestamp(some, 0)]).toEqual([2, 100, 103, 2, 60]);
      expect([batchLeaderEpoch(some, 0), batchCodec(some, 0), batchIsTransactional(some, 0), batchIsControl(some, 0), batchFirstTimestamp(some, 0)]).toEqual([7, codec, true, false, 50]);
      expect([batchProducerId(some, 0), batchProducerEpoch(some, 0), batchBaseSequence(some, 0), batchLastSequence(some, 0)]).toEqual([12, 3, 2 ** 31 - 2, 1]);
      expect(some.length).toBeLessThan(batch.length);
      // And once more, with the last one gone.
      const fewer = retained(some, [101]) ?? Buffer.alloc(0);
      expect([read(fewer), batchLastOffset(fewer, 0), batchMaxTimestamp(fewer, 0)]).toEqual([[{ offset: 101, timestamp: 40, key: "k1" }], 103, 40]);
    });

    test("of which nothing stays is gone, or empty where it tells of its producer, and an empty one can be read again", () => {
      expect(retained(batch, [])).toBeUndefined();
      const empty = retained(batch, [], true) ?? Buffer.alloc(0);
      expect([empty.length, batchRecordCount(empty, 0), batchCodec(empty, 0), batchBaseOffset(empty, 0), batchLastOffset(empty, 0), batchFirstTimestamp(empty, 0)]).toEqual([61, 0, 0, 100, 103, -1]);
      expect([batchProducerId(empty, 0), batchProducerEpoch(empty, 0), batchBaseSequence(empty, 0), batchLastSequence(empty, 0), batchIsTransactional(empty, 0), batchLeaderEpoch(empty, 0)]).toEqual([12, 3, 2 ** 31 - 2, 1, true, 7]);
      expect(retained(empty, [], true)?.equals(empty)).toBe(true);
      expect(retained(empty, [])).toBeUndefined();
    });

    test("in log append time keeps that time", () => {
      const appended = Buffer.from(batch);
      setBatchTimestamp(appended, 0, appended.length, "LogAppendTime", 5000);
      const some = retained(appended, [101]) ?? Buffer.alloc(0);
      expect([batchTimestampType(some, 0), batchMaxTimestamp(some, 0), read(some)]).toEqual(["LogAppendTime", 5000, [{ offset: 101, timestamp: 5000, key: "k1" }]]);
    });
  });
}

describe("messages of the old formats", () => {
  const message = (magic: 0 | 1, offset: number, timestamp: number): Buffer =>
    legacyMessage({ magic, offset, codec: 0, timestamp, appendTime: false, key: Buffer.from(`k${offset}`), value: Buffer.alloc(10, offset) });

  test("stay or go as they are", () => {
    for (const magic of [0, 1] as const) {
      const plain = message(magic, 5, 70);
      expect([retained(plain, [5])?.equals(plain), retained(plain, [])]).toEqual([true, undefined]);
    }
  });

  for (const codec of [Codec.gzip, Codec.snappy, Codec.lz4]) {
    for (const magic of [0, 1] as const) {
      test(`of format ${magic} in a wrapper with codec ${codec} keep their offsets and times when others go, whichever those are`, () => {
        const base = 200;
        const inner = [50, 40, 90, 60].map((timestamp, index) => message(magic, magic === 0 ? base + index : index, timestamp));
        const wrapper = legacyMessage({ magic, offset: base + 3, codec, timestamp: 90, appendTime: false, key: null, value: compress(codec, Buffer.concat(inner), magic) });
        const all = read(wrapper);
        expect(all.map((one) => one.offset)).toEqual([200, 201, 202, 203]);
        expect(retained(wrapper, [200, 201, 202, 203])?.equals(wrapper)).toBe(true);
        for (const offsets of [[200], [203], [201, 202], [200, 201, 203]]) {
          const some = retained(wrapper, offsets) ?? Buffer.alloc(0);
          expect(read(some)).toEqual(all.filter((one) => offsets.includes(one.offset)));
          expect([batchLastOffset(some, 0), batchCodec(some, 0)]).toEqual([offsets.at(-1), codec]);
          if (magic === 1) expect(batchMaxTimestamp(some, 0)).toBe(Math.max(...read(some).map((one) => one.timestamp)));
        }
        expect(retained(wrapper, [])).toBeUndefined();
      });
    }
  }

  test("in a wrapper with log append time keep the wrapper's", () => {
    const inner = [0, 1, 2].map((offset) => message(1, offset, 10));
    const wrapper = legacyMessage({ magic: 1, offset: 52, codec: Codec.gzip, timestamp: 777, appendTime: true, key: null, value: compress(Codec.gzip, Buffer.concat(inner), 1) });
    const some = retained(wrapper, [50, 51]) ?? Buffer.alloc(0);
    expect([read(some).map((one) => [one.offset, one.timestamp]), batchTimestampType(some, 0)]).toEqual([
      [
        [50, 777],
        [51, 777],
      ],
      "LogAppendTime",
    ]);
  });
});

test("a batch that can't be read says why, and nothing of it is kept", () => {
  const batch = buildBatch(records, options);
  batch.writeInt32BE(5, 57);
  const result = retainRecords(new RecordReader(), batch, 0, batch.length, { keep: () => true, retainEmpty: true });
  expect([result.bytes, typeof result.problem]).toEqual([undefined, "string"]);
});
