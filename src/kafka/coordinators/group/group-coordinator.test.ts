import { describe, expect, test } from "vitest";
import { assert, must } from "../../../lib/assert.ts";
import { OperationalError } from "../../../lib/error.ts";
import type { PartitionLog } from "../../log/log.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { Codec, batchCodec } from "../../records/batch.ts";
import { buildBatch } from "../../records/build.ts";
import type { Partition } from "../../replication/partition.ts";
import { FollowerClock, Outcome } from "../../replication/testing/partition-bench.ts";
import { encodeRecord } from "./group-records.ts";
import { CoordinatorBench as Bench, RULES } from "./testing/coordinator-bench.ts";
import type { JoinResult } from "./types.ts";

const { NONE, NOT_COORDINATOR, UNKNOWN_MEMBER_ID } = ErrorCode;
/** What a heartbeat is told while its group is loaded. */
const LOADING = NONE;

/** Writes `count` offsets of group g, one batch each, as if an earlier coordinator had. */
function fill(partition: Partition, count: number, metadata = ""): void {
  for (let offset = 0; offset < count; offset++) {
    const committed = { offset, leaderEpoch: -1, metadata, commitWallMs: 0, expireWallMs: undefined };
    const record = must(encodeRecord({ kind: "offset", groupId: "g", topic: "t", partition: offset % 10, value: committed }), "a record");
    const appended = partition.append(buildBatch([{ ...record, timestamp: 0 }]), { origin: "coordinator", inSyncMin: 0 }, () => undefined);
    assert(appended.kind === "appended", "appended");
  }
}

describe("a commit", () => {
  test("is appended in the turn of its request, answered when the in-sync replicas have it, and seen from then on", async () => {
    const bench = new Bench();
    await bench.own(0, { isr: [1, 2] });
    const partition = bench.partition();
    const answer = Outcome.of(bench.commit("g", { offset: 7 }, { offset: 8 }));
    expect(partition.log.endOffset).toBe(2);
    await bench.run(1000);
    expect([answer.value, bench.offsets("g")]).toEqual(["waiting", {}]);
    new FollowerClock(bench.partitions, 2).fetch(partition, 2);
    await bench.run(1);
    expect([answer.value, bench.offsets("g")]).toEqual([[NONE, NONE], { "t-0": 7, "t-1": 8 }]);
  });

  test.each([0, 1] as const)("with offsets.commit.required.acks %s waits for this broker only, whatever min.insync.replicas says", async (requiredAcks) => {
    const bench = new Bench({ config: { requiredAcks } });
    bench.inSyncMin = 3;
    await bench.own(0, { isr: [1, 2] });
    expect([await bench.settle(bench.commit("g", { offset: 7 })), bench.offsets("g")]).toEqual([[NONE], { "t-0": 7 }]);
  });

  test("that is not written in the turn of its append is answered when it is", async () => {
    const bench = new Bench({ config: { requiredAcks: 1 } });
    await bench.own();
    const metadata = "x".repeat(30_000);
    const answer = Outcome.of(bench.commit("g", { metadata }, { metadata }, { metadata }, { metadata }));
    expect([bench.partition().log.endOffset, bench.offsets("g")]).toEqual([4, {}]);
    await bench.run(1000);
    expect([answer.value, bench.offsets("g")]).toEqual([[NONE, NONE, NONE, NONE], { "t-0": 1, "t-1": 1, "t-2": 1, "t-3": 1 }]);
  });

  test("is told when offsets.commit.timeout.ms has passed", async () => {
    const bench = new Bench();
    await bench.own(0, { isr: [1, 2] });
    const answer = Outcome.of(bench.commit("g", { offset: 7 }));
    await bench.run(4900);
    expect(answer.value).toBe("waiting");
    await bench.run(200);
    expect([answer.value, bench.offsets("g")]).toEqual([[ErrorCode.REQUEST_TIMED_OUT], {}]);
  });

  test("that is refused in the turn of its append is answered all the same: too few in sync, no partition, a text too long to store", async () => {
    const bench = new Bench();
    await bench.own();
    bench.inSyncMin = 2;
    expect(await bench.settle(bench.commit("g", { offset: 7 }))).toEqual([ErrorCode.COORDINATOR_NOT_AVAILABLE]);
    bench.inSyncMin = 1;
    expect(await bench.settle(bench.commit("g", { offset: 7, metadata: "x".repeat(0x8000) }))).toEqual([ErrorCode.INVALID_COMMIT_OFFSET_SIZE]);
    expect(bench.partition().log.endOffset).toBe(0);
    bench.partitions.partitions.clear();
    expect(await bench.settle(bench.commit("g", { offset: 7 }))).toEqual([ErrorCode.COORDINATOR_NOT_AVAILABLE]);
  });

  test("that waits when the partition goes elsewhere is answered by its own append's end, once", async () => {
    const bench = new Bench();
    await bench.own(0, { isr: [1, 2] });
    const answer = Outcome.of(bench.commit("g", { offset: 7 }));
    bench.follow();
    await bench.run(1);
    expect([answer.value, bench.offsets("g")]).toEqual([[NOT_COORDINATOR], NOT_COORDINATOR]);
    await bench.run(10_000);
  });

  test("under a disk that fails in that very append is answered, and the partition is not served any more", async () => {
    const bench = new Bench();
    await bench.own();
    bench.partitions.node.disk.inject = ({ operation }) => (operation === "write" ? "EIO" : undefined);
    Object.assign(bench.partitions.context, {
      onIoError: () => {
        bench.partition().stop(ErrorCode.KAFKA_STORAGE_ERROR);
        bench.coordinator.onRole(0, undefined);
      },
    });
    expect(await bench.settle(bench.commit("g", { offset: 7 }))).toEqual([NOT_COORDINATOR]);
    expect(bench.status()).toBe(NOT_COORDINATOR);
  });

  test("is packed with offsets.topic.compression.codec, and read again", async () => {
    const bench = new Bench({ config: { codec: Codec.lz4 } });
    await bench.own();
    await bench.settle(bench.commit("g", { offset: 7 }));
    const read = await bench.settle(bench.partition().log.read({ offset: 0, maxBytes: 1e6, maxOffset: 1, minOneMessage: true }));
    expect(read.kind === "read" && batchCodec(must(read.chunks[0], "a batch"), 0)).toBe(Codec.lz4);
    bench.follow();
    await bench.own();
    expect(bench.offsets("g")).toEqual({ "t-0": 7 });
  });
});

