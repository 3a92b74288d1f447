import { readFileSync } from "node:fs";
import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Codec, batchChecksumHolds, setBatchPlace, wholeBatchSize } from "./batch.ts";
import { buildBatch } from "./build.ts";
import { compress } from "./compression.ts";
import { legacyMessage, type LegacyMagic, type LegacyMessage } from "./legacy.ts";
import { RecordReader } from "./record-reader.ts";

/**
 * Written by kafka-clients 2.7.1 (MemoryRecords.builder at offset 20, 700 records at offset 0; MemoryRecords.downConvert),
 * by kafka-python 2.0.2 (LegacyRecordBatchBuilder) and by librdkafka 2.0.2 (what kcat sent to a broker that said it was
 * 0.8.2 or 0.10.0). In base64.
 */
const golden = JSON.parse(readFileSync(new URL("../../../test/golden/legacy-records.json", import.meta.url), "utf8")) as Record<string, string>;

interface Seen {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** Every record of all batches, or the problem that ended it. */
function readAll(bytes: Buffer, unpackedBytesMax = 1_000_000): (Seen | { readonly problem: string })[] {
  const reader = new RecordReader();
  const seen: (Seen | { readonly problem: string })[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = wholeBatchSize(bytes, at, bytes.length);
    if (size <= 0) return [...seen, { problem: `a batch of ${size} bytes` }];
    reader.open(bytes, at, size, unpackedBytesMax);
    while (reader.next()) {
      seen.push({ offset: reader.offset, timestamp: reader.timestamp, key: reader.key()?.toString() ?? null, value: reader.value()?.toString() ?? null });
    }
    if (reader.problem !== undefined) seen.push({ problem: reader.problem.kind });
    at += size;
  }
  return seen;
}

const four: readonly Seen[] = [
  { offset: 20, timestamp: 1_600_000_000_000, key: "key", value: "value" },
  { offset: 21, timestamp: 1_600_000_000_123, key: null, value: "second" },
  { offset: 22, timestamp: 1_600_000_000_050, key: "gone", value: null },
  { offset: 23, timestamp: 1_600_000_000_051, key: "", value: "" },
];

/** What the records of `name` should be. */
function expected(name: string): Seen[] {
  const magic = Number(/v(\d)/.exec(name)?.[1]);
  const down = /down to (\d) from (\d+)/.exec(name);
  const format = down === null ? magic : Number(down[1]);
  if (name.startsWith("librdkafka")) {
    return Array.from({ length: 40 }, (_, i) => ({ offset: name.startsWith("librdkafka v1 ") ? i : 0, timestamp: -2, key: `k${i}`, value: `value number ${i} of a log that compresses well` }));
  }
  const records = name.includes("of 700")
    ? Array.from({ length: 700 }, (_, i) => ({ offset: i, timestamp: 1_600_000_000_000 + i, key: `k${i}`, value: `value number ${i} of a log that compresses well` }))
    : four.map((record) => ({ ...record, offset: name.startsWith("kafka-python") ? record.offset - 20 : record.offset }));
  return records
    .filter(({ offset }) => down === null || /v2 none/.exec(name) === null || offset >= Number(down[2]))
    .map((record) => ({ ...record, timestamp: format === 0 ? -1 : name.includes("append time") ? 1_700_000_000_000 : record.timestamp }));
}

describe("what others wrote", () => {
  for (const [name, text] of Object.entries(golden)) {
    test(`${name} is read`, () => {
      const bytes = Buffer.from(text, "base64");
      for (let at = 0; at < bytes.length; ) {
        const size = wholeBatchSize(bytes, at, bytes.length);
        expect(batchChecksumHolds(bytes, at, size)).toBe(true);
        at += size;
      }
      // librdkafka gives its messages the time of the run, and in format 0 offsets that mean nothing.
      if (name.startsWith("librdkafka")) expect(readAll(bytes)).toMatchObject(expected(name).map(({ key, value }) => ({ key, value })));
      else expect(readAll(bytes)).toEqual(expected(name));
    });
  }

  test("plain messages are written byte for byte as Java writes them", () => {
    for (const magic of [0, 1] as const) {
      for (const appendTime of magic === 0 ? [false] : [false, true]) {
        const written = four.map(({ offset, timestamp, key, value }) =>
          message(magic, { offset, timestamp: appendTime ? 1_700_000_000_000 : timestamp, appendTime, key: key === null ? null : Buffer.from(key), value: value === null ? null : Buffer.from(value) }),
        );
        expect(Buffer.concat(written).toString("base64")).toBe(golden[`v${magic} none${appendTime ? " append time" : ""}`]);
      }
    }
  });
});

function message(magic: LegacyMagic, fields: Partial<LegacyMessage> = {}): Buffer {
  return legacyMessage({ magic, offset: 0, codec: Codec.none, timestamp: 1000, appendTime: false, key: null, value: Buffer.from("v"), ...fields });
}

/** A wrapper of `inner` at `offset`. */
function wrapper(magic: LegacyMagic, offset: number, inner: Buffer, fields: Partial<LegacyMessage> = {}): Buffer {
  return message(magic, { offset, codec: Codec.gzip, value: compress(Codec.gzip, inner, magic), ...fields });
}

const inner = (magic: LegacyMagic, ...offsets: readonly number[]): Buffer => Buffer.concat(offsets.map((offset) => message(magic, { offset, timestamp: 1000 + offset })));
const offsets = (bytes: Buffer): unknown[] => readAll(bytes).map((seen) => ("problem" in seen ? seen.problem : seen.offset));

describe("a wrapper", () => {
  test("of format 1 has the offset of its last message, from which the others count, gaps and all", () => {
    expect(offsets(wrapper(1, 107, inner(1, 0, 3, 7)))).toEqual([100, 103, 107]);
    expect(offsets(wrapper(1, 107, inner(1, 3, 7)))).toEqual([103, 107]);
  });

  test("of format 1 at offset 0 holds messages that count from 0", () => {
    expect(offsets(wrapper(1, 0, inner(1, 0, 1, 2)))).toEqual([0, 1, 2]);
  });

  test("of format 1 whose offset lies below that of its last message is corrupt", () => {
    expect(offsets(wrapper(1, 1, inner(1, 0, 1, 2)))).toEqual(["corrupt"]);
  });

  test("of format 0 holds true offsets, whatever its own", () => {
    expect(offsets(wrapper(0, 7, inner(0, 100, 101)))).toEqual([100, 101]);
  });

  test("in log append time gives its time to every message of format 1", () => {
    const times = readAll(wrapper(1, 2, Buffer.concat([inner(1, 0, 1), inner(0, 2)]), { appendTime: true, timestamp: 5555 }));
    expect(times.map((seen) => "timestamp" in seen && seen.timestamp)).toEqual([5555, 5555, -1]);
    expect(readAll(wrapper(1, 1, inner(1, 0, 1), { timestamp: 5555 })).map((seen) => "timestamp" in seen && seen.timestamp)).toEqual([1000, 1001]);
  });

  test("may hold messages of the other format, as some logs do", () => {
    expect(offsets(wrapper(1, 11, Buffer.concat([inner(0, 0), inner(1, 1)])))).toEqual([10, 11]);
  });

  test("ends with the last whole message", () => {
    const whole = inner(1, 0, 1, 2);
    expect(offsets(wrapper(1, 11, whole.subarray(0, whole.length - 1)))).toEqual([10, 11]);
    expect(offsets(wrapper(1, 11, Buffer.concat([inner(1, 0, 1), Buffer.alloc(11)])))).toEqual([10, 11]);
  });

  test("without a value, without messages, with a wrapper inside, or packed with zstd is corrupt", () => {
    expect(offsets(wrapper(1, 5, inner(1, 0), { value: null }))).toEqual(["corrupt"]);
    expect(offsets(wrapper(1, 5, Buffer.alloc(0)))).toEqual(["corrupt"]);
    expect(offsets(wrapper(1, 5, inner(1, 0).subarray(0, 20)))).toEqual(["corrupt"]);
    expect(offsets(wrapper(1, 5, Buffer.concat([inner(1, 0), wrapper(1, 1, inner(1, 0))])))).toEqual([4, "corrupt"]);
    expect(offsets(message(1, { codec: Codec.zstd, value: compress(Codec.zstd, inner(1, 0), 1) }))).toEqual(["corrupt"]);
  });

  test("that holds a v2 batch, or what no message begins with, is corrupt there", () => {
    const batch = buildBatch([{ key: null, value: Buffer.from("v"), timestamp: 1 }], { baseOffset: 1 });
    expect(offsets(wrapper(1, 5, Buffer.concat([batch, inner(1, 5)])))).toEqual(["corrupt"]);
    expect(offsets(wrapper(0, 5, Buffer.concat([inner(0, 4), Buffer.alloc(30)])))).toEqual([4, "corrupt"]);
  });

  test("larger than the bound is refused, not unpacked", () => {
    const large = wrapper(1, 5, message(1, { value: Buffer.alloc(10_000) }));
    expect(readAll(large, 9_999)).toEqual([{ problem: "too large" }]);
    expect(readAll(large, 11_000)).toHaveLength(1);
  });
});

test("a message whose key or value does not fit it is corrupt", () => {
  for (const [magic, keyAt] of [[0, 18], [1, 26]] as const) {
    for (const [at, length] of [[keyAt, 3], [keyAt, 0x7fff_ffff], [keyAt + 4, 2], [keyAt + 4, 0x7fff_ffff]] as const) {
      const bytes = message(magic, { key: null });
      bytes.writeInt32BE(length, at);
      expect(offsets(bytes), `${length} at ${at}`).toEqual(["corrupt"]);
    }
  }
});

describe("a v2 batch", () => {
  const golden700 = (codec: string): Buffer => Buffer.from(golden[`v2 ${codec} of 700`] ?? "", "base64");

  test("packed with each codec is refused beyond the bound, and read within it", () => {
    for (const codec of ["gzip", "snappy", "lz4", "zstd"]) {
      expect(readAll(golden700(codec), 20_000), `of ${codec}`).toEqual([{ problem: "too large" }]);
      expect(readAll(golden700(codec), 60_000), `of ${codec}`).toHaveLength(700);
    }
  });

  test("with a codec that there isn't is corrupt", () => {
    const bytes = golden700("gzip");
    bytes.writeUInt16BE(5, 21);
    expect(readAll(bytes)).toEqual([{ problem: "corrupt" }]);
  });

  test("that compaction emptied holds nothing, packed or not", () => {
    for (const codec of [Codec.none, Codec.gzip]) {
      const batch = buildBatch([{ key: null, value: null, timestamp: 1 }]).subarray(0, 61);
      batch.writeInt32BE(61 - 12, 8);
      batch.writeUInt16BE(codec, 21);
      batch.writeInt32BE(0, 57);
      expect(readAll(Buffer.from(batch))).toEqual([]);
    }
  });

  test("tells where each record lies: together they are its section", () => {
    const reader = new RecordReader();
    for (const name of ["v2 none", "v2 zstd", "v1 none", "v1 snappy"]) {
      const bytes = Buffer.from(golden[name] ?? "", "base64");
      const size = wholeBatchSize(bytes, 0, bytes.length);
      reader.open(bytes, 0, size, 10_000);
      let end: number | undefined;
      while (reader.next()) {
        if (end !== undefined) expect(reader.recordAt, `of ${name}`).toBe(end);
        end = reader.recordEnd;
      }
      expect(end, `of ${name}`).toBe(reader.buffer === bytes ? size : reader.buffer.length);
    }
  });
});

test("one reader opened again and again keeps nothing of what it read before", () => {
  const reader = new RecordReader();
  const broken = wrapper(1, 5, Buffer.alloc(0));
  reader.open(broken, 0, broken.length, 1000);
  expect(reader.next()).toBe(false);
  const late = wrapper(1, 105, inner(1, 5), { appendTime: true });
  reader.open(late, 0, late.length, 1000);
  expect([reader.next(), reader.offset, reader.timestamp]).toEqual([true, 105, 1000]);
  const plain = message(1, { offset: 7, timestamp: 3 });
  reader.open(plain, 0, plain.length, 1000);
  expect([reader.next(), reader.offset, reader.timestamp, reader.next(), reader.problem]).toEqual([true, 7, 3, false, undefined]);
  const batch = buildBatch([{ key: null, value: null, timestamp: 9 }]);
  setBatchPlace(batch, 0, 40, 0);
  reader.open(batch, 0, batch.length, 1000);
  expect([reader.next(), reader.offset, reader.timestamp, reader.next(), reader.problem]).toEqual([true, 40, 9, false, undefined]);
});

test("anything at all gives records or a problem, in time and without a throw", () => {
  const names = Object.keys(golden).filter((name) => !name.includes("of 700"));
  fc.assert(
    fc.property(fc.constantFrom(...names), fc.array(fc.tuple(fc.nat(), fc.nat(255)), { maxLength: 6 }), fc.boolean(), (name, noise, sealed) => {
      const bytes = Buffer.from(golden[name] ?? "", "base64");
      for (const [at, byte] of noise) bytes[at % bytes.length] = byte;
      // Sealed: the outside is sound, only what is in it isn't.
      if (sealed) Buffer.from(golden[name] ?? "", "base64").copy(bytes, 0, 0, 18);
      expect(readAll(bytes).length).toBeLessThan(1000);
    }),
    { numRuns: 2000 },
  );
});
