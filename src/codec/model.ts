/**
 * The schema notation's model. A record is declared once, with the version range of each field; its TypeScript
 * types are inferred from the declaration, and every version decodes into one object shape (what a version
 * lacks has its default). `compile.ts` turns a record into straight-line functions, `interpret.ts` is the
 * plain reading of the same model that tests hold the compiler against.
 */

/** Inclusive range of message versions; `none` has first > last. */
export interface VersionRange {
  readonly first: number;
  readonly last: number;
}

const OPEN_END = 0x7fff;
const NONE: VersionRange = { first: 1, last: 0 };

/** Reads `"0+"`, `"3"`, `"0-14"` or `"none"`, the notation of Kafka's message definitions. */
export function parseVersions(text: string): VersionRange {
  if (text === "none") return NONE;
  const match = /^(\d+)(?:(\+)|-(\d+))?$/.exec(text);
  if (match === null) throw new TypeError(`not a version range: "${text}"`);
  const first = Number(match[1]);
  if (match[2] !== undefined) return { first, last: OPEN_END };
  return { first, last: match[3] === undefined ? first : Number(match[3]) };
}

export function covers(range: VersionRange, version: number): boolean {
  return range.first <= version && version <= range.last;
}

export type ScalarKind =
  | "bool"
  | "int8"
  | "int16"
  | "uint16"
  | "int32"
  | "uint32"
  /** A `number`; a value that is not a safe integer makes the input bad. */
  | "int64"
  /** A `number` rounded to the nearest double: exact up to the year 287,396. */
  | "timestamp"
  /** A `bigint`, kept verbatim. */
  | "int64Exact"
  | "float64"
  /** 22 characters of URL-safe base64 without padding; all zero is `ZERO_UUID`. */
  | "uuid"
  | "string"
  | "bytes"
  /** Record batches: a list of buffers that are written one after the other, uncopied; decoded as a list of one view. */
  | "records";

export type Type =
  | { readonly kind: ScalarKind }
  | { readonly kind: "array"; readonly element: Type }
  | { readonly kind: "struct"; readonly name: string; readonly fields: Fields };

/** How lengths and nulls stand on the wire: Kafka's message protocol, or Jute. */
export type Wire = "kafka" | "jute";

/**
 * One field. `Decoded` is what reading gives, `Input` what writing takes; `Optional` fields may be left out when
 * writing and then have their default.
 */
export interface Field<Decoded = unknown, Input = unknown, Optional extends boolean = boolean> {
  readonly type: Type;
  readonly versions: VersionRange;
  readonly nullable: VersionRange;
  readonly tagged: VersionRange;
  readonly tag: number;
  /** False: lengths stay in the old, non-compact form in flexible versions too. */
  readonly compact: boolean;
  readonly default: unknown;
  /** Inference only; never set. */
  readonly infer?: { readonly decoded: Decoded; readonly input: Input; readonly optional: Optional };
}

export type Fields = Readonly<Record<string, Field>>;

export type DecodedField<F> = F extends Field<infer Decoded, infer _I, infer _O> ? Decoded : never;
export type InputField<F> = F extends Field<infer _D, infer Input, infer _O> ? Input : never;
type OptionalKeys<F> = { [K in keyof F]: F[K] extends Field<infer _D, infer _I, true> ? K : never }[keyof F];

type Simplify<T> = { [K in keyof T]: T[K] };
export type DecodedOf<F> = { [K in keyof F]: DecodedField<F[K]> };
export type InputOf<F> = Simplify<
  { readonly [K in Exclude<keyof F, OptionalKeys<F>>]: InputField<F[K]> } & {
    readonly [K in OptionalKeys<F>]?: InputField<F[K]> | undefined;
  }
>;

export const ZERO_UUID = "AAAAAAAAAAAAAAAAAAAAAA";

/** The value of a field that the version does not have, made anew for each object. */
export function defaultOf(field: Field): unknown {
  if (field.default !== undefined) return Array.isArray(field.default) ? [] : field.default;
  switch (field.type.kind) {
    case "bool":
      return false;
    case "int64Exact":
      return 0n;
    case "uuid":
      return ZERO_UUID;
    case "string":
      return "";
    case "bytes":
      return Buffer.alloc(0);
    case "records":
    case "array":
      return [];
    case "struct":
      return Object.fromEntries(Object.entries(field.type.fields).map(([name, inner]) => [name, defaultOf(inner)]));
    case "int8":
    case "int16":
    case "uint16":
    case "int32":
    case "uint32":
    case "int64":
    case "timestamp":
    case "float64":
      return 0;
  }
}
