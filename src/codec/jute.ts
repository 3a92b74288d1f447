import { Schema } from "./schema.ts";
import { parseVersions, type DecodedOf, type Field, type Fields, type InputOf, type ScalarKind } from "./model.ts";

/** Jute's notation (ZooKeeper's records): no versions; strings, buffers and vectors that may be null say so. */

export interface JuteOptions {
  readonly nullable?: true;
}

type NullIf<O> = O extends { readonly nullable: true } ? null : never;

const EVERY = parseVersions("0");
const NEVER = parseVersions("none");

function field<Decoded, Input>(type: Field["type"], options: JuteOptions | undefined): Field<Decoded, Input, false> {
  return { type, versions: EVERY, nullable: options?.nullable === true ? EVERY : NEVER, tagged: NEVER, tag: -1, compact: false, default: undefined };
}

/** A constructor for scalar fields whose TypeScript type is `T`. */
export function juteScalar<T>(kind: ScalarKind) {
  return <const O extends JuteOptions>(options?: O): Field<T | NullIf<O>, T | NullIf<O>, false> => field({ kind }, options);
}

export const byte = juteScalar<number>("int8");
export const boolean = juteScalar<boolean>("bool");
export const int = juteScalar<number>("int32");
/** A safe integer. */
export const long = juteScalar<number>("int64");
/** Milliseconds: rounded to a double. */
export const time = juteScalar<number>("timestamp");
/** Kept verbatim: session ids and owners. */
export const longExact = juteScalar<bigint>("int64Exact");
export const ustring = juteScalar<string>("string");
export const buffer = juteScalar<Buffer>("bytes");

/** A record inside a record: `nested(stat)`. */
export function nested<F extends Fields>(record: Schema<F>): Field<DecodedOf<F>, InputOf<F>, false> {
  return field({ kind: "struct", name: record.name, fields: record.fields }, undefined);
}

export function vector<F extends Fields, const O extends JuteOptions>(element: Schema<F>, options?: O): Field<DecodedOf<F>[] | NullIf<O>, readonly InputOf<F>[] | NullIf<O>, false> {
  return field({ kind: "array", element: { kind: "struct", name: element.name, fields: element.fields } }, options);
}

/** `vectorOf(ustring)`. */
export function vectorOf<T, const O extends JuteOptions>(element: () => Field<T>, options?: O): Field<T[] | NullIf<O>, readonly T[] | NullIf<O>, false> {
  return field({ kind: "array", element: element().type }, options);
}

export function juteRecord<F extends Fields>(name: string, fields: F): Schema<F> {
  return new Schema({ name, wire: "jute", fields, versions: "0", flexible: "none" });
}
