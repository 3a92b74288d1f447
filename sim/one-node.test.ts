import { expect, test } from "vitest";
import { runOneNode, type Outcome } from "./one-node.ts";

const SEEDS = Array.from({ length: 20 }, (_, i) => String(i + 1));

test("a broker and a member under kill, power loss and broken links lose and double nothing, and each seed runs twice alike", async () => {
  const outcomes: Outcome[] = [];
  for (const seed of SEEDS) {
    const outcome = await runOneNode(seed);
    expect(await runOneNode(seed), `seed ${seed}, again`).toEqual(outcome);
    outcomes.push(outcome);
  }
  expect(new Set(outcomes.map((outcome) => outcome.hash)).size).toBe(SEEDS.length);
  // A run that harms nothing, or writes nothing, proves nothing.
  expect(Math.min(...outcomes.map((outcome) => outcome.faults))).toBeGreaterThan(3);
  expect(Math.min(...outcomes.map((outcome) => outcome.acknowledged))).toBeGreaterThan(100);
});
