import { afterEach, expect, test } from "vitest";
import { must } from "../src/lib/assert.ts";
import { ErrorCode } from "../src/kafka/protocol/error-codes.ts";
import { toBrokerId } from "../src/kafka/protocol/ids.ts";
import { createTopics } from "../src/kafka/protocol/messages/create-topics.ts";
import { deleteTopics } from "../src/kafka/protocol/messages/delete-topics.ts";
import { electLeaders } from "../src/kafka/protocol/messages/elect-leaders.ts";
import { ZooKeeperClient } from "../src/zookeeper/client/client.ts";
import { Scenario } from "./kafka/scenario.ts";
import { CLIENT_PORT } from "./zookeeper/client-tap.ts";

/** Published incidents of Apache's brokers, each named with what it was reported as; docs/simulation.md has the list. */

const { NONE } = ErrorCode;
const PATIENT = "replica.lag.time.max.ms=60000";
const PREFERRED = 0;

let visitor: ZooKeeperClient | undefined;
afterEach(() => {
  visitor = undefined;
});

/** A client of ZooKeeper's, beside the one of the brokers. */
function zooKeeper(s: Scenario): ZooKeeperClient {
  if (visitor !== undefined) return visitor;
  visitor = new ZooKeeperClient(s.client.host, { connect: `${member(s).name}:${CLIENT_PORT}`, sessionTimeoutMs: 10_000 });
  visitor.start();
  return visitor;
}

function member(s: Scenario): Scenario["cluster"]["members"][number] {
  return must(s.cluster.members[0], "member");
}

/** Looked at before every event. */
function moment(s: Scenario, holds: () => boolean): Promise<void> {
  return s.world.run({ until: holds, withinMs: 30_000 });
}

function highWatermark(s: Scenario, broker: number): number | undefined {
  return s.replica(broker, "t")?.log.highWatermark;
}

function end(s: Scenario, broker: number): number | undefined {
  return s.replica(broker, "t")?.log.endOffset;
}

/** KIP-101, its first scenario: a follower that does not know yet what is committed follows anew, and leads before it has fetched. */
test("a follower keeps what is committed above its own high watermark when the leader's epoch changes, and has it when it leads", async () => {
  await Scenario.play({ topics: ["t"], settings: [PATIENT] }, async (s) => {
    // The controller is the follower, so that it hears of the epoch while it hears nothing of the leader.
    const follower = await s.controller();
    const [leader, third] = s.others(follower);
    await s.topic("t", { assignments: [[leader, follower, third]] });
    expect(await s.write(leader, "t", ["first"])).toBe(NONE);
    await s.until("all know it", () => highWatermark(s, follower) === 1);
    const written = s.writing(leader, "t", ["second"]);
    await moment(s, () => end(s, follower) === 2);
    s.world.net.partition([s.cluster.node(leader)], [s.cluster.node(follower)], { oneWay: true });
    expect(await s.world.settle(written)).toBe(NONE);
    expect(highWatermark(s, follower)).toBe(1);
    const epoch = must(s.replica(follower, "t"), "replica").leaderEpoch;
    s.kill(third);
    await s.until("an epoch without the third", () => must(s.replica(follower, "t"), "replica").leaderEpoch > epoch);
    await s.run(1000);
    s.kill(leader);
    await s.until("the follower leads", () => s.leader("t") === follower);
    expect((await s.finish()).get("t-0")).toEqual(["first", "second"]);
  });
});

/** KIP-320 (KAFKA-7395): who has not heard of the epochs since must not read on where the leader's log is another one by now. */
test("a follower that still fetches in an epoch that is over is fenced, and does not put new records behind those that were dropped", async () => {
  await Scenario.play({ topics: ["t"], settings: [PATIENT] }, async (s) => {
    const { net } = s.world;
    const second = await s.controller();
    const [first, late] = s.others(second);
    await s.topic("t", { assignments: [[first, second, late]] });
    expect(await s.write(first, "t", ["all"])).toBe(NONE);
    net.partition([s.cluster.node(first)], [s.cluster.node(second)]);
    expect(await s.write(first, "t", ["dropped"], { acks: 1 })).toBe(NONE);
    await s.until("the late one has it", () => end(s, late) === 2);
    // From here on it hears of no controller, and reaches the first leader alone.
    const unheard = (): void => net.partition([s.cluster.node(late)], [...s.cluster.members, s.cluster.node(second)]);
    unheard();
    s.kill(first);
    await s.until("the second leads, alone", () => s.leader("t") === second && s.isr("t").join() === String(second));
    expect(await s.write(second, "t", ["kept"], { acks: 1 })).toBe(NONE);
    net.heal();
    unheard();
    s.start(first);
    await s.until("the first is in sync", () => s.isr("t").includes(first));
    s.kill(second);
    await s.until("the first leads again", () => s.replica(first, "t")?.isLeader === true);
    expect(s.replica(late, "t")?.leaderEpoch).toBeLessThan(must(s.replica(first, "t"), "replica").leaderEpoch);
    expect(await s.write(first, "t", ["new"], { acks: 1 })).toBe(NONE);
    await s.run(3000);
    expect(end(s, late)).toBe(2);
    expect(s.heard("fenced by its leader", late)).not.toEqual([]);
    expect((await s.finish()).get("t-0")).toEqual(["all", "kept", "new"]);
  });
});

