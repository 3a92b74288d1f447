/**
 * Snappy as Java's snappy-java frames it: eight bytes of magic number, int32 version, int32 the oldest version that can
 * read it, then blocks, each an int32 length and a raw snappy block. A block begins with its unpacked length (a varint).
 * Source: SnappyOutputStream, SnappyInputStream and SnappyCodec of snappy-java 1.1.7.
 */
const MAGIC = Buffer.from([0x82, 0x53, 0x4e, 0x41, 0x50, 0x50, 0x59, 0x00]);
const HEADER_BYTES = 16;
const VERSION = 1;
/** What snappy-java packs at a time. */
export const XERIAL_BLOCK_BYTES = 32 * 1024;

/** Places of the raw blocks in `bytes`: one where it is not framed at all. Undefined where the frame can't be read. */
export function snappyBlocks(bytes: Buffer): { readonly start: number; readonly end: number }[] | undefined {
  if (!isHeader(bytes, 0)) return [{ start: 0, end: bytes.length }];
  const blocks: { start: number; end: number }[] = [];
  for (let at = HEADER_BYTES; at < bytes.length; ) {
    // Streams one behind the other read as one.
    if (isHeader(bytes, at)) {
      at += HEADER_BYTES;
      continue;
    }
    if (bytes.length - at < 4) return undefined;
    const length = bytes.readInt32BE(at);
    const start = at + 4;
    if (length < 0 || length > bytes.length - start) return undefined;
    blocks.push({ start, end: start + length });
    at = start + length;
  }
  return blocks;
}

function isHeader(bytes: Buffer, at: number): boolean {
  return bytes.length - at >= HEADER_BYTES && bytes.compare(MAGIC, 0, MAGIC.length, at, at + MAGIC.length) === 0;
}

/** Undefined where the block does not begin with a length. */
export function unpackedLength(bytes: Buffer, start: number, end: number): number | undefined {
  let length = 0;
  for (let at = start; at < end && at < start + 5; at++) {
    const byte = bytes[at] as number;
    length += (byte & 0x7f) * 2 ** (7 * (at - start));
    if (byte < 0x80) return length;
  }
  return undefined;
}

export function frameSnappy(blocks: readonly Buffer[]): Buffer {
  const header = Buffer.alloc(HEADER_BYTES);
  MAGIC.copy(header);
  header.writeInt32BE(VERSION, MAGIC.length);
  header.writeInt32BE(VERSION, MAGIC.length + 4);
  const parts: Buffer[] = [header];
  for (const block of blocks) {
    const length = Buffer.alloc(4);
    length.writeInt32BE(block.length);
    parts.push(length, block);
  }
  return Buffer.concat(parts);
}
