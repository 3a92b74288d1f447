const pageBytes = 4096;
const zeroPage = Buffer.alloc(pageBytes);

export interface Piece {
  readonly position: number;
  readonly bytes: Buffer;
}

/** A file's bytes in pages, of which those that only hold zeros need not exist. */
export class SparseBytes {
  readonly #pages = new Map<number, Buffer>();
  #size = 0;

  get size(): number {
    return this.#size;
  }

  get allocatedBytes(): number {
    return this.#pages.size * pageBytes;
  }

  /** What `write` would add to `allocatedBytes`, at most. */
  growth(position: number, length: number): number {
    let pages = 0;
    for (let page = pageOf(position); page * pageBytes < position + length; page++) if (!this.#pages.has(page)) pages++;
    return pages * pageBytes;
  }

  write(bytes: Buffer, position: number): void {
    let from = 0;
    while (from < bytes.length) {
      const at = position + from;
      const page = pageOf(at);
      const start = at - page * pageBytes;
      const length = Math.min(pageBytes - start, bytes.length - from);
      let held = this.#pages.get(page);
      if (held === undefined && bytes.compare(zeroPage, 0, length, from, from + length) !== 0) {
        held = Buffer.alloc(pageBytes);
        this.#pages.set(page, held);
      }
      if (held !== undefined) bytes.copy(held, start, from, from + length);
      from += length;
    }
    this.#size = Math.max(this.#size, position + bytes.length);
  }

  /** Fills `into` from `position`; returns the bytes there are. */
  read(into: Buffer, position: number): number {
    const length = Math.max(0, Math.min(into.length, this.#size - position));
    let done = 0;
    while (done < length) {
      const page = pageOf(position + done);
      const start = position + done - page * pageBytes;
      const part = Math.min(pageBytes - start, length - done);
      const held = this.#pages.get(page);
      if (held === undefined) into.fill(0, done, done + part);
      else held.copy(into, done, start, start + part);
      done += part;
    }
    return length;
  }

  resize(size: number): void {
    // To the end of the last page, so that it goes too where nothing of it is left.
    if (size < this.#size) this.zero(size, Math.ceil(this.#size / pageBytes) * pageBytes);
    this.#size = size;
  }

  /** Zeros from `from` to `to`, without a change of size. */
  zero(from: number, to: number): void {
    for (const page of this.#pagesIn(from, to)) {
      const start = Math.max(0, from - page * pageBytes);
      const end = Math.min(pageBytes, to - page * pageBytes);
      if (start === 0 && end === pageBytes) this.#pages.delete(page);
      else this.#pages.get(page)?.fill(0, start, end);
    }
  }

  /** Copies of what is not zero from `from` to `to`. */
  extract(from: number, to: number): Piece[] {
    return this.#pagesIn(from, to).map((page) => {
      const start = Math.max(from, page * pageBytes);
      const bytes = Buffer.allocUnsafe(Math.min(to, (page + 1) * pageBytes) - start);
      this.#pages.get(page)?.copy(bytes, 0, start - page * pageBytes);
      return { position: start, bytes };
    });
  }

  flipBit(position: number, bit: number): void {
    const byte = Buffer.alloc(1);
    this.read(byte, position);
    this.write(Buffer.from([byte.readUInt8(0) ^ (1 << bit)]), position);
  }

  /** The pages that exist between two positions, in ascending order. */
  #pagesIn(from: number, to: number): number[] {
    if (to <= from) return [];
    const [first, last] = [pageOf(from), pageOf(to - 1)];
    if (last - first >= this.#pages.size) return [...this.#pages.keys()].filter((page) => page >= first && page <= last).toSorted((a, b) => a - b);
    const pages: number[] = [];
    for (let page = first; page <= last; page++) if (this.#pages.has(page)) pages.push(page);
    return pages;
  }
}

function pageOf(position: number): number {
  return Math.floor(position / pageBytes);
}
