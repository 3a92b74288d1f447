import { expect, test } from "vitest";
import { must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { alterIsrResponse } from "../protocol/messages/alter-isr.ts";
import { paths } from "../znodes/paths.ts";
import { remove, setData, ZkCode, type ZkReply } from "../znodes/requests.ts";
import type { Answer } from "./effects.ts";
import { ClusterModel, type AskedIsr, type ModelBroker } from "./testing/cluster-model.ts";

type Response = Extract<Answer, { api: "alterIsr" }>["response"];

function clusterOf(...ids: number[]): ClusterModel {
  const cluster = new ClusterModel();
  for (const id of ids) cluster.start(id);
  cluster.settle();
  return cluster;
}

/** Broker 1 is the controller and leads `orders-0`, with 2 and 3 as followers. */
function led(): ClusterModel {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("orders", [1, 2, 3], [2, 3, 1]);
  cluster.settle();
  for (const { received } of cluster.brokers.values()) received.length = 0;
  return cluster;
}

const asked = (change: Partial<AskedIsr> = {}): AskedIsr => ({ topic: "orders", partition: 0, leaderEpoch: 0, isr: [1, 2], zkVersion: 0, ...change });

function answered(cluster: ClusterModel, ticket: number): Response {
  for (const { answers } of cluster.brokers.values()) {
    const answer = answers.get(ticket);
    if (answer !== undefined && answer !== "refused" && answer.api === "alterIsr") return answer.response;
  }
  throw new Error(`ticket ${ticket} has no answer`);
}

/** Asks, lets everything happen, and returns the answer. */
function ask(cluster: ClusterModel, brokerId: number, ...changes: readonly AskedIsr[]): Response {
  const ticket = cluster.alterIsr(brokerId, changes);
  cluster.settle();
  return answered(cluster, ticket);
}

function codes(response: Response): (number | undefined)[] {
  return response.topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode));
}

const told = (broker: ModelBroker): string[] =>
  broker.received.flatMap(({ api, body }) =>
    "topicStates" in body ? body.topicStates.flatMap(({ topicName, partitionStates }) => partitionStates.map(({ partitionIndex }) => `${api} ${topicName}-${partitionIndex}`)) : [],
  );

const isWrite = (broker: ModelBroker): boolean => broker.waiting.some((request) => request.op === "multi" && request.ops.some(({ op }) => op === "setData"));

test("a leader's ISR is written; the answer has the new version; every broker hears by UpdateMetadata, and nobody by LeaderAndIsr", () => {
  const cluster = led();
  const response = ask(cluster, 1, asked());
  expect(response).toEqual({ errorCode: 0, topics: [{ name: "orders", partitions: [{ partitionIndex: 0, errorCode: 0, leaderId: 1, leaderEpoch: 0, isr: [1, 2], currentIsrVersion: 1 }] }] });
  expect(cluster.zk.json(paths.partitionState("orders", 0))).toEqual({ controller_epoch: 1, leader: 1, version: 1, leader_epoch: 0, isr: [1, 2] });
  expect(cluster.controller.state.context.partition("orders", 0)?.leadership).toEqual(cluster.partitionState("orders", 0));
  for (const broker of cluster.brokers.values()) expect(told(broker)).toEqual(["updateMetadata orders-0"]);
  expect(cluster.broker(3).received[0]?.body).toMatchObject({ topicStates: [{ partitionStates: [{ leader: 1, leaderEpoch: 0, isr: [1, 2], zkVersion: 1 }] }] });
  expect(cluster.controller.logged).toContain("info ISRs altered");
  expect(alterIsrResponse.decode(alterIsrResponse.encode(response, 0), 0)).toMatchObject({ topics: [{ partitions: [{ isr: [1, 2], currentIsrVersion: 1 }] }] });
});

