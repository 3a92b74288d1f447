import type { Timer } from "./clock.ts";
import type { Host } from "./host.ts";

/** One deadline at a time, of the monotonic clock. */
export class Alarm {
  readonly #host: Pick<Host, "clock" | "timers">;
  readonly #ring: () => void;
  #timer: Timer | undefined;

  constructor(host: Pick<Host, "clock" | "timers">, ring: () => void) {
    this.#host = host;
    this.#ring = ring;
  }

  /** In place of the one before; undefined: none. */
  set(atMs: number | undefined): void {
    this.#timer?.cancel();
    this.#timer = undefined;
    if (atMs === undefined) return;
    const { clock, timers } = this.#host;
    const timer = timers.after(Math.max(0, atMs - clock.monotonicMs()), () => {
      // After a stall of this process, what has arrived meanwhile is heard before silence is concluded from.
      timers.soon(() => {
        if (this.#timer !== timer) return;
        this.#timer = undefined;
        this.#ring();
      });
    });
    this.#timer = timer;
  }
}
