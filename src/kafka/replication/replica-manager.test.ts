import { describe, expect, test } from "vitest";
import type { Decoded } from "../../codec/schema.ts";
import type { DiskOptions } from "../../host/sim/options.ts";
import { World } from "../../host/sim/world.ts";
import { OperationalError } from "../../lib/error.ts";
import { defaultLogConfig } from "../log/log-config.ts";
import { LogManager, logManagerDefaults } from "../log/log-manager.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { leaderAndIsrRequest } from "../protocol/messages/leader-and-isr.ts";
import type { stopReplicaRequest } from "../protocol/messages/stop-replica.ts";
import type { Partition } from "./partition.ts";
import { ReplicaManager, type ReplicaManagerOptions } from "./replica-manager.ts";
import { append, LAG_MS, Outcome } from "./testing/partition-bench.ts";

type LeaderAndIsr = Decoded<typeof leaderAndIsrRequest>;
type StopReplica = Decoded<typeof stopReplicaRequest>;

/** One partition of LeaderAndIsr; broker 1 leads 1, 2 and 3 in epoch 0 unless told otherwise. */
type State = { readonly leader?: number; readonly leaderEpoch?: number; readonly isr?: readonly number[]; readonly replicas?: readonly number[]; readonly isNew?: boolean };

function split(name: string): { topicName: string; partitionIndex: number } {
  const at = name.lastIndexOf("-");
  return { topicName: name.slice(0, at), partitionIndex: Number(name.slice(at + 1)) };
}

function leaderAndIsrOf(partitions: Readonly<Record<string, State>>, controllerEpoch: number): LeaderAndIsr {
  const topicStates = Object.entries(partitions).map(([name, state]) => {
    const { topicName, partitionIndex } = split(name);
    return { topicName, partitionStates: [{ partitionIndex, leader: 1, leaderEpoch: 0, isr: [1], replicas: [1, 2, 3], zkVersion: 0, isNew: true, ...state }] };
  });
  return { controllerEpoch, topicStates } as unknown as LeaderAndIsr;
}

function stopReplicaOf(partitions: Readonly<Record<string, { readonly leaderEpoch: number; readonly deletePartition?: boolean }>>, controllerEpoch: number): StopReplica {
  const topicStates = Object.entries(partitions).map(([name, state]) => {
    const { topicName, partitionIndex } = split(name);
    return { topicName, partitionStates: [{ partitionIndex, deletePartition: true, ...state }] };
  });
  return { controllerEpoch, topicStates } as unknown as StopReplica;
}

class Bench {
  readonly world: World;
  readonly node: World["nodes"][number];
  /** What the manager asked its fetchers for, in order. */
  readonly calls: string[] = [];
  /** Where set, unfollowing takes until it is released. */
  held = false;
  release: (() => void) | undefined;
  readonly known = new Set<string>();
  logs!: LogManager;
  manager!: ReplicaManager;

  constructor(disk: Partial<DiskOptions> = {}) {
    this.world = new World({ seed: 1, disk: { spikesPerMille: 0, ...disk }, expected: () => false });
    this.node = this.world.addNode("broker");
  }

