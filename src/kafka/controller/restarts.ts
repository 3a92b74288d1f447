import { must } from "../../lib/assert.ts";
import type { Step } from "../znodes/requests.ts";
import type { LeaderAndIsr } from "../znodes/topic.ts";
import { nameOf, type ControllerContext, type Partition } from "./context.ts";
import { nextLeadership } from "./leader-election.ts";
import { writtenByNewer } from "./partition-states.ts";
import type { ControllerState } from "./state.ts";
import { readDatedStates, writePartitionStates, type DatedState, type StateWrite } from "./zookeeper.ts";

/**
 * Restarts that no controller has seen. A broker of ours that is started again at once replaces the registration of its
 * dead session, and where that was the controller's session too, the next controller finds everybody registered. What
 * the broker had not flushed may be gone, though: in the same leader epoch it would append other records in the place of
 * those that its followers have. So a state that is older than a registration is taken as it would have become had the
 * broker been seen to go. Apache's brokers are not back before their session has ended.
 */

/** What a partition's state has to become; undefined where it stands. */
export function afterRestarts(context: ControllerContext, partition: Partition, { leadership, mzxid }: DatedState): LeaderAndIsr | undefined {
  const isBack = (broker: number): boolean => (context.brokers.get(broker)?.epoch ?? 0) > mzxid;
  const isr = leadership.isr.filter((replica) => !isBack(replica));
  if (isr.length === leadership.isr.length) return undefined;
  const [stayed] = partition.assignment.replicas.filter((replica) => isr.includes(replica) && context.isOnline(partition, replica));
  if (stayed !== undefined) return nextLeadership(leadership, isBack(leadership.leader) ? stayed : leadership.leader, isr);
  // Nobody in sync has stayed: whoever leads again does so in an epoch of its own.
  return isBack(leadership.leader) ? nextLeadership(leadership, leadership.leader, leadership.isr) : undefined;
}

/** Before any broker is told who leads. */
export function* recognizeRestarts(state: ControllerState, partitions: readonly Partition[]): Step<void> {
  const { context } = state;
  let remaining = partitions.filter(({ topic }) => !context.deletionQueued.has(topic));
  while (remaining.length > 0) {
    const stored = yield* readDatedStates(remaining);
    const writes: StateWrite[] = [];
    for (const [index, partition] of remaining.entries()) {
      const found = stored[index];
      if (found === undefined) continue;
      if (found instanceof Error) refuse(state, partition, found);
      else if (found.leadership.controllerEpoch > context.epoch) refuse(state, partition, writtenByNewer(state, found.leadership));
      else {
        const leadership = afterRestarts(context, partition, found);
        if (leadership === undefined) partition.leadership = found.leadership;
        else writes.push({ partition, leadership });
      }
    }
    const { written, failed, retry } = yield* writePartitionStates(state, writes);
    for (const { partition, leadership } of written) {
      state.log("info", "brokers are back that nobody has seen go", { partition: nameOf(partition), from: must(partition.leadership, "leadership"), to: leadership });
      partition.leadership = leadership;
    }
    for (const { partition, error } of failed) refuse(state, partition, error);
    remaining = [...retry];
  }
}

function refuse(state: ControllerState, partition: Partition, error: Error): void {
  state.log("error", "a partition's leader has restarted, and can't be replaced", { partition: nameOf(partition), error });
}
