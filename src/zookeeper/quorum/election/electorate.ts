import { isQuorum, voters, type Ensemble } from "../../config/ensemble.ts";

/** Who counts in an election, in the current configuration and in one that is about to follow it. */
export interface Electorate {
  /** Ids of the voters of either configuration. */
  readonly voters: ReadonlySet<number>;
  /** Whether these are a quorum of each configuration. */
  isQuorum(ids: ReadonlySet<number>): boolean;
  /** False for a voter that weighs nothing. */
  mayLead(id: number): boolean;
}

/** `next` is a configuration that was seen but not committed, where it is newer. Source: FastLeaderElection.termPredicate. */
export function electorateOf(current: Ensemble, next?: Ensemble): Electorate {
  const newer = next !== undefined && next.version > current.version ? next : undefined;
  return {
    voters: new Set([current, ...(next === undefined ? [] : [next])].flatMap((ensemble) => voters(ensemble).map(({ id }) => id))),
    isQuorum: (ids) => isQuorum(current, ids) && (newer === undefined || isQuorum(newer, ids)),
    mayLead: (id) => current.groups?.weights.get(id) !== 0,
  };
}