  static async open(options: Partial<ReplicaManagerOptions> = {}, disk: Partial<DiskOptions> = {}, directories: readonly string[] = ["/d", "/e"]): Promise<Bench> {
    const bench = new Bench(disk);
    const { host } = bench.node;
    bench.logs = await bench.settle(
      LogManager.open({
        ...logManagerDefaults,
        host,
        directories,
        failed: new Map(),
        producerExpirationMs: Infinity,
        configOf: () => defaultLogConfig,
        onDirectoryFailed: (_directory, _error, partitions) => bench.manager.onDirectoryFailed(partitions),
      }),
    );
    bench.manager = new ReplicaManager({
      host,
      brokerId: 1,
      logs: bench.logs,
      lagMsMax: LAG_MS,
      isr: { propose: ({ topic, partition }, { isr }) => bench.calls.push(`propose ${topic}-${partition} [${isr.join(" ")}]`), withdraw: () => undefined },
      followers: {
        follow: (leader, replicas) => bench.calls.push(`follow ${leader}: ${replicas.map(({ replica, leaderEpoch }) => `${replica.topic}-${replica.partition}@${leaderEpoch}`).join(" ")}`),
        unfollow: async (names) => {
          bench.calls.push(`unfollow ${[...names].join(" ")}`);
          if (bench.held) await new Promise<void>((resolve) => (bench.release = resolve));
        },
        closeIdle: () => bench.calls.push("closeIdle"),
        close: () => Promise.resolve(void bench.calls.push("close")),
      },
      sessions: { slots: 10 },
      isKnown: (topic, partition) => bench.known.has(`${topic}-${partition}`),
      beforeCreate: (topics) => Promise.resolve(void bench.calls.push(`settings of ${topics.join(" ")}`)),
      ...options,
    });
    return bench;
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.world.settle(promise, 600_000);
  }

  run(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }

  start(partitions: Readonly<Record<string, State>>, controllerEpoch = 0): ReturnType<ReplicaManager["becomeLeaderOrFollower"]> {
    return this.manager.becomeLeaderOrFollower(leaderAndIsrOf(partitions, controllerEpoch));
  }

  /** The answer to LeaderAndIsr: its code, or those of the partitions. */
  async become(...args: Parameters<Bench["start"]>): Promise<unknown> {
    const answer = await this.settle(this.start(...args));
    return typeof answer === "number" ? answer : Object.fromEntries(answer.map(({ topicName, partitionIndex, errorCode }) => [`${topicName}-${partitionIndex}`, errorCode]));
  }

  async stop(partitions: Parameters<typeof stopReplicaOf>[0], controllerEpoch = 0): Promise<unknown> {
    const answer = await this.settle(this.manager.stopReplicas(stopReplicaOf(partitions, controllerEpoch)));
    return typeof answer === "number" ? answer : Object.fromEntries(answer.map(({ topicName, partitionIndex, errorCode }) => [`${topicName}-${partitionIndex}`, errorCode]));
  }

  /** The partition, or the code. */
  find(name: string): Partition | ErrorCode {
    const { topicName, partitionIndex } = split(name);
    return this.manager.find(topicName, partitionIndex);
  }

  partition(name: string): Partition {
    const found = this.find(name);
    if (typeof found === "number") throw new Error(`${name}: error ${found}`);
    return found;
  }

  /** What happened since the last time. */
  takeCalls(): string[] {
    return this.calls.splice(0);
  }

  names(directory: string): string[] {
    return [...this.node.disk.files.directory(directory).entries.keys()].toSorted();
  }
}

