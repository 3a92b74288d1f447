import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Prng } from "../../lib/prng.ts";
import { paths } from "../znodes/paths.ts";
import { decodeTopic } from "../znodes/topic.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { nameOf } from "./context.ts";
import { ClusterModel, type Leading, type ModelBroker } from "./testing/cluster-model.ts";

type Operation =
  | { readonly kind: "toggleBroker" | "expireSession"; readonly broker: number }
  | { readonly kind: "createTopic" | "growTopic"; readonly topic: number; readonly replicas: readonly number[] }
  | { readonly kind: "deleteTopic"; readonly topic: number }
  | { readonly kind: "expandIsr" | "shrinkIsr"; readonly topic: number; readonly partition: number }
  | { readonly kind: "controlledShutdown"; readonly broker: number }
  | { readonly kind: "rebalance" | "loseReplies" | "settle" }
  | { readonly kind: "steps"; readonly count: number };

const brokerIds = [1, 2, 3, 4];
const broker = fc.constantFrom(...brokerIds);
const topic = fc.integer({ min: 0, max: 2 });
const replicas = fc.uniqueArray(broker, { minLength: 1, maxLength: 3 });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("toggleBroker" as const, "toggleBroker" as const, "expireSession" as const), broker }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("createTopic" as const, "growTopic" as const), topic, replicas }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("deleteTopic" as const), topic }) },
  { weight: 6, arbitrary: fc.record({ kind: fc.constantFrom("expandIsr" as const, "expandIsr" as const, "shrinkIsr" as const), topic, partition: fc.nat({ max: 1 }) }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("controlledShutdown" as const), broker }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("rebalance" as const, "loseReplies" as const, "loseReplies" as const) }) },
  { weight: 5, arbitrary: fc.record({ kind: fc.constant("settle" as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("steps" as const), count: fc.integer({ min: 1, max: 40 }) }) },
);

test("whatever brokers and topics do, and in whatever order requests and replies pass, leaders, ISRs and what brokers are told agree", () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 5, maxLength: 40, size: "max" }), fc.integer({ min: 0, max: 0xffff_ffff }), fc.boolean(), (operations, seed, unclean) => {
      const cluster = new ClusterModel({ uncleanLeaderElectionEnable: unclean });
      const prng = new Prng(seed);
      watchEpochs(cluster);
      watchAnswers(cluster);
      for (const id of brokerIds) cluster.start(id);
      cluster.createTopic("t0", [1, 2, 3], [2, 3, 4]);
      for (const next of operations) perform(cluster, prng, next);
      // Whoever was to shut down does.
      for (const { id, stopping } of cluster.brokers.values()) if (stopping) cluster.stop(id);
      // What is left undone by the brokers that are down is their business; all that are up must agree.
      for (const id of brokerIds) if (!cluster.brokers.has(id) && prng.chance(1, 2)) cluster.start(id);
      if (cluster.brokers.size === 0) cluster.start(1);
      cluster.settle(prng);
      finishProposals(cluster, prng);
      checkController(cluster);
      checkTopics(cluster, unclean);
      // And nothing is left to do once all are back.
      for (const id of brokerIds) if (!cluster.brokers.has(id)) cluster.start(id);
      cluster.settle(prng);
      finishProposals(cluster, prng);
      checkTopics(cluster, unclean);
      checkLeaders(cluster);
      expect(cluster.zk.children(paths.deleteTopics)).toEqual([]);
      expect(cluster.zk.children(paths.isrChanges)).toEqual([]);
    }),
    { numRuns: Number(process.env["CONTROLLER_RUNS"] ?? 100) },
  );
});

/** The leader epoch of a partition never goes back while its topic lives, nor does the controller's epoch. */
function watchEpochs(cluster: ClusterModel): void {
  const last = new Map<string, { czxid: number; leaderEpoch: number; controllerEpoch: number }>();
  cluster.zk.onWrite = (path, data, czxid) => {
    if (!path.endsWith("/state")) return;
    const written = JSON.parse(data?.toString() ?? "") as { leader: number; leader_epoch: number; controller_epoch: number; isr: number[] };
    const before = last.get(path);
    if (before?.czxid === czxid) {
      expect(written.leader_epoch).toBeGreaterThanOrEqual(before.leaderEpoch);
      expect(written.controller_epoch).toBeGreaterThanOrEqual(before.controllerEpoch);
    }
    if (written.leader !== -1) expect(written.isr).toContain(written.leader);
    last.set(path, { czxid, leaderEpoch: written.leader_epoch, controllerEpoch: written.controller_epoch });
  };
}

