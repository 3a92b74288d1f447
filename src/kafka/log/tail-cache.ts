import type { BufferPool } from "../../lib/buffer-pool.ts";
import { assert } from "../../lib/assert.ts";
import { BATCH_HEADER_BYTES, batchLastOffset, declaredBatchSize } from "../records/batch.ts";

/** A view of a larger buffer keeps all of it alive: from this factor on a copy is cheaper. */
const KEPT_ALIVE_FACTOR_MAX = 4;

interface TailEntry {
  readonly tail: TailCache;
  /** Held by the entry until it is dropped and written. */
  readonly bytes: Buffer;
  readonly lastOffset: number;
  /** Not in the file yet: readers find it here only. */
  unwritten: boolean;
  dropped: boolean;
}

/** The memory that all tails of a broker share; what was appended first goes first. */
export class TailBudget {
  readonly buffers: BufferPool;
  readonly #bytesMax: number;
  #queue: TailEntry[] = [];
  #head = 0;
  #bytes = 0;

  constructor(bytesMax: number, buffers: BufferPool) {
    this.#bytesMax = bytesMax;
    this.buffers = buffers;
  }

  get bytes(): number {
    return this.#bytes;
  }

  add(entry: TailEntry): void {
    this.#queue.push(entry);
    this.#bytes += entry.bytes.length;
    this.shrink();
  }

  /** `entry` was dropped by its tail. */
  dropped(entry: TailEntry): void {
    this.#bytes -= entry.bytes.length;
  }

