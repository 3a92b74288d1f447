import * as fc from "fast-check";
import { beforeEach, describe, expect, test } from "vitest";
import { dump, newTree, SESSIONS, Workload } from "../../../test/support/zookeeper-tree.ts";
import type { SimNode } from "../../host/sim/node.ts";
import { World } from "../../host/sim/world.ts";
import { must } from "../../lib/assert.ts";
import { juteLimits } from "../jute/limits.ts";
import { makeZxid, sessionId, zxid, type Zxid } from "../protocol/ids.ts";
import { OpCode } from "../protocol/op-codes.ts";
import { encodeTransaction, type Transaction } from "../protocol/transactions.ts";
import { OPEN_ACL } from "../tree/acl.ts";
import { applyTransaction } from "../tree/apply.ts";
import type { DataTree } from "../tree/tree.ts";
import { Database, type DatabaseOptions } from "./database.ts";
import { EpochFiles } from "./epochs.ts";
import { TreeReader, TreeWriter } from "./snapshot-format.ts";

function serialize(writer: TreeWriter, chunkBytes: number, between: () => void = () => undefined): Buffer {
  const chunks: Buffer[] = [];
  for (let more = writer.next(chunkBytes); more !== undefined; more = writer.next(chunkBytes)) {
    chunks.push(...more.map((chunk) => Buffer.from(chunk)));
    between();
  }
  writer.close();
  return Buffer.concat(chunks);
}

function deserialize(bytes: Buffer, last: Zxid, chunkBytes = 1000): DataTree {
  const tree = newTree();
  const reader = new TreeReader(tree, 100_000);
  for (let at = 0; at < bytes.length && !reader.done; at += chunkBytes) reader.push(bytes.subarray(at, at + chunkBytes));
  expect([reader.problem, reader.unknownAcls]).toEqual([undefined, 0]);
  reader.finish(last);
  return tree;
}

describe("a tree as bytes", () => {
  test("an empty tree's", () => {
    const text = serialize(new TreeWriter(newTree()), 1000).toString("hex");
    const zeros = (count: number) => "00".repeat(count);
    const path = (name: string) => `${name.length.toString(16).padStart(8, "0")}${Buffer.from(name).toString("hex")}`;
    const open = "ffffffffffffffff";
    const plain = `00000000${open}${zeros(60)}`;
    const acl = `0000000000000001 00000001 00000001 ${path("world")} ${path("anyone")}`;
    const config = `00000000 0000000000000001 ${zeros(32)} 00000000 00000000 ffffffff ${zeros(16)}`;
    const nodes = `${path("")} ${plain} ${path("/zookeeper")} ${plain} ${path("/zookeeper/quota")} ${plain} ${path("/zookeeper/config")} ${config}`;
    expect(text).toBe(`00000000 00000001 ${acl} ${nodes} ${path("/")}`.replaceAll(" ", ""));
  });

  test("any tree comes back, however the bytes are cut", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 200 }), fc.integer({ min: 1, max: 300 }), (seed, steps, cut) => {
        const { tree } = new Workload(seed).run(steps);
        const again = deserialize(serialize(new TreeWriter(tree), cut), tree.lastZxid, cut);
        expect(dump(again)).toEqual(dump(tree));
        expect(again.acls.size).toBe(tree.acls.size);
      }),
      { numRuns: 100 },
    );
  });

  test("a tree that changes while it is written comes back once the log since then is replayed", () => {
    fc.assert(
      fc.property(fc.nat(), fc.integer({ min: 1, max: 150 }), fc.integer({ min: 1, max: 60 }), (seed, steps, cut) => {
        const workload = new Workload(seed).run(steps);
        const writer = new TreeWriter(workload.tree);
        const bytes = serialize(writer, cut, () => workload.run(seed % 4));
        const again = deserialize(bytes, writer.zxid);
        for (const txn of workload.transactions) if (txn.header.zxid > writer.zxid) applyTransaction(again, txn);
        expect(dump(again)).toEqual(dump(workload.tree));
        expect(workload.tree.witnesses.size).toBe(0);
      }),
      { numRuns: 200 },
    );
  });

  test("a directory that is split while it is written comes back too", () => {
    const tree = newTree();
    const log: Transaction[] = [];
    const header = (id: number) => ({ clientId: must(SESSIONS[0], "session"), cxid: 0, zxid: zxid(id), time: id });
    const apply = (body: Parameters<typeof encodeTransaction>[1]): void => {
      const txn = encodeTransaction(header(log.length + 1), body);
      log.push(txn);
      applyTransaction(tree, txn);
    };
    const create = (name: string, ephemeral = false) => apply({ type: OpCode.create, record: { path: `/${name}`, data: null, acl: null, ephemeral, parentCVersion: -1 } });
    for (let n = 0; n < 32_000; n++) create(`n${n}`, n % 10 === 0);
    const writer = new TreeWriter(tree);
    let turn = 0;
    const bytes = serialize(writer, 50_000, () => {
      for (let n = 0; n < 60; n++) create(`late${turn}-${n}`);
      for (let n = 0; n < 20; n++) apply({ type: OpCode.delete, record: { path: `/n${(turn * 20 + n) * 37 + 1}` } });
      turn += 1;
      if (turn === 30) apply({ type: OpCode.closeSession, record: {} });
    });
    expect(tree.root.childCount).toBeGreaterThan(32_768 - 3200);
    const again = deserialize(bytes, writer.zxid, 100_000);
    for (const txn of log) if (txn.header.zxid > writer.zxid) applyTransaction(again, txn);
    expect(dump(again)).toEqual(dump(tree));
  });

  test("the bytes after a tree are left for others", () => {
    const bytes = Buffer.concat([serialize(new TreeWriter(newTree()), 1000), Buffer.from("BenWasHere")]);
    const reader = new TreeReader(newTree(), 1000);
    const used = reader.push(bytes);
    expect([reader.done, reader.rest().toString(), used.length]).toEqual([true, "BenWasHere", bytes.length - 10]);
  });

  test("damaged bytes are a problem, another tree, or a wait for more, but no crash", () => {
    const bytes = serialize(new TreeWriter(new Workload(5).run(100).tree), 1000);
    fc.assert(
      fc.property(fc.nat(bytes.length - 1), fc.nat(255), (at, byte) => {
        const damaged = Buffer.from(bytes);
        damaged[at] = byte;
        const reader = new TreeReader(newTree(), 1000);
        reader.push(damaged);
        reader.push(Buffer.alloc(8000, 1));
      }),
      { numRuns: 2000 },
    );
  });
});

