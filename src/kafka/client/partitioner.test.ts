import { expect, test } from "vitest";
import { StickyPartition, murmur2, partitionFor } from "./partitioner.ts";

test("murmur2 hashes as Java's does, at every length of the rest", () => {
  // clients/src/test/java/org/apache/kafka/common/utils/UtilsTest.java, testMurmur2.
  const cases: readonly (readonly [string, number])[] = [
    ["21", -973932308],
    ["foobar", -790332482],
    ["a-little-bit-long-string", -985981536],
    ["a-little-bit-longer-string", -1486304829],
    ["lkjh234lh9fiuh90y23oiuhsafujhadof229phr9h19h89h8", -58897971],
    ["abc", 479470107],
  ];
  for (const [text, hash] of cases) expect([text, murmur2(Buffer.from(text))]).toEqual([text, hash]);
});

test("a key's partition is that of its hash without the sign", () => {
  expect(partitionFor(Buffer.from("21"), 7)).toBe((-973932308 & 0x7fff_ffff) % 7);
  expect(partitionFor(Buffer.alloc(0), 1)).toBe(0);
});

test("records without a key move on to another partition that has a leader, and stay where there is one only", () => {
  const sticky = new StickyPartition({ below: (bound) => bound - 1 });
  expect([sticky.moveOn([0, 1, 2], [0, 1]), sticky.moveOn([0, 1, 2], [0, 1]), sticky.moveOn([0, 1, 2], [0, 1])]).toEqual([1, 0, 1]);
  expect([sticky.moveOn([0, 1, 2], [1]), sticky.moveOn([0, 1, 2], [])]).toEqual([1, 2]);
});
