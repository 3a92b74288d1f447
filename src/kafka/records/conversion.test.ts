import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import { Codec, batchBaseOffset, batchChecksumHolds, batchCodec, batchLastOffset, batchLastOffsetDelta, batchMagic, batchMaxTimestamp, batchProducerId, batchRecordCount, batchTimestampType, setBatchPlace, setBatchTimestamp, wholeBatchSize } from "./batch.ts";
import { BatchBuilder } from "./batch-builder.ts";
import { buildBatch, type BatchOptions, type RecordToWrite } from "./build.ts";
import { compress, decompress } from "./compression.ts";
import { buildEndTxnMarker } from "./control.ts";
import { downConvert, needsDownConversion, upConvert, type ConversionLimits } from "./conversion.ts";
import { crc32, crc32c } from "./crc.ts";
import { LegacyFields, legacyMessage, type LegacyMagic, type LegacyMessage } from "./legacy.ts";
import { RecordReader } from "./record-reader.ts";
import { RecordsValidator } from "./validate.ts";

/** See record-reader.test.ts. */
const golden = JSON.parse(readFileSync(new URL("../../../test/golden/legacy-records.json", import.meta.url), "utf8")) as Record<string, string>;
const stored = (name: string): Buffer => Buffer.from(golden[name] ?? "", "base64");
const LIMITS: ConversionLimits = { bytesMax: 1_000_000, unpackedBytesMax: 10_000_000 };

/** Runs it to its end; the number of its steps besides. */
function run<T>(job: Generator<undefined, T>): { readonly result: T; readonly steps: number } {
  for (let steps = 1; ; steps++) {
    const { done, value } = job.next();
    if (done === true) return { result: value, steps };
  }
}

interface Seen {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
}

function readAll(bytes: Buffer): Seen[] {
  const reader = new RecordReader();
  const seen: Seen[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = wholeBatchSize(bytes, at, bytes.length);
    expect(size).toBeGreaterThan(0);
    expect(batchChecksumHolds(bytes, at, size)).toBe(true);
    reader.open(bytes, at, size, LIMITS.unpackedBytesMax);
    while (reader.next()) seen.push({ offset: reader.offset, timestamp: reader.timestamp, key: reader.key()?.toString() ?? null, value: reader.value()?.toString() ?? null });
    expect(reader.problem).toBeUndefined();
    at += size;
  }
  return seen;
}

function up(records: Buffer, limits: Partial<ConversionLimits> = {}): Buffer | "empty" | ErrorCode {
  const { result } = run(upConvert(records, { ...LIMITS, ...limits }));
  return result.kind === "batch" ? result.batch : result.kind === "empty" ? "empty" : result.error;
}

interface Down extends ConversionLimits {
  readonly magic: LegacyMagic;
  readonly fetchOffset: number;
}

function down(chunks: Buffer | readonly Buffer[], to: Partial<Down> = {}): Buffer | ErrorCode {
  const { result } = run(downConvert(Buffer.isBuffer(chunks) ? [chunks] : chunks, { magic: 1, fetchOffset: 0, ...LIMITS, ...to }));
  if (result.kind === "refused") return result.error;
  const bytes = Buffer.concat(result.chunks);
  expect(result.bytes).toBe(bytes.length);
  return bytes;
}

function nextOffset(chunks: readonly Buffer[], to: Partial<Down> = {}): number {
  const { result } = run(downConvert(chunks, { magic: 1, fetchOffset: 0, ...LIMITS, ...to }));
  return result.kind === "messages" ? result.nextOffset : -1;
}

const offsets = (bytes: Buffer | ErrorCode): number[] | ErrorCode => (Buffer.isBuffer(bytes) ? readAll(bytes).map(({ offset }) => offset) : bytes);

function message(magic: LegacyMagic, fields: Partial<LegacyMessage> = {}): Buffer {
  return legacyMessage({ magic, offset: 0, codec: Codec.none, timestamp: 1000, appendTime: false, key: null, value: Buffer.from("v"), ...fields });
}

