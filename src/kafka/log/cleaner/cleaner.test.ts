import { describe, expect, test } from "vitest";
import { CleanerBench } from "./testing.ts";

describe("a pass", () => {
  test("leaves the last record of each key, at its own offset", async () => {
    const bench = new CleanerBench();
    for (let round = 0; round < 6; round++) bench.put(["a=" + round, "b=" + round, `only-${round}=x`]);
    await bench.roll();
    const before = await bench.fold();
    const written = await bench.stored();
    expect(await bench.clean()).toBe(true);
    const left = await bench.stored();
    expect(await bench.fold()).toEqual(before);
    expect(left.filter((one) => one.key === "a").map((one) => one.value)).toEqual(["5"]);
    expect(left.every((one) => written.some((other) => JSON.stringify(other) === JSON.stringify(one)))).toBe(true);
  });
});
