import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { Prng } from "../../lib/prng.ts";
import { growthStart, placeReplicas, type Candidate } from "./assignment.ts";

const plain = (...ids: number[]): Candidate[] => ids.map((id) => ({ id, rack: null }));
const racked = (racks: Record<number, string>): Candidate[] => Object.entries(racks).map(([id, rack]) => ({ id: Number(id), rack }));

/** Draws that are always the same, so that the start and the shift are known. */
const fixed = (value: number): { below: () => number } => ({ below: () => value });

function place(brokers: readonly Candidate[], partitions: number, factor: number, start = 0): number[][] {
  const placed = placeReplicas(brokers, partitions, factor, { random: fixed(start) });
  if ("failure" in placed) throw new Error(placed.failure.message);
  return placed.replicas;
}

describe("placing replicas", () => {
  test("without racks: first replicas go round, the others follow by a shift that grows with each round", () => {
    // The table in AdminUtils.scala: five brokers, ten partitions, three replicas.
    expect(place(plain(0, 1, 2, 3, 4), 10, 3)).toEqual([
      [0, 1, 2], [1, 2, 3], [2, 3, 4], [3, 4, 0], [4, 0, 1],
      [0, 2, 3], [1, 3, 4], [2, 4, 0], [3, 0, 1], [4, 1, 2],
    ]);
  });

  test("with racks: as the example in AdminUtils.scala", () => {
    const brokers = racked({ 0: "rack1", 1: "rack3", 2: "rack3", 3: "rack2", 4: "rack2", 5: "rack1" });
    expect(place(brokers, 7, 3)).toEqual([[0, 3, 1], [3, 1, 5], [1, 5, 4], [5, 4, 2], [4, 2, 0], [2, 0, 3], [0, 4, 2]]);
  });

  test("partitions added to a topic: the first replicas go on where it stopped, the shift begins again at the start", () => {
    const brokers = plain(1, 2, 3, 5);
    const before = place(brokers, 5, 2, 2);
    const start = growthStart(brokers, before[0]?.[0] ?? -1);
    const added = placeReplicas(brokers, 4, 2, { start, firstPartition: 5 });
    expect(start).toBe(2);
    expect(before.map(([first]) => first)).toEqual([3, 5, 1, 2, 3]);
    expect(added).toEqual({ replicas: [[5, 3], [1, 5], [2, 1], [3, 5]] });
    expect(growthStart(brokers, 4)).toBe(3);
    expect(growthStart(brokers, 9)).toBe(0);
  });

  test.each([
    ["partitions", plain(1), 0, 1],
    ["replication", plain(1), 1, 0],
    ["replication", plain(1, 2), 1, 3],
    ["racks", [...racked({ 1: "a" }), ...plain(2)], 1, 1],
  ] as const)("a failure for %s: brokers %j, %d partitions, %d replicas", (reason, brokers, partitions, factor) => {
    expect(placeReplicas(brokers, partitions, factor, { random: fixed(0) })).toMatchObject({ failure: { reason } });
  });

  test("replicas are different brokers, as many racks as can be have one, and first replicas are spread evenly", () => {
    const brokersOf = fc.uniqueArray(fc.integer({ min: 0, max: 50 }), { minLength: 1, maxLength: 12 }).chain((ids) =>
      fc.array(fc.constantFrom("a", "b", "c", "d"), { minLength: ids.length, maxLength: ids.length }).map((racks) => ids.toSorted((a, b) => a - b).map((id, index) => ({ id, rack: racks[index] ?? "a" }))),
    );
    fc.assert(
      fc.property(brokersOf, fc.integer({ min: 1, max: 60 }), fc.nat(), fc.boolean(), fc.integer(), (brokers, partitions, factorDraw, useRacks, seed) => {
        const factor = 1 + (factorDraw % brokers.length);
        const candidates = useRacks ? brokers : brokers.map(({ id }) => ({ id, rack: null }));
        const placed = placeReplicas(candidates, partitions, factor, { random: new Prng(seed) });
        if ("failure" in placed) throw new Error(placed.failure.message);
        expect(placed.replicas).toHaveLength(partitions);
        const racks = new Map(brokers.map(({ id, rack }) => [id, rack]));
        const firsts = new Map(brokers.map(({ id }) => [id, 0]));
        for (const replicas of placed.replicas) {
          expect(new Set(replicas).size).toBe(factor);
          firsts.set(replicas[0] ?? -1, (firsts.get(replicas[0] ?? -1) ?? 0) + 1);
          if (useRacks) expect(new Set(replicas.map((replica) => racks.get(replica))).size).toBe(Math.min(factor, new Set(racks.values()).size));
        }
        expect(firsts.size).toBe(brokers.length);
        expect(Math.max(...firsts.values()) - Math.min(...firsts.values())).toBeLessThanOrEqual(1);
      }),
    );
  });
});
