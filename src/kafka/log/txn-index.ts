import { assert } from "../../lib/assert.ts";
import { readInt64, writeInt64 } from "../../lib/int64.ts";
import { EntryTable } from "./entry-table.ts";

const ENTRY_BYTES = 34;
const VERSION = 0;

export interface AbortedTxn {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the abort marker. */
  readonly lastOffset: number;
  /** Exclusive: everything below was decided once the marker was written. */
  readonly lastStableOffset: number;
}

/**
 * `.txnindex`: the aborted transactions whose markers lie in the segment, by marker. An entry: int16 version 0, int64
 * producer id, int64 first offset, int64 last offset, int64 last stable offset. Source: kafka.log.TransactionIndex.
 */
export class TxnIndex {
  readonly table: EntryTable;

  constructor(loaded: Buffer) {
    this.table = new EntryTable(ENTRY_BYTES, loaded);
  }

  /** Why what was loaded cannot belong to the segment; undefined where it can. */
  problem(baseOffset: number): string | undefined {
    for (let slot = 0; slot < this.table.count; slot++) {
      if (this.table.bytes.readInt16BE(slot * ENTRY_BYTES) !== VERSION) return "an entry has a version other than 0";
      if (this.#lastOffset(slot) < baseOffset) return `an aborted transaction ends at ${this.#lastOffset(slot)}, before the segment`;
    }
    return undefined;
  }

  append(txn: AbortedTxn): void {
    assert(this.table.count === 0 || txn.lastOffset > this.#lastOffset(this.table.count - 1), "aborted transactions must be added in the order of their markers");
    const at = this.table.append();
    const { bytes } = this.table;
    bytes.writeInt16BE(VERSION, at);
    writeInt64(bytes, txn.producerId, at + 2);
    writeInt64(bytes, txn.firstOffset, at + 10);
    writeInt64(bytes, txn.lastOffset, at + 18);
    writeInt64(bytes, txn.lastStableOffset, at + 26);
  }

  /**
   * Adds to `found` what overlaps [fetchOffset, upperBound). True: later segments have nothing to add, because all
   * below the bound was decided here.
   */
  collect(fetchOffset: number, upperBound: number, found: AbortedTxn[]): boolean {
    for (let slot = 0; slot < this.table.count; slot++) {
      const txn = this.entry(slot);
      if (txn.lastOffset >= fetchOffset && txn.firstOffset < upperBound) found.push(txn);
      if (txn.lastStableOffset >= upperBound) return true;
    }
    return false;
  }

  /** Drops transactions whose markers lie at or above `offset`. */
  truncateTo(offset: number): void {
    let count = this.table.count;
    while (count > 0 && this.#lastOffset(count - 1) >= offset) count--;
    this.table.truncate(count);
  }

  entry(slot: number): AbortedTxn {
    const at = slot * ENTRY_BYTES;
    const { bytes } = this.table;
    return {
      producerId: readInt64(bytes, at + 2),
      firstOffset: readInt64(bytes, at + 10),
      lastOffset: this.#lastOffset(slot),
      lastStableOffset: readInt64(bytes, at + 26),
    };
  }

  #lastOffset(slot: number): number {
    return readInt64(this.table.bytes, slot * ENTRY_BYTES + 18);
  }
}
