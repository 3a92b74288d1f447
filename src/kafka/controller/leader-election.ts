import { targetReplicas, type LeaderAndIsr } from "../znodes/topic.ts";
import type { ControllerContext, Partition } from "./context.ts";

/**
 * - offline: the leader is gone, or the partition had none; a replica out of sync only where `uncleanAllowed`.
 * - unclean: the same, with whatever replica is left, as an administrator asks.
 * - preferred: back to the first replica of the assignment.
 * - reassign: to a replica that stays.
 * - controlledShutdown: away from brokers that are shutting down.
 */
export type ElectionStrategy = "offline" | "unclean" | "preferred" | "reassign" | "controlledShutdown";

export interface ElectionOutcome {
  /** Undefined: no replica can lead. */
  readonly leadership: LeaderAndIsr | undefined;
  /** Who is told. */
  readonly recipients: readonly number[];
}

/** Each change of leader or ISR is one leader epoch on. */
export function nextLeadership(current: LeaderAndIsr, leader: number, isr: readonly number[]): LeaderAndIsr {
  return { ...current, leader, leaderEpoch: current.leaderEpoch + 1, isr };
}

type Election = (context: ControllerContext, partition: Partition, current: LeaderAndIsr, uncleanAllowed: boolean) => ElectionOutcome;

function electOffline(context: ControllerContext, partition: Partition, current: LeaderAndIsr, uncleanAllowed: boolean): ElectionOutcome {
  const online = partition.assignment.replicas.filter((replica) => context.isOnline(partition, replica));
  const inSync = online.find((replica) => current.isr.includes(replica));
  if (inSync !== undefined) {
    const isr = current.isr.filter((replica) => context.isOnline(partition, replica));
    return { leadership: nextLeadership(current, inSync, isr), recipients: online };
  }
  const unclean = uncleanAllowed && !current.isr.some((replica) => context.isOnline(partition, replica)) ? online[0] : undefined;
  return { leadership: unclean === undefined ? undefined : nextLeadership(current, unclean, [unclean]), recipients: online };
}

/** Source: PartitionStateMachine.scala (PartitionLeaderElectionAlgorithms), Election.scala. */
export const elections: Readonly<Record<ElectionStrategy, Election>> = {
  offline: electOffline,
  unclean: (context, partition, current) => electOffline(context, partition, current, true),
  preferred: (context, partition, current) => {
    const preferred = partition.assignment.replicas[0];
    const able = preferred !== undefined && context.isOnline(partition, preferred) && current.isr.includes(preferred);
    return { leadership: able ? nextLeadership(current, preferred, current.isr) : undefined, recipients: partition.assignment.replicas };
  },
  reassign: (context, partition, current) => {
    const targets = targetReplicas(partition.assignment);
    const leader = targets.find((replica) => context.isOnline(partition, replica) && current.isr.includes(replica));
    return { leadership: leader === undefined ? undefined : nextLeadership(current, leader, current.isr), recipients: targets };
  },
  controlledShutdown: (context, partition, current) => {
    const online = partition.assignment.replicas.filter((replica) => context.isOnline(partition, replica, true));
    const leader = online.find((replica) => current.isr.includes(replica) && !context.shuttingDown.has(replica));
    const isr = current.isr.filter((replica) => !context.shuttingDown.has(replica));
    return { leadership: leader === undefined ? undefined : nextLeadership(current, leader, isr), recipients: online };
  },
};
