import { OperationalError } from "../error.ts";
import type { Properties, Property } from "../properties.ts";
import { placeOf } from "../properties.ts";
import type { ConfigKey, ConfigTable, ConfigValues } from "./key.ts";
import { camelCase, hidden } from "./key.ts";

/** What is wrong with, or worth knowing about, one or more keys. The message says where, what, and what is allowed. */
export interface ConfigNote {
  readonly keys: readonly string[];
  readonly message: string;
}

/** A configuration that can't be used. The message has one line for each thing to mend. */
export class ConfigError extends OperationalError {
  readonly problems: readonly ConfigNote[];

  constructor(origin: string, problems: readonly ConfigNote[]) {
    super("ERR_CONFIG", [`${origin} can't be used:`, ...problems.map((problem) => problem.message)].join("\n  "));
    this.problems = problems;
  }
}

export interface ReadOptions {
  /** Names the whole, for keys that are missing. */
  readonly origin: string;
  /** Keys that are not in the table but known all the same, such as `server.1`. */
  readonly accepts?: (key: string) => boolean;
  /** What becomes of keys that nobody knows. Default "it is ignored". */
  readonly unknown?: (key: string) => string;
}

/**
 * A table and one file's (or several merged files') settings, with everything that is wrong with them. Further
 * checks that involve several keys go through `expect`, so that one run reports all there is to mend.
 */
export class ConfigReading<T extends ConfigTable> {
  /** By camel-case name. A key with a problem has its default here, a missing required one `undefined`. */
  readonly values: ConfigValues<T>;
  readonly problems: ConfigNote[] = [];
  readonly warnings: ConfigNote[] = [];
  readonly #table: T;
  readonly #properties: Properties;
  readonly #origin: string;

  constructor(table: T, properties: Properties, options: ReadOptions) {
    this.#table = table;
    this.#properties = properties;
    this.#origin = options.origin;
    const values: Record<string, unknown> = {};
    for (const [key, spec] of Object.entries(table)) values[camelCase(key)] = this.#read(key, spec);
    for (const property of properties.values()) {
      if (Object.hasOwn(table, property.key) || options.accepts?.(property.key) === true) continue;
      const near = nearest(property.key, Object.keys(table));
      const fate = options.unknown?.(property.key) ?? "it is ignored";
      const hint = near === undefined ? "" : `; did you mean ${near}?`;
      this.warnings.push({ keys: [property.key], message: `${placeOf(property)}: unknown key ${property.key}: ${fate}${hint}` });
    }
    this.values = values as ConfigValues<T>;
  }

  /** Whether the file sets the key, even to its default. */
  has(key: keyof T & string): boolean {
    return this.#properties.has(key);
  }

  /**
   * Notes a problem of `keys` unless `holds`. The keys that are set are quoted with their places, after `message`.
   * Keys that already have a problem stay silent: their values here are not the author's.
   */
  expect(holds: boolean, keys: readonly (keyof T & string)[], message: string): void {
    if (holds || keys.some((key) => this.problems.some((problem) => problem.keys.includes(key)))) return;
    const set = keys.flatMap((key) => this.#properties.get(key) ?? []);
    const places = set.map((property) => `${placeOf(property)}: ${this.#quote(property)}`);
    if (places.length === 0) places.push([this.#origin, ...(keys.length === 0 ? [] : [keys.join(", ")])].join(": "));
    this.problems.push({ keys, message: `${places.join(", ")}: ${message}` });
  }

  /** As `expect` for a key outside the table. */
  fault(property: Property, message: string): void {
    this.problems.push({ keys: [property.key], message: `${placeOf(property)}: ${this.#quote(property)}: ${message}` });
  }

  warn(property: Property | undefined, message: string): void {
    const place = property === undefined ? this.#origin : `${placeOf(property)}: ${this.#quote(property)}`;
    this.warnings.push({ keys: property === undefined ? [] : [property.key], message: `${place}: ${message}` });
  }

  /** Throws a ConfigError where there is any problem. */
  settle(): void {
    if (this.problems.length > 0) throw new ConfigError(this.#origin, this.problems);
  }

  #read(key: string, spec: ConfigKey<unknown>): unknown {
    const property = this.#properties.get(key);
    if (property === undefined) {
      if (spec.required) this.problems.push({ keys: [key], message: `${this.#origin}: ${key} is missing, expected ${spec.allowed}: ${spec.doc}` });
      return spec.default?.value;
    }
    const setting = spec.parse(property.value);
    if (setting === undefined) {
      this.fault(property, `expected ${spec.allowed}`);
      return spec.default?.value;
    }
    if (setting.warning !== undefined) this.warn(property, setting.warning);
    if (setting.text !== spec.default?.text) {
      const only = spec.default === undefined || spec.default.text === "" ? "can't be set" : `only ${spec.default.text} is possible`;
      if (spec.effect === "refused") this.fault(property, `${only}: ${spec.reason}`);
      if (spec.effect === "no effect") this.warn(property, `has no effect: ${spec.reason}`);
    }
    return setting.value;
  }

  #quote(property: Property): string {
    const secret = Object.entries(this.#table).some(([name, spec]) => spec.type === "password" && `.${property.key}`.endsWith(`.${name}`));
    return `${property.key}=${secret ? hidden : property.value}`;
  }
}

/** The name that a misspelled key most likely means, if any is near enough. */
export function nearest(key: string, names: readonly string[]): string | undefined {
  const plain = key.toLowerCase().replace(/[._-]/g, "");
  let best: string | undefined;
  let bestDistance = 1 + Math.floor(plain.length / 8);
  for (const name of names) {
    const distance = editDistance(plain, name.toLowerCase().replace(/[._-]/g, ""), bestDistance);
    if (distance <= bestDistance && (distance < bestDistance || best === undefined)) {
      best = name;
      bestDistance = distance;
    }
  }
  return best;
}

/** Insertions, deletions and replacements from `a` to `b`; any number above `limit` where it takes more. */
function editDistance(a: string, b: string, limit: number): number {
  if (Math.abs(a.length - b.length) > limit) return limit + 1;
  let row = Array.from({ length: b.length + 1 }, (_, column) => column);
  for (let i = 1; i <= a.length; i++) {
    const next = [i];
    for (let j = 1; j <= b.length; j++) {
      const replaced = (row[j - 1] ?? 0) + (a[i - 1] === b[j - 1] ? 0 : 1);
      next.push(Math.min(replaced, (row[j] ?? 0) + 1, (next[j - 1] ?? 0) + 1));
    }
    row = next;
  }
  return row[b.length] ?? limit + 1;
}
