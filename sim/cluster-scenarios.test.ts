import { expect, test } from "vitest";
import { must } from "../src/lib/assert.ts";
import { ErrorCode } from "../src/kafka/protocol/error-codes.ts";
import { LOG_DIRECTORY } from "./kafka/cluster-world.ts";
import { IdempotentProducer } from "./kafka/producers.ts";
import { PartitionReader } from "./kafka/reader.ts";
import { Scenario } from "./kafka/scenario.ts";
import { removeTopic } from "./kafka/topic-churn.ts";

const { NONE, NOT_ENOUGH_REPLICAS, NOT_ENOUGH_REPLICAS_AFTER_APPEND, NOT_LEADER_OR_FOLLOWER } = ErrorCode;
const UNCLEAN = { "unclean.leader.election.enable": "true" };
const SAFE = { "min.insync.replicas": "2" };

test("a leader that is cut off acknowledges nothing to all; what it alone has is dropped when it is back", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    await s.topic("t", { settings: SAFE });
    expect(await s.write(1, "t", ["both1", "both2"])).toBe(NONE);
    s.cutOff(1);
    expect(await s.write(1, "t", ["lost1"])).not.toBe(NONE);
    expect(await s.write(1, "t", ["lost2"], { acks: 1 })).toBe(NONE);
    await s.until("another leads", () => s.leader("t") !== 1);
    const next = must(s.leader("t"), "leader");
    expect(await s.write(next, "t", ["new1", "new2"])).toBe(NONE);
    expect(await s.write(1, "t", ["lost3"])).not.toBe(NONE);
    expect(s.replica(1, "t")?.isLeader).toBe(true);
    s.world.net.heal();
    await s.until("the old leader follows", () => s.replica(1, "t")?.isLeader === false);
    expect(await s.write(1, "t", ["refused"])).toBe(NOT_LEADER_OR_FOLLOWER);
    expect((await s.finish()).get("t-0")).toEqual(["both1", "both2", "new1", "new2"]);
    expect(s.heard("truncated", 1)).not.toEqual([]);
  });
});

test("a leader that was paused beyond its session acknowledges nothing once it goes on", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    await s.topic("t", { settings: SAFE });
    expect(await s.write(1, "t", ["both"])).toBe(NONE);
    s.cluster.node(1).pause();
    const late = s.writing(1, "t", ["late"], { timeoutMs: 30_000 });
    await s.until("another leads", () => s.leader("t") !== 1);
    expect(await s.write(must(s.leader("t"), "leader"), "t", ["new"])).toBe(NONE);
    s.cluster.node(1).resume();
    expect(await s.world.settle(late)).not.toBe(NONE);
    await s.until("it follows", () => s.replica(1, "t")?.isLeader === false);
    expect((await s.finish()).get("t-0")).toEqual(["both", "new"]);
  });
});

test("logs that went apart in several epochs are cut where they were equal last, after more than one question", async () => {
  await Scenario.play({ topics: ["t"], unclean: ["t"], settings: ["replica.lag.time.max.ms=60000"] }, async (s) => {
    const { net } = s.world;
    // The controller comes second, so that what it says to the second leader is heard while the third hears nothing of either.
    const second = await s.controller();
    const [first, third] = s.others(second);
    await s.topic("t", { assignments: [[first, second, third]], settings: UNCLEAN });
    expect(await s.write(first, "t", ["all"])).toBe(NONE);
    net.partition([s.cluster.node(second)], [s.cluster.node(third)]);
    s.kill(first);
    await s.until("the second leads", () => s.leader("t") === second);
    expect(await s.write(second, "t", ["second"], { acks: 1 })).toBe(NONE);
    s.kill(second);
    await s.until("the third leads", () => s.leader("t") === third);
    expect(await s.write(third, "t", ["third"], { acks: 1 })).toBe(NONE);
    s.kill(third);
    await s.run(6000);
    s.start(third);
    await s.until("the third leads again", () => s.leader("t") === third);
    expect(await s.write(third, "t", ["third-again"], { acks: 1 })).toBe(NONE);
    s.kill(third);
    await s.run(6000);
    net.heal();
    s.start(second);
    await s.until("the second leads uncleanly", () => s.leader("t") === second);
    expect(await s.write(second, "t", ["second-again"], { acks: 1 })).toBe(NONE);
    s.start(third);
    s.start(first);
    expect((await s.finish()).get("t-0")).toEqual(["all", "second", "second-again"]);
    expect(s.heard("asks for an older leader epoch", third)).not.toEqual([]);
  });
});

