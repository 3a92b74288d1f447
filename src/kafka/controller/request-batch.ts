import { assert, must } from "../../lib/assert.ts";
import type { Input } from "../../codec/schema.ts";
import type { leaderAndIsrRequest } from "../protocol/messages/leader-and-isr.ts";
import type { stopReplicaRequest } from "../protocol/messages/stop-replica.ts";
import type { updateMetadataRequest } from "../protocol/messages/update-metadata.ts";
import type { BrokerId } from "../protocol/ids.ts";
import { securityProtocols } from "../znodes/broker.ts";
import { noLeader, type ControllerContext, type Partition } from "./context.ts";
import type { ControllerEffect } from "./effects.ts";

type LeaderAndIsrPartition = Input<typeof leaderAndIsrRequest>["topicStates"][number]["partitionStates"][number];
type MetadataPartition = Input<typeof updateMetadataRequest>["topicStates"][number]["partitionStates"][number];
type StopPartition = Input<typeof stopReplicaRequest>["topicStates"][number]["partitionStates"][number];

/** In place of a leader and of a leader epoch: the topic is being deleted. Source: LeaderAndIsr.scala. */
export const duringDelete = -2;

/**
 * Gathers what one step of the controller has to tell the brokers, one request of a kind for each. LeaderAndIsr of a
 * partition implies UpdateMetadata of it to all live brokers. `send` emits LeaderAndIsr, then UpdateMetadata, then
 * StopReplica; the first two tell of partitions as they are then. Source: ControllerChannelManager.scala,
 * ControllerBrokerRequestBatch.
 */
export class RequestBatch {
  readonly #config: { readonly brokerId: number; readonly interBrokerListener: string };
  readonly #context: ControllerContext;
  readonly #effects: ControllerEffect[];
  /** By broker and partition: whether the replica is new. */
  readonly #leaderAndIsr = new Map<number, Map<Partition, boolean>>();
  readonly #metadataBrokers = new Set<number>();
  readonly #metadata = new Set<Partition>();
  readonly #stopReplica = new Map<number, Map<Partition, StopPartition>>();

  constructor(config: { readonly brokerId: number; readonly interBrokerListener: string }, context: ControllerContext, effects: ControllerEffect[]) {
    this.#config = config;
    this.#context = context;
    this.#effects = effects;
  }

  get empty(): boolean {
    return this.#leaderAndIsr.size === 0 && this.#metadataBrokers.size === 0 && this.#stopReplica.size === 0;
  }