describe("LeaderAndIsr", () => {
  test("makes leaders and followers: the settings are known first, and nothing is followed any more", async () => {
    const bench = await Bench.open();
    expect(await bench.become({ "u-0": { leader: 2, leaderEpoch: 3 }, "t-0": {}, "t-1": { leader: 3 }, "v-0": { leader: 2, leaderEpoch: 4 }, "w-0": { leader: -1 } })).toEqual({
      "u-0": ErrorCode.NONE,
      "t-0": ErrorCode.NONE,
      "t-1": ErrorCode.NONE,
      "v-0": ErrorCode.NONE,
      "w-0": ErrorCode.NONE,
    });
    expect(bench.takeCalls()).toEqual(["settings of u t v w", "unfollow u-0 t-0 t-1 v-0 w-0", "follow 2: u-0@3 v-0@4", "follow 3: t-1@0", "closeIdle"]);
    expect(["u-0", "t-0", "t-1", "w-0"].map((name) => bench.partition(name).leaderId)).toEqual([2, 1, 3, -1]);
    expect(bench.partition("t-0").isLeader).toBe(true);
    await bench.become({ "t-0": { leaderEpoch: 1 } });
    expect(bench.takeCalls()).toEqual(["unfollow t-0", "closeIdle"]);
  });

  test("answers for every partition: those of this epoch or an older one stay, those that are not assigned here are not made", async () => {
    const bench = await Bench.open();
    await bench.become({ "t-0": { leaderEpoch: 5 }, "t-1": { leaderEpoch: 5 } });
    expect(await bench.become({ "t-0": { leader: 2, leaderEpoch: 5 }, "t-1": { leader: 2, leaderEpoch: 4 }, "u-0": { replicas: [2, 3] }, "t-2": {} })).toEqual({
      "t-0": ErrorCode.STALE_CONTROLLER_EPOCH,
      "t-1": ErrorCode.STALE_CONTROLLER_EPOCH,
      "u-0": ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
      "t-2": ErrorCode.NONE,
    });
    expect([bench.partition("t-0").isLeader, bench.partition("t-1").leaderEpoch]).toEqual([true, 5]);
    expect([bench.find("u-0"), bench.logs.get("u", 0)]).toEqual([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, undefined]);
    bench.known.add("u-0");
    expect(bench.find("u-0")).toBe(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    expect(await bench.become({})).toEqual({});
  });

  test("of an older controller is refused as a whole, of the same or a newer one not", async () => {
    const bench = await Bench.open();
    expect(await bench.become({ "t-0": {} }, 4)).toEqual({ "t-0": ErrorCode.NONE });
    expect(await bench.become({ "t-1": {} }, 3)).toBe(ErrorCode.STALE_CONTROLLER_EPOCH);
    expect(await bench.stop({ "t-0": { leaderEpoch: -1 } }, 3)).toBe(ErrorCode.STALE_CONTROLLER_EPOCH);
    expect([bench.manager.acceptsController(3), bench.manager.acceptsController(4), bench.manager.acceptsController(5), bench.manager.acceptsController(4)]).toEqual([false, true, true, false]);
  });

  test("changes a part only when nothing of the old one is under way", async () => {
    const bench = await Bench.open();
    await bench.become({ "t-0": { leader: 2 } });
    bench.held = true;
    const outcome = Outcome.of(bench.start({ "t-0": { leaderEpoch: 1 } }));
    await bench.run(1000);
    expect([outcome.value, bench.partition("t-0").leaderId, bench.partition("t-0").leaderEpoch]).toEqual(["waiting", 2, 0]);
    bench.release?.();
    await bench.run(1);
    expect([bench.partition("t-0").isLeader, bench.partition("t-0").leaderEpoch]).toEqual([true, 1]);
  });

  test("looks again after that: a disk that failed meanwhile is told, and nothing follows on it", async () => {
    const bench = await Bench.open();
    await bench.become({ "t-0": { leader: 2 }, "t-1": { leader: 2 } });
    bench.held = true;
    const answer = bench.start({ "t-0": { leader: 3, leaderEpoch: 1 }, "t-1": { leader: 3, leaderEpoch: 1 } });
    await bench.run(10);
    const release = bench.release;
    bench.held = false;
    bench.manager.onDirectoryFailed(["t-0"]);
    release?.();
    expect(await bench.settle(answer)).toMatchObject([{ errorCode: ErrorCode.KAFKA_STORAGE_ERROR }, { errorCode: ErrorCode.NONE }]);
    expect(bench.takeCalls().filter((call) => call.startsWith("follow"))).toEqual(["follow 2: t-0@0 t-1@0", "follow 3: t-1@1"]);
    expect(bench.find("t-0")).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
  });

  test("is carried out before the next one begins", async () => {
    const bench = await Bench.open();
    bench.held = true;
    const first = Outcome.of(bench.start({ "t-0": {} }));
    await bench.run(100);
    bench.held = false;
    const second = Outcome.of(bench.start({ "t-0": { leader: 2, leaderEpoch: 1 } }));
    const third = Outcome.of(bench.manager.stopReplicas(stopReplicaOf({ "t-0": { leaderEpoch: -2 } }, 0)));
    await bench.run(100);
    expect([first.value, second.value, third.value]).toEqual(["waiting", "waiting", "waiting"]);
    bench.release?.();
    await bench.run(1000);
    expect([first.value, second.value, third.value]).toMatchObject([[{ errorCode: ErrorCode.NONE }], [{ errorCode: ErrorCode.NONE }], [{ errorCode: ErrorCode.NONE }]]);
    expect(bench.find("t-0")).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  });

  test("waits for the disk once for all new logs, not once for each", async () => {
    const bench = await Bench.open({}, { syncMs: [100, 100] });
    const partitions = Object.fromEntries(Array.from({ length: 60 }, (_, index) => [`t-${index}`, {}]));
    const begunMs = bench.world.nowMs;
    await bench.become(partitions);
    expect(bench.manager.partitions.length).toBe(60);
    // Two synced directories each, one after the other.
    expect(bench.world.nowMs - begunMs).toBeLessThan(1000);
  });

  test("without the settings of its topics changes nothing, and can be repeated", async () => {
    let works = false;
    const bench = await Bench.open({ beforeCreate: () => (works ? Promise.resolve() : Promise.reject(new OperationalError("ERR_ZOOKEEPER", "no session"))) });
    await expect(bench.become({ "t-0": {} })).rejects.toMatchObject({ code: "ERR_ZOOKEEPER" });
    expect([bench.find("t-0"), bench.logs.get("t", 0)]).toEqual([ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, undefined]);
    works = true;
    expect(await bench.become({ "t-0": {} })).toEqual({ "t-0": ErrorCode.NONE });
  });

  test("that makes followers while the broker is on its way out fetches from nobody", async () => {
    const bench = await Bench.open();
    bench.manager.beginShutdown();
    expect(await bench.become({ "t-0": { leader: 2 }, "t-1": {} })).toEqual({ "t-0": ErrorCode.NONE, "t-1": ErrorCode.NONE });
    expect([bench.partition("t-0").leaderId, bench.takeCalls()]).toEqual([2, ["settings of t", "unfollow t-0 t-1", "closeIdle"]]);
  });
});

describe("a disk that fails", () => {
  test("while a log is made in its directory: the log is made in the other", async () => {
    const bench = await Bench.open();
    bench.node.disk.inject = ({ operation, path }) => (operation === "syncDirectory" && path.startsWith("/d") ? "EIO" : undefined);
    expect(await bench.become({ "t-0": {} })).toEqual({ "t-0": ErrorCode.NONE });
    expect([bench.partition("t-0").log.logDirectory, bench.partition("t-0").isLeader]).toEqual(["/e", true]);
  });

  test("once a log is made, while another is: the first is offline, and the other is made elsewhere", async () => {
    const bench = await Bench.open();
    let syncs = 0;
    bench.node.disk.inject = ({ operation, path }) => (operation === "syncDirectory" && path === "/d" && ++syncs === 2 ? "EIO" : undefined);
    // Of three logs two lie in the first directory.
    const codes = Object.entries((await bench.become({ "t-0": {}, "t-1": {}, "t-2": {} })) as Record<string, ErrorCode>);
    const [offline, ...others] = codes.toSorted(([, left], [, right]) => right - left);
    expect([offline?.[1], others.map(([, error]) => error)]).toEqual([ErrorCode.KAFKA_STORAGE_ERROR, [ErrorCode.NONE, ErrorCode.NONE]]);
    expect(bench.manager.partitions.map(({ log }) => log.logDirectory)).toEqual(["/e", "/e"]);
    const name = offline?.[0] ?? "";
    expect(bench.find(name)).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
    expect(await bench.become({ [name]: { leaderEpoch: 1 } })).toEqual({ [name]: ErrorCode.KAFKA_STORAGE_ERROR });
    expect(await bench.stop({ [name]: { leaderEpoch: -2 } })).toEqual({ [name]: ErrorCode.KAFKA_STORAGE_ERROR });
  });

  test("by another log's fault while a log is made in it: what was made there is of no use", async () => {
    const bench = await Bench.open({}, { syncMs: [100, 100] });
    await bench.become({ "x-0": {}, "x-1": {} });
    const answer = bench.start({ "t-0": {} });
    await bench.run(50);
    bench.node.disk.inject = ({ operation, path }) => (operation === "write" && path.startsWith("/d") ? "EIO" : undefined);
    expect(() => append(bench.partition("x-0"))).not.toThrow();
    expect(bench.find("x-0")).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
    expect(await bench.settle(answer)).toMatchObject([{ errorCode: ErrorCode.KAFKA_STORAGE_ERROR }]);
    expect(bench.find("t-0")).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
  });

  test("may hold a log that should be there: it is not made anew elsewhere", async () => {
    const bench = await Bench.open();
    bench.node.disk.inject = ({ path }) => (path.startsWith("/d") ? "EIO" : undefined);
    await bench.become({ "t-0": {} });
    expect(await bench.become({ "t-1": { isNew: false }, "t-2": {} })).toEqual({ "t-1": ErrorCode.KAFKA_STORAGE_ERROR, "t-2": ErrorCode.NONE });
    expect(bench.find("t-1")).toBe(ErrorCode.KAFKA_STORAGE_ERROR);
  });

  test("settles what waits for its partitions, which are not followed any more", async () => {
    const bench = await Bench.open();
    await bench.become({ "t-0": { isr: [1, 2] }, "t-1": { leader: 2 } });
    bench.takeCalls();
    const settled: ErrorCode[] = [];
    bench.partition("t-0").acknowledge(append(bench.partition("t-0")), (error) => settled.push(error));
    bench.manager.onDirectoryFailed(["t-0", "t-1", "x-9"]);
    expect(settled).toEqual([ErrorCode.KAFKA_STORAGE_ERROR]);
    await bench.run(1);
    expect(bench.takeCalls()).toEqual(["unfollow t-0 t-1 x-9"]);
    expect(bench.manager.partitions).toEqual([]);
  });
});

describe("StopReplica", () => {
  test("stops and deletes in a later epoch, or whatever the epoch; not in this one or an older", async () => {
    const bench = await Bench.open();
    const names = ["a-0", "b-0", "c-0", "d-0", "e-0"] as const;
    await bench.become(Object.fromEntries(names.map((name) => [name, { leaderEpoch: 5 }])));
    bench.takeCalls();
    const answer = await bench.stop({ "a-0": { leaderEpoch: 4 }, "b-0": { leaderEpoch: 5 }, "c-0": { leaderEpoch: 6 }, "d-0": { leaderEpoch: -1 }, "e-0": { leaderEpoch: -2 }, "x-0": { leaderEpoch: 0 } });
    expect(answer).toEqual({
      "a-0": ErrorCode.FENCED_LEADER_EPOCH,
      "b-0": ErrorCode.FENCED_LEADER_EPOCH,
      "c-0": ErrorCode.NONE,
      "d-0": ErrorCode.NONE,
      "e-0": ErrorCode.NONE,
      "x-0": ErrorCode.NONE,
    });
    expect(bench.takeCalls()).toEqual(["unfollow c-0 d-0 e-0 x-0", "closeIdle"]);
    expect(bench.manager.partitions.map(({ topic }) => topic).toSorted()).toEqual(["a", "b"]);
    expect(names.map((name) => bench.logs.get(name[0] ?? "", 0) !== undefined)).toEqual([true, true, false, false, false]);
  });

  test("without deletion leaves the log, and the epoch in force", async () => {
    const bench = await Bench.open();
    await bench.become({ "t-0": { leader: 2, leaderEpoch: 5 } });
    expect(await bench.stop({ "t-0": { leaderEpoch: 6, deletePartition: false } })).toEqual({ "t-0": ErrorCode.NONE });
    expect([bench.partition("t-0").isRunning, bench.partition("t-0").check({ currentLeaderEpoch: -1, leaderOnly: false })]).toEqual([false, ErrorCode.NOT_LEADER_OR_FOLLOWER]);
    expect(await bench.become({ "t-0": { leaderEpoch: 5 } })).toEqual({ "t-0": ErrorCode.STALE_CONTROLLER_EPOCH });
    expect(await bench.become({ "t-0": { leaderEpoch: 6 } })).toEqual({ "t-0": ErrorCode.NONE });
    expect(bench.partition("t-0").isLeader).toBe(true);
  });

  test("deletes a log that no LeaderAndIsr told of", async () => {
    const bench = await Bench.open();
    await bench.settle(bench.logs.getOrCreate("t", 0));
    expect(await bench.stop({ "t-0": { leaderEpoch: -2 } })).toEqual({ "t-0": ErrorCode.NONE });
    expect(bench.logs.get("t", 0)).toBeUndefined();
  });

  test("stops nothing before its fetches have ended", async () => {
    const bench = await Bench.open();
    await bench.become({ "t-0": { leader: 2 } });
    bench.held = true;
    const outcome = Outcome.of(bench.manager.stopReplicas(stopReplicaOf({ "t-0": { leaderEpoch: -2 } }, 0)));
    await bench.run(1000);
    expect([outcome.value, bench.partition("t-0").isRunning, bench.logs.get("t", 0) === undefined]).toEqual(["waiting", true, false]);
    bench.release?.();
    await bench.run(1000);
    expect(bench.find("t-0")).toBe(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
  });

  test("writes the checkpoints once for all that it deletes, not once for each", async () => {
    const bench = await Bench.open({}, {}, ["/d"]);
    const names = Array.from({ length: 60 }, (_, index) => `t-${index}`);
    await bench.become(Object.fromEntries(names.map((name) => [name, {}])));
    let checkpoints = 0;
    bench.node.disk.inject = ({ operation, path }) => {
      if (operation === "rename" && path.includes("checkpoint")) checkpoints++;
      return undefined;
    };
    await bench.stop(Object.fromEntries(names.map((name) => [name, { leaderEpoch: -2 }])));
    expect(bench.manager.partitions).toEqual([]);
    expect(checkpoints).toBeLessThan(12);
    expect(bench.names("/d").filter((name) => !name.endsWith("-delete") && name.startsWith("t-"))).toEqual([]);
  });
});

test("once started, leaders look for followers that lag, every half of the time that they may", async () => {
  const bench = await Bench.open();
  await bench.become({ "t-0": { isr: [1, 2] }, "t-1": { leader: 2, isr: [1, 2] } });
  append(bench.partition("t-0"));
  bench.takeCalls();
  bench.manager.start();
  await bench.run(LAG_MS * 0.9);
  expect(bench.takeCalls()).toEqual([]);
  await bench.run(LAG_MS * 0.7);
  expect(bench.takeCalls()).toEqual(["propose t-0 [1]"]);
});

test("followers' fetches find the partitions, and their errors", async () => {
  const bench = await Bench.open();
  await bench.become({ "t-0": {} });
  append(bench.partition("t-0"));
  const asked = (topic: string) => ({ topic, partition: 0, currentLeaderEpoch: 0, fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0, maxBytes: 1e6 });
  const request = { replicaId: 2, clientId: "f", sessionId: 0, sessionEpoch: 0, minBytes: 1, maxBytes: 1e6, maxWaitMs: 0, partitions: [asked("t"), asked("u")], forgotten: [] };
  const { partitions } = await bench.settle(bench.manager.sessions.fetch(request));
  expect(partitions.map(({ topic, fetched }) => [topic, fetched.error, fetched.bytes > 0])).toEqual([
    ["t", ErrorCode.NONE, true],
    ["u", ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, false],
  ]);
});

describe("whoever asked is told in the turn in which a partition's part changes", () => {
  type Role = readonly [name: string, leaderEpoch: number | undefined, asItIs: ErrorCode | "leads" | "follows" | "stopped"];

  async function listening(): Promise<{ readonly bench: Bench; readonly takeRoles: () => Role[] }> {
    const roles: Role[] = [];
    const bench: Bench = await Bench.open({
      onRole: (topic, partition, leaderEpoch) => {
        const found = bench.find(`${topic}-${partition}`);
        const running = typeof found !== "number" && found.isRunning ? "follows" : "stopped";
        roles.push([`${topic}-${partition}`, leaderEpoch, typeof found === "number" ? found : found.isLeader ? "leads" : running]);
      },
    });
    return { bench, takeRoles: () => roles.splice(0) };
  }

  test("by LeaderAndIsr: newly leading, leading on, following; not where nothing changes", async () => {
    const { bench, takeRoles } = await listening();
    await bench.become({ "t-0": { leaderEpoch: 4 }, "t-1": { leader: 2 }, "u-0": { replicas: [2, 3] } });
    expect(takeRoles()).toEqual([["t-0", 4, "leads"], ["t-1", undefined, "follows"]]);
    await bench.become({ "t-0": { leaderEpoch: 5, isr: [1, 2] }, "t-1": { leader: 2 } });
    expect(takeRoles()).toEqual([["t-0", 5, "leads"]]);
    await bench.become({ "t-0": { leader: 3, leaderEpoch: 6 } });
    expect(takeRoles()).toEqual([["t-0", undefined, "follows"]]);
  });

  test("by StopReplica, with and without deletion", async () => {
    const { bench, takeRoles } = await listening();
    await bench.become({ "t-0": {}, "t-1": {} });
    takeRoles();
    await bench.stop({ "t-0": { leaderEpoch: -1, deletePartition: false }, "t-1": { leaderEpoch: -2 }, "x-0": { leaderEpoch: -2 } });
    expect(takeRoles()).toEqual([["t-0", undefined, "stopped"], ["t-1", undefined, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION]]);
  });

  test("by a disk that fails, and by the end; before whatever waits for an append hears of it", async () => {
    const { bench, takeRoles } = await listening();
    await bench.become({ "t-0": { isr: [1, 2] }, "t-1": {} });
    takeRoles();
    const waiting = Outcome.of(new Promise((resolve) => bench.partition("t-0").acknowledge(append(bench.partition("t-0")), resolve)));
    bench.manager.onDirectoryFailed(["t-0"]);
    expect([takeRoles(), waiting.value]).toEqual([[["t-0", undefined, ErrorCode.KAFKA_STORAGE_ERROR]], "waiting"]);
    await bench.settle(bench.manager.close());
    expect(takeRoles()).toEqual([["t-1", undefined, "stopped"]]);
  });
});

test("the end settles what waits, closes the fetchers and leaves no timer; a request that is under way changes nothing more", async () => {
  const bench = await Bench.open();
  await bench.become({ "t-0": { isr: [1, 2] } });
  bench.manager.start();
  const partition = bench.partition("t-0");
  const settled: ErrorCode[] = [];
  partition.acknowledge(append(partition), (error) => settled.push(error));
  bench.held = true;
  const late = Outcome.of(bench.start({ "t-0": { leaderEpoch: 1 }, "t-1": { leader: 2 } }));
  await bench.run(100);
  bench.takeCalls();
  await bench.settle(bench.manager.close());
  expect([settled, bench.takeCalls()]).toEqual([[ErrorCode.NOT_LEADER_OR_FOLLOWER], ["close"]]);
  bench.release?.();
  await bench.run(10 * LAG_MS);
  expect(late.value).toMatchObject([{ errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER }, { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER }]);
  expect([partition.isLeader, bench.takeCalls()]).toEqual([false, ["closeIdle"]]);
});
