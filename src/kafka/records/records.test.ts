import { crc32 as nativeCrc32, crc32c as nativeCrc32c } from "@node-rs/crc32";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import {
  addToSequence,
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
  declaredBatchSize,
  setBatchPlace,
  setBatchTimestamp,
  wholeBatchSize,
} from "./batch.ts";
import { buildBatch, type RecordToWrite } from "./build.ts";
import { buildEndTxnMarker, readEndTxnMarker } from "./control.ts";
import { crc32, crc32c } from "./crc.ts";
import { RecordCursor } from "./record-cursor.ts";
import { RecordsValidator, checkProduceFormat, type ProduceRules } from "./validate.ts";

/** Written by Apache's kafka-clients 2.7.1 (MemoryRecords.withRecords, withEndTransactionMarker, DefaultRecordBatch.writeEmptyHeader). */
const golden = {
  v2: "00000000000000000000006100000005029840153e00000000000200000174876e800000000174876e807bffffffffffffffffffffffffffff000000032e000000066b65790a76616c7565040468310278046832011a00f60102010c7365636f6e64001200cf0f04046b330100",
  v2gzip:
    "000000000000000a000000750000000502ec4657b600010000000200000174876e800000000174876e807bffffffffffffffffffffffffffff000000031f8b08000000000000ffd363606060cb4eade42a4bcc294d6561c93064aa60c930629462f8c6c8c4c8539c9a9c9f97c220c4709e9f8525db98910100b3cd378830000000",
  v2transactional:
    "0000000000000007000000610000000902ac7b694900100000000200000174876e800000000174876e807b0000000000000fa000037ffffffe000000032e000000066b65790a76616c7565040468310278046832011a00f60102010c7365636f6e64001200cf0f04046b330100",
  v2appendTime:
    "00000000000003e8000000610000004d0258a25d5a00080000000200000174876e80000000018bcfe56800ffffffffffffffffffffffffffff000000032e000000066b65790a76616c7565040468310278046832011a00f60102010c7365636f6e64001200cf0f04046b330100",
  commit:
    "0000000000000064000000420000000902fe1008cd00300000000000000174876e81f400000174876e81f40000000000000fa00003ffffffff000000012000000008000000010c00000000001100",
  abort:
    "00000000000000640000004200000009020a2ede8500300000000000000174876e81f400000174876e81f40000000000000fa00003ffffffff000000012000000008000000000c00000000001100",
  emptied: "0000000000000032000000310000000902e9554279001000000009ffffffffffffffff00000174876e80000000000000000fa000030000000c00000000",
  v1: "00000000000000140000001efa8f80f5010000000174876e8000000000036b65790000000576616c756500000000000000150000001c65bde986010000000174876e807bffffffff000000067365636f6e64",
  v1gzip:
    "00000000000000150000005fc50a5ca9010100000174876e807bffffffff000000491f8b08000000000000ff63608003b95ffd0d5f19810cc692f6bc06900873766a2590622d4bcc294d85aa02299049ddfbb20daeb2fa3f1000396cc5a9c9f97929009553df3352000000",
  v0: "0000000000000014000000162356c1370000000000036b65790000000576616c7565000000000000001500000014a6f2489d0000ffffffff000000067365636f6e64",
};
const bytes = (name: keyof typeof golden): Buffer => Buffer.from(golden[name], "hex");

/** The records in the golden v2 batches. */
const three: readonly RecordToWrite[] = [
  {
    key: Buffer.from("key"),
    value: Buffer.from("value"),
    timestamp: 1_600_000_000_000,
    headers: [
      { key: "h1", value: Buffer.from("x") },
      { key: "h2", value: null },
    ],
  },
  { key: null, value: Buffer.from("second"), timestamp: 1_600_000_000_123 },
  { key: Buffer.from("k3"), value: null, timestamp: 1_599_999_999_000 },
];

interface ReadRecord {
  readonly offset: number;
  readonly timestamp: number;
  readonly sequence: number;
  readonly key: string | null;
  readonly value: string | null;
}

