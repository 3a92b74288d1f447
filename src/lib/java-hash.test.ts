import { expect, test } from "vitest";
import { javaAbs, javaHash, javaHashMapOrder } from "./java-hash.ts";

test("strings hash as in Java, with overflow and over surrogate pairs", () => {
  expect(["", "a", "hello", "__consumer_offsets", "polygenelubricants", "\u{1f600}"].map(javaHash)).toEqual([0, 97, 99_162_322, -970_371_369, -0x8000_0000, 1_772_899]);
});

test("the least integer counts as 0", () => {
  expect([5, -5, 0x7fff_ffff, -0x8000_0000].map(javaAbs)).toEqual([5, 5, 0x7fff_ffff, 0]);
});

test("keys come in the order of a java.util.HashMap", () => {
  // From Java: the settings of a topic as kafka-topics.sh --describe prints them.
  const settings = ["compression.type", "leader.replication.throttled.replicas", "min.insync.replicas", "retention.ms", "segment.bytes", "cleanup.policy"];
  expect(javaHashMapOrder(settings)).toEqual(["compression.type", "cleanup.policy", "leader.replication.throttled.replicas", "min.insync.replicas", "retention.ms", "segment.bytes"]);
  // By hand: one letter hashes to its code. 12 keys fit into 16 buckets, the thirteenth doubles them.
  const letters = (count: number): string[] => Array.from({ length: count }, (_, index) => String.fromCharCode(0x6f + index));
  expect(javaHashMapOrder(letters(12))[0]).toBe("p");
  expect(javaHashMapOrder(letters(13))[0]).toBe("o");
  expect(javaHashMapOrder(["b", "R", "a"], 3)).toEqual(["a", "b", "R"]);
});
