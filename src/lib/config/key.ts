/**
 * The notation of a configuration table: an object whose keys are the setting's names exactly as files spell them,
 * and whose values say what each may hold. The parsed configuration's type is inferred from the table, with names
 * in camel case: `{ "log.dirs": string(null, …), port: int(9092, …) }` gives `{ logDirs: string | undefined; port: number }`.
 */
export type ConfigTable = Readonly<Record<string, ConfigKey<unknown>>>;

export type ConfigValues<T extends ConfigTable> = {
  readonly [K in keyof T & string as CamelCase<K>]: T[K] extends ConfigKey<infer V> ? V : never;
};

/** "log.retention.ms" → "logRetentionMs". */
export type CamelCase<K extends string> = K extends `${infer Head}.${infer Tail}` ? `${Head}${Capitalize<CamelCase<Tail>>}` : K;

export function camelCase(key: string): string {
  return key.replace(/\.(.)/g, (_dot, letter: string) => letter.toUpperCase());
}

/** The types that Kafka's DescribeConfigs knows; ZooKeeper's settings use the same. */
export type ConfigType = "boolean" | "string" | "int" | "short" | "long" | "double" | "list" | "class" | "password";
export type Importance = "high" | "medium" | "low";
/** Whether a running broker takes a new value, and for one broker only or for the whole cluster as well. */
export type UpdateMode = "read-only" | "per-broker" | "cluster-wide";
/**
 * `no effect`: read, checked and described, but nothing acts on it. `refused`: any value but the default stops the
 * start, because to ignore it would leave open what its author meant to close.
 */
export type Effect = "honoured" | "no effect" | "refused";

export interface ConfigKey<T> {
  readonly type: ConfigType;
  /** Undefined: unset unless a file sets it, or, where `required`, an error. */
  readonly default: Setting<T> | undefined;
  readonly required: boolean;
  /** What a value must look like, to follow "expected". */
  readonly allowed: string;
  /** Undefined where `text` is not allowed. */
  parse(text: string): Setting<T> | undefined;
  /** A value, which must be one of this key's, as Java would print it; null for "unset". */
  show(value: unknown): string | null;
  readonly doc: string;
  readonly importance: Importance;
  readonly update: UpdateMode;
  readonly effect: Effect;
  /** Why a key that is not honoured is not. */
  readonly reason: string | undefined;
}

export interface Setting<T> {
  readonly value: T;
  /** The value as Java would print it. */
  readonly text: string;
  /** What the author should know about a value that is taken all the same. */
  readonly warning?: string;
}

export interface KeyFacts {
  /** One short sentence without a final stop. */
  readonly doc: string;
  /** Default medium. */
  readonly importance?: Importance;
  /** Default read-only. */
  readonly update?: UpdateMode;
  /** Why the key has no effect; default: honoured. */
  readonly noEffect?: string | undefined;
  /** Why a value other than the default is refused. */
  readonly refused?: string | undefined;
}

export const required: unique symbol = Symbol("required");
type Required = typeof required;
/** A default: a value, `null` for "unset", or `required`. */
type Defaulted<T, D> = ConfigKey<D extends null ? T | undefined : T>;

/** The general form, for notations of one's own. `parse` gets the text without the white space around it. */
export function configKey<T, D extends T | null | Required>(
  type: ConfigType,
  fallback: D,
  allowed: string,
  parse: (text: string) => Setting<T> | undefined,
  show: (value: T) => string,
  facts: KeyFacts,
): Defaulted<T, D> {
  return {
    type,
    default: fallback === null || fallback === required ? undefined : { value: fallback as T, text: show(fallback as T) },
    required: fallback === required,
    allowed,
    parse: (text) => parse(text.trim()),
    show: (value) => (value === undefined ? null : show(value as T)),
    doc: facts.doc,
    importance: facts.importance ?? "medium",
    update: facts.update ?? "read-only",
    effect: facts.refused !== undefined ? "refused" : facts.noEffect !== undefined ? "no effect" : "honoured",
    reason: facts.refused ?? facts.noEffect,
  };
}

export function boolean<D extends boolean | null | Required>(fallback: D, facts: KeyFacts): Defaulted<boolean, D> {
  return configKey<boolean, D>("boolean", fallback, "true or false", parseBoolean, String, facts);
}

function parseBoolean(text: string): Setting<boolean> | undefined {
  const lower = text.toLowerCase();
  return lower === "true" || lower === "false" ? { value: lower === "true", text: lower } : undefined;
}

export interface RangeFacts extends KeyFacts {
  readonly min?: number;
  readonly max?: number;
}

export function int<D extends number | null | Required>(fallback: D, facts: RangeFacts): Defaulted<number, D> {
  return integer("int", fallback, -(2n ** 31n), 2n ** 31n - 1n, facts);
}

export function short<D extends number | null | Required>(fallback: D, facts: RangeFacts): Defaulted<number, D> {
  return integer("short", fallback, -(2n ** 15n), 2n ** 15n - 1n, facts);
}

/** Stands for the largest long, 2^63 - 1: "no limit". */
export const longMax = Number.MAX_SAFE_INTEGER;

/** A 64-bit whole number. Values outside ±(2^53 - 1) become the nearest safe integer; `text` keeps them exactly. */
export function long<D extends number | null | Required>(fallback: D, facts: RangeFacts): Defaulted<number, D> {
  return integer("long", fallback, -(2n ** 63n), 2n ** 63n - 1n, facts);
}

