import type { Timers } from "../../host/clock.ts";
import { OperationalError, toError } from "../../lib/error.ts";

/** A step of a job; true when it was the last. */
interface Job {
  step(): boolean;
  reject(error: Error): void;
}

/** Jobs that take turns; further ones wait. Each may hold a batch unpacked. */
const ACTIVE_MAX = 8;

/**
 * Runs the slow path's generators in turn, one step of one of them in each turn of the event loop, so that nobody waits
 * for longer than a step. How many wait is bounded by the callers: a connection has one job at a time.
 */
export class Conversions {
  readonly #timers: Timers;
  /** The first of them have begun. */
  readonly #jobs: Job[] = [];
  #next = 0;
  #scheduled = false;
  #closed = false;

  constructor(timers: Timers) {
    this.#timers = timers;
  }

  /** What the job returns. Rejects with ERR_STOPPING once this is closed: what it was for has no answer. */
  run<T>(job: Generator<undefined, T>): Promise<T> {
    if (this.#closed) return Promise.reject(stopping());
    return new Promise((resolve, reject) => {
      const step = (): boolean => {
        const result = job.next();
        if (result.done === true) resolve(result.value);
        return result.done === true;
      };
      this.#jobs.push({ step, reject });
      this.#schedule();
    });
  }

  close(): void {
    this.#closed = true;
    for (const job of this.#jobs.splice(0)) job.reject(stopping());
  }

  #schedule(): void {
    if (this.#scheduled || this.#jobs.length === 0) return;
    this.#scheduled = true;
    this.#timers.soon(() => {
      this.#scheduled = false;
      this.#turn();
      this.#schedule();
    });
  }

  #turn(): void {
    if (this.#next >= Math.min(this.#jobs.length, ACTIVE_MAX)) this.#next = 0;
    const job = this.#jobs[this.#next];
    if (job === undefined) return;
    if (this.#isOver(job)) this.#jobs.splice(this.#next, 1);
    else this.#next++;
  }

  #isOver(job: Job): boolean {
    try {
      return job.step();
    } catch (error) {
      job.reject(toError(error));
      return true;
    }
  }
}

function stopping(): OperationalError {
  return new OperationalError("ERR_STOPPING", "This broker stops, and converts no more records. Ask another broker, or this one when it is back");
}
