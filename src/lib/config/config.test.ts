import { describe, expect, expectTypeOf, test } from "vitest";
import { errorCode } from "../error.ts";
import { parseProperties } from "../properties.ts";
import type { ConfigValues } from "./key.ts";
import { boolean, camelCase, className, double, int, javaDouble, list, listOf, long, longMax, oneOf, password, required, Secret, short, string } from "./key.ts";
import { ConfigError, ConfigReading, nearest } from "./read.ts";

const table = {
  "node.id": int(required, { doc: "The node's number", min: 0 }),
  "max.bytes": long(longMax, { doc: "The most bytes" }),
  "idle.ms": long(null, { doc: "Idle time" }),
  "copies": short(3, { doc: "Copies", min: 1, max: 9 }),
  "ratio": double(0.5, { doc: "A ratio", min: 0, max: 1 }),
  "enabled": boolean(true, { doc: "Whether to" }),
  "kind": oneOf(["fast", "slow"], "fast", { doc: "Which kind" }),
  "policy": listOf(["delete", "compact"], ["delete"], { doc: "Policies" }),
  "names": list([], { doc: "Names" }),
  "rack": string(null, { doc: "The rack" }),
  "reporter": className(null, { doc: "A reporter", noEffect: "classes can't be loaded" }),
  "guard": string("", { doc: "A guard", refused: "there is no guard" }),
  "key.password": password({ doc: "A password" }),
};

function read(text: string): ConfigReading<typeof table> {
  return new ConfigReading(table, parseProperties(text, "node.properties"), { origin: "node.properties" });
}

function messages(notes: readonly { message: string }[]): string[] {
  return notes.map((note) => note.message);
}

test("infers camel-case names and types from the table", () => {
  expectTypeOf<ConfigValues<typeof table>>().toEqualTypeOf<{
    readonly nodeId: number;
    readonly maxBytes: number;
    readonly idleMs: number | undefined;
    readonly copies: number;
    readonly ratio: number;
    readonly enabled: boolean;
    readonly kind: "fast" | "slow";
    readonly policy: readonly ("delete" | "compact")[];
    readonly names: readonly string[];
    readonly rack: string | undefined;
    readonly reporter: string | undefined;
    readonly guard: string;
    readonly keyPassword: Secret | undefined;
  }>();
  expect(camelCase("log.segment.delete.delay.ms")).toBe("logSegmentDeleteDelayMs");
});

test("gives defaults for what is not set and trims what is", () => {
  const { values, problems } = read("node.id = 7 \npolicy=delete , compact\nenabled= FALSE\nnames=\nmax.bytes=+5");
  expect(problems).toEqual([]);
  expect(values).toMatchObject({ nodeId: 7, maxBytes: 5, idleMs: undefined, copies: 3, enabled: false, policy: ["delete", "compact"], names: [] });
});

test("reports every bad value of a file at once, each with file, line, key, value and what is allowed", () => {
  const { problems } = read("copies=0\n\nratio=1.5\nenabled=yes\nkind=Fast\npolicy=delete,purge\nmax.bytes=1e3\nidle.ms=12345678901234567890");
  expect(messages(problems)).toEqual([
    "node.properties: node.id is missing, expected a whole number from 0 to 2147483647: The node's number",
    "node.properties:7: max.bytes=1e3: expected a whole number from -9223372036854775808 to 9223372036854775807",
    "node.properties:8: idle.ms=12345678901234567890: expected a whole number from -9223372036854775808 to 9223372036854775807",
    "node.properties:1: copies=0: expected a whole number from 1 to 9",
    "node.properties:3: ratio=1.5: expected a number from 0 up to 1",
    "node.properties:4: enabled=yes: expected true or false",
    "node.properties:5: kind=Fast: expected one of fast, slow",
    "node.properties:6: policy=delete,purge: expected a comma-separated list of delete, compact",
  ]);
});

