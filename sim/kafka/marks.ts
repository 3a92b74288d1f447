import type { HeardLine } from "./cluster-world.ts";

/** Rare branches that many runs together must have come by, told from what brokers log. */
export const MARKS = {
  truncated: "truncated",
} as const;
export type Mark = keyof typeof MARKS;

const BY_MESSAGE = new Map<string, Mark>(Object.entries(MARKS).map(([mark, message]) => [message, mark as Mark]));

export function countLine({ message }: HeardLine, counts: Partial<Record<Mark, number>>): void {
  const mark = BY_MESSAGE.get(message);
  if (mark !== undefined) counts[mark] = (counts[mark] ?? 0) + 1;
}
