import { expect, test } from "vitest";
import { must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { controlledShutdownResponse } from "../protocol/messages/controlled-shutdown.ts";
import { encodeBrokerRegistration } from "../znodes/broker.ts";
import { encodePreferredElection } from "../znodes/notifications.ts";
import { writeConfig } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { create, setData } from "../znodes/requests.ts";
import type { Answer, ControlRequest } from "./effects.ts";
import { ClusterModel, registrationOf, type ModelBroker } from "./testing/cluster-model.ts";

type Response = Extract<Answer, { api: "controlledShutdown" }>["response"];

function clusterOf(...ids: number[]): ClusterModel {
  const cluster = new ClusterModel();
  for (const id of ids) cluster.start(id);
  cluster.settle();
  return cluster;
}

function shutDown(cluster: ClusterModel, broker: number, epoch?: number): Response {
  const { controller } = cluster;
  const ticket = cluster.controlledShutdown(broker, epoch);
  cluster.settle();
  const answer = controller.answers.get(ticket);
  if (answer === undefined || answer === "refused" || answer.api !== "controlledShutdown") throw new Error("no answer");
  return answer.response;
}

type Body<A extends ControlRequest["api"]> = Extract<ControlRequest, { api: A }>["body"];

function received<A extends ControlRequest["api"]>(broker: ModelBroker, api: A): Body<A>[] {
  return broker.received.flatMap((request) => (request.api === api ? [request.body as Body<A>] : []));
}

const done = { errorCode: ErrorCode.NONE, remainingPartitions: [] };

/** Broker 1 is the controller. Broker 2 leads `orders-0` and follows in `orders-1`. */
function cluster123(): ClusterModel {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [2, 3, 1], [3, 2, 1]);
  cluster.settle();
  for (const broker of cluster.brokers.values()) broker.received.length = 0;
  return cluster;
}

test("others lead what the broker led, it leaves all ISRs, and every broker hears of it before the answer says that nothing remains", () => {
  const cluster = cluster123();
  const response = shutDown(cluster, 2);
  expect(response).toEqual(done);
  expect(controlledShutdownResponse.decode(controlledShutdownResponse.encode(response, 3), 3)).toEqual(done);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 3, isr: [3, 1], leaderEpoch: 1 });
  expect(cluster.partitionState("orders", 1)).toMatchObject({ leader: 3, isr: [3, 1], leaderEpoch: 1 });
  for (const id of [1, 3]) {
    expect(cluster.broker(id).hosted.get("orders-0")).toEqual({ leader: 3, leaderEpoch: 1 });
    expect(cluster.broker(id).hosted.get("orders-1")).toEqual({ leader: 3, leaderEpoch: 1 });
  }
  // The broker itself learns whom it follows in what it led, and nothing of what it followed but to stop, with the epoch from before.
  expect(cluster.broker(2).hosted.get("orders-0")).toEqual({ leader: 3, leaderEpoch: 1 });
  expect(received(cluster.broker(2), "stopReplica")[0]?.topicStates).toEqual([{ topicName: "orders", partitionStates: [{ partitionIndex: 1, leaderEpoch: 0, deletePartition: false }] }]);
  expect(cluster.broker(1).metadata.get("orders-1")).toEqual({ leader: 3, leaderEpoch: 1, offlineReplicas: [2] });
  expect(cluster.controller.logged).toContain("info broker shuts down");
});

test("StopReplica for what the broker follows goes out before the ISRs are written", () => {
  const cluster = cluster123();
  cluster.controlledShutdown(2);
  const { controller } = cluster;
  const writesFollowed = (): boolean => controller.waiting.some((request) => request.op === "multi" && request.ops.some(({ op, path }) => op === "setData" && path === paths.partitionState("orders", 1)));
  while (!writesFollowed()) cluster.advance(controller);
  expect(controller.channels.get(2)?.queue.map(({ api }) => api)).toContain("stopReplica");
});

