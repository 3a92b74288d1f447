import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import type { SimNode } from "../../host/sim/node.ts";
import { sessionId, zxid, type Zxid } from "../protocol/ids.ts";
import { OpCode } from "../protocol/op-codes.ts";
import { encodeTransaction, type Transaction } from "../protocol/transactions.ts";
import { Adler32, adler32 } from "./adler32.ts";
import { CommittedWindow } from "./committed-window.ts";
import { fileName, filesFrom, listFiles } from "./file-names.ts";
import { LogFileReader, logHeader, putEntry } from "./log-format.ts";
import { TransactionLog, type TransactionLogOptions } from "./transaction-log.ts";

const hex = (spaced: string) => spaced.replaceAll(" ", "");

function setData(id: number, bytes = 10): Transaction {
  return encodeTransaction({ clientId: sessionId(7n), cxid: id, zxid: zxid(id), time: 1000 + id }, { type: OpCode.setData, record: { path: "/a", data: Buffer.alloc(bytes, id), version: id } });
}

function range(from: number, to: number, bytes?: number): Transaction[] {
  return Array.from({ length: to - from + 1 }, (_, index) => setData(from + index, bytes));
}

describe("Adler-32", () => {
  test("is the one of RFC 1950, however the bytes are cut", () => {
    expect(adler32(Buffer.from("Wikipedia"))).toBe(0x11e60398);
    const bytes = Buffer.alloc(100_000, 0xff);
    let [a, b] = [1, 0];
    for (const byte of bytes) {
      a = (a + byte) % 65_521;
      b = (b + a) % 65_521;
    }
    expect(adler32(bytes)).toBe(b * 65_536 + a);
    expect(new Adler32().update(bytes, 0, 7).update(bytes, 7).value).toBe(b * 65_536 + a);
  });
});

test("names are hexadecimal, and only those of the reference's form count", async () => {
  expect(fileName("log", zxid(0x1f00000001))).toBe("log.1f00000001");
  const world = new World({ seed: 2 });
  const node = world.addNode("a");
  const names = await world.settle(
    (async () => {
      await node.host.disk.makeDirectory("/d");
      for (const name of ["log.a", "log.10", "log.2", "snapshot.3", "log.", "log.x", "log.1.gz", "log.1.tmp", "alog.1", "log.fffffffffffff"]) (await node.host.disk.open(`/d/${name}`, "write")).closeSync();
      return [...(await listFiles(node.host.disk, "/d", "log")), ...(await listFiles(node.host.disk, "/none", "log"))];
    })(),
  );
  expect(names.map((file) => file.name)).toEqual(["log.2", "log.a", "log.10", "log.fffffffffffff"]);
  const from = (id: number) => filesFrom(names, zxid(id)).map((file) => file.name)[0];
  expect([from(1), from(2), from(3), from(0xa), from(0xb)]).toEqual(["log.2", "log.2", "log.2", "log.2", "log.a"]);
});

