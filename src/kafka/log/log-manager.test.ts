import { describe, expect, test } from "vitest";
import type { Host } from "../../host/host.ts";
import { World } from "../../host/sim/world.ts";
import { errorCode } from "../../lib/error.ts";
import { readDirectoryOwner, writeDirectoryOwner } from "./log-directory.ts";
import { LogManager, logManagerDefaults, type LogManagerOptions } from "./log-manager.ts";
import { defaultLogConfig, type LogConfig } from "./log-config.ts";
import type { PartitionLog } from "./log.ts";
import { testBatch } from "./testing.ts";

/** A machine with a manager of logs. */
class Machine {
  readonly world: World;
  readonly node: World["nodes"][number];
  readonly failed: { directory: string; partitions: readonly string[] }[] = [];
  readonly config: Partial<LogConfig>;

  constructor(options: { seed?: number; config?: Partial<LogConfig>; expectFailure?: boolean } = {}) {
    this.world = new World({ seed: options.seed ?? 1, expected: () => options.expectFailure === true });
    this.node = this.world.addNode("broker");
    this.config = options.config ?? {};
  }

  open(options: Partial<LogManagerOptions> = {}): Promise<LogManager> {
    return this.world.settle(
      LogManager.open({
        ...logManagerDefaults,
        host: this.host,
        directories: ["/d"],
        failed: new Map(),
        producerExpirationMs: Infinity,
        configOf: () => ({ ...defaultLogConfig, ...this.config }),
        onDirectoryFailed: (directory, _error, partitions) => this.failed.push({ directory, partitions }),
        ...options,
      }),
      600_000,
    );
  }

  get host(): Host {
    return this.node.host;
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.world.settle(promise, 600_000);
  }

  /** Rejections with a code, as that code. */
  async failure(promise: Promise<unknown>): Promise<string | undefined> {
    return promise.then(() => "none", errorCode);
  }

  create(manager: LogManager, topic: string, partition = 0): Promise<PartitionLog> {
    return this.settle(manager.getOrCreate(topic, partition));
  }

  async make(path: string, content = ""): Promise<void> {
    await this.settle(this.host.disk.makeDirectory(path.slice(0, path.lastIndexOf("/"))));
    const file = this.host.disk.openSync(path, "truncate");
    file.writeSync([Buffer.from(content)], 0);
    file.closeSync();
  }

  names(path: string): string[] {
    return [...this.node.disk.files.directory(path).entries.keys()].toSorted();
  }

  text(path: string): string | undefined {
    return this.node.disk.peek(path)?.toString();
  }

  kill(): void {
    this.node.kill();
    this.node.start();
  }

  run(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }
}

function append(log: PartitionLog, count: number, timestamp = 1000): void {
  for (let index = 0; index < count; index++) log.appendAsLeader(testBatch({ timestamp }), { leaderEpoch: 0, origin: "client" }, () => undefined);
}