test("a request with another broker epoch, lower or higher, or of an unknown broker is refused as a whole", () => {
  const cluster = led();
  const { epoch } = cluster.broker(1);
  const tickets = [cluster.alterIsr(1, [asked()], epoch - 1), cluster.alterIsr(1, [asked()], epoch + 1), cluster.alterIsr(1, [asked()], -1), cluster.alterIsr(9, [asked()], epoch)];
  cluster.settle();
  for (const ticket of tickets) expect(answered(cluster, ticket)).toEqual({ errorCode: ErrorCode.STALE_BROKER_EPOCH, topics: [] });
  expect(cluster.partitionState("orders", 0)).toMatchObject({ isr: [1, 2, 3], zkVersion: 0 });
  expect(told(cluster.broker(2))).toEqual([]);
});

test("each partition is judged by itself, and those that fail are announced with the others", () => {
  const cluster = led();
  cluster.createTopic("waiting", [9]);
  cluster.settle();
  cluster.stop(3);
  cluster.settle();
  const leaderEpoch = must(cluster.partitionState("orders", 0), "state").leaderEpoch;
  const zkVersion = must(cluster.partitionState("orders", 0), "state").zkVersion;
  for (const { received } of cluster.brokers.values()) received.length = 0;
  const response = ask(
    cluster,
    1,
    asked({ topic: "nothing" }),
    asked({ partition: 7 }),
    asked({ topic: "waiting" }),
    asked({ partition: 1, leaderEpoch: 1, isr: [1, 2], zkVersion: 1 }),
    asked({ leaderEpoch, isr: [1], zkVersion }),
  );
  const { UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST, NONE } = ErrorCode;
  expect(response.topics.map(({ name }) => name)).toEqual(["nothing", "orders", "waiting"]);
  expect(codes(response)).toEqual([UNKNOWN_TOPIC_OR_PARTITION, UNKNOWN_TOPIC_OR_PARTITION, INVALID_REQUEST, NONE, UNKNOWN_TOPIC_OR_PARTITION]);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ isr: [1] });
  // `waiting` has no state to tell of.
  expect(told(cluster.broker(2)).toSorted()).toEqual(["updateMetadata orders-0", "updateMetadata orders-1"]);
});

test("the leader epoch must be the one in force: a lower one is fenced, a higher one is no valid request", () => {
  const cluster = led();
  cluster.stop(3);
  cluster.settle();
  const { leaderEpoch, zkVersion } = must(cluster.partitionState("orders", 0), "state");
  expect(leaderEpoch).toBe(1);
  expect(codes(ask(cluster, 1, asked({ leaderEpoch: 0, isr: [1], zkVersion })))).toEqual([ErrorCode.FENCED_LEADER_EPOCH]);
  expect(codes(ask(cluster, 1, asked({ leaderEpoch: 2, isr: [1], zkVersion })))).toEqual([ErrorCode.INVALID_REQUEST]);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ isr: [1, 2], zkVersion });
  expect(told(cluster.broker(2)).at(-1)).toBe("updateMetadata orders-0");
});

test("an ISR that is empty, lacks the leader, has a stranger or somebody twice, or comes from a follower is no valid request", () => {
  const cluster = led();
  const requests: [number, number[]][] = [[1, []], [1, [2, 3]], [1, [1, 4]], [1, [1, 2, 2]], [2, [1, 2]], [2, [2]]];
  for (const [broker, isr] of requests) expect({ broker, isr, codes: codes(ask(cluster, broker, asked({ isr }))) }).toEqual({ broker, isr, codes: [ErrorCode.INVALID_REQUEST] });
  expect(cluster.partitionState("orders", 0)).toMatchObject({ isr: [1, 2, 3], zkVersion: 0 });
});

test("what is in force already succeeds with ZooKeeper's version, whatever the order and the version asked with, and is not written again", () => {
  const cluster = led();
  expect(ask(cluster, 1, asked({ isr: [3, 1, 2], zkVersion: 5 })).topics[0]?.partitions[0]).toMatchObject({ errorCode: 0, isr: [1, 2, 3], currentIsrVersion: 0 });
  expect(cluster.zk.version(paths.partitionState("orders", 0))).toBe(0);
});

