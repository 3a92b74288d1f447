/**
 * The most that Zstandard frames, one behind the other, can unpack to; undefined where they can't be read. A frame:
 * uint32le magic number · descriptor · [window] · [dictionary id] · [content size] · blocks, each three bytes (last, type,
 * size) and its content · [a checksum]. Source: RFC 8878, section 3.
 */
const MAGIC = 0xfd2f_b528;
/** The lowest four bits are free; such a frame gives nothing. */
const SKIPPABLE_MAGIC = 0x184d_2a50;
export const ZSTD_BLOCK_BYTES_MAX = 128 * 1024;
const RAW = 0;
const RUN = 1;
const RESERVED = 3;

export function zstdUnpackedBytesMax(bytes: Buffer): number | undefined {
  let total = 0;
  for (let at = 0; at < bytes.length; ) {
    const frame = walkFrame(bytes, at);
    if (frame === undefined) return undefined;
    total += frame.unpackedBytesMax;
    at = frame.end;
  }
  return total;
}

function walkFrame(bytes: Buffer, start: number): { readonly end: number; readonly unpackedBytesMax: number } | undefined {
  if (bytes.length - start < 8) return undefined;
  const magic = bytes.readUInt32LE(start);
  if (((magic & 0xffff_fff0) >>> 0) === SKIPPABLE_MAGIC) {
    const end = start + 8 + bytes.readUInt32LE(start + 4);
    return end > bytes.length ? undefined : { end, unpackedBytesMax: 0 };
  }
  if (magic !== MAGIC) return undefined;
  const descriptor = bytes.readUInt8(start + 4);
  const singleSegment = (descriptor & 0x20) !== 0;
  const dictionaryBytes = [0, 1, 2, 4][descriptor & 3] as number;
  const contentSizeBytes = [singleSegment ? 1 : 0, 2, 4, 8][descriptor >> 6] as number;
  const checksumBytes = (descriptor & 0x04) === 0 ? 0 : 4;
  let unpackedBytesMax = 0;
  for (let at = start + 5 + (singleSegment ? 0 : 1) + dictionaryBytes + contentSizeBytes; at + 3 <= bytes.length; ) {
    const header = bytes.readUIntLE(at, 3);
    const type = (header >> 1) & 3;
    const size = header >> 3;
    if (type === RESERVED) return undefined;
    unpackedBytesMax += type === RAW || type === RUN ? size : ZSTD_BLOCK_BYTES_MAX;
    at += 3 + (type === RUN ? 1 : size);
    if ((header & 1) === 0) continue;
    const end = at + checksumBytes;
    return end > bytes.length ? undefined : { end, unpackedBytesMax };
  }
  return undefined;
}
