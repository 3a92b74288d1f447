import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import type { DataTree } from "../tree/tree.ts";

export interface ReaperOptions {
  readonly checkIntervalMs: number;
  readonly maxPerMinute: number;
  readonly tree: DataTree;
  /** Asks for a node's end; whoever carries it out looks again whether the node is empty. */
  remove(path: string): void;
}

/** Looks for containers whose children have gone and TTL nodes that have outlived theirs. Source: ContainerManager. */
export class Reaper {
  readonly #host: Pick<Host, "clock" | "timers">;
  readonly #options: ReaperOptions;
  #timer: Timer | undefined;

  constructor(host: Pick<Host, "clock" | "timers">, options: ReaperOptions) {
    this.#host = host;
    this.#options = options;
  }

  start(): void {
    this.#timer = this.#host.timers.after(this.#options.checkIntervalMs, () => this.#reap(this.#options.tree.expiredNodes(this.#host.clock.wallMs()).values()));
  }

  stop(): void {
    this.#timer?.cancel();
  }

  /** One after the other with a pause, so that clients are not held up by many at once. */
  #reap(paths: Iterator<string>): void {
    const next = paths.next();
    if (next.done === true) {
      this.start();
      return;
    }
    this.#options.remove(next.value);
    this.#timer = this.#host.timers.after(60_000 / this.#options.maxPerMinute, () => this.#reap(paths));
  }
}
