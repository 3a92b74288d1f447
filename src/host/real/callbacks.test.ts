import { expect, test } from "vitest";
import { realHost } from "./host.ts";

function hold(ms: number): void {
  for (const until = performance.now() + ms; performance.now() < until; );
}

test("a callback lasts until all that it set going in its turn has run, promises and ticks, and no longer; the next one counts anew", async () => {
  const host = realHost({ logLevel: "silent" });
  const { callbacks, timers } = host;
  timers.soon(() => hold(5));
  await new Promise<void>((resolve) => timers.soon(resolve));
  expect(callbacks.seconds.count).toBe(0);
  callbacks.begin();
  timers.soon(() => {
    hold(20);
    void Promise.resolve()
      .then(() => hold(20))
      .then(() => process.nextTick(() => hold(20)))
      .then(() => hold(20));
    timers.after(1, () => hold(1));
  });
  await new Promise<void>((resolve) => {
    timers.after(150, resolve);
  });
  await new Promise<void>((resolve) => {
    setTimeout(resolve, 1);
  });
  const { counts, bounds, count } = callbacks.seconds;
  expect(count).toBe(3);
  // One of at least 80 ms; on a busy machine any of them may be longer than it was asked to be.
  const atLeast = (seconds: number): number => Array.from(bounds).reduce((sum, bound, at) => (bound > seconds ? sum + (counts[at] ?? 0) : sum), counts.at(-1) ?? 0);
  expect(atLeast(0.05)).toBeGreaterThanOrEqual(1);
  expect(callbacks.seconds.recent(0).max).toBeGreaterThanOrEqual(0.06);
});
