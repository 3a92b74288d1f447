import { expect, test } from "vitest";
import { must } from "../../lib/assert.ts";
import { leaderAndIsrRequest } from "../protocol/messages/leader-and-isr.ts";
import { stopReplicaRequest } from "../protocol/messages/stop-replica.ts";
import { updateMetadataRequest } from "../protocol/messages/update-metadata.ts";
import { encodeBrokerRegistration } from "../znodes/broker.ts";
import { encodePreferredElection } from "../znodes/notifications.ts";
import { writeConfig } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { create, setData, ZkCode } from "../znodes/requests.ts";
import type { ControlRequest } from "./effects.ts";
import { ClusterModel, registrationOf, type ModelBroker } from "./testing/cluster-model.ts";

function clusterOf(...ids: number[]): ClusterModel {
  const cluster = new ClusterModel();
  for (const id of ids) cluster.start(id);
  cluster.settle();
  return cluster;
}

type Body<A extends ControlRequest["api"]> = Extract<ControlRequest, { api: A }>["body"];

function received<A extends ControlRequest["api"]>(broker: ModelBroker, api: A): Body<A>[] {
  return broker.received.flatMap((request) => (request.api === api ? [request.body as Body<A>] : []));
}

function errors(cluster: ClusterModel): string[] {
  return [...cluster.brokers.values()].flatMap((broker) => broker.logged.filter((line) => line.startsWith("error")));
}

test("the first broker becomes the controller with epoch 1 and makes /feature", () => {
  const cluster = clusterOf(1);
  expect(cluster.zk.json(paths.controller)).toMatchObject({ version: 1, brokerid: 1 });
  expect(cluster.zk.data(paths.controllerEpoch)?.toString()).toBe("1");
  expect(cluster.zk.json(paths.feature)).toEqual({ version: 1, status: 1, features: {} });
  expect(cluster.controller.state.context).toMatchObject({ epoch: 1, epochZkVersion: 1 });
  expect(received(cluster.broker(1), "updateMetadata")[0]).toMatchObject({
    controllerId: 1,
    controllerEpoch: 1,
    brokerEpoch: cluster.zk.czxid(paths.broker(1)),
    topicStates: [],
    liveBrokers: [{ id: 1, rack: null, endpoints: [{ host: "host1", port: 9092, listener: "PLAINTEXT", securityProtocol: 0 }] }],
  });
  expect(cluster.controller.timers).toBe(1);
});

test("a topic made in a cluster of one broker gets its state, LeaderAndIsr with isNew, and UpdateMetadata", () => {
  const cluster = clusterOf(1);
  const before = cluster.broker(1).received.length;
  cluster.createTopic("orders", [1], [1]);
  cluster.settle();
  expect(cluster.zk.json(paths.partitionState("orders", 1))).toEqual({ controller_epoch: 1, leader: 1, version: 1, leader_epoch: 0, isr: [1] });
  const requests = cluster.broker(1).received.slice(before);
  expect(requests.map(({ api }) => api)).toEqual(["leaderAndIsr", "updateMetadata"]);
  const state = { controllerEpoch: 1, leader: 1, leaderEpoch: 0, isr: [1], zkVersion: 0, replicas: [1] };
  expect(requests[0]?.body).toEqual({
    controllerId: 1,
    controllerEpoch: 1,
    brokerEpoch: cluster.broker(1).epoch,
    ungroupedPartitionStates: [],
    topicStates: [{ topicName: "orders", partitionStates: [0, 1].map((partitionIndex) => ({ partitionIndex, ...state, addingReplicas: [], removingReplicas: [], isNew: true })) }],
    liveLeaders: [{ brokerId: 1, hostName: "host1", port: 9092 }],
  });
  expect(requests[1]?.body).toMatchObject({ topicStates: [{ topicName: "orders", partitionStates: [0, 1].map((partitionIndex) => ({ partitionIndex, ...state, offlineReplicas: [] })) }] });
  expect(errors(cluster)).toEqual([]);
});