function wrapper(magic: LegacyMagic, inner: Buffer, fields: Partial<LegacyMessage> = {}): Buffer {
  return message(magic, { codec: Codec.gzip, value: compress(Codec.gzip, inner, magic), ...fields });
}

/** With the checksum made good. */
function sealed(bytes: Buffer): Buffer {
  bytes.writeUInt32BE(crc32(bytes, 16, bytes.length), 12);
  return bytes;
}

describe("what old producers send", () => {
  for (const name of Object.keys(golden).filter((one) => !/^v2|down|append time/.test(one))) {
    test(`${name} becomes one batch of the same records, numbered from 0, with the same codec, which the validator takes`, () => {
      const batch = up(stored(name));
      if (!Buffer.isBuffer(batch)) throw new Error(`refused: ${batch}`);
      const before = readAll(stored(name));
      expect(readAll(batch)).toEqual(before.map((record, offset) => ({ ...record, offset })));
      expect([batchMagic(batch, 0), batchCodec(batch, 0), batchBaseOffset(batch, 0), batchLastOffsetDelta(batch, 0), batchRecordCount(batch, 0), batchProducerId(batch, 0), batchTimestampType(batch, 0)]).toEqual([
        2,
        batchCodec(stored(name), 0),
        0,
        before.length - 1,
        before.length,
        -1,
        "CreateTime",
      ]);
      expect(batchMaxTimestamp(batch, 0)).toBe(Math.max(...before.map(({ timestamp }) => timestamp)));
      const rules = { origin: "client", maxMessageBytes: 1e6, compacted: false, timestampType: "CreateTime", timestampDifferenceMaxMs: 2 ** 53 } as const;
      expect(new RecordsValidator().validate(batch, rules, 0)).toMatchObject({ kind: "batch", size: batch.length, recordCount: before.length });
    }, 10_000);
  }

  test("inner offsets that mean nothing don't matter", () => {
    for (const magic of [0, 1] as const) {
      const inner = Buffer.concat([7, 7, 0].map((offset) => message(magic, { offset })));
      expect(offsets(up(wrapper(magic, inner, { offset: 1 })) as Buffer)).toEqual([0, 1, 2]);
    }
  });

  test("a cut message at the end is ignored, in a set as in a wrapper; nothing whole is nothing", () => {
    const two = Buffer.concat([message(0), message(0)]);
    for (const cut of [1, 12, 25]) expect(offsets(up(two.subarray(0, two.length - cut)) as Buffer)).toEqual([0]);
    expect(offsets(up(wrapper(0, two.subarray(0, two.length - 1))) as Buffer)).toEqual([0]);
    expect(up(Buffer.alloc(0))).toBe("empty");
    expect(up(two.subarray(0, 20))).toBe("empty");
  });

  test("a message, a batch of them, or what a wrapper unpacks to may be too large", () => {
    const large = message(1, { value: Buffer.alloc(1000) });
    expect(up(large, { bytesMax: 1100 })).toBeInstanceOf(Buffer);
    expect(up(large, { bytesMax: large.length - 1 })).toBe(ErrorCode.MESSAGE_TOO_LARGE);
    // The batch is larger than its one message.
    expect(up(large, { bytesMax: large.length })).toBe(ErrorCode.MESSAGE_TOO_LARGE);
    expect(up(Buffer.concat([large, large]), { bytesMax: 2000 })).toBe(ErrorCode.MESSAGE_TOO_LARGE);
    const packed = wrapper(1, message(1, { value: Buffer.alloc(5000) }));
    expect(up(packed, { bytesMax: 200 })).toBeInstanceOf(Buffer);
    expect(up(packed, { unpackedBytesMax: 5000 })).toBe(ErrorCode.MESSAGE_TOO_LARGE);
  });

  test("a message that can't be one, or whose checksum does not hold, is corrupt; so is one in a wrapper", () => {
    const good = message(1);
    const short = Buffer.from(good);
    short.writeInt32BE(21, 8);
    const strange = Buffer.from(good);
    strange.writeInt8(3, 16);
    const flipped = Buffer.from(good);
    flipped.writeUInt8(good.readUInt8(good.length - 1) ^ 1, good.length - 1);
    const long = Buffer.from(good);
    long.writeInt32BE(2, 30);
    sealed(long);
    for (const bad of [short, strange, flipped, long]) {
      expect(up(bad)).toBe(ErrorCode.CORRUPT_MESSAGE);
      expect(up(Buffer.concat([good, bad]))).toBe(ErrorCode.CORRUPT_MESSAGE);
      expect(up(wrapper(1, Buffer.concat([good, bad])))).toBe(ErrorCode.CORRUPT_MESSAGE);
    }
    expect(up(message(1, { codec: Codec.gzip, value: Buffer.from("no gzip") }))).toBe(ErrorCode.CORRUPT_MESSAGE);
  });

  test("mixed formats, a wrapper in company or within another, without messages, or with a codec of later formats are invalid", () => {
    const batch = buildBatch([{ key: null, value: null, timestamp: 1 }]);
    const invalid: readonly Buffer[] = [
      Buffer.concat([message(1), message(0)]),
      Buffer.concat([message(0), message(1)]),
      Buffer.concat([message(1), batch]),
      Buffer.concat([message(1), wrapper(1, message(1))]),
      Buffer.concat([wrapper(1, message(1)), message(1)]),
      wrapper(1, wrapper(1, message(1))),
      wrapper(1, message(0)),
      wrapper(0, message(1)),
      wrapper(1, batch),
      wrapper(1, Buffer.alloc(0)),
      wrapper(1, message(1).subarray(0, 20)),
      wrapper(1, message(1), { value: null }),
      ...[4, 5, 6, 7].map((codec) => message(1, { codec })),
    ];
    for (const records of invalid) expect(up(records)).toBe(ErrorCode.INVALID_RECORD);
  });

  test("log append time is the log's to set; in format 0 the bit means nothing", () => {
    expect(up(message(1, { appendTime: true }))).toBe(ErrorCode.INVALID_TIMESTAMP);
    expect(up(wrapper(1, message(1), { appendTime: true }))).toBe(ErrorCode.INVALID_TIMESTAMP);
    const odd = message(0);
    odd.writeUInt8(8, 17);
    expect(readAll(up(sealed(odd)) as Buffer)).toMatchObject([{ timestamp: -1 }]);
  });
});

