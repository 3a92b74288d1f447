import { expect, test } from "vitest";
import { groupSegments, type GroupLimits, type SizedSegment } from "./segment-groups.ts";

const limits: GroupLimits = { logBytes: 100, indexBytes: 50, firstUncleanable: 1000 };

function sized(...segments: readonly (readonly [base: number, log: number, offsets?: number, times?: number])[]): SizedSegment[] {
  return segments.map(([baseOffset, sizeBytes, offsetIndexBytes = 0, timeIndexBytes = 0]) => ({ segment: { baseOffset, sizeBytes }, offsetIndexBytes, timeIndexBytes }));
}

function grouped(segments: readonly SizedSegment[], over: Partial<GroupLimits> = {}): number[][] {
  return groupSegments(segments, { ...limits, ...over }).map((group) => group.map((one) => one.segment.baseOffset));
}

test("neighbours go together up to segment.bytes, and one that is larger stands alone", () => {
  expect(grouped(sized([0, 40], [10, 60], [20, 1], [30, 200], [40, 99], [50, 1], [60, 0]))).toEqual([[0, 10], [20], [30], [40, 50, 60]]);
  expect(grouped([])).toEqual([]);
});

test("each index fits segment.index.bytes", () => {
  expect(grouped(sized([0, 1, 30, 0], [10, 1, 20, 0], [20, 1, 1, 0]))).toEqual([[0, 10], [20]]);
  expect(grouped(sized([0, 1, 0, 30], [10, 1, 0, 21], [20, 1, 0, 29]))).toEqual([[0], [10, 20]]);
});

test("no offset lies further than 2^31-1 behind the group's base: the next segment's base bounds a segment's offsets, the last one's what may be cleaned", () => {
  const far = 2 ** 31;
  expect(grouped(sized([0, 1], [10, 1], [far, 1]), { firstUncleanable: far + 1 })).toEqual([[0, 10], [far]]);
  expect(grouped(sized([0, 1], [10, 1], [far + 1, 1]), { firstUncleanable: far + 2 })).toEqual([[0], [10, far + 1]]);
  expect(grouped(sized([0, 1], [10, 1]), { firstUncleanable: far })).toEqual([[0, 10]]);
  expect(grouped(sized([0, 1], [10, 1]), { firstUncleanable: far + 1 })).toEqual([[0], [10]]);
});