test("the requests can be encoded in the versions of 2.7", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [1, 2]);
  cluster.settle();
  cluster.deleteTopic("orders");
  cluster.settle();
  const [leaders] = received(cluster.broker(2), "leaderAndIsr");
  const [stop] = received(cluster.broker(2), "stopReplica");
  const metadata = received(cluster.broker(2), "updateMetadata").at(-1);
  if (leaders === undefined || stop === undefined || metadata === undefined) throw new Error("a request is missing");
  expect(leaderAndIsrRequest.decode(leaderAndIsrRequest.encode(leaders, 4), 4)).toMatchObject({ controllerId: 1, topicStates: [{ topicName: "orders" }] });
  expect(stopReplicaRequest.decode(stopReplicaRequest.encode(stop, 3), 3)).toMatchObject({ topicStates: [{ partitionStates: [{ leaderEpoch: -2 }] }] });
  expect(updateMetadataRequest.decode(updateMetadataRequest.encode(metadata, 6), 6)).toMatchObject({ liveBrokers: [{ id: 1 }, { id: 2 }] });
});

test("replicas that are not online when the topic is made stay out of the ISR; without any, the partition waits", () => {
  const cluster = clusterOf(1);
  cluster.createTopic("orders", [2, 1], [2]);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 0 });
  expect(cluster.partitionState("orders", 1)).toBeUndefined();
  cluster.start(2);
  cluster.settle();
  expect(cluster.partitionState("orders", 1)).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 0 });
});

test("a broker's failure elects another leader and shrinks the ISRs; its return brings its replicas back as followers", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [2, 3, 1], [3, 1, 2]);
  cluster.settle();
  cluster.stop(2);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 3, isr: [3, 1], leaderEpoch: 1 });
  expect(cluster.partitionState("orders", 1)).toMatchObject({ leader: 3, isr: [3, 1], leaderEpoch: 1 });
  expect(cluster.broker(1).metadata.get("orders-0")).toEqual({ leader: 3, leaderEpoch: 1, offlineReplicas: [2] });
  expect(cluster.broker(1).hosted.get("orders-0")).toEqual({ leader: 3, leaderEpoch: 1 });
  cluster.start(2);
  cluster.settle();
  expect(cluster.broker(2).received.map(({ api }) => api)).toEqual(["updateMetadata", "leaderAndIsr", "updateMetadata"]);
  expect(cluster.broker(2).hosted.get("orders-0")).toEqual({ leader: 3, leaderEpoch: 1 });
  expect(cluster.broker(2).metadata.get("orders-1")).toEqual({ leader: 3, leaderEpoch: 1, offlineReplicas: [] });
  expect(received(cluster.broker(2), "leaderAndIsr")[0]?.topicStates[0]?.partitionStates[0]?.isNew).toBe(false);
  expect(errors(cluster)).toEqual([]);
});

test("brokers hear of a broker that comes or goes without leading anything", () => {
  const cluster = clusterOf(1, 2);
  const live = (): number[] | undefined => received(cluster.broker(1), "updateMetadata").at(-1)?.liveBrokers.map(({ id }) => id);
  expect(live()).toEqual([1, 2]);
  cluster.stop(2);
  cluster.settle();
  expect(live()).toEqual([1]);
});

test("the last replica in sync stays in the ISR, without a leader, and leads again when it is back", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [2]);
  cluster.settle();
  cluster.stop(2);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: -1, isr: [2], leaderEpoch: 1 });
  expect(cluster.broker(1).metadata.get("orders-0")).toEqual({ leader: -1, leaderEpoch: 1, offlineReplicas: [2] });
  cluster.start(2);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 2 });
});

test("a replica out of sync leads only where the topic, or the broker's default, allows an unclean election", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("kept", [2, 3]);
  cluster.createTopic("other", [2, 3]);
  cluster.createTopic("unclean", [2, 3]);
  cluster.run(writeConfig({ type: "topics", name: "unclean" }, new Map([["unclean.leader.election.enable", "true"]])));
  cluster.settle();
  cluster.stop(3);
  cluster.settle();
  cluster.stop(2);
  cluster.settle();
  cluster.start(3);
  cluster.settle();
  expect(cluster.partitionState("unclean", 0)).toMatchObject({ leader: 3, isr: [3] });
  expect(cluster.partitionState("kept", 0)).toMatchObject({ leader: -1, isr: [2] });
  for (const name of ["kept", "other"]) cluster.run(writeConfig({ type: "topics", name }, new Map([["unclean.leader.election.enable", "true"]])));
  cluster.controller.events.push({ kind: "uncleanElection", topic: "kept" });
  cluster.settle();
  expect(cluster.partitionState("kept", 0)).toMatchObject({ leader: 3, isr: [3] });
  expect(cluster.partitionState("other", 0)).toMatchObject({ leader: -1, isr: [2] });
  cluster.controller.events.push({ kind: "uncleanElection", topic: undefined });
  cluster.settle();
  expect(cluster.partitionState("other", 0)).toMatchObject({ leader: 3, isr: [3] });
});

