import { OperationalError } from "../lib/error.ts";
import type { Show } from "./print/records.ts";

/**
 * What Apache's console consumer prints for the bytes of a field under a deserializer of the package
 * org.apache.kafka.common.serialization: the text of the Java object. Undefined: not one of these. What the bytes are
 * not throws ERR_FORMAT. A byte array is printed as it is, where Java would print the array's identity.
 */
export function deserializerNamed(className: string): Show | undefined {
  return className.startsWith(PACKAGE) ? SHOWN.get(className.slice(PACKAGE.length)) : undefined;
}

const PACKAGE = "org.apache.kafka.common.serialization.";

const SHOWN: ReadonlyMap<string, Show> = new Map<string, Show>([
  ["StringDeserializer", (bytes) => Buffer.from(bytes.toString("utf8"))],
  ["ByteArrayDeserializer", (bytes) => bytes],
  ["BytesDeserializer", (bytes) => Buffer.from([...bytes].map(escaped).join(""))],
  ["ShortDeserializer", sized("short", 2, (bytes) => String(bytes.readInt16BE(0)))],
  ["IntegerDeserializer", sized("integer", 4, (bytes) => String(bytes.readInt32BE(0)))],
  ["LongDeserializer", sized("long", 8, (bytes) => String(bytes.readBigInt64BE(0)))],
  ["FloatDeserializer", sized("float", 4, (bytes) => javaNumber(bytes.readFloatBE(0), true))],
  ["DoubleDeserializer", sized("double", 8, (bytes) => javaNumber(bytes.readDoubleBE(0), false))],
  ["UUIDDeserializer", uuid],
]);

/** As org.apache.kafka.common.utils.Bytes prints itself. */
function escaped(byte: number): string {
  const char = String.fromCharCode(byte);
  return char >= " " && char <= "~" && char !== "\\" ? char : `\\x${byte.toString(16).toUpperCase().padStart(2, "0")}`;
}

function sized(what: string, size: number, text: (bytes: Buffer) => string): Show {
  return (bytes) => {
    if (bytes.length !== size) throw new OperationalError("ERR_FORMAT", `${bytes.length} bytes are no ${what}, which has ${size}`);
    return Buffer.from(text(bytes));
  };
}

function uuid(bytes: Buffer): Buffer {
  const text = bytes.toString("utf8");
  const parts = /^([0-9a-f]{1,8})-([0-9a-f]{1,4})-([0-9a-f]{1,4})-([0-9a-f]{1,4})-([0-9a-f]{1,12})$/i.exec(text)?.slice(1);
  if (parts === undefined) throw new OperationalError("ERR_FORMAT", `"${text}" is no UUID`);
  return Buffer.from(parts.map((part, index) => part.toLowerCase().padStart(UUID_WIDTHS[index] ?? 0, "0")).join("-"));
}

const UUID_WIDTHS = [8, 4, 4, 4, 12];
const FLOAT_DIGITS_MAX = 9;
/** Between them, Java prints digits around a point, and mantissa and exponent elsewhere. */
const [PLAIN_MIN, PLAIN_MAX] = [1e-3, 1e7];

/** Double.toString and Float.toString, with the fewest digits that tell the number from its neighbours. */
function javaNumber(value: number, single: boolean): string {
  if (Number.isNaN(value)) return "NaN";
  const sign = value < 0 || Object.is(value, -0) ? "-" : "";
  const size = Math.abs(value);
  if (size === Infinity) return `${sign}Infinity`;
  if (size === 0) return `${sign}0.0`;
  const scientific = single ? shortestFloat(size) : size.toExponential();
  const [mantissa = "", exponent = ""] = scientific.split("e");
  if (size < PLAIN_MIN || size >= PLAIN_MAX) return `${sign}${mantissa.includes(".") ? mantissa : `${mantissa}.0`}E${Number(exponent)}`;
  const plain = String(Number(scientific));
  return `${sign}${plain.includes(".") ? plain : `${plain}.0`}`;
}

function shortestFloat(size: number): string {
  for (let digits = 0; digits < FLOAT_DIGITS_MAX; digits++) {
    const text = size.toExponential(digits);
    if (Math.fround(Number(text)) === size) return text;
  }
  return size.toExponential();
}
