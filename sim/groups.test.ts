import { expect, test } from "vitest";
import { errorName } from "../src/kafka/protocol/error-codes.ts";
import { runGroups, type Outcome } from "./groups.ts";
import { GROUP_MARKS } from "./kafka/group-marks.ts";

const SEEDS = Array.from({ length: 20 }, (_, i) => String(i + 1));

/** Left to the scenarios: they need a history that no short run can be relied on to have. */
const RARE: readonly string[] = ["load given up", "group record could not be stored", "pending sync overdue", "cleaning aborted", "compaction completed at start"];

const outcomes: Outcome[] = [];

test.each(SEEDS)("seed %s: groups whose members come and go while brokers fail keep their commits, share partitions once and read everything, twice alike", async (seed) => {
  const outcome = await runGroups(seed);
  expect(await runGroups(seed), `seed ${seed}, again`).toEqual(outcome);
  // A run that harms nothing, or commits nothing, proves nothing.
  expect(Object.values(outcome.faults).reduce((sum, count) => sum + count, 0)).toBeGreaterThanOrEqual(2);
  expect(outcome.incidents).toBeGreaterThan(5);
  expect(outcome.commits).toBeGreaterThan(50);
  expect(outcome.offsets.judged).toBeGreaterThan(20);
  expect(outcome.comparisons).toBeGreaterThanOrEqual(1);
  outcomes.push(outcome);
});

test("the seeds differ, and together come by what is rare", () => {
  expect(new Set(outcomes.map(({ hash }) => hash)).size).toBe(SEEDS.length);
  const sum = (what: (outcome: Outcome) => number): number => outcomes.reduce((total, outcome) => total + what(outcome), 0);
  const unseen = GROUP_MARKS.filter((mark) => sum(({ marks }) => marks[mark] ?? 0) === 0);
  expect(unseen.filter((mark) => !RARE.includes(mark))).toEqual([]);
  const codes = new Set(outcomes.flatMap(({ answers }) => Object.keys(answers).map((answer) => Number(answer.split(" ")[1]))));
  for (const code of [15, 16, 22, 25, 27, 68, 69, 79, 82, 86]) expect(codes.has(code), `answer ${errorName(code)}`).toBe(true);
  expect(sum(({ groupsDeleted }) => groupsDeleted)).toBeGreaterThan(SEEDS.length / 2);
});