test("a bounce is seen by the czxid: all leaders move, and the broker is told everything again", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [2, 1]);
  cluster.settle();
  const first = cluster.broker(2).epoch;
  cluster.stop(2);
  const again = cluster.start(2);
  cluster.settle();
  expect(again.epoch).toBeGreaterThan(first);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 1 });
  expect(again.hosted.get("orders-0")).toEqual({ leader: 1, leaderEpoch: 1 });
  expect(again.received.every(({ body }) => body.brokerEpoch === again.epoch)).toBe(true);
});

test("when the controller fails, another one takes over with the next epoch and what ZooKeeper holds", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [1, 2, 3]);
  cluster.settle();
  cluster.stop(1);
  cluster.settle();
  expect(cluster.controller.state.context.epoch).toBe(2);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, isr: [2, 3], controllerEpoch: 2 });
  expect([...cluster.brokers.values()].filter(({ state }) => state.active)).toHaveLength(1);
  expect(cluster.broker(3).metadata.get("orders-0")).toEqual(cluster.broker(2).metadata.get("orders-0"));
});

test("a controller that has lost its session without knowing is fenced in the middle of an event, and resigns", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [2, 1]);
  cluster.settle();
  const stale = cluster.broker(1);
  stale.events.push({ kind: "brokerChange" }, { kind: "rebalance" });
  cluster.createTopic("payments", [2, 1]);
  cluster.advance(stale);
  // The controller's znode goes to broker 2 while broker 1 still works on its event.
  cluster.zk.apply({ op: "delete", path: paths.controller, version: -1 });
  const other = cluster.broker(2);
  while (!other.state.active || other.step !== undefined) cluster.advance(other);
  const stateBefore = cluster.zk.version(paths.partitionState("payments", 0));
  while (stale.step !== undefined || stale.events.length > 0) cluster.advance(stale);
  expect(stale.state.active).toBe(false);
  expect(stale.state.controllerId).toBe(2);
  expect(cluster.zk.version(paths.partitionState("payments", 0))).toBe(stateBefore);
  expect(cluster.zk.data(paths.controllerEpoch)?.toString()).toBe("2");
  cluster.settle();
  expect(cluster.partitionState("payments", 0)).toMatchObject({ leader: 2, controllerEpoch: 2 });
});

test("when /controller is removed by hand, the controller resigns and an election follows", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [2, 1]);
  cluster.settle();
  cluster.zk.apply({ op: "delete", path: paths.controller, version: -1 });
  cluster.advance(cluster.broker(2));
  while (cluster.broker(2).step !== undefined) cluster.advance(cluster.broker(2));
  expect(cluster.broker(2).state.active).toBe(true);
  cluster.settle();
  expect(cluster.broker(1).state.active).toBe(false);
  expect(cluster.broker(1).channels.size).toBe(0);
  expect(cluster.broker(1).state.context.topics.size).toBe(0);
});

test("an answer of ZooKeeper that the controller has no use for makes it begin anew", () => {
  const cluster = clusterOf(1);
  const { session, state } = cluster.broker(1);
  const request = session.request.bind(session);
  let refusals = 0;
  session.request = (batch) => {
    const refused = refusals === 0 && batch.some(({ op }) => op === "getChildren");
    if (refused) refusals++;
    return request(batch).map((reply) => (refused ? { ...reply, code: ZkCode.NO_AUTH } : reply));
  };
  cluster.createTopic("orders", [1]);
  cluster.settle();
  expect(refusals).toBe(1);
  expect(errors(cluster)).toHaveLength(1);
  expect(errors(cluster)[0]).toContain("NO_AUTH to getChildren /brokers/topics");
  expect(state).toMatchObject({ active: true, context: { epoch: 2 } });
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, controllerEpoch: 2 });
});

test("a write refused by the epoch's check makes the controller resign and stand again", () => {
  const cluster = clusterOf(1);
  cluster.zk.apply(setData(paths.controllerEpoch, Buffer.from("7")));
  cluster.createTopic("orders", [1]);
  cluster.settle();
  expect(cluster.broker(1).logged).toContain("info no longer the controller");
  expect(cluster.controller.state.context.epoch).toBe(8);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, controllerEpoch: 8 });
});