function readAll(batch: Buffer): { records: ReadRecord[]; problem: string | undefined } {
  const cursor = new RecordCursor();
  const records: ReadRecord[] = [];
  cursor.open(batch, 0, batch.length);
  while (cursor.next()) {
    records.push({
      offset: cursor.offset,
      timestamp: cursor.timestamp,
      sequence: cursor.sequence,
      key: cursor.key()?.toString() ?? null,
      value: cursor.value()?.toString() ?? null,
    });
  }
  return { records, problem: cursor.problem };
}

describe("checksums", () => {
  test("CRC-32C gives the check value of its specification and 0 for nothing", () => {
    expect(crc32c(Buffer.from("123456789"))).toBe(0xe306_9283);
    expect(crc32c(Buffer.alloc(0))).toBe(0);
    expect(crc32(Buffer.from("123456789"))).toBe(0xcbf4_3926);
  });

  test("the table and the native code agree at every length and alignment", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 700 }), fc.nat(8), (data, start) => {
        const from = Math.min(start, data.length);
        expect(crc32c(Buffer.from(data), from)).toBe(nativeCrc32c(data.subarray(from)));
        expect(crc32(Buffer.from(data), from)).toBe(nativeCrc32(data.subarray(from)));
      }),
    );
  });
});

describe("headers of batches that Apache wrote", () => {
  test("every batch and message is whole, and its checksum holds until a byte changes", () => {
    for (const name of Object.keys(golden) as (keyof typeof golden)[]) {
      const data = bytes(name);
      let at = 0;
      while (at < data.length) {
        const size = wholeBatchSize(data, at, data.length);
        expect(size).toBeGreaterThan(0);
        expect(batchChecksumHolds(data, at, size)).toBe(true);
        data[at + size - 1] = (data[at + size - 1] as number) ^ 1;
        expect(batchChecksumHolds(data, at, size)).toBe(false);
        at += size;
      }
      expect(at).toBe(data.length);
    }
  });

  test("a v2 batch tells its fields", () => {
    const batch = bytes("v2transactional");
    expect(batchMagic(batch, 0)).toBe(2);
    expect(batchBaseOffset(batch, 0)).toBe(7);
    expect(batchLastOffset(batch, 0)).toBe(9);
    expect(batchLeaderEpoch(batch, 0)).toBe(9);
    expect(batchFirstTimestamp(batch, 0)).toBe(1_600_000_000_000);
    expect(batchMaxTimestamp(batch, 0)).toBe(1_600_000_000_123);
    expect(batchTimestampType(batch, 0)).toBe("CreateTime");
    expect(batchProducerId(batch, 0)).toBe(4000);
    expect(batchProducerEpoch(batch, 0)).toBe(3);
    expect(batchBaseSequence(batch, 0)).toBe(2 ** 31 - 2);
    expect(batchLastSequence(batch, 0)).toBe(0);
    expect(batchRecordCount(batch, 0)).toBe(3);
    expect(batchIsTransactional(batch, 0)).toBe(true);
    expect(batchIsControl(batch, 0)).toBe(false);
    expect(batchCodec(bytes("v2gzip"), 0)).toBe(1);
  });

  test("a batch that compaction emptied keeps its offsets and producer", () => {
    const batch = bytes("emptied");
    expect([batchBaseOffset(batch, 0), batchLastOffset(batch, 0)]).toEqual([50, 59]);
    expect([batchRecordCount(batch, 0), batchBaseSequence(batch, 0), batchLastSequence(batch, 0)]).toEqual([0, 12, 21]);
    expect(readAll(batch)).toEqual({ records: [], problem: undefined });
  });

  test("v0 and v1 messages tell offset, size and timestamp, and lack the rest", () => {
    const v1 = bytes("v1");
    const second = wholeBatchSize(v1, 0, v1.length);
    expect([batchLastOffset(v1, 0), batchLastOffset(v1, second)]).toEqual([20, 21]);
    expect(batchMaxTimestamp(v1, second)).toBe(1_600_000_000_123);
    expect(batchMaxTimestamp(bytes("v0"), 0)).toBe(-1);
    expect([batchProducerId(v1, 0), batchLeaderEpoch(v1, 0), batchIsControl(v1, 0)]).toEqual([-1, -1, false]);
    expect([batchCodec(bytes("v1gzip"), 0), batchLastOffset(bytes("v1gzip"), 0)]).toEqual([1, 21]);
  });

  test("a cut batch is told from one that cannot be right", () => {
    const batch = bytes("v2");
    expect(wholeBatchSize(batch, 0, 16)).toBe(0);
    expect(wholeBatchSize(batch, 0, batch.length - 1)).toBe(0);
    expect(declaredBatchSize(batch, 0, 17)).toBe(batch.length);
    batch.writeInt8(3, 16);
    expect(wholeBatchSize(batch, 0, batch.length)).toBe(-1);
    batch.writeInt8(-1, 16);
    expect(wholeBatchSize(batch, 0, batch.length)).toBe(-1);
    batch.writeInt8(2, 16);
    batch.writeInt32BE(48, 8);
    expect(wholeBatchSize(batch, 0, batch.length)).toBe(-1);
    expect(wholeBatchSize(Buffer.alloc(100), 0, 100)).toBe(-1);
  });

  test("sequence numbers wrap in both directions", () => {
    expect(addToSequence(2 ** 31 - 1, 1)).toBe(0);
    expect(addToSequence(5, 2 ** 31 - 1)).toBe(4);
    expect(addToSequence(0, -1)).toBe(2 ** 31 - 1);
    expect(addToSequence(3, -5)).toBe(2 ** 31 - 2);
  });
});

