import * as fc from "fast-check";
import { expect, test } from "vitest";
import { readInt64, writeInt64 } from "./int64.ts";

const buffer = Buffer.alloc(8);

test("every safe integer is read and written as Buffer's bigint methods do", () => {
  fc.assert(
    fc.property(fc.maxSafeInteger(), (value) => {
      writeInt64(buffer, value, 0);
      expect(buffer.readBigInt64BE(0)).toBe(BigInt(value));
      expect(readInt64(buffer, 0)).toBe(value);
    }),
  );
});

test("int64's bounds survive, and what lies beyond them becomes a bound", () => {
  for (const [value, bytes] of [
    [2 ** 63, "7fffffffffffffff"],
    [Infinity, "7fffffffffffffff"],
    [-(2 ** 63), "8000000000000000"],
    [-Infinity, "8000000000000000"],
  ] as const) {
    writeInt64(buffer, value, 0);
    expect(buffer.toString("hex")).toBe(bytes);
  }
  buffer.write("7fffffffffffffff", "hex");
  expect(readInt64(buffer, 0)).toBe(2 ** 63);
});
