import { createHash } from "node:crypto";
import { assert } from "../../../lib/assert.ts";

const HASH_WORDS = 4;
/** MD5 and the offset. */
const SLOT_BYTES = 24;
const START_BYTES = 64 * 1024;
const EMPTY = -1;

/**
 * The last offset of each key. Keys are known by their MD5: two with the same one would be taken for one key.
 * Open addressing over typed arrays, which double up to `bytesMax`. Source: kafka.log.SkimpyOffsetMap.
 */
export class KeyMap {
  readonly #slotsMax: number;
  readonly #loadFactor: number;
  #hashes = new Int32Array(0);
  #offsets = new Float64Array(0);
  #size = 0;

  constructor(bytesMax: number, loadFactor: number) {
    this.#slotsMax = Math.max(1, Math.floor(bytesMax / SLOT_BYTES));
    this.#loadFactor = loadFactor;
    this.clear();
  }

  get size(): number {
    return this.#size;
  }

  /** Forgets everything, and lets go of the memory. */
  clear(): void {
    this.#allocate(Math.min(this.#slotsMax, Math.floor(START_BYTES / SLOT_BYTES)));
    this.#size = 0;
  }

  #allocate(slots: number): void {
    this.#hashes = new Int32Array(slots * HASH_WORDS);
    this.#offsets = new Float64Array(slots).fill(EMPTY);
  }

  /** In place of what the key had. False: there is no room for one key more. */
  put(key: Buffer, offset: number): boolean {
    assert(offset >= 0, `the key map takes no offset ${offset}`);
    const hash = hashOf(key);
    let slot = this.#slotOf(hash, 0);
    if (this.#offsets[slot] === EMPTY) {
      if (this.#size >= this.#sizeMax) {
        if (!this.#grow()) return false;
        slot = this.#slotOf(hash, 0);
      }
      this.#size++;
      this.#hashes.set(hash, slot * HASH_WORDS);
    }
    this.#offsets[slot] = offset;
    return true;
  }

  /** -1 where the key was not put. */
  get(key: Buffer): number {
    return this.#offsets[this.#slotOf(hashOf(key), 0)] as number;
  }

  /** One slot always stays empty: a search ends there. */
  get #sizeMax(): number {
    const slots = this.#offsets.length;
    return Math.min(Math.floor(slots * this.#loadFactor), slots - 1);
  }

  #grow(): boolean {
    const hashes = this.#hashes;
    const offsets = this.#offsets;
    if (offsets.length === this.#slotsMax) return false;
    this.#allocate(Math.min(2 * offsets.length, this.#slotsMax));
    for (let from = 0; from < offsets.length; from++) {
      if (offsets[from] === EMPTY) continue;
      const slot = this.#slotOf(hashes, from * HASH_WORDS);
      this.#hashes.set(hashes.subarray(from * HASH_WORDS, (from + 1) * HASH_WORDS), slot * HASH_WORDS);
      this.#offsets[slot] = offsets[from] as number;
    }
    return this.#size < this.#sizeMax;
  }

  /** Where the hash in words[at…] is, or would be put. */
  #slotOf(words: Int32Array, at: number): number {
    const hashes = this.#hashes;
    const slots = this.#offsets.length;
    for (let slot = ((words[at] as number) >>> 0) % slots; ; slot = slot + 1 === slots ? 0 : slot + 1) {
      if (this.#offsets[slot] === EMPTY) return slot;
      const place = slot * HASH_WORDS;
      if (hashes[place] === words[at] && hashes[place + 1] === words[at + 1] && hashes[place + 2] === words[at + 2] && hashes[place + 3] === words[at + 3]) return slot;
    }
  }
}

function hashOf(key: Buffer): Int32Array {
  const digest = createHash("md5").update(key).digest();
  return Int32Array.of(digest.readInt32LE(0), digest.readInt32LE(4), digest.readInt32LE(8), digest.readInt32LE(12));
}
