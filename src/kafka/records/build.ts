import {
  BATCH_HEADER_BYTES,
  Codec,
  NO_LEADER_EPOCH,
  NO_PRODUCER_EPOCH,
  NO_PRODUCER_ID,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  writeBatchHeader,
  type TimestampType,
} from "./batch.ts";
import { compress } from "./compression.ts";

export interface RecordToWrite {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly headers?: readonly HeaderToWrite[];
}

export interface HeaderToWrite {
  readonly key: string;
  readonly value: Buffer | null;
}

export interface BatchOptions {
  /** Of `Codec`; none unless told otherwise. */
  readonly codec?: number;
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly timestampType?: TimestampType;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  readonly control?: boolean;
}

/** A v2 batch of at least one record, for writers inside the broker. */
export function buildBatch(records: readonly RecordToWrite[], options: BatchOptions = {}): Buffer {
  const firstTimestamp = records[0]?.timestamp ?? NO_TIMESTAMP;
  let maxTimestamp = NO_TIMESTAMP;
  let size = BATCH_HEADER_BYTES;
  for (const [delta, record] of records.entries()) {
    const length = bodyLength(record, delta, firstTimestamp);
    size += varintLength(length) + length;
    maxTimestamp = Math.max(maxTimestamp, record.timestamp);
  }
  const plain = Buffer.allocUnsafe(size);
  let at = BATCH_HEADER_BYTES;
  for (const [delta, record] of records.entries()) at = writeRecord(plain, at, record, delta, firstTimestamp);
  const codec = options.codec ?? Codec.none;
  const batch = codec === Codec.none ? plain : Buffer.concat([plain.subarray(0, BATCH_HEADER_BYTES), compress(codec, plain.subarray(BATCH_HEADER_BYTES), 2)]);
  writeBatchHeader(batch, 0, batch.length, {
    baseOffset: options.baseOffset ?? 0,
    leaderEpoch: options.leaderEpoch ?? NO_LEADER_EPOCH,
    codec,
    timestampType: options.timestampType ?? "CreateTime",
    transactional: options.transactional ?? false,
    control: options.control ?? false,
    lastOffsetDelta: records.length - 1,
    firstTimestamp,
    maxTimestamp,
    producerId: options.producerId ?? NO_PRODUCER_ID,
    producerEpoch: options.producerEpoch ?? NO_PRODUCER_EPOCH,
    baseSequence: options.baseSequence ?? NO_SEQUENCE,
    recordCount: records.length,
  });
  return batch;
}

function fieldLength(bytes: Buffer | null): number {
  return bytes === null ? 1 : varintLength(bytes.length) + bytes.length;
}

function bodyLength(record: RecordToWrite, delta: number, firstTimestamp: number): number {
  const headers = record.headers ?? [];
  let length = 1 + varintLength(record.timestamp - firstTimestamp) + varintLength(delta) + fieldLength(record.key) + fieldLength(record.value);
  length += varintLength(headers.length);
  for (const header of headers) {
    const keyLength = Buffer.byteLength(header.key);
    length += varintLength(keyLength) + keyLength + fieldLength(header.value);
  }
  return length;
}

function writeRecord(into: Buffer, start: number, record: RecordToWrite, delta: number, firstTimestamp: number): number {
  const headers = record.headers ?? [];
  let at = writeVarint(into, start, bodyLength(record, delta, firstTimestamp));
  into[at++] = 0;
  at = writeVarint(into, at, record.timestamp - firstTimestamp);
  at = writeVarint(into, at, delta);
  at = writeField(into, at, record.key);
  at = writeField(into, at, record.value);
  at = writeVarint(into, at, headers.length);
  for (const header of headers) {
    at = writeField(into, at, Buffer.from(header.key));
    at = writeField(into, at, header.value);
  }
  return at;
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
  let length = 1;
  for (let rest = zigzag(value); rest >= 0x80; rest = Math.floor(rest / 0x80)) length++;
  return length;
}

function writeVarint(into: Buffer, start: number, value: number): number {
  let at = start;
  let rest = zigzag(value);
  for (; rest >= 0x80; rest = Math.floor(rest / 0x80)) into[at++] = (rest % 0x80) | 0x80;
  into[at++] = rest;
  return at;
}
