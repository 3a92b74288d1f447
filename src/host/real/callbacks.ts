import { performance } from "node:perf_hooks";
import { Histogram } from "../../lib/metrics.ts";

/** In seconds; 10 and 50 ms are what a broker's loop is judged by. */
const BOUNDS = Float64Array.of(0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 10);

/**
 * How long single callbacks hold an event loop: from the call into this program, by a socket, a timer or a file
 * operation, until all that it has set going in its turn, microtasks and next ticks, has run too. Not seen: callbacks
 * of modules that bypass the host (the metrics endpoint, the process's channel), connections made or ended, and what
 * runs between callbacks, such as some of the garbage collector's work; the loop's delay shows those.
 */
export class CallbackTimes {
  /** In seconds. */
  readonly seconds = new Histogram(BOUNDS);
  #measures = false;
  #inside = false;
  #startMs = 0;

  /** Measures from here on; until then `enter` does nothing. */
  begin(): void {
    this.#measures = true;
  }

  /** To be called first in each callback. */
  readonly enter = (): void => {
    if (!this.#measures || this.#inside) return;
    this.#inside = true;
    this.#startMs = performance.now();
    void settled.then(this.#amongMicrotasks);
  };

  /** A tick that a microtask asks for comes when no microtask is left. */
  readonly #amongMicrotasks = (): void => process.nextTick(this.#end);

  readonly #end = (): void => {
    this.#inside = false;
    this.seconds.observe((performance.now() - this.#startMs) / 1000);
  };
}

const settled = Promise.resolve();