test("after an unclean election the old leader's longer log is cut, and all are equal again", async () => {
  await Scenario.play({ topics: ["t"], unclean: ["t"] }, async (s) => {
    await s.topic("t", { settings: UNCLEAN });
    expect(await s.write(1, "t", ["all"])).toBe(NONE);
    s.kill(2);
    s.kill(3);
    await s.until("broker 1 is in sync alone", () => s.isr("t").join() === "1");
    expect(await s.write(1, "t", ["a", "b", "c"])).toBe(NONE);
    s.kill(1);
    await s.run(6000);
    s.start(2);
    await s.until("broker 2 leads", () => s.leader("t") === 2);
    expect(await s.write(2, "t", ["other"])).toBe(NONE);
    s.start(1);
    s.start(3);
    expect((await s.finish()).get("t-0")).toEqual(["all", "other"]);
  });
});

test("after an unclean election back to the longer log, the shorter one is cut where its own epoch began", async () => {
  await Scenario.play({ topics: ["t"], unclean: ["t"], settings: ["replica.lag.time.max.ms=60000"] }, async (s) => {
    await s.topic("t", { assignments: [[1, 2]], settings: UNCLEAN });
    expect(await s.write(1, "t", ["all"])).toBe(NONE);
    s.world.net.partition([s.cluster.node(1)], [s.cluster.node(2)]);
    expect(await s.write(1, "t", ["a", "b", "c"], { acks: 1 })).toBe(NONE);
    s.kill(1);
    await s.until("broker 2 leads", () => s.leader("t") === 2);
    expect(await s.write(2, "t", ["x"], { acks: 1 })).toBe(NONE);
    s.kill(2);
    await s.run(6000);
    s.world.net.heal();
    s.start(1);
    await s.until("broker 1 leads uncleanly", () => s.leader("t") === 1);
    expect(await s.write(1, "t", ["d"], { acks: 1 })).toBe(NONE);
    s.start(2);
    expect((await s.finish()).get("t-0")).toEqual(["all", "a", "b", "c", "d"]);
  });
});

test("without unclean elections nobody leads until the last in-sync replica is back, and nothing is lost", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    await s.topic("t");
    s.kill(2);
    s.kill(3);
    await s.until("broker 1 is in sync alone", () => s.isr("t").join() === "1");
    expect(await s.write(1, "t", ["a", "b"])).toBe(NONE);
    s.kill(1);
    await s.run(6000);
    s.start(2);
    s.start(3);
    await s.run(10_000);
    expect(s.leader("t")).toBeUndefined();
    s.start(1);
    await s.until("broker 1 leads", () => s.leader("t") === 1);
    expect((await s.finish()).get("t-0")).toEqual(["a", "b"]);
  });
});

test("a follower that was away while the leader's log start passed its end starts over there", async () => {
  await Scenario.play({ topics: ["t"], settings: ["log.retention.check.interval.ms=500"] }, async (s) => {
    await s.topic("t", { settings: { "retention.bytes": "3000", "segment.bytes": "1024" } });
    expect(await s.write(1, "t", ["first"])).toBe(NONE);
    s.kill(3);
    const filling = (index: number): string => `v${index}.`.padEnd(200, "x");
    expect(await s.write(1, "t", Array.from({ length: 60 }, (_, index) => filling(index)))).toBe(NONE);
    await s.until("old segments are gone", () => (s.replica(1, "t")?.log.startOffset ?? 0) > 10);
    s.start(3);
    await s.until("all are in sync", () => s.isr("t").join() === "1,2,3");
    expect(s.heard("fetch offset out of range", 3)).not.toEqual([]);
    await s.finish();
  });
});

