import { afterAll, describe, expect, test } from "vitest";
import { runCluster, type Outcome } from "./cluster.ts";

const SEEDS = Array.from({ length: 20 }, (_, i) => String(i + 1));
const outcomes: Outcome[] = [];

describe("three brokers under kills, stops, pauses and broken links keep what they acknowledged and come together again, and each seed runs twice alike", () => {
  test.each(SEEDS)("seed %s", async (seed) => {
    const outcome = await runCluster(seed);
    expect(await runCluster(seed), "again").toEqual(outcome);
    // A run that harms nothing, or writes nothing, proves nothing.
    expect(Object.values(outcome.faults).reduce((total, count) => total + count, 0)).toBeGreaterThan(2);
    expect(outcome.acknowledged).toBeGreaterThan(100);
    outcomes.push(outcome);
  });

  afterAll(() => {
    expect(new Set(outcomes.map(({ hash }) => hash)).size).toBe(outcomes.length);
  });
});
