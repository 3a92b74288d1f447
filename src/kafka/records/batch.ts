import { readInt64, writeInt64 } from "../../lib/int64.ts";
import { crc32, crc32c } from "./crc.ts";

/**
 * Accessors over one batch that lies in a buffer at `at`, for all three formats: a v2 record batch, or a v0/v1
 * message (which may wrap compressed messages). No object per batch.
 *
 * v2, 61 bytes then the records: int64 base offset · int32 length of what follows · int32 partition leader epoch ·
 * int8 magic · uint32 CRC-32C of everything after it · int16 attributes · int32 last offset delta · int64 first
 * timestamp · int64 max timestamp · int64 producer id · int16 producer epoch · int32 base sequence · int32 count.
 * v0/v1: int64 offset · int32 length · uint32 CRC-32 of what follows · int8 magic · int8 attributes · [v1: int64
 * timestamp] · key · value.
 * Source: DefaultRecordBatch, AbstractLegacyRecordBatch, LegacyRecord and FileLogInputStream of Apache Kafka 2.7.1.
 */
export const BATCH_HEADER_BYTES = 61;
/** Offset and length, in front of every batch and message. */
const LOG_OVERHEAD_BYTES = 12;
/** As much as tells a batch's size and format. */
export const BATCH_PREFIX_BYTES = 17;
/** Of v0 messages, v1 messages and v2 batches: the least that the length field may say. */
const LENGTH_MIN = [14, 22, BATCH_HEADER_BYTES - LOG_OVERHEAD_BYTES] as const;

const LENGTH_AT = 8;
const LEADER_EPOCH_AT = 12;
const LEGACY_CRC_AT = 12;
const MAGIC_AT = 16;
const CRC_AT = 17;
const LEGACY_ATTRIBUTES_AT = 17;
const LEGACY_TIMESTAMP_AT = 18;
const ATTRIBUTES_AT = 21;
const LAST_OFFSET_DELTA_AT = 23;
const FIRST_TIMESTAMP_AT = 27;
const MAX_TIMESTAMP_AT = 35;
const PRODUCER_ID_AT = 43;
const PRODUCER_EPOCH_AT = 51;
const BASE_SEQUENCE_AT = 53;
const COUNT_AT = 57;

const CODEC_MASK = 0x07;
const LOG_APPEND_TIME_BIT = 0x08;
const TRANSACTIONAL_BIT = 0x10;
const CONTROL_BIT = 0x20;

export const NO_TIMESTAMP = -1;
export const NO_PRODUCER_ID = -1;
export const NO_PRODUCER_EPOCH = -1;
export const NO_SEQUENCE = -1;
export const NO_LEADER_EPOCH = -1;

/** Codecs by their number in the attributes. */
export const Codec = { none: 0, gzip: 1, snappy: 2, lz4: 3, zstd: 4 } as const;
export type TimestampType = "CreateTime" | "LogAppendTime";

/**
 * Bytes of the batch at `at`, its offset and length included; 0 where fewer than BATCH_PREFIX_BYTES come before
 * `end`, -1 where no batch can begin like this. The batch itself may reach beyond `end`.
 */
export function declaredBatchSize(buffer: Buffer, at: number, end: number): number {
  if (end - at < BATCH_PREFIX_BYTES) return 0;
  const length = buffer.readInt32BE(at + LENGTH_AT);
  const lengthMin = LENGTH_MIN[batchMagic(buffer, at)];
  return lengthMin === undefined || length < lengthMin ? -1 : length + LOG_OVERHEAD_BYTES;
}

/** As declaredBatchSize, and 0 where the batch is cut off by `end`. */
export function wholeBatchSize(buffer: Buffer, at: number, end: number): number {
  const size = declaredBatchSize(buffer, at, end);
  return size > end - at ? 0 : size;
}

export function batchMagic(buffer: Buffer, at: number): number {
  return buffer.readInt8(at + MAGIC_AT);
}

/** Whether the checksum holds for the whole batch of `size` bytes. */
export function batchChecksumHolds(buffer: Buffer, at: number, size: number): boolean {
  return batchMagic(buffer, at) < 2
    ? buffer.readUInt32BE(at + LEGACY_CRC_AT) === crc32(buffer, at + MAGIC_AT, at + size)
    : buffer.readUInt32BE(at + CRC_AT) === crc32c(buffer, at + ATTRIBUTES_AT, at + size);
}

/** v2: the first offset. v0/v1: the offset of the message, which for a wrapper is its last. */
export function batchBaseOffset(buffer: Buffer, at: number): number {
  return readInt64(buffer, at);
}

export function batchLastOffset(buffer: Buffer, at: number): number {
  const base = readInt64(buffer, at);
  return batchMagic(buffer, at) < 2 ? base : base + buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT);
}

/** -1 in v0. */
export function batchMaxTimestamp(buffer: Buffer, at: number): number {
  switch (batchMagic(buffer, at)) {
    case 0:
      return NO_TIMESTAMP;
    case 1:
      return readInt64(buffer, at + LEGACY_TIMESTAMP_AT);
    default:
      return readInt64(buffer, at + MAX_TIMESTAMP_AT);
  }
}

function attributes(buffer: Buffer, at: number): number {
  return batchMagic(buffer, at) < 2 ? buffer.readUInt8(at + LEGACY_ATTRIBUTES_AT) : buffer.readUInt16BE(at + ATTRIBUTES_AT);
}

/** A number of `Codec`, or one that no codec has. */
export function batchCodec(buffer: Buffer, at: number): number {
  return attributes(buffer, at) & CODEC_MASK;
}

