import { readInt64, writeInt64 } from "../../lib/int64.ts";
import { crc32c } from "../records/crc.ts";
import type { ProducerEntry } from "./producer-state.ts";

const VERSION = 1;
const HEADER_BYTES = 10;
const CRC_AT = 2;
const CHECKED_FROM = 6;
const ENTRY_BYTES = 46;

/**
 * `.snapshot`: int16 version 1 · uint32 CRC-32C of all that follows · int32 count · entries of int64 producer id,
 * int16 epoch, int32 last sequence, int64 last offset, int32 offset delta, int64 timestamp, int32 coordinator epoch,
 * int64 first offset of the open transaction. -1 for what there is not. Source: kafka.log.ProducerStateManager.
 */
export function encodeSnapshot(producers: ReadonlyMap<number, ProducerEntry>): Buffer {
  const bytes = Buffer.alloc(HEADER_BYTES + producers.size * ENTRY_BYTES);
  bytes.writeInt16BE(VERSION, 0);
  bytes.writeInt32BE(producers.size, CHECKED_FROM);
  let at = HEADER_BYTES;
  for (const entry of producers.values()) {
    const newest = entry.batches.at(-1);
    writeInt64(bytes, entry.producerId, at);
    bytes.writeInt16BE(entry.epoch, at + 8);
    bytes.writeInt32BE(newest?.lastSequence ?? -1, at + 10);
    writeInt64(bytes, newest?.lastOffset ?? -1, at + 14);
    bytes.writeInt32BE(newest?.offsetDelta ?? 0, at + 22);
    writeInt64(bytes, entry.lastTimestamp, at + 26);
    bytes.writeInt32BE(entry.coordinatorEpoch, at + 34);
    writeInt64(bytes, entry.currentTxnFirstOffset, at + 38);
    at += ENTRY_BYTES;
  }
  bytes.writeUInt32BE(crc32c(bytes, CHECKED_FROM), CRC_AT);
  return bytes;
}

/** Undefined where the file is damaged or of another version: an older snapshot has to serve. */
export function decodeSnapshot(bytes: Buffer): ProducerEntry[] | undefined {
  if (bytes.length < HEADER_BYTES || bytes.readInt16BE(0) !== VERSION) return undefined;
  if (bytes.readUInt32BE(CRC_AT) !== crc32c(bytes, CHECKED_FROM)) return undefined;
  const count = bytes.readInt32BE(CHECKED_FROM);
  if (count < 0 || bytes.length < HEADER_BYTES + count * ENTRY_BYTES) return undefined;
  return Array.from({ length: count }, (_, index) => decodeEntry(bytes, HEADER_BYTES + index * ENTRY_BYTES));
}

function decodeEntry(bytes: Buffer, at: number): ProducerEntry {
  const lastOffset = readInt64(bytes, at + 14);
  const timestamp = readInt64(bytes, at + 26);
  const newest = { lastSequence: bytes.readInt32BE(at + 10), lastOffset, offsetDelta: bytes.readInt32BE(at + 22), timestamp };
  return {
    producerId: readInt64(bytes, at),
    epoch: bytes.readInt16BE(at + 8),
    batches: lastOffset < 0 ? [] : [newest],
    coordinatorEpoch: bytes.readInt32BE(at + 34),
    lastTimestamp: timestamp,
    currentTxnFirstOffset: readInt64(bytes, at + 38),
  };
}
