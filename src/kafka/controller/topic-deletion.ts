import { ErrorCode } from "../protocol/error-codes.ts";
import { paths } from "../znodes/paths.ts";
import { listChildren, type Step } from "../znodes/requests.ts";
import { isBeingReassigned } from "../znodes/topic.ts";
import { replicaState, type Replica, type ReplicaState } from "./context.ts";
import type { ControlExchange } from "./effects.ts";
import { changePartitionStates } from "./partition-states.ts";
import { changeReplicaStates } from "./replica-states.ts";
import type { ControllerState } from "./state.ts";
import { fencedRemove, fencedRemoveTree } from "./zookeeper.ts";

/**
 * Topic deletion: /admin/delete_topics/T queues a topic; all its replicas stop, then delete their logs; when every
 * one has, the topic's znodes go. A topic with a replica that is offline, fails to delete, or is being reassigned
 * is ineligible: it stays queued, hidden from clients, until a broker starts or the reassignment ends.
 * Source: TopicDeletionManager.scala.
 */

/** The child change of /admin/delete_topics. */
export function* onTopicDeletion(state: ControllerState): Step<void> {
  const { context, config } = state;
  const asked = yield* listChildren(paths.deleteTopics, true);
  const known = asked.filter((topic) => context.topics.has(topic));
  const refused = config.deleteTopicEnable ? asked.filter((topic) => !context.topics.has(topic)) : asked;
  yield* refuse(state, refused);
  if (!config.deleteTopicEnable || known.length === 0) return;
  for (const topic of known) {
    context.deletionQueued.add(topic);
    if (context.partitionsOf(topic).some((partition) => isBeingReassigned(partition.assignment))) context.deletionIneligible.add(topic);
  }
  yield* resumeDeletions(state);
}

/** At failover, once the context is loaded and before any broker hears of it. */
export function* loadDeletions(state: ControllerState): Step<void> {
  const { context, config } = state;
  const asked = yield* listChildren(paths.deleteTopics, true);
  if (!config.deleteTopicEnable) {
    yield* refuse(state, asked);
    return;
  }
  for (const topic of asked) {
    context.deletionQueued.add(topic);
    const waits = context
      .partitionsOf(topic)
      .some((partition) => isBeingReassigned(partition.assignment) || partition.assignment.replicas.some((replica) => !context.isOnline(partition, replica)));
    if (waits) context.deletionIneligible.add(topic);
  }
}

function* refuse(state: ControllerState, topics: readonly string[]): Step<void> {
  if (topics.length === 0) return;
  const why = state.config.deleteTopicEnable ? "they do not exist" : "delete.topic.enable is false";
  state.log("warn", `topics are not deleted: ${why}`, { topics });
  yield* fencedRemove(state, topics.map((topic) => paths.deleteTopic(topic)));
}

/** What kept these topics waiting may be over: a broker has started, or a reassignment has ended. */
export function* retryDeletions(state: ControllerState, topics: ReadonlySet<string>): Step<void> {
  const queued = [...topics].filter((topic) => state.context.deletionQueued.has(topic));
  if (queued.length === 0) return;
  for (const topic of queued) state.context.deletionIneligible.delete(topic);
  yield* resumeDeletions(state);
}

/** These replicas, of queued topics, can't delete their logs now. */
export function* failReplicaDeletion(state: ControllerState, replicas: readonly Replica[]): Step<void> {
  const failed = replicas.filter(({ partition }) => state.context.deletionQueued.has(partition.topic));
  if (failed.length === 0) return;
  yield* changeReplicaStates(state, failed.filter((replica) => isIn(replica, "offline", "deletionStarted")), "deletionIneligible");
  const topics = new Set(failed.map(({ partition }) => partition.topic));
  for (const topic of topics) state.context.deletionIneligible.add(topic);
  state.log("info", "topic deletion waits: a replica is offline or could not delete its log", { topics: [...topics] });
  yield* resumeDeletions(state);
}

