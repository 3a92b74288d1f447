import type { HeardLine } from "./cluster-world.ts";

/** What brokers log at rare branches that many runs together must have come by. */
export const MARKS = [
  "truncated",
  "asks for an older leader epoch",
  "fenced by its leader",
  "fetch offset out of range",
  "the log ends before its leader's starts, and starts anew there",
  "fetch session refused",
  "partition failed",
  "ISR shrinks",
  "ISR expands",
  "ISR change refused",
  "ISR change sent again",
  "ISRs altered",
  "broker shuts down",
  "controlled shutdown succeeded",
  "controlled shutdown failed: stopping all the same",
  "leaders go back to their preferred replicas",
  "elected as the controller",
] as const;
export type Mark = (typeof MARKS)[number];

export class Marks {
  readonly counts = new Map<string, number>(MARKS.map((mark) => [mark, 0]));

  hear({ message }: HeardLine): void {
    const count = this.counts.get(message);
    if (count !== undefined) this.counts.set(message, count + 1);
  }

  /** Those that were come by. */
  get seen(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.counts].filter(([, count]) => count > 0));
  }
}
