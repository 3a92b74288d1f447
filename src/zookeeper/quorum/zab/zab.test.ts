import { describe, expect, test } from "vitest";
import { must } from "../../../lib/assert.ts";
import { Model, type Options } from "./testing.ts";

const SEEDS = 200;

function runSeed(options: Options): Model {
  const model = new Model(options);
  try {
    model.run();
  } catch (error) {
    throw new Error(`seed ${options.seed}, ${options.voters} voters, ${options.observers} observers`, { cause: error });
  }
  return model;
}

function optionsOf(seed: number): Options {
  return { seed, voters: seed % 2 === 0 ? 3 : 5, observers: seed % 3 === 0 ? 1 : 0 };
}

describe("leaders and learners against each other", () => {
  test("over crashes, broken links and wrong elections nothing committed is lost, and all agree in the end", () => {
    const marks = new Map<string, number>();
    let committed = 0;
    for (let seed = 1; seed <= SEEDS; seed++) {
      const model = runSeed(optionsOf(seed));
      committed += model.committed;
      for (const [what, count] of model.marks) marks.set(what, (marks.get(what) ?? 0) + count);
    }
    // Without these the run has shown little.
    const rare = ["diff", "trunc", "snap", "log", "crash", "step down", "sync", "own sync", "touch", "revalidated true", "revalidated false", "fail: lost"];
    expect(rare.filter((what) => (marks.get(what) ?? 0) < 5)).toEqual([]);
    expect(must(marks.get("established"), "leaders")).toBeGreaterThan(2 * SEEDS);
    expect(committed).toBeGreaterThan(50 * SEEDS);
  });

  test("a seed gives the same run each time", () => {
    for (const seed of [1, 2, 3]) expect(runSeed(optionsOf(seed)).summary).toBe(runSeed(optionsOf(seed)).summary);
  });
});
