import { defaultOf, type Field } from "./model.ts";
import type { Writer } from "./writer.ts";

/** Whether a tagged field may be left out of its message. */
export function isDefault(field: Field, value: unknown): boolean {
  return equal(defaultOf(field), value);
}

function equal(a: unknown, b: unknown): boolean {
  if (Object.is(a, b)) return true;
  if (typeof a !== "object" || typeof b !== "object" || a === null || b === null) return false;
  if (Buffer.isBuffer(a)) return Buffer.isBuffer(b) && a.equals(b);
  const [left, right] = [Object.entries(a), new Map(Object.entries(b))];
  return left.length === right.size && left.every(([key, value]) => right.has(key) && equal(value, right.get(key)));
}

/**
 * Jute's string: an int32 byte length, then each UTF-16 unit encoded by itself, so that a surrogate pair takes two
 * three-byte groups (CESU-8). Source: BinaryOutputArchive.stringToByteBuffer.
 */
export function writeCesu8(writer: Writer, value: string): void {
  const utf8Length = Buffer.byteLength(value);
  if (!SURROGATE.test(value)) {
    writer.int32(utf8Length);
    writer.utf8(value, utf8Length);
    return;
  }
  const bytes: number[] = [];
  for (let i = 0; i < value.length; i++) {
    const unit = value.charCodeAt(i);
    if (unit < 0x80) bytes.push(unit);
    else if (unit < 0x800) bytes.push(0xc0 | (unit >> 6), 0x80 | (unit & 0x3f));
    else bytes.push(0xe0 | (unit >> 12), 0x80 | ((unit >> 6) & 0x3f), 0x80 | (unit & 0x3f));
  }
  writer.int32(bytes.length);
  writer.bytes(Buffer.from(bytes));
}

const SURROGATE = /[\ud800-\udfff]/;
