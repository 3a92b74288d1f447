import { expect, test } from "vitest";
import { OperationalError } from "../../../lib/error.ts";
import { ZooKeeperModel } from "../../controller/testing/zookeeper-model.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { findCoordinator } from "../../protocol/messages/find-coordinator.ts";
import { createPersistentPaths } from "../../znodes/operations.ts";
import { paths } from "../../znodes/paths.ts";
import { create, type Step } from "../../znodes/requests.ts";
import { metadataOf, Served, tell } from "../testing/served.ts";
import { findCoordinatorRoute } from "./find-coordinator.ts";

/** Java's hash of a one-letter name is the letter: "a" is 97, and lies in partition 1 of 3. */
const OFFSETS = "__consumer_offsets";
const TRANSACTIONS = "__transaction_state";
const BROKERS = [{ id: 1 }, { id: 2 }, { id: 3, listener: "EXTERNAL" }];

async function stage(topics: Readonly<Record<string, readonly number[]>>, partitions = 3) {
  const zk = new ZooKeeperModel();
  const zookeeper = {
    run: <T>(step: Step<T>): Promise<T> => {
      for (let result = step.next(); ; ) {
        if (result.done === true) return Promise.resolve(result.value);
        result = step.next(result.value.map((request) => zk.apply(request)));
      }
    },
  };
  await zookeeper.run(createPersistentPaths());
  const metadata = metadataOf(BROKERS, topics);
  const topic = { asked: 0, answer: (): Promise<ErrorCode> => Promise.resolve(ErrorCode.NONE) };
  const offsetsTopic = {
    ensure: () => {
      topic.asked++;
      return topic.answer();
    },
    partitionCount: () => Promise.resolve(partitions),
  };
  const made = { waits: 0, answer: (): boolean => false };
  const topicsMade = {
    whenCreated: () => {
      made.waits++;
      return Promise.resolve(made.answer());
    },
  };
  const served = await Served.start([findCoordinatorRoute({ metadata, topics: topicsMade, offsetsTopic, zookeeper })]);
  const ask = (version: number, key: string, keyType = 0) => served.ask(findCoordinator, version, { key, keyType, coordinatorKeys: [key] });
  return { zk, metadata, topic, made, served, ask };
}

const nobody = { nodeId: -1, host: "", port: -1 };

test.each([0, 1, 2, 3])("version %i: one group, its coordinator on top", async (version) => {
  const { ask } = await stage({ [OFFSETS]: [1, 2, 1] });
  expect(await ask(version, "a")).toEqual({ throttleTimeMs: 0, errorCode: 0, errorMessage: version === 0 ? "" : null, nodeId: 2, host: "host2", port: 9002, coordinators: [] });
});

test.each([4, 5])("version %i: many groups, the topic asked for once", async (version) => {
  const { topic, served } = await stage({ [OFFSETS]: [1, 2, -1] });
  const answer = await served.ask(findCoordinator, version, { key: "", coordinatorKeys: ["a", "b", "c"] });
  expect(answer.coordinators).toEqual([
    { key: "a", nodeId: 2, host: "host2", port: 9002, errorCode: 0, errorMessage: null },
    { key: "b", ...nobody, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, errorMessage: `partition 2 of ${OFFSETS} has no leader on listener INTERNAL` },
    { key: "c", nodeId: 1, host: "host1", port: 9001, errorCode: 0, errorMessage: null },
  ]);
  expect(topic.asked).toBe(1);
  expect(await served.ask(findCoordinator, version, { key: "", coordinatorKeys: [] })).toMatchObject({ coordinators: [] });
});

test("the topic's number of partitions decides, not how many of them the metadata holds by now", async () => {
  const { ask } = await stage({ [OFFSETS]: [1, 1, 1, 1, 1, 1, 1, 2] }, 9);
  // 97 is 7 among 9, and 1 among the 8 that are known.
  expect(await ask(3, "a")).toMatchObject({ nodeId: 2 });
});

test("a leader that is gone, or that the listener does not reach, is no coordinator", async () => {
  const { ask, metadata } = await stage({ [OFFSETS]: [1, 3, 1] });
  expect(await ask(3, "a")).toMatchObject({ ...nobody, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE });
  tell(metadata, [{ id: 1 }], { [OFFSETS]: [1, 2, 1] });
  expect(await ask(3, "a")).toMatchObject({ ...nobody, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE });
});

test.each([ErrorCode.LEADER_NOT_AVAILABLE, ErrorCode.INVALID_REPLICATION_FACTOR])("where the topic is not there (%i), clients are to ask again", async (code) => {
  const { ask, topic } = await stage({});
  topic.answer = () => Promise.resolve(code);
  for (const version of [0, 1, 3]) expect(await ask(version, "a")).toMatchObject({ ...nobody, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE });
  expect(await ask(4, "a")).toMatchObject({ coordinators: [{ key: "a", ...nobody, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, errorMessage: expect.stringContaining(OFFSETS) }] });
});

test("the group that the topic is made for is answered when it has been made; where too few brokers live nobody waits", async () => {
  const { ask, topic, made, metadata } = await stage({});
  topic.answer = () => Promise.resolve(ErrorCode.INVALID_REPLICATION_FACTOR);
  await ask(3, "a");
  expect(made.waits).toBe(0);
  topic.answer = () => Promise.resolve(ErrorCode.LEADER_NOT_AVAILABLE);
  made.answer = () => {
    tell(metadata, BROKERS, { [OFFSETS]: [1, 2, 1] });
    return true;
  };
  expect(await ask(3, "a")).toMatchObject({ nodeId: 2, errorCode: ErrorCode.NONE });
});

test("where ZooKeeper is out of reach, clients are to ask again; what nobody foresaw ends the connection", async () => {
  const { ask, topic } = await stage({});
  topic.answer = () => Promise.reject(new OperationalError("ERR_ZOOKEEPER_SESSION", "the session has ended"));
  expect(await ask(1, "a")).toMatchObject({ ...nobody, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE, errorMessage: "the session has ended" });
  topic.answer = () => Promise.reject(new Error("a fault"));
  await expect(ask(1, "a")).rejects.toMatchObject({ code: "ECONNRESET" });
});

test("a transactional id's coordinator is named where another broker has made the topic, which is never made here", async () => {
  const { ask, zk, topic, metadata } = await stage({});
  expect(await ask(2, "a", 1)).toMatchObject({ ...nobody, errorCode: ErrorCode.COORDINATOR_NOT_AVAILABLE });
  expect(zk.children(paths.topics)).toEqual([]);
  tell(metadata, BROKERS, { [TRANSACTIONS]: [1, 1, 1, 1, 1, 1, 1, 2] });
  zk.apply(create(paths.topic(TRANSACTIONS), Buffer.from(JSON.stringify({ version: 1, partitions: Object.fromEntries(Array.from({ length: 9 }, (_, index) => [index, [1]])) }))));
  expect(await ask(2, "a", 1)).toMatchObject({ errorCode: 0, nodeId: 2 });
  expect(await ask(4, "a", 1)).toMatchObject({ coordinators: [{ errorCode: 0, nodeId: 2 }] });
  expect(topic.asked).toBe(0);
});

test("another kind of key is an invalid request, for each key from version 4 on", async () => {
  const { ask } = await stage({ [OFFSETS]: [1, 2, 1] });
  expect(await ask(1, "a", 2)).toMatchObject({ ...nobody, errorCode: ErrorCode.INVALID_REQUEST });
  expect(await ask(5, "a", 2)).toMatchObject({ coordinators: [{ key: "a", ...nobody, errorCode: ErrorCode.INVALID_REQUEST }] });
});