/** A stored batch; records at the given deltas. */
function batchAt(baseOffset: number, deltas: readonly number[], { codec = Codec.none, last }: { readonly codec?: number; readonly last?: number } = {}): Buffer {
  const builder = new BatchBuilder(codec);
  for (const delta of deltas) builder.add(delta, 1000 + delta, Buffer.from(`k${delta}`), Buffer.from(`value ${baseOffset + delta}`));
  return builder.finish({ baseOffset, leaderEpoch: 3, ...(last === undefined ? {} : { lastOffsetDelta: last }) });
}

const CODECS = [Codec.none, Codec.gzip, Codec.snappy, Codec.lz4];

describe("what old consumers get", () => {
  for (const name of Object.keys(golden).filter((one) => one.includes("down to"))) {
    test(`${name}: as Java converts it`, () => {
      const [, from = "", magic, fetchOffset] = /^(.*) down to (\d) from (\d+)$/.exec(name) ?? [];
      const [ours, theirs] = [down(stored(from), { magic: Number(magic) as LegacyMagic, fetchOffset: Number(fetchOffset) }), stored(name)];
      if (!Buffer.isBuffer(ours)) throw new Error(`refused: ${ours}`);
      expect(readAll(ours)).toEqual(readAll(theirs));
      // Encoders differ in what they pack, not in what is packed.
      expect(unwrapped(ours)).toEqual(unwrapped(theirs));
    });
  }

  test("packed batches in log append time: wrapper and messages have the time and say so, as Java's have", () => {
    for (const codec of ["gzip", "lz4"]) {
      expect(unwrapped(down(stored(`v2 ${codec} append time`)) as Buffer)).toEqual(unwrapped(stored(`v1 ${codec} append time`)));
    }
  });

  test("records of a plain batch below the fetch offset are left out, of a packed one none is", () => {
    for (const codec of CODECS) {
      const chunks = [batchAt(10, [0, 1, 2, 3], { codec }), batchAt(14, [0, 1], { codec })];
      for (const magic of [0, 1] as const) expect(offsets(down(chunks, { magic, fetchOffset: 12 }))).toEqual(codec === Codec.none ? [12, 13, 14, 15] : [10, 11, 12, 13, 14, 15]);
    }
  });

  test("gaps of compacted batches stay", () => {
    for (const codec of CODECS) for (const magic of [0, 1] as const) expect(offsets(down(batchAt(100, [2, 5, 9], { codec, last: 12 }), { magic, fetchOffset: 100 }))).toEqual([102, 105, 109]);
  });

  test("a batch whose records behind the fetch offset were all compacted away is skipped, packed or not", () => {
    for (const codec of CODECS) {
      const compacted = batchAt(100, [0, 1], { codec, last: 9 });
      expect(offsets(down(compacted, { fetchOffset: 105 }))).toEqual([]);
      expect(nextOffset([compacted], { fetchOffset: 105 })).toBe(110);
      expect(offsets(down([compacted, batchAt(110, [0], { codec })], { fetchOffset: 105 }))).toEqual([110]);
    }
  });

  test("a wrapper of one record at offset 0 reads as that", () => {
    for (const codec of CODECS) expect(offsets(down(batchAt(0, [0], { codec })))).toEqual([0]);
  });

  test("control batches are left out: first, in the midst, alone", () => {
    const control = buildEndTxnMarker(7, 1, { committed: true, coordinatorEpoch: 3, timestamp: 5 });
    const at = (offset: number): Buffer => (setBatchPlace(control, 0, offset, 1), Buffer.from(control));
    expect(offsets(down([at(0), batchAt(1, [0]), at(2), batchAt(3, [0])]))).toEqual([1, 3]);
    expect(offsets(down([at(0)]))).toEqual([]);
    expect(nextOffset([at(0), at(1)])).toBe(2);
  });

  test("zstd ends the messages; where it comes first, it is the answer", () => {
    const zstd = batchAt(2, [0], { codec: Codec.zstd });
    expect(offsets(down([batchAt(0, [0, 1]), zstd, batchAt(3, [0])]))).toEqual([0, 1]);
    expect(offsets(down(Buffer.concat([batchAt(0, [0, 1]), zstd])))).toEqual([0, 1]);
    expect(down([zstd, batchAt(3, [0])], { fetchOffset: 2 })).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE);
    const control = buildEndTxnMarker(7, 1, { committed: true, coordinatorEpoch: 3, timestamp: 5 });
    expect(down([control, zstd])).toBe(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE);
  });

  test("what can't be read ends the messages likewise, and damage is never given a new checksum", () => {
    for (const codec of CODECS) {
      const damaged = batchAt(2, [0, 1, 2], { codec });
      damaged.writeUInt8(damaged.readUInt8(damaged.length - 2) ^ 1, damaged.length - 2);
      expect(offsets(down([batchAt(0, [0, 1]), damaged]))).toEqual([0, 1]);
      expect(down(damaged, { fetchOffset: 2 })).toBe(ErrorCode.CORRUPT_MESSAGE);
    }
    const bomb = buildBatch([{ key: null, value: Buffer.alloc(20_000), timestamp: 1 }], { codec: Codec.gzip });
    expect(down(bomb, { unpackedBytesMax: 10_000 })).toBe(ErrorCode.CORRUPT_MESSAGE);
    expect(down(Buffer.alloc(100))).toBe(ErrorCode.CORRUPT_MESSAGE);
  });

  test("messages of old formats stay as they are, but for format 1 where only 0 is known", () => {
    const [zero, one, two] = [message(0, { offset: 0 }), wrapper(1, Buffer.concat([message(1, { offset: 0 }), message(1, { offset: 1 })]), { offset: 2 }), batchAt(3, [0])];
    const both = down([zero, one, two], { magic: 1 }) as Buffer;
    expect(both.subarray(0, zero.length + one.length)).toEqual(Buffer.concat([zero, one]));
    expect(readAll(both).map(({ offset, timestamp }) => [offset, timestamp])).toEqual([[0, -1], [1, 1000], [2, 1000], [3, 1000]]);
    const old = down([zero, one, two], { magic: 0 }) as Buffer;
    expect(readAll(old).map(({ offset, timestamp }) => [offset, timestamp])).toEqual([[0, -1], [1, -1], [2, -1], [3, -1]]);
    expect(unwrapped(old).map(({ magic }) => magic)).toEqual([0, 0, 0]);
  });

  test("is needed where a batch of a later format is among what is stored, wherever it is", () => {
    const [zero, one, two] = [message(0), message(1), batchAt(3, [0])];
    expect([needsDownConversion([zero, zero], 0), needsDownConversion([zero, one], 0), needsDownConversion([zero, one], 1), needsDownConversion([Buffer.concat([one, two])], 1), needsDownConversion([], 0)]).toEqual([false, true, false, true, false]);
  });

  test("headers are left out", () => {
    const batch = buildBatch([{ key: null, value: Buffer.from("v"), timestamp: 7, headers: [{ key: "h", value: Buffer.from("x") }] }]);
    expect(down(batch)).toEqual(message(1, { timestamp: 7 }));
  });

  describe("the limit", () => {
    const plain = batchAt(0, [0, 1, 2, 3, 4]);
    const one = message(1, { timestamp: 1000, key: Buffer.from("k0"), value: Buffer.from("value 0") }).length;

    test("is passed by the message that reaches it, and by no other", () => {
      for (const [bytesMax, count] of [[0, 1], [1, 1], [one, 1], [one + 1, 2], [2 * one, 2], [4 * one + 1, 5], [1e6, 5]] as const) {
        expect(offsets(down([plain, batchAt(5, [0])], { bytesMax })), `limit ${bytesMax}`).toHaveLength(bytesMax === 1e6 ? 6 : count);
      }
    });

    test("lets a wrapper through whole, and begins none behind it", () => {
      const packed = [batchAt(0, [0, 1, 2], { codec: Codec.gzip }), batchAt(3, [0, 1], { codec: Codec.gzip })];
      expect(offsets(down(packed, { bytesMax: 1 }))).toEqual([0, 1, 2]);
      expect(offsets(down(Buffer.concat(packed), { bytesMax: 1 }))).toEqual([0, 1, 2]);
    });

    test("is not reached by what converts to nothing", () => {
      const control = buildEndTxnMarker(7, 1, { committed: true, coordinatorEpoch: 3, timestamp: 5 });
      expect(offsets(down([control, batchAt(1, [0])], { bytesMax: 0 }))).toEqual([1]);
    });
  });
});

