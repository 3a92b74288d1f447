import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { interpretRead, interpretWrite } from "./interpret.ts";
import * as jute from "./jute.ts";
import { arbitraryStruct } from "../../test/support/arbitrary-message.ts";
import type { Fields } from "./model.ts";
import { array, bool, bytes, float64, int16, int32, int64, int64Exact, int8, list, message, records, string, struct, timestamp, uint16, uint32, uuid } from "./notation.ts";
import { Reader } from "./reader.ts";
import type { Schema } from "./schema.ts";
import { Writer } from "./writer.ts";

const everything = message("Everything", { versions: "0-4", flexible: "2+" }, {
  flag: bool("0+"),
  tiny: int8("1+"),
  small: int16("0+", { default: -1 }),
  port: uint16("0+"),
  whole: int32("0-3"),
  unsigned: uint32("0+"),
  offset: int64("0+"),
  when: timestamp("0+"),
  owner: int64Exact("0+"),
  ratio: float64("3+"),
  id: uuid("2+"),
  name: string("0+"),
  alias: string("0+", { nullable: "1+", default: "" }),
  clientId: string("0+", { nullable: "0+", flexible: "none" }),
  blob: bytes("0+", { nullable: "2+" }),
  batches: records("0+", { nullable: "0+" }),
  numbers: list("0+", int32, { nullable: "1+" }),
  names: list("1+", string),
  nested: struct("0+", "Nested", { a: int32("0+"), deep: array("2+", "Deep", { b: string("2+"), c: int8("3+", { tag: 0 }) }) }),
  topics: array("0+", "Topic", { topic: string("0+"), partitions: array("0+", "Partition", { index: int32("0+"), epoch: int32("4+", { default: -1 }) }) }, { nullable: "1+" }),
  taggedNumber: int64("2+", { tag: 1, default: -1 }),
  taggedStruct: struct("3+", "Tagged", { x: int32("3+", { default: -1 }), y: string("3+") }, { tag: 0 }),
  taggedList: array("2+", "TaggedElement", { z: string("2+", { nullable: "2+" }) }, { tag: 2, nullable: "2+" }),
});

const juteEverything = jute.juteRecord("JuteEverything", {
  flag: jute.boolean(),
  code: jute.int(),
  zxid: jute.long(),
  session: jute.longExact(),
  mtime: jute.time(),
  path: jute.ustring({ nullable: true }),
  data: jute.buffer({ nullable: true }),
  acl: jute.vector(jute.juteRecord("Entry", { perms: jute.int(), id: jute.ustring() }), { nullable: true }),
  children: jute.vectorOf(jute.ustring),
});

function compiledBytes(schema: Schema<Fields>, version: number, value: unknown): Buffer {
  return schema.encode(value as never, version);
}

function interpretedBytes(schema: Schema<Fields>, version: number, value: unknown): Buffer {
  const writer = new Writer(8);
  interpretWrite(schema, version, writer, value);
  return writer.finishBuffer();
}

function readBoth(schema: Schema<Fields>, version: number, input: Buffer) {
  const [one, other] = [new Reader(input), new Reader(input)];
  const values = [schema.read(one, version), interpretRead(schema, version, other)] as const;
  return { compiled: { bad: one.bad, at: one.position, value: values[0] }, interpreted: { bad: other.bad, at: other.position, value: values[1] } };
}

const cases: readonly [string, Schema<Fields>, number][] = [
  ...[0, 1, 2, 3, 4].map((version): [string, Schema<Fields>, number] => [`Kafka version ${version}`, everything, version]),
  ["Jute", juteEverything, 0],
];

describe.each(cases)("%s", (_name, schema, version) => {
  test("the compiled codec writes what the interpreter writes, and both read it back", () => {
    fc.assert(
      fc.property(arbitraryStruct(schema.fields, version), (value) => {
        const encoded = compiledBytes(schema, version, value);
        expect(encoded.equals(interpretedBytes(schema, version, value))).toBe(true);
        const { compiled, interpreted } = readBoth(schema, version, encoded);
        expect(compiled).toEqual(interpreted);
        expect(compiled).toMatchObject({ bad: false, at: encoded.length });
        expect(compiledBytes(schema, version, compiled.value).equals(encoded)).toBe(true);
      }),
      { numRuns: 200 },
    );
  });

  test("hostile bytes end as `bad` or as a value, alike in both, and never read past the end", () => {
    const damaged = fc.oneof(
      fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value)),
      fc.tuple(arbitraryStruct(schema.fields, version), fc.nat(), fc.nat(255), fc.nat()).map(([value, at, byte, cut]) => {
        const encoded = Buffer.from(compiledBytes(schema, version, value));
        encoded[at % encoded.length] = byte;
        return encoded.subarray(0, cut % (encoded.length + 1));
      }),
    );
    fc.assert(
      fc.property(damaged, (input) => {
        const { compiled, interpreted } = readBoth(schema, version, input);
        expect(compiled.bad).toBe(interpreted.bad);
        if (!compiled.bad) expect(compiled).toEqual(interpreted);
        expect(compiled.at).toBeLessThanOrEqual(input.length);
      }),
      { numRuns: 300 },
    );
  });
});

