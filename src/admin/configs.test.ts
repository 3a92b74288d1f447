import { expect, test } from "vitest";
import { errorCode } from "../lib/error.ts";
import { parseConfigs } from "./configs.ts";

test("settings are split at commas and equals signs outside of brackets; a value may be empty", () => {
  const cases: readonly (readonly [string, readonly (readonly [string, string])[]])[] = [
    ["a=1", [["a", "1"]]],
    ["a=1,b=[x,y=z],c=", [["a", "1"], ["b", "x,y=z"], ["c", ""]]],
    [" a = 1 , b = 2 ", [["a", "1"], ["b", "2"]]],
    ["a=1,", [["a", "1"]]],
    ["a=[1]", [["a", "1"]]],
  ];
  for (const [text, expected] of cases) expect([text, [...parseConfigs(text, "--add-config")]]).toEqual([text, expected]);
  for (const bad of ["a", "", "a=1,b", "a=b=c"]) {
    let code: string | undefined;
    try {
      parseConfigs(bad, "--add-config");
    } catch (error) {
      code = errorCode(error);
    }
    expect([bad, code]).toEqual([bad, "ERR_USAGE"]);
  }
});
