import { OperationalError } from "./error.ts";

/** One setting and where it was made. `line` counts from 1; settings made elsewhere (a command line) have none. */
export interface Property {
  readonly key: string;
  readonly value: string;
  /** The file, or what stands for it, such as `--override`. */
  readonly origin: string;
  readonly line: number | undefined;
}

/** In the order in which the keys first appear; of several lines with one key the last holds. */
export type Properties = ReadonlyMap<string, Property>;

export function placeOf(property: Property): string {
  return property.line === undefined ? property.origin : `${property.origin}:${property.line}`;
}

/**
 * A file in the syntax of java.util.Properties: `key=value`, `key: value` or `key value`, comments after `#` or `!`,
 * a backslash at the end of a line continues it, escapes \t \n \r \f \uXXXX and \ before any other character.
 * White space before a value is dropped, behind it kept. Java reads such files as ISO 8859-1, so decode them as
 * "latin1" to see what Apache sees. Throws ERR_PROPERTIES at a broken \u escape.
 */
export function parseProperties(text: string, origin: string): Properties {
  const lines = text.split(/\r\n|\r|\n/);
  const properties = new Map<string, Property>();
  for (let index = 0; index < lines.length; index++) {
    const line = index + 1;
    let logical = withoutIndent(lines[index]);
    if (logical === "" || logical.startsWith("#") || logical.startsWith("!")) continue;
    while (/(?<!\\)(?:\\\\)*\\$/.test(logical)) {
      index++;
      logical = logical.slice(0, -1) + withoutIndent(lines[index]);
    }
    const match = /^((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?[ \t\f]*(.*)$/s.exec(logical);
    const key = unescape(match?.[1] ?? "", origin, line);
    properties.set(key, { key, value: unescape(match?.[2] ?? "", origin, line), origin, line });
  }
  return properties;
}

/** `overrides` win, as if their lines stood below those of `base`. */
export function mergeProperties(base: Properties, overrides: Properties): Properties {
  return new Map([...base, ...overrides]);
}

/** ASCII text that java.util.Properties reads back as these entries; each comment becomes a line of its own. */
export function formatProperties(entries: Iterable<readonly [key: string, value: string]>, comments: readonly string[] = []): string {
  let text = comments.map((comment) => `#${comment}\n`).join("");
  for (const [key, value] of entries) {
    text += `${escape(key).replaceAll(" ", "\\ ")}=${escape(value).replace(/^ /, "\\ ")}\n`;
  }
  return text;
}

function withoutIndent(line: string | undefined): string {
  return line === undefined ? "" : line.replace(/^[ \t\f]+/, "");
}

const escapes: Readonly<Record<string, string>> = { t: "\t", n: "\n", r: "\r", f: "\f" };

function unescape(text: string, origin: string, line: number): string {
  return text.replace(/\\(?:u(.{0,4})|(.))/gs, (_whole, hex: string | undefined, char: string | undefined) => {
    if (char !== undefined) return escapes[char] ?? char;
    if (hex !== undefined && /^[0-9a-fA-F]{4}$/.test(hex)) return String.fromCharCode(Number.parseInt(hex, 16));
    throw new OperationalError("ERR_PROPERTIES", `${origin}:${line}: \\u must be followed by four hexadecimal digits, not by "${hex ?? ""}"`);
  });
}

const named: Readonly<Record<string, string>> = { "\t": "\\t", "\n": "\\n", "\r": "\\r", "\f": "\\f" };

function escape(text: string): string {
  return text
    .replace(/[\\=:#!]/g, "\\$&")
    .replace(/[^\x20-\x7e]/g, (char) => named[char] ?? `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
}
