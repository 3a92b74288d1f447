import { expect, test } from "vitest";
import { runCluster, type Outcome } from "./cluster.ts";
import { MARKS } from "./kafka/marks.ts";

const SEEDS = Array.from({ length: 20 }, (_, i) => String(i + 1));

/** Left to the scenarios, as are unclean elections, and to unit tests: they need a history that no short run can be relied on to have. */
const RARE: readonly string[] = ["asks for an older leader epoch", "fetch offset out of range", "the log ends before its leader's starts, and starts anew there", "partition failed", "ISR change refused", "ISR change sent again"];

const outcomes: Outcome[] = [];

test.each(SEEDS)("seed %s: brokers under kills, stops, pauses, partitions and clogs keep what was acknowledged and come together, twice alike", async (seed) => {
  const outcome = await runCluster(seed);
  expect(await runCluster(seed), `seed ${seed}, again`).toEqual(outcome);
  // A run that harms nothing, or writes nothing, proves nothing.
  expect(Object.values(outcome.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(3);
  expect(outcome.acknowledged).toBeGreaterThan(100);
  expect(outcome.read).toBeGreaterThan(100);
  expect(outcome.comparisons).toBeGreaterThan(1000);
  outcomes.push(outcome);
});

test("the seeds differ, and together come by what is rare", () => {
  expect(new Set(outcomes.map(({ hash }) => hash)).size).toBe(SEEDS.length);
  const sum = (what: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + what(outcome), 0);
  const unseen = MARKS.filter((mark) => sum(({ marks }) => marks[mark] ?? 0) === 0);
  expect(unseen.filter((mark) => !RARE.includes(mark))).toEqual([]);
  // NOT_ENOUGH_REPLICAS, NOT_LEADER_OR_FOLLOWER, and no answer at all.
  for (const answer of ["19", "6", "none"]) expect(sum(({ answers }) => answers[answer] ?? 0), `answer ${answer}`).toBeGreaterThan(0);
  expect(sum(({ asynchronousAppends }) => asynchronousAppends)).toBeGreaterThan(0);
  expect(sum(({ readFromFollowers }) => readFromFollowers)).toBeGreaterThan(100);
  expect(sum(({ znodes }) => znodes.controllers)).toBeGreaterThan(SEEDS.length * 2);
  expect(sum(({ topicsDeleted }) => topicsDeleted)).toBeGreaterThan(SEEDS.length);
});