function perform(cluster: ClusterModel, prng: Prng, next: Operation): void {
  switch (next.kind) {
    case "toggleBroker":
      if (cluster.brokers.has(next.broker)) cluster.stop(next.broker);
      else cluster.start(next.broker);
      return;
    case "expireSession":
      if (cluster.brokers.has(next.broker)) cluster.expireSession(next.broker);
      return;
    case "createTopic":
      if (!cluster.zk.has(paths.topic(`t${next.topic}`))) cluster.createTopic(`t${next.topic}`, [...next.replicas], [...next.replicas].toReversed());
      return;
    case "growTopic":
      if (cluster.zk.has(paths.topic(`t${next.topic}`))) cluster.growTopic(`t${next.topic}`, [...next.replicas]);
      return;
    case "deleteTopic":
      cluster.deleteTopic(`t${next.topic}`);
      return;
    case "expandIsr":
    case "shrinkIsr":
      changeIsr(cluster, `t${next.topic}`, next.partition, next.kind === "expandIsr");
      return;
    case "controlledShutdown":
      if (!cluster.brokers.has(next.broker) || ![...cluster.brokers.values()].some(({ state }) => state.active)) return;
      cluster.broker(next.broker).stopping = true;
      cluster.controlledShutdown(next.broker);
      return;
    case "rebalance":
      for (const { state, events } of cluster.brokers.values()) if (state.active) events.push({ kind: "rebalance" });
      return;
    case "loseReplies":
      // ZooKeeper has acted on the requests; they are sent again.
      for (const one of cluster.brokers.values()) if (one.step !== undefined && one.session.alive) cluster.replies(one);
      return;
    case "settle":
      cluster.settle(prng);
      return;
    case "steps":
      for (let step = 0; step < next.count; step++) {
        const possible = cluster.possible();
        if (possible.length > 0) prng.pick(possible)();
      }
  }
}

/** Writes ISRs itself, as before 2.7; the others ask the controller. */
const oldBroker = 4;

/** Leaders, as they know themselves, take followers that run into the ISR, or out of it. */
function changeIsr(cluster: ClusterModel, topicName: string, partition: number, expand: boolean): void {
  const name = `${topicName}-${partition}`;
  const state = cluster.partitionState(topicName, partition);
  for (const leader of cluster.brokers.values()) {
    const leading = leader.leading.get(name);
    if (leading === undefined) continue;
    const isr = leader.id === oldBroker ? (state?.isr ?? []) : leading.isr;
    const assigned = decodeTopic(topicName, cluster.zk.data(paths.topic(topicName)) ?? null).partitions.get(partition)?.replicas ?? [];
    const following = assigned.filter((replica) => cluster.brokers.get(replica)?.hosted.get(name)?.leaderEpoch === leading.leaderEpoch);
    const last = isr.findLast((replica) => replica !== leader.id);
    const wanted = expand ? [...new Set([...isr, ...following])] : isr.filter((replica) => replica !== last);
    if (leader.id !== oldBroker) {
      if (leading.proposal !== undefined || wanted.length !== isr.length) ask(cluster, leader, topicName, partition, wanted);
    } else if (state?.leader === leader.id && state.leaderEpoch === leading.leaderEpoch && wanted.length !== isr.length) cluster.expandIsr(topicName, partition, wanted);
  }
}

/** Where no controller is to be found, or the request or the answer is lost, the leader asks again later: for the same. */
function ask(cluster: ClusterModel, leader: ModelBroker, topicName: string, partition: number, isr: readonly number[]): void {
  if ([...cluster.brokers.values()].some(({ state }) => state.active)) cluster.propose(leader.id, topicName, partition, isr);
}

/** Every answer tells of the state that ZooKeeper has at that time; a leader in its epoch gets its way in the end. */
function watchAnswers(cluster: ClusterModel): void {
  cluster.onAnswer = (_ticket, answer) => {
    if (answer === "refused" || answer.api !== "alterIsr") return;
    for (const { name, partitions } of answer.response.topics) {
      for (const { partitionIndex, errorCode, leaderId, leaderEpoch, isr, currentIsrVersion } of partitions) {
        expect(errorCode).not.toBe(ErrorCode.INVALID_UPDATE_VERSION);
        if (errorCode !== ErrorCode.NONE) continue;
        expect({ leader: leaderId, leaderEpoch, isr, zkVersion: currentIsrVersion }).toEqual({ ...cluster.partitionState(name, partitionIndex), controllerEpoch: undefined });
      }
    }
  };
}

