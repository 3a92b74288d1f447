import { assert, must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { decodeConfig } from "../znodes/config.ts";
import { paths } from "../znodes/paths.ts";
import { ask, create, expectCode, getData, unexpected, ZkCode, type Step } from "../znodes/requests.ts";
import { encodePartitionState, type LeaderAndIsr } from "../znodes/topic.ts";
import { nameOf, type Partition, type PartitionState } from "./context.ts";
import { elections, type ElectionStrategy } from "./leader-election.ts";
import type { ControllerState } from "./state.ts";
import { fencedWrites, readPartitionStates, writePartitionStates, type StateWrite } from "./zookeeper.ts";

/** From which states each state can be reached. Source: PartitionStateMachine.scala. */
const previousStates: Readonly<Record<PartitionState, readonly PartitionState[]>> = {
  new: ["nonExistent"],
  online: ["new", "online", "offline"],
  offline: ["new", "online", "offline"],
  nonExistent: ["offline"],
};

/** Why a partition could not be brought online. */
export type PartitionFailures = ReadonlyMap<Partition, Error>;

/**
 * Moves partitions to a state and tells the brokers. A new partition that goes online gets its first leader and ISR,
 * any other one elects a leader by `strategy`. Partitions that can't move stay as they are and are logged.
 */
export function* changePartitionStates(
  state: ControllerState,
  partitions: readonly Partition[],
  target: PartitionState,
  strategy: ElectionStrategy = "offline",
): Step<PartitionFailures> {
  const failures = new Map<Partition, Error>();
  if (partitions.length === 0) return failures;
  assert(state.batch.empty, "requests to brokers are left from an earlier step");
  const valid: Partition[] = [];
  for (const partition of partitions) {
    if (previousStates[target].includes(partition.state)) valid.push(partition);
    else failures.set(partition, new Error(`a partition that is ${partition.state} can't become ${target}`));
  }
  if (target === "online") {
    yield* initialize(state, valid.filter((partition) => partition.state === "new"), failures);
    yield* elect(state, valid.filter((partition) => partition.state === "online" || partition.state === "offline"), strategy, failures);
    for (const partition of valid) {
      if (failures.has(partition)) continue;
      state.log("info", "partition online", { partition: nameOf(partition), from: partition.state, ...partition.leadership });
      partition.state = "online";
    }
  } else {
    for (const partition of valid) partition.state = target;
  }
  for (const [partition, error] of failures) state.log("error", `partition not ${target}`, { partition: nameOf(partition), state: partition.state, error });
  state.batch.send();
  return failures;
}

/** Every partition that is new or offline, but for topics that are being deleted, looks for a leader. */
export function* bringPartitionsOnline(state: ControllerState, topic?: string): Step<void> {
  const { context } = state;
  const wanting = context.partitionsWhere(
    (partition) =>
      (partition.state === "offline" || partition.state === "new") && (topic === undefined || partition.topic === topic) && !context.deletionQueued.has(partition.topic),
  );
  yield* changePartitionStates(state, wanting, "online");
}

/** At failover: as the leaders stand, and then a leader for whoever has none. */
export function* startPartitionStates(state: ControllerState): Step<void> {
  for (const partition of state.context.partitions()) {
    const { leadership } = partition;
    partition.state = leadership === undefined ? "new" : state.context.isOnline(partition, leadership.leader) ? "online" : "offline";
  }
  yield* bringPartitionsOnline(state);
}

/** The first online replica leads, all online replicas are in sync, the leader epoch is 0. */
function* initialize(state: ControllerState, partitions: readonly Partition[], failures: Map<Partition, Error>): Step<void> {
  const { context } = state;
  const firsts: StateWrite[] = [];
  for (const partition of partitions) {
    const online = partition.assignment.replicas.filter((replica) => context.isOnline(partition, replica));
    const [leader] = online;
    if (leader === undefined) failures.set(partition, new Error(`none of its replicas ${partition.assignment.replicas.join(", ")} is online`));
    else firsts.push({ partition, leadership: { leader, leaderEpoch: 0, isr: online, zkVersion: 0, controllerEpoch: context.epoch } });
  }
  const topics = new Set(firsts.map(({ partition }) => partition.topic));
  const parents = [
    ...[...topics].map((topic) => create(paths.partitions(topic), null)),
    ...firsts.map(({ partition }) => create(paths.partition(partition.topic, partition.index), null)),
  ];
  const states = firsts.map(({ partition, leadership }) => create(paths.partitionState(partition.topic, partition.index), encodePartitionState(leadership)));
  const replies = yield* fencedWrites(state, [...parents, ...states]);
  const lost: StateWrite[] = [];
  for (const [index, write] of firsts.entries()) {
    const reply = must(replies[parents.length + index], "reply");
    if (reply.code === ZkCode.OK) begin(state, write.partition, write.leadership);
    else if (reply.code === ZkCode.NODE_EXISTS) lost.push(write);
    else failures.set(write.partition, unexpected(must(states[index], "request"), reply));
  }
  yield* adopt(state, lost, failures);
}

/** A state that exists though this controller has not seen it made is its own write whose reply was lost, or an obstacle. */
function* adopt(state: ControllerState, writes: readonly StateWrite[], failures: Map<Partition, Error>): Step<void> {
  const stored = yield* readPartitionStates(writes.map(({ partition }) => partition));
  for (const [index, { partition, leadership }] of writes.entries()) {
    const found = stored[index];
    const own = found !== undefined && !(found instanceof Error) && found.controllerEpoch === leadership.controllerEpoch && found.leader === leadership.leader && found.leaderEpoch === 0;
    if (own) begin(state, partition, found);
    else failures.set(partition, new Error("its state exists in ZooKeeper, but this controller did not write it", { cause: found }));
  }
}

function begin(state: ControllerState, partition: Partition, leadership: LeaderAndIsr): void {
  partition.leadership = leadership;
  state.batch.addLeaderAndIsr(leadership.isr, partition, true);
}

/** Reads the states, elects, writes; again for those that somebody has changed meanwhile. */
function* elect(state: ControllerState, partitions: readonly Partition[], strategy: ElectionStrategy, failures: Map<Partition, Error>): Step<void> {
  const { context } = state;
  for (let remaining = partitions; remaining.length > 0; ) {
    const current = yield* readUsableStates(state, remaining, failures);
    const unclean = strategy === "offline" ? yield* readUncleanAllowed(state, current, failures) : new Set<string>();
    const writes: StateWrite[] = [];
    const recipients = new Map<Partition, readonly number[]>();
    for (const [partition, leadership] of current) {
      if (failures.has(partition)) continue;
      const outcome = elections[strategy](context, partition, leadership, unclean.has(partition.topic));
      if (outcome.leadership === undefined) {
        failures.set(partition, new Error(`no replica can lead (${strategy} election): replicas ${partition.assignment.replicas.join(", ")}, in sync ${leadership.isr.join(", ")}`));
        continue;
      }
      writes.push({ partition, leadership: outcome.leadership });
      recipients.set(partition, outcome.recipients);
    }
    const { written, failed, retry } = yield* writePartitionStates(state, writes);
    for (const { partition, leadership } of written) {
      partition.leadership = leadership;
      state.batch.addLeaderAndIsr(recipients.get(partition) ?? [], partition, false);
    }
    for (const { partition, error } of failed) failures.set(partition, error);
    remaining = retry;
  }
}

function* readUsableStates(state: ControllerState, partitions: readonly Partition[], failures: Map<Partition, Error>): Step<Map<Partition, LeaderAndIsr>> {
  const usable = new Map<Partition, LeaderAndIsr>();
  const stored = yield* readPartitionStates(partitions);
  for (const [index, partition] of partitions.entries()) {
    const found = stored[index];
    if (found === undefined) failures.set(partition, new Error(`no state in ZooKeeper of a partition that is ${partition.state}`));
    else if (found instanceof Error) failures.set(partition, found);
    else if (found.controllerEpoch > state.context.epoch) failures.set(partition, writtenByNewer(state, found));
    else usable.set(partition, found);
  }
  return usable;
}

export function writtenByNewer(state: ControllerState, found: LeaderAndIsr): Error {
  return new Error(`its state was written by a controller of epoch ${found.controllerEpoch}, which is newer than this one's ${state.context.epoch}`);
}

/** The topics, among those that have a partition without any online replica in sync, that let a replica out of sync lead. */
function* readUncleanAllowed(state: ControllerState, current: ReadonlyMap<Partition, LeaderAndIsr>, failures: Map<Partition, Error>): Step<Set<string>> {
  const { context, config } = state;
  const helpless = [...current].flatMap(([partition, { isr }]) => (isr.some((replica) => context.isOnline(partition, replica)) ? [] : [partition]));
  const topics = [...new Set(helpless.map((partition) => partition.topic))];
  const reads = topics.map((topic) => getData(paths.config("topics", topic)));
  const allowed = new Set<string>();
  for (const [index, reply] of (yield* ask(reads)).entries()) {
    const topic = must(topics[index], "topic");
    try {
      expectCode(must(reads[index], "request"), reply, ZkCode.NO_NODE);
      const own = decodeConfig(paths.config("topics", topic), reply.data).get("unclean.leader.election.enable");
      if (own === undefined ? config.uncleanLeaderElectionEnable : own.trim().toLowerCase() === "true") allowed.add(topic);
    } catch (error) {
      for (const partition of helpless) if (partition.topic === topic) failures.set(partition, toError(error));
    }
  }
  return allowed;
}
