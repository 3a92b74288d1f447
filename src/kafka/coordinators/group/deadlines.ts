import { Heap } from "../../../lib/heap.ts";

/** A moment at which something rings. `order` decides among equal times: first come, first rung. */
export interface Deadline<T> {
  readonly atMs: number;
  readonly order: number;
  readonly what: T;
  cancelled: boolean;
}

/** Deadlines of one clock. A cancelled one stays in the heap until it would ring, or until half of the heap is such. */
export class Deadlines<T> {
  readonly #heap = new Heap<Deadline<T>>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));
  #order = 0;
  #cancelled = 0;

  set(atMs: number, what: T): Deadline<T> {
    const deadline = { atMs, order: this.#order++, what, cancelled: false };
    this.#heap.push(deadline);
    return deadline;
  }

  cancel(deadline: Deadline<T> | undefined): void {
    if (deadline === undefined || deadline.cancelled) return;
    deadline.cancelled = true;
    this.#cancelled++;
    if (this.#cancelled < 64 || this.#cancelled * 2 < this.#heap.size) return;
    this.#heap.retain((kept) => !kept.cancelled);
    this.#cancelled = 0;
  }

  get nextMs(): number | undefined {
    return this.#first()?.atMs;
  }

  /** With those that are cancelled. */
  get held(): number {
    return this.#heap.size;
  }

  /** The first that is due, taken out: it counts as cancelled from now on. */
  take(nowMs: number): T | undefined {
    const first = this.#first();
    if (first === undefined || first.atMs > nowMs) return undefined;
    this.#heap.pop();
    first.cancelled = true;
    return first.what;
  }

  #first(): Deadline<T> | undefined {
    for (;;) {
      const first = this.#heap.peek();
      if (first?.cancelled !== true) return first;
      this.#heap.pop();
      this.#cancelled--;
    }
  }
}
