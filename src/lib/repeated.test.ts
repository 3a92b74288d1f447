import { expect, test } from "vitest";
import { repeated } from "./repeated.ts";

test("names each item once that is there more than once", () => {
  expect([...repeated(["a", "b", "a", "c", "b", "a"])]).toEqual(["a", "b"]);
  expect([...repeated([])]).toEqual([]);
});
