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
  offset = 0;
  offsetDelta = 0;
  /** LogAppendTime batches give every record the time of the append. */
  timestamp = 0;
  /** -1 where the batch has none. */
  sequence = NO_SEQUENCE;
  keyAt = 0;
  /** -1: null. */
  keyLength = 0;
  valueAt = 0;
  /** -1: null. */
  valueLength = 0;
  headerCount = 0;
  /** The first header's place in `buffer`. */
  headersAt = 0;
  /** Why the records cannot be read on; undefined while all is well. */
  problem: string | undefined;

  #position = 0;
  #end = 0;
  #remaining = 0;
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
    const length = this.#varint();
    const bodyAt = this.#position;
    if (length < 1 || length > this.#end - bodyAt) return this.#fail("a record is longer than its batch");
    this.#position++;
    const timestampDelta = this.#varlong();
    this.offsetDelta = this.#varint();
    this.keyLength = this.#varint();
    this.keyAt = this.#position;
    this.#skip(this.keyLength);
    this.valueLength = this.#varint();
    this.valueAt = this.#position;
    this.#skip(this.valueLength);
    this.headerCount = this.#varint();
    this.headersAt = this.#position;
    if (this.headerCount < 0) return this.#fail(`a record has ${this.headerCount} headers`);
    for (let header = 0; header < this.headerCount && this.problem === undefined; header++) {
      const keyLength = this.#varint();
      if (keyLength < 0) return this.#fail("a record's header has no key");
      this.#skip(keyLength);
      this.#skip(this.#varint());
    }
    if (this.problem !== undefined) return this.#fail(this.problem);
    if (this.#position !== bodyAt + length) return this.#fail("a record's fields do not fill its length");
    this.offset = this.#baseOffset + this.offsetDelta;
    this.timestamp = this.#appendTime ?? this.#baseTimestamp + timestampDelta;
    this.sequence = this.#baseSequence < 0 ? NO_SEQUENCE : addToSequence(this.#baseSequence, this.offsetDelta);
    return true;
  }

  /** Null, or a view of the key's bytes. */
  key(): Buffer | null {
    return this.keyLength < 0 ? null : this.buffer.subarray(this.keyAt, this.keyAt + this.keyLength);
  }

  value(): Buffer | null {
    return this.valueLength < 0 ? null : this.buffer.subarray(this.valueAt, this.valueAt + this.valueLength);
  }

  #fail(problem: string): false {
    this.problem = problem;
    this.#remaining = 0;
    return false;
  }

  #skip(length: number): void {
    if (length > this.#end - this.#position) this.problem = "a record is longer than its batch";
    else if (length > 0) this.#position += length;
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
