import { must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { decodeBrokerRegistration, type BrokerRegistration } from "../znodes/broker.ts";
import { brokerOfPath, paths } from "../znodes/paths.ts";
import { ask, expectCode, getData, listChildren, ZkCode, type Step } from "../znodes/requests.ts";
import type { LiveBroker, Replica } from "./context.ts";
import type { ControlExchange } from "./effects.ts";
import { bringPartitionsOnline, changePartitionStates } from "./partition-states.ts";
import { changeReplicaStates } from "./replica-states.ts";
import type { ControllerState } from "./state.ts";
import { failReplicaDeletion, retryDeletions } from "./topic-deletion.ts";
import { ErrorCode } from "../protocol/error-codes.ts";

/** Brokers come, go and come back by their registrations. Source: KafkaController.scala (processBrokerChange and what it calls). */

/** The child change of /brokers/ids. A broker whose epoch has grown has bounced: it failed, then started. */
export function* onBrokerChange(state: ControllerState): Step<void> {
  const { context, effects } = state;
  const current = yield* readBrokers(state);
  const started = [...current.values()].filter((broker) => !context.brokers.has(broker.id));
  const bounced = [...current.values()].filter((broker) => broker.epoch > (context.brokers.get(broker.id)?.epoch ?? broker.epoch));
  const dead = [...context.brokers.keys()].filter((id) => !current.has(id)).toSorted((a, b) => a - b);
  if (started.length + bounced.length + dead.length > 0) {
    state.log("info", "brokers changed", { started: started.map(idOf), bounced: bounced.map(idOf), dead, live: [...current.keys()] });
  }
  // What is sent to a bounced broker before it is started anew carries its old epoch: better lost than refused.
  for (const brokerId of [...bounced.map(idOf), ...dead]) effects.push({ kind: "disconnect", brokerId });
  yield* startBrokers(state, started);
  yield* failBrokers(state, bounced.map(idOf));
  yield* startBrokers(state, bounced);
  yield* failBrokers(state, dead);
}

/** The data change of /brokers/ids/N: other endpoints or features. */
export function* onBrokerModification(state: ControllerState, brokerId: number): Step<void> {
  const { context, batch } = state;
  const known = context.brokers.get(brokerId);
  const request = getData(paths.broker(brokerId), true);
  const [reply] = yield* ask([request]);
  if (known === undefined || expectCode(request, must(reply, "reply"), ZkCode.NO_NODE).code === ZkCode.NO_NODE) return;
  const registration = decode(state, brokerId, reply?.data ?? null);
  if (registration === undefined || (sameEndpoints(registration, known) && sameFeatures(registration, known))) return;
  context.brokers.set(brokerId, { ...registration, epoch: known.epoch });
  batch.addUpdateMetadata(context.brokers.keys(), []);
  batch.send();
}

/** Registered brokers in ascending order, without those that lack a finalized feature; watches all of them. */
export function* readBrokers(state: ControllerState): Step<Map<number, LiveBroker>> {
  const names = yield* listChildren(paths.brokerIds, true);
  const ids = names.flatMap((name) => brokerOfPath(`${paths.brokerIds}/${name}`) ?? []).toSorted((a, b) => a - b);
  const reads = ids.map((id) => getData(paths.broker(id), true));
  const brokers = new Map<number, LiveBroker>();
  for (const [index, reply] of (yield* ask(reads)).entries()) {
    const id = must(ids[index], "broker id");
    if (expectCode(must(reads[index], "request"), reply, ZkCode.NO_NODE).code === ZkCode.NO_NODE) continue;
    const registration = decode(state, id, reply.data);
    if (registration === undefined) continue;
    if (hasFinalizedFeatures(state, registration)) brokers.set(id, { ...registration, epoch: must(reply.stat, "stat of a broker").czxid });
    else state.log("warn", "a broker is left out: it lacks a finalized feature", { broker: id });
  }
  return brokers;
}

/** Replicas that can't serve any more: other leaders are elected, and the ISRs shrink. */
export function* takeReplicasOffline(state: ControllerState, replicas: readonly Replica[]): Step<void> {
  const { context, batch } = state;
  const leaderless = context.partitionsWhere(
    (partition) => partition.leadership !== undefined && !context.isOnline(partition, partition.leadership.leader) && !context.deletionQueued.has(partition.topic),
  );
  yield* changePartitionStates(state, leaderless, "offline");
  yield* bringPartitionsOnline(state);
  yield* changeReplicaStates(state, replicas.filter(({ partition }) => !context.deletionQueued.has(partition.topic)), "offline");
  yield* failReplicaDeletion(state, replicas);
  if (leaderless.length > 0) return;
  batch.addUpdateMetadata(context.brokers.keys(), []);
  batch.send();
}

/** An answer to LeaderAndIsr tells which replicas lie in a log directory that has failed. */
export function* onLeaderAndIsrResponse(state: ControllerState, broker: number, exchange: ControlExchange & { api: "leaderAndIsr" }): Step<void> {
  const { response } = exchange;
  if (response.errorCode !== ErrorCode.NONE) {
    state.log("error", "a broker refused LeaderAndIsr", { broker, errorCode: response.errorCode });
    return;
  }
  const failed: Replica[] = [];
  for (const { topicName, partitionIndex, errorCode } of response.partitionErrors) {
    const partition = state.context.partition(topicName, partitionIndex);
    if (partition === undefined) continue;
    if (errorCode === ErrorCode.NONE) partition.offlineDirs.delete(broker);
    else if (errorCode === ErrorCode.KAFKA_STORAGE_ERROR && !partition.offlineDirs.has(broker)) {
      partition.offlineDirs.add(broker);
      failed.push({ partition, broker });
    }
  }
  if (failed.length > 0) yield* takeReplicasOffline(state, failed);
}

/** Old brokers hear of the new ones, the new ones of everything; then their replicas go online and leaders are sought. */
function* startBrokers(state: ControllerState, started: readonly LiveBroker[]): Step<void> {
  if (started.length === 0) return;
  const { context, batch, effects } = state;
  const ids = new Set(started.map(idOf));
  const others = [...context.brokers.keys()].filter((id) => !ids.has(id));
  for (const broker of started) {
    context.brokers.set(broker.id, broker);
    effects.push({ kind: "connect", broker });
  }
  forgetOfflineDirs(state, ids);
  batch.addUpdateMetadata(others, []);
  batch.send();
  batch.addUpdateMetadata(ids, context.partitionsWhere((partition) => partition.leadership !== undefined && !context.deletionQueued.has(partition.topic)));
  batch.send();
  const replicas = context.replicasOn(ids);
  yield* changeReplicaStates(state, replicas, "online");
  yield* bringPartitionsOnline(state);
  yield* retryDeletions(state, new Set(replicas.map(({ partition }) => partition.topic)));
}

function* failBrokers(state: ControllerState, failed: readonly number[]): Step<void> {
  if (failed.length === 0) return;
  const ids = new Set(failed);
  for (const id of ids) {
    state.context.brokers.delete(id);
    state.context.shuttingDown.delete(id);
  }
  forgetOfflineDirs(state, ids);
  yield* takeReplicasOffline(state, state.context.replicasOn(ids));
}

function forgetOfflineDirs(state: ControllerState, brokers: ReadonlySet<number>): void {
  for (const partition of state.context.partitions()) for (const broker of brokers) partition.offlineDirs.delete(broker);
}

function decode(state: ControllerState, id: number, data: Buffer | null): BrokerRegistration | undefined {
  try {
    return decodeBrokerRegistration(id, data);
  } catch (thrown) {
    state.log("error", "a broker is left out: its registration can't be read", { broker: id, error: toError(thrown) });
    return undefined;
  }
}

function hasFinalizedFeatures(state: ControllerState, broker: BrokerRegistration): boolean {
  return [...state.context.finalizedFeatures].every(([name, finalized]) => {
    const supported = broker.features.get(name);
    return supported !== undefined && supported.min <= finalized.min && finalized.max <= supported.max;
  });
}

function sameEndpoints(a: BrokerRegistration, b: BrokerRegistration): boolean {
  return JSON.stringify(a.endpoints) === JSON.stringify(b.endpoints);
}

function sameFeatures(a: BrokerRegistration, b: BrokerRegistration): boolean {
  return JSON.stringify([...a.features]) === JSON.stringify([...b.features]);
}

function idOf(broker: LiveBroker): number {
  return broker.id;
}