test("a field with a default may be left out when writing", () => {
  const schema = message("Small", { versions: "0-1", flexible: "1+" }, { a: int32("0+"), b: int32("0+", { default: -1 }), c: string("1+", { tag: 0 }) });
  expect(schema.encode({ a: 1 }, 0)).toEqual(Buffer.from("00000001ffffffff", "hex"));
  expect(schema.encode({ a: 1 }, 1)).toEqual(Buffer.from("00000001ffffffff00", "hex"));
  expect(schema.decode(schema.encode({ a: 1, b: 2, c: "x" }, 1), 1)).toEqual({ a: 1, b: 2, c: "x" });
});

test("an unknown tagged field is skipped, a known one of the wrong size is bad", () => {
  const schema = message("Tags", { versions: "0", flexible: "0+" }, { a: int32("0+", { tag: 3, default: 0 }) });
  expect(schema.decode(Buffer.from("0107020102", "hex"))).toEqual({ a: 0 });
  expect(schema.decode(Buffer.from("01030400000009", "hex"))).toEqual({ a: 9 });
  expect(schema.decode(Buffer.from("0103050000000900", "hex"))).toBeUndefined();
});

test("an int64 beyond the safe integers is bad, an exact one is kept", () => {
  const schema = message("Big", { versions: "0", flexible: "none" }, { a: int64("0+") });
  expect(schema.decode(Buffer.from("0020000000000000", "hex"))).toBeUndefined();
  expect(schema.decode(Buffer.from("ffffffffffffffff", "hex"))).toEqual({ a: -1 });
  const exact = message("Exact", { versions: "0", flexible: "none" }, { a: int64Exact("0+") });
  expect(exact.decode(Buffer.from("8000000000000000", "hex"))).toEqual({ a: -(2n ** 63n) });
});

test("a text that an old version's length can't tell is refused, not cut", () => {
  const schema = message("Text", { versions: "0-1", flexible: "1+" }, { a: string("0+") });
  const longest = "x".repeat(32_767);
  expect(schema.decode(schema.encode({ a: longest }, 0), 0)).toEqual({ a: longest });
  expect(() => schema.encode({ a: `${longest}x` }, 0)).toThrow("a text of 32768 bytes");
  expect(schema.decode(schema.encode({ a: `${longest}x` }, 1), 1)).toEqual({ a: `${longest}x` });
});

test("a long byte string is handed over uncopied", () => {
  const schema = message("Long", { versions: "0", flexible: "none" }, { a: records("0+"), b: int32("0+") });
  const batch = Buffer.alloc(5000, 7);
  const writer = new Writer();
  schema.write(writer, { a: [batch], b: 1 });
  expect(writer.length).toBe(5008);
  const chunks = writer.finish();
  expect(chunks[1]).toBe(batch);
  expect(schema.decode(Buffer.concat(chunks))).toEqual({ a: [batch], b: 1 });
});

test("Jute writes a surrogate pair as two groups of three bytes, as BinaryOutputArchive does", () => {
  const schema = jute.juteRecord("Text", { text: jute.ustring() });
  expect(schema.encode({ text: "é😀" })).toEqual(Buffer.from("00000008c3a9eda0bdedb880", "hex"));
});

test("Java's greatest and least time go back as they came, though a number rounds the first", () => {
  const time = message("Time", { versions: "0", flexible: "none" }, { when: timestamp("0+") });
  for (const hex of ["7fffffffffffffff", "8000000000000000", "ffffffffffffffff"]) {
    const decoded = time.decode(Buffer.from(hex, "hex"));
    expect(decoded === undefined ? undefined : time.encode(decoded).toString("hex")).toBe(hex);
  }
});