describe("before the number of partitions is known", () => {
  test("every group is elsewhere; it is asked for when this broker leads a partition, not before, and the last that was told of a partition holds", async () => {
    let asked = 0;
    let tell: (count: number) => void = () => undefined;
    const bench = new Bench({ partitionCount: () => new Promise((resolve) => (asked++, (tell = resolve))) });
    bench.follow(0);
    await bench.run(1000);
    expect(asked).toBe(0);
    for (const index of [0, 1, 2]) bench.lead(index);
    bench.follow(1);
    bench.lead(2);
    await bench.run(1000);
    expect([asked, bench.status(), await bench.settle(bench.commit("g", {}))]).toEqual([1, NOT_COORDINATOR, [NOT_COORDINATOR]]);
    tell(3);
    await bench.run(100);
    expect([asked, bench.coordinator.core.ownedPartitions]).toEqual([1, [0, 2]]);
  });

  test("it is asked for again where that failed, until the end", async () => {
    let asked = 0;
    const bench = new Bench({ partitionCount: () => (asked++ < 2 ? Promise.reject(new OperationalError("ERR_ZOOKEEPER", "no session")) : Promise.resolve(1)) });
    bench.lead();
    await bench.run(1500);
    expect([asked, bench.status()]).toEqual([2, NOT_COORDINATOR]);
    await bench.run(1000);
    expect([asked, bench.status()]).toEqual([3, UNKNOWN_MEMBER_ID]);
  });

  test("the end asks no more where it was to be asked again", async () => {
    let asked = 0;
    const bench = new Bench({ partitionCount: () => (asked++, Promise.reject(new OperationalError("ERR_ZOOKEEPER", "no session"))) });
    bench.lead();
    await bench.run(100);
    await bench.settle(bench.coordinator.close());
    expect([await bench.eventsLeft(), asked]).toEqual([0, 1]);
  });

  test("the end asks no more, and nothing begins behind it", async () => {
    let fail: (error: Error) => void = () => undefined;
    const bench = new Bench({ partitionCount: () => new Promise((_, reject) => (fail = reject)) });
    bench.lead();
    await bench.run(1);
    await bench.settle(bench.coordinator.close());
    fail(new OperationalError("ERR_ZOOKEEPER", "closed"));
    expect(await bench.eventsLeft()).toBe(0);
    expect([bench.status(), bench.logged]).toEqual([NOT_COORDINATOR, []]);
  });
});