test("an expired session: the controller resigns, registers with a new epoch, and stands again", () => {
  const cluster = clusterOf(1);
  cluster.createTopic("orders", [1]);
  cluster.settle();
  const before = cluster.broker(1).epoch;
  cluster.expireSession(1);
  cluster.settle();
  expect(cluster.broker(1).epoch).toBeGreaterThan(before);
  expect(cluster.zk.owner(paths.broker(1))).toBe(cluster.broker(1).session.id);
  expect(cluster.controller.state.context.epoch).toBe(2);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1] });
  expect(errors(cluster)).toEqual([]);
});

test("a lost reply to the election's transaction is recognised as the broker's own", () => {
  const cluster = new ClusterModel();
  const broker = cluster.start(1);
  while (broker.waiting[0]?.op !== "multi") cluster.advance(broker);
  cluster.replies(broker);
  cluster.advance(broker);
  cluster.settle();
  expect(cluster.controller.id).toBe(1);
  expect(cluster.controller.state.context).toMatchObject({ epoch: 1, epochZkVersion: 1 });
});

test("lost replies to the creation of a partition's state leave the partition online", () => {
  const cluster = clusterOf(1);
  cluster.createTopic("orders", [1]);
  const { controller } = cluster;
  while (controller.waiting[0]?.op !== "multi") cluster.advance(controller);
  cluster.replies(controller);
  cluster.settle();
  expect(controller.hosted.get("orders-0")).toEqual({ leader: 1, leaderEpoch: 0 });
  expect(errors(cluster)).toEqual([]);
});

test("a state that a leader changes during an election is read, and a leader elected, again", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [2, 3, 1]);
  cluster.settle();
  cluster.stop(2);
  const { controller } = cluster;
  while (!controller.waiting.some((request) => request.op === "multi" && request.ops.some(({ op }) => op === "setData"))) cluster.advance(controller);
  cluster.expandIsr("orders", 0, [2, 1]);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1], leaderEpoch: 1, zkVersion: 2 });
  expect(cluster.broker(3).hosted.get("orders-0")).toEqual({ leader: 1, leaderEpoch: 1 });
});

test("a state that a leader changes while a replica leaves the ISR is read and written again", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [2, 3, 1]);
  cluster.settle();
  cluster.expandIsr("orders", 0, [2]);
  cluster.settle();
  cluster.stop(2);
  const { controller } = cluster;
  const isStateWrite = (): boolean => controller.waiting.some((request) => request.op === "multi" && request.ops.some(({ path }) => path === paths.partitionState("orders", 0)));
  cluster.start(2);
  while (!isStateWrite()) cluster.advance(controller);
  cluster.expandIsr("orders", 0, [2, 3]);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 3, isr: [3] });
  expect(cluster.controller.state.context.partition("orders", 0)?.leadership).toEqual(cluster.partitionState("orders", 0));
});

test("partitions added to a topic go online; those added to a topic that is being deleted are taken back, unknown keys kept", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [1]);
  cluster.createTopic("waiting", [1], [3]);
  cluster.settle();
  cluster.growTopic("orders", [2, 1]);
  cluster.settle();
  expect(cluster.partitionState("orders", 1)).toMatchObject({ leader: 2, isr: [2, 1], leaderEpoch: 0 });
  cluster.deleteTopic("waiting");
  cluster.settle();
  const before = JSON.stringify({ version: 3, topic_id: "Zm9vYmFyYmF6cXV4cXV1eA", partitions: { 0: [1], 1: [3], 2: [1] } });
  cluster.zk.apply(setData(paths.topic("waiting"), Buffer.from(before)));
  cluster.settle();
  expect(cluster.zk.json(paths.topic("waiting"))).toEqual({ version: 3, topic_id: "Zm9vYmFyYmF6cXV4cXV1eA", partitions: { 0: [1] }, adding_replicas: {}, removing_replicas: {} });
});

test("a deletion removes the topic from every broker, then its znodes", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [1, 2]);
  cluster.run(writeConfig({ type: "topics", name: "orders" }, new Map([["retention.ms", "1"]])));
  cluster.settle();
  cluster.broker(2).received.length = 0;
  cluster.deleteTopic("orders");
  cluster.settle();
  const [announced] = received(cluster.broker(2), "updateMetadata");
  expect(announced?.topicStates[0]?.partitionStates[0]).toMatchObject({ leader: -2, leaderEpoch: 0, zkVersion: 0, isr: [1, 2] });
  const stops = received(cluster.broker(2), "stopReplica").map(({ topicStates }) => topicStates[0]?.partitionStates[0]);
  expect(stops).toEqual([
    { partitionIndex: 0, leaderEpoch: -2, deletePartition: false },
    { partitionIndex: 0, leaderEpoch: -2, deletePartition: true },
  ]);
  expect(cluster.zk.children("/brokers/topics")).toEqual([]);
  expect(cluster.zk.children("/config/topics")).toEqual([]);
  expect(cluster.zk.children(paths.deleteTopics)).toEqual([]);
  expect(cluster.broker(2).metadata.size).toBe(0);
  expect(cluster.controller.state.context.topics.size).toBe(0);
  cluster.createTopic("orders", [2]);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, leaderEpoch: 0 });
  expect(errors(cluster)).toEqual([]);
});

