import { lengthEncoding, placeOf, type LengthEncoding, type RecordShape } from "./encoding.ts";
import { covers, defaultOf, type Field, type Fields, type Type } from "./model.ts";
import type { Reader } from "./reader.ts";
import { isDefault, writeCesu8 } from "./values.ts";
import { Writer } from "./writer.ts";

/**
 * The plain reading of a declaration, value by value. Slow, and the oracle for the compiler in tests: the two share
 * nothing but the model and the primitives.
 */

type Values = Record<string, unknown>;

export function interpretRead(shape: RecordShape & { readonly fields: Fields }, version: number, reader: Reader): unknown {
  return readStruct({ shape, version, reader }, shape.fields);
}

export function interpretWrite(shape: RecordShape & { readonly fields: Fields }, version: number, writer: Writer, value: unknown): void {
  writeStruct({ shape, version, writer }, shape.fields, value as Values);
}

interface ReadContext {
  readonly shape: RecordShape;
  readonly version: number;
  readonly reader: Reader;
}

interface WriteContext {
  readonly shape: RecordShape;
  readonly version: number;
  readonly writer: Writer;
}

function readStruct(context: ReadContext, fields: Fields): Values {
  const { shape, version, reader } = context;
  const result: Values = {};
  for (const [name, field] of Object.entries(fields)) {
    result[name] = placeOf(shape, field, version) === "plain" ? readValue(context, field, field.type, covers(field.nullable, version)) : defaultOf(field);
  }
  if (!covers(shape.flexible, version)) return result;
  const count = reader.count(reader.uvarint());
  for (let i = 0; i < count && !reader.bad; i++) {
    const tag = reader.uvarint();
    const size = reader.uvarint();
    const end = reader.position + size;
    if (size > reader.remaining) reader.fail();
    const known = Object.entries(fields).find(([, field]) => field.tag === tag && placeOf(shape, field, version) === "tagged");
    if (known === undefined) {
      reader.skip(size);
      continue;
    }
    const [name, field] = known;
    result[name] = readValue(context, field, field.type, covers(field.nullable, version));
    if (reader.position !== end) reader.fail();
  }
  return result;
}

function readValue(context: ReadContext, field: Field, type: Type, nullable: boolean): unknown {
  const { shape, version, reader } = context;
  switch (type.kind) {
    case "struct":
      return readStruct(context, type.fields);
    case "string":
    case "bytes":
    case "records": {
      const length = readLength(reader, lengthEncoding(shape, field, version, type.kind === "string" ? "string" : "other"));
      if (length === -1 && nullable) return null;
      if (type.kind === "string") return reader.string(length);
      return type.kind === "bytes" ? reader.bytes(length) : [reader.bytes(length)];
    }
    case "array": {
      const length = readLength(reader, lengthEncoding(shape, field, version, "other"));
      if (length === -1 && nullable) return null;
      const count = reader.count(shape.wire === "jute" && length < -1 ? 0 : length);
      const result: unknown[] = [];
      while (result.length < count && !reader.bad) result.push(readValue(context, field, type.element, false));
      return result;
    }
    default:
      return reader[type.kind]();
  }
}

function readLength(reader: Reader, encoding: LengthEncoding): number {
  return encoding === "uvarint+1" ? reader.uvarint() - 1 : reader[encoding]();
}

function writeStruct(context: WriteContext, fields: Fields, values: Values): void {
  const { shape, version, writer } = context;
  for (const [name, field] of Object.entries(fields)) {
    if (placeOf(shape, field, version) !== "plain") continue;
    writeValue(context, field, field.type, values[name] === undefined ? defaultOf(field) : values[name]);
  }
  if (!covers(shape.flexible, version)) return;
  const present = Object.entries(fields)
    .filter(([name, field]) => placeOf(shape, field, version) === "tagged" && values[name] !== undefined && !isDefault(field, values[name]))
    .toSorted(([, a], [, b]) => a.tag - b.tag);
  writer.uvarint(present.length);
  for (const [name, field] of present) {
    const inner = new Writer();
    writeValue({ shape, version, writer: inner }, field, field.type, values[name]);
    writer.uvarint(field.tag);
    writer.uvarint(inner.length);
    writer.bytes(inner.finishBuffer());
  }
}

function writeValue(context: WriteContext, field: Field, type: Type, value: unknown): void {
  const { shape, version, writer } = context;
  if (type.kind === "struct") return writeStruct(context, type.fields, value as Values);
  const encoding = lengthEncoding(shape, field, version, type.kind === "string" ? "string" : "other");
  if (value === null) return writeLength(writer, encoding, -1);
  switch (type.kind) {
    case "string":
      if (shape.wire === "jute") return writeCesu8(writer, value as string);
      writeLength(writer, encoding, Buffer.byteLength(value as string));
      return writer.utf8(value as string, Buffer.byteLength(value as string));
    case "bytes":
      writeLength(writer, encoding, (value as Buffer).length);
      return writer.bytes(value as Buffer);
    case "records": {
      const whole = Buffer.concat(value as Buffer[]);
      writeLength(writer, encoding, whole.length);
      return writer.bytes(whole);
    }
    case "array":
      writeLength(writer, encoding, (value as unknown[]).length);
      for (const element of value as unknown[]) writeValue(context, field, type.element, element);
      return;
    default:
      (writer[type.kind] as (value: unknown) => void).call(writer, value);
  }
}

function writeLength(writer: Writer, encoding: LengthEncoding, length: number): void {
  if (encoding === "uvarint+1") writer.uvarint(length + 1);
  else if (encoding === "int16") writer.stringLength(length);
  else writer.int32(length);
}
