import { readFileSync } from "node:fs";
import { describe, expect, test } from "vitest";
import { Codec, batchBaseOffset, batchChecksumHolds, batchCodec, batchFirstTimestamp, batchLastOffset, batchLastOffsetDelta, batchMaxTimestamp, batchRecordCount, batchTimestampType, wholeBatchSize } from "./batch.ts";
import { BatchBuilder } from "./batch-builder.ts";
import { buildBatch } from "./build.ts";
import { RecordReader } from "./record-reader.ts";

/** Of kafka-clients 2.7.1, see record-reader.test.ts. */
const golden = JSON.parse(readFileSync(new URL("../../../test/golden/legacy-records.json", import.meta.url), "utf8")) as Record<string, string>;

const TEXT = Buffer.from("a value of a log that compresses well. ".repeat(20));

describe("a batch built record by record", () => {
  test("is byte for byte what Java writes of the same records", () => {
    const builder = new BatchBuilder(Codec.none);
    builder.add(0, 1_600_000_000_000, Buffer.from("key"), Buffer.from("value"));
    builder.add(1, 1_600_000_000_123, null, Buffer.from("second"));
    builder.add(2, 1_600_000_000_050, Buffer.from("gone"), null);
    builder.add(3, 1_600_000_000_051, Buffer.alloc(0), Buffer.alloc(0));
    expect(builder.finish({ baseOffset: 20 }).toString("base64")).toBe(golden["v2 none"]);
  });

  for (const [name, codec] of Object.entries(Codec)) {
    test(`packed with ${name} reads back, and its header tells of what is in it`, () => {
      const builder = new BatchBuilder(codec);
      for (let i = 0; i < 1000; i++) builder.add(2 * i, 5000 - i, i % 3 === 0 ? null : Buffer.from(`k${i}`), i % 5 === 0 ? null : TEXT);
      expect(builder.count).toBe(1000);
      const batch = builder.finish({ baseOffset: 100, timestampType: "LogAppendTime", maxTimestamp: 9999 });
      expect(wholeBatchSize(batch, 0, batch.length)).toBe(batch.length);
      expect(batchChecksumHolds(batch, 0, batch.length)).toBe(true);
      expect([batchCodec(batch, 0), batchBaseOffset(batch, 0), batchLastOffset(batch, 0), batchRecordCount(batch, 0)]).toEqual([codec, 100, 100 + 1998, 1000]);
      expect([batchFirstTimestamp(batch, 0), batchMaxTimestamp(batch, 0), batchTimestampType(batch, 0)]).toEqual([5000, 9999, "LogAppendTime"]);
      if (codec !== Codec.none) expect(batch.length).toBeLessThan(builder.unpackedBytes / 2);
      const reader = new RecordReader();
      reader.open(batch, 0, batch.length, builder.unpackedBytes);
      for (let i = 0; i < 1000; i++) {
        expect(reader.next()).toBe(true);
        expect([reader.offset, reader.timestamp, reader.key()?.toString(), reader.value()?.equals(TEXT)]).toEqual([100 + 2 * i, 9999, i % 3 === 0 ? undefined : `k${i}`, i % 5 === 0 ? undefined : true]);
      }
      expect([reader.next(), reader.problem]).toEqual([false, undefined]);
    });
  }

  test("without timestamps has none, and one record may be larger than any buffer before it", () => {
    const builder = new BatchBuilder(Codec.none);
    builder.add(0, -1, Buffer.alloc(3), null);
    builder.add(1, -1, null, Buffer.alloc(1_000_000, 7));
    const batch = builder.finish();
    expect([batchFirstTimestamp(batch, 0), batchMaxTimestamp(batch, 0), batchLastOffsetDelta(batch, 0)]).toEqual([-1, -1, 1]);
    expect(batch.length).toBeLessThan(1_000_100);
  });
});

test("buildBatch packs with the codec that it is given", () => {
  const records = Array.from({ length: 50 }, (_, i) => ({ key: Buffer.from(`${i}`), value: TEXT, timestamp: i, headers: [{ key: "h", value: null }] }));
  const plain = buildBatch(records, { baseOffset: 3, producerId: 7 });
  for (const codec of Object.values(Codec)) {
    const batch = buildBatch(records, { baseOffset: 3, producerId: 7, codec });
    expect([batchCodec(batch, 0), batchLastOffset(batch, 0), batchChecksumHolds(batch, 0, batch.length)]).toEqual([codec, 52, true]);
    const reader = new RecordReader();
    reader.open(batch, 0, batch.length, plain.length);
    let section = 0;
    while (reader.next()) section = reader.recordEnd;
    expect(reader.buffer.subarray(codec === Codec.none ? 61 : 0, section).equals(plain.subarray(61))).toBe(true);
  }
});