describe("a database", () => {
  let world: World;
  let node: SimNode;
  let workload: Workload;
  let durable: Zxid;

  const settings: Omit<DatabaseOptions, "newTree"> = {
    dataDir: "/data/zk",
    dataLogDir: "/data/zk",
    autocreate: true,
    trustEmptySnapshot: false,
    limits: juteLimits(100_000),
    preallocateBytes: 65_536,
    snapCount: 100_000,
    forceSync: true,
    syncWarningMs: 1000,
  };

  beforeEach(() => {
    world = new World({ seed: 11 });
    node = world.addNode("a");
    workload = new Workload(1);
    durable = zxid(0);
  });

  async function open(options: Partial<DatabaseOptions> = {}): Promise<Database> {
    const database = await Database.open(node.host, { ...settings, newTree, ...options });
    database.listen({ durable: (id) => (durable = id) });
    return database;
  }

  /** Logs and applies so many transactions, each when the disk has it. */
  async function write(database: Database, count: number): Promise<void> {
    for (let n = 0; n < count; n++) {
      const txn = workload.step();
      database.append(txn);
      await world.run({ until: () => durable >= txn.header.zxid, withinMs: 1000 });
      database.apply(txn);
    }
  }

  const names = async (directory = "/data/zk/version-2") => (await node.host.disk.readDirectory(directory)).map((entry) => entry.name).toSorted();
  const settle = <T>(promise: Promise<T>) => world.settle(promise);
  const put = async (path: string, content: Buffer) => {
    const file = await node.host.disk.open(path, "truncate");
    await file.write([content], 0);
    await file.close();
  };
  const damage = async (path: string, at: number) => {
    const file = await node.host.disk.open(path, "write");
    await file.write([Buffer.from("damage")], at);
    await file.close();
  };

  test("a fresh one begins with snapshot.0, and nothing else", async () => {
    const database = await settle(open());
    expect(await settle(names())).toEqual(["snapshot.0"]);
    expect(dump(database.tree)).toEqual(dump(newTree()));
    await settle(database.close());
    const again = await settle(open());
    expect(again.tree.lastZxid).toBe(0);
    expect(node.resources.files).toEqual([]);
  });

  test("comes back as it was, with its committed window, and goes on in a new log file", async () => {
    let database = await settle(open());
    await write(database, 60);
    await settle(database.close());
    database = await settle(open());
    expect(dump(database.tree)).toEqual(dump(workload.tree));
    expect([database.window.min, database.window.max]).toEqual([1, 60]);
    await write(database, 10);
    await settle(database.close());
    expect(await settle(names())).toEqual(["log.1", "log.3d", "snapshot.0"]);
    expect(dump((await settle(open())).tree)).toEqual(dump(workload.tree));
  });

  test("loads the newest snapshot and replays only what follows", async () => {
    let database = await settle(open());
    await write(database, 30);
    expect(await settle(database.takeSnapshot())).toBe(30);
    await write(database, 5);
    await settle(database.close());
    database = await settle(open());
    expect(dump(database.tree)).toEqual(dump(workload.tree));
    expect(database.window.min).toBe(31);
    expect(await settle(database.newestSnapshotBytes())).toBeGreaterThan(100);
  });

  test("takes a snapshot at every roll of the log, while writes go on, and loads from it", async () => {
    let database = await settle(open({ snapCount: 20 }));
    await write(database, 100);
    await settle(database.close());
    const files = await settle(names());
    expect(files.filter((name) => name.startsWith("log.")).length).toBeGreaterThan(4);
    expect(files.filter((name) => name.startsWith("snapshot.")).length).toBeGreaterThan(4);
    expect(files.some((name) => name.endsWith(".tmp"))).toBe(false);
    database = await settle(open());
    expect(dump(database.tree)).toEqual(dump(workload.tree));
    const gone = await settle(database.purge(3));
    const left = await settle(names());
    expect(left.filter((name) => name.startsWith("snapshot."))).toHaveLength(3);
    expect([...gone, ...left].toSorted()).toEqual(files);
    for (const name of left.filter((file) => file.startsWith("snapshot.")).slice(0, 2)) await settle(node.host.disk.remove(`/data/zk/version-2/${name}`));
    expect(dump((await settle(open())).tree)).toEqual(dump(workload.tree));
  });

  test("falls back to an older snapshot where the newest is damaged or unfinished", async () => {
    const database = await settle(open());
    await write(database, 10);
    await settle(database.takeSnapshot());
    await write(database, 10);
    await settle(database.takeSnapshot());
    await settle(database.close());
    const newest = "/data/zk/version-2/snapshot.14";
    await settle(damage(newest, 100));
    expect(dump((await settle(open())).tree)).toEqual(dump(workload.tree));
    const bytes = await settle(node.host.disk.readFile(newest));
    await settle(put(newest, bytes.subarray(0, -1)));
    expect(dump((await settle(open())).tree)).toEqual(dump(workload.tree));
    for (const name of ["snapshot.0", "snapshot.a", "snapshot.14"]) await settle(damage(`/data/zk/version-2/${name}`, 20));
    await settle(put(newest, bytes.subarray(0, -1)));
    await expect(settle(open())).rejects.toMatchObject({ code: "ZK_SNAPSHOT" });
  });

  test("does not fall back past a snapshot that came from a leader", async () => {
    const database = await settle(open());
    await write(database, 10);
    // The leader's history has no 9 and 10, but an epoch of its own that begins after 8.
    const other = workload.at(zxid(8));
    other.lastZxid = makeZxid(1, 0);
    await settle(database.adopt(other));
    const next = encodeTransaction({ clientId: sessionId(1n), cxid: 1, zxid: makeZxid(1, 1), time: 1 }, { type: OpCode.createSession, record: { timeOut: 5000 } });
    database.append(next);
    database.apply(next);
    await settle(database.close());
    expect(dump((await settle(open())).tree)).toEqual(dump(other));
    await settle(damage("/data/zk/version-2/snapshot.100000000", 60));
    await expect(settle(open())).rejects.toMatchObject({ code: "ZK_LOG", message: expect.stringContaining("snapshot.100000000") as unknown });
  });

  test("refuses a log without a snapshot, unless told to trust it", async () => {
    const database = await settle(open());
    await write(database, 10);
    await settle(database.close());
    await settle(node.host.disk.remove("/data/zk/version-2/snapshot.0"));
    await expect(settle(open())).rejects.toMatchObject({ code: "ZK_SNAPSHOT" });
    expect(dump((await settle(open({ trustEmptySnapshot: true }))).tree)).toEqual(dump(workload.tree));
  });

  test("refuses a missing directory when it may not make it, and directories that are mixed up", async () => {
    await expect(settle(open({ autocreate: false }))).rejects.toMatchObject({ code: "ZK_DATA_DIRECTORY" });
    const apart = { dataLogDir: "/data/log" };
    const database = await settle(open(apart));
    await write(database, 3);
    await settle(database.close());
    expect([await settle(names()), await settle(names("/data/log/version-2"))]).toEqual([["snapshot.0"], ["log.1"]]);
    await expect(settle(open({ dataDir: "/data/log", dataLogDir: "/data/zk" }))).rejects.toMatchObject({ code: "ZK_DATA_DIRECTORY" });
  });

  test("cuts off a torn write at the end of the last log, and refuses damage anywhere else", async () => {
    let database = await settle(open({ snapCount: 20 }));
    await write(database, 40);
    await settle(database.close());
    const logs = (await settle(names())).filter((name) => name.startsWith("log.")).toSorted((a, b) => Number.parseInt(a.slice(4), 16) - Number.parseInt(b.slice(4), 16));
    const last = `/data/zk/version-2/${logs.at(-1)}`;
    const whole = await settle(node.host.disk.readFile(last));
    const end = whole.findLastIndex((byte) => byte !== 0) + 1;
    await settle(damage(last, end - 10));
    database = await settle(open());
    expect(dump(database.tree)).toEqual(dump(workload.at(zxid(39))));
    expect(node.log.lines().join("\n")).toContain("torn write");
    await settle(database.close());
    // What was cut is gone for Apache's server too, and the next log continues.
    expect((await settle(node.host.disk.stat(last)))?.size).toBeLessThan(end - 10);
    expect((await settle(open())).tree.lastZxid).toBe(39);

    const far = Buffer.concat([whole.subarray(0, end - 10), Buffer.alloc(4_000_000, 7)]);
    await settle(put(last, far));
    await expect(settle(open())).rejects.toMatchObject({ code: "ZK_LOG", message: expect.stringContaining(last) as unknown });
    await settle(put(last, whole));
    await settle(damage(`/data/zk/version-2/${logs.at(-2)}`, 100));
    for (const name of (await settle(names())).filter((file) => file.startsWith("snapshot.") && file !== "snapshot.0")) await settle(node.host.disk.remove(`/data/zk/version-2/${name}`));
    await expect(settle(open())).rejects.toMatchObject({ code: "ZK_LOG" });
  });

  test("a last log without even a header goes, an earlier one is damage", async () => {
    const database = await settle(open());
    await write(database, 10);
    await settle(database.close());
    await settle(put("/data/zk/version-2/log.b", Buffer.from("ZKLG")));
    expect((await settle(open())).tree.lastZxid).toBe(10);
    expect(await settle(names())).toEqual(["log.1", "snapshot.0"]);
    await settle(put("/data/zk/version-2/log.b", Buffer.alloc(0)));
    await settle(put("/data/zk/version-2/log.c", Buffer.from("5a4b4c47000000020000000000000000", "hex")));
    await expect(settle(open())).rejects.toMatchObject({ code: "ZK_LOG" });
  });

  test("goes back to an earlier transaction, over files and past a snapshot that knows too much", async () => {
    let database = await settle(open({ snapCount: 20 }));
    await write(database, 30);
    await settle(database.close());
    database = await settle(open({ snapCount: 20 }));
    await write(database, 20);
    await settle(database.takeSnapshot());
    await settle(database.truncate(zxid(17)));
    expect(dump(database.tree)).toEqual(dump(workload.at(zxid(17))));
    expect(database.window.max).toBe(17);
    expect((await settle(names())).every((name) => Number.parseInt(name.split(".")[1] ?? "", 16) <= 17)).toBe(true);
    // Another leader's history goes on from there.
    const other = new Workload(2, makeZxid(1, 1));
    for (let n = 0; n < 10; n++) {
      const txn = other.step();
      database.append(txn);
      await world.run({ until: () => durable >= txn.header.zxid, withinMs: 1000 });
      database.apply(txn);
    }
    const expected = workload.at(zxid(17));
    for (const txn of other.transactions) applyTransaction(expected, txn);
    await settle(database.close());
    expect(dump((await settle(open())).tree)).toEqual(dump(expected));
  });

  test("takes over a leader's snapshot alone, whatever it had after that or beyond", async () => {
    const database = await settle(open({ snapCount: 20 }));
    await write(database, 30);
    await settle(database.takeSnapshot());
    await settle(database.adopt(workload.at(zxid(17))));
    expect([database.logStart, database.window.size]).toEqual([17, 0]);
    expect((await settle(names())).every((name) => Number.parseInt(name.split(".")[1] ?? "", 16) <= 17)).toBe(true);
    const next = workload.transactions[17];
    if (next === undefined) throw new Error("the workload is shorter than that");
    database.append(next);
    await settle(database.flushed());
    expect(durable).toBe(18);
    await settle(database.close());
    expect(dump((await settle(open())).tree)).toEqual(dump(workload.at(zxid(18))));
  });

  test("does not go back to where no snapshot or log entry is", async () => {
    const database = await settle(open());
    await write(database, 10);
    await settle(database.takeSnapshot());
    await expect(settle(database.truncate(makeZxid(1, 0)))).rejects.toMatchObject({ code: "ZK_TRUNCATE" });
    await settle(node.host.disk.remove("/data/zk/version-2/snapshot.0"));
    const again = await settle(open());
    await expect(settle(again.truncate(zxid(5)))).rejects.toMatchObject({ code: "ZK_TRUNCATE" });
  });

  test("reads its log from a transaction on, and tells how much there is", async () => {
    const database = await settle(open({ snapCount: 20 }));
    await write(database, 50);
    const read = async (from: number, until: number) => {
      const seen: number[] = [];
      for await (const batch of database.readLog(zxid(from), zxid(until))) seen.push(...batch.map((txn) => txn.header.zxid));
      return seen;
    };
    const seen = await settle(read(40, 45));
    expect(seen[0]).toBeLessThan(40);
    expect(seen.slice(seen.indexOf(40))).toEqual([40, 41, 42, 43, 44, 45]);
    expect(await settle(database.logBytesFrom(zxid(40)))).toBeLessThan(await settle(database.logBytesFrom(zxid(1))));
  });

  test("stops the member where the log cannot be written", async () => {
    world = new World({ seed: 1, expected: ({ reason }) => reason.message.includes("transaction log") });
    node = world.addNode("a");
    const database = await settle(open());
    node.disk.options.syncErrorsPerMillion = 1_000_000;
    database.append(workload.step());
    await world.run({ until: () => !node.up, withinMs: 1000 });
    expect(durable).toBe(0);
    expect(world.failures[0]?.reason).toMatchObject({ code: "ZK_LOG" });
  });

  describe("after a crash holds every durable transaction and all it had loaded before, and none it was not given, in order", () => {
    test.each([
      ["power loss", Array.from({ length: 40 }, (_, seed) => seed)],
      ["kill", Array.from({ length: 10 }, (_, seed) => seed)],
      ["kill or power loss", Array.from({ length: 40 }, (_, seed) => seed)],
    ] as const)("%s", async (how, seeds) => {
      let torn = 0;
      for (const seed of seeds) {
        world = new World({ seed, disk: { spikesPerMille: 50, spikeMs: 20, syncMs: how === "kill or power loss" ? [1, 20] : [0.1, 2] } });
        node = world.addNode("a");
        workload = new Workload(seed);
        const draws = world.prng("faults");
        let acknowledged = zxid(0);
        for (let life = 0; life < 6; life++) {
          if (!node.up) node.start();
          durable = zxid(0);
          const database = await world.settle(open({ snapCount: 2 + draws.below(60), preallocateBytes: draws.pick([0, 4096, 65_536]) }));
          const last = database.tree.lastZxid;
          expect(last, `seed ${seed} life ${life}`).toBeGreaterThanOrEqual(acknowledged);
          expect(last).toBeLessThanOrEqual(workload.tree.lastZxid);
          expect(dump(database.tree), `seed ${seed} life ${life}`).toEqual(dump(workload.at(last)));
          acknowledged = last;
          // What got lost was never acknowledged: the history forks here.
          const fork = new Workload(seed * 100 + life, zxid(last + 1));
          for (const txn of workload.transactions.slice(0, last)) applyTransaction(fork.tree, txn);
          fork.transactions.push(...workload.transactions.slice(0, last));
          workload = fork;
          const end = world.nowMs + 5 + draws.below(200);
          const applied = (upTo: Zxid): void => {
            for (const txn of fork.transactions) if (txn.header.zxid > database.tree.lastZxid && txn.header.zxid <= upTo) database.apply(txn);
          };
          database.listen({
            durable: (id) => {
              acknowledged = id;
              applied(id);
            },
          });
          while (world.nowMs < end) {
            for (let n = draws.below(8); n > 0; n--) database.append(fork.step());
            await world.run({ forMs: draws.below(10) + 0.5 });
          }
          if (how === "kill" || (how !== "power loss" && draws.chance(1, 2))) node.kill();
          else node.powerLoss();
        }
        torn += node.log.lines().filter((line) => line.includes("torn write")).length;
      }
      expect(torn > 0).toBe(how !== "kill");
    });
  });
});

