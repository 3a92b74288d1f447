import { expect, test } from "vitest";
import { quantileOf } from "./loop.ts";

test("a quantile lies in its bucket in proportion, and at the last bound where it is beyond", () => {
  const buckets = [
    { boundSeconds: 0.001, count: 900 },
    { boundSeconds: 0.01, count: 1000 },
    { boundSeconds: Infinity, count: 1000 },
  ];
  expect(quantileOf(buckets, 0.45)).toBeCloseTo(0.0005);
  expect(quantileOf(buckets, 0.95)).toBeCloseTo(0.0055);
  expect(quantileOf([{ boundSeconds: 0.001, count: 1 }, { boundSeconds: Infinity, count: 1000 }], 0.999)).toBe(0.001);
  expect(quantileOf([], 0.5)).toBeNaN();
});
