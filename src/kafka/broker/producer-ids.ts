import type { ProducerIdBlock } from "../znodes/cluster.ts";
import { takeProducerIdBlock } from "../znodes/operations.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";

/**
 * Producer ids, unique in the cluster: a broker takes a block of them from ZooKeeper at a time and hands them out one
 * by one. Source: kafka/coordinator/transaction/ProducerIdManager.scala.
 */
export class ProducerIds {
  readonly #zookeeper: ZooKeeperSession;
  readonly #brokerId: number;
  #block: ProducerIdBlock | undefined;
  #next = 0;
  #claiming: Promise<ProducerIdBlock> | undefined;

  constructor(zookeeper: ZooKeeperSession, brokerId: number) {
    this.#zookeeper = zookeeper;
    this.#brokerId = brokerId;
  }

  /** Rejects where ZooKeeper can't be asked for a new block. */
  async next(): Promise<number> {
    while (this.#block === undefined || this.#next > this.#block.last) {
      // Whoever comes while a block is being claimed waits for that one.
      this.#claiming ??= this.#zookeeper.run(takeProducerIdBlock(this.#brokerId)).finally(() => {
        this.#claiming = undefined;
      });
      const block = await this.#claiming;
      if (this.#block === block) continue;
      this.#block = block;
      this.#next = block.first;
    }
    return this.#next++;
  }
}