describe("epoch files", () => {
  const world = new World({ seed: 4 });
  const directory = "/epochs";
  const load = (last: Zxid) => world.settle(EpochFiles.load(must(world.nodes[0], "node").host.disk, directory, last));
  const write = async (name: string, text: string) => {
    const { disk } = must(world.nodes[0], "node").host;
    const file = await disk.open(`${directory}/${name}`, "truncate");
    await file.write([Buffer.from(text)], 0);
    await file.close();
  };

  test("begin with the epoch of the log, and survive a power loss once set", async () => {
    const node = world.addNode("a");
    await world.settle(node.host.disk.makeDirectory(directory));
    await world.settle(node.host.disk.syncDirectory("/"));
    const epochs = await load(makeZxid(3, 7));
    expect([epochs.accepted, epochs.current]).toEqual([3, 3]);
    await world.settle(epochs.setAccepted(5));
    await world.settle(epochs.setCurrent(4));
    node.powerLoss();
    node.start();
    const again = await load(makeZxid(3, 7));
    expect([again.accepted, again.current]).toEqual([5, 4]);
    expect((await world.settle(node.host.disk.readFile(`${directory}/acceptedEpoch`))).toString()).toBe("5");
  });

  test("follow a log that a new leader has begun to fill, and refuse one from elsewhere", async () => {
    const epochs = await load(makeZxid(5, 1));
    expect([epochs.accepted, epochs.current]).toEqual([5, 5]);
    await expect(load(makeZxid(6, 1))).rejects.toMatchObject({ code: "ZK_EPOCH" });
  });

  test("must be readable and agree", async () => {
    await world.settle(write("currentEpoch", "7"));
    await expect(load(makeZxid(5, 1))).rejects.toMatchObject({ code: "ZK_EPOCH" });
    for (const text of ["", "x", " 5", "5.5"]) {
      await world.settle(write("currentEpoch", text));
      await expect(load(makeZxid(5, 1))).rejects.toMatchObject({ code: "ZK_EPOCH" });
    }
  });
});

test("a transaction of one byte more than the largest batch still goes", async () => {
  const world = new World({ seed: 9 });
  const node = world.addNode("a");
  const options: DatabaseOptions = { dataDir: "/d", dataLogDir: "/d", autocreate: true, trustEmptySnapshot: false, limits: juteLimits(2_000_000), preallocateBytes: 65_536, snapCount: 10, forceSync: true, syncWarningMs: 1000, newTree };
  let durable = 0;
  const database = await world.settle(Database.open(node.host, options));
  database.listen({ durable: (id) => (durable = id) });
  const large = encodeTransaction({ clientId: sessionId(1n), cxid: 1, zxid: zxid(1), time: 1 }, { type: OpCode.create, record: { path: "/large", data: Buffer.alloc(1_500_000, 1), acl: OPEN_ACL, ephemeral: false, parentCVersion: -1 } });
  database.append(large);
  await world.run({ until: () => durable === 1, withinMs: 1000 });
  database.apply(large);
  await world.settle(database.takeSnapshot());
  await world.settle(database.close());
  expect((await world.settle(Database.open(node.host, options))).tree.find("/large")?.data?.length).toBe(1_500_000);
});
