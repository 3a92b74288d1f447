import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { Violation } from "../zookeeper/violation.ts";
import type { DeletionSeen, NumberedOffset, OffsetsSeen, Seen } from "./group-history.ts";

export interface OffsetRules {
  /** Offsets of the group may go by themselves, having been committed for a time. */
  readonly mayExpire: (group: string) => boolean;
  /** The partition's topic may be deleted, and its offsets with it. */
  readonly mayGo: (name: string) => boolean;
}

interface Floor {
  readonly number: number;
  /** From where on it holds. */
  readonly since: number;
  /** When it was sent: what is deleted after that may be this one. */
  readonly begun: number;
  /** Of what was shown and may never have been acknowledged: the coordinator's epoch, for which alone it holds. */
  readonly epoch?: number | undefined;
}

/** What is known of one partition in one group. */
interface Known {
  /** By number, what was sent. */
  readonly sent: Map<number, number>;
  /** Numbers of what was never answered: such a request may still arrive, at whoever coordinates by then. */
  readonly unanswered: Set<number>;
  readonly floors: Floor[];
}

/**
 * Holds what OffsetFetch gave against what was committed: nothing that nobody sent, and nothing older than what was
 * acknowledged before it was asked for, or shown by the coordinator of the same epoch. A new coordinator, as Apache's,
 * loads and shows all that its log has; what is not committed there may be lost with the next election. A commit that was
 * never answered may take effect late, as what waits behind a partition of the network arrives when that is healed. Answers of brokers that coordinate the group no more are counted, not judged.
 */
export function checkOffsets(seen: readonly Seen[], { mayExpire, mayGo }: OffsetRules): { readonly judged: number; readonly outdated: number } {
  const groups = new Map<string, Map<string, Known>>();
  const deletions = new Map<string, DeletionSeen[]>();
  const knownOf = (group: string, name: string): Known => {
    const partitions = groups.get(group) ?? new Map<string, Known>();
    groups.set(group, partitions);
    const known = partitions.get(name) ?? { sent: new Map<number, number>(), unanswered: new Set<number>(), floors: [] };
    partitions.set(name, known);
    return known;
  };
  for (const one of seen) {
    if (one.kind === "commit") {
      for (const [index, { name, offset, number }] of one.offsets.entries()) {
        const { sent, unanswered, floors } = knownOf(one.group, name);
        sent.set(number, offset);
        if (one.code === undefined) unanswered.add(number);
        if (one.codes[index] === ErrorCode.NONE) floors.push({ number, since: one.ended, begun: one.begun });
      }
    } else if (one.kind === "deletion" && (one.code === ErrorCode.NONE || one.code === undefined)) {
      const before = deletions.get(one.group) ?? [];
      deletions.set(one.group, before);
      before.push(one);
    }
  }
  const fetches = seen.filter((one): one is OffsetsSeen => one.kind === "offsets" && one.code === ErrorCode.NONE).toSorted((a, b) => a.ended - b.ended);
  const counts = { judged: 0, outdated: 0 };
  for (const fetch of fetches) {
    for (const found of fetch.found) {
      const known = knownOf(fetch.group, found.name);
      checkSent(fetch, found, known);
      if (!fetch.owned) {
        counts.outdated += 1;
        continue;
      }
      counts.judged += 1;
      const lost = floorOf(known, fetch, found, deletions.get(fetch.group) ?? []);
      const excused = found.offset < 0 && (mayExpire(fetch.group) || mayGo(found.name));
      if (lost !== undefined && !excused) throw new Violation("what is committed stays", `${fetch.group} has ${found.name} at ${found.offset} by commit ${found.number}, where ${lost.number} was known at ${lost.since}: ${JSON.stringify({ ...fetch, found: undefined })}`);
      // Whoever asks the same one after this sees no older one.
      if (found.offset >= 0) known.floors.push({ number: found.number, since: fetch.ended, begun: fetch.begun, epoch: fetch.epoch });
    }
  }
  return counts;
}

function checkSent({ group }: OffsetsSeen, { name, offset, number }: NumberedOffset, { sent }: Known): void {
  if (offset < 0) return;
  const was = sent.get(number);
  if (was !== offset) throw new Violation("only what was committed is there", `${group} has ${name} at ${offset} by commit ${number}, which ${was === undefined ? "nobody sent" : `was ${was}`}`);
}

/** The latest that the answer is older than, if there is one that nobody has deleted. */
function floorOf({ floors, unanswered }: Known, fetch: OffsetsSeen, found: NumberedOffset, deletions: readonly DeletionSeen[]): Floor | undefined {
  if (found.offset >= 0 && unanswered.has(found.number)) return undefined;
  const number = found.offset < 0 ? -Infinity : found.number;
  return floors.find((floor) => {
    if (floor.since >= fetch.begun || floor.number <= number || (floor.epoch !== undefined && floor.epoch !== fetch.epoch)) return false;
    return !deletions.some((deletion) => (deletion.names === null || deletion.names.includes(found.name)) && deletion.begun < fetch.ended && deletion.ended > floor.begun);
  });
}