test("a deletion waits for an offline replica, also across a change of controller", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [1, 3], [2, 1]);
  cluster.settle();
  cluster.stop(3);
  cluster.settle();
  cluster.deleteTopic("orders");
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(true);
  expect(cluster.broker(2).metadata.size).toBe(0);
  cluster.stop(cluster.controller.id);
  cluster.settle();
  expect(cluster.zk.has(paths.deleteTopic("orders"))).toBe(true);
  cluster.start(1);
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(true);
  cluster.start(3);
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(false);
  expect(cluster.zk.has(paths.deleteTopic("orders"))).toBe(false);
  expect(errors(cluster)).toEqual([]);
});

test("a replica whose broker fails during the deletion is deleted when the broker is back", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [1, 2]);
  cluster.settle();
  cluster.deleteTopic("orders");
  cluster.advance(cluster.controller);
  while (cluster.controller.step !== undefined) cluster.advance(cluster.controller);
  cluster.stop(2);
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(true);
  cluster.start(2);
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(false);
});

test("a replica that can't delete its log holds the deletion up until its broker starts again, without being asked meanwhile", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [1, 2]);
  cluster.settle();
  cluster.broker(2).brokenDirs.add("orders-0");
  cluster.deleteTopic("orders");
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(true);
  expect(received(cluster.broker(2), "stopReplica").filter(({ topicStates }) => topicStates[0]?.partitionStates[0]?.deletePartition)).toHaveLength(1);
  cluster.stop(2);
  cluster.start(2);
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(false);
  expect(received(cluster.broker(1), "stopReplica").filter(({ topicStates }) => topicStates[0]?.partitionStates[0]?.deletePartition)).toHaveLength(1);
});

test("znodes that appear below a topic while it is removed are removed too", () => {
  const cluster = clusterOf(1);
  cluster.createTopic("orders", [1]);
  cluster.settle();
  cluster.deleteTopic("orders");
  const removesTopic = (): boolean => cluster.controller.waiting.some((request) => request.op === "multi" && request.ops.some(({ path }) => path === paths.topic("orders")));
  while (!removesTopic()) must(cluster.possible()[0], "action")();
  cluster.zk.apply(create(`${paths.partitions("orders")}/late`, null));
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(false);
  expect(errors(cluster)).toEqual([]);
});

test("a deletion goes on when, at once, a broker that it waited for starts and another one bounces", () => {
  const cluster = clusterOf(3, 1, 2);
  cluster.createTopic("orders", [1], [2]);
  cluster.settle();
  cluster.stop(1);
  cluster.settle();
  cluster.deleteTopic("orders");
  cluster.settle();
  cluster.start(1);
  cluster.stop(2);
  cluster.start(2);
  cluster.settle();
  expect(cluster.zk.has(paths.topic("orders"))).toBe(false);
  expect(cluster.brokers.get(2)?.received.every(({ body }) => body.brokerEpoch === cluster.broker(2).epoch)).toBe(true);
});

test("requests to delete unknown topics are removed, and all of them where delete.topic.enable is false", () => {
  const cluster = clusterOf(1);
  cluster.zk.apply(create(paths.deleteTopic("nothing"), null));
  cluster.settle();
  expect(cluster.zk.children(paths.deleteTopics)).toEqual([]);
  const locked = new ClusterModel({ deleteTopicEnable: false });
  locked.start(1);
  locked.createTopic("orders", [1]);
  locked.settle();
  locked.deleteTopic("orders");
  locked.settle();
  expect(locked.zk.children(paths.deleteTopics)).toEqual([]);
  expect(locked.partitionState("orders", 0)).toMatchObject({ leader: 1 });
});

