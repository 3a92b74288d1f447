import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { must } from "../../lib/assert.ts";
import { ZooKeeperModel } from "../controller/testing/zookeeper-model.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { createPersistentPaths } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { create, setData, type Step } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import { OffsetsTopic } from "./offsets-topic.ts";
import { metadataOf, tell, type TestBroker } from "./testing/served.ts";
import { TopicAdmin } from "./topic-admin.ts";

const OFFSETS = "__consumer_offsets";

async function stage(brokers: readonly TestBroker[], config: { readonly partitions?: number; readonly replicas?: number } = {}) {
  const node = new World({ seed: 5 }).addNode("one");
  const { host } = node;
  const zk = new ZooKeeperModel();
  const state = { requests: 0, lost: false };
  const zookeeper = {
    run: async <T>(step: Step<T>): Promise<T> => {
      for (let result = step.next(); ; ) {
        if (result.done === true) return result.value;
        const requests = result.value;
        await Promise.resolve();
        state.requests += requests.length;
        if (state.lost) throw new Error("no session");
        result = step.next(requests.map((request) => zk.apply(request)));
      }
    },
  } as unknown as ZooKeeperSession;
  await zookeeper.run(createPersistentPaths());
  const metadata = metadataOf(brokers, {});
  const topics = new TopicAdmin({ host, zookeeper, metadata, numPartitions: 1, replicationFactor: 1, controllerTopics: () => [], whenTold: () => Promise.resolve() });
  const sizes = { offsetsTopicNumPartitions: config.partitions ?? 5, offsetsTopicReplicationFactor: config.replicas ?? 2, offsetsTopicSegmentBytes: 4096 };
  const offsetsTopic = new OffsetsTopic({ zookeeper, metadata, topics, config: sizes, log: host.log });
  const lines = (): string[] => node.log.lines().filter((line) => line.includes(OFFSETS));
  return { zk, state, metadata, offsetsTopic, lines };
}

const THREE: readonly TestBroker[] = [{ id: 1 }, { id: 2 }, { id: 3 }];

test("it is made with the broker's own settings, to be compacted, and is there once this broker has heard of it", async () => {
  const { zk, offsetsTopic, metadata, lines } = await stage(THREE);
  expect(await offsetsTopic.ensure()).toBe(ErrorCode.LEADER_NOT_AVAILABLE);
  expect(zk.json(paths.config("topics", OFFSETS))).toEqual({ version: 1, config: { "cleanup.policy": "compact", "segment.bytes": "4096", "compression.type": "producer" } });
  const { partitions } = zk.json(paths.topic(OFFSETS)) as { partitions: Record<string, number[]> };
  expect(Object.values(partitions).map((replicas) => new Set(replicas).size)).toEqual([2, 2, 2, 2, 2]);
  expect(lines().length).toBe(1);
  // Made, and not heard of yet.
  expect(await offsetsTopic.ensure()).toBe(ErrorCode.LEADER_NOT_AVAILABLE);
  tell(metadata, THREE, { [OFFSETS]: [1, 2, 3, 1, 2] });
  expect(await offsetsTopic.ensure()).toBe(ErrorCode.NONE);
  expect(lines().length).toBe(1);
});

test("many who need it at once make it once", async () => {
  const { offsetsTopic, state, lines } = await stage(THREE);
  const before = state.requests;
  const one = await stage(THREE);
  const oneBefore = one.state.requests;
  await one.offsetsTopic.ensure();
  const codes = await Promise.all(Array.from({ length: 10 }, () => offsetsTopic.ensure()));
  expect(codes).toEqual(Array.from({ length: 10 }, () => ErrorCode.LEADER_NOT_AVAILABLE));
  expect(state.requests - before).toBe(one.state.requests - oneBefore);
  expect(lines().length).toBe(1);
});

test("another broker's is taken as it is, and its settings are not touched", async () => {
  const { zk, offsetsTopic } = await stage(THREE);
  zk.apply(create(paths.config("topics", OFFSETS), Buffer.from("theirs")));
  zk.apply(create(paths.topic(OFFSETS), Buffer.from('{"version":1,"partitions":{"0":[9]}}')));
  expect(await offsetsTopic.ensure()).toBe(ErrorCode.LEADER_NOT_AVAILABLE);
  expect(String(zk.data(paths.config("topics", OFFSETS)))).toBe("theirs");
});

test("with too few brokers nothing is made, and it is said once until it was made", async () => {
  const { zk, offsetsTopic, metadata, lines } = await stage([{ id: 1 }]);
  for (let time = 0; time < 3; time++) expect(await offsetsTopic.ensure()).toBe(ErrorCode.INVALID_REPLICATION_FACTOR);
  expect(zk.children(paths.topics)).toEqual([]);
  expect(lines().filter((line) => line.includes("1 of the 2 brokers")).length).toBe(1);
  tell(metadata, THREE, {});
  expect(await offsetsTopic.ensure()).toBe(ErrorCode.LEADER_NOT_AVAILABLE);
  expect(zk.children(paths.topics)).toEqual([OFFSETS]);
});

test("racks count where every broker has one, and are no obstacle where some have none", async () => {
  const all = await stage([{ id: 1, rack: "a" }, { id: 2, rack: "a" }, { id: 3, rack: "b" }]);
  await all.offsetsTopic.ensure();
  const { partitions } = all.zk.json(paths.topic(OFFSETS)) as { partitions: Record<string, number[]> };
  for (const replicas of Object.values(partitions)) expect(replicas).toContain(3);
  const some = await stage([{ id: 1, rack: "a" }, { id: 2 }]);
  expect(await some.offsetsTopic.ensure()).toBe(ErrorCode.LEADER_NOT_AVAILABLE);
});

test("a creation that fails is tried again by the next who needs it", async () => {
  const { zk, offsetsTopic, state } = await stage(THREE);
  state.lost = true;
  await expect(offsetsTopic.ensure()).rejects.toThrow("no session");
  state.lost = false;
  expect(await offsetsTopic.ensure()).toBe(ErrorCode.LEADER_NOT_AVAILABLE);
  expect(zk.has(paths.topic(OFFSETS))).toBe(true);
});

test("its number of partitions is the znode's from the first time that it has one, whatever is configured and comes later", async () => {
  const { zk, offsetsTopic, state } = await stage(THREE, { partitions: 5 });
  expect(await offsetsTopic.partitionCount()).toBe(5);
  zk.apply(create(paths.topic(OFFSETS), Buffer.from('{"version":1,"partitions":{"0":[1],"1":[1],"2":[1]}}')));
  expect(await offsetsTopic.partitionCount()).toBe(3);
  zk.apply(setData(paths.topic(OFFSETS), Buffer.from('{"version":1,"partitions":{"0":[1],"1":[1],"2":[1],"3":[1]}}')));
  const asked = state.requests;
  expect(await offsetsTopic.partitionCount()).toBe(3);
  expect(state.requests).toBe(asked);
});

test("the topic is made with as many partitions as are configured", async () => {
  const { zk, offsetsTopic } = await stage(THREE, { partitions: 7, replicas: 1 });
  await offsetsTopic.ensure();
  expect(Object.keys(must((zk.json(paths.topic(OFFSETS)) as { partitions?: object }).partitions, "partitions")).length).toBe(7);
});
