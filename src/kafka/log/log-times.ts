import { fineBounds, Histogram } from "../../lib/metrics.ts";

/** How long the disk takes, in ms, of all logs of a broker. */
export class LogTimes {
  readonly #bounds = fineBounds(0.001, 65_000);
  /** Writes into the page cache that the event loop waited for. */
  readonly written = new Histogram(this.#bounds);
  /** Those that it did not wait for: gathered, and written by another thread. */
  readonly writtenBehind = new Histogram(this.#bounds);
  /** Flushes of one log to the disk. */
  readonly flushed = new Histogram(this.#bounds);
}
