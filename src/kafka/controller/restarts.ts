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
 * those that its followers have. So where a state is older than its leader's registration somebody in sync leads who has
 * stayed, or the same one in a new epoch. Apache's brokers are not back before their session has ended.
 */

/** What a partition's state has to become; undefined where it stands. `self`: the controller's broker, which lives for certain. */
export function afterRestarts(context: ControllerContext, partition: Partition, { leadership, mzxid }: DatedState, self: number): LeaderAndIsr | undefined {
  const isBack = (broker: number): boolean => (context.brokers.get(broker)?.epoch ?? 0) > mzxid;
  if (!isBack(leadership.leader)) return undefined;
  // A dead broker stays registered until its session is over: the ISR is left to those who come to know.
  const stayed = partition.assignment.replicas.filter((replica) => leadership.isr.includes(replica) && !isBack(replica) && context.isOnline(partition, replica));
  return nextLeadership(leadership, stayed.includes(self) ? self : (stayed[0] ?? leadership.leader), leadership.isr);
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
        const leadership = afterRestarts(context, partition, found, state.config.brokerId);
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

/** Nobody is told to lead it. */
function refuse(state: ControllerState, partition: Partition, error: Error): void {
  partition.leadership = undefined;
  state.log("error", "a partition's leader has restarted, and can't be replaced", { partition: nameOf(partition), error });
}