describe("in-place changes", () => {
  test("base offset, leader epoch and append time give the bytes that Apache's own setters give", () => {
    const batch = bytes("v2");
    setBatchPlace(batch, 0, 1000, 77);
    expect(batchChecksumHolds(batch, 0, batch.length)).toBe(true);
    setBatchTimestamp(batch, 0, batch.length, "LogAppendTime", 1_700_000_000_000);
    expect(batch.toString("hex")).toBe(golden.v2appendTime);
    expect(readAll(batch).records.map((record) => record.timestamp)).toEqual(Array(3).fill(1_700_000_000_000));
  });

  test("a timestamp that already stands there leaves the checksum as it is, right or wrong", () => {
    const batch = bytes("v2");
    batch.writeUInt32BE(1, 17);
    setBatchTimestamp(batch, 0, batch.length, "CreateTime", 1_600_000_000_123);
    expect(batch.readUInt32BE(17)).toBe(1);
  });
});

describe("records", () => {
  test("built batches are Apache's, byte for byte", () => {
    expect(buildBatch(three, { leaderEpoch: 5 }).toString("hex")).toBe(golden.v2);
    expect(
      buildBatch(three, { baseOffset: 7, leaderEpoch: 9, producerId: 4000, producerEpoch: 3, baseSequence: 2 ** 31 - 2, transactional: true }).toString("hex"),
    ).toBe(golden.v2transactional);
  });

  test("the cursor reads what Apache wrote", () => {
    expect(readAll(bytes("v2transactional"))).toEqual({
      problem: undefined,
      records: [
        { offset: 7, timestamp: 1_600_000_000_000, sequence: 2 ** 31 - 2, key: "key", value: "value" },
        { offset: 8, timestamp: 1_600_000_000_123, sequence: 2 ** 31 - 1, key: null, value: "second" },
        { offset: 9, timestamp: 1_599_999_999_000, sequence: 0, key: "k3", value: null },
      ],
    });
  });

  test("whatever is built is read back, deltas beyond 32 bits included", () => {
    const field = fc.option(fc.uint8Array({ maxLength: 200 }).map((data) => Buffer.from(data)));
    const record = fc.record({
      key: field,
      value: field,
      timestamp: fc.integer({ min: -1, max: 2 ** 45 }),
      headers: fc.array(fc.record({ key: fc.string(), value: field }), { maxLength: 3 }),
    });
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 20 }), (records) => {
        const batch = buildBatch(records, { baseOffset: 1000, baseSequence: 5 });
        const read = readAll(batch);
        expect(read.problem).toBeUndefined();
        expect(read.records.map((one) => one.timestamp)).toEqual(records.map((one) => one.timestamp));
        expect(read.records.map((one) => one.offset)).toEqual(records.map((_, index) => 1000 + index));
        expect(read.records.map((one) => one.key)).toEqual(records.map((one) => one.key?.toString() ?? null));
        expect(batchMaxTimestamp(batch, 0)).toBe(Math.max(...records.map((one) => one.timestamp)));
      }),
    );
  });

  test("the cursor sees in any bytes what a plain decoder sees", () => {
    const varint = (from: Buffer, at: number, bytesMax: number): { value: number; next: number } | undefined => {
      let value = 0n;
      for (let index = 0; index < bytesMax; index++) {
        const byte = from[at + index];
        if (byte === undefined) return undefined;
        value |= BigInt(byte & 0x7f) << BigInt(7 * index);
        if (byte < 0x80) return { value: Number(bytesMax === 5 ? BigInt.asIntN(32, (BigInt.asUintN(32, value) >> 1n) ^ -(value & 1n)) : (value >> 1n) ^ -(value & 1n)), next: at + index + 1 };
      }
      return undefined;
    };
    /** Undefined where the section is not `count` records and nothing else. */
    const decode = (section: Buffer, count: number): (readonly number[])[] | undefined => {
      const records: (readonly number[])[] = [];
      let at = 0;
      const next = (bytesMax: number): number => {
        const read = varint(section, at, bytesMax);
        at = read?.next ?? NaN;
        return read?.value ?? NaN;
      };
      const skip = (length: number): void => void (at += Math.max(0, length));
      for (let index = 0; index < count; index++) {
        const length = next(5);
        const end = at + length;
        if (!(length >= 0 && end <= section.length)) return undefined;
        at++;
        const fields = [next(10), next(5)];
        for (let field = 0; field < 2; field++) {
          fields.push(next(5));
          skip(fields.at(-1) ?? 0);
        }
        const headers = next(5);
        if (!(headers >= 0)) return undefined;
        for (let header = 0; header < headers; header++) {
          const keyLength = next(5);
          if (!(keyLength >= 0 && at <= end)) return undefined;
          skip(keyLength);
          skip(next(5));
        }
        if (at !== end) return undefined;
        records.push([...fields, headers]);
      }
      return at === section.length ? records : undefined;
    };
    const cursor = new RecordCursor();
    const look = (section: Buffer, count: number): (readonly number[])[] | undefined => {
      const header = bytes("v2").subarray(0, 61);
      header.writeInt32BE(count, 57);
      const records: (readonly number[])[] = [];
      cursor.openSection(header, 0, section, 0, section.length);
      while (cursor.next()) records.push([cursor.timestamp - 1_600_000_000_000, cursor.offsetDelta, cursor.keyLength, cursor.valueLength, cursor.headerCount]);
      return cursor.problem === undefined ? records : undefined;
    };
    const field = fc.option(fc.uint8Array({ maxLength: 100 }).map((data) => Buffer.from(data)));
    const record = fc.record({ key: field, value: field, timestamp: fc.integer({ min: 0, max: 20_000 }), headers: fc.array(fc.record({ key: fc.constant("h"), value: field }), { maxLength: 1 }) });
    const edit = fc.record({ at: fc.nat(400), byte: fc.oneof(fc.nat(255), fc.constantFrom(0, 1, 2, 0x7f, 0x80, 0x81, 0xff)) });
    fc.assert(
      fc.property(fc.array(record, { minLength: 1, maxLength: 6 }), fc.array(edit, { maxLength: 3 }), fc.integer({ min: -1, max: 1 }), (records, edits, more) => {
        const section = buildBatch(records).subarray(61);
        for (const { at, byte } of edits) if (at < section.length) section[at] = byte;
        expect(look(section, records.length + more)).toEqual(decode(section, records.length + more));
      }),
      { numRuns: 3000 },
    );
  });

  test("arbitrary bytes in place of records end in a problem or in records, never in an exception", () => {
    fc.assert(
      fc.property(fc.uint8Array({ maxLength: 80 }), fc.integer(), (data, count) => {
        const batch = Buffer.concat([bytes("v2").subarray(0, 61), data]);
        batch.writeInt32BE(count, 57);
        const { records, problem } = readAll(batch);
        expect(records.length <= Math.max(0, count) && (problem !== undefined || records.length === Math.max(0, count))).toBe(true);
      }),
      { numRuns: 2000 },
    );
  });
});

