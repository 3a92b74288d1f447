import type { Timer, Timers } from "../../host/clock.ts";
import type { Segment } from "./segment.ts";

/** What a timer can wait for. */
const DELAY_MS_MAX = 2 ** 31 - 1;

/** Segments that are out of their log; their files stay, marked as deleted, for a while. */
export class SegmentBin {
  readonly #timers: Timers;
  readonly #background: (task: () => Promise<void>) => void;
  readonly #waiting = new Map<Timer, readonly Segment[]>();

  constructor(timers: Timers, background: (task: () => Promise<void>) => void) {
    this.#timers = timers;
    this.#background = background;
  }

  throwAway(segments: readonly Segment[], delayMs: number): void {
    for (const segment of segments) segment.markDeleted();
    const timer = this.#timers.after(Math.min(delayMs, DELAY_MS_MAX), () => {
      this.#waiting.delete(timer);
      this.#background(async () => {
        for (const segment of segments) await segment.remove();
      });
    });
    this.#waiting.set(timer, segments);
  }

  /** The files that still wait are removed at the next start. */
  async close(): Promise<void> {
    const waiting = [...this.#waiting];
    this.#waiting.clear();
    for (const [timer, segments] of waiting) {
      timer.cancel();
      for (const segment of segments) await segment.close();
    }
  }
}
