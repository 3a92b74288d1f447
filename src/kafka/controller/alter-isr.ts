import type { Decoded, Input } from "../../codec/schema.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { BrokerId } from "../protocol/ids.ts";
import type { alterIsrRequest, alterIsrResponse } from "../protocol/messages/alter-isr.ts";
import type { Step } from "../znodes/requests.ts";
import type { LeaderAndIsr } from "../znodes/topic.ts";
import { nameOf, type Partition } from "./context.ts";
import type { ControllerEvent } from "./effects.ts";
import type { ControllerState } from "./state.ts";
import { readPartitionStates, writePartitionStates, type StateWrite } from "./zookeeper.ts";

type Asked = Decoded<typeof alterIsrRequest>["topics"][number]["partitions"][number];
type Answered = Input<typeof alterIsrResponse>["topics"][number]["partitions"][number];
type Outcome = ErrorCode | LeaderAndIsr;

/**
 * A leader asks for other ISRs (KIP-497). Each is written if the leader's version of the state is ZooKeeper's, and all
 * brokers hear of it; the leader itself learns by the answer, without LeaderAndIsr. Members are not refused for being
 * dead or shutting down: a leader counts whom it has asked for as in sync until it gets its way.
 *
 * Unlike 2.7.1: an ISR is compared as a set, not as a list; one that is empty, has no leader or strangers in it is
 * refused; and this controller's own write that ZooKeeper refuses, since its reply was lost and it was sent again,
 * counts as written. Source: KafkaController.scala, processAlterIsr.
 */
export function* onAlterIsr(state: ControllerState, event: ControllerEvent & { kind: "alterIsr" }): Step<void> {
  const { context, batch, effects } = state;
  const { request, ticket } = event;
  const answer = (errorCode: ErrorCode, topics: Input<typeof alterIsrResponse>["topics"]): void => {
    effects.push({ kind: "answer", ticket, answer: { api: "alterIsr", response: { errorCode, topics } } });
  };
  if (context.brokers.get(request.brokerId)?.epoch !== request.brokerEpoch) {
    state.log("info", "an ISR change is refused: it comes from another life of the broker", { broker: request.brokerId, brokerEpoch: request.brokerEpoch });
    answer(ErrorCode.STALE_BROKER_EPOCH, []);
    return;
  }
  const outcomes = new Map<Partition, Outcome>();
  const writes = new Map<Partition, StateWrite>();
  for (const topic of request.topics) {
    for (const asked of topic.partitions) {
      const partition = context.partition(topic.name, asked.partitionIndex);
      if (partition === undefined) continue;
      const judged = judge(partition, request.brokerId, asked);
      if (typeof judged === "object" && "partition" in judged) writes.set(partition, judged);
      else outcomes.set(partition, judged);
    }
  }
  yield* write(state, [...writes.values()], outcomes);
  batch.addUpdateMetadata(context.brokers.keys(), [...outcomes.keys()]);
  batch.send();
  answer(
    ErrorCode.NONE,
    request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex }) => answered(partitionIndex, outcomeOf(context.partition(name, partitionIndex), outcomes))),
    })),
  );
}

/** An outcome, or what is to be written. */
function judge(partition: Partition, brokerId: number, asked: Asked): Outcome | StateWrite {
  const { leadership, assignment } = partition;
  if (leadership === undefined) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  if (asked.leaderEpoch < leadership.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH;
  const isr = new Set<number>(asked.newIsr);
  const valid = isr.size === asked.newIsr.length && isr.has(brokerId) && asked.newIsr.every((broker) => assignment.replicas.includes(broker));
  if (asked.leaderEpoch > leadership.leaderEpoch || leadership.leader !== brokerId || !valid) return ErrorCode.INVALID_REQUEST;
  if (sameIsr(asked.newIsr, leadership.isr)) return leadership;
  return { partition, leadership: { ...leadership, isr: asked.newIsr, zkVersion: asked.currentIsrVersion } };
}

function* write(state: ControllerState, writes: readonly StateWrite[], outcomes: Map<Partition, Outcome>): Step<void> {
  const { written, failed, retry } = yield* writePartitionStates(state, writes);
  for (const { partition, leadership } of written) {
    partition.leadership = leadership;
    outcomes.set(partition, leadership);
  }
  if (written.length > 0) state.log("info", "ISRs altered", { partitions: written.map(({ partition, leadership }) => `${nameOf(partition)}: ${leadership.isr.join(", ")}`) });
  for (const { partition, error } of failed) fail(state, partition, error, outcomes);
  const wanted = new Map(writes.map(({ partition, leadership }) => [partition, leadership]));
  const stored = yield* readPartitionStates(retry);
  for (const [index, partition] of retry.entries()) {
    const found = stored[index];
    if (found === undefined || found instanceof Error) {
      fail(state, partition, found ?? new Error("it has no state in ZooKeeper"), outcomes);
      continue;
    }
    const own = isOwn(state, found, wanted.get(partition));
    outcomes.set(partition, own ? found : ErrorCode.INVALID_UPDATE_VERSION);
    if (!own) state.log("warn", "an ISR change is refused: the leader's version of the state is not ZooKeeper's", { partition: nameOf(partition), version: wanted.get(partition)?.zkVersion, current: found.zkVersion });
    if (found.controllerEpoch <= state.context.epoch) partition.leadership = found;
  }
}

/** Whether it is what this controller has just asked ZooKeeper to write. */
function isOwn(state: ControllerState, found: LeaderAndIsr, wanted: LeaderAndIsr | undefined): boolean {
  return wanted !== undefined && found.controllerEpoch === state.context.epoch && found.leader === wanted.leader && found.leaderEpoch === wanted.leaderEpoch && sameIsr(found.isr, wanted.isr);
}

/** Final for the leader where the topic goes; else it asks again. */
function fail(state: ControllerState, partition: Partition, error: Error, outcomes: Map<Partition, Outcome>): void {
  const deleting = state.context.deletionQueued.has(partition.topic);
  state.log(deleting ? "info" : "error", "an ISR can't be written", { partition: nameOf(partition), error });
  outcomes.set(partition, deleting ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.UNKNOWN_SERVER_ERROR);
}

function outcomeOf(partition: Partition | undefined, outcomes: ReadonlyMap<Partition, Outcome>): Outcome {
  return (partition === undefined ? undefined : outcomes.get(partition)) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
}

function answered(partitionIndex: number, outcome: Outcome): Answered {
  if (typeof outcome === "number") return { partitionIndex, errorCode: outcome, isr: [] };
  return { partitionIndex, errorCode: ErrorCode.NONE, leaderId: outcome.leader, leaderEpoch: outcome.leaderEpoch, isr: outcome.isr as readonly BrokerId[], currentIsrVersion: outcome.zkVersion };
}

function sameIsr(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((broker) => b.includes(broker));
}
