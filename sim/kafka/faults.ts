import type { SimNode } from "../../src/host/sim/node.ts";
import type { Range } from "../../src/host/sim/options.ts";
import { assertNever, must } from "../../src/lib/assert.ts";
import { Trouble, type Fault } from "../trouble.ts";
import type { ClusterWorld } from "./cluster-world.ts";

/** Which brokers a fault falls on; drawn numbers choose among them when its time comes. */
export type Target = "any" | "controller" | "leader" | "coordinator" | "two" | "all";

export const FAULT_KINDS = ["kill", "power", "bounce", "stop", "rolling", "ambush", "member", "pause", "isolate", "pair", "zookeeper", "clients", "clog", "reset", "halfOpen", "slowDisk", "fullDisk", "badDisk", "failedSync", "slowNet", "clock"] as const;
export type FaultKind = (typeof FAULT_KINDS)[number];

/** Those that need brokers that sync before they acknowledge. */
export const SYNCED_KINDS: ReadonlySet<string> = new Set<FaultKind>(["power", "failedSync"]);

export type BrokerFault = Fault<FaultKind, Target>;

/**
 * How long each kind may last, in ms. Where brokers do not sync before they acknowledge, `power` is for members only: a
 * broker that comes back without what it has acknowledged, before anybody has missed it, may lead, and Kafka loses that.
 */
export const LENGTHS: Readonly<Record<FaultKind, readonly [number, number]>> = {
  kill: [1, 10_000],
  power: [1, 10_000],
  bounce: [1, 100],
  stop: [1, 3000],
  rolling: [1000, 8000],
  ambush: [1, 4000],
  member: [1, 3000],
  pause: [50, 12_000],
  isolate: [100, 10_000],
  pair: [100, 8000],
  zookeeper: [100, 10_000],
  clients: [100, 5000],
  clog: [10, 3000],
  reset: [1, 1],
  halfOpen: [1, 1],
  slowDisk: [500, 5000],
  fullDisk: [50, 4000],
  badDisk: [50, 4000],
  failedSync: [50, 4000],
  slowNet: [500, 4000],
  clock: [1, 1],
};

/** At what a broker may be killed in the midst of: what it says when it begins, or has just done. */
const AMBUSHES = ["truncated", "ISR shrinks", "ISR expands", "ISRs altered", "broker shuts down", "elected as the controller", "ready as the controller", "topic deletion starts", "new partitions", "segments deleted", "stopping", "fenced by its leader"] as const;

export const TARGETS: readonly Target[] = ["any", "any", "any", "controller", "controller", "leader", "leader", "two", "all"];

export interface Scene {
  readonly cluster: ClusterWorld;
  /** As clients know them. */
  readonly controller: () => number | undefined;
  readonly leader: () => number | undefined;
  /** Of some group, where there are groups. */
  readonly coordinator?: () => number | undefined;
  /** At what else than usual a broker may be killed. */
  readonly ambushes?: readonly string[];
  /** Whether brokers may lose power. */
  readonly synced: boolean;
  /** Hears of the next broker that logs this. */
  readonly onLine: (message: string, hear: (broker: SimNode) => void) => void;
}

/** What is usual where nothing is slow. */
interface Usual {
  readonly netMs: Range;
  readonly diskMs: Range;
  readonly syncMs: Range;
}

/** Faults that fall on brokers, on members for them, and on the links between. */
export class BrokerTrouble extends Trouble {
  readonly #scene: Scene;
  readonly #usual: Usual;

  constructor(scene: Scene) {
    super(scene.cluster.world);
    const { world, brokers } = scene.cluster;
    const { latencyMs, syncMs } = must(brokers[0], "broker").disk.options;
    this.#scene = scene;
    this.#usual = { netMs: world.net.options.latencyMs, diskMs: latencyMs, syncMs };
  }

