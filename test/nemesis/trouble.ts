import { setTimeout as sleep } from "node:timers/promises";
import type { Prng } from "../../src/lib/prng.ts";
import { HALVES, type Half, type ServerCluster } from "./server-cluster.ts";

export const FAULT_KINDS = ["kill", "bounce", "pause", "stop", "cutOff", "part", "partOneWay"] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** How long each may last, in ms: from a moment to well beyond every session and lag. */
const LENGTHS: Readonly<Record<FaultKind, readonly [number, number]>> = {
  kill: [500, 8000],
  bounce: [1, 1],
  pause: [200, 8000],
  stop: [1, 3000],
  cutOff: [500, 9000],
  part: [500, 8000],
  partOneWay: [500, 8000],
};

const WHO = ["any", "any", "controller", "leader"] as const;
const WHAT: readonly (readonly Half[])[] = [HALVES, HALVES, ["broker"], ["member"]];

export interface Fault {
  readonly kind: FaultKind;
  readonly atMs: number;
  readonly forMs: number;
  readonly who: (typeof WHO)[number];
  /** Chooses among servers. */
  readonly dice: number;
  readonly halves: readonly Half[];
}

export function drawFaults(draws: Prng, { count, withinMs }: { readonly count: number; readonly withinMs: number }): Fault[] {
  return Array.from({ length: count }, (): Fault => {
    const kind = draws.pick(FAULT_KINDS);
    const [least, most] = LENGTHS[kind];
    return { kind, atMs: draws.below(withinMs), forMs: draws.between(least, most), who: draws.pick(WHO), dice: draws.below(1000), halves: draws.pick(WHAT) };
  }).toSorted((a, b) => a.atMs - b.atMs);
}

export interface Known {
  readonly controller: () => number | undefined;
  readonly leader: () => number | undefined;
}

/** Does a round's faults at their times; they may overlap, and what one takes away another may give back. */
export class Trouble {
  readonly happened = new Map<FaultKind, number>();
  readonly #cluster: ServerCluster;
  readonly #known: Known;

  constructor(cluster: ServerCluster, known: Known) {
    this.#cluster = cluster;
    this.#known = known;
  }

  /** Until the last has ended and everything is healed. */
  async run(faults: readonly Fault[]): Promise<void> {
    await Promise.all(faults.map((fault) => this.#one(fault)));
    await this.#cluster.heal();
  }

  async #one({ kind, atMs, forMs, who, dice, halves }: Fault): Promise<void> {
    await sleep(atMs);
    const { servers, network } = this.#cluster;
    const any = 1 + (dice % servers.length);
    const server = (who === "any" ? undefined : this.#known[who]()) ?? any;
    const other = 1 + (server % servers.length);
    const each = async (act: (half: Half) => unknown): Promise<void> => {
      await Promise.all(halves.map((half) => act(half)));
    };
    this.happened.set(kind, (this.happened.get(kind) ?? 0) + 1);
    switch (kind) {
      case "kill":
      case "bounce":
        await each((half) => this.#cluster.kill(server, half));
        await sleep(forMs);
        await each((half) => this.#cluster.start(server, half));
        return;
      case "pause":
        await each((half) => this.#cluster.pause(server, half));
        await sleep(forMs);
        await each((half) => this.#cluster.resume(server, half));
        return;
      case "stop":
        // A broker alone: a member that goes first would make it wait.
        await this.#cluster.stop(server, "broker");
        await sleep(forMs);
        this.#cluster.start(server, "broker");
        return;
      case "cutOff":
        await network.cutOff(server);
        await sleep(forMs);
        await network.heal();
        return;
      case "part":
        await network.part(other, server);
        await network.part(server, other);
        await sleep(forMs);
        await network.heal();
        return;
      case "partOneWay":
        await network.part(server, other);
        await sleep(forMs);
        await network.heal();
    }
  }
}
