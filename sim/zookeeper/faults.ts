import type { SimNode } from "../../src/host/sim/node.ts";
import type { Range } from "../../src/host/sim/options.ts";
import type { World } from "../../src/host/sim/world.ts";
import { assertNever, must } from "../../src/lib/assert.ts";
import { Trouble, type Fault } from "../trouble.ts";
import type { SyncBegin } from "./quorum-tap.ts";

/** Which members a fault falls on; drawn numbers choose among them when its time comes. */
export type Target = "any" | "leader" | "majority" | "all";

export const FAULT_KINDS = ["kill", "power", "storm", "absence", "ambush", "pause", "partition", "oneWay", "fork", "clients", "hop", "clog", "reset", "slowDisk", "sickDisk", "slowNet", "clock", "burst"] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

export type MemberFault = Fault<FaultKind, Target>;

/** How long each kind may last, in ms. */
export const LENGTHS: Readonly<Record<FaultKind, readonly [number, number]>> = {
  kill: [1, 3000],
  power: [1, 3000],
  storm: [200, 3000],
  absence: [3000, 9000],
  ambush: [500, 3000],
  pause: [50, 6000],
  partition: [100, 6000],
  oneWay: [100, 6000],
  fork: [1500, 4000],
  clients: [100, 8000],
  hop: [50, 1000],
  clog: [10, 2000],
  reset: [1, 1],
  slowDisk: [500, 5000],
  sickDisk: [50, 3000],
  slowNet: [500, 4000],
  clock: [1, 1],
  burst: [1, 1],
};

export const TARGETS: readonly Target[] = ["any", "any", "any", "any", "leader", "leader", "leader", "majority", "all"];

export interface Scene {
  readonly world: World;
  readonly members: readonly SimNode[];
  readonly clients: readonly SimNode[];
  /** The member that told others of an epoch last. */
  readonly leader: () => SimNode | undefined;
  /** The machine goes off; what else of it may not lose its power is killed. */
  readonly powerLoss: (node: SimNode) => void;
  /** Begins the next life of a node that is down. */
  readonly restart: (node: SimNode) => void;
  /** Hears of the next synchronization. */
  readonly onSync: (hear: (begin: SyncBegin) => void) => void;
  readonly memberOf: (id: number) => SimNode;
  readonly burst: (dice: number, count: number) => void;
}

/** What is usual where nothing is slow. */
interface Usual {
  readonly latencyMs: Range;
  readonly syncMs: Range;
}

/** Faults that fall on members, on clients, and on the links between. */
export class MemberTrouble extends Trouble {
  readonly #scene: Scene;
  readonly #usual: Usual;

  constructor(scene: Scene) {
    super(scene.world);
    this.#scene = scene;
    this.#usual = { latencyMs: scene.world.net.options.latencyMs, syncMs: must(scene.members[0], "member").disk.options.syncMs };
  }

