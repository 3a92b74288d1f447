/**
 * A big-endian int64 as a number: exact between -2^53 and 2^53, rounded beyond. Two 32-bit halves, because
 * Buffer.readBigInt64BE costs thirty times as much.
 */
export function readInt64(buffer: Buffer, at: number): number {
  return buffer.readInt32BE(at) * 0x1_0000_0000 + buffer.readUInt32BE(at + 4);
}

/** Writes a number as a big-endian int64; what lies outside its range becomes the nearest bound. */
export function writeInt64(buffer: Buffer, value: number, at: number): void {
  if (value >= 2 ** 63) {
    buffer.writeInt32BE(0x7fff_ffff, at);
    buffer.writeUInt32BE(0xffff_ffff, at + 4);
    return;
  }
  const bounded = Math.max(value, -(2 ** 63));
  const high = Math.floor(bounded / 0x1_0000_0000);
  buffer.writeInt32BE(high, at);
  buffer.writeUInt32BE(bounded - high * 0x1_0000_0000, at + 4);
}
