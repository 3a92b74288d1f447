import { expect, test } from "vitest";
import { Prng } from "../../lib/prng.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { Acknowledgements } from "./acknowledgements.ts";

/** What was settled, in order: `offset` where all went well, `offset!code` where not. */
function bench() {
  const acknowledgements = new Acknowledgements();
  const settled: string[] = [];
  const add = (offset: number): (() => void) => acknowledgements.add(offset, (error) => settled.push(error === ErrorCode.NONE ? `${offset}` : `${offset}!${error}`));
  return { acknowledgements, settled, add };
}

test("those that the high watermark reaches are settled once, in the order of their offsets", () => {
  const { acknowledgements, settled, add } = bench();
  for (const offset of [3, 5, 9, 4, 5]) add(offset);
  acknowledgements.reached(2);
  expect(settled).toEqual([]);
  acknowledgements.reached(5);
  acknowledgements.reached(5);
  expect(settled).toEqual(["3", "4", "5", "5"]);
  acknowledgements.reached(100);
  expect([settled.at(-1), acknowledgements.size]).toEqual(["9", 0]);
});

test("whoever gives up is not settled, and may give up twice, or too late", () => {
  const { acknowledgements, settled, add } = bench();
  const [first, second, third] = [add(1), add(2), add(3)];
  second();
  second();
  acknowledgements.reached(2);
  first();
  expect([settled, acknowledgements.size]).toEqual([["1"], 1]);
  third();
  acknowledgements.reached(9);
  expect([settled, acknowledgements.size]).toEqual([["1"], 0]);
});

test("all that are left hear why they wait in vain, and later ones wait anew", () => {
  const { acknowledgements, settled, add } = bench();
  for (const offset of [1, 2, 3]) add(offset);
  acknowledgements.reached(1);
  acknowledgements.drop(ErrorCode.NOT_LEADER_OR_FOLLOWER);
  add(2);
  expect([settled, acknowledgements.size]).toEqual([["1", "2!6", "3!6"], 1]);
  acknowledgements.reached(2);
  expect(settled.at(-1)).toBe("2");
});

test("one that is settled may add another, and make another give up", () => {
  const acknowledgements = new Acknowledgements();
  const settled: number[] = [];
  acknowledgements.add(1, () => {
    settled.push(1);
    giveUp();
    acknowledgements.add(1, () => settled.push(11));
    acknowledgements.add(7, () => settled.push(7));
  });
  const giveUp = acknowledgements.add(2, () => settled.push(2));
  acknowledgements.add(3, () => settled.push(3));
  acknowledgements.reached(3);
  expect([settled, acknowledgements.size]).toEqual([[1, 11, 3], 1]);
});

test("whatever comes in whatever order, it does what a plain list would do", () => {
  for (let seed = 0; seed < 50; seed++) {
    const prng = new Prng(seed);
    const { acknowledgements, settled, add } = bench();
    const expected: string[] = [];
    let waiting: { offset: number; giveUp: () => void }[] = [];
    for (let step = 0, offset = 0, reached = 0; step < 300; step++) {
      const draw = prng.below(10);
      if (draw < 5) {
        offset = Math.max(reached + 1, offset + prng.below(4) - 1);
        waiting.push({ offset, giveUp: add(offset) });
      } else if (draw < 8) {
        const [one] = waiting.splice(prng.below(Math.max(1, waiting.length)), 1);
        one?.giveUp();
      } else {
        reached = Math.max(reached, offset - prng.below(6));
        acknowledgements.reached(reached);
        const done = waiting.filter((one) => one.offset <= reached).toSorted((a, b) => a.offset - b.offset);
        expected.push(...done.map((one) => `${one.offset}`));
        waiting = waiting.filter((one) => one.offset > reached);
      }
      expect(acknowledgements.size).toBe(waiting.length);
    }
    expect(settled).toEqual(expected);
  }
});