/** It had two records of one answer, of which the second has to go: a reader was given what came before and what came after, without the first. */
test("a follower that drops the end of what one answer gave it hides nothing of the rest from readers when it leads", async () => {
  await Scenario.play({ topics: ["t"], settings: ["replica.lag.time.max.ms=60000"] }, async (s) => {
    const [first, next, late] = [1, 2, 3];
    await s.topic("t");
    expect(await s.write(first, "t", ["all"])).toBe(NONE);
    s.cluster.node(late).pause();
    // "one" answers the fetch that waits.
    expect(await s.write(first, "t", ["one", "two"], { acks: 1 })).toBe(NONE);
    await s.until("the next leader has both", () => s.replica(next, "t")?.log.endOffset === 3);
    s.world.net.partition([s.cluster.node(first)], [s.cluster.node(next)]);
    expect(await s.write(first, "t", ["dropped"], { acks: 1 })).toBe(NONE);
    s.cluster.node(late).resume();
    await s.until("the late one has all", () => s.replica(late, "t")?.log.endOffset === 4);
    s.kill(first);
    await s.until("it has cut its log", () => s.heard("truncated", late).length > 0);
    expect(await s.write(next, "t", ["new"])).toBe(NONE);
    s.kill(next);
    await s.until("the late one leads", () => s.leader("t") === late);
    const reader = new PartitionReader(s.newClient(), { topic: "t", partition: 0, retained: false, mayGo: false, maxWaitMs: 100, maxBytes: 1_000_000 });
    reader.start();
    await s.until("all is read", () => reader.position === 4);
    await s.world.settle(reader.rest());
    expect([...reader.seen.values()]).toEqual(["all", "one", "two", "new"]);
    expect((await s.finish()).get("t-0")).toEqual(["all", "one", "two", "new"]);
  });
});

test("an ISR change whose answer is lost with its controller is asked again of the next one", async () => {
  await Scenario.play({ topics: ["t"], members: 3 }, async (s) => {
    const controller = await s.controller();
    const [leader, follower] = s.others(controller);
    await s.topic("t", { assignments: [[leader, follower, controller]] });
    const loseFollower = async (value: string): Promise<void> => {
      s.world.net.partition([s.cluster.node(follower)], [s.cluster.node(leader)]);
      expect(await s.write(leader, "t", [value], { acks: 1 })).toBe(NONE);
    };
    await loseFollower("first");
    await s.until("the follower is out", () => s.isr("t").length === 2);
    s.world.net.heal();
    await s.until("the follower is back", () => s.isr("t").length === 3);
    const written = s.heard("ISRs altered", controller).length;
    await loseFollower("second");
    s.world.net.clog(s.cluster.node(controller), s.cluster.node(leader), 60_000);
    await s.until("the controller has written the ISR", () => s.heard("ISRs altered", controller).length > written);
    expect(s.isr("t").length).toBe(3);
    s.kill(controller);
    await s.until("the next controller", () => s.heard("ready as the controller").length > 1);
    // It may be the follower that the leader can't reach.
    s.world.net.heal();
    await s.until("the leader has its answer", () => !s.isr("t").includes(controller));
    expect(await s.write(leader, "t", ["alone"])).toBe(NONE);
    expect((await s.finish()).get("t-0")).toEqual(["first", "second", "alone"]);
  });
});

test("an ISR goes down to one and comes back; with fewer than min.insync.replicas only acks=all is refused", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    await s.topic("t", { settings: SAFE });
    s.cluster.node(2).pause();
    const waiting = s.writing(1, "t", ["two-of-three"], { timeoutMs: 10_000 });
    await s.until("broker 2 is out", () => s.isr("t").join() === "1,3");
    expect(await s.world.settle(waiting)).toBe(NONE);
    s.cluster.node(3).pause();
    const after = s.writing(1, "t", ["one-of-three"], { timeoutMs: 10_000 });
    await s.until("broker 1 is left alone", () => s.isr("t").join() === "1");
    expect(await s.world.settle(after)).toBe(NOT_ENOUGH_REPLICAS_AFTER_APPEND);
    expect(await s.write(1, "t", ["refused"])).toBe(NOT_ENOUGH_REPLICAS);
    expect(await s.write(1, "t", ["to-the-leader"], { acks: 1 })).toBe(NONE);
    s.cluster.node(2).resume();
    s.cluster.node(3).resume();
    await s.until("all are in sync", () => s.isr("t").join() === "1,2,3");
    expect(await s.write(1, "t", ["to-all"])).toBe(NONE);
    expect((await s.finish()).get("t-0")).toEqual(["two-of-three", "one-of-three", "to-the-leader", "to-all"]);
  });
});

