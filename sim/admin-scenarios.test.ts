import { expect, test } from "vitest";
import { must } from "../src/lib/assert.ts";
import { alterConfigs } from "../src/kafka/protocol/messages/alter-configs.ts";
import { createPartitions } from "../src/kafka/protocol/messages/create-partitions.ts";
import { deleteRecords } from "../src/kafka/protocol/messages/delete-records.ts";
import { describeConfigs } from "../src/kafka/protocol/messages/describe-configs.ts";
import { describeLogDirs } from "../src/kafka/protocol/messages/describe-log-dirs.ts";
import { electLeaders } from "../src/kafka/protocol/messages/elect-leaders.ts";
import { incrementalAlterConfigs } from "../src/kafka/protocol/messages/incremental-alter-configs.ts";
import { ErrorCode } from "../src/kafka/protocol/error-codes.ts";
import { Scenario } from "./kafka/scenario.ts";

const { NONE, NOT_CONTROLLER, NOT_ENOUGH_REPLICAS, MESSAGE_TOO_LARGE } = ErrorCode;
const TOPIC = 2;
const BROKER = 4;

/** Settings of a topic, a broker or all brokers (no name), one after the other. */
async function change(s: Scenario, broker: number, resourceType: number, resourceName: string, settings: Readonly<Record<string, string | null>>): Promise<void> {
  const configs = Object.entries(settings).map(([name, value]) => ({ name, value, configOperation: value === null ? 1 : 0 }));
  const { responses } = await s.world.settle(s.client.send(broker, incrementalAlterConfigs, 1, { resources: [{ resourceType, resourceName, configs }], validateOnly: false }));
  expect(responses).toEqual([{ errorCode: NONE, errorMessage: null, resourceType, resourceName }]);
}

test("partitions that are added to a topic are led, replicated and written to; a controller that dies meanwhile is followed by one that goes on", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    await s.topic("t");
    expect(await s.write(1, "t", ["old"])).toBe(NONE);
    const controller = await s.controller();
    const [other] = s.others(controller);
    const grow = (broker: number, count: number) => s.client.send(broker, createPartitions, 3, { topics: [{ name: "t", count, assignments: null }], timeoutMs: 3000, validateOnly: false });
    expect((await s.world.settle(grow(other, 3))).results).toEqual([{ name: "t", errorCode: NOT_CONTROLLER, errorMessage: null }]);
    expect((await s.world.settle(grow(controller, 3))).results).toEqual([{ name: "t", errorCode: NONE, errorMessage: null }]);
    for (const partition of [1, 2]) {
      expect(s.isr("t", partition)).toEqual([1, 2, 3]);
      expect(await s.write(must(s.leader("t", partition), "leader"), "t", [`new${partition}`], { partition })).toBe(NONE);
    }
    // Asked, and killed in the midst of it.
    const asked = grow(controller, 5).catch(() => undefined);
    await s.run(3);
    s.kill(controller);
    await s.world.settle(asked);
    await s.run(6000);
    await s.world.settle(s.client.describe(other, []));
    expect(s.client.controllerId).not.toBe(controller);
    s.start(controller);
    const records = await s.finish();
    expect(records.size).toBe(5);
    expect([records.get("t-0"), records.get("t-1"), records.get("t-2")]).toEqual([["old"], ["new1"], ["new2"]]);
  });
});

test("records that are deleted are gone from every replica when the answer comes, for a follower that was away too, and stay so", async () => {
  await Scenario.play({ topics: ["t"] }, async (s) => {
    await s.topic("t", { settings: { "segment.bytes": "1000" } });
    expect(await s.write(1, "t", ["a", "b", "c", "d", "e"])).toBe(NONE);
    const remove = (broker: number, offset: number, timeoutMs = 3000) => s.client.send(broker, deleteRecords, 2, { topics: [{ name: "t", partitions: [{ partitionIndex: 0, offset }] }], timeoutMs });
    const starts = (): (number | undefined)[] => s.cluster.brokerIds.map((id) => s.replica(id, "t")?.log.startOffset);
    const outcome = async (broker: number, offset: number, timeoutMs?: number) => (await s.world.settle(remove(broker, offset, timeoutMs))).topics[0]?.partitions[0];
    expect(await outcome(2, 2)).toMatchObject({ errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER, lowWatermark: -1 });
    expect(await outcome(1, 2)).toMatchObject({ errorCode: NONE, lowWatermark: 2 });
    expect(starts()).toEqual([2, 2, 2]);
    expect(await outcome(1, 9)).toMatchObject({ errorCode: ErrorCode.OFFSET_OUT_OF_RANGE });
    // It can't be told, and is waited for while it counts as alive.
    s.world.net.partition([s.cluster.node(1)], [s.cluster.node(3)]);
    expect(await outcome(1, 3, 500)).toMatchObject({ errorCode: ErrorCode.REQUEST_TIMED_OUT });
    s.world.net.heal();
    await s.until("it has heard", () => starts().every((start) => start === 3), 20_000);
    s.kill(3);
    await s.until("broker 3 is out", () => s.isr("t").join() === "1,2");
    expect(await outcome(1, -1)).toMatchObject({ errorCode: NONE, lowWatermark: 5 });
    expect(await s.write(1, "t", ["f"])).toBe(NONE);
    s.start(3);
    await s.until("it is back", () => s.isr("t").join() === "1,2,3");
    expect(starts()).toEqual([5, 5, 5]);
    const { results } = await s.world.settle(s.client.send(1, describeLogDirs, 4, { topics: null }));
    expect(results).toMatchObject([{ errorCode: NONE, topics: [{ name: "t", partitions: [{ partitionIndex: 0, offsetLag: 0, isFutureKey: false }] }] }]);
    expect((await s.finish()).get("t-0")).toEqual(["f"]);
  });
});

