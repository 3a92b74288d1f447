import type { TaskGroup } from "../../lib/task-group.ts";

/**
 * Keeps a file up to date in the background: one write at a time, and requests that come meanwhile share the next
 * one. `write` saves what is true when it is called.
 */
export class Saver {
  readonly #tasks: TaskGroup;
  readonly #write: () => Promise<void>;
  #wanted = false;
  #saving: Promise<void> | undefined;

  constructor(tasks: TaskGroup, write: () => Promise<void>) {
    this.#tasks = tasks;
    this.#write = write;
  }

  request(): void {
    this.#wanted = true;
    if (this.#saving !== undefined) return;
    const saving = this.#save();
    this.#saving = saving;
    this.#tasks.run(() => saving);
  }

  /** Resolves when all that was requested is saved, or rejects as `write` did. */
  async settled(): Promise<void> {
    while (this.#saving !== undefined) await this.#saving;
  }

  async #save(): Promise<void> {
    // What one turn asks for is saved once, and `#saving` is set before this ends.
    await Promise.resolve();
    try {
      while (this.#wanted) {
        this.#wanted = false;
        await this.#write();
      }
    } finally {
      this.#saving = undefined;
    }
  }
}
