import { expect, test } from "vitest";
import { needsOf, planReset, warningText, type ResetFacts, type ResetScenario } from "./reset-plan.ts";

const facts: ResetFacts = { topic: "t", partition: 0, start: 3, end: 7, committed: 5, atTime: 4 };

test("every scenario, clamped to what is there where it names an offset", () => {
  const cases: readonly (readonly [ResetScenario, number | undefined, number | undefined])[] = [
    [{ kind: "to-offset", offset: 6 }, 6, undefined],
    [{ kind: "to-offset", offset: 9 }, 7, 9],
    [{ kind: "to-offset", offset: 1 }, 3, 1],
    [{ kind: "shift-by", by: -1 }, 4, undefined],
    [{ kind: "shift-by", by: -5 }, 3, 0],
    [{ kind: "shift-by", by: 5 }, 7, 10],
    [{ kind: "to-time", time: 99 }, 4, undefined],
    [{ kind: "to-earliest" }, 3, undefined],
    [{ kind: "to-latest" }, 7, undefined],
    [{ kind: "to-current" }, 5, undefined],
    [{ kind: "planned", offsets: new Map([["t-0", 8]]) }, 7, 8],
    [{ kind: "planned", offsets: new Map([["t-1", 8]]) }, undefined, undefined],
  ];
  for (const [scenario, offset, clampedFrom] of cases) {
    const { rows, warnings } = planReset(scenario, [facts]);
    expect([scenario, rows[0]?.offset, warnings[0]?.wanted]).toEqual([scenario, offset, clampedFrom]);
  }
});

test("without a commit: the end is current, and nothing can be shifted; without a record at the time: the end", () => {
  const fresh: ResetFacts = { topic: "t", partition: 1, start: 3, end: 7 };
  expect(planReset({ kind: "to-current" }, [fresh]).rows[0]?.offset).toBe(7);
  expect(planReset({ kind: "to-time", time: 1 }, [fresh]).rows[0]?.offset).toBe(7);
  const shifted = planReset({ kind: "shift-by", by: 1 }, [facts, fresh]);
  expect([shifted.rows, shifted.uncommitted]).toEqual([[{ topic: "t", partition: 0, offset: 6 }], [fresh]]);
});

test("a warning tells what was asked for and what it became", () => {
  expect(planReset({ kind: "to-offset", offset: 9 }, [facts]).warnings.map(warningText)).toEqual(["New offset (9) is higher than latest offset for topic partition t-0. Value will be set to 7"]);
  expect(planReset({ kind: "to-offset", offset: 0 }, [facts]).warnings.map(warningText)).toEqual(["New offset (0) is lower than earliest offset for topic partition t-0. Value will be set to 3"]);
});

test("a scenario asks for what it looks at", () => {
  expect([needsOf({ kind: "to-earliest" }), needsOf({ kind: "to-latest" }), needsOf({ kind: "to-time", time: 1 }), needsOf({ kind: "shift-by", by: 1 })]).toEqual([
    { start: true, end: false, time: false }, { start: false, end: true, time: false }, { start: false, end: true, time: true }, { start: true, end: true, time: false },
  ]);
});