/** A broker's answer to StopReplica, for the replicas that it was to delete. */
export function* onStopReplicaResponse(state: ControllerState, broker: number, exchange: ControlExchange & { api: "stopReplica" }): Step<void> {
  const { context } = state;
  const { body, response } = exchange;
  const errors = new Map(response.partitionErrors.map((error) => [`${error.topicName}-${error.partitionIndex}`, error.errorCode]));
  const failed: Replica[] = [];
  const deleted: Replica[] = [];
  for (const { topicName, partitionStates } of body.topicStates) {
    if (!context.deletionStarted.has(topicName)) continue;
    for (const { partitionIndex, deletePartition } of partitionStates) {
      const partition = context.partition(topicName, partitionIndex);
      if (!deletePartition || partition === undefined) continue;
      const ok = response.errorCode === ErrorCode.NONE && errors.get(`${topicName}-${partitionIndex}`) === ErrorCode.NONE;
      (ok ? deleted : failed).push({ partition, broker });
    }
  }
  if (failed.length > 0) yield* failReplicaDeletion(state, failed);
  if (deleted.length > 0) {
    yield* changeReplicaStates(state, deleted, "deletionSuccessful");
    yield* resumeDeletions(state);
  }
}

/** Does for each queued topic what can be done now. */
export function* resumeDeletions(state: ControllerState): Step<void> {
  const { context } = state;
  const retry: Replica[] = [];
  const eligible: string[] = [];
  for (const topic of context.deletionQueued) {
    const replicas = context.replicasOf(topic);
    if (replicas.every((replica) => isIn(replica, "deletionSuccessful"))) {
      yield* complete(state, topic, replicas);
      continue;
    }
    if (replicas.some((replica) => isIn(replica, "deletionStarted"))) continue;
    retry.push(...replicas.filter((replica) => isIn(replica, "deletionIneligible")));
    if (!context.deletionIneligible.has(topic)) eligible.push(topic);
  }
  yield* changeReplicaStates(state, retry, "offline");
  if (eligible.length > 0) yield* begin(state, eligible);
}

function* complete(state: ControllerState, topic: string, replicas: readonly Replica[]): Step<void> {
  yield* changeReplicaStates(state, replicas, "nonExistent");
  yield* fencedRemoveTree(state, paths.topic(topic));
  yield* fencedRemove(state, [paths.config("topics", topic), paths.deleteTopic(topic)]);
  state.context.removeTopic(topic);
  state.log("info", "topic deleted", { topic });
}

function* begin(state: ControllerState, topics: readonly string[]): Step<void> {
  const { context, batch } = state;
  state.log("info", "topic deletion starts", { topics });
  const unseen = topics.filter((topic) => !context.deletionStarted.has(topic));
  const partitions = unseen.flatMap((topic) => context.partitionsOf(topic));
  yield* changePartitionStates(state, partitions, "offline");
  yield* changePartitionStates(state, partitions, "nonExistent");
  for (const topic of unseen) context.deletionStarted.add(topic);
  batch.addUpdateMetadata(context.brokers.keys(), topics.flatMap((topic) => context.partitionsOf(topic)));
  batch.send();
  const dead: Replica[] = [];
  const alive: Replica[] = [];
  for (const replica of topics.flatMap((topic) => context.replicasOf(topic))) {
    if (!context.isOnline(replica.partition, replica.broker)) {
      dead.push(replica);
      context.deletionIneligible.add(replica.partition.topic);
    } else if (!isIn(replica, "deletionSuccessful")) alive.push(replica);
  }
  yield* changeReplicaStates(state, dead.filter((replica) => isIn(replica, "offline")), "deletionIneligible");
  yield* changeReplicaStates(state, alive, "offline");
  yield* changeReplicaStates(state, alive, "deletionStarted");
}

function isIn(replica: Replica, ...states: readonly ReplicaState[]): boolean {
  return states.includes(replicaState(replica));
}
