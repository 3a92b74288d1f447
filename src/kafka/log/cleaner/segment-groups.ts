import type { Segment } from "../segment.ts";

export interface SizedSegment {
  readonly segment: Pick<Segment, "baseOffset" | "sizeBytes">;
  readonly offsetIndexBytes: number;
  readonly timeIndexBytes: number;
}

export interface GroupLimits {
  readonly logBytes: number;
  /** Of each index. */
  readonly indexBytes: number;
  /** No segment here holds a record at or above it. */
  readonly firstUncleanable: number;
}

const OFFSET_SPAN_MAX = 2 ** 31 - 1;

/**
 * Neighbours that fit one segment, each to be cleaned into one: else a log of old records would be a heap of tiny
 * files. A segment that is too large on its own is a group of its own. Source: Cleaner.groupSegmentsBySize.
 */
export function groupSegments<S extends SizedSegment>(segments: readonly S[], limits: GroupLimits): S[][] {
  const groups: S[][] = [];
  let sum = { log: 0, offsets: 0, times: 0 };
  for (const [index, one] of segments.entries()) {
    // Where the next one begins bounds this one's last offset.
    const end = segments[index + 1]?.segment.baseOffset ?? limits.firstUncleanable;
    const next = { log: sum.log + one.segment.sizeBytes, offsets: sum.offsets + one.offsetIndexBytes, times: sum.times + one.timeIndexBytes };
    const group = groups.at(-1);
    const fits =
      next.log <= limits.logBytes && next.offsets <= limits.indexBytes && next.times <= limits.indexBytes && end - 1 - (group?.[0]?.segment.baseOffset ?? 0) <= OFFSET_SPAN_MAX;
    if (group !== undefined && fits) {
      group.push(one);
      sum = next;
    } else {
      groups.push([one]);
      sum = { log: one.segment.sizeBytes, offsets: one.offsetIndexBytes, times: one.timeIndexBytes };
    }
  }
  return groups;
}