describe("loading", () => {
  test.each([
    ["the tail", 1e6],
    ["the files", 0],
  ])("reads a log of many buffers to its end, from %s, and serves the group only then", async (_from, tailBytesMax) => {
    const bench = new Bench({ tailBytesMax, config: { loadBytes: 2000 } });
    bench.partition().become({ leader: 1, leaderEpoch: 0, isr: [1], replicas: [1], zkVersion: 0 });
    fill(bench.partition(), 200);
    bench.coordinator.onRole(0, 0);
    await bench.run(0);
    expect([bench.status(), bench.offsets("g")]).toEqual([LOADING, ErrorCode.COORDINATOR_LOAD_IN_PROGRESS]);
    await bench.run(1000);
    expect(bench.status()).toBe(UNKNOWN_MEMBER_ID);
    expect(bench.offsets("g")).toEqual(Object.fromEntries(Array.from({ length: 10 }, (_, index) => [`t-${index}`, 190 + index])));
    expect(bench.logged).toContain("groups loaded");
  });

  test.each([
    ["steps aside before it has gone through a large buffer", 60, 20_000, 5, 20],
    ["does not step aside for each small batch", 500, 0, 1, 10],
  ])("%s", async (_title, batches, metadataChars, eventsMin, eventsMax) => {
    const bench = new Bench({ config: { loadBytes: 10e6 }, tailBytesMax: 10e6 });
    bench.partition().become({ leader: 1, leaderEpoch: 0, isr: [1], replicas: [1], zkVersion: 0 });
    fill(bench.partition(), batches, "x".repeat(metadataChars));
    await bench.run(1000);
    bench.coordinator.onRole(0, 0);
    const { world } = bench.partitions;
    const from = world.events;
    await world.run({ until: () => bench.status() === UNKNOWN_MEMBER_ID, withinMs: 1000 });
    expect(world.events - from).toBeGreaterThanOrEqual(eventsMin);
    expect(world.events - from).toBeLessThanOrEqual(eventsMax);
  });

  test("takes one partition after the other", async () => {
    const bench = new Bench({ partitionCount: () => Promise.resolve(3), tailBytesMax: 0 });
    const reads: string[] = [];
    for (const index of [0, 1, 2]) {
      bench.lead(index);
      fill(bench.partition(index), 5);
      const { log } = bench.partition(index);
      const read: PartitionLog["read"] = log.read.bind(log);
      log.read = (limits) => {
        reads.push(`${index} begins`);
        return read(limits).finally(() => reads.push(`${index} ends`));
      };
    }
    await bench.run(1000);
    expect([reads, bench.coordinator.core.ownedPartitions]).toEqual([["0 begins", "0 ends", "1 begins", "1 ends", "2 begins", "2 ends"], [0, 1, 2]]);
  });

  test("that is overtaken by a loss of the partition changes nothing; the next begins anew", async () => {
    const bench = new Bench({ tailBytesMax: 0, config: { loadBytes: 200 } });
    bench.lead();
    fill(bench.partition(), 20);
    await bench.run(1);
    expect(bench.status()).toBe(LOADING);
    bench.follow();
    expect(bench.status()).toBe(NOT_COORDINATOR);
    bench.lead();
    expect(bench.status()).toBe(LOADING);
    await bench.run(1000);
    expect(bench.offsets("g")).toMatchObject({ "t-0": 10, "t-9": 19 });
    expect(bench.logged.filter((line) => line === "groups loaded" || line === "load given up")).toEqual(["load given up", "groups loaded"]);
    bench.follow();
    await bench.run(1000);
    expect(bench.status()).toBe(NOT_COORDINATOR);
  });

  test("goes on where this broker leads on in a later epoch, and so do the groups that are loaded", async () => {
    const bench = new Bench({ tailBytesMax: 0, config: { loadBytes: 200 } });
    bench.lead();
    fill(bench.partition(), 20);
    await bench.run(1);
    bench.lead();
    await bench.run(1000);
    bench.lead();
    expect([bench.offsets("g"), bench.status()]).toMatchObject([{ "t-0": 10 }, UNKNOWN_MEMBER_ID]);
    expect(bench.logged.filter((line) => line === "groups loaded" || line === "load given up")).toEqual(["groups loaded"]);
  });

  test("reads what is appended while it runs too", async () => {
    const bench = new Bench({ tailBytesMax: 0, config: { loadBytes: 200 } });
    bench.lead();
    fill(bench.partition(), 20);
    await bench.run(1);
    fill(bench.partition(), 30);
    await bench.run(1000);
    expect(bench.offsets("g")).toMatchObject({ "t-0": 20, "t-9": 29 });
  });

  const nothing = { kind: "read", chunks: [], bytes: 0, nextOffset: 3 } as const;
  const refused = { kind: "refused", error: ErrorCode.KAFKA_STORAGE_ERROR, message: "failed" } as const;
  const failed = "groups could not be loaded to the end";

  test.each([
    ["nothing can be read below the log's end, as compaction may leave it", () => Promise.resolve(nothing), []],
    ["a read is refused", () => Promise.resolve(refused), [failed]],
    ["a read fails", () => Promise.reject(new OperationalError("EIO", "failed")), [failed]],
  ])("ends where %s: what there is, is served", async (_where, read, logged) => {
    const bench = new Bench();
    bench.lead();
    fill(bench.partition(), 5);
    const { log } = bench.partition();
    const whole = log.read.bind(log);
    log.read = (limits) => (limits.offset === 0 ? whole({ ...limits, maxOffset: 3 }) : read());
    await bench.run(1000);
    expect(bench.offsets("g")).toEqual({ "t-0": 0, "t-1": 1, "t-2": 2 });
    expect(bench.logged).toEqual([...logged, "groups loaded"]);
  });

  test("tells of records that it skips", async () => {
    const bench = new Bench();
    bench.lead();
    bench.partition().append(buildBatch([{ key: Buffer.from([0, 9]), value: null, timestamp: 0 }]), { origin: "coordinator", inSyncMin: 0 }, () => undefined);
    await bench.run(1000);
    expect(bench.logged).toEqual(["records of groups can't be read and are skipped", "groups loaded"]);
  });
});