test("brokers that are stopped and started one after the other hand over: produces are told who does not lead, or cut off, and go on at once", async () => {
  await Scenario.play({ topics: ["t"], members: 3 }, async (s) => {
    await s.topic("t", { partitions: 6, settings: SAFE });
    const producers = Array.from({ length: 6 }, (_, partition) => new IdempotentProducer(s.newClient(), { name: `p${partition}`, topic: "t", partition, window: 1, pauseMsMax: 40, valueBytesMax: 250, largeBytes: 0 }));
    for (const producer of producers) producer.start();
    for (const broker of s.cluster.brokerIds) {
      await s.run(1000);
      await s.stop(broker);
      await s.run(500);
      s.start(broker);
      await s.until("all are in sync", () => producers.every((_, partition) => s.isr("t", partition).length === 3));
    }
    for (const producer of producers) {
      await s.world.settle(producer.rest());
      expect(producer.created).toBeGreaterThan(100);
      expect([...producer.answers.keys()].filter((code) => code !== undefined && code !== NONE && code !== NOT_LEADER_OR_FOLLOWER)).toEqual([]);
      expect(producer.longestGapMs).toBeLessThan(1000);
    }
    expect(s.heard("controlled shutdown succeeded").length).toBe(3);
    const logs = await s.finish();
    for (const [partition, { created }] of producers.entries()) expect(logs.get(`t-${partition}`)).toEqual(Array.from({ length: created }, (_, index) => `p${partition}:${index}`));
  });
});

for (const part of ["leader", "follower", "controller"] as const) {
  test(`a ${part} that is killed and back within 100 ms loses nothing, and all are in sync again soon`, async () => {
    await Scenario.play({ topics: ["t"] }, async (s) => {
      const controller = await s.controller();
      const [first, second] = s.others(controller);
      await s.topic("t", { assignments: [part === "controller" ? [first, controller, second] : [first, second, controller]], settings: SAFE });
      const producer = new IdempotentProducer(s.newClient(), { name: "p", topic: "t", partition: 0, window: 1, pauseMsMax: 20, valueBytesMax: 250, largeBytes: 0 });
      producer.start();
      const struck = { leader: first, follower: second, controller }[part];
      for (const ms of [1, 30, 99]) {
        await s.run(700);
        s.kill(struck);
        await s.run(ms);
        s.start(struck);
        const before = producer.acknowledged.size;
        await s.until("records are acknowledged again", () => producer.acknowledged.size > before + 20);
        await s.until("all are in sync", () => s.isr("t").length === 3);
      }
      await s.world.settle(producer.rest());
      expect((await s.finish()).get("t-0")).toEqual(Array.from({ length: producer.created }, (_, index) => `p:${index}`));
    });
  });
}

test("a broker that lost its power and its session comes back to what the two others have kept", async () => {
  await Scenario.play({ topics: ["t"], settings: ["log.segment.bytes=4096"] }, async (s) => {
    await s.topic("t", { settings: SAFE });
    const producer = new IdempotentProducer(s.newClient(), { name: "p", topic: "t", partition: 0, window: 1, pauseMsMax: 10, valueBytesMax: 250, largeBytes: 0 });
    producer.start();
    for (const broker of [1, 2, 1]) {
      await s.run(1500);
      s.cluster.node(broker).powerLoss();
      await s.until("two are in sync", () => s.isr("t").length === 2 && !s.isr("t").includes(broker));
      await s.run(4500);
      s.start(broker);
      await s.until("all are in sync", () => s.isr("t").length === 3);
    }
    await s.world.settle(producer.rest());
    expect((await s.finish()).get("t-0")).toEqual(Array.from({ length: producer.created }, (_, index) => `p:${index}`));
  });
});

/** It led, and was the controller: when it is back, with its dead session taken over, nobody has seen it go, and a new controller finds all as it was. */
test("a controller that is back before anybody has seen it go does not lead on, in the same epoch, without the records that it lost and its followers have", async () => {
  await Scenario.play({ topics: ["t"], settings: ["replica.lag.time.max.ms=60000"] }, async (s) => {
    const { world, cluster } = s;
    const leader = await s.controller();
    const others = s.others(leader);
    const node = cluster.node(leader);
    await s.topic("t", { assignments: [[leader, ...others]] });
    expect(await s.write(leader, "t", ["first"])).toBe(NONE);
    const epoch = must(s.replica(leader, "t"), "replica").leaderEpoch;
    // Too large to be written at once: followers have it sooner than the leader's disk.
    node.disk.options.latencyMs = [2000, 2000];
    const kept = "kept".repeat(25_000);
    const written = s.writing(leader, "t", [kept], { acks: 1 });
    await world.run({ until: () => others.every((broker) => s.replica(broker, "t")?.log.endOffset === 2), withinMs: 1000 });
    world.net.partition(others.map((broker) => cluster.node(broker)), cluster.members);
    s.kill(leader);
    node.disk.options.latencyMs = [0.02, 0.2];
    s.start(leader);
    await world.settle(written);
    await s.until("it is the controller again", () => s.heard("ready as the controller", leader).length > 1);
    world.net.heal();
    await s.until("somebody leads", () => s.leader("t") !== undefined);
    expect(s.leader("t")).not.toBe(leader);
    expect(must(s.replica(must(s.leader("t"), "leader"), "t"), "replica").leaderEpoch).toBeGreaterThan(epoch);
    await s.until("all are in sync", () => s.isr("t").length === 3);
    expect(await s.write(must(s.leader("t"), "leader"), "t", ["last"])).toBe(NONE);
    expect((await s.finish()).get("t-0")?.map((value) => value.slice(0, 4))).toEqual(["firs", "kept", "last"]);
  });
});

