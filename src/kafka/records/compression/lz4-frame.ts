import { xxhash32 } from "./xxhash32.ts";

/**
 * What can be told of an LZ4 frame without unpacking it: uint32le magic number · FLG · BD · [int64le content size] ·
 * HC · blocks, each a uint32le size (highest bit: stored as it is), its bytes and [a checksum] · uint32le 0 ·
 * [a checksum]. Source: lz4_Frame_format.md; KafkaLZ4BlockInputStream and KafkaLZ4BlockOutputStream.
 */
export interface Lz4Frame {
  /** Of HC, the checksum of the descriptor. */
  readonly checksumAt: number;
  readonly blockBytesMax: number;
  /** No frame of these blocks unpacks to more. */
  readonly unpackedBytesMax: number;
}

const MAGIC = 0x184d_2204;
const MAGIC_BYTES = 4;
const FLG_AT = 4;
const BD_AT = 5;
const VERSION_MASK = 0xc0;
const VERSION = 0x40;
const BLOCK_CHECKSUM = 0x10;
const CONTENT_SIZE = 0x08;
const RESERVED_OR_DICTIONARY = 0x03;
const STORED = 0x8000_0000;
/** A byte of a block gives no more: 255 is what a byte adds to a length. */
const RATIO_MAX = 255;

/** Undefined where it is no frame, or a cut one, or one that wants a dictionary. What follows the frame is not looked at. */
export function walkLz4Frame(bytes: Buffer): Lz4Frame | undefined {
  if (bytes.length < BD_AT + 2 || bytes.readUInt32LE(0) !== MAGIC) return undefined;
  const flags = bytes.readUInt8(FLG_AT);
  if ((flags & VERSION_MASK) !== VERSION || (flags & RESERVED_OR_DICTIONARY) !== 0) return undefined;
  const sizeCode = (bytes.readUInt8(BD_AT) >> 4) & 7;
  if (sizeCode < 4) return undefined;
  const blockBytesMax = 2 ** (8 + 2 * sizeCode);
  const checksumAt = (flags & CONTENT_SIZE) === 0 ? BD_AT + 1 : BD_AT + 9;
  const blockChecksumBytes = (flags & BLOCK_CHECKSUM) === 0 ? 0 : 4;
  let unpackedBytesMax = 0;
  for (let at = checksumAt + 1; at + 4 <= bytes.length; ) {
    const word = bytes.readUInt32LE(at);
    if (word === 0) return { checksumAt, blockBytesMax, unpackedBytesMax };
    const stored = word >= STORED;
    const size = stored ? word - STORED : word;
    unpackedBytesMax += stored ? size : Math.min(blockBytesMax, size * RATIO_MAX);
    at += 4 + size + blockChecksumBytes;
  }
  return undefined;
}

/** As the specification has it: over the descriptor. */
export function descriptorChecksum(bytes: Buffer, checksumAt: number): number {
  return (xxhash32(bytes.subarray(MAGIC_BYTES, checksumAt)) >>> 8) & 0xff;
}

/** As Kafka's clients computed it for messages of format 0, and its readers of that time expect it: the magic number taken in (KAFKA-3160). */
export function oldDescriptorChecksum(bytes: Buffer, checksumAt: number): number {
  return (xxhash32(bytes.subarray(0, checksumAt)) >>> 8) & 0xff;
}
