import * as fc from "fast-check";
import { expect, test } from "vitest";
import { describeBuckets, ExpiryQueue, type Expiring } from "./expiry-queue.ts";

function item(name: string): Expiring & { readonly name: string } {
  return { name, expiresAt: undefined };
}

test("an item goes between its timeout and one tick later, never before", () => {
  fc.assert(
    fc.property(fc.integer({ min: 1, max: 5000 }), fc.nat(100_000), fc.nat(60_000), (tickMs, now, timeoutMs) => {
      const queue = new ExpiryQueue(tickMs);
      queue.touch(item("a"), timeoutMs, now);
      expect(queue.takeDue(now + timeoutMs - 0.001)).toEqual([]);
      expect(queue.takeDue(now + timeoutMs + tickMs)).toHaveLength(1);
      expect(queue.takeDue(now + timeoutMs + tickMs)).toEqual([]);
    }),
  );
});

test("touching puts an item off, and within a tick changes nothing", () => {
  const queue = new ExpiryQueue<ReturnType<typeof item>>(100);
  const [a, b] = [item("a"), item("b")];
  queue.touch(a, 250, 0);
  queue.touch(b, 250, 0);
  queue.touch(a, 250, 20);
  queue.touch(b, 250, 120);
  expect(queue.takeDue(300)).toEqual([a]);
  expect(queue.size).toBe(1);
  expect(queue.takeDue(400)).toEqual([b]);
});

test("what is overdue goes in the order in which it came due, and what was removed does not", () => {
  const queue = new ExpiryQueue<ReturnType<typeof item>>(10);
  const items = ["late", "early", "gone"].map(item);
  const [late, early, gone] = items;
  for (const [index, each] of items.entries()) queue.touch(each, 100 - 50 * index, 0);
  if (gone !== undefined) queue.remove(gone);
  expect(queue.takeDue(1000)).toEqual([early, late]);
  expect(queue.size).toBe(0);
});

test("dump tells how many expire when, as Java prints a date", () => {
  const clock = { monotonicMs: () => 5000, wallMs: () => Date.UTC(2026, 10, 22, 10, 49, 7) };
  expect(describeBuckets("Session", clock, [[6000, ["0x1", "0x2"]]], (id) => id)).toEqual(["Session Sets (1)/(2):", "2 expire at Sun Nov 22 10:49:08 GMT 2026:", "\t0x1", "\t0x2"]);
});