/** Partition.maybeExpandIsr: a leader's own high watermark may lag behind what the leader before it has committed. */
test("a follower comes into the ISR only with all that an earlier leader committed, though its successor does not know yet how much that is", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    const { net } = s.world;
    const [next, leader, lagging] = [1, 2, 3];
    await s.topic("t", { assignments: [[next, leader, lagging]] });
    expect(await s.write(next, "t", ["first"])).toBe(NONE);
    s.kill(next);
    await s.until("broker 2 leads", () => s.leader("t") === leader);
    s.start(next);
    await s.until("all are in sync", () => s.isr("t").length === 3);
    // The next leader becomes the controller: nobody else hears that there is none.
    const nodes = [s.cluster.node(leader), s.cluster.node(lagging)];
    net.partition(nodes, [member(s)]);
    await s.world.settle(zooKeeper(s).delete("/controller"));
    await s.until("it is the controller", () => s.heard("ready as the controller", next).length > 0);
    net.heal();
    await s.run(1000);
    net.partition([s.cluster.node(leader)], [s.cluster.node(lagging)]);
    expect(await s.write(leader, "t", ["second"], { acks: 1 })).toBe(NONE);
    const altered = s.heard("ISRs altered", next).length;
    await moment(s, () => s.heard("ISRs altered", next).length > altered);
    net.partition([s.cluster.node(leader)], [s.cluster.node(next)], { oneWay: true });
    await s.until("the second record is committed", () => highWatermark(s, leader) === 2);
    expect([end(s, next), highWatermark(s, next), end(s, lagging)]).toEqual([2, 1, 1]);
    const expanded = s.heard("ISR expands", next).length;
    const elected = s.client.send(next, electLeaders, 2, { electionType: PREFERRED, topicPartitions: [{ topic: "t", partitions: [0] }], timeoutMs: 3000 });
    await moment(s, () => s.heard("ISR expands", next).length > expanded);
    expect(s.isr("t")).toEqual([next, leader]);
    expect(end(s, lagging)).toBe(2);
    await s.world.settle(elected);
    expect((await s.finish()).get("t-0")).toEqual(["first", "second"]);
  });
});

/**
 * A topic is deleted, of which a broker can't hear; then the controller is struck, and another one deletes the topic and
 * makes it anew. Returns that one's id.
 */
async function remade(s: Scenario, controller: number, [leader, follower]: readonly [number, number], strike: () => void): Promise<number> {
  await s.topic("t", { assignments: [[leader, follower]] });
  expect(await s.write(leader, "t", ["first-topic"])).toBe(NONE);
  s.world.net.partition([s.cluster.node(controller)], [s.cluster.node(follower)]);
  await s.world.settle(s.client.send(controller, deleteTopics, 5, { topics: [], topicNames: ["t"], timeoutMs: 500 }));
  expect(s.heard("topic deleted")).toEqual([]);
  strike();
  await s.until("another controller has deleted the topic", () => s.heard("topic deleted").some(({ broker }) => broker !== controller));
  const next = must(s.heard("ready as the controller").at(-1), "controller").broker;
  expect(next).not.toBe(controller);
  const assignments = [{ partitionIndex: 0, brokerIds: [leader, follower].map(toBrokerId) }];
  const made = await s.world.settle(s.client.send(next, createTopics, 4, { topics: [{ name: "t", numPartitions: -1, replicationFactor: -1, assignments, configs: [] }], timeoutMs: 3000 }));
  expect(made.topics[0]?.errorCode).toBe(NONE);
  await s.until("it is led", () => s.replica(leader, "t")?.isLeader === true);
  // Until brokers have heard of it too, produces are told that there is no such topic.
  await s.run(500);
  expect(await s.write(leader, "t", ["second-topic"])).toBe(NONE);
  return next;
}

/** The broker has the second topic, and knows who the controller is. */
async function isUntouched(s: Scenario, broker: number, controller: number): Promise<void> {
  expect([s.replica(broker, "t")?.isRunning, end(s, broker)]).toEqual([true, 1]);
  await s.world.settle(s.client.describe(broker, []));
  expect(s.client.controllerId).toBe(controller);
  expect((await s.finish()).get("t-0")).toEqual(["second-topic"]);
}