  shrink(): void {
    while (this.#head < this.#queue.length) {
      const oldest = this.#queue[this.#head] as TailEntry;
      if (!oldest.dropped && (this.#bytes <= this.#bytesMax || oldest.unwritten)) break;
      this.#head++;
      if (!oldest.dropped) oldest.tail.dropOldest(oldest);
    }
    if (this.#head * 2 > this.#queue.length) {
      this.#queue = this.#queue.slice(this.#head);
      this.#head = 0;
    }
  }
}

export interface TailRead {
  readonly chunks: Buffer[];
  readonly bytes: number;
  /** The offset behind the last batch. */
  readonly nextOffset: number;
}

/** What was appended to one log last, as it was appended: reads at the log's end need no I/O. */
export class TailCache {
  readonly #budget: TailBudget;
  #entries: TailEntry[] = [];
  #head = 0;
  /** All batches that end at or above this offset are here. */
  startOffset: number;

  constructor(budget: TailBudget, startOffset: number) {
    this.#budget = budget;
    this.startOffset = startOffset;
  }

  /** Whole batches, which nobody changes any more. Call the returned function when they are in the file. */
  add(bytes: Buffer, lastOffset: number): () => void {
    const { buffers } = this.#budget;
    const kept = bytes.buffer.byteLength > KEPT_ALIVE_FACTOR_MAX * bytes.length ? buffers.copyOf(bytes) : bytes;
    // The bytes themselves are still to be written.
    buffers.retain(bytes);
    const entry: TailEntry = { tail: this, bytes: kept, lastOffset, unwritten: true, dropped: false };
    this.#entries.push(entry);
    this.#budget.add(entry);
    return () => {
      entry.unwritten = false;
      if (kept !== bytes) buffers.release(bytes);
      if (entry.dropped) buffers.release(kept);
      this.#budget.shrink();
    };
  }

  /** Bytes of the entries that end in [from, to). */
  bytesBetween(from: number, to: number): number {
    let bytes = 0;
    for (let index = this.#find(from); index < this.#entries.length; index++) {
      const entry = this.#entries[index] as TailEntry;
      if (entry.lastOffset >= to) break;
      bytes += entry.bytes.length;
    }
    return bytes;
  }

  /** What `batchRange` would choose of all the log's bytes; whoever asks holds the chunks from then on. Undefined where `offset` is not in the cache any more. */
  read(limits: ReadLimits): TailRead | undefined {
    const { offset, maxBytes, maxOffset } = limits;
    if (offset < this.startOffset) return undefined;
    const chunks: Buffer[] = [];
    let bytes = 0;
    let nextOffset = offset;
    for (let index = this.#find(offset); index < this.#entries.length; index++) {
      const entry = this.#entries[index] as TailEntry;
      const first = chunks.length === 0;
      if (!first && entry.bytes.length > maxBytes - bytes) break;
      const whole = !first && entry.lastOffset < maxOffset;
      const range = whole ? { start: 0, end: entry.bytes.length, nextOffset: entry.lastOffset + 1 } : batchRange(entry.bytes, limits);
      if (range.end > range.start) {
        this.#budget.buffers.retain(entry.bytes);
        chunks.push(range.start === 0 && range.end === entry.bytes.length ? entry.bytes : entry.bytes.subarray(range.start, range.end));
        bytes += range.end - range.start;
        nextOffset = range.nextOffset;
      }
      if (range.end < entry.bytes.length) break;
    }
    return { chunks, bytes, nextOffset };
  }

  /** Forgets what ends at or above `offset`; the log ends there now. */
  truncateTo(offset: number): void {
    let cut = false;
    while (this.#entries.length > this.#head) {
      const newest = this.#entries.at(-1) as TailEntry;
      // What stays of an entry that is cut is in the file alone: entries before it would make readers step over that.
      if (newest.lastOffset < offset && !cut) break;
      cut ||= batchLastOffset(newest.bytes, 0) < offset;
      this.#entries.pop();
      this.#drop(newest);
    }
    if (this.#entries.length === this.#head) this.startOffset = offset;
  }

  dropOldest(entry: TailEntry): void {
    assert(this.#entries[this.#head] === entry, "the budget drops what is oldest in its tail");
    this.#head++;
    this.#drop(entry);
    this.startOffset = entry.lastOffset + 1;
    if (this.#head * 2 > this.#entries.length) {
      this.#entries = this.#entries.slice(this.#head);
      this.#head = 0;
    }
  }

  #drop(entry: TailEntry): void {
    entry.dropped = true;
    this.#budget.dropped(entry);
    if (!entry.unwritten) this.#budget.buffers.release(entry.bytes);
  }

  /** The first entry that ends at or above `offset`. */
  #find(offset: number): number {
    let low = this.#head;
    let high = this.#entries.length;
    while (low < high) {
      const middle = (low + high) >>> 1;
      if ((this.#entries[middle] as TailEntry).lastOffset < offset) low = middle + 1;
      else high = middle;
    }
    return low;
  }
}

export interface ReadLimits {
  readonly offset: number;
  readonly maxBytes: number;
  /** Exclusive: the log's end, the high watermark or the last stable offset. */
  readonly maxOffset: number;
  /** Return the first batch whole, however large it is. Otherwise it is cut at `maxBytes`. */
  readonly minOneMessage: boolean;
}

export interface BatchRange {
  readonly start: number;
  readonly end: number;
  /** The offset behind the last whole batch of the range; the offset asked for where there is none. */
  readonly nextOffset: number;
}

/**
 * Which part of `bytes`, that begin with a batch, to return: whole batches from the first that ends at or above
 * `offset`, up to `maxBytes`, none that ends at or above `maxOffset`. The last batch may be cut off, behind its header.
 */
export function batchRange(bytes: Buffer, limits: ReadLimits): BatchRange {
  let start = 0;
  let end = 0;
  let nextOffset = limits.offset;
  for (let at = 0; ; ) {
    const size = declaredBatchSize(bytes, at, bytes.length);
    const left = bytes.length - at;
    if (size <= 0 || left < Math.min(size, BATCH_HEADER_BYTES)) break;
    const lastOffset = batchLastOffset(bytes, at);
    if (lastOffset >= limits.maxOffset) break;
    if (lastOffset < limits.offset) {
      start = end = at + size;
    } else {
      const fits = at + size - start <= limits.maxBytes;
      if (!fits && end > start) break;
      if (!fits && !limits.minOneMessage) return { start, end: Math.min(start + limits.maxBytes, bytes.length), nextOffset };
      if (left < size) break;
      end = at + size;
      nextOffset = lastOffset + 1;
    }
    at += size;
  }
  return { start, end: Math.max(start, end), nextOffset };
}
