import { Schema } from "./schema.ts";
import { parseVersions, type DecodedOf, type Field, type Fields, type InputOf, type ScalarKind, type Type } from "./model.ts";

/** Kafka's notation: the first argument of each field is the range of message versions that have it. */

export interface FieldOptions<T> {
  /** Versions in which the value may be null. */
  readonly nullable?: string;
  /** The value where the version lacks the field; a field with a default may be left out when writing. */
  readonly default?: T | null;
  /** Number of a tagged field, which stands in the tagged section in the versions `tagged`. */
  readonly tag?: number;
  readonly tagged?: string;
  /** `none`: keeps the non-compact form in flexible versions (the client id of request headers). */
  readonly flexible?: "none";
}

type NullIf<O> = O extends { readonly nullable: string } ? null : never;
type Optional<O> = O extends { readonly default: unknown } ? true : O extends { readonly tag: number } ? true : false;

function field<Decoded, Input, Opt extends boolean>(type: Type, versions: string, options: FieldOptions<unknown> | undefined): Field<Decoded, Input, Opt> {
  return {
    type,
    versions: parseVersions(versions),
    nullable: parseVersions(options?.nullable ?? "none"),
    tagged: parseVersions(options?.tag === undefined ? "none" : (options.tagged ?? versions)),
    tag: options?.tag ?? -1,
    compact: options?.flexible !== "none",
    default: options?.default,
  };
}

/** A constructor for scalar fields whose TypeScript type is `T`: how branded ids get their brand at decode. */
export function scalar<T>(kind: ScalarKind) {
  return <const O extends FieldOptions<T>>(versions: string, options?: O): Field<T | NullIf<O>, T | NullIf<O>, Optional<O>> =>
    field({ kind }, versions, options);
}


export const bool = scalar<boolean>("bool");
export const int8 = scalar<number>("int8");
export const int16 = scalar<number>("int16");
export const uint16 = scalar<number>("uint16");
export const int32 = scalar<number>("int32");
export const uint32 = scalar<number>("uint32");
export const int64 = scalar<number>("int64");
export const timestamp = scalar<number>("timestamp");
export const int64Exact = scalar<bigint>("int64Exact");
export const float64 = scalar<number>("float64");
export const uuid = scalar<string>("uuid");
export const string = scalar<string>("string");
export const bytes = scalar<Buffer>("bytes");
export const records = scalar<readonly Buffer[]>("records");

export function struct<F extends Fields, const O extends FieldOptions<never>>(versions: string, name: string, fields: F, options?: O): Field<DecodedOf<F>, InputOf<F>, Optional<O>> {
  return field({ kind: "struct", name, fields }, versions, options);
}

/** A list of structs. */
export function array<F extends Fields, const O extends FieldOptions<readonly []>>(
  versions: string,
  name: string,
  fields: F,
  options?: O,
): Field<DecodedOf<F>[] | NullIf<O>, readonly InputOf<F>[] | NullIf<O>, Optional<O>> {
  return field({ kind: "array", element: { kind: "struct", name, fields } }, versions, options);
}

/** A list of scalars: `list("0+", int32)`. */
export function list<T, const O extends FieldOptions<readonly []>>(
  versions: string,
  element: (versions: string) => Field<T>,
  options?: O,
): Field<T[] | NullIf<O>, readonly T[] | NullIf<O>, Optional<O>> {
  return field({ kind: "array", element: element(versions).type }, versions, options);
}

/** Declares a message. `flexible` are the versions with compact lengths and tagged fields. */
export function message<F extends Fields>(name: string, versions: { readonly versions: string; readonly flexible: string }, fields: F): Schema<F> {
  return new Schema({ name, wire: "kafka", fields, ...versions });
}
