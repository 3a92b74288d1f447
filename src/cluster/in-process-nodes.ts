import { realHost } from "../host/real/host.ts";
import type { Broker } from "../kafka/broker/broker.ts";
import { must } from "../lib/assert.ts";
import { startKafkaBroker } from "../node/kafka-broker.ts";
import { startZooKeeperMember } from "../node/zookeeper-member.ts";
import type { NodePaths } from "./node-child.ts";

interface Running {
  readonly broker: Broker;
  readonly member: Awaited<ReturnType<typeof startZooKeeperMember>>;
}

/** All nodes of a cluster in this process, on one event loop. What they would print is not printed. */
export class InProcessNodes {
  readonly #nodes: readonly NodePaths[];
  readonly #running = new Map<number, Running>();

  constructor(nodes: readonly NodePaths[]) {
    this.#nodes = nodes;
  }

  /** Rejects with what kept the first node from starting; nothing is left running then. */
  async start(): Promise<void> {
    const started = await Promise.allSettled(this.#nodes.map((node) => this.#launch(node)));
    const failed = started.find((each) => each.status === "rejected");
    if (failed === undefined) return;
    await this.stop();
    throw failed.reason;
  }

  startNode(id: number): Promise<void> {
    if (this.#running.has(id)) return Promise.resolve();
    return this.#launch(must(this.#nodes.find((node) => node.id === id), `node ${id}`));
  }

  async killNode(id: number): Promise<void> {
    const node = this.#running.get(id);
    if (node === undefined) return;
    this.#running.delete(id);
    await node.broker.stop({ handOver: false });
    await node.member.close();
  }

  abandon(): Promise<void> {
    return this.stop();
  }

  /** Brokers first: they need their members to leave the cluster. */
  async stop(): Promise<void> {
    const nodes = [...this.#running.values()];
    this.#running.clear();
    for (const [at, { broker }] of nodes.entries()) await broker.stop({ handOver: at < nodes.length - 1 });
    await Promise.all(nodes.map(({ member }) => member.close()));
  }

  async #launch({ id, serverProperties, zookeeperProperties }: NodePaths): Promise<void> {
    const host = realHost({ logLevel: "silent" });
    const member = await startZooKeeperMember(host, zookeeperProperties);
    try {
      this.#running.set(id, { member, broker: await startKafkaBroker(host, serverProperties, []) });
    } catch (error) {
      await member.close();
      throw error;
    }
  }
}