/**
 * Leaders that still wait for an answer ask again, until they have one, and then throw out who does not fetch: a
 * follower that died before the controller heard of its return to the ISR.
 */
function finishProposals(cluster: ClusterModel, prng: Prng): void {
  proposeWhere(cluster, ({ isr, proposal }) => (proposal === undefined ? undefined : isr));
  cluster.settle(prng);
  proposeWhere(cluster, ({ isr }) => (isr.every((replica) => cluster.brokers.has(replica)) ? undefined : isr.filter((replica) => cluster.brokers.has(replica))));
  cluster.settle(prng);
}

function proposeWhere(cluster: ClusterModel, isrOf: (leading: Leading) => readonly number[] | undefined): void {
  for (const { id, leading } of cluster.brokers.values()) {
    if (id === oldBroker) continue;
    for (const [name, known] of leading) {
      const dash = name.lastIndexOf("-");
      const isr = isrOf(known);
      if (isr !== undefined) cluster.propose(id, name.slice(0, dash), Number(name.slice(dash + 1)), isr);
    }
  }
}

function checkController(cluster: ClusterModel): void {
  const active = [...cluster.brokers.values()].filter(({ state }) => state.active);
  expect(active).toHaveLength(1);
  expect(cluster.zk.owner(paths.controller)).toBe(active[0]?.session.id);
  expect([...cluster.controller.state.context.brokers.keys()].toSorted((a, b) => a - b)).toEqual([...cluster.brokers.keys()].toSorted((a, b) => a - b));
  for (const { state } of cluster.brokers.values()) expect(state.controllerId).toBe(active[0]?.id);
}

function checkLeaders(cluster: ClusterModel): void {
  for (const { id, leading } of cluster.brokers.values()) {
    if (id === oldBroker) continue;
    for (const [name, { leaderEpoch, isr, zkVersion, proposal }] of leading) {
      const dash = name.lastIndexOf("-");
      const state = cluster.partitionState(name.slice(0, dash), Number(name.slice(dash + 1)));
      expect({ name, leader: id, leaderEpoch, isr, zkVersion, proposal }).toEqual({ name, ...state, controllerEpoch: undefined, proposal: undefined });
    }
  }
}

function checkTopics(cluster: ClusterModel, unclean: boolean): void {
  const { context } = cluster.controller.state;
  const deleting = new Set(cluster.zk.children(paths.deleteTopics));
  expect([...context.topics.keys()].toSorted()).toEqual(cluster.zk.children("/brokers/topics").toSorted());
  for (const name of cluster.zk.children("/brokers/topics")) {
    if (deleting.has(name)) continue;
    const assignments = decodeTopic(name, cluster.zk.data(paths.topic(name)) ?? null).partitions;
    expect([...(context.topics.get(name)?.keys() ?? [])]).toEqual([...assignments.keys()]);
    for (const partition of context.partitionsOf(name)) {
      const state = cluster.partitionState(name, partition.index);
      const online = partition.assignment.replicas.filter((replica) => cluster.brokers.has(replica));
      expect(partition.assignment).toEqual(assignments.get(partition.index));
      if (state === undefined) {
        expect(online).toEqual([]);
        continue;
      }
      expect({ ...partition.leadership, controllerEpoch: 0 }).toEqual({ ...state, controllerEpoch: 0 });
      for (const replica of state.isr) expect(partition.assignment.replicas).toContain(replica);
      if (state.leader === -1) {
        expect(unclean ? online : state.isr.filter((replica) => online.includes(replica))).toEqual([]);
        expect(partition.state).toBe("offline");
      } else {
        expect(state.isr).toContain(state.leader);
        for (const replica of state.isr) expect(online).toContain(replica);
        expect(partition.state).toBe("online");
      }
      const told = { leader: state.leader, leaderEpoch: state.leaderEpoch, offlineReplicas: partition.assignment.replicas.filter((replica) => !online.includes(replica)) };
      for (const one of cluster.brokers.values()) expect({ broker: one.id, ...one.metadata.get(nameOf(partition)) }).toEqual({ broker: one.id, ...told });
      const following = { leader: state.leader, leaderEpoch: state.leaderEpoch };
      for (const replica of online) expect({ replica, ...cluster.broker(replica).hosted.get(nameOf(partition)) }).toEqual({ replica, ...following });
    }
  }
}