describe("start and stop", () => {
  test("a clean stop leaves the mark, the checkpoints and nothing open; the next start takes all of it up", async () => {
    const machine = new Machine();
    const manager = await machine.open();
    const [first, second] = [await machine.create(manager, "a-topic", 3), await machine.create(manager, "b")];
    append(first, 10);
    append(second, 5);
    first.setHighWatermark(8);
    first.advanceStartOffset(2);
    await machine.settle(manager.close());
    expect(machine.node.resources.files).toEqual([]);
    expect(machine.names("/d")).toEqual([
      ".kafka_cleanshutdown",
      ".lock",
      "a-topic-3",
      "b-0",
      "log-start-offset-checkpoint",
      "recovery-point-offset-checkpoint",
      "replication-offset-checkpoint",
    ]);
    expect(machine.text("/d/recovery-point-offset-checkpoint")).toBe("0\n2\na-topic 3 10\nb 0 5\n");
    expect(machine.text("/d/replication-offset-checkpoint")).toBe("0\n2\na-topic 3 8\nb 0 0\n");
    expect(machine.text("/d/log-start-offset-checkpoint")).toBe("0\n1\na-topic 3 2\n");
    const again = await machine.open();
    expect([...again.logs].map((log) => [log.name, log.startOffset, log.highWatermark, log.endOffset])).toEqual(
      expect.arrayContaining([
        ["a-topic-3", 2, 8, 10],
        ["b-0", 0, 0, 5],
      ]),
    );
    expect(machine.names("/d")).not.toContain(".kafka_cleanshutdown");
  });

  test("a directory that another broker uses is refused, until that one is gone", async () => {
    const machine = new Machine();
    const other = await machine.open();
    expect(await machine.failure(machine.open())).toBe("ERR_LOG_DIRECTORY_LOCKED");
    await machine.settle(other.close());
    await machine.open();
    machine.kill();
    await machine.open();
  });

  test("after a kill the logs are recovered", async () => {
    const machine = new Machine();
    append(await machine.create(await machine.open(), "t"), 10);
    machine.kill();
    const manager = await machine.open();
    expect(manager.get("t", 0)?.endOffset).toBe(10);
    expect(machine.node.log.lines().join("\n")).toContain("recovering logs");
  });

  test("the mark of a clean stop does not outlive the start, not even a loss of power", async () => {
    for (let seed = 0; seed < 30; seed++) {
      const machine = new Machine({ seed });
      const manager = await machine.open();
      append(await machine.create(manager, "t"), 3);
      await machine.settle(manager.close());
      const again = await machine.open();
      append(again.get("t", 0) as PartitionLog, 3);
      machine.node.powerLoss();
      machine.node.start();
      expect(machine.names("/d")).not.toContain(".kafka_cleanshutdown");
      expect((await machine.open()).get("t", 0)?.endOffset).toBeGreaterThanOrEqual(3);
    }
  });

  test("what no broker put there is refused by name, and a partition in two places too", async () => {
    const machine = new Machine();
    await machine.make("/d/lost+found/x");
    expect(await machine.failure(machine.open())).toBe("ERR_LOG_DIRECTORY_NAME");
    const two = new Machine();
    for (const directory of ["/d", "/e"]) await two.make(`${directory}/t-0/leader-epoch-checkpoint`, "0\n0\n");
    expect(await two.failure(two.open({ directories: ["/d", "/e"] }))).toBe("ERR_DUPLICATE_LOG");
    expect(await two.failure(two.open({ directories: ["/d"] }))).toBe("none");
  });

  test("logs on their way to another directory are loaded beside the others", async () => {
    const machine = new Machine();
    await machine.make("/d/t-0/leader-epoch-checkpoint", "0\n0\n");
    await machine.make(`/d/t-0.${"a".repeat(32)}-future/leader-epoch-checkpoint`, "0\n0\n");
    const manager = await machine.open();
    expect([manager.get("t", 0)?.directory, manager.getFuture("t", 0)?.directory]).toEqual(["/d/t-0", `/d/t-0.${"a".repeat(32)}-future`]);
  });

  test("a broken recovery or start checkpoint costs a warning, a broken one of high watermarks or epochs the directory", async () => {
    const machine = new Machine();
    await machine.make("/d/recovery-point-offset-checkpoint", "9\n");
    await machine.make("/d/log-start-offset-checkpoint", "0\n7\n");
    const manager = await machine.open();
    await machine.settle(manager.close());
    await machine.make("/d/t-0/leader-epoch-checkpoint", "0\n1\nx\n");
    expect(await machine.failure(machine.open())).toBe("ERR_NO_LOG_DIRECTORY");
    await machine.make("/e/replication-offset-checkpoint", "0\n1\n");
    const rest = await machine.open({ directories: ["/d", "/e", "/f"] });
    expect(rest.directories.map((directory) => [directory.path, errorCode(directory.failure)])).toEqual([
      ["/d", "ERR_CHECKPOINT"],
      ["/e", "ERR_CHECKPOINT"],
      ["/f", undefined],
    ]);
  });
});