describe("reading a log file", () => {
  let world: World;
  let node: SimNode;
  beforeEach(() => {
    world = new World({ seed: 7 });
    node = world.addNode("a");
  });

  const entries = (transactions: readonly Transaction[]): Buffer => {
    const into = Buffer.alloc(transactions.reduce((sum, { payload }) => sum + payload.length + 13, 0));
    transactions.reduce((at, { payload }) => putEntry(into, at, payload), 0);
    return into;
  };

  async function read(content: Buffer, until?: Zxid) {
    const { disk } = node.host;
    const file = await disk.open("/log.1", "truncate");
    await file.write([content], 0);
    await file.close();
    const reader = await LogFileReader.open(disk, "/log.1", { payloadBytesMax: 1_000_000, ...(until === undefined ? {} : { until }) });
    const seen: Transaction[] = [];
    for (let batch = await reader.next(); batch !== undefined; batch = await reader.next()) seen.push(...batch);
    await reader.close();
    return { seen, end: reader.end, position: reader.position };
  }

  test("the bytes of a file with one transaction", () => {
    const { payload } = encodeTransaction({ clientId: sessionId(0x100000000000001n), cxid: 0, zxid: zxid(1), time: 0x18bcfe56800 }, { type: OpCode.createSession, record: { timeOut: 30_000 } });
    expect(Buffer.concat([logHeader(), entries([{ payload } as Transaction])]).toString("hex")).toBe(
      hex(`5a4b4c47 00000002 0000000000000000
        00000000 ${adler32(payload).toString(16).padStart(8, "0")} 00000024
        0100000000000001 00000000 0000000000000001 0000018bcfe56800 fffffff6 00007530 42`).replaceAll("\n", ""),
    );
  });

  test("gives every transaction, short and long, and where the last one ends", async () => {
    const transactions = [...range(1, 300, 100), setData(301, 600_000), ...range(302, 900, 2000)];
    const content = Buffer.concat([logHeader(), entries(transactions)]);
    const { seen, end, position } = await world.settle(read(content));
    expect(seen.map(({ header }) => header.zxid)).toEqual(transactions.map(({ header }) => header.zxid));
    expect(seen.every(({ payload }, index) => transactions[index]?.payload.equals(payload))).toBe(true);
    expect([end, position]).toEqual([{ kind: "end" }, content.length]);
    const some = await world.settle(read(content, zxid(301)));
    expect(some.seen.at(-1)?.header.zxid).toBe(301);
    expect(some.position).toBe(16 + entries(transactions.slice(0, 301)).length);
  });

  const three = range(1, 3);
  const good = 16 + entries(three.slice(0, 2)).length;
  const whole = Buffer.concat([logHeader(), entries(three)]);
  const changed = (at: number, byte: number) => {
    const bytes = Buffer.from(whole);
    bytes[at] = byte;
    return bytes;
  };

  test.each<[string, Buffer, string, number, number]>([
    ["space taken in advance", Buffer.concat([whole, Buffer.alloc(5000)]), "end", 3, whole.length],
    ["a few zeros at the end", Buffer.concat([whole, Buffer.alloc(3)]), "end", 3, whole.length],
    ["nothing behind the header", logHeader(), "end", 0, 16],
    ["an entry cut off in its head", whole.subarray(0, good + 8), "cut", 2, good],
    ["an entry cut off in its payload", whole.subarray(0, good + 20), "cut", 2, good],
    ["an entry without its closing byte", changed(whole.length - 1, 0), "cut", 2, good],
    ["an entry with a changed payload", changed(good + 15, 0xee), "damaged", 2, good],
    ["an entry with a changed checksum", changed(good, 1), "damaged", 2, good],
    ["an entry with an absurd length", changed(good + 8, 0x7f), "damaged", 2, good],
    ["an entry with a negative length", changed(good + 8, 0xff), "damaged", 2, good],
    ["another magic", changed(0, 0), "damaged", 0, 0],
    ["no whole header", whole.subarray(0, 10), "damaged", 0, 0],
    ["no bytes", Buffer.alloc(0), "damaged", 0, 0],
  ])("%s", async (_name, content, kind, count, position) => {
    const result = await world.settle(read(content));
    expect([result.end?.kind, result.seen.length, result.position]).toEqual([kind, count, position]);
  });

  test("a type that nobody knows is damage, although its checksum is right", async () => {
    const payload = Buffer.from(setData(2).payload);
    payload.writeInt32BE(99, 28);
    const { end, seen } = await world.settle(read(Buffer.concat([logHeader(), entries([setData(1), { ...setData(2), payload }])])));
    expect([end?.kind, seen.length]).toEqual(["damaged", 1]);
  });
});