test("settings that change while brokers run act at once, on all of them, and hold after a restart and for one that was away", async () => {
  await Scenario.play({ topics: ["t"], settings: ["log.retention.check.interval.ms=1000"] }, async (s) => {
    await s.topic("t");
    expect(await s.write(1, "t", ["first"])).toBe(NONE);
    // min.insync.replicas of a topic: asked of any broker.
    await change(s, 2, TOPIC, "t", { "min.insync.replicas": "3" });
    s.kill(3);
    await s.until("broker 3 is out", () => s.isr("t").join() === "1,2");
    expect(await s.write(1, "t", ["refused"])).toBe(NOT_ENOUGH_REPLICAS);
    await change(s, 2, TOPIC, "t", { "min.insync.replicas": null });
    // Of all brokers, and of this one alone, which is stronger.
    await change(s, 2, BROKER, "", { "message.max.bytes": "200" });
    await s.run(500);
    expect(await s.write(1, "t", ["x".repeat(300)])).toBe(MESSAGE_TOO_LARGE);
    await change(s, 1, BROKER, "1", { "message.max.bytes": "1000" });
    await s.run(500);
    expect(await s.write(1, "t", ["second"])).toBe(NONE);
    s.start(3);
    await s.until("broker 3 is back", () => s.isr("t").join() === "1,2,3");
    const described = async (broker: number) => {
      const { results } = await s.world.settle(s.client.send(broker, describeConfigs, 4, { resources: [{ resourceType: BROKER, resourceName: String(broker), configurationKeys: ["message.max.bytes"] }], includeSynonyms: false, includeDocumentation: false }));
      return results[0]?.configs[0];
    };
    expect(await described(1)).toMatchObject({ value: "1000", configSource: 2 });
    expect(await described(3)).toMatchObject({ value: "200", configSource: 3 });
    expect(s.cluster.brokerIds.map((id) => s.replica(id, "t")?.log.config.maxMessageBytes)).toEqual([1000, 200, 200]);
    // AlterConfigs replaces: what is not named is the default again.
    const { responses } = await s.world.settle(s.client.send(3, alterConfigs, 2, { resources: [{ resourceType: TOPIC, resourceName: "t", configs: [{ name: "max.message.bytes", value: "5000" }] }], validateOnly: false }));
    expect(responses[0]?.errorCode).toBe(NONE);
    await s.until("all have heard", () => s.cluster.brokerIds.every((id) => s.replica(id, "t")?.log.config.maxMessageBytes === 5000));
    expect(await s.write(1, "t", ["third"])).toBe(NONE);
    expect((await s.finish()).get("t-0")).toEqual(["first", "second", "third"]);
  });
});

test("a partition without a leader gets one as soon as its topic allows unclean elections, and by ElectLeaders; leaders go back by it", async () => {
  await Scenario.play({ topics: ["t", "u"], unclean: ["t", "u"] }, async (s) => {
    for (const topic of ["t", "u"]) {
      await s.topic(topic, { assignments: [[2, 3]] });
      expect(await s.write(2, topic, ["all"])).toBe(NONE);
    }
    s.kill(3);
    await s.until("broker 2 is in sync alone", () => s.isr("t").join() === "2" && s.isr("u").join() === "2");
    s.kill(2);
    await s.run(6000);
    s.start(3);
    await s.until("broker 3 is back", () => s.cluster.running(3) !== undefined);
    await s.run(2000);
    expect([s.leader("t"), s.leader("u")]).toEqual([undefined, undefined]);
    await change(s, 1, TOPIC, "t", { "unclean.leader.election.enable": "true" });
    await s.until("broker 3 leads t", () => s.leader("t") === 3);
    expect(s.leader("u")).toBeUndefined();
    const elect = async (electionType: number, topic: string) => {
      await s.world.settle(s.client.describe(1, []));
      const answer = await s.world.settle(s.client.send(s.client.controllerId, electLeaders, 2, { electionType, topicPartitions: [{ topic, partitions: [0] }], timeoutMs: 3000 }));
      return answer.replicaElectionResults[0]?.partitionResult[0]?.errorCode;
    };
    expect(await elect(1, "u")).toBe(NONE);
    await s.until("broker 3 leads u", () => s.leader("u") === 3);
    s.start(2);
    await s.until("broker 2 is in sync again", () => s.isr("t").join() === "2,3" && s.isr("u").join() === "2,3");
    expect(await elect(0, "t")).toBe(NONE);
    await s.until("broker 2 leads t", () => s.leader("t") === 2);
    expect(await elect(0, "t")).toBe(ErrorCode.ELECTION_NOT_NEEDED);
    const records = await s.finish();
    expect([records.get("t-0"), records.get("u-0")]).toEqual([["all"], ["all"]]);
  });
});
