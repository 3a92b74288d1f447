import type { BrokerRegistration, VersionRange } from "../znodes/broker.ts";
import type { LeaderAndIsr, ReplicaAssignment } from "../znodes/topic.ts";

/** Source of the states and their transitions: PartitionStateMachine.scala, ReplicaStateMachine.scala. */
export type PartitionState = "nonExistent" | "new" | "online" | "offline";
export type ReplicaState = "nonExistent" | "new" | "online" | "offline" | "deletionStarted" | "deletionSuccessful" | "deletionIneligible";

export interface LiveBroker extends BrokerRegistration {
  /** The czxid of /brokers/ids/N. */
  readonly epoch: number;
}

export interface Partition {
  readonly topic: string;
  readonly index: number;
  assignment: ReplicaAssignment;
  /** Undefined before the first leader. */
  leadership: LeaderAndIsr | undefined;
  state: PartitionState;
  /** By broker; none means nonExistent. */
  readonly replicaStates: Map<number, ReplicaState>;
  /** Brokers that have told that the log directory of their replica has failed. */
  readonly offlineDirs: Set<number>;
}

export interface Replica {
  readonly partition: Partition;
  readonly broker: number;
}

export const noLeader = -1;

/**
 * What the controller knows of the cluster. It mirrors ZooKeeper: each part is changed after ZooKeeper has taken the
 * change, or on reading it. Invariants: a partition that is online has a leadership; a topic that is queued for
 * deletion stays in `topics` until its znodes are gone; `deletionStarted` and `deletionIneligible` are subsets of
 * `deletionQueued`. Source: ControllerContext.scala.
 */
export class ControllerContext {
  epoch = 0;
  /** The version of /controller_epoch: what every write is fenced by. */
  epochZkVersion = 0;
  /** Live, or live and shutting down. */
  readonly brokers = new Map<number, LiveBroker>();
  readonly shuttingDown = new Set<number>();
  readonly topics = new Map<string, Map<number, Partition>>();
  readonly deletionQueued = new Set<string>();
  readonly deletionStarted = new Set<string>();
  readonly deletionIneligible = new Set<string>();
  finalizedFeatures: ReadonlyMap<string, VersionRange> = new Map();

  reset(): void {
    this.epoch = 0;
    this.epochZkVersion = 0;
    this.brokers.clear();
    this.shuttingDown.clear();
    this.topics.clear();
    this.deletionQueued.clear();
    this.deletionStarted.clear();
    this.deletionIneligible.clear();
    this.finalizedFeatures = new Map();
  }

  isLive(broker: number): boolean {
    return this.brokers.has(broker) && !this.shuttingDown.has(broker);
  }

  /** Whether the replica can serve: its broker is live (or shutting down, where that counts) and its log directory works. */
  isOnline(partition: Partition, broker: number, includeShuttingDown = false): boolean {
    return (includeShuttingDown ? this.brokers.has(broker) : this.isLive(broker)) && !partition.offlineDirs.has(broker);
  }

  *partitions(): Generator<Partition, void> {
    for (const topic of this.topics.values()) yield* topic.values();
  }

  partition(topic: string, index: number): Partition | undefined {
    return this.topics.get(topic)?.get(index);
  }

  partitionsOf(topic: string): Partition[] {
    return [...(this.topics.get(topic)?.values() ?? [])];
  }

  replicasOf(topic: string): Replica[] {
    return replicasOfPartitions(this.partitionsOf(topic));
  }

  replicasOn(brokers: ReadonlySet<number>): Replica[] {
    const replicas: Replica[] = [];
    for (const partition of this.partitions()) {
      for (const broker of partition.assignment.replicas) if (brokers.has(broker)) replicas.push({ partition, broker });
    }
    return replicas;
  }

  partitionsWhere(test: (partition: Partition) => boolean): Partition[] {
    const found: Partition[] = [];
    for (const partition of this.partitions()) if (test(partition)) found.push(partition);
    return found;
  }

  addPartition(topic: string, index: number, assignment: ReplicaAssignment): Partition {
    const partition: Partition = { topic, index, assignment, leadership: undefined, state: "nonExistent", replicaStates: new Map(), offlineDirs: new Set() };
    const partitions = this.topics.get(topic) ?? new Map<number, Partition>();
    this.topics.set(topic, partitions);
    partitions.set(index, partition);
    return partition;
  }

  removeTopic(topic: string): void {
    this.topics.delete(topic);
    this.deletionQueued.delete(topic);
    this.deletionStarted.delete(topic);
    this.deletionIneligible.delete(topic);
  }
}

export function replicasOfPartitions(partitions: readonly Partition[]): Replica[] {
  return partitions.flatMap((partition) => partition.assignment.replicas.map((broker) => ({ partition, broker })));
}

export function replicaState(replica: Replica): ReplicaState {
  return replica.partition.replicaStates.get(replica.broker) ?? "nonExistent";
}

export function nameOf(partition: Partition): string {
  return `${partition.topic}-${partition.index}`;
}
