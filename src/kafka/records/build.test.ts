import { expect, test } from "vitest";
import { Codec, batchChecksumHolds, batchCodec, batchRecordCount, wholeBatchSize } from "./batch.ts";
import { buildBatch } from "./build.ts";
import { RecordReader } from "./record-reader.ts";

const RECORDS = Array.from({ length: 20 }, (_, index) => ({ key: Buffer.from(`key ${index}`), value: index % 3 === 0 ? null : Buffer.alloc(200, 65 + index), timestamp: 1000 + index }));

test.each(Object.entries(Codec))("a batch packed with %s is whole, and its records are what was written", (name, codec) => {
  const batch = buildBatch(RECORDS, { baseOffset: 7, codec });
  expect([wholeBatchSize(batch, 0, batch.length), batchChecksumHolds(batch, 0, batch.length), batchCodec(batch, 0), batchRecordCount(batch, 0)]).toEqual([batch.length, true, codec, RECORDS.length]);
  const read = [];
  const reader = new RecordReader();
  reader.open(batch, 0, batch.length, 1e6);
  while (reader.next()) read.push({ offset: reader.offset - 7, key: reader.key(), value: reader.value(), timestamp: reader.timestamp });
  expect([reader.problem, read]).toEqual([undefined, RECORDS.map((record, offset) => ({ offset, ...record }))]);
  expect(batch.length < buildBatch(RECORDS).length).toBe(name !== "none");
});

test("a batch is not packed unless told so", () => {
  expect(batchCodec(buildBatch(RECORDS), 0)).toBe(Codec.none);
});
