import {
  BATCH_HEADER_BYTES,
  Codec,
  NO_LEADER_EPOCH,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  writeBatchHeader,
  type BatchHeader,
} from "./batch.ts";
import { compress } from "./compression.ts";

export interface HeaderToWrite {
  readonly key: string;
  readonly value: Buffer | null;
}

const FIRST_CAPACITY = 512;
const VARINT_BYTES_MAX = 10;
const NO_HEADERS: readonly HeaderToWrite[] = [];

/** Writes one v2 batch record by record, and packs it at the end. For one batch only. */
export class BatchBuilder {
  count = 0;

  readonly #codec: number;
  #buffer = Buffer.allocUnsafe(FIRST_CAPACITY);
  /** Behind the last record; the header's place is in front of the first. */
  #end = BATCH_HEADER_BYTES;
  #lastOffsetDelta = -1;
  #firstTimestamp = NO_TIMESTAMP;
  #maxTimestamp = NO_TIMESTAMP;

  constructor(codec: number) {
    this.#codec = codec;
  }

  /** Of the records so far. */
  get unpackedBytes(): number {
    return this.#end - BATCH_HEADER_BYTES;
  }

  /** Offset deltas must rise. `timestamp` is in milliseconds since the epoch, -1 for none. */
  add(offsetDelta: number, timestamp: number, key: Buffer | null, value: Buffer | null, headers: readonly HeaderToWrite[] = NO_HEADERS): void {
    if (this.count === 0) this.#firstTimestamp = timestamp;
    this.count++;
    this.#lastOffsetDelta = offsetDelta;
    this.#maxTimestamp = Math.max(this.#maxTimestamp, timestamp);
    const timestampDelta = timestamp - this.#firstTimestamp;
    let length = 1 + varintLength(timestampDelta) + varintLength(offsetDelta) + fieldLength(key) + fieldLength(value) + varintLength(headers.length);
    for (const header of headers) {
      const keyLength = Buffer.byteLength(header.key);
      length += varintLength(keyLength) + keyLength + fieldLength(header.value);
    }
    this.#reserve(length + VARINT_BYTES_MAX);
    const into = this.#buffer;
    let at = writeVarint(into, this.#end, length);
    into[at++] = 0;
    at = writeVarint(into, at, timestampDelta);
    at = writeVarint(into, at, offsetDelta);
    at = writeField(into, at, key);
    at = writeField(into, at, value);
    at = writeVarint(into, at, headers.length);
    for (const header of headers) {
      at = writeField(into, at, Buffer.from(header.key));
      at = writeField(into, at, header.value);
    }
    this.#end = at;
  }

  /** What `header` does not say follows from the records, or is none; the codec is the builder's. */
  finish(header: Partial<Omit<BatchHeader, "codec">> = {}): Buffer {
    let batch = Buffer.from(this.#buffer.subarray(0, this.#end));
    if (this.#codec !== Codec.none) batch = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), compress(this.#codec, batch.subarray(BATCH_HEADER_BYTES), 2)]);
    writeBatchHeader(batch, 0, batch.length, {
      baseOffset: 0,
      leaderEpoch: NO_LEADER_EPOCH,
      timestampType: "CreateTime",
      transactional: false,
      control: false,
      lastOffsetDelta: this.#lastOffsetDelta,
      firstTimestamp: this.#firstTimestamp,
      maxTimestamp: this.#maxTimestamp,
      producerId: NO_PRODUCER_ID,
      producerEpoch: NO_PRODUCER_EPOCH,
      baseSequence: NO_SEQUENCE,
      recordCount: this.count,
      ...header,
      codec: this.#codec,
    });
    return batch;
  }

  #reserve(bytes: number): void {
    if (this.#buffer.length - this.#end >= bytes) return;
    const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, this.#end + bytes));
    this.#buffer.copy(larger, 0, 0, this.#end);
    this.#buffer = larger;
  }
}

function fieldLength(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintLength(bytes.length) + bytes.length;
}

function writeField(into: Buffer, at: number, bytes: Buffer | null): number {
  if (bytes === null) return writeVarint(into, at, -1);
  const start = writeVarint(into, at, bytes.length);
  return start + bytes.copy(into, start);
}

/** Zigzag, as a number that may pass 32 bits: timestamp deltas do. */
function zigzag(value: number): number {
  return value < 0 ? -2 * value - 1 : 2 * value;
}

function varintLength(value: number): number {
  if (value >= -64 && value < 64) return 1;
  let length = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

function writeVarint(into: Buffer, start: number, value: number): number {
  let at = start;
  let rest = zigzag(value);
  // Most are short; division is for those that pass 32 bits.
  for (; rest < 0x8000_0000 && rest >= 0x80; rest >>>= 7) into[at++] = (rest & 0x7f) | 0x80;
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[at++] = (rest % 0x80) | 0x80;
  into[at++] = rest;
  return at;
}
