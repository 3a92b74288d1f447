import type { Clock } from "../../host/clock.ts";

/**
 * Things that go when nobody has touched them for a while, in buckets of one tick, so that touching costs next to
 * nothing: each goes between its timeout and one tick later. Times are ms of the monotonic clock.
 * Source: server/ExpiryQueue.java.
 */
export interface Expiring {
  /** When its bucket comes due; undefined while it is in no queue. The queue's own. */
  expiresAt: number | undefined;
}

export class ExpiryQueue<T extends Expiring> {
  readonly #tickMs: number;
  readonly #buckets = new Map<number, Set<T>>();
  #size = 0;

  constructor(tickMs: number) {
    this.#tickMs = tickMs;
  }

  get size(): number {
    return this.#size;
  }

  /** Puts the item in, or off. */
  touch(item: T, timeoutMs: number, now: number): void {
    const expiresAt = (Math.floor((now + timeoutMs) / this.#tickMs) + 1) * this.#tickMs;
    if (item.expiresAt === expiresAt) return;
    this.remove(item);
    item.expiresAt = expiresAt;
    this.#size += 1;
    const bucket = this.#buckets.get(expiresAt);
    if (bucket === undefined) this.#buckets.set(expiresAt, new Set([item]));
    else bucket.add(item);
  }

  remove(item: T): void {
    const { expiresAt } = item;
    if (expiresAt === undefined) return;
    item.expiresAt = undefined;
    this.#size -= 1;
    const bucket = this.#buckets.get(expiresAt);
    bucket?.delete(item);
    if (bucket?.size === 0) this.#buckets.delete(expiresAt);
  }

  /** Takes out what is due, the longest overdue first. */
  takeDue(now: number): T[] {
    const due = this.buckets().filter(([expiresAt]) => expiresAt <= now);
    const items = due.flatMap(([, bucket]) => [...bucket]);
    for (const item of items) this.remove(item);
    return items;
  }

  /** By the time at which they come due. */
  buckets(): [expiresAt: number, items: ReadonlySet<T>][] {
    return [...this.#buckets].toSorted(([a], [b]) => a - b);
  }
}

/** As the four-letter word dump shows them. */
export function describeBuckets<T>(title: string, clock: Clock, buckets: readonly (readonly [expiresAt: number, items: Iterable<T>])[], describe: (item: T) => string): string[] {
  const elapsedToWall = clock.wallMs() - clock.monotonicMs();
  const sets = buckets.map(([expiresAt, items]) => {
    const described = Array.from(items, describe);
    return { count: described.length, lines: [`${described.length} expire at ${javaDate(expiresAt + elapsedToWall)}:`, ...described.map((text) => `\t${text}`)] };
  });
  const total = sets.reduce((sum, { count }) => sum + count, 0);
  return [`${title} Sets (${sets.length})/(${total}):`, ...sets.flatMap((set) => set.lines)];
}

/** `Sun Nov 22 10:49:07 GMT 2026`. */
function javaDate(wallMs: number): string {
  const [day, date, month, year, time] = new Date(wallMs).toUTCString().replace(",", "").split(" ");
  return `${day} ${month} ${date} ${time} GMT ${year}`;
}
