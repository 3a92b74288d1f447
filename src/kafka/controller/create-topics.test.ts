import { describe, expect, test } from "vitest";
import { toBrokerId } from "../protocol/ids.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import { paths } from "../znodes/paths.ts";
import { createPersistentPaths } from "../znodes/operations.ts";
import type { Step } from "../znodes/requests.ts";
import { createTopic, planTopics, topicNameProblem, type CreatableTopic, type TopicPlan, type TopicRules } from "./create-topics.ts";
import { ZooKeeperModel } from "./testing/zookeeper-model.ts";

const rules: TopicRules = {
  brokers: [1, 2, 3].map((id) => ({ id, rack: null })),
  topics: new Set(["taken", "with.dot"]),
  numPartitions: 2,
  replicationFactor: 3,
  validateOnly: false,
  random: { below: () => 0 },
  mayCreate: (topic) => topic !== "forbidden",
  problemOf: (config) => (config.has("bad") ? "bad is not a setting" : undefined),
};

type Wanted = Partial<Omit<CreatableTopic, "assignments" | "configs">> & { assignments?: Record<number, number[]> | [number, number[]][]; configs?: Record<string, string | null> };

function wantedTopic({ assignments = {}, configs = {}, ...rest }: Wanted): CreatableTopic {
  const entries: [number, number[]][] = Array.isArray(assignments) ? assignments : Object.entries(assignments).map(([index, brokers]) => [Number(index), brokers]);
  return {
    name: "orders",
    numPartitions: -1,
    replicationFactor: -1,
    assignments: entries.map(([partitionIndex, brokers]) => ({ partitionIndex, brokerIds: brokers.map(toBrokerId) })),
    configs: Object.entries(configs).map(([name, value]) => ({ name, value })),
    ...rest,
  };
}

function plan(wanted: Wanted, change: Partial<TopicRules> = {}): TopicPlan {
  const [first] = planTopics([wantedTopic(wanted)], { ...rules, ...change });
  if (first === undefined) throw new Error("no plan");
  return first;
}

function codeOf(planned: TopicPlan): string {
  return planned.kind === "refused" ? errorName(planned.errorCode) : "NONE";
}