/** Of each message or wrapper all that Java's and ours must have in common: bytes of messages, fields and unpacked bytes of wrappers. */
function unwrapped(bytes: Buffer): { magic: number; offset: number; codec: number; timestamp: number; type: string; hc: number | undefined; content: string }[] {
  const seen: ReturnType<typeof unwrapped> = [];
  const fields = new LegacyFields();
  for (let at = 0; at < bytes.length; ) {
    const size = wholeBatchSize(bytes, at, bytes.length);
    const [magic, codec] = [batchMagic(bytes, at), batchCodec(bytes, at)];
    fields.read(bytes, at, size);
    const packed = bytes.subarray(fields.valueAt, fields.valueAt + Math.max(0, fields.valueLength));
    const content = codec === Codec.none ? bytes.subarray(at, at + size) : decompress(codec, packed, { magic, bytesMax: 1e6 });
    seen.push({
      magic,
      offset: batchLastOffset(bytes, at),
      codec,
      timestamp: batchMaxTimestamp(bytes, at),
      type: batchTimestampType(bytes, at),
      // Of one descriptor, since the block sizes are the same here.
      hc: codec === Codec.lz4 ? packed[6] : undefined,
      content: typeof content === "string" ? content : content.toString("hex"),
    });
    at += size;
  }
  return seen;
}

