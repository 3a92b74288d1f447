import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { File } from "../disk.ts";
import type { DiskCall } from "./disk.ts";
import type { SimNode } from "./node.ts";
import type { WorldOptions } from "./options.ts";
import { World } from "./world.ts";

function machine(options: Partial<WorldOptions> = {}): { world: World; node: SimNode } {
  const world = new World({ seed: 1, ...options });
  return { world, node: world.addNode("a") };
}

const bytes = (from: string): Buffer => Buffer.from(from);

function readAll(file: File): string {
  const into = Buffer.alloc(file.sizeSync());
  file.readSync(into, 0);
  return into.toString();
}

describe("files", () => {
  test("chunks are written one after the other, synchronously and not, and read back; only the end reads short", async () => {
    const { world, node } = machine();
    const file = await world.settle(node.host.disk.open("/a", "write"));
    file.writeSync([bytes("abc"), Buffer.alloc(0), bytes("def")], 0);
    await world.settle(file.write([bytes("ghi"), bytes("j")], 6));
    const into = Buffer.alloc(20);
    expect(await world.settle(file.read(into, 2))).toBe(8);
    expect(into.toString("latin1", 0, 8)).toBe("cdefghij");
    expect(file.readSync(into, 10)).toBe(0);
    file.truncateSync(4);
    expect(file.sizeSync()).toBe(4);
    file.truncateSync(6);
    expect(readAll(file)).toBe("abcd\0\0");
  });

  test("operations on a file take effect in the order of their calls; a synchronous one must not overtake a write, and may overtake a sync", async () => {
    for (let seed = 0; seed < 20; seed++) {
      const { world, node } = machine({ seed });
      const file = node.host.disk.openSync("/a", "write");
      const into = Buffer.alloc(9);
      const first = file.write([bytes("1234")], 0);
      const second = file.truncate(2);
      expect(() => file.writeSync([bytes("xyz")], 2)).toThrow("would overtake 2 asynchronous");
      await world.settle(Promise.all([first, second]));
      const synced = file.sync();
      file.writeSync([bytes("xyz")], 2);
      const third = file.write([bytes("!")], 0);
      const read = file.read(into, 0);
      const fourth = file.write([bytes("?")], 0);
      expect(await world.settle(read)).toBe(5);
      expect(into.toString("latin1", 0, 5)).toBe("!2xyz");
      await world.settle(Promise.all([synced, third, fourth, file.close()]));
      expect(String(node.disk.peek("/a"))).toBe("?2xyz");
    }
  });

  test("open modes: read must exist and does not write, write keeps, truncate empties", async () => {
    const { node } = machine();
    const { disk } = node.host;
    expect(() => disk.openSync("/a", "read")).toThrow(expect.objectContaining({ code: "ENOENT" }));
    disk.openSync("/a", "write").writeSync([bytes("kept")], 0);
    expect(readAll(disk.openSync("/a", "write"))).toBe("kept");
    expect(() => disk.openSync("/a", "read").writeSync([bytes("x")], 0)).toThrow(expect.objectContaining({ code: "EBADF" }));
    expect(readAll(disk.openSync("/a", "truncate"))).toBe("");
  });

  test("a closed file answers EBADF, and open files can be counted", async () => {
    const { world, node } = machine();
    const file = node.host.disk.openSync("/a", "write");
    expect(node.resources.files).toEqual(["/a"]);
    const last = file.write([bytes("last")], 0);
    const closed = file.close();
    expect(node.resources.files).toEqual([]);
    await expect(file.write([bytes("x")], 0)).rejects.toMatchObject({ code: "EBADF" });
    await world.settle(Promise.all([last, closed]));
    expect(String(node.disk.peek("/a"))).toBe("last");
  });

  test("names: what a system allows and what it refuses", async () => {
    const { world, node } = machine();
    const { disk } = node.host;
    await world.settle(disk.makeDirectory("/d/e/f"));
    await world.settle(disk.makeDirectory("/d/e"));
    disk.openSync("/d/file", "write");
    disk.openSync("/d/other", "write").writeSync([bytes("12")], 0);
    const code = async (act: () => Promise<unknown>): Promise<unknown> => world.settle(act().then(() => "done", (error: Error) => ("code" in error ? error.code : error)));
    expect(await code(() => disk.open("/none/file", "write"))).toBe("ENOENT");
    expect(await code(() => disk.open("/d", "write"))).toBe("EISDIR");
    expect(await code(() => disk.readDirectory("/d/file"))).toBe("ENOTDIR");
    expect(await code(() => disk.readDirectory("/none"))).toBe("ENOENT");
    expect(await code(() => disk.makeDirectory("/d/file"))).toBe("EEXIST");
    expect(await code(() => disk.rename("/none", "/x"))).toBe("ENOENT");
    expect(await code(() => disk.rename("/d", "/d/e/d"))).toBe("EINVAL");
    expect(await code(() => disk.rename("/d/file", "/d/e"))).toBe("EISDIR");
    expect(await code(() => disk.remove("/d/e"))).toBe("EISDIR");
    expect(await code(() => disk.remove("/none"))).toBe("done");
    expect(await code(() => disk.rename("/d/other", "/d/file"))).toBe("done");
    expect(await world.settle(disk.stat("/d/file"))).toMatchObject({ kind: "file", size: 2 });
    expect(await world.settle(disk.stat("/d/other"))).toBeUndefined();
    expect((await world.settle(disk.readDirectory("/d"))).map((entry) => `${entry.kind} ${entry.name}`).toSorted((x, y) => x.localeCompare(y))).toEqual(["directory e", "file file"]);
    await world.settle(disk.setModifiedTime("/d/file", 12_345));
    expect((await world.settle(disk.stat("/d/file")))?.modifiedMs).toBe(12_345);
    await world.settle(disk.removeDirectory("/d"));
    await world.settle(disk.removeDirectory("/d"));
    expect(await world.settle(disk.stat("/d"))).toBeUndefined();
  });

  test("names of a directory come in an order that the seed draws", async () => {
    const orders = new Set<string>();
    for (let seed = 0; seed < 5; seed++) {
      const { world, node } = machine({ seed });
      for (const name of "abcde") node.host.disk.openSync(`/${name}`, "write");
      orders.add((await world.settle(node.host.disk.readDirectory("/"))).map(({ name }) => name).join(""));
    }
    expect(orders.size).toBeGreaterThan(1);
  });

  test("a lock is one holder's until it is released or its process dies", async () => {
    const { world, node } = machine();
    const lock = await world.settle(node.host.disk.lock("/data/.lock"));
    expect(lock).toBeDefined();
    expect(await world.settle(node.host.disk.lock("/data/.lock"))).toBeUndefined();
    expect(await world.settle(node.host.disk.lock("/other/.lock"))).toBeDefined();
    await lock?.release();
    expect(await world.settle(node.host.disk.lock("/data/.lock"))).toBeDefined();
    node.kill();
    const next = node.start();
    const again = await world.settle(next.disk.lock("/data/.lock"));
    expect(again).toBeDefined();
    // The lock of the life before is not this one's to release.
    await lock?.release();
    expect(await world.settle(next.disk.lock("/data/.lock"))).toBeUndefined();
  });
});