describe("members", () => {
  test("join, get their assignment when it is stored, and are there after another broker led meanwhile", async () => {
    const bench = new Bench();
    await bench.own();
    const member = await bench.joined("g");
    expect(member.memberId).toMatch(/^c-[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}$/);
    expect(await bench.settle(bench.sync("g", member))).toMatchObject({ error: NONE, assignment: Buffer.from("all") });
    bench.follow();
    await bench.own();
    expect(bench.coordinator.describe("g")).toMatchObject({ state: "Stable", members: [{ memberId: member.memberId, assignment: Buffer.from("all") }] });
    expect(bench.coordinator.list([], []).groups).toMatchObject([{ groupId: "g", state: "Stable" }]);
    expect(bench.coordinator.heartbeat({ groupId: "g", memberId: member.memberId, instanceId: null, generation: member.generation })).toBe(NONE);
  });

  test("whose assignment can't be stored are told so, and asked to join again", async () => {
    const bench = new Bench();
    await bench.own();
    const member = await bench.joined("g");
    bench.inSyncMin = 2;
    expect(await bench.settle(bench.sync("g", member))).toMatchObject({ error: ErrorCode.COORDINATOR_NOT_AVAILABLE });
    expect(bench.coordinator.describe("g").state).toBe("PreparingRebalance");
  });

  test("that wait when the partition goes elsewhere are told in that turn", async () => {
    const bench = new Bench({ config: { rules: { ...RULES, initialRebalanceDelayMs: 3000 } } });
    await bench.own();
    const waiting = Outcome.of(bench.join("g"));
    await bench.run(100);
    bench.follow();
    await Promise.resolve();
    expect(waiting.value).toMatchObject({ error: NOT_COORDINATOR });
  });

  test("that ask again over another connection leave the first without an answer", async () => {
    const bench = new Bench({ config: { rules: { ...RULES, initialRebalanceDelayMs: 3000 } } });
    await bench.own();
    const { memberId } = (await bench.settle(bench.join("g", { requireKnownMemberId: true }))) as JoinResult;
    const first = Outcome.of(bench.join("g", { memberId }));
    await bench.run(10);
    const second = Outcome.of(bench.join("g", { memberId }));
    await bench.run(10);
    expect([first.value, second.value]).toEqual(["superseded", "waiting"]);
    await bench.run(4000);
    expect(second.value).toMatchObject({ error: NONE, memberId });
  });

  test("are dropped when their session has passed, and the alarm rings at that time", async () => {
    const bench = new Bench();
    await bench.own();
    const member = await bench.joined("g");
    await bench.settle(bench.sync("g", member));
    await bench.run(900);
    expect(bench.coordinator.heartbeat({ groupId: "g", memberId: member.memberId, instanceId: null, generation: 1 })).toBe(NONE);
    await bench.run(950);
    expect(bench.coordinator.describe("g").members.length).toBe(1);
    await bench.run(100);
    expect(bench.coordinator.describe("g")).toMatchObject({ state: "Empty", members: [] });
    await bench.run(1);
    bench.follow();
    await bench.own();
    expect(bench.coordinator.describe("g")).toMatchObject({ state: "Empty", members: [] });
  });

  test("that sent a heartbeat while this process stood still are heard before silence is concluded from", async () => {
    const bench = new Bench();
    const { world, node } = bench.partitions;
    await bench.own();
    const member = await bench.joined("g");
    await bench.settle(bench.sync("g", member));
    const heard: ErrorCode[] = [];
    const listener = await bench.settle(
      node.host.net.listen({ port: 9092 }, (connection) =>
        connection.start({
          data: () => heard.push(bench.coordinator.heartbeat({ groupId: "g", memberId: member.memberId, instanceId: null, generation: 1 })),
          close: () => undefined,
        }),
      ),
    );
    const client = world.addNode("client");
    const connection = await bench.settle(client.host.net.connect({ host: node.address, port: listener.port, timeoutMs: 1000 }));
    connection.start({ data: () => undefined, close: () => undefined });
    node.pause();
    // The session's end comes first, and lies in the past when this process goes on.
    await bench.run(2500);
    connection.write(Buffer.from("x"));
    await bench.run(2500);
    node.resume();
    await bench.run(500);
    expect([heard, bench.coordinator.describe("g").members.length]).toEqual([[NONE], 1]);
    await bench.run(1000);
    expect(bench.coordinator.describe("g").members).toEqual([]);
  });

  test("are dropped too where the timer rings a little before their session has passed", async () => {
    const bench = new Bench({ earlyMs: 0.5 });
    await bench.own();
    const member = await bench.joined("g");
    await bench.settle(bench.sync("g", member));
    await bench.run(1100);
    expect(bench.coordinator.describe("g")).toMatchObject({ state: "Empty", members: [] });
  });

  test("leave, groups and offsets are deleted, and what is deleted stays so after a load", async () => {
    const bench = new Bench();
    await bench.own();
    const member = await bench.joined("g");
    await bench.settle(bench.sync("g", member));
    await bench.settle(bench.commit("h", { offset: 1 }, { offset: 2 }, { offset: 3, topic: "gone", partition: 0 }));
    await bench.settle(bench.commit("i", { offset: 1 }));
    expect(bench.coordinator.leave("g", [{ memberId: member.memberId, instanceId: null }])).toEqual({ error: NONE, members: [NONE] });
    await bench.run(100);
    expect(bench.coordinator.deleteGroups(["g", "i", "x"])).toEqual([NONE, NONE, ErrorCode.GROUP_ID_NOT_FOUND]);
    expect(bench.coordinator.deleteOffsets("h", [{ topic: "t", partition: 0 }])).toEqual({ error: NONE, partitions: [NONE] });
    bench.coordinator.partitionsDeleted([{ topic: "gone", partition: 0 }]);
    bench.follow();
    await bench.own();
    expect([bench.offsets("h"), bench.coordinator.list([], []).groups.map(({ groupId }) => groupId)]).toEqual([{ "t-1": 2 }, ["h"]]);
  });
});

