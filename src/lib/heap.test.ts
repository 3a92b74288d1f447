import * as fc from "fast-check";
import { describe, expect, it } from "vitest";
import { Heap } from "./heap.ts";

const drain = (heap: Heap<number>): number[] => {
  const out: number[] = [];
  while (heap.size > 0) out.push(heap.pop() as number);
  return out;
};

describe("Heap", () => {
  it("pops what was pushed in order, whatever the order of pushing", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (numbers) => {
        const heap = new Heap<number>((a, b) => a < b);
        for (const number of numbers) heap.push(number);
        expect(heap.peek()).toBe(numbers.length === 0 ? undefined : Math.min(...numbers));
        expect(drain(heap)).toEqual(numbers.toSorted((a, b) => a - b));
      }),
    );
  });

  it("keeps its order after retain() dropped some", () => {
    fc.assert(
      fc.property(fc.array(fc.integer()), (numbers) => {
        const heap = new Heap<number>((a, b) => a < b);
        for (const number of numbers) heap.push(number);
        heap.retain((number) => number % 3 !== 0);
        expect(drain(heap)).toEqual(numbers.filter((n) => n % 3 !== 0).toSorted((a, b) => a - b));
      }),
    );
  });

  it("is undefined at the top when empty", () => {
    const heap = new Heap<number>((a, b) => a < b);
    expect(heap.pop()).toBeUndefined();
    expect(heap.size).toBe(0);
  });
});
