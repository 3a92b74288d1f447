import type { Decoded } from "../../codec/schema.ts";
import type { updateMetadataRequest } from "../protocol/messages/update-metadata.ts";
import type { BrokerId, LeaderEpoch } from "../protocol/ids.ts";

export interface Endpoint {
  readonly host: string;
  readonly port: number;
}

export interface LiveBroker {
  readonly id: BrokerId;
  readonly rack: string | null;
  readonly endpoints: ReadonlyMap<string, Endpoint>;
}

export interface PartitionMetadata {
  readonly topic: string;
  readonly partition: number;
  readonly leader: BrokerId;
  readonly leaderEpoch: LeaderEpoch;
  readonly isr: readonly BrokerId[];
  readonly replicas: readonly BrokerId[];
  readonly offlineReplicas: readonly BrokerId[];
}

/** In place of a leader: the partition is being deleted. Source: LeaderAndIsr.LeaderDuringDelete. */
const LEADER_DURING_DELETE = -2;

/**
 * What the controller has told this broker of the cluster: live brokers with their endpoints, and the leader, ISR and
 * replicas of every partition. Source: MetadataCache.scala.
 */
export class MetadataCache {
  #brokers = new Map<number, LiveBroker>();
  readonly #topics = new Map<string, Map<number, PartitionMetadata>>();
  #controllerId: number | undefined;
  #waiters: (() => boolean)[] = [];

  /** Applies an UpdateMetadata request. Returns the partitions that are gone. */
  update(request: Decoded<typeof updateMetadataRequest>): { readonly topic: string; readonly partition: number }[] {
    this.#controllerId = request.controllerId < 0 ? undefined : request.controllerId;
    this.#brokers = new Map(
      request.liveBrokers.map((broker) => [
        broker.id,
        {
          id: broker.id as BrokerId,
          rack: broker.rack,
          endpoints: new Map(broker.endpoints.map((endpoint) => [endpoint.listener, { host: endpoint.host, port: endpoint.port }])),
        },
      ]),
    );
    const deleted: { topic: string; partition: number }[] = [];
    for (const topic of request.topicStates) {
      for (const state of topic.partitionStates) {
        if (Number(state.leader) === LEADER_DURING_DELETE) {
          if (this.#remove(topic.topicName, state.partitionIndex)) deleted.push({ topic: topic.topicName, partition: state.partitionIndex });
          continue;
        }
        const partitions = this.#topics.get(topic.topicName) ?? new Map<number, PartitionMetadata>();
        this.#topics.set(topic.topicName, partitions);
        partitions.set(state.partitionIndex, {
          topic: topic.topicName,
          partition: state.partitionIndex,
          leader: state.leader,
          leaderEpoch: state.leaderEpoch,
          isr: state.isr,
          replicas: state.replicas,
          offlineReplicas: state.offlineReplicas,
        });
      }
    }
    this.#waiters = this.#waiters.filter((waiter) => !waiter());
    return deleted;
  }

  /** Calls `done` after each update until it returns true. The caller gives up with the function returned. */
  watch(done: () => boolean): () => void {
    this.#waiters.push(done);
    return () => {
      this.#waiters = this.#waiters.filter((waiter) => waiter !== done);
    };
  }

  get controllerId(): number | undefined {
    return this.#controllerId;
  }

  get brokers(): readonly LiveBroker[] {
    return [...this.#brokers.values()];
  }

  broker(id: number): LiveBroker | undefined {
    return this.#brokers.get(id);
  }

  get topics(): readonly string[] {
    return [...this.#topics.keys()];
  }

  hasTopic(topic: string): boolean {
    return this.#topics.has(topic);
  }

  /** Ascending by partition; empty where the topic is not known. */
  partitions(topic: string): readonly PartitionMetadata[] {
    return [...(this.#topics.get(topic)?.values() ?? [])].toSorted((a, b) => a.partition - b.partition);
  }

  partition(topic: string, partition: number): PartitionMetadata | undefined {
    return this.#topics.get(topic)?.get(partition);
  }

  #remove(topic: string, partition: number): boolean {
    const partitions = this.#topics.get(topic);
    const removed = partitions?.delete(partition) === true;
    if (partitions?.size === 0) this.#topics.delete(topic);
    return removed;
  }
}
