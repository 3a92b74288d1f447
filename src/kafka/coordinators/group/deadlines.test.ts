import { expect, test } from "vitest";
import { Prng } from "../../../lib/prng.ts";
import { Deadlines, type Deadline } from "./deadlines.ts";

test("deadlines ring in the order of their times, equal ones in the order in which they were set, cancelled ones never", () => {
  const prng = new Prng(1);
  const deadlines = new Deadlines<number>();
  let live: Deadline<number>[] = [];
  let nowMs = 0;
  for (let round = 0; round < 5000; round++) {
    const draw = prng.below(10);
    if (draw < 5) live.push(deadlines.set(nowMs + prng.below(50), round));
    else if (draw < 8 && live.length > 0) {
      const [gone] = live.splice(prng.below(live.length), 1);
      deadlines.cancel(gone);
      deadlines.cancel(gone);
    } else {
      nowMs += prng.below(20);
      const due = live.filter(({ atMs }) => atMs <= nowMs).toSorted((a, b) => a.atMs - b.atMs || a.order - b.order);
      live = live.filter(({ atMs }) => atMs > nowMs);
      const rung: number[] = [];
      for (let what = deadlines.take(nowMs); what !== undefined; what = deadlines.take(nowMs)) rung.push(what);
      expect(rung).toEqual(due.map(({ what }) => what));
    }
    expect(deadlines.nextMs).toBe(live.length === 0 ? undefined : Math.min(...live.map(({ atMs }) => atMs)));
  }
});

test("cancelled deadlines do not pile up, though they lie behind one that is far off", () => {
  const deadlines = new Deadlines<number>();
  deadlines.set(1, 0);
  for (let round = 0; round < 100_000; round++) deadlines.cancel(deadlines.set(1_000_000, round));
  expect(deadlines.held).toBeLessThan(200);
});
