import * as fc from "fast-check";
import { covers, type Field, type Fields, type Type } from "../../src/codec/model.ts";

/** A seed of its own for each test, always the same: fast-check prints it, with the path to the smallest failing value. */
export const SEED = 20_261_122;

/** Values of a declaration in one version; fields that the version lacks are absent from the comparison by having their default. */
export function arbitraryStruct(fields: Fields, version: number): fc.Arbitrary<Record<string, unknown>> {
  const present = Object.entries(fields).filter(([, field]) => covers(field.versions, version));
  return fc.record(Object.fromEntries(present.map(([name, field]) => [name, arbitraryField(field, field.type, version)])));
}

function arbitraryField(field: Field, type: Type, version: number): fc.Arbitrary<unknown> {
  const value = arbitraryValue(field, type, version);
  return covers(field.nullable, version) ? fc.option(value, { nil: null }) : value;
}

function arbitraryValue(field: Field, type: Type, version: number): fc.Arbitrary<unknown> {
  const int = (bits: number, signed: boolean) => fc.integer(signed ? { min: -(2 ** (bits - 1)), max: 2 ** (bits - 1) - 1 } : { min: 0, max: 2 ** bits - 1 });
  switch (type.kind) {
    case "bool":
      return fc.boolean();
    case "int8":
      return int(8, true);
    case "int16":
      return int(16, true);
    case "uint16":
      return int(16, false);
    case "int32":
      return int(32, true);
    case "uint32":
      return int(32, false);
    case "int64":
    case "timestamp":
      return fc.maxSafeInteger();
    case "int64Exact":
      return fc.bigInt({ min: -(2n ** 63n), max: 2n ** 63n - 1n });
    case "float64":
      return fc.double({ noNaN: true });
    case "uuid":
      return fc.uint8Array({ minLength: 16, maxLength: 16 }).map((id) => Buffer.from(id).toString("base64url"));
    case "string":
      return fc.string({ unit: "grapheme-ascii", maxLength: 200 });
    case "bytes":
      return fc.uint8Array({ maxLength: 3000 }).map((value) => Buffer.from(value));
    case "records":
      return fc.array(fc.uint8Array({ maxLength: 2000 }), { maxLength: 3 }).map((list_) => list_.map((value) => Buffer.from(value)));
    case "array":
      return fc.array(arbitraryValue(field, type.element, version), { maxLength: 4 });
    case "struct":
      return arbitraryStruct(type.fields, version);
  }
}

/** Bytes that are none of ours, the given ones with some of them changed, cut off or added, or with a length that lies. */
export function hostileBytes(valid: fc.Arbitrary<Buffer>): fc.Arbitrary<Buffer> {
  const change = fc.record({ at: fc.nat(), byte: fc.oneof(fc.constantFrom(0, 1, 0x7f, 0x80, 0xff), fc.nat(255)) });
  const length = fc.record({ at: fc.nat(), value: fc.constantFrom(-2_147_483_648, -2, -1, 0, 0x7fff, 0x7fff_ffff, 0x00ff_ffff) });
  const damaged = fc.record({ valid, changes: fc.array(change, { maxLength: 4 }), lengths: fc.array(length, { maxLength: 1 }), cut: fc.option(fc.nat()), added: fc.uint8Array({ maxLength: 16 }) });
  return fc.oneof(
    { weight: 1, arbitrary: fc.uint8Array({ maxLength: 300 }).map((value) => Buffer.from(value)) },
    {
      weight: 3,
      arbitrary: damaged.map((drawn) => {
        const bytes = Buffer.concat([drawn.valid, drawn.added]);
        for (const { at, byte } of drawn.changes) if (bytes.length > 0) bytes[at % bytes.length] = byte;
        for (const { at, value } of drawn.lengths) if (bytes.length >= 4) bytes.writeInt32BE(value, at % (bytes.length - 3));
        return bytes.subarray(0, drawn.cut === null ? bytes.length : drawn.cut % (bytes.length + 1));
      }),
    },
  );
}

/** What decoding a few hundred bytes may allocate and take at most, many times over. */
const HEAP_BYTES_MAX = 16 * 1024 * 1024;
const TIME_MS_MAX = 5000;

/** Runs a decoder, which must end soon and set nothing aside that the input only announces. */
export function frugally<T>(decode: () => T): T {
  const [before, start] = [process.memoryUsage().arrayBuffers, performance.now()];
  const result = decode();
  const [grown, elapsed] = [process.memoryUsage().arrayBuffers - before, performance.now() - start];
  if (grown > HEAP_BYTES_MAX) throw new Error(`a decoder set ${grown} bytes aside`);
  if (elapsed > TIME_MS_MAX) throw new Error(`a decoder took ${elapsed} ms`);
  return result;
}