test("an ISR that a leader has written reaches every broker, and the notification goes", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [1, 2]);
  cluster.settle();
  cluster.expandIsr("orders", 0, [1]);
  cluster.settle();
  expect(cluster.zk.children(paths.isrChanges)).toEqual([]);
  expect(cluster.controller.state.context.partition("orders", 0)?.leadership).toMatchObject({ isr: [1], zkVersion: 1 });
  expect(received(cluster.broker(2), "updateMetadata").at(-1)).toMatchObject({ topicStates: [{ partitionStates: [{ isr: [1], zkVersion: 1 }] }] });
});

test("a failed log directory is found by the answers to LeaderAndIsr, and its replicas go offline", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [2, 1], [2, 1]);
  cluster.settle();
  cluster.broker(2).brokenDirs.add("orders-0");
  cluster.zk.apply(create(paths.newLogDirEvent, Buffer.from('{"version":1,"broker":2,"event":1}'), "persistentSequential"));
  cluster.settle();
  expect(cluster.zk.children(paths.logDirEvents)).toEqual([]);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1] });
  expect(cluster.partitionState("orders", 1)).toMatchObject({ leader: 2, isr: [2, 1] });
  expect(cluster.broker(1).metadata.get("orders-0")?.offlineReplicas).toEqual([2]);
});

test("other endpoints of a live broker are told to every broker", () => {
  const cluster = clusterOf(1, 2);
  const moved = { ...registrationOf(2), endpoints: [{ listenerName: "PLAINTEXT", host: "elsewhere", port: 9093, securityProtocol: "PLAINTEXT" as const }] };
  cluster.zk.apply(setData(paths.broker(2), encodeBrokerRegistration(moved, 9)));
  cluster.settle();
  expect(received(cluster.broker(1), "updateMetadata").at(-1)?.liveBrokers[1]?.endpoints).toMatchObject([{ host: "elsewhere", port: 9093 }]);
});

test("leaders go back to their preferred replicas, on request and by the periodic rebalance", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [2, 1], [1, 2]);
  cluster.settle();
  cluster.stop(2);
  cluster.settle();
  cluster.start(2);
  cluster.settle();
  cluster.expandIsr("orders", 0, [1, 2]);
  cluster.settle();
  cluster.zk.apply(create(paths.preferredElection, encodePreferredElection([{ topic: "orders", partition: 0 }, { topic: "orders", partition: 7 }])));
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, isr: [1, 2], leaderEpoch: 2 });
  expect(cluster.zk.has(paths.preferredElection)).toBe(false);
  cluster.stop(2);
  cluster.settle();
  cluster.start(2);
  cluster.settle();
  cluster.controller.events.push({ kind: "rebalance" });
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1 });
  cluster.expandIsr("orders", 0, [1, 2]);
  cluster.controller.events.push({ kind: "rebalance" });
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2 });
  expect(cluster.controller.timers).toBe(3);
});

test("a znode that can't be read costs its own topic or broker only", () => {
  const cluster = clusterOf(1);
  cluster.zk.apply(create(paths.topic("broken"), Buffer.from("{")));
  cluster.zk.apply(create(paths.broker(9), Buffer.from('{"version":0}')));
  cluster.createTopic("orders", [1]);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1 });
  expect(errors(cluster).some((line) => line.includes("/brokers/topics/broken"))).toBe(true);
  expect(errors(cluster).some((line) => line.includes("/brokers/ids/9"))).toBe(true);
  expect(cluster.controller.state.active).toBe(true);
});

test("a broker without a finalized feature is left out", () => {
  const cluster = new ClusterModel();
  const feature = { version: 1, status: 1, features: { tiered: { min_version_level: 1, max_version_level: 2 } } };
  cluster.zk.apply(create(paths.feature, Buffer.from(JSON.stringify(feature))));
  cluster.start(1);
  const ranges = [[2, { min: 1, max: 3 }], [3, { min: 1, max: 1 }], [4, { min: 2, max: 2 }]] as const;
  for (const [id, range] of ranges) cluster.zk.apply(create(paths.broker(id), encodeBrokerRegistration({ ...registrationOf(id), features: new Map([["tiered", range]]) }, 5), "ephemeral"));
  cluster.settle();
  expect([...cluster.controller.state.context.brokers.keys()]).toEqual([2]);
});

test("features that an older inter.broker.protocol.version has switched off are switched on, empty", () => {
  const cluster = new ClusterModel();
  cluster.zk.apply(create(paths.feature, Buffer.from('{"version":1,"status":0,"features":{}}')));
  cluster.start(1);
  cluster.settle();
  expect(cluster.zk.json(paths.feature)).toEqual({ version: 1, status: 1, features: {} });
});
