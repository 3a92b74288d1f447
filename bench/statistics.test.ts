import { expect, test } from "vitest";
import { holds, quantile, quartiles, ratios, spread } from "./statistics.ts";

test("quartiles lie between the nearest ranks, in whatever order the values came", () => {
  expect(quartiles([4, 1, 3, 2])).toEqual({ lower: 1.75, median: 2.5, upper: 3.25 });
  expect(quartiles([5])).toEqual({ lower: 5, median: 5, upper: 5 });
  expect(quartiles([3, 1, 2, 5, 4])).toEqual({ lower: 2, median: 3, upper: 4 });
});

test("a spread has the median, the lowest and the highest", () => {
  expect(spread([10, 30, 20])).toEqual({ median: 20, min: 10, max: 30 });
});

test("nothing has no figure", () => {
  expect(() => quantile([], 0.5)).toThrow(RangeError);
  expect(() => ratios([1, 2], [1])).toThrow("2 rounds of ours and 1 of theirs");
  expect(() => ratios([0], [0])).toThrow("not above zero");
});

test("a ratio is made of one round's pair, not of medians", () => {
  expect(ratios([10, 100], [5, 200])).toEqual([2, 0.5]);
});

test("a mark that more is better for holds by the lower quartile, with 5 % of tolerance", () => {
  expect(holds({ lower: 1.43, median: 2, upper: 3 }, 1.5, "more")).toBe(true);
  expect(holds({ lower: 1.42, median: 2, upper: 3 }, 1.5, "more")).toBe(false);
});

test("a mark that less is better for holds by the upper quartile", () => {
  expect(holds({ lower: 0.1, median: 0.2, upper: 0.52 }, 0.5, "less")).toBe(true);
  expect(holds({ lower: 0.1, median: 0.2, upper: 0.53 }, 0.5, "less")).toBe(false);
});
