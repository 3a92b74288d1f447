import { gunzipSync, gzipSync } from "node:zlib";
import { AssertionFailure } from "../../lib/assert.ts";
import { errorCode } from "../../lib/error.ts";
import { Codec } from "./batch.ts";
import { isCodecMissing, lz4, snappy, zstd } from "./compression/native.ts";
import { descriptorChecksum, oldDescriptorChecksum, walkLz4Frame } from "./compression/lz4-frame.ts";
import { XERIAL_BLOCK_BYTES, frameSnappy, snappyBlocks, unpackedLength } from "./compression/xerial.ts";
import { ZSTD_BLOCK_BYTES_MAX, zstdUnpackedBytesMax } from "./compression/zstd-frame.ts";

/**
 * The codecs, each a synchronous call: a job of the thread pool would end at another time in each run of a simulation.
 * The formats are those of Kafka's CompressionType: gzip members, snappy in xerial's framing (or a bare block), one LZ4
 * frame, Zstandard frames.
 */
export interface UnpackLimits {
  /** Of the batch or wrapper: what format 0 packs with LZ4 has a checksum of its own. */
  readonly magic: number;
  /** More than this is never unpacked: what bounds the result is known before. */
  readonly bytesMax: number;
}

/** What brokers allow one batch or wrapper to unpack to: each was taken within its max.message.bytes, so that only a damaged or hostile one comes to more. */
export const UNPACKED_BYTES_MAX = 64 * 1024 * 1024;

export function decompress(codec: number, bytes: Buffer, limits: UnpackLimits): Buffer | "too large" | "corrupt" {
  try {
    const unpacked = unpack(codec, bytes, limits);
    return typeof unpacked !== "string" && unpacked.length > limits.bytesMax ? "too large" : unpacked;
  } catch (error) {
    if (isCodecMissing(error)) throw error;
    return errorCode(error) === "ERR_BUFFER_TOO_LARGE" ? "too large" : "corrupt";
  }
}

function unpack(codec: number, bytes: Buffer, { magic, bytesMax }: UnpackLimits): Buffer | "too large" | "corrupt" {
  switch (codec) {
    case Codec.none:
      return bytes;
    case Codec.gzip:
      // A maximum of 0 is taken for none at all.
      return gunzipSync(bytes, { maxOutputLength: Math.max(1, bytesMax) });
    case Codec.snappy:
      return unpackSnappy(bytes, bytesMax);
    case Codec.lz4:
      return unpackLz4(bytes, magic, bytesMax);
    case Codec.zstd: {
      const most = zstdUnpackedBytesMax(bytes);
      if (most === undefined) return "corrupt";
      return most > bytesMax + ZSTD_BLOCK_BYTES_MAX ? "too large" : new (zstd().Decoder)().decodeSync(bytes);
    }
    default:
      return "corrupt";
  }
}


function unpackSnappy(bytes: Buffer, bytesMax: number): Buffer | "too large" | "corrupt" {
  const blocks = snappyBlocks(bytes);
  if (blocks === undefined) return "corrupt";
  let total = 0;
  for (const { start, end } of blocks) {
    const length = unpackedLength(bytes, start, end);
    if (length === undefined) return "corrupt";
    total += length;
    if (total > bytesMax) return "too large";
  }
  const unpacked = blocks.map(({ start, end }) => snappy().uncompressSync(bytes.subarray(start, end), { asBuffer: true }) as Buffer);
  return unpacked.length === 1 ? (unpacked[0] as Buffer) : Buffer.concat(unpacked);
}

function unpackLz4(bytes: Buffer, magic: number, bytesMax: number): Buffer | "too large" | "corrupt" {
  const frame = walkLz4Frame(bytes);
  if (frame === undefined) return "corrupt";
  // The last block may be taken for larger than it is.
  if (frame.unpackedBytesMax > bytesMax + frame.blockBytesMax) return "too large";
  if (magic > 0) return lz4().decompressFrameSync(bytes);
  // Readers of format 0 never look at it, since no two kinds of clients agreed on it.
  const patched = Buffer.from(bytes);
  patched[frame.checksumAt] = descriptorChecksum(patched, frame.checksumAt);
  return lz4().decompressFrameSync(patched);
}

/** Packs for a batch or wrapper of format `magic`. */
export function compress(codec: number, bytes: Buffer, magic: number): Buffer {
  switch (codec) {
    case Codec.none:
      return bytes;
    case Codec.gzip:
      return gzipSync(bytes);
    case Codec.snappy:
      return packSnappy(bytes);
    case Codec.lz4:
      return packLz4(bytes, magic);
    case Codec.zstd:
      return new (zstd().Encoder)(ZSTD_LEVEL).encodeSync(bytes);
    default:
      throw new AssertionFailure(`there is no codec ${codec}`);
  }
}

/** The library's own default, which Kafka's clients use. */
const ZSTD_LEVEL = 3;

function packSnappy(bytes: Buffer): Buffer {
  const blocks: Buffer[] = [];
  for (let at = 0; at < bytes.length; at += XERIAL_BLOCK_BYTES) blocks.push(snappy().compressSync(bytes.subarray(at, at + XERIAL_BLOCK_BYTES)));
  return frameSnappy(blocks);
}

function packLz4(bytes: Buffer, magic: number): Buffer {
  const packed = lz4().compressFrameSync(bytes);
  if (magic > 0) return packed;
  const frame = walkLz4Frame(packed);
  if (frame === undefined) throw new AssertionFailure("the LZ4 library wrote no frame");
  packed[frame.checksumAt] = oldDescriptorChecksum(packed, frame.checksumAt);
  return packed;
}
