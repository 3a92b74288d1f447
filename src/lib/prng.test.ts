import { describe, expect, it } from "vitest";
import { Prng } from "./prng.ts";

const draw = (prng: Prng, count: number): number[] => Array.from({ length: count }, () => prng.next());

describe("Prng", () => {
  it("gives the same words for a seed written as bigint, number or decimal string", () => {
    expect(draw(new Prng("42"), 20)).toEqual(draw(new Prng(42n), 20));
    expect(draw(new Prng(42), 20)).toEqual(draw(new Prng(42n), 20));
  });

  it("keeps to its first words, so that a committed seed means the same run tomorrow", () => {
    expect(draw(new Prng("18446744073709551615"), 4)).toMatchInlineSnapshot(`
      [
        1764797259,
        3877443715,
        254422320,
        1995265944,
      ]
    `);
  });

  it("gives different words for seeds that differ in one bit of either half", () => {
    const first = draw(new Prng(0n), 4);
    expect(draw(new Prng(1n), 4)).not.toEqual(first);
    expect(draw(new Prng(1n << 63n), 4)).not.toEqual(first);
  });

  it("forks by name and seed only: draws from the parent or from another fork shift nothing", () => {
    const parent = new Prng(7n);
    const untouched = draw(parent.fork("disk"), 8);
    draw(parent, 100);
    draw(parent.fork("network"), 100);
    expect(draw(parent.fork("disk"), 8)).toEqual(untouched);
    expect(draw(parent.fork("network"), 8)).not.toEqual(untouched);
  });

  it("draws uniformly below a bound that does not divide 2^32", () => {
    const prng = new Prng(3n);
    const seen = Array.from({ length: 7 }, () => 0);
    for (let n = 0; n < 70_000; n++) seen[prng.below(7)]!++;
    for (const count of seen) expect(Math.abs(count - 10_000)).toBeLessThan(500);
  });

  it("stays within both ends of between() and refuses an empty range", () => {
    const prng = new Prng(3n);
    const seen = new Set(Array.from({ length: 200 }, () => prng.between(-1, 1)));
    expect([...seen].toSorted((a, b) => a - b)).toEqual([-1, 0, 1]);
    expect(() => prng.below(0)).toThrow("a draw below 0");
  });

  it("shuffles without losing an item and fills any length of bytes", () => {
    const prng = new Prng(5n);
    expect(prng.shuffle([1, 2, 3, 4, 5, 6]).toSorted((a, b) => a - b)).toEqual([1, 2, 3, 4, 5, 6]);
    for (const length of [0, 1, 3, 4, 5, 17]) expect(prng.bytes(length)).toHaveLength(length);
  });
});
