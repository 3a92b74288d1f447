import { OperationalError } from "../lib/error.ts";

/** How a line of text stands for a record: `[headers DELIMITER][key SEPARATOR]value`. */
export interface LineRules {
  readonly key: boolean;
  readonly keySeparator: string;
  readonly headers: boolean;
  readonly headersDelimiter: string;
  /** Between two headers, and between a header's key and its value. */
  readonly headersSeparator: string;
  readonly headersKeySeparator: string;
  /** Takes a line that lacks a part as one that has none of it. */
  readonly lenient: boolean;
  /** Stands for null as headers, key, value or a header's value; undefined: nothing does. */
  readonly nullMarker: string | undefined;
}

export const DEFAULT_LINE_RULES: LineRules = {
  key: false, keySeparator: "\t", headers: false, headersDelimiter: "\t", headersSeparator: ",", headersKeySeparator: ":", lenient: false, nullMarker: undefined,
};

export interface LineRecord {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}

/** Why these rules can't be told apart in a line; undefined where they can. A key may end as the headers do: they stand in a fixed order. */
export function ruleConflict({ key, keySeparator, headers, headersDelimiter, headersSeparator, headersKeySeparator, nullMarker }: LineRules): string | undefined {
  const ofHeaders = [["headers.delimiter", headersDelimiter], ["headers.separator", headersSeparator], ["headers.key.separator", headersKeySeparator]] as const;
  const empty = [...(key ? [["key.separator", keySeparator] as const] : []), ...(headers ? ofHeaders : [])].find(([, text]) => text === "");
  if (empty !== undefined) return `${empty[0]} is empty`;
  const all = nullMarker === undefined ? ofHeaders : [...ofHeaders, ["null.marker", nullMarker] as const];
  for (const [index, [name, text]] of all.entries()) {
    const other = all.slice(index + 1).find(([, one]) => one === text);
    if (other !== undefined) return `${name} and ${other[0]} are both ${JSON.stringify(text)}`;
  }
  return nullMarker === keySeparator ? `null.marker and key.separator are both ${JSON.stringify(nullMarker)}` : undefined;
}

/**
 * The record of line `number`, which counts from 1. Each part goes to the first separator behind its beginning.
 * Throws ERR_LINE where one is missing. Source: core/…/tools/ConsoleProducer.scala, LineMessageReader, of Kafka 3.8
 * and 2.7.1; a separator of headers is a text here, and a regular expression there.
 */
export function parseLine(line: string, number: number, rules: LineRules): LineRecord {
  let rest = line;
  const part = (wanted: boolean, separator: string, what: string): string | undefined => {
    if (!wanted) return undefined;
    const at = rest.indexOf(separator);
    if (at < 0) {
      if (rules.lenient) return undefined;
      throw new OperationalError("ERR_LINE", `line ${number} has no ${what}, since ${JSON.stringify(separator)} is not in it: ${line}`);
    }
    const found = rest.slice(0, at);
    rest = rest.slice(at + separator.length);
    return found;
  };
  const headers = part(rules.headers, rules.headersDelimiter, "headers");
  const key = part(rules.key, rules.keySeparator, "key");
  const bytes = (text: string | undefined): Buffer | null => (text === undefined || text === rules.nullMarker ? null : Buffer.from(text));
  return { headers: headers === undefined || headers === rules.nullMarker ? [] : parseHeaders(headers, number, rules, bytes), key: bytes(key), value: bytes(rest) };
}

function parseHeaders(text: string, number: number, { headersSeparator, headersKeySeparator, lenient, nullMarker }: LineRules, bytes: (text: string | undefined) => Buffer | null): LineRecord["headers"] {
  const pairs = text.split(headersSeparator);
  // As Java's split: nothing at the end is no header, but a text without any separator is one, even if it is empty.
  if (pairs.length > 1) while (pairs.at(-1) === "") pairs.pop();
  return pairs.map((pair) => {
    const at = pair.indexOf(headersKeySeparator);
    if (at < 0 && !lenient) throw new OperationalError("ERR_LINE", `line ${number} has a header without ${JSON.stringify(headersKeySeparator)}: ${pair}`);
    if (at < 0) return { key: pair, value: null };
    const key = pair.slice(0, at);
    if (key === nullMarker) throw new OperationalError("ERR_LINE", `line ${number} has a header whose key is null: ${pair}`);
    return { key, value: bytes(pair.slice(at + headersKeySeparator.length)) };
  });
}
