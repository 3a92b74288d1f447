import { assert } from "../lib/assert.ts";
import { OperationalError } from "../lib/error.ts";

/** From this size on a buffer is handed over as it is instead of being copied. */
const REFERENCE_BYTES_MIN = 1024;

const INT16_MAX = 0x7fff;

/**
 * Writes primitives into a growing buffer. Large byte strings are referenced, not copied, so the result is a list
 * of chunks for one gathered write.
 */
export class Writer {
  #buffer: Buffer;
  #view: DataView;
  #position = 0;
  /** Where the open chunk begins in #buffer. */
  #chunkStart = 0;
  #chunks: Buffer[] = [];
  #closedBytes = 0;

  constructor(capacity = 256) {
    this.#buffer = Buffer.allocUnsafe(capacity);
    this.#view = new DataView(this.#buffer.buffer, this.#buffer.byteOffset, this.#buffer.length);
  }

  /** Bytes written so far, referenced ones included. */
  get length(): number {
    return this.#closedBytes + this.#position - this.#chunkStart;
  }

  /** The chunks in order. The writer must not be used afterwards. */
  finish(): Buffer[] {
    this.#closeChunk();
    return this.#chunks;
  }

  /** The same in one buffer. */
  finishBuffer(): Buffer {
    const chunks = this.finish();
    return chunks.length === 1 && chunks[0] !== undefined ? chunks[0] : Buffer.concat(chunks);
  }

  /** Advances by `length` and returns where it began. */
  #reserve(length: number): number {
    const at = this.#position;
    if (at + length > this.#buffer.length) return this.#grow(length);
    this.#position = at + length;
    return at;
  }

  /** A fresh buffer takes the open chunk along; chunks already closed stay where they are. */
  #grow(length: number): number {
    const open = this.#position - this.#chunkStart;
    const grown = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, 2 * (open + length)));
    this.#buffer.copy(grown, 0, this.#chunkStart, this.#position);
    this.#buffer = grown;
    this.#view = new DataView(grown.buffer, grown.byteOffset, grown.length);
    this.#chunkStart = 0;
    this.#position = open + length;
    return open;
  }

  #closeChunk(): void {
    if (this.#position === this.#chunkStart) return;
    this.#chunks.push(this.#buffer.subarray(this.#chunkStart, this.#position));
    this.#closedBytes += this.#position - this.#chunkStart;
    this.#chunkStart = this.#position;
  }

  bool(value: boolean): void {
    this.int8(value ? 1 : 0);
  }

  int8(value: number): void {
    const at = this.#reserve(1);
    this.#view.setInt8(at, value);
  }

  int16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setInt16(at, value);
  }

  /** Throws ERR_TEXT_TOO_LONG where the length does not fit: a text that a newer version brought can't be told in an older one. */
  stringLength(length: number): void {
    if (length > INT16_MAX) throw new OperationalError("ERR_TEXT_TOO_LONG", `a text of ${length} bytes, where this version of the message can have ${INT16_MAX}`);
    this.int16(length);
  }

  uint16(value: number): void {
    const at = this.#reserve(2);
    this.#view.setUint16(at, value);
  }

  int32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setInt32(at, value);
  }

  uint32(value: number): void {
    const at = this.#reserve(4);
    this.#view.setUint32(at, value);
  }

  int64(value: number): void {
    assert(Number.isSafeInteger(value), `${value} is not a safe integer`);
    this.timestamp(value);
  }

  /** Java's Long.MAX_VALUE, which a number can't tell from 2^63, goes back as it came. */
  timestamp(value: number): void {
    const at = this.#reserve(8);
    if (value >= 2 ** 63) {
      this.#view.setInt32(at, 0x7fff_ffff);
      this.#view.setUint32(at + 4, 0xffff_ffff);
      return;
    }
    const high = Math.floor(value / 0x1_0000_0000);
    this.#view.setInt32(at, high);
    this.#view.setUint32(at + 4, value - high * 0x1_0000_0000);
  }

  int64Exact(value: bigint): void {
    const at = this.#reserve(8);
    this.#view.setBigInt64(at, value);
  }

  float64(value: number): void {
    const at = this.#reserve(8);
    this.#view.setFloat64(at, value);
  }

  uuid(value: string): void {
    const at = this.#reserve(16);
    const written = this.#buffer.write(value, at, 16, "base64url");
    assert(written === 16, `"${value}" is not a 16-byte id`);
  }

  uvarint(value: number): void {
    let rest = value;
    while (rest > 0x7f) {
      this.int8((rest & 0x7f) | 0x80);
      rest = Math.floor(rest / 128);
    }
    this.int8(rest);
  }

  /** UTF-8 bytes without a length; `byteLength` is what `Buffer.byteLength` says of `value`. */
  utf8(value: string, byteLength: number): void {
    const at = this.#reserve(byteLength);
    this.#buffer.write(value, at, byteLength, "utf8");
  }

  bytes(value: Buffer): void {
    if (value.length >= REFERENCE_BYTES_MIN) {
      this.#closeChunk();
      this.#chunks.push(value);
      this.#closedBytes += value.length;
      return;
    }
    const at = this.#reserve(value.length);
    value.copy(this.#buffer, at);
  }

  /** Overwrites four bytes of the first chunk, at `at`: a frame's length, known only at the end. */
  static patchInt32(chunks: readonly Buffer[], at: number, value: number): void {
    const first = chunks[0];
    assert(first !== undefined && first.length >= at + 4, "the patched field stands in the first chunk");
    first.writeInt32BE(value, at);
  }
}