test("the same request again, since its answer was lost, succeeds at the same controller and at the next one", () => {
  const cluster = led();
  const change = asked({ partition: 1, isr: [2, 1] });
  ask(cluster, 2, change);
  expect(ask(cluster, 2, change).topics[0]?.partitions[0]).toMatchObject({ errorCode: 0, isr: [2, 1], currentIsrVersion: 1 });
  // The controller, which is no longer in that ISR, dies; the epoch is the same.
  ask(cluster, 2, asked({ partition: 1, isr: [2], zkVersion: 1 }));
  cluster.stop(1);
  cluster.settle();
  expect(cluster.controller.id).toBe(2);
  expect(ask(cluster, 2, asked({ partition: 1, isr: [2], zkVersion: 1 })).topics[0]?.partitions[0]).toMatchObject({ errorCode: 0, isr: [2], currentIsrVersion: 2, leaderEpoch: 0 });
});

test("a write whose reply ZooKeeper lost is recognised as this controller's own", () => {
  const cluster = led();
  const ticket = cluster.alterIsr(1, [asked()]);
  while (!isWrite(cluster.controller)) cluster.advance(cluster.controller);
  cluster.replies(cluster.controller);
  cluster.settle();
  expect(answered(cluster, ticket).topics[0]?.partitions[0]).toMatchObject({ errorCode: 0, isr: [1, 2], currentIsrVersion: 1 });
  expect(cluster.controller.state.context.partition("orders", 0)?.leadership).toEqual(cluster.partitionState("orders", 0));
});

test("a version that is not ZooKeeper's is refused; what is there is read, so that it succeeds when asked for", () => {
  const cluster = led();
  cluster.expandIsr("orders", 0, [1, 3]);
  cluster.zk.apply(remove(`${paths.isrChanges}/isr_change_0000000000`));
  expect(codes(ask(cluster, 1, asked({ isr: [1, 2] })))).toEqual([ErrorCode.INVALID_UPDATE_VERSION]);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ isr: [1, 3], zkVersion: 1 });
  expect(cluster.controller.state.context.partition("orders", 0)?.leadership).toEqual(cluster.partitionState("orders", 0));
  expect(ask(cluster, 1, asked({ isr: [1, 3] })).topics[0]?.partitions[0]).toMatchObject({ errorCode: 0, currentIsrVersion: 1 });
});

test("the leader's version counts, not the controller's: one that has not seen the last change is refused, one from nowhere too", () => {
  const cluster = led();
  ask(cluster, 1, asked());
  for (const zkVersion of [0, 2]) expect(codes(ask(cluster, 1, asked({ isr: [1], zkVersion })))).toEqual([ErrorCode.INVALID_UPDATE_VERSION]);
  expect(cluster.partitionState("orders", 0)).toMatchObject({ isr: [1, 2], zkVersion: 1 });
});

test("the ISR asked for, but written under an earlier controller, is not this controller's own write", () => {
  const cluster = led();
  cluster.stop(1);
  cluster.start(1);
  cluster.settle();
  expect(cluster.controller.state.context.epoch).toBe(2);
  // Partition 1 was written by epoch 2, since broker 1 left its ISR; its leader writes as one of an older protocol, with an older epoch.
  const { zkVersion, leaderEpoch } = must(cluster.partitionState("orders", 1), "state");
  const state = JSON.stringify({ controller_epoch: 1, leader: 2, version: 1, leader_epoch: leaderEpoch, isr: [2] });
  cluster.zk.apply(setData(paths.partitionState("orders", 1), Buffer.from(state)));
  expect(codes(ask(cluster, 2, asked({ partition: 1, leaderEpoch, isr: [2], zkVersion })))).toEqual([ErrorCode.INVALID_UPDATE_VERSION]);
});