describe("there and back", () => {
  const bytesOrNull = fc.option(fc.uint8Array({ maxLength: 40 }).map((bytes) => Buffer.from(bytes)), { nil: null });
  const records: fc.Arbitrary<RecordToWrite[]> = fc.array(fc.record({ key: bytesOrNull, value: bytesOrNull, timestamp: fc.integer({ min: -1, max: 2 ** 40 }) }), { minLength: 1, maxLength: 20 });

  test("a batch of any codec through either old format keeps keys, values, order and (in format 1) times", () => {
    fc.assert(
      fc.property(records, fc.constantFrom(...CODECS), fc.constantFrom(0 as const, 1 as const), fc.nat(2 ** 40), (written, codec, magic, baseOffset) => {
        const batch = buildBatch(written, { codec, baseOffset });
        const old = down(batch, { magic, fetchOffset: baseOffset });
        if (!Buffer.isBuffer(old)) throw new Error(`refused: ${old}`);
        expect(readAll(old).map(({ offset }) => offset)).toEqual(written.map((_, index) => baseOffset + index));
        const back = up(old);
        if (!Buffer.isBuffer(back)) throw new Error(`refused: ${back}`);
        expect(readAll(back)).toEqual(readAll(buildBatch(written)).map((record) => (magic === 0 ? { ...record, timestamp: -1 } : record)));
      }),
      { numRuns: 300 },
    );
  });
});

