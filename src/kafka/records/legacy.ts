import { writeInt64 } from "../../lib/int64.ts";
import { batchMagic } from "./batch.ts";
import { crc32 } from "./crc.ts";

/**
 * Messages of the formats 0 and 1: int64 offset · int32 length of what follows · uint32 CRC-32 of what follows · int8
 * magic · int8 attributes · [format 1: int64 timestamp] · int32 key length (-1 null) and key · int32 value length (-1
 * null) and value. A wrapper's value is packed messages. Source: LegacyRecord of Apache Kafka 2.7.1.
 */
export type LegacyMagic = 0 | 1;

const LENGTH_AT = 8;
const CRC_AT = 12;
const MAGIC_AT = 16;
const ATTRIBUTES_AT = 17;
const TIMESTAMP_AT = 18;
const KEY_AT = [18, 26] as const;
const LOG_APPEND_TIME_BIT = 0x08;
/** Offset and length. */
const LOG_OVERHEAD_BYTES = 12;

/** Where the key and the value of a message stand; one object is read into again and again. */
export class LegacyFields {
  keyAt = 0;
  /** -1: null. */
  keyLength = 0;
  valueAt = 0;
  /** -1: null. */
  valueLength = 0;

  /** False where they do not fit the message of `size` bytes; bytes behind the value are nobody's business. */
  read(buffer: Buffer, at: number, size: number): boolean {
    const lengthAt = KEY_AT[batchMagic(buffer, at)];
    if (lengthAt === undefined) return false;
    const end = at + size;
    this.keyAt = at + lengthAt + 4;
    if (this.keyAt > end) return false;
    this.keyLength = Math.max(-1, buffer.readInt32BE(this.keyAt - 4));
    this.valueAt = this.keyAt + Math.max(0, this.keyLength) + 4;
    if (this.valueAt > end) return false;
    this.valueLength = Math.max(-1, buffer.readInt32BE(this.valueAt - 4));
    return this.valueAt + Math.max(0, this.valueLength) <= end;
  }
}

export interface LegacyMessage {
  readonly magic: LegacyMagic;
  readonly offset: number;
  /** Of a wrapper; 0 for a plain message. */
  readonly codec: number;
  /** Format 1 only. */
  readonly timestamp: number;
  readonly appendTime: boolean;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
}

/** Bytes of a message with its offset and length. */
export function legacyMessageBytes(magic: LegacyMagic, key: Buffer | null, value: Buffer | null): number {
  return KEY_AT[magic] + 8 + (key?.length ?? 0) + (value?.length ?? 0);
}

/** Returns where it ends. */
export function writeLegacyMessage(into: Buffer, at: number, message: LegacyMessage): number {
  const { magic, offset, codec, timestamp, appendTime, key, value } = message;
  const size = legacyMessageBytes(magic, key, value);
  writeInt64(into, offset, at);
  into.writeInt32BE(size - LOG_OVERHEAD_BYTES, at + LENGTH_AT);
  into.writeInt8(magic, at + MAGIC_AT);
  into.writeUInt8(magic > 0 && appendTime ? codec | LOG_APPEND_TIME_BIT : codec, at + ATTRIBUTES_AT);
  if (magic > 0) writeInt64(into, timestamp, at + TIMESTAMP_AT);
  const valueAt = writeField(into, at + KEY_AT[magic], key);
  const end = writeField(into, valueAt, value);
  into.writeUInt32BE(crc32(into, at + MAGIC_AT, end), at + CRC_AT);
  return end;
}

export function legacyMessage(message: LegacyMessage): Buffer {
  const bytes = Buffer.allocUnsafe(legacyMessageBytes(message.magic, message.key, message.value));
  writeLegacyMessage(bytes, 0, message);
  return bytes;
}

function writeField(into: Buffer, at: number, bytes: Buffer | null): number {
  into.writeInt32BE(bytes?.length ?? -1, at);
  bytes?.copy(into, at + 4);
  return at + 4 + (bytes?.length ?? 0);
}
