import { ErrorCode } from "../protocol/error-codes.ts";
import type { Step } from "../znodes/requests.ts";
import type { Partition } from "./context.ts";
import type { ControllerEvent } from "./effects.ts";
import { changePartitionStates } from "./partition-states.ts";
import { changeReplicaStates } from "./replica-states.ts";
import type { ControllerState } from "./state.ts";

/**
 * A broker is about to stop: others lead what it leads, and it leaves the ISRs. The answer holds what it leads all the
 * same, for want of another replica in sync; it may ask again. Partitions that nobody else has are left as they are.
 *
 * From then on the broker is not elected and joins no ISR of a new partition, but stays in UpdateMetadata until its
 * registration goes. Source: KafkaController.scala, doControlledShutdown.
 */
export function* onControlledShutdown(state: ControllerState, event: ControllerEvent & { kind: "controlledShutdown" }): Step<void> {
  const { context, batch, effects } = state;
  const { brokerId, brokerEpoch, ticket } = event;
  const answer = (errorCode: ErrorCode, remaining: readonly Partition[] = []): void => {
    const remainingPartitions = remaining.map(({ topic, index }) => ({ topicName: topic, partitionIndex: index }));
    effects.push({ kind: "answer", ticket, answer: { api: "controlledShutdown", response: { errorCode, remainingPartitions } } });
  };
  const broker = context.brokers.get(brokerId);
  if (broker === undefined) return answer(ErrorCode.BROKER_NOT_AVAILABLE);
  if (brokerEpoch !== -1 && brokerEpoch < broker.epoch) return answer(ErrorCode.STALE_BROKER_EPOCH);
  context.shuttingDown.add(brokerId);
  const replicated = context.partitionsWhere(
    ({ topic, assignment, leadership }) => assignment.replicas.includes(brokerId) && assignment.replicas.length > 1 && leadership !== undefined && !context.deletionQueued.has(topic),
  );
  const isLed = ({ leadership }: Partition): boolean => leadership?.leader === brokerId;
  const [led, followed] = [replicated.filter(isLed), replicated.filter((partition) => !isLed(partition))];
  yield* changePartitionStates(state, led, "online", "controlledShutdown");
  for (const partition of followed) batch.addStopReplica(brokerId, partition, false);
  batch.send();
  yield* changeReplicaStates(state, followed.map((partition) => ({ partition, broker: brokerId })), "offline");
  const remaining = replicated.filter(isLed);
  state.log("info", "broker shuts down", { broker: brokerId, led: led.length, followed: followed.length, remaining: remaining.length });
  answer(ErrorCode.NONE, remaining);
}