test("settle throws one error that lists them all", () => {
  const reading = read("copies=x");
  expect(() => reading.settle()).toThrow(ConfigError);
  try {
    reading.settle();
  } catch (error) {
    expect(errorCode(error)).toBe("ERR_CONFIG");
    expect(String(error)).toMatch(/node\.properties can't be used:\n {2}.*node\.id is missing.*\n {2}.*copies=x/);
  }
});

test("warns about unknown keys by name and guesses what was meant", () => {
  const { warnings } = read("node.id=1\nmaxbytes=3\nsomething.else=4");
  expect(messages(warnings)).toEqual([
    "node.properties:2: unknown key maxbytes: it is ignored; did you mean max.bytes?",
    "node.properties:3: unknown key something.else: it is ignored",
  ]);
});

test("warns about a key without effect and refuses one that can't be honoured, unless each has its default", () => {
  const set = read("node.id=1\nreporter=a.B\nguard=on");
  expect(messages(set.warnings)).toEqual(["node.properties:2: reporter=a.B: has no effect: classes can't be loaded"]);
  expect(messages(set.problems)).toEqual(["node.properties:3: guard=on: can't be set: there is no guard"]);
  const unset = read("node.id=1\nguard=");
  expect([...unset.warnings, ...unset.problems]).toEqual([]);
});

test("a check of several keys quotes those that are set and stays silent where one of them is already wrong", () => {
  const reading = read("node.id=1\ncopies=4\nidle.ms=9");
  reading.expect(false, ["copies", "idle.ms", "rack"], "copies must not exceed idle.ms");
  expect(messages(reading.problems)).toEqual(["node.properties:2: copies=4, node.properties:3: idle.ms=9: copies must not exceed idle.ms"]);
  const wrong = read("node.id=1\ncopies=x");
  wrong.expect(false, ["copies", "idle.ms"], "copies must not exceed idle.ms");
  expect(wrong.problems).toHaveLength(1);
});

test("shows no password, neither in messages nor in JSON, also behind a prefix", () => {
  const reading = read("node.id=1\nkey.password=hunter2");
  expect(reading.values.keyPassword?.reveal()).toBe("hunter2");
  expect(`${JSON.stringify(reading.values)} ${String(reading.values.keyPassword)}`).not.toContain("hunter2");
  const prefixed = parseProperties("listener.name.x.key.password=hunter2", "f").get("listener.name.x.key.password");
  if (prefixed !== undefined) reading.fault(prefixed, "is wrong");
  expect(messages(reading.problems)).toEqual(["f:1: listener.name.x.key.password=[hidden]: is wrong"]);
});

describe("values and how they are shown", () => {
  test("a long beyond 2^53 becomes the nearest safe integer, its text stays exact", () => {
    const key = long(0, { doc: "" });
    expect(key.parse("9223372036854775807")).toEqual({ value: longMax, text: "9223372036854775807" });
    expect(key.parse("-9223372036854775808")).toEqual({ value: -longMax, text: "-9223372036854775808" });
    expect(key.parse("9223372036854775808")).toBeUndefined();
    expect(long(longMax, { doc: "" }).default?.text).toBe("9223372036854775807");
  });

  test.each([
    [0.5, "0.5"],
    [1, "1.0"],
    [0, "0.0"],
    [1e7, "1.0E7"],
    [1234567.25, "1234567.25"],
    [0.0001, "1.0E-4"],
    [Number.MAX_VALUE, "1.7976931348623157E308"],
  ])("a double is shown as Java shows it: %d", (value, text) => {
    expect(javaDouble(value)).toBe(text);
  });
});

test("nearest finds a slip but not a stranger", () => {
  const names = ["num.io.threads", "num.network.threads", "log.dirs"];
  expect(nearest("num.io.thread", names)).toBe("num.io.threads");
  expect(nearest("log_dirs", names)).toBe("log.dirs");
  expect(nearest("broker.rack", names)).toBeUndefined();
});
