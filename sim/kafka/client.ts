import type { Decoded, Input } from "../../src/codec/schema.ts";
import type { Host } from "../../src/host/host.ts";
import { OperationalError, errorCode } from "../../src/lib/error.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { BrokerConnection } from "../../src/kafka/client/broker-connection.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import type { Api } from "../../src/kafka/protocol/api.ts";
import { metadata } from "../../src/kafka/protocol/messages/metadata.ts";
import { BROKER_PORT } from "./cluster-world.ts";

export interface ClientOptions {
  readonly host: Host;
  readonly name: string;
  /** Names of their nodes, broker 1 first. */
  readonly brokers: readonly string[];
  readonly draws: Prng;
  readonly timeoutMs: number;
}

/** What a client has been told of a partition. */
export interface KnownPartition {
  /** -1: none. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
}

export type ClusterMetadata = Decoded<typeof metadata.response>;

/**
 * A client of the whole cluster: learns from any broker who leads what, never goes back to an earlier leader epoch, and
 * keeps a connection to each broker that it talks to.
 */
export class ClusterClient {
  readonly host: Host;
  readonly draws: Prng;
  /** As the last broker said that was asked; -1: none. */
  controllerId = -1;
  readonly #options: ClientOptions;
  readonly #partitions = new Map<string, KnownPartition>();
  readonly #connections = new Map<number, Promise<BrokerConnection>>();

  constructor(options: ClientOptions) {
    this.#options = options;
    this.host = options.host;
    this.draws = options.draws;
  }

  partition(topic: string, partition: number): KnownPartition | undefined {
    return this.#partitions.get(partitionName(topic, partition));
  }

  /** It will be another one when it is seen again. */
  forget(topic: string): void {
    for (const name of this.#partitions.keys()) if (name.startsWith(`${topic}-`)) this.#partitions.delete(name);
  }

  anyBroker(): number {
    return 1 + this.draws.below(this.#options.brokers.length);
  }

  /** Rejects with an operational error where the broker can't be reached or does not answer in time. */
  async send<A extends Api>(broker: number, api: A, version: number, request: Input<A["request"]>, timeoutMs = this.#options.timeoutMs): Promise<Decoded<A["response"]>> {
    const connection = await this.#connect(broker);
    return connection.send(api, version, request, timeoutMs);
  }

  /** Null: all topics. Rejects as `send` does. */
  async describe(broker: number, topics: readonly string[] | null): Promise<ClusterMetadata> {
    const answer = await this.send(broker, metadata, 9, {
      topics: topics?.map((name) => ({ name })) ?? null,
      allowAutoTopicCreation: false,
      includeClusterAuthorizedOperations: false,
      includeTopicAuthorizedOperations: false,
    });
    this.controllerId = answer.controllerId;
    return answer;
  }

  /** Asks a drawn broker. Where it does not answer, everything stays as it was known. */
  async refresh(topic: string): Promise<void> {
    const answer = await orUndefined(this.describe(this.anyBroker(), [topic]));
    for (const { partitionIndex, leaderId, leaderEpoch, replicaNodes, isrNodes } of answer?.topics[0]?.partitions ?? []) {
      const name = partitionName(topic, partitionIndex);
      const known = this.#partitions.get(name);
      if (known !== undefined && known.leaderEpoch > leaderEpoch) continue;
      this.#partitions.set(name, { leader: leaderId, leaderEpoch, replicas: replicaNodes, isr: isrNodes });
    }
  }

  pause(ms: number): Promise<void> {
    return new Promise((resolve) => {
      this.host.timers.after(ms, resolve);
    });
  }

  async close(): Promise<void> {
    for (const connecting of this.#connections.values()) (await orUndefined(connecting))?.close();
    this.#connections.clear();
  }

  async #connect(broker: number): Promise<BrokerConnection> {
    const { brokers, name, timeoutMs } = this.#options;
    const open = this.#connections.get(broker);
    if (open !== undefined) {
      const connection = await orUndefined(open);
      if (connection?.closed === false) return connection;
      // Somebody else may have opened the next one meanwhile.
      const other = this.#connections.get(broker);
      if (other !== undefined && other !== open) return other;
    }
    const host = brokers[broker - 1];
    if (host === undefined) throw new OperationalError("ENOTFOUND", `there is no broker ${broker}`);
    const connecting = BrokerConnection.connect(this.host, { host, port: BROKER_PORT, clientId: name, connectTimeoutMs: 1000, requestTimeoutMs: timeoutMs });
    this.#connections.set(broker, connecting);
    return connecting;
  }
}

/** Undefined for an operational failure. */
export async function orUndefined<T>(promise: Promise<T>): Promise<T | undefined> {
  try {
    return await promise;
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    return undefined;
  }
}
