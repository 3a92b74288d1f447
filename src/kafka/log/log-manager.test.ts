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
