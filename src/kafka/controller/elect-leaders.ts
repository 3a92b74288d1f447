import { must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { Step } from "../znodes/requests.ts";
import { noLeader, type Partition } from "./context.ts";
import type { ControllerEvent } from "./effects.ts";
import { changePartitionStates } from "./partition-states.ts";
import type { ControllerState } from "./state.ts";

export interface NamedPartition {
  readonly topic: string;
  readonly partition: number;
}

/** Who leads a partition now, where the election has changed that; else why not. */
export interface Elected extends NamedPartition {
  readonly outcome: { readonly kind: "leader"; readonly leader: number } | { readonly kind: "failed"; readonly errorCode: ErrorCode; readonly message: string | null };
}

/**
 * An administrator asks for elections (KIP-183, KIP-460): back to preferred leaders, or of whatever replica is there
 * for partitions without a live leader. Source: KafkaController.scala, processReplicaLeaderElection.
 */
export function* onElectLeaders(state: ControllerState, event: ControllerEvent & { kind: "electLeaders" }): Step<void> {
  const { context, effects } = state;
  const { partitions: asked, strategy, ticket } = event;
  const known = asked.map((named) => ({ named, partition: context.partition(named.topic, named.partition) }));
  const judged = known.map(({ named, partition }) => ({ named, partition, refusal: refusalOf(state, partition, strategy) }));
  const able = new Set(judged.flatMap(({ partition, refusal }) => (partition === undefined || refusal !== undefined ? [] : [partition])));
  const failures = yield* changePartitionStates(state, [...able], "online", strategy);
  const unavailable = strategy === "preferred" ? ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE : ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE;
  const elected = judged.map(({ named, partition, refusal }): Elected => {
    const failure = partition === undefined ? undefined : failures.get(partition);
    if (refusal !== undefined) return { ...named, outcome: { kind: "failed", ...refusal } };
    if (failure !== undefined) return { ...named, outcome: { kind: "failed", errorCode: unavailable, message: failure.message } };
    return { ...named, outcome: { kind: "leader", leader: must(partition?.leadership, "leadership").leader } };
  });
  effects.push({ kind: "answer", ticket, answer: { api: "electLeaders", elected } });
}

function refusalOf(state: ControllerState, partition: Partition | undefined, strategy: "preferred" | "unclean"): { errorCode: ErrorCode; message: string | null } | undefined {
  const { context } = state;
  if (partition === undefined) return { errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message: "there is no such partition" };
  if (context.deletionQueued.has(partition.topic)) return { errorCode: ErrorCode.INVALID_TOPIC_EXCEPTION, message: "the topic is being deleted" };
  const leader = partition.leadership?.leader;
  // Without a first leader it waits for a replica as it is.
  if (leader === undefined) return { errorCode: strategy === "preferred" ? ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE : ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE, message: "the partition has had no leader yet" };
  const isNeeded = strategy === "preferred" ? leader !== partition.assignment.replicas[0] : leader === noLeader || !context.isLive(leader);
  return isNeeded ? undefined : { errorCode: ErrorCode.ELECTION_NOT_NEEDED, message: null };
}
