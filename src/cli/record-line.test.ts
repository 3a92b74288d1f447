import { expect, test } from "vitest";
import { errorCode } from "../lib/error.ts";
import { DEFAULT_LINE_RULES, parseLine, ruleConflict, type LineRules } from "./record-line.ts";

function shown(line: string, rules: Partial<LineRules>): unknown {
  try {
    const { key, value, headers } = parseLine(line, 7, { ...DEFAULT_LINE_RULES, ...rules });
    return [headers.map((header) => `${header.key}=${header.value === null ? "null" : String(header.value)}`).join("&"), key === null ? null : String(key), value === null ? null : String(value)];
  } catch (error) {
    return errorCode(error);
  }
}

const all = { key: true, headers: true } as const;
const lenient = { ...all, lenient: true } as const;
const marked = { ...all, nullMarker: "NULL" } as const;

test.each<[what: string, line: string, rules: Partial<LineRules>, expected: unknown]>([
  ["a line is a value", "a\tb", {}, ["", null, "a\tb"]],
  ["an empty line is an empty value", "", {}, ["", null, ""]],
  ["a key goes to the first separator", "k\tv\tw", { key: true }, ["", "k", "v\tw"]],
  ["separators may be long", "k=>v", { key: true, keySeparator: "=>" }, ["", "k", "v"]],
  ["key and value may be empty", "\t", { key: true }, ["", "", ""]],
  ["no key is an error", "value", { key: true }, "ERR_LINE"],
  ["or none, where that is fine", "value", { key: true, lenient: true }, ["", null, "value"]],
  ["headers, key, value", "h1:a,h2:b\tk\tv", all, ["h1=a&h2=b", "k", "v"]],
  ["the key's separator may be another one", "h:a\tk|v", { ...all, keySeparator: "|" }, ["h=a", "k", "v"]],
  ["headers without a key", "h:a\tv", { headers: true }, ["h=a", null, "v"]],
  ["a header's value goes on behind the first separator", "h:a:b\tv", { headers: true }, ["h=a:b", null, "v"]],
  ["what is empty at the end is no header", "h:a,,\tv", { headers: true }, ["h=a", null, "v"]],
  ["nor is there any in separators alone", ",,\tv", { headers: true }, ["", null, "v"]],
  ["headers that are empty are one without a key", "\tv", { headers: true }, "ERR_LINE"],
  ["a header without its separator is an error", "h\tv", { headers: true }, "ERR_LINE"],
  ["or has no value, where that is fine", "h\tk\tv", lenient, ["h=null", "k", "v"]],
  ["a line with one part only, where that is fine, has headers", "h:a\tv", lenient, ["h=a", null, "v"]],
  ["a line without any, where that is fine, is a value", "v", lenient, ["", null, "v"]],
  ["null as a value", "h:a\tk\tNULL", marked, ["h=a", "k", null]],
  ["null as a key", "h:a\tNULL\tv", marked, ["h=a", null, "v"]],
  ["null as headers: none", "NULL\tk\tv", marked, ["", "k", "v"]],
  ["null as a header's value", "h:NULL,g:x\tk\tv", marked, ["h=null&g=x", "k", "v"]],
  ["null as a header's key is an error", "NULL:a\tk\tv", marked, "ERR_LINE"],
  ["null is the whole of a part", "h:a\tkNULL\tNULLv", marked, ["h=a", "kNULL", "NULLv"]],
])("%s", (_what, line, rules, expected) => {
  expect(shown(line, rules)).toEqual(expected);
});

test("a line that lacks something is named by its number and its text", () => {
  expect(() => parseLine("no key here", 7, { ...DEFAULT_LINE_RULES, key: true })).toThrow(/line 7 .*no key here/);
});

test("separators and the word for null must differ, but a key may end as headers do", () => {
  const conflict = (rules: Partial<LineRules>): string | undefined => ruleConflict({ ...DEFAULT_LINE_RULES, ...rules });
  expect(conflict(all)).toBeUndefined();
  expect(conflict({ ...all, headersSeparator: "\t" })).toContain("headers.delimiter and headers.separator");
  expect(conflict({ ...all, headersKeySeparator: "," })).toContain("headers.separator and headers.key.separator");
  expect(conflict({ ...all, nullMarker: ":" })).toContain("headers.key.separator and null.marker");
  expect(conflict({ keySeparator: "|", nullMarker: "|" })).toContain("null.marker and key.separator");
  expect(conflict({ key: true, keySeparator: "" })).toBe("key.separator is empty");
});