describe("planning topics", () => {
  test("-1 means the broker's defaults", () => {
    expect(plan({ configs: { "retention.ms": "5" } })).toEqual({ kind: "create", name: "orders", config: new Map([["retention.ms", "5"]]), replicas: [[1, 2, 3], [2, 3, 1]] });
  });

  test("an assignment is taken as it is, whether its brokers are alive or not", () => {
    expect(plan({ assignments: { 1: [9, 1], 0: [1, 9] } })).toMatchObject({ kind: "create", replicas: [[1, 9], [9, 1]] });
  });

  // Each row breaks its rule and all those of the rows below it that can be broken together with it.
  test.each<[string, Wanted]>([
    ["TOPIC_AUTHORIZATION_FAILED", { name: "forbidden", configs: { bad: null }, numPartitions: 0 }],
    ["TOPIC_ALREADY_EXISTS", { name: "taken", configs: { bad: null }, numPartitions: 0 }],
    ["INVALID_REQUEST", { name: "no way", configs: { bad: null }, numPartitions: 0, assignments: { 0: [] } }],
    ["INVALID_REQUEST", { name: "no way", configs: { bad: "" }, numPartitions: 0, assignments: { 0: [] } }],
    ["INVALID_REQUEST", { name: "no way", configs: { bad: "" }, replicationFactor: 0, assignments: { 0: [] } }],
    ["INVALID_PARTITIONS", { name: "no way", configs: { bad: "" }, numPartitions: 0, replicationFactor: 0 }],
    ["INVALID_PARTITIONS", { name: "no way", configs: { bad: "" }, numPartitions: -2, replicationFactor: 9 }],
    ["INVALID_REPLICATION_FACTOR", { name: "no way", configs: { bad: "" }, replicationFactor: 0 }],
    ["INVALID_REPLICATION_FACTOR", { name: "no way", configs: { bad: "" }, replicationFactor: 4 }],
    ["INVALID_TOPIC_EXCEPTION", { name: "no way", configs: { bad: "" }, assignments: { 0: [] } }],
    ["INVALID_TOPIC_EXCEPTION", { name: "with_dot", configs: { bad: "" }, assignments: { 0: [] } }],
    ["INVALID_REPLICA_ASSIGNMENT", { configs: { bad: "" }, assignments: { 0: [] } }],
    ["INVALID_REPLICA_ASSIGNMENT", { configs: { bad: "" }, assignments: { 0: [1], 1: [1, 2] } }],
    ["INVALID_REPLICA_ASSIGNMENT", { configs: { bad: "" }, assignments: { 0: [1, 1] } }],
    ["INVALID_REPLICA_ASSIGNMENT", { configs: { bad: "" }, assignments: { 0: [-1] } }],
    ["INVALID_REPLICA_ASSIGNMENT", { configs: { bad: "" }, assignments: { 0: [1], 2: [1] } }],
    ["INVALID_REPLICA_ASSIGNMENT", { configs: { bad: "" }, assignments: [[-1, [1]], [0, [1]], [3, [1]]] }],
    ["INVALID_CONFIG", { configs: { bad: "" } }],
    ["NONE", { name: "with-dot" }],
  ])("%s comes before what else is wrong with %j", (code, wanted) => {
    expect(codeOf(plan(wanted))).toBe(code);
  });

  test("some brokers with a rack and some without is an error of the server's", () => {
    expect(codeOf(plan({}, { brokers: [{ id: 1, rack: "a" }, { id: 2, rack: null }, { id: 3, rack: null }] }))).toBe("UNKNOWN_SERVER_ERROR");
  });

  test("a topic named twice is refused each time; two topics that collide with each other only where they are made", () => {
    const requested = ["a.b", "x", "a_b", "x"].map((name) => wantedTopic({ name }));
    expect(planTopics(requested, rules).map(codeOf)).toEqual(["NONE", "INVALID_REQUEST", "INVALID_TOPIC_EXCEPTION", "INVALID_REQUEST"]);
    expect(planTopics(requested, { ...rules, validateOnly: true }).map(codeOf)).toEqual(["NONE", "INVALID_REQUEST", "NONE", "INVALID_REQUEST"]);
  });

  test("more partitions than a znode can hold are refused before they are placed", () => {
    expect(codeOf(plan({ numPartitions: 0x7fff_ffff }))).toBe("INVALID_PARTITIONS");
    expect(codeOf(plan({ numPartitions: 90_000, replicationFactor: 1 }))).toBe("INVALID_PARTITIONS");
    expect(codeOf(plan({ numPartitions: 20_000 }))).toBe("NONE");
  });
});

test("names: what Kafka allows, and what it does not", () => {
  for (const name of ["a", "A.b_c-9", "x".repeat(249), "...", "__proto__"]) expect(topicNameProblem(name)).toBeUndefined();
  for (const name of ["", ".", "..", "x".repeat(250), "a b", "ä", "a/b", "a\n"]) expect(topicNameProblem(name)).toBeDefined();
});

test("a topic's settings are written first, then the topic; whoever comes second is told so", () => {
  const zk = new ZooKeeperModel();
  const written: string[] = [];
  zk.onWrite = (path) => written.push(path);
  const run = <T>(step: Step<T>): T => {
    let result = step.next();
    while (result.done !== true) result = step.next(result.value.map((request) => zk.apply(request)));
    return result.value;
  };
  run(createPersistentPaths());
  written.length = 0;
  const planned = plan({ configs: { "retention.ms": "5" } });
  if (planned.kind === "refused") throw new Error(planned.message);
  expect(run(createTopic(planned))).toBe(ErrorCode.NONE);
  expect(written).toEqual([paths.config("topics", "orders"), paths.topic("orders")]);
  expect(zk.json(paths.config("topics", "orders"))).toEqual({ version: 1, config: { "retention.ms": "5" } });
  expect(zk.json(paths.topic("orders"))).toEqual({ version: 2, partitions: { 0: [1, 2, 3], 1: [2, 3, 1] }, adding_replicas: {}, removing_replicas: {} });
  expect(run(createTopic(planned))).toBe(ErrorCode.TOPIC_ALREADY_EXISTS);
});
