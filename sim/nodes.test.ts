import { expect, test } from "vitest";
import { runNodes, type Outcome } from "./nodes.ts";

const SEEDS = Array.from({ length: 6 }, (_, i) => String(i + 1));

const outcomes: Outcome[] = [];

test.each(SEEDS)("seed %s: whole nodes with clients of both kinds keep every promise and come together, twice alike", async (seed) => {
  const outcome = await runNodes(seed);
  expect(await runNodes(seed), `seed ${seed}, again`).toEqual(outcome);
  // A run that harms nothing, or in which nothing is done, proves nothing.
  expect(Object.values(outcome.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(2);
  expect(outcome.operationsPerSecond).toBeGreaterThan(100);
  expect(outcome.groups.commits).toBeGreaterThan(50);
  expect(outcome.znodes.transactions).toBeGreaterThan(500);
  outcomes.push(outcome);
});

test("rounds of faults and convergence follow each other for as long as is asked", async () => {
  const outcome = await runNodes("7", { minutes: 0.7 });
  expect(outcome.rounds).toBeGreaterThan(1);
  expect(outcome.endedMs).toBeGreaterThan(42_000);
});

test("the seeds differ", () => {
  expect(new Set(outcomes.map(({ hash }) => hash)).size).toBe(SEEDS.length);
});
