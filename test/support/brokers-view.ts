import { expect } from "vitest";
import type { Decoded } from "../../src/codec/schema.ts";
import { realHost } from "../../src/host/real/host.ts";
import { BrokerConnection } from "../../src/kafka/client/broker-connection.ts";
import { createTopics } from "../../src/kafka/protocol/messages/create-topics.ts";
import { metadata } from "../../src/kafka/protocol/messages/metadata.ts";
import { eventually } from "./processes.ts";

export interface PartitionLayout {
  readonly leader: number;
  readonly epoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

/** A broker of this machine. */
export interface BrokerAt {
  readonly id: number;
  readonly port: number;
  /** `host:port` */
  readonly bootstrap: string;
  readonly running: boolean;
}

const host = realHost({ logLevel: "silent" });

/** Brokers as the wire shows them, whoever started them. */
export class BrokersView<B extends BrokerAt = BrokerAt> {
  readonly brokers: readonly B[];

  constructor(brokers: readonly B[]) {
    this.brokers = brokers;
  }

  get bootstrap(): string {
    return this.brokers.map(({ bootstrap }) => bootstrap).join(",");
  }

  broker(id: number): B {
    const found = this.brokers.find((broker) => broker.id === id);
    if (found === undefined) throw new Error(`no broker ${id}`);
    return found;
  }

  /** The running brokers, without this one. */
  others(id?: number): B[] {
    return this.brokers.filter((broker) => broker.running && broker.id !== id);
  }

  async connect(broker: BrokerAt): Promise<BrokerConnection> {
    return BrokerConnection.connect(host, { host: "127.0.0.1", port: broker.port, clientId: "test", connectTimeoutMs: 1000, requestTimeoutMs: 5000 });
  }

  /** Who a broker says is the controller. */
  async controller(): Promise<number | undefined> {
    const [asked] = this.others();
    if (asked === undefined) return undefined;
    const { controllerId } = await this.#cluster(asked);
    return controllerId < 0 ? undefined : controllerId;
  }

  /** As one broker was told by the controller. */
  async #cluster(asked: BrokerAt): Promise<Decoded<typeof metadata.response>> {
    const connection = await this.connect(asked);
    try {
      return await connection.send(metadata, 9, { topics: [], allowAutoTopicCreation: false, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false });
    } finally {
      connection.close();
    }
  }

  /** A topic's partitions as one broker's Metadata shows them; none where it does not know the topic. */
  async layout(asked: BrokerAt, topic: string): Promise<PartitionLayout[]> {
    const connection = await this.connect(asked);
    try {
      const answer = await connection.send(metadata, 9, { topics: [{ name: topic }], allowAutoTopicCreation: false, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false });
      const partitions = answer.topics[0]?.partitions.toSorted((a, b) => a.partitionIndex - b.partitionIndex) ?? [];
      return partitions.map(({ leaderId, leaderEpoch, replicaNodes, isrNodes }) => ({ leader: leaderId, epoch: leaderEpoch, replicas: replicaNodes, isr: isrNodes.toSorted((a, b) => a - b) }));
    } finally {
      connection.close();
    }
  }

  /** Until it holds in the Metadata of all brokers that run. Followers come back over sessions, elections and a JVM that warms up: 60 s. */
  async until(what: string, topic: string, holds: (layout: readonly PartitionLayout[]) => boolean): Promise<void> {
    let last = "";
    const everywhere = async (): Promise<boolean> => {
      const layouts = await Promise.all(this.others().map((broker) => this.layout(broker, topic).catch((error: unknown) => String(error))));
      last = JSON.stringify(layouts);
      return layouts.every((layout) => typeof layout !== "string" && layout.length > 0 && holds(layout));
    };
    await eventually(what, everywhere, 60_000).catch((error: unknown) => {
      throw new Error(`${String(error)}; the brokers say: ${last}`);
    });
  }

  /** Resolves with the controller when it has heard of every broker: each serves a moment before that. */
  async allKnown(): Promise<B> {
    const controller = this.broker(await eventually("a controller", () => this.controller()));
    await eventually("the controller knows every broker", async () => (await this.#cluster(controller)).brokers.length === this.brokers.length);
    return controller;
  }

  /** Replicated to all, asked of the controller. */
  async createTopic(name: string, partitions: number): Promise<void> {
    const connection = await this.connect(await this.allKnown());
    try {
      const answer = await connection.send(createTopics, 5, { topics: [{ name, numPartitions: partitions, replicationFactor: this.brokers.length, assignments: [], configs: [] }], timeoutMs: 10_000, validateOnly: false }, 20_000);
      expect(answer.topics[0]).toMatchObject({ errorCode: 0 });
    } finally {
      connection.close();
    }
  }

  async inSync(topic: string): Promise<void> {
    await this.until("every replica is in the ISR", topic, (layout) => layout.every(({ isr, replicas }) => isr.length === replicas.length));
  }

  async preferred(topic: string): Promise<void> {
    await this.until("every preferred replica leads", topic, (layout) => layout.every(({ leader, replicas }) => leader === replicas[0]));
  }
}