/** STALE_CONTROLLER_EPOCH of ReplicaManager.scala. */
test("what a replaced controller had to say to a broker is refused when it comes at last: a topic of the same name stays", async () => {
  await Scenario.play({ topics: ["t"], remade: ["t"] }, async (s) => {
    const { net } = s.world;
    const zombie = await s.controller();
    const [leader, follower] = s.others(zombie);
    const cutOff = (): void => net.partition([s.cluster.node(zombie)], [s.cluster.node(leader), ...s.cluster.members]);
    const next = await remade(s, zombie, [leader, follower], cutOff);
    // It reaches the follower again, and does not know yet that it is replaced.
    net.heal();
    cutOff();
    await s.until("the broker answers it", () => s.heard("the broker answers the controller again", zombie).length > 0);
    await s.run(3000);
    expect(s.heard("no longer the controller", zombie)).toEqual([]);
    await isUntouched(s, follower, next);
  });
});

test("a controller that was paused beyond its session undoes nothing of its successor's once it goes on, and is a broker like the others", async () => {
  await Scenario.play({ topics: ["t"], remade: ["t"] }, async (s) => {
    const zombie = await s.controller();
    const [leader, follower] = s.others(zombie);
    const next = await remade(s, zombie, [leader, follower], () => s.cluster.node(zombie).pause());
    s.world.net.heal();
    s.cluster.node(zombie).resume();
    await s.until("it has heard", () => s.heard("no longer the controller", zombie).length > 0);
    await s.run(3000);
    await isUntouched(s, follower, next);
  });
});

/** KAFKA-6082: a controller that does not know of its successor writes no state over what that one relies on. */
test("a controller that was replaced without noticing changes nothing in ZooKeeper: its writes fail by the version of /controller_epoch", async () => {
  await Scenario.play({ topics: ["t"], settings: ["replica.lag.time.max.ms=1000"] }, async (s) => {
    const { net } = s.world;
    const state = async (): Promise<unknown> => {
      const read = await s.world.settle(zooKeeper(s).getData("/brokers/topics/t/partitions/0/state"));
      return read.ok ? JSON.parse(String(read.value.data)) : undefined;
    };
    const zombie = await s.controller();
    const [leader, next] = s.others(zombie);
    await s.topic("t", { assignments: [[leader, zombie, next]] });
    expect(await s.write(leader, "t", ["first"])).toBe(NONE);
    const before = await state();
    net.partition([member(s)], [s.cluster.node(zombie)], { oneWay: true });
    net.partition([s.cluster.node(leader)], [member(s), s.cluster.node(next)]);
    await s.world.settle(zooKeeper(s).delete("/controller"));
    // The leader knows of the old controller alone, and asks it to take the new one out.
    expect(await s.write(leader, "t", ["second"], { acks: 1 })).toBe(NONE);
    await s.until("the next controller", () => s.heard("ready as the controller", next).length > 0);
    await s.until("the ISR is to shrink", () => s.heard("ISR shrinks", leader).length > 0);
    await s.run(200);
    expect(await state()).toEqual(before);
    expect(s.heard("no longer the controller", zombie)).toEqual([]);
    net.heal();
    await s.until("it has heard", () => s.heard("no longer the controller", zombie).length > 0);
    expect(s.heard("the controller has moved", zombie)).not.toEqual([]);
    expect((await s.finish()).get("t-0")).toEqual(["first", "second"]);
  });
});

/** KAFKA-2729, "Cached zkVersion not equal to that in zookeeper", as Partition.scala logs it; KIP-497 has it end with an answer. */
test("a leader that was replaced without hearing of it shrinks no ISR and acknowledges nothing, and follows without a restart once it hears", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    const controller = await s.controller();
    const [preferred, stale] = s.others(controller);
    await s.topic("t", { assignments: [[preferred, stale, controller]] });
    expect(await s.write(preferred, "t", ["first"])).toBe(NONE);
    s.kill(preferred);
    await s.until("another leads", () => s.leader("t") === stale);
    s.start(preferred);
    await s.until("all are in sync", () => s.isr("t").length === 3);
    s.world.net.partition([s.cluster.node(controller)], [s.cluster.node(stale)], { oneWay: true });
    const elected = await s.world.settle(s.client.send(controller, electLeaders, 2, { electionType: PREFERRED, topicPartitions: [{ topic: "t", partitions: [0] }], timeoutMs: 3000 }));
    expect(elected.replicaElectionResults[0]?.partitionResult[0]?.errorCode).toBe(NONE);
    await s.until("the preferred one leads", () => s.leader("t") === preferred);
    const life = s.cluster.node(stale).lives;
    expect(s.replica(stale, "t")?.isLeader).toBe(true);
    const late = s.writing(stale, "t", ["late"], { timeoutMs: 6000 });
    expect(await s.write(preferred, "t", ["kept"], { acks: 1 })).toBe(NONE);
    await s.until("it wants to shrink the ISR", () => s.heard("ISR shrinks", stale).length > 0);
    expect(await s.world.settle(late)).not.toBe(NONE);
    expect(s.replica(stale, "t")?.inSync).toHaveLength(3);
    s.world.net.heal();
    await s.until("all are in sync", () => s.leader("t") === preferred && s.isr("t").length === 3 && s.replica(stale, "t")?.isLeader === false);
    expect(s.cluster.node(stale).lives).toBe(life);
    expect((await s.finish()).get("t-0")).toEqual(["first", "kept"]);
  });
});