  begin(plan: readonly MemberFault[], startMs = 0): void {
    this.schedule(plan, startMs, (fault) => this.#strike(fault, startMs + fault.atMs + fault.forMs));
  }

  /** What is slow, sick, cut, clogged, paused or down works again; what was still to come does not. */
  heal(): void {
    this.end();
    const { world, members, clients, restart } = this.#scene;
    world.net.heal();
    world.net.options.resetsPerMillion = 0;
    world.net.options.latencyMs = this.#usual.latencyMs;
    for (const node of members) {
      node.disk.options.syncMs = this.#usual.syncMs;
      makeWell(node, this.#scene.powerLoss);
    }
    for (const node of [...members, ...clients]) {
      node.resume();
      if (!node.up) restart(node);
    }
  }

  #strike(fault: MemberFault, untilMs: number): boolean {
    const { after } = this;
    const scene = this.#scene;
    const usual = this.#usual;
    const { world, members, clients, leader } = scene;
    const die = (index: number, bound: number): number => must(fault.dice[index], "die") % bound;
    const victims = choose(scene, fault);
    const [victim] = victims;
    if (victim === undefined) return false;
    const others = members.filter((node) => !victims.includes(node));
    const restart = (node: SimNode): void => {
      if (!node.up) scene.restart(node);
    };
    switch (fault.kind) {
      case "kill":
      case "power":
        // So that something is under way when it happens.
        scene.burst(die(0, 100), die(1, 40));
        after(die(2, 40_000) / 1000, () => {
          for (const [index, node] of victims.entries()) {
            if (fault.kind === "power") scene.powerLoss(node);
            else node.kill();
            after(1 + (fault.forMs * (1 + die(index, 4))) / 4, () => restart(node));
          }
        });
        return true;
      case "storm":
        clients.forEach((_, index) => scene.burst(index, die(2, 40)));
        for (let round = 0; round < 2 + die(0, 5); round++) {
          after((fault.forMs * round) / 8, () => (die(round % 6, 3) === 0 ? scene.powerLoss(victim) : victim.kill()));
          after((fault.forMs * (round + 0.2 + die(1, 60) / 100)) / 8, () => restart(victim));
        }
        return true;
      case "absence":
        victim.kill();
        after(fault.forMs, () => restart(victim));
        after(fault.forMs / 4, () => scene.burst(die(0, 100), 100 + die(1, 500)));
        return true;
      case "ambush":
        scene.onSync((begin) => {
          const prey = scene.memberOf(die(0, 3) === 0 ? begin.leader : begin.learner);
          after(die(1, 60_000) / 1000, () => {
            if (die(2, 2) === 0) prey.kill();
            else scene.powerLoss(prey);
            after(fault.forMs, () => restart(prey));
          });
        });
        return true;
      case "pause":
        for (const node of victims) {
          node.pause();
          after(fault.forMs, () => node.resume());
        }
        return true;
      case "partition":
      case "oneWay": {
        const oneWay = fault.kind === "oneWay";
        const from = oneWay && die(0, 2) === 0 ? others : victims;
        // Clients go with either side, or reach both.
        const along = clients.filter((_, index) => die(index % 6, 3) === 0);
        world.net.partition(from, [...(from === victims ? others : victims), ...along], { oneWay });
        if (victims.length === members.length) for (const node of members) world.net.isolate(node);
        after(fault.forMs, () => world.net.heal());
        return true;
      }
      case "fork": {
        // Clients go on with a leader that is alone, then with nobody: it comes back before anything else has happened.
        const alone = leader() ?? victim;
        const rest = members.filter((node) => node !== alone);
        world.net.partition([alone, ...clients], rest);
        after(30, () => clients.forEach((_, index) => scene.burst(index, 5)));
        const rejoin = (): void => {
          if (leader() === alone && world.nowMs < untilMs) {
            after(10, rejoin);
            return;
          }
          world.net.heal();
          world.net.partition(clients, members);
          after(500 + die(0, 1000), () => world.net.heal());
        };
        after(100, rejoin);
        return true;
      }
      case "clients": {
        const client = must(clients[die(0, clients.length)], "client");
        switch (die(1, 3)) {
          case 0:
            client.kill();
            after(fault.forMs, () => restart(client));
            return true;
          case 1:
            client.pause();
            after(fault.forMs, () => client.resume());
            return true;
          default:
            world.net.partition([client], victims, { oneWay: die(2, 2) === 0 });
            after(fault.forMs, () => world.net.heal());
            return true;
        }
      }
      case "hop": {
        // Clients come to a member that hears late of what they have seen, or leave one of which others hear late.
        const comes = die(0, 2) === 0;
        for (const other of members) if (other !== victim) world.net.clog(comes ? other : victim, comes ? victim : other, fault.forMs);
        clients.forEach((_, index) => scene.burst(index, 3));
        after(5 + die(1, 50), () => {
          for (const client of clients) for (const member of members) if ((member === victim) !== comes) world.net.resetConnections(client, member);
        });
        return true;
      }
      case "clog": {
        const [from, to] = [must(members[die(0, members.length)], "member"), must(members[die(1, members.length)], "member")];
        world.net.clog(from, to, fault.forMs);
        if (die(2, 2) === 0) world.net.clog(to, from, fault.forMs);
        return from !== to;
      }
      case "reset": {
        const nodes = [...members, ...clients];
        return world.net.resetConnections(victim, must(nodes[die(0, nodes.length)], "node")) > 0;
      }
      case "slowDisk":
        for (const node of victims) {
          node.disk.options.syncMs = [5, 20 + die(0, 300)];
          after(fault.forMs, () => (node.disk.options.syncMs = usual.syncMs));
        }
        return true;
      case "sickDisk":
        // The member stops with the first sync or write that fails, and its machine with it: what stands in a page cache
        // after a failed sync may never reach the disk, and a process that begins then can't know.
        victim.disk.options.syncErrorsPerMillion = 20_000;
        victim.disk.options.writeErrorsPerMillion = 5000;
        after(fault.forMs, () => {
          makeWell(victim, scene.powerLoss);
          restart(victim);
        });
        return true;
      case "slowNet":
        world.net.options.latencyMs = [1, 5 + die(0, 60)];
        after(fault.forMs, () => (world.net.options.latencyMs = usual.latencyMs));
        return true;
      case "clock":
        for (const node of victims) node.clock.step(die(0, 2) === 0 ? die(1, 120_000) : -die(1, 120_000));
        return true;
      case "burst":
        scene.burst(die(0, 100), 20 + die(1, 100));
        return true;
      default:
        return assertNever(fault.kind);
    }
  }
}

/** A machine whose disk failed it goes off before its next process begins. */
function makeWell(node: SimNode, powerLoss: (node: SimNode) => void): void {
  const { options } = node.disk;
  if (options.syncErrorsPerMillion === 0) return;
  options.syncErrorsPerMillion = 0;
  options.writeErrorsPerMillion = 0;
  if (!node.up) powerLoss(node);
}

function choose({ members, leader }: Scene, { target, dice }: MemberFault): SimNode[] {
  const start = must(dice[5], "die");
  const rotated = members.map((_, index) => must(members[(start + index) % members.length], "member"));
  switch (target) {
    case "any":
      return rotated.slice(0, 1);
    case "leader":
      return [leader() ?? must(rotated[0], "member")];
    case "majority":
      return rotated.slice(0, Math.floor(members.length / 2) + 1);
    case "all":
      return rotated;
    default:
      return assertNever(target);
  }
}
