import { assert, must } from "../../lib/assert.ts";
import { countWhere } from "./offset-index.ts";
import type { Segment } from "./segment.ts";

/** The segments of a log, by base offset, ascending; the last one is appended to. */
export class SegmentList {
  #segments: Segment[];

  constructor(segments: readonly Segment[] = []) {
    this.#segments = segments.toSorted((a, b) => a.baseOffset - b.baseOffset);
  }

  get all(): readonly Segment[] {
    return this.#segments;
  }

  get first(): Segment {
    return must(this.#segments[0], "a segment");
  }

  get active(): Segment {
    return must(this.#segments.at(-1), "an active segment");
  }

  get sizeBytes(): number {
    let bytes = 0;
    for (const segment of this.#segments) bytes += segment.sizeBytes;
    return bytes;
  }

  /** The segment with the greatest base offset not above `offset`, and those behind it; all where there is none. */
  from(offset: number): readonly Segment[] {
    return this.#segments.slice(Math.max(0, this.#countTo(offset) - 1));
  }

  floor(offset: number): Segment | undefined {
    return this.#segments[this.#countTo(offset) - 1];
  }

  /** The next segment, by base offset, whether or not `segment` is still in the list. */
  after(segment: Segment): Segment | undefined {
    return this.#segments[this.#countTo(segment.baseOffset)];
  }

  add(segment: Segment): void {
    assert(segment.baseOffset > (this.#segments.at(-1)?.baseOffset ?? -1), `segment ${segment.baseOffset} is added behind ${this.#segments.at(-1)?.baseOffset}`);
    this.#segments = [...this.#segments, segment];
  }

  remove(gone: readonly Segment[]): void {
    this.#segments = this.#segments.filter((segment) => !gone.includes(segment));
  }

  /** `by` stands in the place of neighbours, with the base offset of the first of them. */
  replace(gone: readonly Segment[], by: Segment): void {
    assert(gone[0]?.baseOffset === by.baseOffset, `segment ${by.baseOffset} takes the place of one that begins at ${gone[0]?.baseOffset}`);
    this.#segments = this.#segments.flatMap((segment) => (segment === gone[0] ? by : gone.includes(segment) ? [] : segment));
  }

  #countTo(offset: number): number {
    return countWhere(this.#segments.length, (index) => (this.#segments[index] as Segment).baseOffset <= offset);
  }
}
