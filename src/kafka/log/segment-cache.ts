import type { TaskGroup } from "../../lib/task-group.ts";

/** Something that holds memory and a file handle until it is told to let go. */
export interface Cached {
  readonly weightBytes: number;
  readonly inUse: boolean;
  release(): Promise<void>;
}

/** A handle and the objects around it. */
const OWN_WEIGHT_BYTES = 16 * 1024;

/** Inactive segments that are open, of all logs: the least recently used ones are released. */
export class SegmentCache {
  readonly #bytesMax: number;
  readonly #tasks: TaskGroup;
  /** In the order of use, with the weight that was counted. */
  readonly #open = new Map<Cached, number>();
  #bytes = 0;

  constructor(bytesMax: number, tasks: TaskGroup) {
    this.#bytesMax = bytesMax;
    this.#tasks = tasks;
  }

  /** `segment` is open and was used just now. */
  touch(segment: Cached): void {
    this.forget(segment);
    const weight = segment.weightBytes + OWN_WEIGHT_BYTES;
    this.#open.set(segment, weight);
    this.#bytes += weight;
    if (this.#bytes <= this.#bytesMax) return;
    for (const oldest of this.#open.keys()) {
      if (this.#bytes <= this.#bytesMax || oldest === segment) return;
      if (oldest.inUse) continue;
      this.forget(oldest);
      // All of it is durable: an error in closing changes nothing.
      this.#tasks.run(() => oldest.release().catch(() => undefined));
    }
  }

  /** `segment` is active, closed or gone. */
  forget(segment: Cached): void {
    this.#bytes -= this.#open.get(segment) ?? 0;
    this.#open.delete(segment);
  }
}
