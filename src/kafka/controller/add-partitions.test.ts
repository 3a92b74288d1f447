import { expect, test } from "vitest";
import { must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { paths } from "../znodes/paths.ts";
import { createPersistentPaths, createWithParents } from "../znodes/operations.ts";
import { setData, type Step } from "../znodes/requests.ts";
import { assign, decodeTopic, encodeTopic } from "../znodes/topic.ts";
import { addPartitions, type Growth, type PartitionsToAdd } from "./add-partitions.ts";
import { ZooKeeperModel } from "./testing/zookeeper-model.ts";

const brokers = [1, 2, 3].map((id) => ({ id, rack: null }));

function stage(replicas: readonly (readonly number[])[] = [[2, 3]], moving = false) {
  const zk = new ZooKeeperModel();
  const run = <T>(step: Step<T>, before: (op: string) => void = () => undefined): T => {
    for (let result = step.next(); ; ) {
      if (result.done === true) return result.value;
      result = step.next(
        result.value.map((request) => {
          before(request.op);
          return zk.apply(request);
        }),
      );
    }
  };
  run(createPersistentPaths());
  const partitions = new Map(replicas.map((list, index) => [index, moving ? { ...assign(list), adding: [1] } : assign(list)]));
  run(createWithParents(paths.topic("t"), encodeTopic({ partitions, rest: { topic_id: "kept" } })));
  const stored = (): number[][] => [...decodeTopic("t", zk.data(paths.topic("t")) ?? null).partitions.values()].map(({ replicas: list }) => [...list]);
  const add = (asked: Partial<PartitionsToAdd>, validateOnly = false): Growth => run(addPartitions({ name: "t", count: 3, assignments: null, ...asked }, { brokers, validateOnly }));
  return { zk, run, stored, add };
}

test("new partitions are placed on from the brokers of the first one; what else the znode holds stays", () => {
  const { zk, add, stored } = stage();
  expect(add({ count: 4 })).toMatchObject({ kind: "grown" });
  expect(stored()).toEqual([[2, 3], [3, 2], [1, 3], [2, 3]]);
  expect(zk.json(paths.topic("t"))).toMatchObject({ topic_id: "kept", version: 2 });
});

test("new partitions go where the request says", () => {
  const { add, stored } = stage();
  expect(add({ count: 3, assignments: [{ brokerIds: [1, 2] }, { brokerIds: [3, 1] }] })).toMatchObject({ kind: "grown" });
  expect(stored()).toEqual([[2, 3], [1, 2], [3, 1]]);
});

test("what is only to be checked is not written", () => {
  const { add, stored } = stage();
  expect(add({ count: 3 }, true)).toMatchObject({ kind: "grown" });
  expect(stored()).toEqual([[2, 3]]);
});

const refusals: readonly [string, Partial<PartitionsToAdd>, ErrorCode][] = [
  ["a topic that is not there", { name: "u" }, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  ["as many partitions as there are", { count: 1 }, ErrorCode.INVALID_PARTITIONS],
  ["fewer partitions", { count: 0 }, ErrorCode.INVALID_PARTITIONS],
  ["more partitions than a znode holds", { count: 2_000_000 }, ErrorCode.INVALID_PARTITIONS],
  ["an assignment too few", { count: 3, assignments: [{ brokerIds: [1, 2] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ["a broker that is not there", { count: 2, assignments: [{ brokerIds: [1, 9] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ["one broker twice", { count: 2, assignments: [{ brokerIds: [1, 1] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ["another number of replicas", { count: 2, assignments: [{ brokerIds: [1] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
  ["no replicas", { count: 2, assignments: [{ brokerIds: [] }] }, ErrorCode.INVALID_REPLICA_ASSIGNMENT],
];
for (const [what, asked, errorCode] of refusals) {
  test(`${what}: refused, and nothing is written`, () => {
    const { add, stored } = stage();
    expect(add(asked)).toMatchObject({ kind: "refused", errorCode });
    expect(stored()).toEqual([[2, 3]]);
  });
}

test("no partitions are added while some are being reassigned, and more replicas than brokers can't be had", () => {
  expect(stage([[2, 3]], true).add({})).toMatchObject({ errorCode: ErrorCode.REASSIGNMENT_IN_PROGRESS });
  expect(stage([[1, 2, 3, 4]]).add({})).toMatchObject({ errorCode: ErrorCode.INVALID_REPLICATION_FACTOR });
});

test("of two requests at the same time the second builds on the first", () => {
  const { zk, run, stored } = stage();
  let others = 1;
  const growth = run(addPartitions({ name: "t", count: 3, assignments: null }, { brokers, validateOnly: false }), (op) => {
    if (op !== "setData" || others-- <= 0) return;
    const { partitions, rest } = decodeTopic("t", must(zk.data(paths.topic("t")), "topic"));
    zk.apply(setData(paths.topic("t"), encodeTopic({ partitions: new Map([...partitions, [1, assign([1, 3])]]), rest })));
  });
  expect(growth.kind).toBe("grown");
  expect(stored()).toHaveLength(3);
  expect(stored()[1]).toEqual([1, 3]);
});

test("a write whose reply was lost counts as done", () => {
  const { zk, run, stored } = stage();
  const growth = run(addPartitions({ name: "t", count: 2, assignments: [{ brokerIds: [1, 2] }] }, { brokers, validateOnly: false }), (op) => {
    if (op !== "setData" || stored().length > 1) return;
    const { partitions, rest } = decodeTopic("t", must(zk.data(paths.topic("t")), "topic"));
    zk.apply(setData(paths.topic("t"), encodeTopic({ partitions: new Map([...partitions, [1, assign([1, 2])]]), rest })));
  });
  expect(growth.kind).toBe("grown");
  expect(stored()).toEqual([[2, 3], [1, 2]]);
});