describe("control batches", () => {
  test("markers are written and read as Apache's", () => {
    for (const committed of [true, false]) {
      const marker = { committed, coordinatorEpoch: 17, timestamp: 1_600_000_000_500 };
      const batch = buildEndTxnMarker(4000, 3, marker);
      setBatchPlace(batch, 0, 100, 9);
      expect(batch.toString("hex")).toBe(committed ? golden.commit : golden.abort);
      expect(readEndTxnMarker(batch, 0, batch.length)).toEqual(marker);
    }
  });

  test("kinds of control record that this broker does not know, and emptied batches, are no markers", () => {
    const batch = bytes("commit");
    batch.writeInt16BE(3, batch.indexOf(Buffer.from([0, 0, 0, 1, 12])) + 2);
    expect(readEndTxnMarker(batch, 0, batch.length)).toBeUndefined();
    expect(readEndTxnMarker(bytes("emptied"), 0, 61)).toBeUndefined();
  });
});

describe("validation of what is produced", () => {
  const validator = new RecordsValidator();
  const now = 1_600_000_001_000;
  const lax: ProduceRules = {
    origin: "client",
    maxMessageBytes: 1000,
    compacted: false,
    timestampType: "CreateTime",
    timestampDifferenceMaxMs: 2 ** 63,
  };
  const validate = (records: Buffer, rules: Partial<ProduceRules> = {}) => validator.validate(records, { ...lax, ...rules }, now);
  const error = (records: Buffer, rules: Partial<ProduceRules> = {}): number | string => {
    const result = validate(records, rules);
    return result.kind === "refused" ? result.error : result.kind;
  };
  /** The golden batch with bytes changed and the checksum made right again. */
  const changed = (change: (batch: Buffer) => void): Buffer => {
    const batch = bytes("v2");
    change(batch);
    batch.writeUInt32BE(crc32c(batch, 21), 17);
    return batch;
  };

  test("a good batch passes; the bytes of a cut-off second one do not count", () => {
    const good = bytes("v2");
    expect(validate(Buffer.concat([good, good.subarray(0, 50)]))).toEqual({
      kind: "batch",
      size: good.length,
      recordCount: 3,
      maxTimestamp: 1_600_000_000_123,
    });
    expect(error(good.subarray(0, 60))).toBe("empty");
    expect(error(Buffer.alloc(0))).toBe("empty");
  });

  test("the max timestamp comes from the records where the header lies", () => {
    const lying = changed((batch) => batch.writeUInt32BE(1, 39));
    expect(validate(lying)).toMatchObject({ kind: "batch", maxTimestamp: 1_600_000_000_123 });
  });

  test("damage is CORRUPT_MESSAGE", () => {
    const flipped = bytes("v2");
    flipped[70] = 0xff;
    expect(error(flipped)).toBe(ErrorCode.CORRUPT_MESSAGE);
    expect(error(Buffer.alloc(100))).toBe(ErrorCode.CORRUPT_MESSAGE);
    expect(error(Buffer.concat([bytes("v2"), Buffer.alloc(100)]))).toBe(ErrorCode.CORRUPT_MESSAGE);
  });

  test("size, number of batches and base offset are checked", () => {
    expect(error(bytes("v2"), { maxMessageBytes: 108 })).toBe(ErrorCode.MESSAGE_TOO_LARGE);
    expect(error(bytes("v2"), { maxMessageBytes: 109 })).toBe("batch");
    expect(error(Buffer.concat([bytes("v2"), bytes("v2")]))).toBe(ErrorCode.INVALID_RECORD);
    expect(error(bytes("v2gzip"))).toBe(ErrorCode.INVALID_RECORD);
    const placed = bytes("v2gzip");
    setBatchPlace(placed, 0, 0, -1);
    expect(validate(placed)).toEqual({ kind: "batch", size: placed.length, recordCount: 3, maxTimestamp: 1_600_000_000_123 });
  });

  test("counts, offset deltas and the records' own structure must agree", () => {
    expect(error(changed((batch) => batch.writeInt32BE(4, 57)))).toBe(ErrorCode.INVALID_RECORD);
    expect(error(changed((batch) => batch.writeInt32BE(-1, 57)))).toBe(ErrorCode.INVALID_RECORD);
    expect(error(changed((batch) => batch.writeInt32BE(3, 23)))).toBe(ErrorCode.INVALID_RECORD);
    expect(
      error(
        changed((batch) => {
          batch.writeInt32BE(2, 57);
          batch.writeInt32BE(1, 23);
        }),
      ),
    ).toBe(ErrorCode.INVALID_RECORD);
    expect(error(changed((batch) => batch.writeUInt8(2, 64)))).toBe(ErrorCode.INVALID_RECORD);
    expect(error(changed((batch) => batch.writeUInt8(0x30, 61)))).toBe(ErrorCode.INVALID_RECORD);
    expect(error(changed((batch) => batch.writeUInt8(7, 22)))).toBe(ErrorCode.INVALID_RECORD);
  });

  test("clients may not write control batches, nor number no sequence; coordinators may", () => {
    const marker = buildEndTxnMarker(1, 0, { committed: true, coordinatorEpoch: 0, timestamp: now });
    expect(error(marker)).toBe(ErrorCode.INVALID_RECORD);
    expect(error(marker, { origin: "coordinator" })).toBe("batch");
    const unnumbered = buildBatch(three, { producerId: 1, producerEpoch: 0 });
    expect(error(unnumbered)).toBe(ErrorCode.INVALID_RECORD);
    expect(error(unnumbered, { origin: "coordinator" })).toBe("batch");
  });

  test("a compacted topic names the records without a key", () => {
    expect(validate(bytes("v2"), { compacted: true })).toMatchObject({ error: ErrorCode.INVALID_RECORD, recordErrors: [{ batchIndex: 1 }] });
  });

  test("timestamps too far from now are named, -1 is allowed, and a topic with LogAppendTime takes any", () => {
    expect(validate(bytes("v2"), { timestampDifferenceMaxMs: 900 })).toMatchObject({
      error: ErrorCode.INVALID_TIMESTAMP,
      recordErrors: [{ batchIndex: 0 }, { batchIndex: 2 }],
    });
    expect(error(bytes("v2"), { timestampDifferenceMaxMs: 900, timestampType: "LogAppendTime" })).toBe("batch");
    expect(error(buildBatch([{ key: null, value: null, timestamp: -1 }]), { timestampDifferenceMaxMs: 0 })).toBe("batch");
    const placed = bytes("v2gzip");
    setBatchPlace(placed, 0, 0, -1);
    expect(error(placed, { timestampDifferenceMaxMs: 900 })).toBe(ErrorCode.INVALID_TIMESTAMP);
  });

  test("producers may not claim LogAppendTime", () => {
    const claims = bytes("v2appendTime");
    setBatchPlace(claims, 0, 0, -1);
    expect(validate(claims)).toMatchObject({ error: ErrorCode.INVALID_TIMESTAMP, recordErrors: [{ batchIndex: 0 }, { batchIndex: 1 }, { batchIndex: 2 }] });
  });

  test("old formats are refused as unsupported, and damaged ones as corrupt", () => {
    expect(error(bytes("v1"))).toBe(ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT);
    expect(error(bytes("v0"))).toBe(ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT);
    const damaged = bytes("v1");
    damaged[30] = 0xff;
    expect(error(damaged)).toBe(ErrorCode.CORRUPT_MESSAGE);
  });

  test("arbitrary bytes never throw", () => {
    fc.assert(fc.property(fc.uint8Array({ maxLength: 200 }), (data) => void validate(Buffer.from(data))), { numRuns: 2000 });
  });

  test("a produce request from version 3 on holds one v2 batch, and zstd only from 7 on", () => {
    const check = (records: Buffer, version: number) => checkProduceFormat(records, version)?.error;
    expect(check(bytes("v1"), 2)).toBeUndefined();
    expect(check(bytes("v1"), 3)).toBe(ErrorCode.INVALID_RECORD);
    expect(check(bytes("v2"), 3)).toBeUndefined();
    expect(check(Buffer.concat([bytes("v2"), bytes("v2")]), 3)).toBe(ErrorCode.INVALID_RECORD);
    expect(check(bytes("v2").subarray(0, 80), 9)).toBe(ErrorCode.INVALID_RECORD);
    expect(check(Buffer.alloc(64), 9)).toBe(ErrorCode.CORRUPT_MESSAGE);
    const zstd = changed((batch) => batch.writeUInt8(4, 22));
    expect(check(zstd, 6)).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE);
    expect(check(zstd, 7)).toBeUndefined();
  });
});