export function batchTimestampType(buffer: Buffer, at: number): TimestampType {
  return (attributes(buffer, at) & LOG_APPEND_TIME_BIT) === 0 ? "CreateTime" : "LogAppendTime";
}

export function batchLeaderEpoch(buffer: Buffer, at: number): number {
  return batchMagic(buffer, at) < 2 ? NO_LEADER_EPOCH : buffer.readInt32BE(at + LEADER_EPOCH_AT);
}

export function batchIsTransactional(buffer: Buffer, at: number): boolean {
  return batchMagic(buffer, at) >= 2 && (attributes(buffer, at) & TRANSACTIONAL_BIT) !== 0;
}

export function batchIsControl(buffer: Buffer, at: number): boolean {
  return batchMagic(buffer, at) >= 2 && (attributes(buffer, at) & CONTROL_BIT) !== 0;
}

export function batchProducerId(buffer: Buffer, at: number): number {
  return batchMagic(buffer, at) < 2 ? NO_PRODUCER_ID : readInt64(buffer, at + PRODUCER_ID_AT);
}

/** The accessors below are for v2 only. */
export function batchLastOffsetDelta(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + LAST_OFFSET_DELTA_AT);
}

export function batchFirstTimestamp(buffer: Buffer, at: number): number {
  return readInt64(buffer, at + FIRST_TIMESTAMP_AT);
}

export function batchProducerEpoch(buffer: Buffer, at: number): number {
  return buffer.readInt16BE(at + PRODUCER_EPOCH_AT);
}

export function batchBaseSequence(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + BASE_SEQUENCE_AT);
}

/** Counts by the last offset delta, not by the records that compaction left. */
export function batchLastSequence(buffer: Buffer, at: number): number {
  const base = batchBaseSequence(buffer, at);
  return base === NO_SEQUENCE ? NO_SEQUENCE : addToSequence(base, batchLastOffsetDelta(buffer, at));
}

export function batchRecordCount(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at + COUNT_AT);
}

/** Sequence numbers wrap from 2^31-1 to 0, and back. */
export function addToSequence(sequence: number, delta: number): number {
  return (((sequence + delta) % 0x8000_0000) + 0x8000_0000) % 0x8000_0000;
}

/** Neither field is under the checksum. */
export function setBatchPlace(buffer: Buffer, at: number, baseOffset: number, leaderEpoch: number): void {
  writeInt64(buffer, baseOffset, at);
  buffer.writeInt32BE(leaderEpoch, at + LEADER_EPOCH_AT);
}

/** Sets the timestamp type and the max timestamp of a v2 batch; computes the checksum anew only where one of them changes. */
export function setBatchTimestamp(buffer: Buffer, at: number, size: number, type: TimestampType, maxTimestamp: number): void {
  if (batchTimestampType(buffer, at) === type && batchMaxTimestamp(buffer, at) === maxTimestamp) return;
  const others = attributes(buffer, at) & (CODEC_MASK | TRANSACTIONAL_BIT | CONTROL_BIT);
  buffer.writeInt16BE(type === "LogAppendTime" ? others | LOG_APPEND_TIME_BIT : others, at + ATTRIBUTES_AT);
  writeInt64(buffer, maxTimestamp, at + MAX_TIMESTAMP_AT);
  buffer.writeUInt32BE(crc32c(buffer, at + ATTRIBUTES_AT, at + size), at + CRC_AT);
}

export interface BatchHeader {
  readonly baseOffset: number;
  readonly leaderEpoch: number;
  readonly codec: number;
  readonly timestampType: TimestampType;
  readonly transactional: boolean;
  readonly control: boolean;
  readonly lastOffsetDelta: number;
  readonly firstTimestamp: number;
  readonly maxTimestamp: number;
  readonly producerId: number;
  readonly producerEpoch: number;
  readonly baseSequence: number;
  readonly recordCount: number;
}

/** Completes a v2 batch of `size` bytes at `at`, whose records stand already behind the place of the header. */
export function writeBatchHeader(buffer: Buffer, at: number, size: number, header: BatchHeader): void {
  writeInt64(buffer, header.baseOffset, at);
  buffer.writeInt32BE(size - LOG_OVERHEAD_BYTES, at + LENGTH_AT);
  buffer.writeInt32BE(header.leaderEpoch, at + LEADER_EPOCH_AT);
  buffer.writeInt8(2, at + MAGIC_AT);
  buffer.writeInt16BE(
    header.codec |
      (header.timestampType === "LogAppendTime" ? LOG_APPEND_TIME_BIT : 0) |
      (header.transactional ? TRANSACTIONAL_BIT : 0) |
      (header.control ? CONTROL_BIT : 0),
    at + ATTRIBUTES_AT,
  );
  buffer.writeInt32BE(header.lastOffsetDelta, at + LAST_OFFSET_DELTA_AT);
  writeInt64(buffer, header.firstTimestamp, at + FIRST_TIMESTAMP_AT);
  writeInt64(buffer, header.maxTimestamp, at + MAX_TIMESTAMP_AT);
  writeInt64(buffer, header.producerId, at + PRODUCER_ID_AT);
  buffer.writeInt16BE(header.producerEpoch, at + PRODUCER_EPOCH_AT);
  buffer.writeInt32BE(header.baseSequence, at + BASE_SEQUENCE_AT);
  buffer.writeInt32BE(header.recordCount, at + COUNT_AT);
  buffer.writeUInt32BE(crc32c(buffer, at + ATTRIBUTES_AT, at + size), at + CRC_AT);
}
