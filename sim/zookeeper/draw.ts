import type { WorldOptions } from "../../src/host/sim/options.ts";
import { Prng } from "../../src/lib/prng.ts";
import { drawPlan } from "../trouble.ts";
import { FAULT_KINDS, LENGTHS, TARGETS, type FaultKind, type MemberFault } from "./faults.ts";

/** What a seed stands for: how many take part, how they are configured, what goes wrong. */
export interface Draw {
  readonly voters: number;
  readonly observers: number;
  readonly tickMs: number;
  readonly syncLimit: number;
  /** Lines of zoo.cfg that all members share. */
  readonly settings: readonly string[];
  readonly separateLogs: boolean;
  /** Large znodes. */
  readonly ballast: number;
  readonly clients: readonly { readonly sessionTimeoutMs: number; readonly depth: number; readonly pauseMsMax: number }[];
  readonly world: Omit<WorldOptions, "seed">;
  /** How the run ends, before the last look at everything. */
  readonly lastStart: "none" | "kill" | "power";
  readonly kinds: readonly FaultKind[];
  readonly plan: readonly MemberFault[];
}

export const FAULTS_FROM_MS = 2500;
export const FAULTS_UNTIL_MS = 18_000;

export function draw(seed: string): Draw {
  const root = new Prng(seed);
  const shape = root.fork("shape");
  const [voters, observers] = shape.pick([[3, 0], [3, 0], [3, 0], [3, 1], [5, 0]] as const);
  const tickMs = shape.pick([200, 300, 400, 500]);
  const syncLimit = shape.between(2, 5);
  const settings = [
    `tickTime=${tickMs}`,
    `initLimit=${shape.between(5, 20)}`,
    `syncLimit=${syncLimit}`,
    `snapCount=${shape.pick([10, 40, 100, 300])}`,
    `preAllocSize=${shape.pick([1, 4, 64])}`,
    `snapshotSizeFactor=${shape.pick(["0.33", "0.33", "-1", "0", "0.9"])}`,
    `globalOutstandingLimit=${shape.pick([1000, 1000, 1000, 20])}`,
    "maxClientCnxns=0",
    "4lw.commands.whitelist=*",
  ];
  const clients = Array.from({ length: shape.between(3, 6) }, () => ({
    sessionTimeoutMs: tickMs * shape.pick([2, 4, 8, 20]),
    depth: shape.pick([1, 1, 2, 4]),
    pauseMsMax: shape.pick([80, 300, 1000]),
  }));
  const ballast = shape.pick([0, 0, 0, 14]);
  const machines = root.fork("machines");
  const unevenClocks = machines.chance(1, 2);
  const world: Draw["world"] = {
    eventsMax: 8_000_000,
    clockSkewMsMax: unevenClocks ? 3_600_000 : 0,
    clockDriftPpmMax: unevenClocks ? 500 : 0,
    timerLateMsMax: machines.pick([0, 0, 20]),
    net: { latencyMs: machines.pick([[0.1, 1], [0.1, 1], [0.5, 10]] as const), resetsPerMillion: machines.pick([0, 0, 30]) },
    disk: { syncMs: machines.pick([[0.1, 2], [0.1, 2], [1, 15]] as const), tearing: machines.chance(1, 2), garbling: machines.chance(1, 2) },
  };
  const trouble = root.fork("trouble");
  const kinds = FAULT_KINDS.filter((kind) => trouble.chance(3, 5) || (kind === "kill" && !unevenClocks)).filter((kind) => unevenClocks || kind !== "clock");
  const pauseMsMax = trouble.pick([800, 2500, 5000]);
  return {
    voters,
    observers,
    tickMs,
    syncLimit,
    settings,
    separateLogs: shape.chance(1, 2),
    ballast,
    clients,
    world,
    lastStart: trouble.pick(["none", "kill", "power"] as const),
    kinds,
    plan: drawPlan(root.fork("plan"), { kinds, lengths: LENGTHS, targets: TARGETS, fromMs: FAULTS_FROM_MS, untilMs: FAULTS_UNTIL_MS, pauseMsMax }),
  };
}

/** How long a leader may go on as one after it was replaced; undefined where clocks and processes do not go on as they should. */
export function staleMsMax({ tickMs, syncLimit, world }: Pick<Draw, "tickMs" | "syncLimit" | "world">, plan: readonly { readonly kind: string }[]): number | undefined {
  const misled = plan.some(({ kind }) => kind === "pause" || kind === "clog" || kind === "slowNet");
  return misled || (world.clockDriftPpmMax ?? 0) > 0 ? undefined : (syncLimit + 3) * tickMs + 500;
}