describe("logs come and go", () => {
  test("a new log goes where there are fewest", async () => {
    const machine = new Machine();
    const manager = await machine.open({ directories: ["/d", "/e"] });
    for (let partition = 0; partition < 5; partition++) await machine.create(manager, "t", partition);
    expect([machine.names("/d"), machine.names("/e")].map((names) => names.filter((name) => name.startsWith("t-")).length)).toEqual([3, 2]);
    expect(await machine.create(manager, "t", 4)).toBe(manager.get("t", 4));
  });

  test("logs that are made at the same time share the sync of their directory's names, and all survive a loss of power", async () => {
    const machine = new Machine();
    const manager = await machine.open();
    const { disk } = machine.node;
    let syncs = 0;
    disk.inject = ({ operation, path }) => {
      if (operation === "syncDirectory" && path === "/d") syncs += 1;
      return undefined;
    };
    await machine.settle(Promise.all(Array.from({ length: 20 }, (_, partition) => manager.getOrCreate("t", partition))));
    expect(syncs).toBeGreaterThan(0);
    expect(syncs).toBeLessThan(20);
    disk.inject = undefined;
    machine.node.powerLoss();
    machine.node.start();
    expect([...(await machine.open()).logs]).toHaveLength(20);
  });

  test("a deleted log leaves its name at once, its checkpoints soon, and its files later", async () => {
    const machine = new Machine();
    const manager = await machine.open();
    const log = await machine.create(manager, "t");
    append(log, 10);
    await machine.settle(manager.checkpointRecoveryPoints());
    const deletion = manager.delete("t", 0);
    expect(machine.names("/d").find((name) => name.startsWith("t-"))).toMatch(/^t-0\.[0-9a-f]{32}-delete$/);
    expect(log.appendAsLeader(testBatch(), { leaderEpoch: 0, origin: "client" }, () => undefined).kind).toBe("refused");
    await machine.settle(deletion);
    expect(machine.text("/d/recovery-point-offset-checkpoint")).toBe("0\n0\n");
    const anew = await machine.create(manager, "t");
    expect(anew.endOffset).toBe(0);
    append(anew, 1);
    await machine.run(59_000);
    expect(machine.names("/d").filter((name) => name.startsWith("t-"))).toHaveLength(2);
    await machine.run(2_000);
    expect(machine.names("/d").filter((name) => name.startsWith("t-"))).toEqual(["t-0"]);
    expect(machine.node.resources.files.filter((path) => path.includes("-delete"))).toEqual([]);
  });

  test("a deletion that a stop interrupted is finished after the next start", async () => {
    const machine = new Machine();
    const manager = await machine.open();
    append(await machine.create(manager, "t"), 10);
    await machine.settle(manager.delete("t", 0));
    machine.kill();
    const again = await machine.open();
    expect([...again.logs]).toEqual([]);
    await machine.run(61_000);
    expect(machine.names("/d").filter((name) => name.startsWith("t-"))).toEqual([]);
  });
});

