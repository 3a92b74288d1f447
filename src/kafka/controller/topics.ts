import { must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { paths } from "../znodes/paths.ts";
import { ask, expectCode, getData, listChildren, setData, ZkCode, type Step } from "../znodes/requests.ts";
import { decodeTopic, encodeTopic, type TopicZnode } from "../znodes/topic.ts";
import { nameOf, replicasOfPartitions, type Partition } from "./context.ts";
import { changePartitionStates } from "./partition-states.ts";
import { changeReplicaStates } from "./replica-states.ts";
import type { ControllerState } from "./state.ts";
import { fencedWrites } from "./zookeeper.ts";

/** Topics come, go and grow by their znodes. Source: KafkaController.scala (processTopicChange, processPartitionModifications). */

/** The child change of /brokers/topics. */
export function* onTopicChange(state: ControllerState): Step<void> {
  const { context } = state;
  const names = yield* listChildren(paths.topics, true);
  const fresh = names.filter((topic) => !context.topics.has(topic));
  const existing = new Set(names);
  for (const topic of context.topics.keys()) if (!existing.has(topic)) context.removeTopic(topic);
  yield* createPartitions(state, yield* loadTopics(state, fresh));
}

/** The data change of /brokers/topics/T: more partitions, but for a topic that is being deleted. */
export function* onPartitionChange(state: ControllerState, topic: string): Step<void> {
  const { context } = state;
  const znode = (yield* readTopics(state, [topic])).get(topic);
  if (znode === undefined || !context.topics.has(topic)) return;
  const added = [...znode.partitions].filter(([index]) => context.partition(topic, index) === undefined);
  if (added.length === 0) return;
  if (context.deletionQueued.has(topic)) yield* restorePartitions(state, topic, znode);
  else yield* createPartitions(state, added.map(([index, assignment]) => context.addPartition(topic, index, assignment)));
}

/** Takes topics into the context, with their partitions; watches them. Those whose znode can't be read have no partitions. */
export function* loadTopics(state: ControllerState, topics: readonly string[]): Step<Partition[]> {
  const { context } = state;
  const partitions: Partition[] = [];
  for (const [topic, znode] of yield* readTopics(state, topics)) {
    context.topics.set(topic, new Map());
    for (const [index, assignment] of znode.partitions) partitions.push(context.addPartition(topic, index, assignment));
  }
  return partitions;
}

function* readTopics(state: ControllerState, topics: readonly string[]): Step<Map<string, TopicZnode>> {
  const reads = topics.map((topic) => getData(paths.topic(topic), true));
  const znodes = new Map<string, TopicZnode>();
  for (const [index, reply] of (yield* ask(reads)).entries()) {
    const topic = must(topics[index], "topic");
    if (expectCode(must(reads[index], "request"), reply, ZkCode.NO_NODE).code === ZkCode.NO_NODE) continue;
    try {
      znodes.set(topic, decodeTopic(topic, reply.data));
    } catch (thrown) {
      state.log("error", "topic without partitions: its znode can't be read", { topic, error: toError(thrown) });
      znodes.set(topic, { partitions: new Map(), rest: {} });
    }
  }
  return znodes;
}

/** New partitions get their first leaders, with LeaderAndIsr (isNew) to their replicas. */
function* createPartitions(state: ControllerState, partitions: readonly Partition[]): Step<void> {
  if (partitions.length === 0) return;
  state.log("info", "new partitions", { partitions: partitions.map(nameOf) });
  yield* changePartitionStates(state, partitions, "new");
  yield* changeReplicaStates(state, replicasOfPartitions(partitions), "new");
  yield* changePartitionStates(state, partitions, "online");
  yield* changeReplicaStates(state, replicasOfPartitions(partitions), "online");
}

/** Takes back partitions that were added to a topic while it is being deleted. */
function* restorePartitions(state: ControllerState, topic: string, znode: TopicZnode): Step<void> {
  state.log("warn", "no partitions are added to a topic that is being deleted", { topic });
  const made = new Set(yield* listChildren(paths.partitions(topic)));
  const kept = state.context.partitionsOf(topic).filter((partition) => made.has(String(partition.index)) && znode.partitions.has(partition.index));
  const write = setData(paths.topic(topic), encodeTopic({ partitions: new Map(kept.map((partition) => [partition.index, partition.assignment])), rest: znode.rest }));
  const [reply] = yield* fencedWrites(state, [write]);
  expectCode(write, must(reply, "reply"), ZkCode.NO_NODE);
}
