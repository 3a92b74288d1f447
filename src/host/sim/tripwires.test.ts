import { getRandomValues, randomBytes } from "node:crypto";
import { setTimeout as timeout } from "node:timers";
import { describe, expect, test } from "vitest";
import { withTripwires } from "./tripwires.ts";
import { World } from "./world.ts";

const reaches: readonly (readonly [name: string, reach: () => unknown, instead: string])[] = [
  ["Date.now", () => Date.now(), "host.clock.wallMs"],
  ["new Date", () => new Date(), "host.clock.wallMs"],
  ["performance.now", () => performance.now(), "host.clock.monotonicMs"],
  ["process.hrtime", () => process.hrtime.bigint(), "host.clock.monotonicMs"],
  ["Math.random", () => Math.random(), "host.random.below"],
  ["randomBytes, imported by name", () => randomBytes(4), "host.random.bytes"],
  ["crypto.randomUUID", () => crypto.randomUUID(), "host.random.bytes"],
  ["crypto.getRandomValues", () => crypto.getRandomValues(new Uint8Array(1)), "host.random.bytes"],
  ["getRandomValues, imported by name", () => getRandomValues(new Uint8Array(1)), "host.random.bytes"],
  ["setTimeout", () => setTimeout(() => undefined, 1), "host.timers.after"],
  ["setTimeout, imported by name", () => timeout(() => undefined, 1), "host.timers.after"],
  ["setInterval", () => setInterval(() => undefined, 1), "host.timers.after"],
  ["setImmediate", () => setImmediate(() => undefined), "host.timers.soon"],
];

describe("withTripwires", () => {
  test.each(reaches)("%s throws, and names what to use instead, also inside a node's turn", async (_name, reach, instead) => {
    await withTripwires(async () => {
      expect(reach).toThrow(instead);
      const world = new World({ seed: 1, expected: () => true });
      world.addNode("a").host.timers.after(1, reach);
      await world.run({ forMs: 10 });
      expect(world.failures.map(({ reason }) => reason.message)).toEqual([expect.stringContaining(instead)]);
    });
  });

  test("a date of a given time is no entropy", async () => {
    const shown = await withTripwires(() => {
      const date = new Date(0);
      return Promise.resolve([date instanceof Date, date.toISOString(), Date.UTC(1970, 0, 1), Date.parse("1970-01-01")]);
    });
    expect(shown).toEqual([true, "1970-01-01T00:00:00.000Z", 0, 0]);
  });

  test("everything is as before afterwards, also where the body failed", async () => {
    await expect(withTripwires(() => Promise.reject(new Error("body")))).rejects.toThrow("body");
    for (const [, reach] of reaches) expect(reach).not.toThrow();
    expect(Object.hasOwn(performance, "now")).toBe(false);
    await new Promise((resolve) => setTimeout(resolve, 2));
  });
});