test("partitions that nobody else has are left alone and do not count as remaining; without another replica in sync they remain", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("alone", [2]);
  cluster.createTopic("last", [2, 3]);
  cluster.createTopic("other", [2, 1]);
  cluster.settle();
  cluster.stop(3);
  cluster.settle();
  expect(shutDown(cluster, 2)).toEqual({ errorCode: 0, remainingPartitions: [{ topicName: "last", partitionIndex: 0 }] });
  expect(cluster.partitionState("alone", 0)).toMatchObject({ leader: 2, leaderEpoch: 0 });
  expect(cluster.partitionState("last", 0)).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 1 });
  expect(cluster.partitionState("other", 0)).toMatchObject({ leader: 1, isr: [1] });
  expect(received(cluster.broker(2), "stopReplica")).toEqual([]);
  // A follower comes back and catches up: asked again, nothing remains.
  cluster.start(3);
  cluster.settle();
  cluster.propose(2, "last", 0, [2, 3]);
  cluster.settle();
  expect(shutDown(cluster, 2)).toEqual(done);
  expect(cluster.partitionState("last", 0)).toMatchObject({ leader: 3, isr: [3] });
});

test("asked twice, it is the same; no leader changes again", () => {
  const cluster = cluster123();
  shutDown(cluster, 2);
  const before = [cluster.partitionState("orders", 0), cluster.partitionState("orders", 1)];
  expect(shutDown(cluster, 2)).toEqual(done);
  expect([cluster.partitionState("orders", 0), cluster.partitionState("orders", 1)]).toEqual(before);
});

test("the controller can shut down itself, and stays the controller until it stops", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("orders", [1, 2]);
  cluster.settle();
  expect(shutDown(cluster, 1)).toEqual(done);
  expect(cluster.controller.id).toBe(1);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, isr: [2] });
  cluster.stop(1);
  cluster.settle();
  expect(cluster.controller.id).toBe(2);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, isr: [2], leaderEpoch: 1 });
});

test("a broker that is not known, or asks with an older epoch, is refused and changes nothing; -1 and a newer epoch pass", () => {
  const cluster = cluster123();
  const { epoch } = cluster.broker(2);
  expect(shutDown(cluster, 9, 5)).toEqual({ errorCode: ErrorCode.BROKER_NOT_AVAILABLE, remainingPartitions: [] });
  expect(shutDown(cluster, 2, epoch - 1)).toEqual({ errorCode: ErrorCode.STALE_BROKER_EPOCH, remainingPartitions: [] });
  expect(cluster.controller.state.context.shuttingDown.size).toBe(0);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, leaderEpoch: 0 });
  expect(shutDown(cluster, 2, -1)).toEqual(done);
  expect(shutDown(cluster, 3, epoch + 100)).toMatchObject({ errorCode: 0 });
});

test("a topic that is being deleted is left to its deletion", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("going", [2, 3, 9], [3, 2, 9], [2, 9]);
  cluster.settle();
  // The deletion waits for broker 9 from the beginning of the next controller, so that the leaders stay.
  cluster.deleteTopic("going");
  cluster.stop(1);
  cluster.settle();
  const states = (): unknown[] => [0, 1, 2].map((partition) => cluster.partitionState("going", partition));
  const before = states();
  cluster.broker(2).received.length = 0;
  expect(shutDown(cluster, 2)).toEqual(done);
  expect(states()).toEqual(before);
  expect(received(cluster.broker(2), "stopReplica")).toEqual([]);
});

test("two that shut down do not elect each other", () => {
  const cluster = cluster123();
  shutDown(cluster, 3);
  expect(shutDown(cluster, 2)).toEqual(done);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1] });
  expect(shutDown(cluster, 1).remainingPartitions).toHaveLength(2);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1] });
});

test("a broker that shuts down is not in a new topic's ISR, but is told to every broker as live, its replicas as offline", () => {
  const cluster = clusterOf(1, 2);
  shutDown(cluster, 2);
  cluster.createTopic("orders", [2, 1], [2]);
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1, isr: [1] });
  expect(cluster.partitionState("orders", 1)).toBeUndefined();
  const told = received(cluster.broker(1), "updateMetadata").at(-1);
  expect(told?.liveBrokers.map(({ id }) => id)).toEqual([1, 2]);
  expect(told?.liveBrokers[1]?.endpoints).toMatchObject([{ host: "host2" }]);
  expect(cluster.broker(1).metadata.get("orders-0")?.offlineReplicas).toEqual([2]);
});

