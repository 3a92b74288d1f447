/**
 * Reads primitives from a buffer. Errors are sticky: a length that does not fit, a null where none may be or an
 * unsafe integer sets `bad`, and from then on every read returns an empty value without moving. Decode to the
 * end, then look at `bad` once: hostile bytes become a value, never a crash.
 */
export class Reader {
  readonly buffer: Buffer;
  readonly #view: DataView;
  position: number;
  readonly end: number;
  bad = false;

  constructor(buffer: Buffer, start = 0, end = buffer.length) {
    this.buffer = buffer;
    this.#view = new DataView(buffer.buffer, buffer.byteOffset, buffer.length);
    this.position = start;
    this.end = end;
  }

  get remaining(): number {
    return this.end - this.position;
  }

  /** Advances by `length` and returns where it began; -1, and `bad`, where so much is not there. */
  #take(length: number): number {
    const at = this.position;
    if (this.bad || length < 0 || length > this.end - at) {
      this.bad = true;
      return -1;
    }
    this.position = at + length;
    return at;
  }

  skip(length: number): void {
    this.#take(length);
  }

  /** Marks the input as bad; for values that a caller refuses. */
  fail(): void {
    this.bad = true;
  }

  bool(): boolean {
    return this.int8() !== 0;
  }

  int8(): number {
    const at = this.#take(1);
    return at < 0 ? 0 : this.#view.getInt8(at);
  }

  int16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getInt16(at);
  }

  uint16(): number {
    const at = this.#take(2);
    return at < 0 ? 0 : this.#view.getUint16(at);
  }

  int32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getInt32(at);
  }

  uint32(): number {
    const at = this.#take(4);
    return at < 0 ? 0 : this.#view.getUint32(at);
  }

  /** A safe integer; anything else makes the input bad. */
  int64(): number {
    const value = this.timestamp();
    if (Number.isSafeInteger(value)) return value;
    this.bad = true;
    return 0;
  }

  timestamp(): number {
    const at = this.#take(8);
    return at < 0 ? 0 : this.#view.getInt32(at) * 0x1_0000_0000 + this.#view.getUint32(at + 4);
  }

  int64Exact(): bigint {
    const at = this.#take(8);
    return at < 0 ? 0n : this.#view.getBigInt64(at);
  }

  float64(): number {
    const at = this.#take(8);
    return at < 0 ? 0 : this.#view.getFloat64(at);
  }

  uuid(): string {
    const at = this.#take(16);
    return at < 0 ? "" : this.buffer.toString("base64url", at, at + 16);
  }

  /** Unsigned LEB128 of at most 32 bits. */
  uvarint(): number {
    let value = 0;
    for (let shift = 0; shift < 35; shift += 7) {
      const byte = this.int8();
      value += (byte & 0x7f) * 2 ** shift;
      if ((byte & 0x80) === 0) {
        if (value <= 0xffff_ffff) return value;
        break;
      }
    }
    this.bad = true;
    return 0;
  }

  string(length: number): string {
    const at = this.#take(length);
    return at < 0 ? "" : this.buffer.toString("utf8", at, at + length);
  }

  /** A view of the next `length` bytes: no copy, and it keeps the whole buffer alive. */
  bytes(length: number): Buffer {
    const at = this.#take(length);
    return at < 0 ? EMPTY : this.buffer.subarray(at, at + length);
  }

  /** For an element count: every element takes at least a byte, so a larger count is bad. */
  count(count: number): number {
    if (!this.bad && count >= 0 && count <= this.end - this.position) return count;
    this.bad = true;
    return 0;
  }
}

const EMPTY = Buffer.alloc(0);
