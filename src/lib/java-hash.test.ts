import { expect, test } from "vitest";
import { javaAbs, javaHash } from "./java-hash.ts";

test("strings hash as in Java, with overflow and over surrogate pairs", () => {
  expect(["", "a", "hello", "__consumer_offsets", "polygenelubricants", "\u{1f600}"].map(javaHash)).toEqual([0, 97, 99_162_322, -970_371_369, -0x8000_0000, 1_772_899]);
});

test("the least integer counts as 0", () => {
  expect([5, -5, 0x7fff_ffff, -0x8000_0000].map(javaAbs)).toEqual([5, 5, 0x7fff_ffff, 0]);
});
