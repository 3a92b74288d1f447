import { expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { createPartitions } from "../protocol/messages/create-partitions.ts";
import { createTopics } from "../protocol/messages/create-topics.ts";
import { deleteTopics } from "../protocol/messages/delete-topics.ts";
import { describeConfigs } from "../protocol/messages/describe-configs.ts";
import { incrementalAlterConfigs } from "../protocol/messages/incremental-alter-configs.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { listPartitionReassignments } from "../protocol/messages/list-partition-reassignments.ts";
import { ClusterAdmin, outcomeText } from "./cluster-admin.ts";
import { ScriptedCluster, topicLedBy } from "../../../test/support/scripted-cluster.ts";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";

async function stage(brokers = 3) {
  const cluster = await ScriptedCluster.start(brokers);
  const client = cluster.client({ retryTimeoutMs: 2000 });
  return { cluster, client, admin: new ClusterAdmin(client) };
}

const codeOf = (promise: Promise<unknown>): Promise<string | undefined> => promise.then(() => undefined, errorCode);

test("topics come by name, partitions by number, with what is being moved; internal ones where they are asked for", async () => {
  const { cluster, admin } = await stage();
  cluster.topics = [topicLedBy("b", [1, -1]), { ...topicLedBy("__consumer_offsets", [2]), isInternal: true }, topicLedBy("a", [3])];
  cluster.every(listPartitionReassignments, () => ({ throttleTimeMs: 0, errorCode: 0, errorMessage: null, topics: [{ name: "b", partitions: [{ partitionIndex: 1, replicas: [1, 2, 3], addingReplicas: [3], removingReplicas: [1] }] }] }) as never);
  const told = await cluster.world.settle(admin.topics({ internal: false }));
  expect(told.map(({ name, partitions }) => [name, partitions.map(({ index, leader, adding, removing }) => [index, leader, adding, removing])])).toEqual([["a", [[0, 3, [], []]]], ["b", [[0, 1, [], []], [1, -1, [3], [1]]]]]);
  expect((await cluster.world.settle(admin.topics({ internal: true }))).map(({ name, internal }) => [name, internal])).toEqual([["__consumer_offsets", true], ["a", false], ["b", false]]);
});

test("a cluster that does not tell of reassignments, or may not, has none; a controller that is none any more is looked for", async () => {
  const { cluster, admin } = await stage();
  cluster.topics = [topicLedBy("a", [3])];
  const refuse = (code: number) => ({ throttleTimeMs: 0, errorCode: code, errorMessage: null, topics: [] });
  cluster.every(listPartitionReassignments, () => refuse(ErrorCode.CLUSTER_AUTHORIZATION_FAILED));
  expect(await cluster.world.settle(admin.topics({ internal: false }))).toHaveLength(1);
  cluster.on(1, listPartitionReassignments, () => {
    cluster.controllerId = 2;
    return refuse(ErrorCode.NOT_CONTROLLER);
  });
  cluster.on(2, listPartitionReassignments, () => refuse(0));
  cluster.takeAsked();
  await cluster.world.settle(admin.topics({ internal: false }));
  expect([...new Set(cluster.takeAsked())]).toEqual(["1: ListPartitionReassignments 0", "2: ListPartitionReassignments 0"]);
  cluster.on(2, listPartitionReassignments, () => refuse(ErrorCode.UNKNOWN_SERVER_ERROR));
  expect(await cluster.world.settle(codeOf(admin.topics({ internal: false })))).toBe("UNKNOWN_SERVER_ERROR");
  cluster.serve(listPartitionReassignments, 1, 0);
  expect(await cluster.world.settle(new ClusterAdmin(cluster.client()).topics({ internal: false }))).toHaveLength(1);
});

test("a topic is made by the controller, with the broker's defaults for what is not said, or as it is assigned", async () => {
  const { cluster, admin } = await stage();
  cluster.controllerId = 2;
  const asked: unknown[] = [];
  cluster.on(2, createTopics, ({ topics: [topic], validateOnly }) => {
    asked.push([topic?.numPartitions, topic?.replicationFactor, topic?.assignments, topic?.configs, validateOnly]);
    return { topics: [{ name: topic?.name ?? "", errorCode: topic?.name === "bad" ? ErrorCode.INVALID_CONFIG : 0, errorMessage: topic?.name === "bad" ? "no such key" : null }] };
  });
  expect(await cluster.world.settle(admin.createTopic({ name: "t" }))).toEqual({ code: 0, message: null });
  await cluster.world.settle(admin.createTopic({ name: "t", partitions: 3, replicationFactor: 2, configs: new Map([["a", "b"]]) }, { validateOnly: true }));
  await cluster.world.settle(admin.createTopic({ name: "t", assignment: [[1, 2], [2, 1]] }));
  expect(asked).toEqual([
    [-1, -1, [], [], false],
    [3, 2, [], [{ name: "a", value: "b" }], true],
    [-1, -1, [{ partitionIndex: 0, brokerIds: [1, 2] }, { partitionIndex: 1, brokerIds: [2, 1] }], [], false],
  ]);
  const bad = await cluster.world.settle(admin.createTopic({ name: "bad" }));
  expect([bad, outcomeText(bad), outcomeText({ code: 36, message: null })]).toEqual([{ code: ErrorCode.INVALID_CONFIG, message: "no such key" }, "no such key", "TOPIC_ALREADY_EXISTS"]);
  // Before version 4, -1 is no number of partitions.
  cluster.serve(createTopics, 0, 3);
  const old = new ClusterAdmin(cluster.client());
  expect(await cluster.world.settle(codeOf(old.createTopic({ name: "t", partitions: 1 })))).toBe("ERR_UNSUPPORTED_VERSION");
  expect(await cluster.world.settle(old.createTopic({ name: "t", partitions: 1, replicationFactor: 1 }))).toMatchObject({ code: 0 });
});

test("changes follow the controller, and are sent again after a failure, until the time is over", async () => {
  const { cluster, admin } = await stage();
  const make = (code: number) => ({ topics: [{ name: "t", errorCode: code, errorMessage: null }] });
  cluster.on(1, createTopics, () => {
    cluster.controllerId = 3;
    return make(ErrorCode.NOT_CONTROLLER);
  });
  cluster.on(3, createTopics, () => make(0));
  expect(await cluster.world.settle(admin.createTopic({ name: "t" }))).toMatchObject({ code: 0 });
  cluster.node(3).kill();
  cluster.on(1, createTopics, () => make(ErrorCode.TOPIC_ALREADY_EXISTS));
  const again = admin.createTopic({ name: "t" });
  await cluster.world.run({ forMs: 300 });
  cluster.controllerId = 1;
  expect(await cluster.world.settle(again)).toMatchObject({ code: ErrorCode.TOPIC_ALREADY_EXISTS });
  cluster.on(1, createTopics, () => make(ErrorCode.NOT_CONTROLLER));
  expect(await cluster.world.settle(admin.createTopic({ name: "t" }))).toMatchObject({ code: ErrorCode.NOT_CONTROLLER });
});

test("topics are deleted by name in both shapes of the request", async () => {
  for (const last of [5, 6]) {
    const { cluster, admin } = await stage(1);
    cluster.serve(deleteTopics, 0, last);
    cluster.every(deleteTopics, ({ topics, topicNames }, { apiVersion }) => {
      const names = apiVersion >= 6 ? topics.map(({ name }) => name ?? "") : topicNames;
      return { responses: names.map((name) => ({ name, errorCode: name === "gone" ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : 0 })) };
    });
    expect([...(await cluster.world.settle(admin.deleteTopics(["t", "gone"])))]).toEqual([["t", { code: 0, message: null }], ["gone", { code: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, message: null }]]);
  }
});

test("partitions are added, with or without an assignment", async () => {
  const { cluster, admin } = await stage(1);
  const asked: unknown[] = [];
  cluster.every(createPartitions, ({ topics: [topic], validateOnly }) => {
    asked.push([topic, validateOnly]);
    return { throttleTimeMs: 0, results: [{ name: "t", errorCode: ErrorCode.INVALID_PARTITIONS, errorMessage: "fewer" }] };
  });
  expect(await cluster.world.settle(admin.createPartitions({ topic: "t", count: 2 }))).toEqual({ code: ErrorCode.INVALID_PARTITIONS, message: "fewer" });
  await cluster.world.settle(admin.createPartitions({ topic: "t", count: 3, assignment: [[1], [2]] }, { validateOnly: true }));
  expect(asked).toEqual([[{ name: "t", count: 2, assignments: null }, false], [{ name: "t", count: 3, assignments: [{ brokerIds: [1] }, { brokerIds: [2] }] }, true]]);
});

test("settings of a broker are its own to tell and to change, others are any broker's; sources have names", async () => {
  const { cluster, admin } = await stage();
  const values = [{ name: "k", value: "1", readOnly: false, isDefault: false, configSource: 4, isSensitive: true, synonyms: [{ name: "k", value: "1", source: 4 }, { name: "log.k", value: null, source: 5 }] }, { name: "other", value: null, readOnly: true, isDefault: false, configSource: 99, isSensitive: false }];
  cluster.every(describeConfigs, ({ resources, includeSynonyms }) => {
    expect(includeSynonyms).toBe(true);
    return { throttleTimeMs: 0, results: resources.map(({ resourceType, resourceName }) => ({ errorCode: 0, errorMessage: "", resourceType, resourceName, configs: values })).toReversed() };
  });
  const told = await cluster.world.settle(admin.describeConfigs([{ type: "broker", name: "3" }, { type: "topic", name: "t" }, { type: "broker", name: "" }, { type: "broker-logger", name: "2" }], { synonyms: true }));
  expect(told.map(({ resource, code, message }) => [resource.type, resource.name, code, message])).toEqual([["broker", "3", 0, null], ["topic", "t", 0, null], ["broker", "", 0, null], ["broker-logger", "2", 0, null]]);
  expect(told[0]?.entries).toEqual([
    { name: "k", value: "1", source: "STATIC_BROKER_CONFIG", readOnly: false, sensitive: true, synonyms: [{ name: "k", value: "1", source: "STATIC_BROKER_CONFIG" }, { name: "log.k", value: null, source: "DEFAULT_CONFIG" }] },
    { name: "other", value: null, source: "UNKNOWN", readOnly: true, sensitive: false, synonyms: [] },
  ]);
  expect(cluster.takeAsked().toSorted()).toEqual(["1: DescribeConfigs 4", "2: DescribeConfigs 4", "3: DescribeConfigs 4"]);

  let changed: unknown;
  cluster.every(incrementalAlterConfigs, ({ resources, validateOnly }) => {
    changed = [resources, validateOnly];
    return { throttleTimeMs: 0, responses: resources.map(({ resourceType, resourceName }) => ({ errorCode: 0, errorMessage: null, resourceType, resourceName })) };
  });
  expect(await cluster.world.settle(admin.alterConfigs({ type: "broker", name: "2" }, [{ kind: "set", name: "a", value: "1" }, { kind: "delete", name: "b" }, { kind: "append", name: "c", value: "x" }, { kind: "subtract", name: "d", value: "y" }]))).toEqual({ code: 0, message: null });
  const configs = [{ name: "a", configOperation: 0, value: "1" }, { name: "b", configOperation: 1, value: null }, { name: "c", configOperation: 2, value: "x" }, { name: "d", configOperation: 3, value: "y" }];
  expect([changed, cluster.takeAsked()]).toEqual([[[{ resourceType: 4, resourceName: "2", configs }], false], ["2: IncrementalAlterConfigs 1"]]);
});

test("offsets are asked of each leader once, in the order of the question; what stays open is a code", async () => {
  const { cluster, admin } = await stage();
  cluster.topics = [topicLedBy("t", [1, 2, 1, -1])];
  cluster.every(listOffsets, ({ topics, isolationLevel }) => ({ topics: topics.map(({ name, partitions }) => ({ name, partitions: partitions.map(({ partitionIndex, timestamp }) => ({ partitionIndex, errorCode: 0, oldStyleOffsets: [], offset: partitionIndex * 10 - timestamp, timestamp: isolationLevel })) })) }));
  const at = (partition: number) => ({ topic: "t", partition });
  const latest = await cluster.world.settle(admin.offsets([at(2), at(1), at(0)], "latest"));
  expect(latest.map(({ partition, code, offset, timestamp }) => [partition, code, offset, timestamp])).toEqual([[2, 0, 21, 0], [1, 0, 11, 0], [0, 0, 1, 0]]);
  expect(cluster.takeAsked().toSorted()).toEqual(["1: ListOffsets 8", "2: ListOffsets 8"]);
  expect((await cluster.world.settle(admin.offsets([at(1)], "earliest", { readCommitted: true })))[0]).toMatchObject({ offset: 12, timestamp: 1 });
  expect((await cluster.world.settle(admin.offsets([at(1)], 5)))[0]).toMatchObject({ offset: 5 });
  const begun = cluster.world.nowMs;
  cluster.node(2).kill();
  const open = await cluster.world.settle(admin.offsets([at(3), at(0), at(9), at(1)], "latest", { retryTimeoutMs: 450 }));
  expect(open.map(({ code }) => code)).toEqual([ErrorCode.LEADER_NOT_AVAILABLE, 0, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NETWORK_EXCEPTION]);
  expect(cluster.world.nowMs - begun).toBeLessThan(500);
});

test("a leader that moves is followed within one question", async () => {
  const { cluster, admin } = await stage();
  cluster.topics = [topicLedBy("t", [1])];
  const answer = (code: number) => ({ topics: [{ name: "t", partitions: [{ partitionIndex: 0, errorCode: code, oldStyleOffsets: [], offset: 4 }] }] });
  cluster.on(1, listOffsets, () => {
    cluster.topics = [topicLedBy("t", [2], 1)];
    return answer(ErrorCode.NOT_LEADER_OR_FOLLOWER);
  });
  cluster.on(2, listOffsets, () => answer(0));
  expect(await cluster.world.settle(admin.offsets([{ topic: "t", partition: 0 }], "latest"))).toMatchObject([{ code: 0, offset: 4 }]);
});

test("brokers of ours: topics are made, described, found to be there, and deleted", async () => {
  const brokers = await SimulatedBrokers.start(2);
  const admin = new ClusterAdmin(brokers.client());
  const settle = <T>(promise: Promise<T>): Promise<T> => brokers.world.settle(promise);
  expect((await settle(admin.cluster())).brokers.map(({ id, host, port }) => [id, host, port])).toEqual([[1, "kafka1", 9092], [2, "kafka2", 9092]]);
  expect(await settle(admin.createTopic({ name: "one", partitions: 3, replicationFactor: 2 }))).toEqual({ code: 0, message: null });
  expect(await settle(admin.createTopic({ name: "two", assignment: [[2], [1]] }))).toEqual({ code: 0, message: null });
  expect(await settle(admin.createTopic({ name: "three" }))).toEqual({ code: 0, message: null });
  expect((await settle(admin.createTopic({ name: "one" }))).code).toBe(ErrorCode.TOPIC_ALREADY_EXISTS);
  expect((await settle(admin.createTopic({ name: "no", replicationFactor: 3 }))).code).toBe(ErrorCode.INVALID_REPLICATION_FACTOR);
  await brokers.world.run({ forMs: 1000 });
  const topics = await settle(admin.topics({ internal: true }));
  expect(topics.map(({ name, partitions }) => [name, partitions.length])).toEqual([["one", 3], ["three", 2], ["two", 2]]);
  expect(topics[2]?.partitions.map(({ leader, replicas, isr }) => [leader, replicas, isr])).toEqual([[2, [2], [2]], [1, [1], [1]]]);
  expect(await settle(admin.offsets([{ topic: "one", partition: 2 }], "latest"))).toMatchObject([{ code: 0, offset: 0 }]);
  expect([...(await settle(admin.deleteTopics(["one", "gone"])))].map(([name, { code }]) => [name, code])).toEqual([["one", 0], ["gone", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]]);
});

test("brokers of ours: partitions are added, settings are changed and told with where they come from", async () => {
  const brokers = await SimulatedBrokers.start(2);
  const admin = new ClusterAdmin(brokers.client());
  const settle = <T>(promise: Promise<T>): Promise<T> => brokers.world.settle(promise);
  const resource = { type: "topic", name: "t" } as const;
  await settle(admin.createTopic({ name: "t", partitions: 1, replicationFactor: 1, configs: new Map([["retention.ms", "1000"]]) }));
  expect((await settle(admin.createPartitions({ topic: "t", count: 3 }))).code).toBe(0);
  expect((await settle(admin.createPartitions({ topic: "t", count: 2 }))).code).toBe(ErrorCode.INVALID_PARTITIONS);
  expect((await settle(admin.alterConfigs(resource, [{ kind: "set", name: "segment.bytes", value: "100000" }, { kind: "delete", name: "retention.ms" }]))).code).toBe(0);
  expect((await settle(admin.alterConfigs(resource, [{ kind: "set", name: "segment.bytes", value: "x" }]))).code).toBe(ErrorCode.INVALID_REQUEST);
  await brokers.world.run({ forMs: 1000 });
  const [topic, broker, nobody] = await settle(admin.describeConfigs([resource, { type: "broker", name: "2" }, { type: "topic", name: "none" }], { synonyms: true }));
  const sourceOf = (name: string) => topic?.entries.find((entry) => entry.name === name)?.source;
  expect([sourceOf("segment.bytes"), sourceOf("retention.ms")]).toEqual(["DYNAMIC_TOPIC_CONFIG", "DEFAULT_CONFIG"]);
  expect(broker?.entries.find(({ name }) => name === "num.partitions")).toMatchObject({ value: "2", source: "STATIC_BROKER_CONFIG" });
  expect(nobody?.code).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  expect((await settle(admin.topics({ internal: false })))[0]?.partitions.map(({ leader }) => leader > 0)).toEqual([true, true, true]);
});
