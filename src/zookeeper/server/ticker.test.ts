import { expect, test } from "vitest";
import { Ticker } from "./ticker.ts";

/** Timers and soons that run when the test says so. */
class Hand {
  now = 0;
  delayMs: number | undefined;
  timer: (() => void) | undefined;
  soon: (() => void) | undefined;

  readonly host = {
    clock: { monotonicMs: () => this.now, wallMs: () => this.now },
    timers: {
      after: (delayMs: number, callback: () => void) => {
        this.delayMs = delayMs;
        this.timer = callback;
        return { cancel: () => (this.timer = undefined) };
      },
      soon: (callback: () => void) => {
        this.soon = callback;
      },
    },
  };

  fire(name: "timer" | "soon"): void {
    const callback = this[name];
    this[name] = undefined;
    callback?.();
  }
}

test("ticks at whole multiples, each only after the input that waited has been handled", () => {
  const hand = new Hand();
  const ticks: number[] = [];
  const ticker = new Ticker(hand.host, 1000, (now) => ticks.push(now));
  hand.now = 2300;
  ticker.start();
  expect(hand.delayMs).toBe(700);
  hand.now = 9100;
  hand.fire("timer");
  expect(ticks).toEqual([]);
  hand.fire("soon");
  expect(ticks).toEqual([9100]);
  expect(hand.delayMs).toBe(900);
});

test("does not tick after stop, whatever was under way", () => {
  const hand = new Hand();
  const ticks: number[] = [];
  const ticker = new Ticker(hand.host, 1000, (now) => ticks.push(now));
  ticker.start();
  hand.fire("timer");
  ticker.stop();
  hand.fire("soon");
  expect(ticks).toEqual([]);
  expect(hand.timer).toBeUndefined();
});