describe("appending", () => {
  let world: World;
  let node: SimNode;
  let log: TransactionLog;
  let durable: number[];
  let rolled: number;
  let failed: Error[];
  const defaults: TransactionLogOptions = { directory: "/log", preallocateBytes: 65_536, snapCount: 1000, forceSync: true, syncWarningMs: 1000 };

  function open(options: Partial<TransactionLogOptions> = {}): void {
    log = new TransactionLog(node.host, { ...defaults, ...options }, { durable: (id) => durable.push(id), rolled: () => (rolled += 1), failed: (error) => failed.push(error) });
  }

  async function contents(): Promise<{ name: string; zxids: number[] }[]> {
    const { disk } = node.host;
    const files = [];
    for (const { name } of await listFiles(disk, "/log", "log")) {
      const reader = await LogFileReader.open(disk, `/log/${name}`, { payloadBytesMax: 10_000_000 });
      const zxids: number[] = [];
      for (let batch = await reader.next(); batch !== undefined; batch = await reader.next()) zxids.push(...batch.map(({ header }) => header.zxid));
      await reader.close();
      files.push({ name, zxids });
    }
    return files;
  }

  beforeEach(async () => {
    world = new World({ seed: 3, disk: { syncMs: [5, 5], latencyMs: [0.01, 0.01], spikesPerMille: 0 } });
    node = world.addNode("a");
    await world.settle(node.host.disk.makeDirectory("/log"));
    [durable, rolled, failed] = [[], 0, []];
    open();
  });

  afterEach(async () => {
    if (node.up) await world.settle(log.close());
  });

  test("what a turn appends, and what comes during a sync, shares one sync", async () => {
    for (const txn of range(1, 50)) log.append(txn);
    world.after(2, () => range(51, 60).forEach((txn) => log.append(txn)));
    world.after(4, () => range(61, 70).forEach((txn) => log.append(txn)));
    await world.run({ until: () => durable.length === 2, withinMs: 100 });
    expect(durable).toEqual([50, 70]);
    await world.run({ forMs: 50 });
    expect(durable).toEqual([50, 70]);
    expect(await world.settle(contents())).toEqual([{ name: "log.1", zxids: range(1, 70).map(({ header }) => header.zxid) }]);
  });

  test("a batch has at most a thousand transactions, or a mebibyte", async () => {
    open({ snapCount: 100_000, preallocateBytes: 0 });
    range(1, 2500).forEach((txn) => log.append(txn));
    range(2501, 2503, 700_000).forEach((txn) => log.append(txn));
    await world.run({ until: () => durable.at(-1) === 2503, withinMs: 1000 });
    expect(durable).toEqual([1000, 2000, 2501, 2502, 2503]);
  });

  test("space is taken in advance as the reference takes it", async () => {
    const size = async () => (await node.host.disk.stat("/log/log.1"))?.size;
    log.append(setData(1));
    await world.run({ until: () => durable.length === 1, withinMs: 100 });
    expect(await world.settle(size())).toBe(16 + 65_536);
    log.append(setData(2, 61_000));
    await world.run({ until: () => durable.length === 2, withinMs: 100 });
    expect(await world.settle(size())).toBe(16 + 65_536);
    log.append(setData(3, 1000));
    await world.run({ until: () => durable.length === 3, withinMs: 100 });
    expect(await world.settle(size())).toBe(16 + 2 * 65_536);
  });

  test("a file ends after half of snapCount and a random part of the rest, and the next begins with the next transaction", async () => {
    open({ snapCount: 20 });
    for (let id = 1; id <= 100; id++) {
      log.append(setData(id));
      await world.run({ until: () => durable.at(-1) === id, withinMs: 100 });
    }
    const files = await world.settle(contents());
    expect(files.flatMap(({ zxids }) => zxids)).toEqual(range(1, 100).map(({ header }) => header.zxid));
    expect(files.map(({ name, zxids }) => name === `log.${zxids[0]?.toString(16)}`).every(Boolean)).toBe(true);
    const counts = files.slice(0, -1).map(({ zxids }) => zxids.length);
    expect(counts.every((count) => count >= 11 && count <= 20)).toBe(true);
    expect(new Set(counts).size).toBeGreaterThan(1);
    expect(rolled).toBe(counts.length);
  });

  test("a log that is opened again begins a new file, and empties one of the same name", async () => {
    range(1, 5).forEach((txn) => log.append(txn));
    await world.settle(log.close());
    open();
    log.append(setData(6));
    await world.settle(log.close());
    open();
    log.append(setData(6, 20));
    await world.settle(log.close());
    expect(await world.settle(contents())).toEqual([
      { name: "log.1", zxids: [1, 2, 3, 4, 5] },
      { name: "log.6", zxids: [6] },
    ]);
  });

  test("closing waits for what is appended, and gives the file back", async () => {
    range(1, 5).forEach((txn) => log.append(txn));
    await world.settle(log.close());
    expect(durable).toEqual([5]);
    expect(node.resources.files).toEqual([]);
  });

  test("without forceSync nothing waits for the disk", async () => {
    open({ forceSync: false });
    log.append(setData(1));
    await world.run({ until: () => durable.length === 1, withinMs: 1 });
    expect(durable).toEqual([1]);
  });

  test("a slow sync is counted and said", async () => {
    open({ syncWarningMs: 4 });
    log.append(setData(1));
    await world.run({ until: () => durable.length === 1, withinMs: 100 });
    expect(log.slowSyncs).toBe(1);
    expect(node.log.lines().join("\n")).toContain("took long");
  });

  test("a failed sync is told, and nothing counts as durable from there on", async () => {
    log.append(setData(1));
    await world.run({ until: () => durable.length === 1, withinMs: 100 });
    node.disk.options.syncErrorsPerMillion = 1_000_000;
    log.append(setData(2));
    await world.run({ until: () => failed.length === 1, withinMs: 100 });
    expect(durable).toEqual([1]);
    expect(() => log.append(setData(3))).toThrow("the log is open");
  });

  test("transactions are appended in order", () => {
    log.append(setData(5));
    expect(() => log.append(setData(5))).toThrow("zxid order");
  });
});

describe("the committed window", () => {
  test("keeps the last 500", () => {
    const window = new CommittedWindow();
    expect([window.min, window.max, window.size]).toEqual([undefined, undefined, 0]);
    for (const txn of range(1, 1700)) window.add(txn);
    expect([window.min, window.max, window.size]).toEqual([1201, 1700, 500]);
    expect(window.from(zxid(1699)).map((entry) => entry.zxid)).toEqual([1699, 1700]);
    expect(window.from(zxid(1)).length).toBe(500);
    expect(window.from(zxid(1701))).toEqual([]);
    expect(window.from(zxid(1700))[0]?.payload.equals(setData(1700).payload)).toBe(true);
    expect(() => window.add(setData(1700))).toThrow("zxid order");
    window.clear();
    expect(window.size).toBe(0);
  });

  test("keeps fewer where they are large", () => {
    const window = new CommittedWindow();
    for (const txn of range(1, 80, 1024 * 1024)) window.add(txn);
    expect(window.size).toBe(63);
    expect(window.max).toBe(80);
  });
});