describe("a killed process", () => {
  test("leaves every completed write to the page cache", async () => {
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(fc.tuple(fc.nat(5000), fc.nat(3000))), async (seed, writes) => {
        const { world, node } = machine({ seed });
        const file = node.host.disk.openSync("/a", "write");
        const expected = Buffer.alloc(8192);
        let size = 0;
        for (const [position, length] of writes) {
          const chunk = world.prng(`${position}`).bytes(length);
          if (position % 2 === 0) file.writeSync([chunk], position);
          else await world.settle(file.write([chunk], position));
          chunk.copy(expected, position);
          if (length > 0) size = Math.max(size, position + length);
        }
        node.kill();
        const found = await world.settle(node.start().disk.readFile("/a"));
        expect(found.equals(expected.subarray(0, size))).toBe(true);
      }),
    );
  });

  test("leaves writes that were under way done, done in part or not begun, as drawn, and of one file in order", () => {
    const states = new Set<string>();
    for (let seed = 0; seed < 100; seed++) {
      const { node } = machine({ seed });
      const file = node.host.disk.openSync("/a", "write");
      for (let n = 0; n < 4; n++) void file.write([bytes(`${n}`.repeat(3))], n * 3);
      node.kill();
      const state = String(node.disk.peek("/a"));
      expect("000111222333".startsWith(state)).toBe(true);
      states.add(state);
    }
    expect(states.size).toBeGreaterThan(6);
  });

  test("may leave a directory removed in part", () => {
    const left = new Set<number>();
    for (let seed = 0; seed < 50; seed++) {
      const { node } = machine({ seed });
      const { disk } = node.host;
      disk.makeDirectorySync("/d");
      for (const name of "abc") disk.openSync(`/d/${name}`, "write");
      void disk.removeDirectory("/d");
      node.kill();
      left.add("abc".split("").filter((name) => node.disk.peek(`/d/${name}`) !== undefined).length);
    }
    expect(left).toEqual(new Set([0, 1, 2, 3]));
  });
});