  /** `isNew` lets a broker put the replica on any of its log directories. */
  addLeaderAndIsr(brokers: readonly number[], partition: Partition, isNew: boolean): void {
    for (const broker of brokers) {
      if (broker < 0) continue;
      const partitions = entryOf(this.#leaderAndIsr, broker);
      partitions.set(partition, isNew || partitions.get(partition) === true);
    }
    this.addUpdateMetadata(this.#context.brokers.keys(), [partition]);
  }

  /** No partitions: the live brokers only. Partitions without a leadership are left out. */
  addUpdateMetadata(brokers: Iterable<number>, partitions: readonly Partition[]): void {
    for (const broker of brokers) if (broker >= 0) this.#metadataBrokers.add(broker);
    for (const partition of partitions) this.#metadata.add(partition);
  }

  addStopReplica(broker: number, partition: Partition, deletePartition: boolean): void {
    if (broker < 0) return;
    const states = entryOf(this.#stopReplica, broker);
    states.set(partition, {
      partitionIndex: partition.index,
      leaderEpoch: this.#context.deletionQueued.has(partition.topic) ? duringDelete : (partition.leadership?.leaderEpoch ?? noLeader),
      deletePartition: deletePartition || states.get(partition)?.deletePartition === true,
    });
  }

  clear(): void {
    this.#leaderAndIsr.clear();
    this.#metadataBrokers.clear();
    this.#metadata.clear();
    this.#stopReplica.clear();
  }

  /** Brokers that have gone meanwhile get nothing. */
  send(): void {
    const { brokers } = this.#context;
    this.#sendLeaderAndIsr();
    const liveBrokers = this.#liveBrokers();
    const metadata = byTopic(this.#metadata, (partition) => this.#metadataOf(partition));
    for (const broker of this.#metadataBrokers) {
      if (!brokers.has(broker)) continue;
      const body = { ...this.#header(broker), ungroupedPartitionStates: [], topicStates: metadata, liveBrokers };
      this.#effects.push({ kind: "send", brokerId: broker, request: { api: "updateMetadata", body } });
    }
    for (const [broker, states] of this.#stopReplica) {
      if (!brokers.has(broker)) continue;
      const body = { ...this.#header(broker), deletePartitions: false, ungroupedPartitions: [], topics: [], topicStates: byTopic(states.keys(), (partition) => states.get(partition)) };
      this.#effects.push({ kind: "send", brokerId: broker, request: { api: "stopReplica", body } });
    }
    this.clear();
  }

  #sendLeaderAndIsr(): void {
    const { brokers } = this.#context;
    // A partition looks the same to all its replicas, but for the new ones.
    const old = new Map<Partition, LeaderAndIsrPartition>();
    const fresh = new Map<Partition, LeaderAndIsrPartition>();
    for (const [broker, partitions] of this.#leaderAndIsr) {
      if (!brokers.has(broker)) continue;
      const leaders = new Set<number>();
      const topicStates = byTopic(partitions.keys(), (partition) => {
        const isNew = partitions.get(partition) === true;
        const states = isNew ? fresh : old;
        const state = states.get(partition) ?? leaderAndIsrOf(partition, isNew);
        states.set(partition, state);
        leaders.add(state.leader);
        return state;
      });
      const liveLeaders = [...brokers.values()].flatMap((live) => {
        const endpoint = leaders.has(live.id) ? live.endpoints.find(({ listenerName }) => listenerName === this.#config.interBrokerListener) : undefined;
        return endpoint === undefined ? [] : [{ brokerId: live.id, hostName: endpoint.host, port: endpoint.port }];
      });
      const body = { ...this.#header(broker), ungroupedPartitionStates: [], topicStates, liveLeaders };
      this.#effects.push({ kind: "send", brokerId: broker, request: { api: "leaderAndIsr", body } });
    }
  }

  #metadataOf(partition: Partition): MetadataPartition | undefined {
    const { leadership } = partition;
    if (leadership === undefined) return undefined;
    const deleting = this.#context.deletionQueued.has(partition.topic);
    return {
      partitionIndex: partition.index,
      controllerEpoch: leadership.controllerEpoch,
      leader: deleting ? duringDelete : leadership.leader,
      leaderEpoch: deleting ? 0 : leadership.leaderEpoch,
      isr: ids(leadership.isr),
      zkVersion: deleting ? 0 : leadership.zkVersion,
      replicas: ids(partition.assignment.replicas),
      offlineReplicas: ids(partition.assignment.replicas.filter((replica) => !this.#context.isOnline(partition, replica))),
    };
  }

  #header(broker: number): { controllerId: number; controllerEpoch: number; brokerEpoch: number } {
    const brokerEpoch = this.#context.brokers.get(broker)?.epoch;
    assert(brokerEpoch !== undefined, `a request to broker ${broker}, which is not live`);
    return { controllerId: this.#config.brokerId, controllerEpoch: this.#context.epoch, brokerEpoch };
  }

  #liveBrokers(): Input<typeof updateMetadataRequest>["liveBrokers"] {
    return [...this.#context.brokers.values()].map((broker) => ({
      id: broker.id,
      endpoints: broker.endpoints.map((endpoint) => ({
        port: endpoint.port,
        host: endpoint.host,
        listener: endpoint.listenerName,
        securityProtocol: securityProtocols.indexOf(endpoint.securityProtocol),
      })),
      rack: broker.rack,
    }));
  }
}

function ids(numbers: readonly number[]): readonly BrokerId[] {
  return numbers as readonly BrokerId[];
}

function entryOf<V>(map: Map<number, Map<Partition, V>>, broker: number): Map<Partition, V> {
  const entry = map.get(broker) ?? new Map<Partition, V>();
  map.set(broker, entry);
  return entry;
}

function leaderAndIsrOf(partition: Partition, isNew: boolean): LeaderAndIsrPartition {
  const leadership = must(partition.leadership, "leadership of a partition to tell of");
  return {
    partitionIndex: partition.index,
    controllerEpoch: leadership.controllerEpoch,
    leader: leadership.leader,
    leaderEpoch: leadership.leaderEpoch,
    isr: ids(leadership.isr),
    zkVersion: leadership.zkVersion,
    replicas: ids(partition.assignment.replicas),
    addingReplicas: ids(partition.assignment.adding),
    removingReplicas: ids(partition.assignment.removing),
    isNew,
  };
}

function byTopic<V>(partitions: Iterable<Partition>, stateOf: (partition: Partition) => V | undefined): { topicName: string; partitionStates: V[] }[] {
  const topics = new Map<string, { topicName: string; partitionStates: V[] }>();
  for (const partition of partitions) {
    const state = stateOf(partition);
    if (state === undefined) continue;
    const topic = topics.get(partition.topic) ?? { topicName: partition.topic, partitionStates: [] };
    topics.set(partition.topic, topic);
    topic.partitionStates.push(state);
  }
  return [...topics.values()];
}
