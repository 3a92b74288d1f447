import type { WorldOptions } from "../src/host/sim/options.ts";
import { Prng } from "../src/lib/prng.ts";
import type { ClusterShape } from "./kafka/cluster-world.ts";
import { draw as drawRecords } from "./kafka/draw.ts";
import * as broker from "./kafka/faults.ts";
import { drawGroups, GROUP_TARGETS } from "./kafka/group-draw.ts";
import type { GroupsDraw } from "./kafka/groups-work.ts";
import type { RecordsDraw } from "./kafka/records-work.ts";
import { drawPlan, type Fault } from "./trouble.ts";
import { draw as drawMembers, type Draw as MembersDraw } from "./zookeeper/draw.ts";
import * as member from "./zookeeper/faults.ts";

/** Of the faults of members those that brokers have no like of. */
const MEMBER_KINDS = ["storm", "absence", "fork", "hop", "burst"] as const satisfies readonly member.FaultKind[];
type MemberKind = (typeof MEMBER_KINDS)[number];

export const FAULT_KINDS = [...broker.FAULT_KINDS, ...MEMBER_KINDS] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export type NodesFault = broker.BrokerFault | Fault<MemberKind, member.Target>;

export function isMemberFault(fault: NodesFault): fault is Fault<MemberKind, member.Target> {
  return MEMBER_KINDS.some((kind) => kind === fault.kind);
}

/** What a seed stands for where nodes are whole. */
export interface NodesDraw {
  readonly shape: ClusterShape;
  readonly world: Omit<WorldOptions, "seed">;
  /** Brokers sync what they append before they acknowledge it, and so nodes may lose power. */
  readonly synced: boolean;
  readonly records: RecordsDraw;
  readonly groups: GroupsDraw;
  readonly znodes: Pick<MembersDraw, "clients" | "ballast" | "tickMs" | "syncLimit" | "world">;
}

/** Each takes longer, with what comes after it. */
const ROUND_MS_MIN = 10_000;

export function drawNodes(seed: string): NodesDraw {
  const [records, groups, members] = [drawRecords(seed), drawGroups(seed), drawMembers(seed)];
  const draws = new Prng(seed).fork("nodes");
  const brokers = draws.pick([3, 3, 4, 5]);
  // All works go on at once: each is lighter than alone, so that more of the time can be run.
  const clients = members.clients.slice(0, 3).map((client) => ({ ...client, depth: 1, pauseMsMax: draws.pick([150, 300, 1000]) }));
  const world = { ...records.world, eventsMax: Infinity, disk: { ...records.world.disk, ...members.world.disk } };
  return {
    shape: {
      ...groups.shape,
      whole: true,
      brokers,
      members: brokers,
      memberSettings: [...members.settings, "maxSessionTimeout=20000"],
      racks: Array.from({ length: brokers }, (_, index) => groups.shape.racks?.[index % 3]),
    },
    world,
    synced: records.synced,
    records: { ...records, producers: { ...records.producers, pauseMsMax: draws.pick([150, 300, 600]) }, churnPauseMsMax: draws.pick([500, 3000]) },
    groups: { ...groups, crews: groups.crews.slice(0, 2).map((crew) => ({ ...crew, members: draws.between(2, 3) })) },
    znodes: { ...members, clients, world },
  };
}

/** What goes wrong in each round of faults, from its beginning on; as many as may come to pass in so much time. */
export function drawRounds(seed: string, minutes: number): readonly (readonly NodesFault[])[] {
  const root = new Prng(seed);
  const { synced, world } = drawNodes(seed);
  const unevenClocks = (world.clockDriftPpmMax ?? 0) > 0;
  return Array.from({ length: Math.max(1, Math.ceil((minutes * 60_000) / ROUND_MS_MIN)) }, (_, round) => {
    const draws = root.fork(`round/${round}`);
    const may = (kind: FaultKind): boolean => draws.chance(3, 5) && (synced || !broker.SYNCED_KINDS.has(kind)) && (unevenClocks || kind !== "clock");
    const untilMs = draws.pick([5000, 8000, 12_000]);
    const kinds = broker.FAULT_KINDS.filter((kind) => may(kind) || kind === "kill");
    const memberKinds = MEMBER_KINDS.filter((kind) => may(kind));
    const plan: NodesFault[] = drawPlan(draws, { kinds, lengths: broker.LENGTHS, targets: [...broker.TARGETS, ...GROUP_TARGETS], fromMs: 0, untilMs, pauseMsMax: draws.pick([600, 1500, 4000]) });
    if (memberKinds.length > 0) plan.push(...drawPlan(draws, { kinds: memberKinds, lengths: member.LENGTHS, targets: member.TARGETS, fromMs: draws.below(1000), untilMs, pauseMsMax: draws.pick([2000, 5000]) }));
    return plan.toSorted((a, b) => a.atMs - b.atMs);
  });
}
