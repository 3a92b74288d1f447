import { performance } from "node:perf_hooks";
import type { Clock, Timers } from "../clock.ts";

export const realClock: Clock = {
  monotonicMs: () => performance.now(),
  wallMs: () => Date.now(),
};

/** Node fires a timer of a longer delay at once. */
const DELAY_MS_MAX = 0x7fff_ffff;

/** `enter` is called first in each callback. */
export function realTimers(enter: () => void): Timers {
  return {
    after(delayMs, callback) {
      const handle = setTimeout(() => {
        enter();
        callback();
      }, Math.min(delayMs, DELAY_MS_MAX));
      return { cancel: () => clearTimeout(handle) };
    },
    soon(callback) {
      setImmediate(() => {
        enter();
        callback();
      });
    },
  };
}