test("anything at all gives a value, in time and without a throw", () => {
  const names = Object.keys(golden).filter((name) => !name.includes("of 700"));
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 4 }), fc.constantFrom(0 as const, 1 as const), (name, noise, magic) => {
      const bytes = stored(name);
      for (const [at, byte] of noise) bytes[at % bytes.length] = byte;
      // The checksum made good, so that what is behind it is reached.
      const size = wholeBatchSize(bytes, 0, bytes.length);
      if (size > 0 && batchMagic(bytes, 0) < 2) sealed(bytes.subarray(0, size));
      else if (size > 0) bytes.writeUInt32BE(crc32c(bytes, 21, size), 17);
      expect(run(upConvert(bytes, LIMITS)).steps).toBeLessThan(10);
      expect(run(downConvert([bytes], { magic, fetchOffset: 20, ...LIMITS })).steps).toBeLessThan(10);
    }),
    { numRuns: 3000 },
  );
});

describe("steps", () => {
  const KIB = 1024;
  const value = Buffer.alloc(1000, 1);
  const LARGE = { bytesMax: 10_000 * KIB, unpackedBytesMax: 10_000 * KIB };

  test("up: a MiB of messages is checked and converted in pieces of 128 KiB", () => {
    const messages = Buffer.concat(Array.from({ length: 1024 }, () => message(1, { value })));
    expect(run(upConvert(messages, LARGE)).steps).toBeGreaterThanOrEqual(16);
    const packed = wrapper(1, messages);
    expect(run(upConvert(packed, LARGE)).steps).toBeGreaterThanOrEqual(8);
  });

  test("down: likewise", () => {
    for (const codec of CODECS) {
      const batch = buildBatch(Array.from({ length: 1024 }, (_, timestamp): RecordToWrite => ({ key: null, value, timestamp })), { codec } satisfies BatchOptions);
      setBatchTimestamp(batch, 0, batch.length, "LogAppendTime", 5000);
      expect(run(downConvert([batch], { magic: 1, fetchOffset: 0, ...LARGE })).steps).toBeGreaterThanOrEqual(8);
    }
  });
});
