import { expect, test } from "vitest";
import { errorCode } from "../lib/error.ts";
import { describeConfigs as describeConfigsApi } from "../kafka/protocol/messages/describe-configs.ts";
import { listPartitionReassignments } from "../kafka/protocol/messages/list-partition-reassignments.ts";
import { ClusterAdmin } from "../kafka/client/cluster-admin.ts";
import { describeTopics, hasTrouble, parseReplicaAssignment, parseTopicConfigs, selectTopics, topicPattern, PARTITION_TROUBLES } from "./topics.ts";
import { ScriptedCluster, topicLedBy } from "../../test/support/scripted-cluster.ts";

const codeOf = (run: () => unknown): string | undefined => {
  try {
    run();
    return undefined;
  } catch (error) {
    return errorCode(error);
  }
};

test("a pattern is for whole names; commas are alternatives, blanks and quotes around it nothing", () => {
  const matched = (text: string): string[] => ["a", "ab", "b", "a.b"].filter((name) => topicPattern(text, "--topic").test(name));
  expect([matched("a"), matched("a.*"), matched(" a , b "), matched("'a'"), matched('"a|b"'), matched("a\\.b"), matched("a|b")]).toEqual([["a"], ["a", "ab", "a.b"], ["a", "b"], ["a"], ["a", "b"], ["a.b"], ["a", "b"]]);
  expect(codeOf(() => topicPattern("a(", "--topic"))).toBe("ERR_USAGE");
});

test("partitions in trouble: replicas on the way don't count, no leader is unavailable and under the minimum", () => {
  const partition = { index: 0, leader: 1, replicas: [1, 2], isr: [1, 2], adding: [], removing: [] };
  const troubles = (changed: Partial<typeof partition>, minIsr: number | undefined, adding: readonly number[] = []) => PARTITION_TROUBLES.filter((trouble) => hasTrouble(trouble, { ...partition, ...changed, adding }, minIsr));
  expect(troubles({}, 1)).toEqual([]);
  expect(troubles({ isr: [1] }, 1)).toEqual(["under-replicated", "at-min-isr"]);
  expect(troubles({ replicas: [1, 2, 3] }, 1, [3])).toEqual([]);
  expect(troubles({ leader: -1 }, undefined)).toEqual(["unavailable", "under-min-isr"]);
  expect(troubles({ isr: [1] }, 2)).toEqual(["under-replicated", "under-min-isr"]);
});

test("assignments and settings are read, or are wrong usage", () => {
  expect(parseReplicaAssignment("0:1, 2:0", "--replica-assignment")).toEqual([[0, 1], [2, 0]]);
  for (const bad of ["0:0", "0:1,2", "a", "1:", "-1"]) expect([bad, codeOf(() => parseReplicaAssignment(bad, "--replica-assignment"))]).toEqual([bad, "ERR_USAGE"]);
  expect([...parseTopicConfigs(["a = b", "c=d="], "--config")]).toEqual([["a", "b"], ["c", "d"]]);
  for (const bad of ["a", "a=", "a=b=c", ""]) expect([bad, codeOf(() => parseTopicConfigs([bad], "--config"))]).toEqual([bad, "ERR_USAGE"]);
});

test("described as Apache's tool orders and filters; a leader that is gone is none; a topic whose settings are refused rejects", async () => {
  const cluster = await ScriptedCluster.start(2);
  const admin = new ClusterAdmin(cluster.client());
  cluster.topics = [topicLedBy("t1", [1, 9]), topicLedBy("t2", [2]), topicLedBy("t0", [-1])];
  cluster.every(listPartitionReassignments, () => ({ throttleTimeMs: 0, errorCode: 0, errorMessage: null, topics: [] }));
  const entry = (name: string, value: string, configSource: number) => ({ name, value, readOnly: false, isDefault: false, configSource, isSensitive: false, synonyms: [] });
  const entries = [entry("retention.ms", "1", 1), entry("compression.type", "gzip", 4), entry("segment.bytes", "7", 5), entry("min.insync.replicas", "2", 1), entry("cleanup.policy", "delete", 1)];
  cluster.every(describeConfigsApi, ({ resources }) => ({ throttleTimeMs: 0, results: resources.map(({ resourceType, resourceName }) => ({ errorCode: resourceName === "t2" ? 29 : 0, errorMessage: null, resourceType, resourceName, configs: entries })) }));
  const select = (...names: string[]) => cluster.world.settle(selectTopics(admin, { matches: (name) => names.includes(name), internal: true }));
  const described = await cluster.world.settle(describeTopics(admin, await select("t0", "t1")));
  expect(described.map(({ topic, configs, minIsr }) => [topic.name, topic.partitions.map(({ leader }) => leader), configs.map(({ name }) => name), minIsr])).toEqual([
    ["t0", [-1], ["compression.type", "cleanup.policy", "min.insync.replicas", "retention.ms"], 2],
    ["t1", [1, -1], ["compression.type", "cleanup.policy", "min.insync.replicas", "retention.ms"], 2],
  ]);
  expect(await cluster.world.settle(describeTopics(admin, []))).toEqual([]);
  expect(await cluster.world.settle(describeTopics(admin, await select("t2")).then(() => undefined, errorCode))).toBe("TOPIC_AUTHORIZATION_FAILED");
});
