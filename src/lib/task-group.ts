import { toError } from "./error.ts";

/**
 * Owns background work: `run` starts it, a failure goes to `onError`, `settled` waits for all of it.
 * The only place where a promise may be left to itself.
 */
export class TaskGroup {
  readonly #running = new Set<Promise<void>>();
  readonly #onError: (error: Error) => void;

  constructor(onError: (error: Error) => void) {
    this.#onError = onError;
  }

  get size(): number {
    return this.#running.size;
  }

  run(task: () => Promise<void>): void {
    const promise = Promise.resolve()
      .then(task)
      .catch((thrown: unknown) => this.#onError(toError(thrown)))
      .finally(() => this.#running.delete(promise))
      .then(() => undefined);
    this.#running.add(promise);
  }

  async settled(): Promise<void> {
    while (this.#running.size > 0) await Promise.all(this.#running);
  }
}
