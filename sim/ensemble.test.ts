import { expect, test } from "vitest";
import { runEnsemble, type Outcome } from "./ensemble.ts";

const SEEDS = Array.from({ length: 20 }, (_, i) => String(i + 1));

test("an ensemble under kills, power loss, partitions, pauses and slow disks keeps what ZooKeeper promises, and each seed runs twice alike", async () => {
  const outcomes: Outcome[] = [];
  for (const seed of SEEDS) {
    const outcome = await runEnsemble(seed);
    expect(await runEnsemble(seed), `seed ${seed}, again`).toEqual(outcome);
    outcomes.push(outcome);
  }
  expect(new Set(outcomes.map(({ hash }) => hash)).size).toBe(SEEDS.length);
  const least = (what: (outcome: Outcome) => number): number => Math.min(...outcomes.map(what));
  const sum = (what: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + what(outcome), 0);
  // A run that harms nothing, or in which nothing is done, proves nothing.
  expect(least(({ faults }) => Object.values(faults).reduce((total, count) => total + count, 0))).toBeGreaterThan(2);
  expect(least(({ acknowledged }) => acknowledged)).toBeGreaterThan(100);
  expect(least(({ reads }) => reads)).toBeGreaterThan(100);
  expect(least(({ syncs }) => syncs)).toBeGreaterThan(10);
  expect(least(({ watchEvents }) => watchEvents)).toBeGreaterThan(10);
  expect(least(({ sessionsExpired }) => sessionsExpired)).toBeGreaterThan(0);
  expect(sum(({ epochs }) => epochs)).toBeGreaterThan(SEEDS.length * 3);
  const kinds = (["diff", "trunc", "snap"] as const).filter((kind) => sum(({ synchronizations }) => synchronizations[kind]) > 0);
  expect(kinds).toEqual(["diff", "trunc", "snap"]);
});
