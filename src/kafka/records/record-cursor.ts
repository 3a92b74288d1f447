import {
  BATCH_HEADER_BYTES,
  addToSequence,
  batchBaseOffset,
  batchBaseSequence,
  batchFirstTimestamp,
  batchMaxTimestamp,
  batchRecordCount,
  batchTimestampType,
  NO_SEQUENCE,
} from "./batch.ts";

/**
 * Walks the records of v2 batches; one cursor is opened again and again, so that a record costs no object.
 * A record: varint body length · int8 attributes · varlong timestamp delta · varint offset delta · varint key length
 * (-1 null) and key · varint value length (-1 null) and value · varint header count · headers, each a varint length
 * and key, a varint length (-1 null) and value. All varints are zigzag. Source: DefaultRecord.readFrom.
 */
export class RecordCursor {
  buffer: Buffer = EMPTY;
  offsetDelta = 0;
  keyAt = 0;
  /** -1: null. */
  keyLength = 0;
  valueAt = 0;
  /** -1: null. */
  valueLength = 0;
  headerCount = 0;
  /** The first header's place in `buffer`. */
  headersAt = 0;
  /** Where the record begins in `buffer`, its length included. */
  recordAt = 0;
  /** Why the records cannot be read on; undefined while all is well. */
  problem: string | undefined;

  #position = 0;
  #end = 0;
  #remaining = 0;
  #timestampDelta = 0;
  #baseOffset = 0;
  #baseTimestamp = 0;
  #baseSequence = 0;
  #appendTime: number | undefined;

  /** Stands before the first record of the uncompressed v2 batch of `size` bytes. */
  open(batch: Buffer, at: number, size: number): void {
    this.openSection(batch, at, batch, at + BATCH_HEADER_BYTES, at + size);
  }

  /** As `open`, with the records elsewhere: in the decompressed section[start, end). */
  openSection(batch: Buffer, at: number, section: Buffer, start: number, end: number): void {
    this.buffer = section;
    this.problem = undefined;
    this.#position = start;
    this.#end = end;
    this.#remaining = batchRecordCount(batch, at);
    this.#baseOffset = batchBaseOffset(batch, at);
    this.#baseTimestamp = batchFirstTimestamp(batch, at);
    this.#baseSequence = batchBaseSequence(batch, at);
    this.#appendTime = batchTimestampType(batch, at) === "LogAppendTime" ? batchMaxTimestamp(batch, at) : undefined;
  }