describe("faults of the disk", () => {
  test("inject() fails the operation it picks, of any kind, by its number", async () => {
    const { world, node } = machine();
    const calls: DiskCall[] = [];
    node.disk.inject = (call) => {
      calls.push(call);
      return call.index === 3 ? "EIO" : undefined;
    };
    const { disk } = node.host;
    const file = await world.settle(disk.open("/a", "write"));
    await world.settle(file.write([bytes("abc")], 0));
    await expect(world.settle(file.sync())).rejects.toMatchObject({ code: "EIO", message: "the disk failed: /a" });
    await world.settle(disk.rename("/a", "/b"));
    expect(calls.map(({ operation, index }) => `${index} ${operation}`)).toEqual(["1 open", "2 write", "3 sync", "4 rename"]);
  });

  test("drawn errors hit reads, writes and syncs at their own rates, synchronous calls too", async () => {
    const { world, node } = machine({ disk: { writeErrorsPerMillion: 1_000_000 } });
    node.disk.options.writeErrorsPerMillion = 0;
    const file = node.host.disk.openSync("/a", "write");
    file.writeSync([bytes("abc")], 0);
    node.disk.options.readErrorsPerMillion = 1_000_000;
    expect(() => file.readSync(Buffer.alloc(3), 0)).toThrow(expect.objectContaining({ code: "EIO" }));
    await world.settle(file.sync());
    node.disk.options.syncErrorsPerMillion = 1_000_000;
    await expect(world.settle(file.sync())).rejects.toMatchObject({ code: "EIO" });
    file.writeSync([bytes("d")], 3);
  });

  test("a failed write leaves a part of itself", () => {
    const lengths = new Set<number | undefined>();
    for (let seed = 0; seed < 30; seed++) {
      const { node } = machine({ seed });
      const file = node.host.disk.openSync("/a", "write");
      node.disk.inject = () => "EIO";
      expect(() => file.writeSync([bytes("0123456789")], 0)).toThrow("the disk failed");
      expect("0123456789".startsWith(String(node.disk.peek("/a")))).toBe(true);
      lengths.add(node.disk.peek("/a")?.length);
    }
    expect(lengths.size).toBeGreaterThan(3);
  });

  test("a full disk: ENOSPC, until something is removed; a sparse file takes only what it holds", () => {
    const { node } = machine({ disk: { capacityBytes: 40_960 } });
    const { disk } = node.host;
    const sparse = disk.openSync("/sparse", "write");
    sparse.truncateSync(64 << 20);
    sparse.writeSync([bytes("x")], 0);
    const file = disk.openSync("/a", "write");
    file.writeSync([Buffer.alloc(30_000, 1)], 0);
    expect(() => file.writeSync([Buffer.alloc(30_000, 1)], 30_000)).toThrow(expect.objectContaining({ code: "ENOSPC" }));
    disk.removeSync("/sparse");
    file.truncateSync(0);
    disk.openSync("/b", "write").writeSync([Buffer.alloc(40_000, 1)], 0);
    expect(node.disk.files.usedBytes).toBe(40_960);
    node.disk.options.capacityBytes = Infinity;
    file.writeSync([Buffer.alloc(60_000, 1)], 0);
  });

  test("rot() flips one bit, which a sync does not mend", async () => {
    const { world, node } = machine();
    const file = node.host.disk.openSync("/a", "write");
    file.writeSync([Buffer.alloc(1000)], 0);
    await world.settle(file.sync());
    await world.settle(node.host.disk.syncDirectory("/"));
    const at = node.disk.rot("/a");
    await world.settle(file.sync());
    node.powerLoss();
    const found = node.disk.peek("/a") as Buffer;
    expect([...found].map((byte, index) => (byte === 0 ? -1 : index)).filter((index) => index >= 0)).toEqual([at]);
  });

  test("asynchronous operations take time, a sync more than a write, and spikes longer", async () => {
    const { world, node } = machine({ disk: { latencyMs: [1, 1], syncMs: [5, 5], spikesPerMille: 0 } });
    const file = await world.settle(node.host.disk.open("/a", "write"));
    expect(world.nowMs).toBe(1);
    const written = file.write([bytes("a")], 0);
    await world.settle(file.sync());
    expect(world.nowMs).toBe(6);
    await world.settle(written);
    node.disk.options.spikesPerMille = 1000;
    node.disk.options.spikeMs = 1000;
    await world.settle(file.sync());
    expect(world.nowMs).toBeGreaterThan(11);
  });
});