describe("a directory that fails", () => {
  test("takes its logs along; the others go on, and no log that may lie there is created elsewhere", async () => {
    const machine = new Machine();
    const manager = await machine.open({ directories: ["/d", "/e"] });
    const [first, second] = [await machine.create(manager, "t", 0), await machine.create(manager, "t", 1)];
    expect([first.logDirectory, second.logDirectory]).toEqual(["/d", "/e"]);
    machine.node.disk.inject = (call) => (call.path.startsWith("/d") && call.operation === "write" ? "EIO" : undefined);
    append(first, 1);
    append(second, 1);
    expect(machine.failed).toEqual([{ directory: "/d", partitions: ["t-0"] }]);
    expect([manager.get("t", 0), manager.get("t", 1)?.endOffset]).toEqual([undefined, 1]);
    expect(await machine.failure(manager.getOrCreate("t", 2, false))).toBe("ERR_LOG_STORAGE");
    expect((await machine.create(manager, "t", 2)).logDirectory).toBe("/e");
    await machine.settle(manager.close());
    expect([machine.names("/d"), machine.names("/e")].map((names) => names.includes(".kafka_cleanshutdown"))).toEqual([false, true]);
  });

  test("is passed over for a new log", async () => {
    const machine = new Machine();
    const manager = await machine.open({ directories: ["/d", "/e"] });
    machine.node.disk.inject = (call) => (call.path.startsWith("/d") && call.operation === "makeDirectory" ? "EROFS" : undefined);
    expect((await machine.create(manager, "t")).logDirectory).toBe("/e");
    expect(machine.failed).toEqual([{ directory: "/d", partitions: [] }]);
  });

  test("and leaves none, stops the node", async () => {
    const machine = new Machine({ expectFailure: true });
    const manager = await machine.open();
    const log = await machine.create(manager, "t");
    machine.node.disk.inject = (call) => (call.operation === "write" ? "EIO" : undefined);
    append(log, 1);
    expect(machine.world.failures.map((failure) => errorCode(failure.reason))).toEqual(["ERR_NO_LOG_DIRECTORY"]);
  });

  test("in whichever operation of a run the disk fails, it is an offline directory, never a broken invariant", async () => {
    for (let at = 1; ; at++) {
      const machine = new Machine({ config: { segmentBytes: 500 } });
      await machine.make("/e/x");
      let failed: string | undefined;
      machine.node.disk.inject = (call) => {
        if (call.index !== at || !call.path.startsWith("/d")) return undefined;
        failed = call.operation;
        return "EIO";
      };
      const manager = await machine.open({ directories: ["/d", "/e"] });
      const log = await machine.create(manager, "t");
      append(log, 20);
      await machine.settle(log.flush());
      if (log.failure === undefined) await machine.settle(log.truncateTo(7)).catch((error: unknown) => expect(errorCode(error)).toBe("EIO"));
      append(log, 5);
      log.setHighWatermark(12);
      await machine.settle(log.deleteOldSegments());
      await machine.settle(manager.checkpointRecoveryPoints());
      await machine.settle(manager.delete("t", 0));
      await machine.settle(manager.close());
      // A file that is read no more may fail to be closed.
      if (failed !== undefined && failed !== "stat") expect([at, manager.directories[0]?.failure]).toEqual([at, expect.any(Error)]);
      if (machine.node.disk.calls < at) break;
    }
  });
});

describe("housekeeping", () => {
  test("high watermarks are saved every 5 s, recovery points and starts every minute, and only where they changed", async () => {
    const machine = new Machine();
    const manager = await machine.open();
    manager.start();
    const log = await machine.create(manager, "t");
    append(log, 10);
    log.setHighWatermark(7);
    await machine.run(5_100);
    expect(machine.text("/d/replication-offset-checkpoint")).toBe("0\n1\nt 0 7\n");
    await machine.settle(log.flush());
    await machine.run(90_000);
    expect(machine.text("/d/recovery-point-offset-checkpoint")).toBe("0\n1\nt 0 10\n");
    const { calls } = machine.node.disk;
    await machine.run(300_000);
    expect(machine.node.disk.calls - calls).toBeLessThan(10);
    await machine.settle(manager.close());
  });

  test("old segments go, idle producers are forgotten, and logs are flushed at their age", async () => {
    const machine = new Machine({ config: { segmentBytes: 300, retentionMs: 100_000, flushMs: 20_000 } });
    const manager = await machine.open({ producerExpirationMs: 400_000, flushCheckMs: 10_000 });
    manager.start();
    const log = await machine.create(manager, "t");
    const wallMs = machine.host.clock.wallMs();
    for (let index = 0; index < 9; index++) log.appendAsLeader(testBatch({ timestamp: wallMs, producerId: index, producerEpoch: 0, baseSequence: 0 }), { leaderEpoch: 0, origin: "client" }, () => undefined);
    log.setHighWatermark(9);
    await machine.run(45_000);
    expect(log.recoveryPoint).toBe(9);
    await machine.run(300_000);
    expect([log.startOffset, log.producers.size]).toEqual([9, 9]);
    await machine.run(300_000);
    expect(log.producers.size).toBe(0);
    await machine.settle(manager.close());
  });

  test("snapshots that no recovery will need are removed with the checkpoint", async () => {
    const machine = new Machine({ config: { segmentBytes: 300 } });
    const manager = await machine.open();
    const log = await machine.create(manager, "t");
    append(log, 20);
    await machine.settle(log.flush());
    const snapshots = (): string[] => machine.names("/d/t-0").filter((name) => name.endsWith(".snapshot"));
    const before = snapshots();
    await machine.settle(manager.checkpointRecoveryPoints());
    expect(before.length).toBeGreaterThan(3);
    expect(snapshots()).toEqual(before.slice(-2));
    await machine.settle(manager.close());
  });
});

