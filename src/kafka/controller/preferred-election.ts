import { must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { decodePreferredElection, type TopicPartition } from "../znodes/notifications.ts";
import { paths } from "../znodes/paths.ts";
import { ask, exists, expectCode, getData, ZkCode, type Step } from "../znodes/requests.ts";
import { isBeingReassigned } from "../znodes/topic.ts";
import type { ControllerContext, Partition } from "./context.ts";
import { elections } from "./leader-election.ts";
import { changePartitionStates } from "./partition-states.ts";
import type { ControllerState } from "./state.ts";
import { fencedRemove } from "./zookeeper.ts";

/** Leaders go back to the first replicas of their partitions. Source: KafkaController.scala (processReplicaLeaderElection, checkAndTriggerAutoLeaderRebalance). */

/** The creation of /admin/preferred_replica_election. Watches it. */
export function* onPreferredElection(state: ControllerState): Step<void> {
  const requests = [exists(paths.preferredElection, true), getData(paths.preferredElection)];
  const [found, data] = yield* ask(requests);
  if (expectCode(must(requests[0], "request"), must(found, "reply"), ZkCode.NO_NODE).code === ZkCode.NO_NODE) return;
  if (expectCode(must(requests[1], "request"), must(data, "reply"), ZkCode.NO_NODE).code === ZkCode.NO_NODE) return;
  let asked: TopicPartition[] = [];
  try {
    asked = decodePreferredElection(data?.data ?? null);
  } catch (thrown) {
    state.log("error", "a preferred election can't be read and is removed", { error: toError(thrown) });
  }
  const { context } = state;
  const partitions = asked.flatMap(({ topic, partition: index }) => {
    const partition = context.partition(topic, index);
    const able = partition?.leadership !== undefined && !context.deletionQueued.has(topic);
    return able && partition.leadership?.leader !== partition.assignment.replicas[0] ? [partition] : [];
  });
  yield* changePartitionStates(state, [...new Set(partitions)], "online", "preferred");
  yield* fencedRemove(state, [paths.preferredElection]);
  // The next one may have been made before a watch stood.
  state.effects.push({ kind: "enqueue", event: { kind: "preferredElection" } });
}

/** Every leader.imbalance.check.interval.seconds, where auto.leader.rebalance.enable. */
export function* onRebalance(state: ControllerState): Step<void> {
  const { config, context, effects } = state;
  effects.push({ kind: "startTimer", delayMs: config.leaderImbalanceCheckIntervalMs, event: { kind: "rebalance" } });
  const partitions = rebalanceCandidates(context, config.leaderImbalancePerBrokerPercentage);
  if (partitions.length > 0) state.log("info", "leaders go back to their preferred replicas", { partitions: partitions.length });
  yield* changePartitionStates(state, partitions, "online", "preferred");
}

/**
 * Of each broker that does not lead more than `percentage` of the partitions that prefer it, those that it could
 * lead. None while any partition is being reassigned.
 */
export function rebalanceCandidates(context: ControllerContext, percentage: number): Partition[] {
  const byPreferred = new Map<number, Partition[]>();
  for (const partition of context.partitions()) {
    if (isBeingReassigned(partition.assignment)) return [];
    const preferred = partition.assignment.replicas[0];
    if (preferred === undefined || context.deletionQueued.has(partition.topic)) continue;
    const partitions = byPreferred.get(preferred) ?? [];
    byPreferred.set(preferred, partitions);
    partitions.push(partition);
  }
  const candidates: Partition[] = [];
  for (const [broker, partitions] of byPreferred) {
    const elsewhere = partitions.filter(({ leadership }) => leadership !== undefined && leadership.leader !== broker);
    if (elsewhere.length / partitions.length <= percentage / 100) continue;
    candidates.push(...elsewhere.filter((partition) => elections.preferred(context, partition, must(partition.leadership, "leadership"), false).leadership !== undefined));
  }
  return candidates;
}
