import type { WorldOptions } from "../../src/host/sim/options.ts";
import type { SimNode } from "../../src/host/sim/node.ts";
import { World } from "../../src/host/sim/world.ts";
import { must } from "../../src/lib/assert.ts";
import type { ClientTap } from "../zookeeper/client-tap.ts";
import { ClusterClient } from "./client.ts";
import { ClusterWorld, type ClusterShape, type HeardLine } from "./cluster-world.ts";
import { Convergence } from "./convergence.ts";
import type { Scene } from "./faults.ts";
import { Invariants } from "./invariants.ts";

export interface StageOptions {
  readonly seed: string;
  readonly world: Omit<WorldOptions, "seed">;
  readonly shape: ClusterShape;
  /** Topics that are there in the end, and never go meanwhile. */
  readonly topics: readonly string[];
  readonly mayBeUnclean: (topic: string) => boolean;
  /** Whether brokers may lose power. */
  readonly synced: boolean;
  readonly print?: ((line: string) => void) | undefined;
  /** Listens to what brokers say to members. */
  readonly tap?: ((world: World) => ClientTap) | undefined;
}

const LOOK_EVERY_MS = 25;
const TIMEOUT_MS = 4000;

/** A cluster, a judge beside it, and all that is looked at while works of clients go on. */
export class Stage {
  readonly world: World;
  readonly cluster: ClusterWorld;
  readonly judge: SimNode;
  readonly judgeClient: ClusterClient;
  readonly invariants: Invariants;
  readonly convergence: Convergence;
  readonly tap: ClientTap | undefined;
  /** Those who hear each line that a broker logs. */
  readonly hearers: ((line: HeardLine) => void)[] = [];
  readonly #synced: boolean;
  #ambushes: { readonly message: string; readonly hear: (broker: SimNode) => void }[] = [];
  #violation: Error | undefined;
  #looking = true;
  #clients = 0;

  constructor({ seed, world, shape, topics, mayBeUnclean, synced, print, tap }: StageOptions) {
    this.world = new World({ seed, ...world, ...(print && { print }), expected: (failure) => this.cluster.isSick(failure) });
    this.tap = tap?.(this.world);
    this.cluster = new ClusterWorld(this.world, shape, this.tap);
    this.cluster.onLine = (line) => this.#hear(line);
    this.judge = this.world.addNode("judge");
    this.judgeClient = this.client(this.judge);
    this.convergence = new Convergence({ cluster: this.cluster, client: this.judgeClient, topics, mayBeUnclean });
    this.invariants = new Invariants((topic) => topics.includes(topic), (topic) => !synced && !mayBeUnclean(topic));
    this.#synced = synced;
    this.#look();
  }

  client(node: SimNode): ClusterClient {
    this.#clients += 1;
    const name = `${node.name}-${this.#clients}`;
    return new ClusterClient({ host: node.host, name, brokers: this.cluster.brokers.map((broker) => broker.name), draws: this.world.prng(`workload/${name}`), timeoutMs: TIMEOUT_MS });
  }

  clientNode(index: number): SimNode {
    const { clients } = this.cluster;
    return must(clients[index % clients.length], "client");
  }

  /** Where faults fall, as far as works do not say more. */
  scene(more: Pick<Scene, "leader" | "coordinator" | "ambushes">): Scene {
    return {
      ...more,
      cluster: this.cluster,
      controller: () => known(this.judgeClient.controllerId),
      synced: this.#synced,
      onLine: (message, hear) => this.#ambushes.push({ message, hear }),
    };
  }

  /** Who waits for a line waits no longer. */
  endAmbushes(): void {
    this.#ambushes = [];
  }

  /** Fails the run at the next look: thrown where it is found, it would be the broker's. */
  fail(violation: Error): void {
    this.#violation ??= violation;
  }

  endLooking(): void {
    this.#looking = false;
  }

  /** So that faults find the controller and a leader. */
  keepKnowing(topic: string): void {
    const ask = async (): Promise<void> => {
      while (this.#looking) {
        await this.judgeClient.refresh(topic);
        await this.judgeClient.pause(500);
      }
    };
    ask().catch((error: unknown) => this.judge.host.fail(error as Error));
  }

  #hear(line: HeardLine): void {
    for (const hear of this.hearers) hear(line);
    const ambush = this.#ambushes.findIndex(({ message }) => message === line.message);
    if (ambush >= 0) for (const { hear } of this.#ambushes.splice(ambush, 1)) hear(this.cluster.node(line.broker));
  }

  #look(): void {
    if (!this.#looking) return;
    if (this.#violation !== undefined) throw this.#violation;
    this.invariants.look(this.convergence.running);
    this.world.after(LOOK_EVERY_MS, () => this.#look());
  }
}

/** Undefined where nobody is known. */
export function known(id: number | undefined): number | undefined {
  return id === undefined || id < 0 ? undefined : id;
}
