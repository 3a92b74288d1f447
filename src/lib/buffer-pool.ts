import { assert } from "./assert.ts";

/** Smaller ones are cheaper to allocate than to lend. */
const LENT_BYTES_MIN = 4096;
/** What waits to be lent again: what a broker at its peak gives back at once, and wants again within the second. */
const FREE_BYTES_MAX = 64 * 1024 * 1024;
/** What nobody has wanted for so long is let go. */
const UNUSED_MS = 10_000;
/** Where none of the size asked for is free, one of the next sizes does: up to twice as large. */
const SIZES_TRIED = 5;
/** A freed buffer of a pool that poisons. */
const POISON = 0xdb;

interface Lent {
  /** The whole of it. */
  readonly buffer: Buffer;
  readonly size: number;
  holders: number;
}

export interface BufferPoolOptions {
  /** What is freed is overwritten at once, so that whoever still reads it finds out. */
  readonly poisons?: boolean;
  readonly bytesMin?: number;
  /** Calls back after so many ms; without it what is free is kept for ever. */
  readonly later?: (callback: () => void, ms: number) => void;
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
  /** By size (`sizeFor`); the size that was freed last comes last. */
  readonly #free = new Map<number, Lent[]>();
  /** What is smaller is not lent. */
  readonly bytesMin: number;
  readonly #poisons: boolean;
  readonly #later: BufferPoolOptions["later"];
  #freeBytes = 0;
  /** So much was free all the time since `#letGo` was asked for. */
  #unusedBytes = 0;
  #willLetGo = false;

  constructor({ poisons = false, bytesMin = LENT_BYTES_MIN, later }: BufferPoolOptions = {}) {
    this.bytesMin = bytesMin;
    this.#poisons = poisons;
    this.#later = later;
  }

  get freeBytes(): number {
    return this.#freeBytes;
  }

  /** A buffer of that length, with whatever stands in it. */
  take(bytes: number): Buffer {
    if (bytes < this.bytesMin) return Buffer.allocUnsafe(bytes);
    const size = sizeFor(bytes);
    for (let each = size; each < size + SIZES_TRIED; each++) {
      const free = this.#free.get(each)?.pop();
      if (free === undefined) continue;
      this.#freeBytes -= free.buffer.length;
      this.#unusedBytes = Math.min(this.#unusedBytes, this.#freeBytes);
      free.holders = 1;
      return free.buffer.subarray(0, bytes);
    }
    const buffer = Buffer.allocUnsafeSlow(capacityOf(size));
    this.#lent.set(buffer.buffer, { buffer, size, holders: 1 });
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
    const same = this.#free.get(lent.size) ?? [];
    this.#free.delete(lent.size);
    this.#free.set(lent.size, same);
    same.push(lent);
    this.#freeBytes += lent.buffer.length;
    this.#keep(FREE_BYTES_MAX);
    if (this.#willLetGo || this.#later === undefined) return;
    this.#willLetGo = true;
    this.#unusedBytes = this.#freeBytes;
    this.#later(this.#letGo, UNUSED_MS);
  }

  readonly #letGo = (): void => {
    this.#willLetGo = false;
    this.#keep(this.#freeBytes - this.#unusedBytes);
    if (this.#freeBytes === 0) return;
    this.#willLetGo = true;
    this.#unusedBytes = this.#freeBytes;
    this.#later?.(this.#letGo, UNUSED_MS);
  };

  /** No more than so much; sizes that nobody asks for any more go first. */
  #keep(bytes: number): void {
    for (const [size, unused] of this.#free) {
      while (this.#freeBytes > bytes && unused.pop() !== undefined) this.#freeBytes -= capacityOf(size);
      if (this.#freeBytes <= bytes) break;
      this.#free.delete(size);
    }
    this.#unusedBytes = Math.min(this.#unusedBytes, this.#freeBytes);
  }
}

/** The sizes are numbered: four for each power of two, so that at most a quarter is given away by one that is made. */
function sizeFor(bytes: number): number {
  const exponent = 29 - Math.clz32(bytes - 1);
  return 4 * exponent + Math.ceil(bytes / 2 ** exponent) - 5;
}

function capacityOf(size: number): number {
  return ((size % 4) + 5) * 2 ** Math.floor(size / 4);
}