  /** Moves to the next record; false at the end and where `problem` tells what is wrong. */
  next(): boolean {
    if (this.#remaining <= 0) {
      if (this.problem === undefined && this.#position !== this.#end) this.problem = "bytes are left behind the last record";
      return false;
    }
    this.#remaining--;
    this.recordAt = this.#position;
    return this.#nextShort() || this.#nextAny();
  }

  /** A record without headers whose varints are short, as most are; of any other it says false and has moved nothing. */
  #nextShort(): boolean {
    const { buffer } = this;
    let at = this.#position;
    const length = shortVarint(buffer, at);
    const bodyEnd = at + varintBytes(buffer, at) + length;
    if (length === NOT_SHORT || bodyEnd > this.#end) return false;
    at += varintBytes(buffer, at) + 1;
    const timestampDelta = shortVarint(buffer, at);
    at += varintBytes(buffer, at);
    const offsetDelta = shortVarint(buffer, at);
    at += varintBytes(buffer, at);
    const keyLength = shortVarint(buffer, at);
    const keyAt = (at += varintBytes(buffer, at));
    if (keyLength > 0) at += keyLength;
    const valueLength = shortVarint(buffer, at);
    const valueAt = (at += varintBytes(buffer, at));
    if (valueLength > 0) at += valueLength;
    if (at !== bodyEnd - 1 || buffer[at] !== 0) return false;
    if (timestampDelta === NOT_SHORT || offsetDelta === NOT_SHORT || keyLength === NOT_SHORT || valueLength === NOT_SHORT) return false;
    this.#timestampDelta = timestampDelta;
    this.offsetDelta = offsetDelta;
    this.keyLength = keyLength;
    this.keyAt = keyAt;
    this.valueLength = valueLength;
    this.valueAt = valueAt;
    this.headerCount = 0;
    this.headersAt = bodyEnd;
    this.#position = bodyEnd;
    return true;
  }

  #nextAny(): boolean {
    const length = this.#varint();
    const bodyAt = this.#position;
    if (length < BODY_BYTES_MIN || length > this.#end - bodyAt) return this.#fail("a record is longer or shorter than its batch allows");
    this.#position++;
    this.#timestampDelta = this.#varlong();
    this.offsetDelta = this.#varint();
    this.keyLength = this.#varint();
    this.keyAt = this.#skip(this.keyLength);
    this.valueLength = this.#varint();
    this.valueAt = this.#skip(this.valueLength);
    this.headerCount = this.#varint();
    this.headersAt = this.#position;
    this.#skipHeaders();
    if (this.problem !== undefined) return this.#fail(this.problem);
    if (this.#position !== bodyAt + length) return this.#fail("a record's fields do not fill its length");
    return true;
  }

  /** Where it ends. */
  get recordEnd(): number {
    return this.#position;
  }

  get offset(): number {
    return this.#baseOffset + this.offsetDelta;
  }

  /** LogAppendTime batches give every record the time of the append. */
  get timestamp(): number {
    return this.#appendTime ?? this.#baseTimestamp + this.#timestampDelta;
  }

  /** -1 where the batch has none. */
  get sequence(): number {
    return this.#baseSequence < 0 ? NO_SEQUENCE : addToSequence(this.#baseSequence, this.offsetDelta);
  }

  #skipHeaders(): void {
    if (this.headerCount < 0) this.problem = `a record has ${this.headerCount} headers`;
    for (let header = 0; header < this.headerCount && this.problem === undefined; header++) {
      const keyLength = this.#varint();
      if (keyLength < 0) this.problem = "a record's header has no key";
      this.#skip(keyLength);
      this.#skip(this.#varint());
    }
  }

  /** Null, or a view of the key's bytes. */
  key(): Buffer | null {
    return this.keyLength < 0 ? null : this.buffer.subarray(this.keyAt, this.keyAt + this.keyLength);
  }

  value(): Buffer | null {
    return this.valueLength < 0 ? null : this.buffer.subarray(this.valueAt, this.valueAt + this.valueLength);
  }

  /** The headers' keys and values, the latter as views. */
  headers(): { readonly key: string; readonly value: Buffer | null }[] {
    const recordEnd = this.#position;
    this.#position = this.headersAt;
    const headers = Array.from({ length: this.headerCount }, () => ({ key: this.#bytes()?.toString() ?? "", value: this.#bytes() }));
    this.#position = recordEnd;
    return headers;
  }

  /** A length and as many bytes, of a record that was found to be whole. */
  #bytes(): Buffer | null {
    const length = this.#varint();
    const at = this.#skip(length);
    return length < 0 ? null : this.buffer.subarray(at, at + length);
  }

  #fail(problem: string): false {
    this.problem = problem;
    this.#remaining = 0;
    return false;
  }

  /** Returns where it began. */
  #skip(length: number): number {
    const at = this.#position;
    if (length > this.#end - at) this.problem = "a record is longer than its batch";
    else if (length > 0) this.#position = at + length;
    return at;
  }

  #byte(): number {
    if (this.#position < this.#end) return this.buffer[this.#position++] as number;
    this.problem = "a record is longer than its batch";
    return 0;
  }

  #varint(): number {
    let byte = this.#byte();
    let value = byte & 0x7f;
    for (let shift = 7; (byte & 0x80) !== 0; shift += 7) {
      if (shift > 28) {
        this.problem = "a varint is longer than five bytes";
        return 0;
      }
      byte = this.#byte();
      value |= (byte & 0x7f) << shift;
    }
    return (value >>> 1) ^ -(value & 1);
  }

  /** Rounded beyond 2^53. */
  #varlong(): number {
    let byte = this.#byte();
    if ((byte & 0x80) === 0) return (byte >>> 1) ^ -(byte & 1);
    const sign = byte & 1;
    let value = byte & 0x7f;
    for (let shift = 7; (byte & 0x80) !== 0; shift += 7) {
      if (shift > 63) {
        this.problem = "a varlong is longer than ten bytes";
        return 0;
      }
      byte = this.#byte();
      value += (byte & 0x7f) * 2 ** shift;
    }
    return sign === 0 ? value / 2 : -(value + 1) / 2;
  }
}

const EMPTY = Buffer.alloc(0);
/** Attributes and five varints. */
const BODY_BYTES_MIN = 6;
/** What `shortVarint` says of a longer one; no varint of two bytes is so large. */
const NOT_SHORT = 0x8000;

/** Of a varint of one or two bytes; anything for what lies beyond the buffer. */
function shortVarint(buffer: Buffer, at: number): number {
  const low = buffer[at] as number;
  if (low < 0x80) return (low >>> 1) ^ -(low & 1);
  const high = buffer[at + 1] as number;
  if (high >= 0x80) return NOT_SHORT;
  return (((low & 0x7f) | (high << 7)) >>> 1) ^ -(low & 1);
}

function varintBytes(buffer: Buffer, at: number): number {
  return (buffer[at] as number) < 0x80 ? 1 : 2;
}
