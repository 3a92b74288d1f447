import { must } from "../../lib/assert.ts";
import { decodeFeatureZnode, encodeFeatureZnode, type FeatureZnode } from "../znodes/cluster.ts";
import { paths } from "../znodes/paths.ts";
import { askOne, create, expectCode, getData, listChildren, setData, ZkCode, type Step } from "../znodes/requests.ts";
import { readBrokers } from "./brokers.ts";
import { nameOf, type Partition } from "./context.ts";
import { dropNotifications } from "./notifications.ts";
import { startPartitionStates } from "./partition-states.ts";
import { onPreferredElection } from "./preferred-election.ts";
import { startReplicaStates } from "./replica-states.ts";
import { afterRestarts, recognizeRestarts } from "./restarts.ts";
import type { ControllerState } from "./state.ts";
import { loadDeletions, resumeDeletions } from "./topic-deletion.ts";
import { loadTopics } from "./topics.ts";
import { readDatedStates } from "./zookeeper.ts";

const firstRebalanceMs = 5000;

/**
 * What a broker does on becoming the controller. Every read of something that changes leaves a watch, so that
 * nothing falls between. Source: KafkaController.scala, onControllerFailover.
 */
export function* failOver(state: ControllerState): Step<void> {
  const { context, batch, effects, config } = state;
  yield* enableFeatures(state);
  yield* dropNotifications(state);
  const restarted = yield* loadContext(state);
  yield* loadDeletions(state);
  yield* recognizeRestarts(state, restarted);
  // Brokers must know who is alive before they are told whom to follow.
  batch.addUpdateMetadata(context.brokers.keys(), []);
  batch.send();
  yield* startReplicaStates(state);
  yield* startPartitionStates(state);
  yield* resumeDeletions(state);
  yield* onPreferredElection(state);
  if (config.autoLeaderRebalanceEnable) effects.push({ kind: "startTimer", delayMs: firstRebalanceMs, event: { kind: "rebalance" } });
  state.log("info", "ready as the controller", { epoch: context.epoch, brokers: [...context.brokers.keys()], topics: context.topics.size });
}

/** Feature versions in use (KIP-584): none in a new cluster, since 2.7.1 supports none. Source: KafkaController.enableFeatureVersioning. */
function* enableFeatures(state: ControllerState): Step<void> {
  const request = getData(paths.feature);
  const found = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  let znode: FeatureZnode = { enabled: true, features: new Map() };
  if (found.code === ZkCode.NO_NODE) {
    const first = create(paths.feature, encodeFeatureZnode(znode));
    expectCode(first, yield* askOne(first), ZkCode.NODE_EXISTS);
  } else {
    const before = decodeFeatureZnode(found.data);
    if (before.enabled) znode = before;
    else {
      const change = setData(paths.feature, encodeFeatureZnode(znode));
      expectCode(change, yield* askOne(change));
    }
  }
  state.context.finalizedFeatures = znode.features;
}

/** Returns the partitions whose leader has registered anew since. */
function* loadContext(state: ControllerState): Step<Partition[]> {
  const { context, effects, config } = state;
  for (const broker of (yield* readBrokers(state)).values()) {
    context.brokers.set(broker.id, broker);
    effects.push({ kind: "connect", broker });
  }
  const partitions = yield* loadTopics(state, yield* listChildren(paths.topics, true));
  const restarted: Partition[] = [];
  for (const [index, stored] of (yield* readDatedStates(partitions)).entries()) {
    const partition = must(partitions[index], "partition");
    if (stored instanceof Error) state.log("error", "a partition's state can't be read", { partition: nameOf(partition), error: stored });
    else if (stored !== undefined) {
      partition.leadership = stored.leadership;
      if (afterRestarts(context, partition, stored, config.brokerId) !== undefined) restarted.push(partition);
    }
  }
  return restarted;
}
