import { assert } from "../../lib/assert.ts";
import { EntryTable } from "./entry-table.ts";

const ENTRY_BYTES = 8;

/** Offsets in an index count from the segment's base and must fit an int32. */
export function fitsSegment(baseOffset: number, offset: number): boolean {
  return offset >= baseOffset && offset - baseOffset <= 0x7fff_ffff;
}

/**
 * `.index`: sparse, from the last offset of a batch to the position where that batch begins. An entry: int32 offset
 * minus base, int32 position; offsets and positions rise strictly, and no entry has position 0.
 * Source: kafka.log.OffsetIndex.
 */
export class OffsetIndex {
  readonly baseOffset: number;
  readonly maxBytes: number;
  readonly table: EntryTable;
  /** What was loaded had more than entries: the file was not completed. */
  readonly untrimmed: boolean;

  /** `loaded` may end in the zeros of a file that was not trimmed. */
  constructor(baseOffset: number, maxBytes: number, loaded: Buffer) {
    this.baseOffset = baseOffset;
    this.maxBytes = Math.floor(maxBytes / ENTRY_BYTES) * ENTRY_BYTES;
    this.table = new EntryTable(ENTRY_BYTES, loaded);
    const entries = this.#slotsWhere((slot) => this.#position(slot) > 0);
    this.untrimmed = entries * ENTRY_BYTES !== loaded.length;
    this.table.truncate(entries);
  }

  get isFull(): boolean {
    return this.table.sizeBytes >= this.maxBytes;
  }

  /** The base offset where there are no entries. */
  get lastOffset(): number {
    return this.table.count === 0 ? this.baseOffset : this.#offset(this.table.count - 1);
  }

  append(offset: number, position: number): void {
    assert(!this.isFull, `the offset index of segment ${this.baseOffset} is full`);
    assert(fitsSegment(this.baseOffset, offset), `offset ${offset} does not fit segment ${this.baseOffset}`);
    assert(this.table.count === 0 || offset > this.lastOffset, `offset ${offset} is not above ${this.lastOffset} in the index of segment ${this.baseOffset}`);
    assert(position > 0, "an entry of an offset index must not point to position 0");
    const at = this.table.append();
    this.table.bytes.writeInt32BE(offset - this.baseOffset, at);
    this.table.bytes.writeInt32BE(position, at + 4);
  }

  /** Where to begin looking for `offset`: the batch there begins at or before the one that holds it. */
  positionFor(offset: number): number {
    const count = this.#slotsWhere((slot) => this.#offset(slot) <= offset);
    return count === 0 ? 0 : this.#position(count - 1);
  }

  /** Drops entries at and above `offset`. */
  truncateTo(offset: number): void {
    this.table.truncate(this.#slotsWhere((slot) => this.#offset(slot) < offset));
  }

  #offset(slot: number): number {
    return this.baseOffset + this.table.bytes.readInt32BE(slot * ENTRY_BYTES);
  }

  #position(slot: number): number {
    return this.table.bytes.readInt32BE(slot * ENTRY_BYTES + 4);
  }

  #slotsWhere(holds: (slot: number) => boolean): number {
    return countWhere(this.table.count, holds);
  }
}

/** How many of the slots 0, 1, … come before the first for which `holds` is false; it must not become true again. */
export function countWhere(count: number, holds: (slot: number) => boolean): number {
  let low = 0;
  let high = count;
  while (low < high) {
    const middle = (low + high) >>> 1;
    if (holds(middle)) low = middle + 1;
    else high = middle;
  }
  return low;
}
