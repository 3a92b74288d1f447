import { assert } from "../../lib/assert.ts";
import { readInt64, writeInt64 } from "../../lib/int64.ts";
import { NO_TIMESTAMP } from "../records/batch.ts";
import { EntryTable } from "./entry-table.ts";
import { countWhere, fitsSegment } from "./offset-index.ts";

const ENTRY_BYTES = 12;

/**
 * `.timeindex`: sparse, from a timestamp to the last offset of the batch that held it when no earlier record of the
 * segment had a greater one. An entry: int64 timestamp, int32 offset minus base; timestamps rise strictly.
 * Source: kafka.log.TimeIndex.
 */
export class TimeIndex {
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
    const onlyZero = this.table.count > 1 && this.#timestamp(1) === 0 && this.#timestamp(0) === 0;
    const entries = onlyZero ? 0 : countWhere(this.table.count, (slot) => slot === 0 || this.#timestamp(slot) > 0);
    this.untrimmed = entries * ENTRY_BYTES !== loaded.length;
    this.table.truncate(entries);
  }

  /** One place is kept for the entry that closes the segment. */
  get isFull(): boolean {
    return this.table.sizeBytes >= this.maxBytes - ENTRY_BYTES;
  }

  get lastTimestamp(): number {
    return this.table.count === 0 ? NO_TIMESTAMP : this.#timestamp(this.table.count - 1);
  }

  /** The base offset where there are no entries. */
  get lastOffset(): number {
    return this.table.count === 0 ? this.baseOffset : this.#offset(this.table.count - 1);
  }

  /** Ignored where the timestamp is not above the last one. `closing` may take the last place. */
  append(timestamp: number, offset: number, closing = false): void {
    if (timestamp <= this.lastTimestamp) return;
    assert(closing || !this.isFull, `the time index of segment ${this.baseOffset} is full`);
    assert(fitsSegment(this.baseOffset, offset), `offset ${offset} does not fit segment ${this.baseOffset}`);
    assert(offset >= this.lastOffset, `offset ${offset} is below ${this.lastOffset} in the time index of segment ${this.baseOffset}`);
    const at = this.table.append();
    writeInt64(this.table.bytes, timestamp, at);
    this.table.bytes.writeInt32BE(offset - this.baseOffset, at + 8);
  }

  /** All records up to this offset have timestamps not above `timestamp`; the base offset where no entry tells. */
  offsetFor(timestamp: number): number {
    const count = countWhere(this.table.count, (slot) => this.#timestamp(slot) <= timestamp);
    return count === 0 ? this.baseOffset : this.#offset(count - 1);
  }

  /** Drops entries at and above `offset`. */
  truncateTo(offset: number): void {
    this.table.truncate(countWhere(this.table.count, (slot) => this.#offset(slot) < offset));
  }

  #timestamp(slot: number): number {
    return readInt64(this.table.bytes, slot * ENTRY_BYTES);
  }

  #offset(slot: number): number {
    return this.baseOffset + this.table.bytes.readInt32BE(slot * ENTRY_BYTES + 8);
  }
}
