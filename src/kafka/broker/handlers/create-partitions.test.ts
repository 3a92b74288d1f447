import { expect, test } from "vitest";
import { World } from "../../../host/sim/world.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { createPartitions } from "../../protocol/messages/create-partitions.ts";
import { ZooKeeperModel } from "../../controller/testing/zookeeper-model.ts";
import { createPersistentPaths, createWithParents } from "../../znodes/operations.ts";
import { paths } from "../../znodes/paths.ts";
import type { Step } from "../../znodes/requests.ts";
import { assign, decodeTopic, encodeTopic } from "../../znodes/topic.ts";
import type { ZooKeeperSession } from "../../znodes/zookeeper-session.ts";
import { metadataOf, Served, tell } from "../testing/served.ts";
import { TopicAdmin } from "../topic-admin.ts";
import { createPartitionsRoute } from "./create-partitions.ts";

const BROKERS = [{ id: 1 }, { id: 2 }];

async function stage({ isController = true } = {}) {
  const zk = new ZooKeeperModel();
  const run = <T>(step: Step<T>): T => {
    for (let result = step.next(); ; ) {
      if (result.done === true) return result.value;
      result = step.next(result.value.map((request) => zk.apply(request)));
    }
  };
  const zookeeper = { run: <T>(step: Step<T>) => Promise.resolve(run(step)) } as unknown as ZooKeeperSession;
  run(createPersistentPaths());
  run(createWithParents(paths.topic("t"), encodeTopic({ partitions: new Map([[0, assign([1])]]), rest: {} })));
  const world = new World({ seed: 5 });
  const metadata = metadataOf(BROKERS, { t: [1] });
  const topics = new TopicAdmin({ host: world.addNode("admin").host, zookeeper, metadata, numPartitions: 1, replicationFactor: 1, controllerTopics: () => [], whenTold: () => Promise.resolve() });
  const served = await Served.start([createPartitionsRoute({ topics, deleting: () => (isController ? new Set(["gone"]) : undefined) })], world);
  const count = (): number => decodeTopic("t", zk.data(paths.topic("t")) ?? null).partitions.size;
  return { served, metadata, count };
}

const asked = (name: string, count = 3) => ({ name, count, assignments: null });

for (let version = 0; version <= 3; version++) {
  test(`CreatePartitions ${version}: answers once every partition has a leader in this broker's metadata`, async () => {
    const { served, metadata, count } = await stage();
    const { world } = served;
    world.after(500, () => tell(metadata, BROKERS, { t: [1, 2, 1] }));
    const before = world.nowMs;
    const answer = await served.ask(createPartitions, version, { topics: [asked("t")], timeoutMs: 10_000, validateOnly: false });
    expect(answer.results).toEqual([{ name: "t", errorCode: 0, errorMessage: null }]);
    expect(world.nowMs - before).toBeGreaterThanOrEqual(500);
    expect(world.nowMs - before).toBeLessThan(2000);
    expect(count()).toBe(3);
  });
}

test("CreatePartitions: what takes too long is REQUEST_TIMED_OUT, and done all the same", async () => {
  const { served, count } = await stage();
  expect(await served.ask(createPartitions, 3, { topics: [asked("t", 2)], timeoutMs: 100, validateOnly: false })).toMatchObject({ results: [{ errorCode: ErrorCode.REQUEST_TIMED_OUT }] });
  expect(await served.ask(createPartitions, 3, { topics: [asked("t", 3)], timeoutMs: 0, validateOnly: false })).toMatchObject({ results: [{ errorCode: ErrorCode.REQUEST_TIMED_OUT }] });
  expect(count()).toBe(3);
});

test("CreatePartitions: topics that are named twice, being deleted or unknown fail one by one; a check writes nothing", async () => {
  const { served, count } = await stage();
  const answer = await served.ask(createPartitions, 3, { topics: [asked("t"), asked("twice"), asked("twice", 4), asked("gone"), asked("unknown")], timeoutMs: 100, validateOnly: true });
  expect(answer.results.map(({ name, errorCode }) => [name, errorCode])).toEqual([
    ["t", 0],
    ["twice", ErrorCode.INVALID_REQUEST],
    ["gone", ErrorCode.INVALID_TOPIC_EXCEPTION],
    ["unknown", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION],
  ]);
  expect(count()).toBe(1);
});

test("CreatePartitions: NOT_CONTROLLER where this broker is not", async () => {
  const { served, count } = await stage({ isController: false });
  expect(await served.ask(createPartitions, 3, { topics: [asked("t"), asked("gone")], timeoutMs: 100, validateOnly: false })).toMatchObject({ results: [{ errorCode: ErrorCode.NOT_CONTROLLER }, { errorCode: ErrorCode.NOT_CONTROLLER }] });
  expect(count()).toBe(1);
});
