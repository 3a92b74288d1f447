import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { formatProperties, mergeProperties, parseProperties, placeOf } from "./properties.ts";

function pairs(text: string): Record<string, string> {
  return Object.fromEntries([...parseProperties(text, "f")].map(([key, property]) => [key, property.value]));
}

describe("parseProperties", () => {
  test("takes =, : and white space as separators and drops only the white space before a value", () => {
    expect(pairs("a=1\nb : 2 \nc\t3\n  d = = 4\ne\nf=")).toEqual({ a: "1", b: "2 ", c: "3", d: "= 4", e: "", f: "" });
  });

  test("skips blank lines and comments, also indented ones, and ends lines at \\n, \\r\\n and \\r", () => {
    expect(pairs("# a=1\r\n ! b=2\r\r\n\t\nc=3\rd=4")).toEqual({ c: "3", d: "4" });
  });

  test("continues a line after an odd number of backslashes, without the next line's indent and without seeing comments there", () => {
    expect(pairs("hosts=a,\\\n    b,\\\r\n\t# c\npath=C\\\\\nnext=1")).toEqual({ hosts: "a,b,# c", path: "C\\", next: "1" });
  });

  test("drops a backslash at the end of the file", () => {
    expect(pairs("a=1\\")).toEqual({ a: "1" });
  });

  test("resolves escapes in keys and values", () => {
    expect(pairs("a\\ b\\=c=\\u00e9\\t\\n\\q\\\\")).toEqual({ "a b=c": "é\t\nq\\" });
  });

  test("names file and line of a broken unicode escape", () => {
    expect(() => parseProperties("a=1\nb=\\u12", "x.properties")).toThrow(/x\.properties:2: .*four hexadecimal digits/);
  });

  test("keeps the last of several lines with one key, and the number of the line on which it starts", () => {
    const property = parseProperties("a=1\n\na=2,\\\n3", "x.properties").get("a");
    expect(property).toEqual({ key: "a", value: "2,3", origin: "x.properties", line: 3 });
    expect(property && placeOf(property)).toBe("x.properties:3");
  });

  test("handles a long run of backslashes in linear time", () => {
    expect(pairs(`a=${"\\\\".repeat(50_000)}`)["a"]).toHaveLength(50_000);
  });
});

describe("formatProperties", () => {
  test("writes what parseProperties reads back, for any strings", () => {
    fc.assert(
      fc.property(fc.dictionary(fc.string({ unit: "binary", minLength: 1 }), fc.string({ unit: "binary" })), (entries) => {
        expect(pairs(formatProperties(Object.entries(entries), ["made by hand"]))).toEqual({ ...entries });
      }),
    );
  });

  test("writes plain values plainly", () => {
    expect(formatProperties([["version", "0"], ["cluster.id", "u-3_x"]], [""])).toBe("#\nversion=0\ncluster.id=u-3_x\n");
  });
});

test("an override wins over a file's line and keeps its own origin", () => {
  const override = new Map([["a", { key: "a", value: "9", origin: "--override", line: undefined }]]);
  const merged = mergeProperties(parseProperties("a=1\nb=2", "f"), override);
  expect([...merged.values()].map((property) => `${placeOf(property)} ${property.value}`)).toEqual(["--override 9", "f:2 2"]);
});
