import fs from "node:fs";
import { SHARE_ENV, Worker } from "node:worker_threads";
import { OperationalError } from "../../lib/error.ts";

/** Syncs the data of an open file, as fdatasync, and says how that went. */
export type DataSync = (fd: number, done: (error: Error | null) => void) => void;

/** A sync that has taken so long may have waited for the pool, where others read and write. */
const SLOW_MS = 100;

/** The thread's program: a string, because a file of its own would have to be found from sources, dist/ and bundles alike. Descriptors are the process's. */
const PROGRAM = `
const { fdatasyncSync } = require("node:fs");
const { parentPort } = require("node:worker_threads");
parentPort.on("message", ({ number, fd }) => {
  try {
    fdatasyncSync(fd);
    parentPort.postMessage({ number });
  } catch (error) {
    parentPort.postMessage({ number, error: { code: error.code, message: error.message } });
  }
});
parentPort.postMessage({ number: 0 });
`;

/** Small: the program keeps nothing. */
const LIMITS = { maxYoungGenerationSizeMb: 1, maxOldGenerationSizeMb: 8 };

interface Answer {
  /** 0: the thread has begun. */
  readonly number: number;
  readonly error?: { readonly code: string; readonly message: string };
}

/**
 * Syncs that no busy pool can hold up: in the pool as long as that is quick, and in a thread of their own from the first
 * slow one on (docs/decisions/20261122-sync-thread.md). As many are under way at once as files are synced, since a
 * file's operations wait for each other. The thread ends with the one that uses it, and holds it up only while a sync
 * is under way. An error is fdatasync's, or ERR_SYNC_THREAD where the thread has ended meanwhile.
 */
export function dataSyncApart({ slowMs = SLOW_MS, onServing = () => undefined }: { readonly slowMs?: number; readonly onServing?: () => void } = {}): DataSync {
  let thread: SyncThread | undefined;
  return (fd, done) => {
    if (thread?.serves === true) return thread.dataSync(fd, done);
    const startedMs = performance.now();
    fs.fdatasync(fd, (error) => {
      if (performance.now() - startedMs >= slowMs) thread ??= new SyncThread(onServing);
      done(error);
    });
  };
}

class SyncThread {
  readonly #worker: Worker;
  readonly #waiting = new Map<number, (error: Error | null) => void>();
  #last = 0;
  readonly #onServing: () => void;
  #state: "starting" | "serving" | "ended" = "starting";

  constructor(onServing: () => void) {
    this.#onServing = onServing;
    this.#worker = new Worker(PROGRAM, { eval: true, env: SHARE_ENV, execArgv: [], resourceLimits: LIMITS, name: "sync" });
    this.#worker.unref();
    this.#worker.on("message", (answer: Answer) => this.#answered(answer));
    this.#worker.on("error", (error) => this.#end(error));
    this.#worker.on("exit", (code) => this.#end(new Error(`exit code ${code}`)));
  }

  /** Until it does, and once it has ended, the pool is there. */
  get serves(): boolean {
    return this.#state === "serving";
  }

  dataSync(fd: number, done: (error: Error | null) => void): void {
    this.#last += 1;
    this.#waiting.set(this.#last, done);
    this.#worker.ref();
    this.#worker.postMessage({ number: this.#last, fd }, []);
  }

  #answered({ number, error }: Answer): void {
    if (number === 0) {
      this.#state = "serving";
      this.#onServing();
    }
    const done = this.#waiting.get(number);
    if (done === undefined) return;
    this.#waiting.delete(number);
    if (this.#waiting.size === 0) this.#worker.unref();
    done(error === undefined ? null : Object.assign(new Error(error.message), { code: error.code }));
  }

  #end(cause: Error): void {
    this.#state = "ended";
    const waiting = [...this.#waiting.values()];
    this.#waiting.clear();
    for (const done of waiting) done(new OperationalError("ERR_SYNC_THREAD", `the thread that syncs files has ended (${cause.message}): what was written last may not be on the disk`, { cause }));
  }
}