function integer<D extends number | null | Required>(
  type: ConfigType,
  fallback: D,
  typeMin: bigint,
  typeMax: bigint,
  facts: RangeFacts,
): Defaulted<number, D> {
  const min = facts.min === undefined ? typeMin : BigInt(facts.min);
  const max = facts.max === undefined ? typeMax : BigInt(facts.max);
  const parse = (text: string): Setting<number> | undefined => {
    if (!/^[+-]?[0-9]{1,400}$/.test(text)) return undefined;
    const value = BigInt(text.replace("+", ""));
    if (value < min || value > max) return undefined;
    const safe = value > BigInt(longMax) ? longMax : value < -BigInt(longMax) ? -longMax : Number(value);
    return { value: safe, text: String(value) };
  };
  const show = (value: number): string => (value === longMax ? String(2n ** 63n - 1n) : String(value));
  return configKey<number, D>(type, fallback, `a whole number from ${min} to ${max}`, parse, show, facts);
}

export function double<D extends number | null | Required>(fallback: D, facts: RangeFacts): Defaulted<number, D> {
  const { min = -Number.MAX_VALUE, max = Number.MAX_VALUE } = facts;
  const bounds = [facts.min === undefined ? "" : ` from ${min}`, facts.max === undefined ? "" : ` up to ${max}`].join("");
  const parse = (text: string): Setting<number> | undefined => {
    if (!/^[+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?[dDfF]?$/.test(text)) return undefined;
    const value = Number.parseFloat(text);
    return value >= min && value <= max ? { value, text: javaDouble(value) } : undefined;
  };
  return configKey<number, D>("double", fallback, `a number${bounds}`, parse, javaDouble, facts);
}

/** As java.lang.Double.toString prints it: 0.5, 1.0, 1.7976931348623157E308. */
export function javaDouble(value: number): string {
  const size = Math.abs(value);
  if (size !== 0 && (size < 1e-3 || size >= 1e7)) {
    const [digits = "", exponent = "0"] = value.toExponential().split("e");
    return `${digits.includes(".") ? digits : `${digits}.0`}E${Number(exponent)}`;
  }
  return Number.isInteger(value) ? `${value}.0` : String(value);
}

export interface StringFacts extends KeyFacts {
  /** Whether a value is fine, and how to say what is: "a version such as 2.7". */
  readonly check?: { readonly allowed: string; test(value: string): boolean };
}

export function string<D extends string | null | Required>(fallback: D, facts: StringFacts): Defaulted<string, D> {
  return plainText("string", fallback, facts);
}

/** A Java class's name. No class can be loaded here, so that such keys are seldom honoured. */
export function className<D extends string | null | Required>(fallback: D, facts: StringFacts): Defaulted<string, D> {
  return plainText("class", fallback, facts);
}

function plainText<D extends string | null | Required>(type: ConfigType, fallback: D, facts: StringFacts): Defaulted<string, D> {
  const { check } = facts;
  const parse = (value: string): Setting<string> | undefined =>
    check === undefined || check.test(value) ? { value, text: value } : undefined;
  const anything = type === "class" ? "a class name" : "any text";
  return configKey<string, D>(type, fallback, check?.allowed ?? anything, parse, String, facts);
}

/** One of `options`, spelled exactly so. */
export function oneOf<const O extends string, D extends NoInfer<O> | null | Required>(
  options: readonly O[],
  fallback: D,
  facts: KeyFacts & { readonly ignoreCase?: boolean },
): Defaulted<O, D> {
  const parse = (value: string): Setting<O> | undefined => {
    const found = options.find((option) => option === (facts.ignoreCase === true ? value.toLowerCase() : value));
    return found === undefined ? undefined : { value: found, text: found };
  };
  return configKey<O, D>("string", fallback, `one of ${options.join(", ")}`, parse, String, facts);
}

export interface ListFacts extends KeyFacts {
  readonly check?: { readonly allowed: string; test(items: readonly string[]): boolean };
}

/** Comma-separated texts; the white space around a comma is dropped, an empty value is the empty list. */
export function list<D extends readonly string[] | null | Required>(fallback: D, facts: ListFacts): Defaulted<readonly string[], D> {
  const { check } = facts;
  const parse = (value: string): Setting<readonly string[]> | undefined => {
    const items = value === "" ? [] : value.split(/\s*,\s*/);
    return check === undefined || check.test(items) ? { value: items, text: items.join(",") } : undefined;
  };
  return configKey<readonly string[], D>("list", fallback, check?.allowed ?? "a comma-separated list", parse, (items) => items.join(","), facts);
}

/** A list whose items are all among `options`. */
export function listOf<const O extends string, D extends readonly NoInfer<O>[] | null | Required>(
  options: readonly O[],
  fallback: D,
  facts: KeyFacts,
): Defaulted<readonly O[], D> {
  const parse = (value: string): Setting<readonly O[]> | undefined => {
    const items = value === "" ? [] : value.split(/\s*,\s*/);
    const known = items.flatMap((item) => options.find((option) => option === item) ?? []);
    return known.length === items.length ? { value: known, text: known.join(",") } : undefined;
  };
  return configKey<readonly O[], D>("list", fallback, `a comma-separated list of ${options.join(", ")}`, parse, (items) => items.join(","), facts);
}

export function password(facts: KeyFacts): ConfigKey<Secret | undefined> {
  return configKey<Secret, null>("password", null, "any text", (value) => ({ value: new Secret(value), text: value }), () => hidden, facts);
}

export const hidden = "[hidden]";

/** A password that no log line, message or JSON shows by accident. */
export class Secret {
  readonly #text: string;

  constructor(secret: string) {
    this.#text = secret;
  }

  reveal(): string {
    return this.#text;
  }

  toString(): string {
    return hidden;
  }

  toJSON(): string {
    return hidden;
  }
}
