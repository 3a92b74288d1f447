import { assert } from "./assert.ts";

/** Smaller ones are cheaper to allocate than to lend. */
const LENT_BYTES_MIN = 4096;
/** What waits to be lent again. */
const FREE_BYTES_MAX = 16 * 1024 * 1024;
/** A freed buffer of a pool that poisons. */
const POISON = 0xdb;

interface Lent {
  /** The whole of it. */
  readonly buffer: Buffer;
  holders: number;
}

/**
 * Large buffers that are used again. Their bytes lie outside the heap of V8, which collects the whole of it each few
 * dozen megabytes that it sees come and go there: at the rate of a broker many times a second.
 *
 * A buffer is lent to one holder by `take`; each `retain` makes one more, each `release` one less, by any view of it.
 * The last release gives it back, and its bytes are somebody else's from then on: so only who knows of no other view
 * may release. Who never does leaves it to the collector. All three let other buffers be.
 */
export class BufferPool {
  readonly #lent = new WeakMap<ArrayBufferLike, Lent>();
  /** By capacity; the capacity that was freed last comes last. */
  readonly #free = new Map<number, Lent[]>();
  /** What is smaller is not lent. */
  readonly bytesMin: number;
  readonly #poisons: boolean;
  #freeBytes = 0;

  /** `poisons`: what is freed is overwritten at once, so that whoever still reads it finds out. */
  constructor({ poisons = false, bytesMin = LENT_BYTES_MIN } = {}) {
    this.bytesMin = bytesMin;
    this.#poisons = poisons;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A buffer of that length, with whatever stands in it. */
  take(bytes: number): Buffer {
    if (bytes < this.bytesMin) return Buffer.allocUnsafe(bytes);
    const capacity = capacityFor(bytes);
    const free = this.#free.get(capacity)?.pop();
    if (free !== undefined) {
      this.#freeBytes -= capacity;
      free.holders = 1;
      return free.buffer.subarray(0, bytes);
    }
    const buffer = Buffer.allocUnsafeSlow(capacity);
    this.#lent.set(buffer.buffer, { buffer, holders: 1 });
    return buffer.subarray(0, bytes);
  }

  copyOf(bytes: Buffer): Buffer {
    const copy = this.take(bytes.length);
    bytes.copy(copy);
    return copy;
  }

  retain(view: Buffer): void {
    const lent = this.#lent.get(view.buffer);
    if (lent === undefined) return;
    assert(lent.holders > 0, "a buffer is retained that was given back");
    lent.holders += 1;
  }

  release(view: Buffer): void {
    const lent = this.#lent.get(view.buffer);
    if (lent === undefined) return;
    assert(lent.holders > 0, "a buffer is given back twice");
    lent.holders -= 1;
    if (lent.holders === 0) this.#give(lent);
  }

  #give(lent: Lent): void {
    if (this.#poisons) lent.buffer.fill(POISON);
    const capacity = lent.buffer.length;
    const same = this.#free.get(capacity) ?? [];
    this.#free.delete(capacity);
    this.#free.set(capacity, same);
    same.push(lent);
    this.#freeBytes += capacity;
    // Sizes that nobody asks for any more go first.
    for (const [size, unused] of this.#free) {
      while (this.#freeBytes > FREE_BYTES_MAX && unused.pop() !== undefined) this.#freeBytes -= size;
      if (this.#freeBytes <= FREE_BYTES_MAX) break;
      this.#free.delete(size);
    }
  }
}

/** Four sizes for each power of two: at most a quarter is given away. */
function capacityFor(bytes: number): number {
  const step = 2 ** (29 - Math.clz32(bytes - 1));
  return Math.ceil(bytes / step) * step;
}