test("a state of a newer controller is not taken over", () => {
  const cluster = led();
  const state = JSON.stringify({ controller_epoch: 9, leader: 2, version: 1, leader_epoch: 4, isr: [2] });
  cluster.zk.apply(setData(paths.partitionState("orders", 0), Buffer.from(state)));
  expect(codes(ask(cluster, 1, asked()))).toEqual([ErrorCode.INVALID_UPDATE_VERSION]);
  expect(cluster.controller.state.context.partition("orders", 0)?.leadership).toMatchObject({ leader: 1, leaderEpoch: 0, controllerEpoch: 1 });
});

test("a write that ZooKeeper refuses is to be sent again, or is final where the topic is being deleted; the others succeed", () => {
  const cluster = led();
  cluster.createTopic("going", [2, 9]);
  cluster.createTopic("payments", [2, 3]);
  cluster.settle();
  // The deletion waits for broker 9 from the beginning of the next controller, so that the leader stays.
  cluster.deleteTopic("going");
  cluster.stop(1);
  cluster.settle();
  for (const topic of ["orders", "going"]) cluster.zk.apply(remove(paths.partitionState(topic, topic === "orders" ? 1 : 0)));
  const { leaderEpoch } = must(cluster.controller.state.context.partition("orders", 1)?.leadership, "leadership");
  const response = ask(cluster, 2, asked({ partition: 1, leaderEpoch, isr: [2] }), asked({ topic: "going", isr: [2, 9] }), asked({ topic: "payments", isr: [2] }));
  expect(codes(response)).toEqual([ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NONE]);
  expect(cluster.controller.state.active).toBe(true);
  expect(told(cluster.broker(3)).slice(-3).toSorted()).toEqual(["updateMetadata going-0", "updateMetadata orders-1", "updateMetadata payments-0"]);
});

test("a state that can't be read after a refused write is to be sent again", () => {
  const cluster = led();
  cluster.zk.apply(setData(paths.partitionState("orders", 0), Buffer.from("{")));
  expect(codes(ask(cluster, 1, asked()))).toEqual([ErrorCode.UNKNOWN_SERVER_ERROR]);
  expect(cluster.controller.state.context.partition("orders", 0)?.leadership).toMatchObject({ isr: [1, 2, 3] });
});

test("members that are dead or shut down are not refused: a leader would count them for ever", () => {
  const cluster = led();
  cluster.controlledShutdown(2);
  cluster.settle();
  cluster.stop(3);
  cluster.settle();
  const { leaderEpoch, zkVersion } = must(cluster.partitionState("orders", 0), "state");
  expect(codes(ask(cluster, 1, asked({ leaderEpoch, isr: [1, 2, 3], zkVersion })))).toEqual([0]);
});

test("a controller that has moved gives no answer of its own and writes nothing", () => {
  const cluster = led();
  cluster.zk.apply(setData(paths.controllerEpoch, Buffer.from("7")));
  const { controller } = cluster;
  const ticket = cluster.alterIsr(1, [asked()]);
  cluster.settle();
  expect(controller.answers.get(ticket)).toBe("refused");
  expect(controller.logged).toContain("info no longer the controller");
  expect(cluster.partitionState("orders", 0)).toMatchObject({ isr: [1, 2, 3] });
});

test("an answer of ZooKeeper that means nothing makes the controller begin anew, and the leader ask again", () => {
  const cluster = led();
  const { controller } = cluster;
  const request = controller.session.request.bind(controller.session);
  let refusals = 0;
  controller.session.request = (batch) => {
    const refuses = refusals === 0 && batch.some(({ op }) => op === "multi");
    if (refuses) refusals++;
    return request(batch).map((reply): ZkReply => (refuses ? { ...reply, code: ZkCode.NO_AUTH, results: [] } : reply));
  };
  const ticket = cluster.alterIsr(1, [asked()]);
  cluster.settle();
  expect(controller.answers.get(ticket)).toBe("refused");
  expect(codes(ask(cluster, 1, asked()))).toEqual([0]);
});
