import { Worker } from "node:worker_threads";
import { assert } from "../lib/assert.ts";
import { OperationalError } from "../lib/error.ts";

/** What the worker is given. */
export interface MemberOrder {
  readonly zookeeperProperties: string;
}

/** What the worker says. */
export type MemberReport =
  | { readonly kind: "listening" }
  | { readonly kind: "stopped" }
  /** `code` is undefined where nobody foresaw the error. */
  | { readonly kind: "failed"; readonly code: string | undefined; readonly message: string };

/**
 * A ZooKeeper member in a thread of its own, so that it goes on serving while the broker beside it is busy: an event
 * loop, a heap and a descriptor table's share, but the process's libuv pool.
 */
export class MemberThread {
  readonly #worker: Worker;
  /** The thread's end; what it ended with. */
  readonly ended: Promise<number>;

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.ended = new Promise((resolve) => worker.once("exit", resolve));
  }

  /** Resolves when the member takes part in elections, or serves alone. Rejects with what the member's start rejects with. */
  static start(order: MemberOrder): Promise<MemberThread> {
    const worker = new Worker(new URL("./member-worker.js", import.meta.url), { workerData: order });
    const thread = new MemberThread(worker);
    return new Promise((resolve, reject) => {
      worker.once("message", (report: MemberReport) => {
        assert(report.kind !== "stopped", "a member starts before it stops");
        if (report.kind === "listening") resolve(thread);
        else reject(report.code === undefined ? new Error(report.message) : new OperationalError(report.code, report.message));
      });
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the thread of the ZooKeeper member ended with ${code} before it had begun`)));
    });
  }

  /** What was acknowledged is on the disk. */
  async stop(): Promise<void> {
    this.#worker.postMessage("stop", []);
    await this.ended;
  }
}
