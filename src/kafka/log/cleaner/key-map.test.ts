import { describe, expect, test } from "vitest";
import { Prng } from "../../../lib/prng.ts";
import { KeyMap } from "./key-map.ts";

const key = (number: number): Buffer => Buffer.from(`key-${number}`);

describe("the key map", () => {
  test("says what a map says, while it grows and after it was cleared", () => {
    const prng = new Prng(1);
    const map = new KeyMap(8 * 1024 * 1024, 0.9);
    for (let round = 0; round < 2; round++) {
      const model = new Map<number, number>();
      for (let offset = 0; offset < 40_000; offset++) {
        const drawn = prng.below(20_000);
        if (!map.put(key(drawn), offset)) throw new Error(`full at ${offset}`);
        model.set(drawn, offset);
      }
      expect(map.size).toBe(model.size);
      const wrong = Array.from({ length: 20_500 }, (_, number) => number).filter((number) => map.get(key(number)) !== (model.get(number) ?? -1));
      expect(wrong).toEqual([]);
      map.clear();
      expect([map.size, map.get(key(1))]).toEqual([0, -1]);
    }
  });

  test("is full at its load factor: known keys are still taken, new ones are not, and all that it took stays", () => {
    const map = new KeyMap(24 * 100, 0.9);
    for (let number = 0; number < 90; number++) expect(map.put(key(number), number)).toBe(true);
    expect([map.put(key(90), 90), map.size]).toEqual([false, 90]);
    expect(map.put(key(3), 100)).toBe(true);
    expect([map.get(key(3)), map.get(key(89)), map.get(key(90))]).toEqual([100, 89, -1]);
  });

  test("leaves one slot empty whatever the load factor, so that a search ends", () => {
    const map = new KeyMap(24 * 10, 1);
    let taken = 0;
    while (map.put(key(taken), taken)) taken++;
    expect([taken, map.get(key(1000))]).toEqual([9, -1]);
  });

  test("takes keys of any bytes, and none", () => {
    const map = new KeyMap(1024, 0.9);
    map.put(Buffer.alloc(0), 5);
    map.put(Buffer.from([0]), 6);
    expect([map.get(Buffer.alloc(0)), map.get(Buffer.from([0])), map.get(Buffer.from([0, 0]))]).toEqual([5, 6, -1]);
  });
});
