import type { Disk } from "../host/disk.ts";
import { errorCode, OperationalError } from "../lib/error.ts";
import { parseProperties, placeOf, type Properties, type Property } from "../lib/properties.ts";

export interface PropertySources {
  readonly disk: Disk;
  /** Path of a file in the syntax of java.util.Properties, and the option that named it. */
  readonly file?: { readonly option: string; readonly path: string } | undefined;
  /** `key=value` each, and the option that they came by; they win over the file. */
  readonly pairs?: { readonly option: string; readonly values: readonly string[] } | undefined;
}

/** `key=value` as Kafka's scripts split it: at the first equals sign; without one the value is empty. */
export function parsePair(text: string, option: string): Property {
  const at = text.indexOf("=");
  return { key: at < 0 ? text : text.slice(0, at), value: at < 0 ? "" : text.slice(at + 1), origin: option, line: undefined };
}

/** Throws ERR_USAGE where the file can't be read. */
export async function readProperties({ disk, file, pairs }: PropertySources): Promise<Properties> {
  const properties = new Map(file === undefined ? [] : await readFile(disk, file));
  for (const text of pairs?.values ?? []) {
    const property = parsePair(text, pairs?.option ?? "");
    properties.set(property.key, property);
  }
  return properties;
}

async function readFile(disk: Disk, { option, path }: { readonly option: string; readonly path: string }): Promise<Properties> {
  try {
    return parseProperties((await disk.readFile(path)).toString("latin1"), path);
  } catch (error) {
    const code = errorCode(error);
    if (code === undefined || code === "ERR_PROPERTIES") throw error;
    throw new OperationalError("ERR_USAGE", `${option}: ${path} ${code === "ENOENT" ? "does not exist" : `can't be read (${code})`}`, { cause: error });
  }
}

/** What every client reads, or what says nothing here since it is the command line's. */
const ALWAYS_KNOWN = ["bootstrap.servers", "security.protocol"];

/**
 * Settings of a client. Throws ERR_USAGE, naming the place, for what is no number or not one of the words, and for a
 * security.protocol other than PLAINTEXT; `notices` name what has no effect.
 */
export class ClientSettings {
  readonly #properties: Properties;
  readonly notices: readonly string[];

  /** `used`: the keys that will be asked for. */
  constructor(properties: Properties, used: readonly string[]) {
    this.#properties = properties;
    const security = properties.get("security.protocol");
    if (security !== undefined && security.value !== "PLAINTEXT") throw wrong(security, "only PLAINTEXT is supported");
    const known = new Set([...used, ...ALWAYS_KNOWN]);
    this.notices = [...properties.values()].filter(({ key }) => !known.has(key)).map((property) => `${placeOf(property)}: ${property.key} has no effect here`);
  }

  text(key: string): string | undefined {
    return this.#properties.get(key)?.value;
  }

  /** A whole number not below `min`. */
  number(key: string, min = 0): number | undefined {
    const property = this.#properties.get(key);
    if (property === undefined) return undefined;
    const value = Number(property.value.trim());
    if (!/^[+-]?\d+$/.test(property.value.trim()) || !Number.isSafeInteger(value) || value < min) throw wrong(property, `expected a whole number not below ${min}`);
    return value;
  }

  flag(key: string): boolean | undefined {
    const word = this.word(key, ["true", "false"]);
    return word === undefined ? undefined : word === "true";
  }

  /** One of the words, however it is written. */
  word<W extends string>(key: string, words: readonly W[]): W | undefined {
    const property = this.#properties.get(key);
    if (property === undefined) return undefined;
    const found = words.find((word) => word === property.value.trim().toLowerCase());
    if (found === undefined) throw wrong(property, `expected ${words.join(" or ")}`);
    return found;
  }

  /** As `text`; what `parse` does not know is wrong. */
  parsed<T>(key: string, parse: (text: string) => T | undefined, expected: string): T | undefined {
    const property = this.#properties.get(key);
    if (property === undefined) return undefined;
    const value = parse(property.value.trim());
    if (value === undefined) throw wrong(property, `expected ${expected}`);
    return value;
  }
}

function wrong(property: Property, problem: string): OperationalError {
  return new OperationalError("ERR_USAGE", `${placeOf(property)}: ${property.key}=${property.value}: ${problem}`);
}
