import * as fc from "fast-check";
import { expect, test } from "vitest";
import { Prng } from "../../lib/prng.ts";
import { paths } from "../znodes/paths.ts";
import { decodeTopic } from "../znodes/topic.ts";
import { nameOf } from "./context.ts";
import { ClusterModel } from "./testing/cluster-model.ts";

type Operation =
  | { readonly kind: "toggleBroker" | "expireSession"; readonly broker: number }
  | { readonly kind: "createTopic" | "growTopic"; readonly topic: number; readonly replicas: readonly number[] }
  | { readonly kind: "deleteTopic"; readonly topic: number }
  | { readonly kind: "expandIsr" | "shrinkIsr"; readonly topic: number }
  | { readonly kind: "rebalance" | "loseReplies" }
  | { readonly kind: "steps"; readonly count: number };

const brokerIds = [1, 2, 3, 4];
const broker = fc.constantFrom(...brokerIds);
const topic = fc.integer({ min: 0, max: 2 });
const replicas = fc.uniqueArray(broker, { minLength: 1, maxLength: 3 });

const operation: fc.Arbitrary<Operation> = fc.oneof(
  { weight: 5, arbitrary: fc.record({ kind: fc.constantFrom("toggleBroker" as const, "toggleBroker" as const, "expireSession" as const), broker }) },
  { weight: 4, arbitrary: fc.record({ kind: fc.constantFrom("createTopic" as const, "growTopic" as const), topic, replicas }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constant("deleteTopic" as const), topic }) },
  { weight: 3, arbitrary: fc.record({ kind: fc.constantFrom("expandIsr" as const, "expandIsr" as const, "shrinkIsr" as const), topic }) },
  { weight: 2, arbitrary: fc.record({ kind: fc.constantFrom("rebalance" as const, "loseReplies" as const) }) },
  { weight: 8, arbitrary: fc.record({ kind: fc.constant("steps" as const), count: fc.integer({ min: 1, max: 40 }) }) },
);

test("whatever brokers and topics do, and in whatever order requests and replies pass, leaders, ISRs and what brokers are told agree", () => {
  fc.assert(
    fc.property(fc.array(operation, { minLength: 5, maxLength: 40 }), fc.integer({ min: 0, max: 0xffff_ffff }), fc.boolean(), (operations, seed, unclean) => {
      const cluster = new ClusterModel({ uncleanLeaderElectionEnable: unclean });
      const prng = new Prng(seed);
      watchEpochs(cluster);
      cluster.start(1);
      cluster.start(2);
      for (const next of operations) perform(cluster, prng, next);
      // What is left undone by the brokers that are down is their business; all that are up must agree.
      for (const id of brokerIds) if (!cluster.brokers.has(id) && prng.chance(1, 2)) cluster.start(id);
      if (cluster.brokers.size === 0) cluster.start(1);
      cluster.settle(prng);
      checkController(cluster);
      checkTopics(cluster, unclean);
      // And nothing is left to do once all are back.
      for (const id of brokerIds) if (!cluster.brokers.has(id)) cluster.start(id);
      cluster.settle(prng);
      checkTopics(cluster, unclean);
      expect(cluster.zk.children(paths.deleteTopics)).toEqual([]);
      expect(cluster.zk.children(paths.isrChanges)).toEqual([]);
    }),
    { numRuns: Number(process.env["CONTROLLER_RUNS"] ?? 150) },
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
      changeIsr(cluster, `t${next.topic}`, next.kind === "expandIsr");
      return;
    case "rebalance":
      for (const { state, events } of cluster.brokers.values()) if (state.active) events.push({ kind: "rebalance" });
      return;
    case "loseReplies":
      // ZooKeeper has acted on the requests; they are sent again.
      for (const one of cluster.brokers.values()) if (one.step !== undefined && one.session.alive) cluster.replies(one);
      return;
    case "steps":
      for (let step = 0; step < next.count; step++) {
        const possible = cluster.possible();
        if (possible.length > 0) prng.pick(possible)();
      }
  }
}

/** A leader that knows itself as such, by the epoch of the state, takes followers that run into the ISR, or out of it. */
function changeIsr(cluster: ClusterModel, name: string, expand: boolean): void {
  const state = cluster.partitionState(name, 0);
  if (state === undefined || cluster.brokers.get(state.leader)?.hosted.get(`${name}-0`)?.leaderEpoch !== state.leaderEpoch) return;
  const assigned = decodeTopic(name, cluster.zk.data(paths.topic(name)) ?? null).partitions.get(0)?.replicas ?? [];
  const following = assigned.filter((replica) => cluster.brokers.get(replica)?.hosted.get(`${name}-0`)?.leaderEpoch === state.leaderEpoch);
  const isr = expand ? [...new Set([...state.isr, ...following])] : state.isr.filter((replica) => replica === state.leader || replica % 2 === 0);
  if (isr.length !== state.isr.length) cluster.expandIsr(name, 0, isr);
}

function checkController(cluster: ClusterModel): void {
  const active = [...cluster.brokers.values()].filter(({ state }) => state.active);
  expect(active).toHaveLength(1);
  expect(cluster.zk.owner(paths.controller)).toBe(active[0]?.session.id);
  expect([...cluster.controller.state.context.brokers.keys()].toSorted((a, b) => a - b)).toEqual([...cluster.brokers.keys()].toSorted((a, b) => a - b));
  for (const { state } of cluster.brokers.values()) expect(state.controllerId).toBe(active[0]?.id);
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