test("tombstones are appended in the order of the request, and however few replicas are in sync", async () => {
  const bench = new Bench();
  await bench.own();
  for (const group of ["a", "b", "c"]) await bench.settle(bench.commit(group, { offset: 1 }));
  bench.inSyncMin = 3;
  expect(bench.coordinator.deleteGroups(["c", "a", "b"])).toEqual([NONE, NONE, NONE]);
  expect(await bench.stored()).toEqual(["a", "b", "c", "-c", "-a", "-b"]);
});

describe("offsets that have expired", () => {
  test("are looked for at the start and then every offsets.retention.check.interval.ms, one partition a turn", async () => {
    const bench = new Bench({ partitionCount: () => Promise.resolve(3), config: { retentionCheckMs: 10_000 } });
    for (const index of [0, 1, 2]) await bench.own(index);
    const looked: { partition: number; event: number }[] = [];
    bench.coordinator.core.expireOffsets = (partition) => looked.push({ partition, event: bench.partitions.world.events }) && 0;
    bench.coordinator.start();
    await bench.run(9000);
    expect(looked.map(({ partition }) => partition)).toEqual([0, 1, 2]);
    expect(new Set(looked.map(({ event }) => event)).size).toBe(3);
    await bench.run(2000);
    expect(looked.length).toBe(6);
  });

  test("go, with tombstones: they are not there after a load", async () => {
    const bench = new Bench({ config: { retentionCheckMs: 10_000, rules: { ...RULES, offsetsRetentionMs: 5000 } } });
    await bench.own();
    bench.coordinator.start();
    await bench.settle(bench.commit("g", { offset: 7 }));
    await bench.run(9000);
    expect(bench.offsets("g")).toEqual({ "t-0": 7 });
    await bench.run(2000);
    expect([bench.offsets("g"), bench.logged.includes("offsets expired")]).toEqual([{}, true]);
    bench.follow();
    await bench.own();
    expect(bench.coordinator.list([], []).groups).toEqual([]);
  });
});