test("the owner of a directory is read and written, and nobody's is undefined", async () => {
  const machine = new Machine();
  await machine.make("/d/x");
  expect(await machine.settle(readDirectoryOwner(machine.host.disk, "/d"))).toBeUndefined();
  await machine.settle(writeDirectoryOwner(machine.host.disk, "/d", { brokerId: 7, clusterId: "Abc_-=" }));
  expect(await machine.settle(readDirectoryOwner(machine.host.disk, "/d"))).toEqual({ brokerId: 7, clusterId: "Abc_-=" });
  await machine.make("/d/meta.properties", "version=1\nbroker.id=1\n");
  expect(await machine.failure(machine.settle(readDirectoryOwner(machine.host.disk, "/d")))).toBe("ERR_META_PROPERTIES");
});

describe("compaction", () => {
  const settings = { backoffMs: 1000, dedupeBufferBytes: 1024 * 1024, ioBufferLoadFactor: 0.9, ioBufferBytes: 65_536 };
  const compacting = { cleaner: settings, isCompacted: (topic: string): boolean => topic.startsWith("__") };
  const config: Partial<LogConfig> = { segmentBytes: 500, cleanupPolicy: ["compact"] };
  const CLEANED = "/d/cleaner-offset-checkpoint";

  async function filled(machine: Machine, manager: LogManager, topic: string, partition = 0): Promise<PartitionLog> {
    const log = await machine.create(manager, topic, partition);
    append(log, 30);
    log.setHighWatermark(log.endOffset);
    await machine.settle(log.flush());
    return log;
  }

  test("is of the topics that are named alone, notes how far it came, and goes on from there after a stop and after a kill", async () => {
    const machine = new Machine({ config });
    let manager = await machine.open(compacting);
    manager.start();
    const [mine, other] = [await filled(machine, manager, "__x"), await filled(machine, manager, "other")];
    const size = mine.sizeBytes;
    await machine.run(5000);
    const cleanedTo = mine.segments.at(-1)?.baseOffset ?? 0;
    expect([mine.sizeBytes < size / 2, other.sizeBytes, machine.text(CLEANED)]).toEqual([true, size, `0\n1\n__x 0 ${cleanedTo}\n`]);
    for (const stop of [() => machine.settle(manager.close()), () => Promise.resolve(machine.kill())]) {
      await stop();
      manager = await machine.open(compacting);
      expect(await machine.settle(manager.cleaner?.cleanOnce() ?? Promise.resolve(true))).toBe(false);
      expect(machine.text(CLEANED)).toBe(`0\n1\n__x 0 ${cleanedTo}\n`);
    }
  });

  test("does not run where it is switched off, and is not asked for a topic that only deletes", async () => {
    const off = new Machine({ config });
    const manager = await off.open({ isCompacted: () => true });
    manager.start();
    const log = await filled(off, manager, "__x");
    const size = log.sizeBytes;
    await off.run(60_000);
    expect([manager.cleaner, log.sizeBytes]).toEqual([undefined, size]);
    const deleting = new Machine({ config: { segmentBytes: 500 } });
    const other = await deleting.open(compacting);
    await filled(deleting, other, "__x");
    expect(await deleting.settle(other.cleaner?.cleanOnce() ?? Promise.resolve(true))).toBe(false);
  });

  test("keeps the notes of other brokers on logs that are there, drops those of logs that are gone or shorter, and takes a damaged file for an empty one", async () => {
    const machine = new Machine({ config });
    const manager = await machine.open(compacting);
    for (const topic of ["__x", "kept", "short"]) await filled(machine, manager, topic);
    await machine.settle(manager.close());
    await machine.make(CLEANED, "0\n4\nkept 0 12\ngone 0 7\nshort 0 31\n__x 0 30\n");
    const again = await machine.open(compacting);
    await machine.settle(again.close());
    expect(machine.text(CLEANED)?.split("\n").toSorted()).toEqual(["", "0", "2", "__x 0 30", "kept 0 12"]);
    await machine.make(CLEANED, "0\n4\nx\n");
    const third = await machine.open(compacting);
    expect(await machine.settle(third.cleaner?.cleanOnce() ?? Promise.resolve(false))).toBe(true);
    await machine.run(1000);
    expect(machine.text(CLEANED)?.startsWith("0\n1\n__x 0 ")).toBe(true);
  });

  test("is not thought done of what is written behind a truncation, not even after a crash, nor of a log that was made anew", async () => {
    const machine = new Machine({ config });
    const manager = await machine.open(compacting);
    const log = await filled(machine, manager, "__x");
    expect(await machine.settle(manager.cleaner?.cleanOnce() ?? Promise.resolve(false))).toBe(true);
    const cleanedTo = log.segments.at(-1)?.baseOffset ?? 0;
    await machine.settle(log.truncateTo(cleanedTo - 3));
    const base = log.segments.at(-1)?.baseOffset ?? 0;
    expect([base < cleanedTo, machine.text(CLEANED)]).toEqual([true, `0\n1\n__x 0 ${base}\n`]);
    append(log, 30);
    machine.kill();
    const again = await machine.open(compacting);
    const anew = again.get("__x", 0) as PartitionLog;
    anew.setHighWatermark(anew.endOffset);
    await machine.settle(anew.flush());
    expect(await machine.settle(again.cleaner?.cleanOnce() ?? Promise.resolve(false))).toBe(true);
    await machine.settle(again.delete("__x", 0));
    expect(machine.text(CLEANED)).toBe("0\n0\n");
  });

  test("in whichever operation the disk fails, it is an offline directory, and the other one is compacted on", async () => {
    for (let at = 1; ; at++) {
      const machine = new Machine({ config });
      const manager = await machine.open({ ...compacting, directories: ["/d", "/e"] });
      const [first, second] = [await filled(machine, manager, "__x", 0), await filled(machine, manager, "__x", 1)];
      const { calls } = machine.node.disk;
      const size = second.sizeBytes;
      let failed: string | undefined;
      machine.node.disk.inject = (call) => {
        if (call.index !== calls + at || !call.path.startsWith("/d")) return undefined;
        failed = call.operation;
        return "EIO";
      };
      for (let pass = 0; pass < 2; pass++) await machine.settle(manager.cleaner?.cleanOnce() ?? Promise.resolve(false));
      expect([at, second.sizeBytes < size, first.logDirectory]).toEqual([at, true, "/d"]);
      if (failed !== undefined && failed !== "stat") expect([at, machine.failed]).toEqual([at, [{ directory: "/d", partitions: ["__x-0"] }]]);
      await machine.settle(manager.close());
      if (machine.node.disk.calls >= calls + at) continue;
      expect(machine.node.resources.files).toEqual([]);
      break;
    }
  });

  test("and retention work on one log: what is too old goes, of the rest the last records stay", async () => {
    const machine = new Machine({ config: { segmentBytes: 500, cleanupPolicy: ["compact", "delete"], retentionMs: 100_000, fileDeleteDelayMs: 0 } });
    const manager = await machine.open(compacting);
    const log = await machine.create(manager, "__x");
    append(log, 20, machine.host.clock.wallMs());
    await machine.run(150_000);
    const young = log.endOffset;
    append(log, 20, machine.host.clock.wallMs());
    log.setHighWatermark(log.endOffset);
    await machine.settle(log.flush());
    expect(await machine.settle(manager.deleteOldSegments())).toBeGreaterThan(2);
    expect([log.startOffset > 10, log.startOffset <= young]).toEqual([true, true]);
    expect(await machine.settle(manager.cleaner?.cleanOnce() ?? Promise.resolve(false))).toBe(true);
    const end = log.endOffset;
    await machine.run(150_000);
    await machine.settle(manager.deleteOldSegments());
    expect([log.startOffset, log.endOffset]).toEqual([end, end]);
  });

  test("alone keeps what is old: only what lies below the log's start goes", async () => {
    const machine = new Machine({ config: { ...config, retentionMs: 1 } });
    const manager = await machine.open();
    const log = await filled(machine, manager, "t");
    expect(await machine.settle(manager.deleteOldSegments())).toBe(0);
    log.advanceStartOffset(15);
    expect(await machine.settle(manager.deleteOldSegments())).toBeGreaterThan(1);
    expect([log.startOffset, (log.segments[1]?.baseOffset ?? 0) > 15]).toEqual([15, true]);
  });
});
