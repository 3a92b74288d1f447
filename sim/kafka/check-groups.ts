import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { Violation } from "../zookeeper/violation.ts";
import type { JoinSeen, Seen, SyncSeen } from "./group-history.ts";

const { NONE, MEMBER_ID_REQUIRED } = ErrorCode;
/** A dash and a UUID. */
const SUFFIX_LENGTH = 37;
/** From here on a dynamic member is given an id before it joins. */
const KNOWN_IDS_FROM = 4;

/**
 * Holds what members were told against what a group is. Generations of groups that are deleted begin anew, so that
 * only what `lasting` names is judged by their order.
 */
export function checkGroups(seen: readonly Seen[], lasting: (group: string) => boolean): void {
  const groups = new Map<string, Seen[]>();
  for (const one of seen) {
    const known = groups.get(one.group);
    if (known === undefined) groups.set(one.group, [one]);
    else known.push(one);
  }
  for (const [group, all] of groups) {
    checkIds(group, all);
    checkInstances(group, all);
    if (!lasting(group)) continue;
    checkGenerations(group, all);
    checkOrder(group, all);
    checkFencing(group, all);
  }
}

/** MEMBER_ID_REQUIRED comes to those only who have no id yet, and know what to do with it. */
function checkIds(group: string, all: readonly Seen[]): void {
  for (const one of all) {
    if (one.kind !== "join" || one.code !== MEMBER_ID_REQUIRED) continue;
    if (one.version < KNOWN_IDS_FROM || one.instanceId !== null || one.memberId !== "" || one.given?.memberId === "") throw new Violation("who is told to come back with an id", `${group}: ${JSON.stringify(one)}`);
  }
}

/** Within a generation all members see the same protocol and leader, and own what its leader has handed out, each partition once. */
function checkGenerations(group: string, all: readonly Seen[]): void {
  const syncs = all.filter((one): one is SyncSeen => one.kind === "sync");
  const joined = all.filter((one): one is JoinSeen => one.kind === "join" && one.code === NONE).toSorted((a, b) => a.ended - b.ended);
  const instances = new Set(all.flatMap((one) => ("instanceId" in one && one.instanceId !== null ? [one.instanceId] : [])));
  /** A static member by its instance, whatever id it has by then. */
  const owner = (memberId: string): string => (instances.has(memberId.slice(0, -SUFFIX_LENGTH)) ? memberId.slice(0, -SUFFIX_LENGTH) : memberId);
  for (const [generation, taken] of byGeneration(syncs.filter(({ code }) => code === NONE))) {
    const say = (rule: string, what: unknown): never => {
      throw new Violation(rule, `${group} in generation ${generation}: ${JSON.stringify(what)}`);
    };
    // The same number may have been handed out before, by a coordinator that could not keep it.
    const joins = taken.flatMap((sync) => joined.findLast(({ given, ended }) => given?.memberId === sync.memberId && given.generation === generation && ended < sync.begun) ?? []);
    const told = new Set(joins.map(({ given }) => `${given?.protocol} of ${owner(given?.leader ?? "")}`));
    if (told.size > 1) say("members of a generation agree on its protocol and leader", [...told].map((of) => [of, joins.filter(({ given }) => of === `${given?.protocol} of ${owner(given?.leader ?? "")}`).map(placeOf)]));
    const owned = new Map<string, string>();
    for (const { memberId, assigned = [] } of taken) {
      for (const name of assigned) {
        const other = owned.get(name) ?? owner(memberId);
        if (other !== owner(memberId)) say("a partition has one owner in a generation", { name, owners: [other, owner(memberId)] });
        owned.set(name, other);
      }
    }
    const handedOut = syncs.filter((sync) => sync.generation === generation && sync.shared !== undefined).map(({ shared }) => new Map([...(shared ?? [])].map(([to, names]) => [owner(to), names.join()])));
    const fits = handedOut.some((shared) => taken.every(({ memberId, assigned = [] }) => (shared.get(owner(memberId)) ?? "") === assigned.join()));
    if (!fits) say("members own what their leader has handed out", { handedOut: handedOut.map((shared) => [...shared]), taken: taken.map(({ memberId, assigned }) => [memberId, assigned]) });
  }
}