test("a broker that shuts down leads nothing again, neither by the rebalance, nor on request, nor by an unclean election, nor for having caught up", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [2, 1]);
  cluster.createTopic("last", [3, 2]);
  cluster.run(writeConfig({ type: "topics", name: "last" }, new Map([["unclean.leader.election.enable", "true"]])));
  cluster.settle();
  shutDown(cluster, 2);
  // Its follower fetches on, and comes back into the ISR, by either way of telling it.
  const ticket = cluster.propose(1, "orders", 0, [1, 2]);
  cluster.settle();
  expect(cluster.controller.answers.get(must(ticket, "ticket"))).toMatchObject({ response: { topics: [{ partitions: [{ errorCode: 0, isr: [1, 2] }] }] } });
  cluster.expandIsr("orders", 0, [1]);
  cluster.expandIsr("orders", 0, [1, 2]);
  cluster.settle();
  cluster.controller.events.push({ kind: "rebalance" });
  cluster.settle();
  cluster.zk.apply(create(paths.preferredElection, encodePreferredElection([{ topic: "orders", partition: 0 }])));
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 1 });
  cluster.stop(3);
  cluster.settle();
  cluster.controller.events.push({ kind: "uncleanElection", topic: "last" });
  cluster.settle();
  expect(cluster.partitionState("last", 0)).toMatchObject({ leader: -1, isr: [3] });
});

test("other endpoints leave a shutdown under way as it is", () => {
  const cluster = cluster123();
  shutDown(cluster, 2);
  cluster.zk.apply(setData(paths.broker(2), encodeBrokerRegistration({ ...registrationOf(2), endpoints: [{ listenerName: "PLAINTEXT", host: "elsewhere", port: 1, securityProtocol: "PLAINTEXT" }] }, 9)));
  cluster.settle();
  expect([...cluster.controller.state.context.shuttingDown]).toEqual([2]);
  expect(received(cluster.broker(1), "updateMetadata").at(-1)?.liveBrokers[1]).toMatchObject({ id: 2, endpoints: [{ host: "elsewhere" }] });
});

test("its end and its return make it a broker like the others", () => {
  const cluster = cluster123();
  shutDown(cluster, 2);
  cluster.stop(2);
  cluster.settle();
  expect(cluster.controller.state.context.shuttingDown.size).toBe(0);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 3, isr: [3, 1], leaderEpoch: 1 });
  cluster.start(2);
  cluster.settle();
  cluster.propose(3, "orders", 0, [3, 1, 2]);
  cluster.settle();
  cluster.controller.events.push({ kind: "rebalance" });
  cluster.settle();
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 2, isr: [3, 1, 2] });
});

test("a bounce, too, ends the shutdown, and a late request of the earlier life is refused", () => {
  const cluster = cluster123();
  const { epoch } = cluster.broker(2);
  shutDown(cluster, 2);
  cluster.stop(2);
  cluster.start(2);
  cluster.settle();
  expect(cluster.controller.state.context.shuttingDown.size).toBe(0);
  expect(shutDown(cluster, 2, epoch).errorCode).toBe(ErrorCode.STALE_BROKER_EPOCH);
  expect(cluster.controller.state.context.isLive(2)).toBe(true);
});

test("lost replies and a leader that changes an ISR meanwhile do not keep the broker in", () => {
  const cluster = cluster123();
  const { controller } = cluster;
  const ticket = cluster.controlledShutdown(2);
  for (let turn = 0; controller.step !== undefined || controller.events.length > 0; turn++) {
    if (controller.step !== undefined && turn < 6) cluster.replies(controller);
    if (turn === 3) cluster.expandIsr("orders", 1, [3, 2]);
    cluster.advance(controller);
  }
  cluster.settle();
  expect(controller.answers.get(ticket)).toEqual({ api: "controlledShutdown", response: done });
  for (const partition of [0, 1]) expect(cluster.partitionState("orders", partition)?.isr).not.toContain(2);
});

test("a controller that moves in the middle gives no answer; the next one is asked, and does it", () => {
  const cluster = cluster123();
  cluster.zk.apply(setData(paths.controllerEpoch, Buffer.from("7")));
  const { controller } = cluster;
  const ticket = cluster.controlledShutdown(2);
  cluster.settle();
  expect(controller.answers.get(ticket)).toBe("refused");
  expect(shutDown(cluster, 2)).toEqual(done);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ leader: 3, isr: [3, 1] });
});
