import { assert } from "../../lib/assert.ts";

const GROW_FROM_BYTES = 512;

/** Entries of one size, in memory as they are on disk; knows how many of them the file already holds. */
export class EntryTable {
  readonly entryBytes: number;
  bytes: Buffer;
  count: number;
  #persistedCount: number;

  /** `loaded`: a file's content, cut to whole entries. */
  constructor(entryBytes: number, loaded: Buffer) {
    this.entryBytes = entryBytes;
    this.bytes = loaded;
    this.count = Math.floor(loaded.length / entryBytes);
    this.#persistedCount = this.count;
  }

  /** Makes room for one more entry and returns where it is to be written in `bytes`. */
  append(): number {
    const at = this.count * this.entryBytes;
    if (at + this.entryBytes > this.bytes.length) {
      const grown = Buffer.alloc(Math.max(GROW_FROM_BYTES, 2 * at));
      this.bytes.copy(grown, 0, 0, at);
      this.bytes = grown;
    }
    this.count++;
    return at;
  }

  truncate(count: number): void {
    assert(count >= 0 && count <= this.count, `cannot keep ${count} of ${this.count} entries`);
    this.count = count;
    this.#persistedCount = Math.min(this.#persistedCount, count);
  }

  get sizeBytes(): number {
    return this.count * this.entryBytes;
  }

  get unpersistedBytes(): number {
    return (this.count - this.#persistedCount) * this.entryBytes;
  }

  /** Where in the file the unpersisted entries belong. */
  get persistedBytes(): number {
    return this.#persistedCount * this.entryBytes;
  }

  /** The entries that the file lacks; the caller writes them at `persistedBytes` and then calls `markPersisted`. */
  unpersisted(): Buffer {
    return this.bytes.subarray(this.persistedBytes, this.sizeBytes);
  }

  markPersisted(): void {
    this.#persistedCount = this.count;
  }
}
