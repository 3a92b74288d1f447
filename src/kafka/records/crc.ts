import { crc32 as nativeCrc32, crc32c as nativeCrc32c } from "@node-rs/crc32";

/** Below this the call into native code costs more than it saves. */
const NATIVE_BYTES_MIN = 300;

/** CRC-32C (Castagnoli) of bytes[start, end), unsigned: the checksum of v2 batches and of producer snapshots. */
export function crc32c(bytes: Buffer, start = 0, end = bytes.length): number {
  return end - start < NATIVE_BYTES_MIN ? slicingBy8(castagnoli, bytes, start, end) : nativeCrc32c(bytes.subarray(start, end));
}

/** CRC-32 (IEEE) of bytes[start, end), unsigned: the checksum of v0 and v1 messages. */
export function crc32(bytes: Buffer, start = 0, end = bytes.length): number {
  return end - start < NATIVE_BYTES_MIN ? slicingBy8(ieee, bytes, start, end) : nativeCrc32(bytes.subarray(start, end));
}

/** Eight tables, one after the other: table k advances a byte by k further zero bytes (Intel's slicing-by-8). */
const castagnoli = tablesOf(0x82f6_3b78);
const ieee = tablesOf(0xedb8_8320);

function tablesOf(polynomial: number): Int32Array {
  const table = new Int32Array(8 * 256);
  for (let byte = 0; byte < 256; byte++) {
    let crc = byte;
    for (let bit = 0; bit < 8; bit++) crc = (crc & 1) === 0 ? crc >>> 1 : (crc >>> 1) ^ polynomial;
    table[byte] = crc;
  }
  for (let at = 256; at < table.length; at++) {
    const previous = table[at - 256] as number;
    table[at] = (previous >>> 8) ^ (table[previous & 0xff] as number);
  }
  return table;
}

function slicingBy8(table: Int32Array, bytes: Buffer, start: number, end: number): number {
  let crc = -1;
  let at = start;
  for (; at + 8 <= end; at += 8) {
    const low =
      crc ^ ((bytes[at] as number) | ((bytes[at + 1] as number) << 8) | ((bytes[at + 2] as number) << 16) | ((bytes[at + 3] as number) << 24));
    crc =
      (table[0x700 | (low & 0xff)] as number) ^
      (table[0x600 | ((low >>> 8) & 0xff)] as number) ^
      (table[0x500 | ((low >>> 16) & 0xff)] as number) ^
      (table[0x400 | (low >>> 24)] as number) ^
      (table[0x300 | (bytes[at + 4] as number)] as number) ^
      (table[0x200 | (bytes[at + 5] as number)] as number) ^
      (table[0x100 | (bytes[at + 6] as number)] as number) ^
      (table[bytes[at + 7] as number] as number);
  }
  for (; at < end; at++) crc = (crc >>> 8) ^ (table[(crc ^ (bytes[at] as number)) & 0xff] as number);
  return ~crc >>> 0;
}
