import { assert } from "../../lib/assert.ts";
import type { Step } from "../znodes/requests.ts";
import type { LeaderAndIsr } from "../znodes/topic.ts";
import { nameOf, noLeader, replicaState, type Partition, type Replica, type ReplicaState } from "./context.ts";
import { nextLeadership } from "./leader-election.ts";
import { writtenByNewer } from "./partition-states.ts";
import type { ControllerState } from "./state.ts";
import { readPartitionStates, writePartitionStates, type StateWrite } from "./zookeeper.ts";

/** From which states each state can be reached. Source: ReplicaStateMachine.scala. */
const previousStates: Readonly<Record<ReplicaState, readonly ReplicaState[]>> = {
  new: ["nonExistent"],
  online: ["new", "online", "offline", "deletionIneligible"],
  offline: ["new", "online", "offline", "deletionIneligible"],
  deletionStarted: ["offline"],
  deletionSuccessful: ["deletionStarted"],
  deletionIneligible: ["offline", "deletionStarted"],
  nonExistent: ["deletionSuccessful"],
};

/** Moves replicas to a state and tells the brokers. Replicas that can't move stay as they are and are logged. */
export function* changeReplicaStates(state: ControllerState, replicas: readonly Replica[], target: ReplicaState): Step<void> {
  if (replicas.length === 0) return;
  assert(state.batch.empty, "requests to brokers are left from an earlier step");
  const valid: Replica[] = [];
  for (const replica of replicas) {
    if (previousStates[target].includes(replicaState(replica))) valid.push(replica);
    else refuse(state, replica, target, new Error(`a replica that is ${replicaState(replica)} can't become ${target}`));
  }
  if (target === "offline") yield* takeOffline(state, valid);
  else for (const replica of valid) move(state, replica, target);
  state.batch.send();
}

/** At failover: replicas on live brokers are told their state, the others leave the ISR. */
export function* startReplicaStates(state: ControllerState): Step<void> {
  const online: Replica[] = [];
  const offline: Replica[] = [];
  for (const partition of state.context.partitions()) {
    for (const broker of partition.assignment.replicas) {
      const isOnline = state.context.isOnline(partition, broker);
      partition.replicaStates.set(broker, isOnline ? "online" : "deletionIneligible");
      (isOnline ? online : offline).push({ partition, broker });
    }
  }
  yield* changeReplicaStates(state, online, "online");
  yield* changeReplicaStates(state, offline, "offline");
}

function move(state: ControllerState, replica: Replica, target: Exclude<ReplicaState, "offline">): void {
  const { partition, broker } = replica;
  const { batch } = state;
  switch (target) {
    case "new":
      if (partition.leadership?.leader === broker) {
        refuse(state, replica, target, new Error("a new replica can't be the leader"));
        return;
      }
      if (partition.leadership !== undefined) batch.addLeaderAndIsr([broker], partition, true);
      break;
    case "online":
      if (replicaState(replica) === "new") {
        assert(partition.assignment.replicas.includes(broker), `replica ${broker} of ${nameOf(partition)} is not assigned`);
      } else if (partition.leadership !== undefined) batch.addLeaderAndIsr([broker], partition, false);
      break;
    case "deletionStarted":
      batch.addStopReplica(broker, partition, true);
      break;
    case "nonExistent": {
      const { replicas, adding, removing } = partition.assignment;
      const others = (ids: readonly number[]): number[] => ids.filter((id) => id !== broker);
      partition.assignment = { replicas: others(replicas), adding: others(adding), removing: others(removing) };
      partition.replicaStates.delete(broker);
      return;
    }
    case "deletionSuccessful":
    case "deletionIneligible":
      break;
  }
  partition.replicaStates.set(broker, target);
}

/** Stops the replicas, takes them out of the ISR, and tells the others. */
function* takeOffline(state: ControllerState, replicas: readonly Replica[]): Step<void> {
  const { context, batch } = state;
  for (const broker of new Set(replicas.map((replica) => replica.broker))) {
    const partitions = replicas.flatMap((replica) => (replica.broker === broker ? [replica.partition] : []));
    for (const partition of partitions) batch.addStopReplica(broker, partition, false);
    for (const partition of yield* removeFromIsr(state, broker, partitions.filter(({ leadership }) => leadership !== undefined))) {
      if (!context.deletionQueued.has(partition.topic)) {
        batch.addLeaderAndIsr(partition.assignment.replicas.filter((replica) => replica !== broker), partition, false);
      }
      partition.replicaStates.set(broker, "offline");
    }
    for (const partition of partitions) {
      if (partition.leadership !== undefined) continue;
      batch.addUpdateMetadata(context.brokers.keys(), [partition]);
      partition.replicaStates.set(broker, "offline");
    }
  }
}

/**
 * The leader leaves no leader behind; the last replica in sync stays in the ISR. Returns the partitions from which
 * the broker is gone, with their states as ZooKeeper has them.
 */
function* removeFromIsr(state: ControllerState, broker: number, partitions: readonly Partition[]): Step<Partition[]> {
  const removed: Partition[] = [];
  for (let remaining = partitions; remaining.length > 0; ) {
    const stored = yield* readPartitionStates(remaining);
    const writes: StateWrite[] = [];
    for (const [index, partition] of remaining.entries()) {
      const found = stored[index];
      if (found === undefined) {
        if (!state.context.deletionQueued.has(partition.topic)) refuse(state, { partition, broker }, "offline", new Error("the partition has no state in ZooKeeper"));
      } else if (found instanceof Error) refuse(state, { partition, broker }, "offline", found);
      else if (found.controllerEpoch > state.context.epoch) refuse(state, { partition, broker }, "offline", writtenByNewer(state, found));
      else if (found.isr.includes(broker)) writes.push({ partition, leadership: without(found, broker) });
      else {
        partition.leadership = { ...found, controllerEpoch: state.context.epoch };
        removed.push(partition);
      }
    }
    const { written, failed, retry } = yield* writePartitionStates(state, writes);
    for (const { partition, leadership } of written) {
      partition.leadership = leadership;
      removed.push(partition);
    }
    for (const { partition, error } of failed) refuse(state, { partition, broker }, "offline", error);
    remaining = retry;
  }
  return removed;
}

function without(leadership: LeaderAndIsr, broker: number): LeaderAndIsr {
  const isr = leadership.isr.length === 1 ? leadership.isr : leadership.isr.filter((replica) => replica !== broker);
  return nextLeadership(leadership, leadership.leader === broker ? noLeader : leadership.leader, isr);
}

function refuse(state: ControllerState, replica: Replica, target: ReplicaState, error: Error): void {
  state.log("error", `replica not ${target}`, { partition: nameOf(replica.partition), broker: replica.broker, state: replicaState(replica), error });
}
