import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";

/** Calls at each whole multiple of a tick of the monotonic clock: when the buckets of an ExpiryQueue come due. */
export class Ticker {
  readonly #host: Pick<Host, "clock" | "timers">;
  readonly #tickMs: number;
  readonly #onTick: (now: number) => void;
  #timer: Timer | undefined;

  constructor(host: Pick<Host, "clock" | "timers">, tickMs: number, onTick: (now: number) => void) {
    this.#host = host;
    this.#tickMs = tickMs;
    this.#onTick = onTick;
  }

  start(): void {
    const { clock, timers } = this.#host;
    const timer = timers.after(this.#tickMs - (clock.monotonicMs() % this.#tickMs), () => {
      // After a stall of this process, what has arrived meanwhile is heard before anybody is given up for silence.
      timers.soon(() => {
        if (this.#timer !== timer) return;
        this.#onTick(clock.monotonicMs());
        if (this.#timer === timer) this.start();
      });
    });
    this.#timer = timer;
  }

  stop(): void {
    this.#timer?.cancel();
    this.#timer = undefined;
  }
}
