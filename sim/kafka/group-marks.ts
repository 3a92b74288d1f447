import type { HeardLine } from "./cluster-world.ts";

/** What coordinators log at branches that many runs together must have come by. */
export const GROUP_MARKS = [
  "group rebalances",
  "group has a new generation",
  "group is empty",
  "member failed",
  "member left",
  "member fenced",
  "static member replaced",
  "pending sync overdue",
  "groups loaded",
  "groups loaded with members",
  "load given up",
  "groups unloaded",
  "groups unloaded with members that wait",
  "group record could not be stored",
  "commit failed",
  "offsets expired",
  "offsets of deleted partitions removed",
  "group deleted",
  "log cleaned",
  "log cleaned and made smaller",
  "cleaning aborted",
  "compaction completed at start",
] as const;

export class GroupMarks {
  readonly #counts = new Map<string, number>(GROUP_MARKS.map((mark) => [mark, 0]));

  hear({ message, fields }: HeardLine): void {
    this.#count(message);
    if (message === "groups loaded" && Number(fields["members"]) > 0) this.#count("groups loaded with members");
    if (message === "log cleaned" && fields["shrunk"] === true) this.#count("log cleaned and made smaller");
    if (message === "groups unloaded" && Number(fields["waiting"]) > 0) this.#count("groups unloaded with members that wait");
  }

  /** Those that were come by. */
  get seen(): Readonly<Record<string, number>> {
    return Object.fromEntries([...this.#counts].filter(([, count]) => count > 0));
  }

  #count(mark: string): void {
    const count = this.#counts.get(mark);
    if (count !== undefined) this.#counts.set(mark, count + 1);
  }
}