test("of three brokers that all died two come back: they lead and take records, though the third, which stays away, is registered for a while yet", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    const first = await s.controller();
    const [second, away] = s.others(first);
    await s.topic("t", { assignments: [[first, away, second]] });
    expect(await s.write(first, "t", ["before"])).toBe(NONE);
    for (const broker of [first, second, away]) s.kill(broker);
    s.start(first);
    await s.until("one is the controller", () => s.heard("ready as the controller", first).length > 1);
    s.start(second);
    await s.until("a leader that lives", () => [first, second].some((broker) => s.replica(broker, "t")?.isLeader === true), 10_000);
    expect(await s.write(must(s.leader("t"), "leader"), "t", ["after"])).toBe(NONE);
    expect((await s.finish()).get("t-0")).toEqual(["before", "after"]);
  });
});

test("a bit that has rotted in the leader's closed segment goes to no other replica, and the one that has it is made anew from one that is whole", async () => {
  await Scenario.play({ topics: ["t"], settings: ["log.segment.bytes=4096"] }, async (s) => {
    // Broker 3 keeps little of its log's end in memory.
    const [whole, late, rotten] = [1, 2, 3];
    const values = Array.from({ length: 60 }, (_, index) => `value-${index}`);
    await s.topic("t", { assignments: [[rotten, whole, late]] });
    expect(await s.write(rotten, "t", values)).toBe(NONE);
    await s.until("all have all", () => [rotten, whole, late].every((broker) => s.replica(broker, "t")?.log.endOffset === values.length));
    s.kill(late);
    await s.until("two are in sync", () => s.isr("t").length === 2);
    emptyReplica(s, late);
    // In its first record.
    s.cluster.node(rotten).disk.rot(`${LOG_DIRECTORY}/t-0/00000000000000000000.log`, 70);
    s.start(late);
    await s.until("it is refused", () => s.heard("the leader sent damaged records", late).length > 0);
    await s.run(2000);
    expect(s.replica(late, "t")?.log.endOffset).toBe(0);
    expect(s.isr("t")).toEqual([whole, rotten]);
    await s.stop(rotten);
    emptyReplica(s, rotten);
    s.start(rotten);
    await s.until("all are in sync", () => s.isr("t").length === 3);
    expect((await s.finish()).get("t-0")).toEqual(values);
  });
});

/** As whoever runs a broker removes a partition's directory while it is down. */
function emptyReplica(s: Scenario, broker: number): void {
  for (const step of s.cluster.node(broker).disk.files.removalSteps(`${LOG_DIRECTORY}/t-0`)) step();
}

test("a topic of 300 partitions on every broker is made within 30 s, and gone within 30 s", async () => {
  await Scenario.play({ topics: [] }, async (s) => {
    for (const { disk } of s.cluster.brokers) disk.options.syncMs = [1, 10];
    const begunMs = s.world.nowMs;
    await s.topic("large", { partitions: 300 });
    await s.until("all are in sync", () => Array.from({ length: 300 }, (_, partition) => s.isr("large", partition).length).every((count) => count === 3));
    expect(s.world.nowMs - begunMs).toBeLessThan(30_000);
    const madeMs = s.world.nowMs;
    await s.world.settle(removeTopic(s.client, "large"));
    await s.until("no replica is left", () => s.convergence.running.every(({ partitions }) => [...partitions].length === 0));
    expect(s.world.nowMs - madeMs).toBeLessThan(30_000);
    expect([...(await s.finish()).keys()]).toEqual([]);
  });
});
