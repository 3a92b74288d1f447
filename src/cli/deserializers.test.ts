import { expect, test } from "vitest";
import { errorCode } from "../lib/error.ts";
import { deserializerNamed } from "./deserializers.ts";

function show(name: string, bytes: readonly number[] | string | Buffer): string {
  try {
    return deserializerNamed(`org.apache.kafka.common.serialization.${name}Deserializer`)?.(Buffer.from(bytes as string)).toString("latin1") ?? "unknown";
  } catch (error) {
    return errorCode(error) ?? "";
  }
}

function double(value: number): Buffer {
  const bytes = Buffer.alloc(8);
  bytes.writeDoubleBE(value);
  return bytes;
}

function float(value: number): Buffer {
  const bytes = Buffer.alloc(4);
  bytes.writeFloatBE(value);
  return bytes;
}

test("each deserializer prints what Java prints of its object", () => {
  expect(show("String", [0x61, 0xff])).toBe(Buffer.from("a\ufffd").toString("latin1"));
  expect(show("ByteArray", [0x00, 0xff])).toBe("\x00\xff");
  expect(show("Bytes", [0x00, 0x61, 0x5c, 0x7f, 0xff])).toBe("\\x00a\\x5C\\x7F\\xFF");
  expect([show("Short", [0xff, 0xfe]), show("Integer", [0, 0, 1, 0]), show("Long", [0x7f, 255, 255, 255, 255, 255, 255, 255])]).toEqual(["-2", "256", "9223372036854775807"]);
  expect(show("UUID", "1-2-3-4-ABCDEF")).toBe("00000001-0002-0003-0004-000000abcdef");
  expect([deserializerNamed("com.example.Mine"), deserializerNamed("org.apache.kafka.common.serialization.VoidDeserializer")]).toEqual([undefined, undefined]);
});

test("numbers with a point are written as Java writes them", () => {
  expect([0, -0, 1, -1.5, 0.001, 0.00099, 9_999_999, 1e7, 1.25e-10, 1e300, NaN, Infinity, -Infinity].map((value) => show("Double", double(value)))).toEqual([
    "0.0", "-0.0", "1.0", "-1.5", "0.001", "9.9E-4", "9999999.0", "1.0E7", "1.25E-10", "1.0E300", "NaN", "Infinity", "-Infinity",
  ]);
  expect([0.1, 1 / 3, 16_777_216, 3.4028235e38, 123.456].map((value) => show("Float", float(value)))).toEqual(["0.1", "0.33333334", "1.6777216E7", "3.4028235E38", "123.456"]);
});

test("bytes that are no such thing can't be printed", () => {
  expect([show("Short", [1]), show("Integer", "null"), show("Long", "null"), show("Double", []), show("UUID", "x")]).toEqual(["ERR_FORMAT", "1853189228", "ERR_FORMAT", "ERR_FORMAT", "ERR_FORMAT"]);
});