describe("the end", () => {
  test("answers all that wait, tells the rest that they are elsewhere and leaves nothing behind", async () => {
    const bench = new Bench({ config: { rules: { ...RULES, initialRebalanceDelayMs: 3000 } }, partitionCount: () => Promise.resolve(1) });
    await bench.own(0, { isr: [1, 2] });
    bench.coordinator.start();
    const join = Outcome.of(bench.join("g"));
    const commit = Outcome.of(bench.commit("h", { offset: 7 }));
    await bench.run(10);
    const closed = Outcome.of(bench.coordinator.close());
    await bench.run(10);
    expect([join.value, commit.value, closed.value]).toMatchObject([{ error: NOT_COORDINATOR }, "waiting", "waiting"]);
    bench.partition().stop(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    await bench.run(10);
    expect([commit.value, closed.value]).toEqual([[NOT_COORDINATOR], undefined]);
    expect([await bench.settle(bench.commit("h", {})), await bench.settle(bench.join("g")), bench.status()]).toMatchObject([[NOT_COORDINATOR], { error: NOT_COORDINATOR }, NOT_COORDINATOR]);
    bench.coordinator.onRole(0, 9);
    expect(bench.status()).toBe(NOT_COORDINATOR);
    expect(await bench.eventsLeft()).toBe(0);
  });

  test("in the midst of a load and of a look for expired offsets stops both", async () => {
    const bench = new Bench({ tailBytesMax: 0, config: { loadBytes: 200 } });
    bench.lead();
    fill(bench.partition(), 20);
    bench.coordinator.start();
    await bench.run(1);
    await bench.settle(bench.coordinator.close());
    expect(await bench.eventsLeft()).toBe(0);
    expect([bench.status(), bench.logged]).toEqual([NOT_COORDINATOR, ["groups unloaded", "load given up"]]);
  });
});
