import { Worker } from "node:worker_threads";
import { assert } from "../lib/assert.ts";
import { OperationalError } from "../lib/error.ts";
import type { FamilyType } from "../lib/metrics.ts";
import type { Observation, Observed } from "../node/metrics-endpoint.ts";

/** What the worker is given. */
export interface MemberOrder {
  readonly zookeeperProperties: string;
}

export type MemberCommand = "observe" | "stop";

/** What the worker says. */
export type MemberReport =
  /** The answer to `observe`. */
  | { readonly kind: "observed"; readonly unready: string | undefined; readonly families: readonly WrittenFamily[] }
  | { readonly kind: "listening" }
  | { readonly kind: "stopped" }
  /** `code` is undefined where nobody foresaw the error. */
  | { readonly kind: "failed"; readonly code: string | undefined; readonly message: string };

const GONE: Observation = { unready: "it has ended", families: [] };

interface WrittenFamily {
  readonly name: string;
  readonly type: FamilyType;
  readonly help: string;
  readonly lines: readonly string[];
}

/**
 * A ZooKeeper member in a thread of its own, so that it goes on serving while the broker beside it is busy: an event
 * loop, a heap and a descriptor table's share, but the process's libuv pool.
 */
export class MemberThread implements Observed {
  readonly name = "member";
  readonly #worker: Worker;
  /** The thread's end; what it ended with. */
  readonly ended: Promise<number>;
  /** Who has asked how it is, oldest first. */
  readonly #asking: ((observation: Observation) => void)[] = [];
  #over = false;

  private constructor(worker: Worker) {
    this.#worker = worker;
    this.ended = new Promise((resolve) => worker.once("exit", resolve));
    worker.on("message", (report: MemberReport) => {
      if (report.kind === "observed") this.#observed(report);
    });
    worker.once("exit", () => {
      this.#over = true;
      for (const settle of this.#asking.splice(0)) settle(GONE);
    });
  }

  /** Resolves when the member takes part in elections, or serves alone. Rejects with what the member's start rejects with. */
  static start(order: MemberOrder): Promise<MemberThread> {
    const worker = new Worker(new URL("./member-worker.js", import.meta.url), { workerData: order });
    const thread = new MemberThread(worker);
    return new Promise((resolve, reject) => {
      worker.once("message", (report: MemberReport) => {
        assert(report.kind === "listening" || report.kind === "failed", "a member starts before it stops, or is looked at");
        if (report.kind === "listening") resolve(thread);
        else reject(report.code === undefined ? new Error(report.message) : new OperationalError(report.code, report.message));
      });
      worker.once("error", reject);
      worker.once("exit", (code) => reject(new Error(`the thread of the ZooKeeper member ended with ${code} before it had begun`)));
    });
  }

  /** As the thread sees it at present. */
  observe(): Promise<Observation> {
    if (this.#over) return Promise.resolve(GONE);
    return new Promise((resolve) => {
      this.#asking.push(resolve);
      this.#worker.postMessage("observe", []);
    });
  }

  #observed(report: Extract<MemberReport, { readonly kind: "observed" }>): void {
    const families = report.families.map(({ lines, ...family }) => ({ ...family, lines: () => lines }));
    this.#asking.shift()?.({ unready: report.unready, families });
  }

  /** What was acknowledged is on the disk. */
  async stop(): Promise<void> {
    this.#worker.postMessage("stop", []);
    await this.ended;
  }
}