  begin(plan: readonly BrokerFault[], startMs = 0): void {
    this.schedule(plan, startMs, (fault) => this.#strike(fault));
  }

  /** What is slow, cut, clogged, paused or down works again; what was still to come does not. */
  heal(): void {
    this.end();
    const { world, members, brokers, clients } = this.#scene.cluster;
    world.net.heal();
    world.net.options.resetsPerMillion = 0;
    world.net.options.latencyMs = this.#usual.netMs;
    for (const { disk } of brokers) {
      disk.options.latencyMs = this.#usual.diskMs;
      disk.options.syncMs = this.#usual.syncMs;
    }
    for (const node of [...members, ...brokers, ...clients]) node.resume();
    for (const node of brokers) this.#scene.cluster.renew(node);
    for (const node of [...members, ...brokers]) this.#scene.cluster.restart(node);
  }

  #strike(fault: BrokerFault): boolean {
    const { after } = this;
    const scene = this.#scene;
    const usual = this.#usual;
    const { cluster } = scene;
    const { world, members, brokers, clients } = cluster;
    const die = (index: number, bound: number): number => must(fault.dice[index], "die") % bound;
    const victims = choose(scene, fault);
    const victim = must(victims[0], "victim");
    const others = brokers.filter((node) => !victims.includes(node));
    // A member that shares its machine with a broker is as good as its disk.
    const mayLosePower = (node: SimNode): boolean => scene.synced || !brokers.includes(node);
    const heal = (): void => after(fault.forMs, () => world.net.heal());
    switch (fault.kind) {
      case "kill":
      case "power":
      case "bounce": {
        const up = victims.filter((node) => node.up);
        for (const [index, node] of up.entries()) {
          if (fault.kind === "power") node.powerLoss();
          else node.kill();
          after(1 + (fault.forMs * (1 + die(index, 4))) / 4, () => cluster.restart(node));
        }
        return up.length > 0;
      }
      case "stop":
        for (const node of victims) {
          cluster.terminate(brokers.indexOf(node) + 1);
          after(fault.forMs, () => cluster.restart(node));
        }
        return true;
      case "rolling":
        for (const [index, node] of brokers.entries()) {
          after((fault.forMs * index) / brokers.length, () => {
            cluster.terminate(index + 1);
            after(1 + die(index % 4, 300), () => cluster.restart(node));
          });
        }
        return true;
      case "ambush": {
        const ambushes = [...AMBUSHES, ...(scene.ambushes ?? [])];
        scene.onLine(must(ambushes[die(0, ambushes.length)], "ambush"), (node) => {
          // Often within the next few requests, sometimes a good deal later.
          after(die(1, die(2, 3) === 0 ? 100_000 : 5000) / 1000, () => {
            if (scene.synced && die(2, 2) === 0) node.powerLoss();
            else node.kill();
            after(fault.forMs, () => cluster.restart(node));
          });
        });
        return true;
      }
      case "member": {
        const alone = must(members[die(1, members.length)], "member");
        if (die(0, 4) === 1 && members.length > 1) {
          world.net.partition([alone], members);
          heal();
          return true;
        }
        const struck = die(0, 4) === 0 ? members : [alone];
        for (const node of struck) {
          if (die(2, 2) === 0 || !mayLosePower(node)) node.kill();
          else node.powerLoss();
          after(fault.forMs, () => cluster.restart(node));
        }
        return true;
      }
      case "pause":
        for (const node of victims) {
          node.pause();
          after(fault.forMs, () => node.resume());
        }
        return true;
      case "isolate": {
        // From the other brokers alone, so that ZooKeeper misses nobody.
        const [from, to] = die(0, 2) === 0 ? [victims, others] : [others, victims];
        world.net.partition(from, to, { oneWay: die(1, 2) === 0 });
        heal();
        return others.length > 0;
      }
      case "pair":
        world.net.partition([victim], [others[0] ?? victim], { oneWay: die(1, 2) === 0 });
        heal();
        return true;
      case "zookeeper": {
        const [from, to] = die(0, 2) === 0 ? [victims, members] : [members, victims];
        world.net.partition(from, to, { oneWay: die(1, 3) === 0 });
        // The other brokers and clients are lost too, perhaps.
        if (die(2, 3) === 0) world.net.partition(victims, [...others, ...clients]);
        heal();
        return true;
      }
      case "clients":
        world.net.partition([must(clients[die(0, clients.length)], "client")], victims, { oneWay: die(1, 2) === 0 });
        heal();
        return true;
      case "clog": {
        const nodes = [...brokers, ...members];
        const [from, to] = [must(nodes[die(0, nodes.length)], "node"), must(nodes[die(1, nodes.length)], "node")];
        world.net.clog(from, to, fault.forMs);
        if (die(2, 2) === 0) world.net.clog(to, from, fault.forMs);
        return from !== to;
      }
      case "reset": {
        const nodes = [...brokers, ...members, ...clients];
        return world.net.resetConnections(victim, must(nodes[die(0, nodes.length)], "node")) > 0;
      }
      case "halfOpen": {
        const [one, other] = [victim, must([...brokers, ...members, ...clients][die(0, brokers.length + members.length + clients.length)], "node")];
        return (die(1, 2) === 0 ? world.net.halfOpen(one, other) : world.net.halfOpen(other, one)) > 0;
      }
      case "slowDisk":
        for (const { disk } of victims) {
          disk.options.latencyMs = [1, 5 + die(0, 100)];
          disk.options.syncMs = [5, 20 + die(0, 300)];
          after(fault.forMs, () => {
            disk.options.latencyMs = usual.diskMs;
            disk.options.syncMs = usual.syncMs;
          });
        }
        return true;
      case "fullDisk":
      case "badDisk":
      case "failedSync":
        for (const node of victims) {
          cluster.sicken(node, fault.kind, die(0, 4));
          after(fault.forMs, () => cluster.mend(node));
        }
        return true;
      case "slowNet":
        world.net.options.latencyMs = [1, 5 + die(0, 60)];
        after(fault.forMs, () => (world.net.options.latencyMs = usual.netMs));
        return true;
      case "clock":
        for (const node of victims) node.clock.step(die(0, 2) === 0 ? die(1, 120_000) : -die(1, 120_000));
        return true;
      default:
        return assertNever(fault.kind);
    }
  }
}

function choose({ cluster, controller, leader, coordinator }: Scene, { target, dice }: BrokerFault): SimNode[] {
  const { brokers } = cluster;
  const start = must(dice[3], "die");
  const rotated = brokers.map((_, index) => must(brokers[(start + index) % brokers.length], "broker"));
  const known = (id: number | undefined): SimNode[] => (id === undefined ? rotated.slice(0, 1) : [cluster.node(id)]);
  switch (target) {
    case "any":
      return rotated.slice(0, 1);
    case "controller":
      return known(controller());
    case "leader":
      return known(leader());
    case "coordinator":
      return known(coordinator?.());
    case "two":
      return rotated.slice(0, 2);
    case "all":
      return rotated;
    default:
      return assertNever(target);
  }
}