/** A later generation is not there before an earlier one. */
function checkOrder(group: string, all: readonly Seen[]): void {
  const syncs = all.filter((one): one is SyncSeen => one.kind === "sync" && (one.code === NONE || one.code === undefined));
  const first = [...byGeneration(syncs)]
    .filter(([, of]) => of.some(({ code }) => code === NONE))
    .map(([generation, of]) => ({ generation, begun: Math.min(...of.map(({ begun }) => begun)), ended: Math.min(...of.map(({ code, ended }) => (code === NONE ? ended : Infinity))) }))
    .toSorted((a, b) => a.generation - b.generation);
  for (const [index, { generation, begun }] of first.entries()) {
    const early = first.slice(index + 1).find((later) => later.ended < begun);
    if (early !== undefined) throw new Violation("generations rise", `${group}: generation ${generation} begins after ${early.generation}`);
  }
}

/** Once a later generation is known to somebody, nothing is committed in an earlier one, and its coordinator does not greet its members. */
function checkFencing(group: string, all: readonly Seen[]): void {
  const known = all.filter((one): one is SyncSeen => one.kind === "sync" && one.code === NONE).toSorted((a, b) => a.ended - b.ended);
  for (const one of all) {
    if ((one.kind !== "commit" && one.kind !== "heartbeat") || one.generation < 0) continue;
    const later = known.find(({ ended, generation }) => ended < one.begun && generation > one.generation);
    if (later === undefined) continue;
    if (one.kind === "commit" && one.codes.includes(NONE)) throw new Violation("a commit of an earlier generation is refused", `${group} in generation ${later.generation}: ${JSON.stringify(one)}`);
    if (one.kind === "heartbeat" && one.owned && one.code === NONE) throw new Violation("a member of an earlier generation is told to join", `${group} in generation ${later.generation}: ${JSON.stringify(one)}`);
  }
}

/** Once a static member has its assignment under a new id, its coordinator takes nothing from the one before. */
function checkInstances(group: string, all: readonly Seen[]): void {
  /** Who was given an id when; what is asked for later than that comes later. */
  const given = new Map<string, JoinSeen>();
  for (const one of all) {
    if (one.kind === "join" && one.code === NONE && one.instanceId !== null && one.given !== undefined && !given.has(one.given.memberId)) given.set(one.given.memberId, one);
  }
  const settled = all.filter((one): one is SyncSeen => one.kind === "sync" && one.code === NONE && one.instanceId !== null);
  for (const one of all) {
    if (!("instanceId" in one) || one.instanceId === null || one.memberId === "" || !one.owned) continue;
    if (one.kind === "commit" ? !one.codes.includes(NONE) : one.code !== NONE) continue;
    const own = given.get(one.memberId);
    const next = settled.find((sync) => sync.instanceId === one.instanceId && sync.memberId !== one.memberId && sync.ended < one.begun && (own?.ended ?? Infinity) < (given.get(sync.memberId)?.begun ?? -1));
    if (next !== undefined) throw new Violation("who was replaced is fenced", `${group}: ${one.memberId} was replaced by ${next.memberId}, and then ${JSON.stringify(one)}`);
  }
}

function placeOf({ memberId, given, begun, ended, broker, owned, version }: JoinSeen): unknown {
  return { asked: memberId, given: given?.memberId, begun, ended, broker, owned, version };
}

function byGeneration(syncs: readonly SyncSeen[]): Map<number, SyncSeen[]> {
  const generations = new Map<number, SyncSeen[]>();
  for (const sync of syncs) {
    const known = generations.get(sync.generation);
    if (known === undefined) generations.set(sync.generation, [sync]);
    else known.push(sync);
  }
  return generations;
}
