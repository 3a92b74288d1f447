import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import type { Host } from "../host.ts";
import type { SimNode } from "./node.ts";
import { World } from "./world.ts";

const bytes = (from: string): Buffer => Buffer.from(from);
const seeds = Array.from({ length: 150 }, (_, seed) => seed);

/** Runs `act` on a fresh machine for each seed, cuts its power, and returns what is found afterwards, with how often. */
async function afterPowerLoss(act: (host: Host, world: World, node: SimNode) => Promise<void> | void, look: (node: SimNode, world: World) => string): Promise<Map<string, number>> {
  const found = new Map<string, number>();
  for (const seed of seeds) {
    const world = new World({ seed });
    const node = world.addNode("a");
    const acting = Promise.resolve(act(node.host, world, node));
    await acting;
    node.powerLoss();
    node.start();
    const state = look(node, world);
    found.set(state, (found.get(state) ?? 0) + 1);
  }
  return found;
}

const content = (path: string) => (node: SimNode) => String(node.disk.peek(path) ?? "missing");

describe("a power loss", () => {
  test("never touches what was synced, content and name, whatever was written over and after it since", async () => {
    const write = fc.record({ at: fc.nat(9000), length: fc.nat(5000), sync: fc.boolean(), cut: fc.boolean() });
    await fc.assert(
      fc.asyncProperty(fc.nat(), fc.array(write, { maxLength: 20 }), async (seed, plan) => {
        const world = new World({ seed });
        const node = world.addNode("a");
        const { disk } = node.host;
        const file = disk.openSync("/a", "write");
        await world.settle(disk.syncDirectory("/"));
        let synced: Buffer = Buffer.alloc(0);
        // Where no change since the last sync has reached: there the bytes must be as they were then.
        let touched = Buffer.alloc(20_000);
        for (const step of plan) {
          const from = step.cut ? Math.min(step.at, file.sizeSync()) : step.at;
          const to = step.cut ? file.sizeSync() : step.at + step.length;
          if (step.cut) file.truncateSync(from);
          else file.writeSync([world.prng(`${step.at}`).bytes(step.length)], step.at);
          touched.fill(1, from, to);
          if (!step.sync) continue;
          await world.settle(file.sync());
          synced = node.disk.peek("/a") ?? synced;
          touched = Buffer.alloc(20_000);
        }
        node.powerLoss();
        const found = node.disk.peek("/a");
        if (found === undefined) throw new Error("its name was synced");
        expect([...synced.keys()].filter((at) => touched[at] === 0 && found[at] !== synced[at])).toEqual([]);
        if (plan.at(-1)?.sync === true) expect(found.equals(synced)).toBe(true);
      }),
      { numRuns: 300 },
    );
  });

  test("keeps, drops, tears or garbles an append that was not synced, and leaves zeros where a later one survived alone", async () => {
    const found = await afterPowerLoss(
      async ({ disk }, world) => {
        const file = disk.openSync("/a", "write");
        file.writeSync([Buffer.alloc(512, "s")], 0);
        await world.settle(file.sync());
        await world.settle(disk.syncDirectory("/"));
        file.writeSync([Buffer.alloc(512, "1"), Buffer.alloc(512, "2")], 512);
        file.writeSync([Buffer.alloc(512, "3")], 1536);
      },
      (node) => {
        const all = node.disk.peek("/a") ?? Buffer.alloc(0);
        return Array.from({ length: Math.ceil(all.length / 512) }, (_, sector) => {
          const part = all.subarray(sector * 512, sector * 512 + 512);
          const first = String.fromCharCode(part[0] as number);
          return part.every((byte) => byte === part[0]) ? (first === "\0" ? "0" : first) : "?";
        }).join("");
      },
    );
    for (const state of found.keys()) expect(state).toMatch(/^s([10?]([20?]([30?])?)?)?$/);
    for (const state of ["s", "s123", "s12", "s003"]) expect([...found.keys()]).toContain(state);
    expect([...found.keys()].some((state) => state.includes("?"))).toBe(true);
  });

  test("leaves a write of no bytes what it is: nothing", async () => {
    const found = await afterPowerLoss(
      async ({ disk }, world) => {
        const file = disk.openSync("/a", "write");
        await world.settle(disk.syncDirectory("/"));
        file.writeSync([Buffer.alloc(0)], 0);
        await world.settle(file.write([], 512));
      },
      (node) => String(node.disk.peek("/a")?.length),
    );
    expect([...found.keys()]).toEqual(["0"]);
  });

  test("without tearing and garbling, a write is there or not", async () => {
    for (const seed of seeds) {
      const world = new World({ seed, disk: { tearing: false, garbling: false } });
      const node = world.addNode("a");
      const file = node.host.disk.openSync("/a", "write");
      await world.settle(node.host.disk.syncDirectory("/"));
      file.writeSync([Buffer.alloc(5000, "x")], 0);
      node.powerLoss();
      expect([0, 5000]).toContain(node.disk.peek("/a")?.length);
    }
  });

  test("may lose the name of a file that was synced itself, until its directory is synced", async () => {
    const create = (syncName: boolean) => async ({ disk }: Host, world: World) => {
      const file = disk.openSync("/a", "write");
      file.writeSync([bytes("x")], 0);
      await world.settle(file.sync());
      if (syncName) await world.settle(disk.syncDirectory("/"));
    };
    expect([...(await afterPowerLoss(create(false), content("/a"))).keys()].toSorted((a, b) => a.localeCompare(b))).toEqual(["missing", "x"]);
    expect([...(await afterPowerLoss(create(true), content("/a"))).keys()]).toEqual(["x"]);
  });

  test("a rename over a file is atomic: the old content or the new, under one name, and the new once the directory is synced", async () => {
    const replace = (syncName: boolean) => async ({ disk }: Host, world: World) => {
      const old = disk.openSync("/a", "write");
      old.writeSync([bytes("old")], 0);
      await world.settle(old.sync());
      await world.settle(disk.syncDirectory("/"));
      const next = disk.openSync("/a.tmp", "write");
      next.writeSync([bytes("new")], 0);
      await world.settle(next.sync());
      disk.renameSync("/a.tmp", "/a");
      if (syncName) await world.settle(disk.syncDirectory("/"));
    };
    const look = (node: SimNode): string => `${content("/a")(node)} ${content("/a.tmp")(node)}`;
    expect([...(await afterPowerLoss(replace(false), look)).keys()].toSorted((a, b) => a.localeCompare(b))).toEqual(["new missing", "old missing", "old new"]);
    expect([...(await afterPowerLoss(replace(true), look)).keys()]).toEqual(["new missing"]);
  });

  test("a rename without a sync of the file may bring an empty file, as on a real system", async () => {
    const found = await afterPowerLoss(async ({ disk }, world) => {
      disk.openSync("/a.tmp", "write").writeSync([bytes("new")], 0);
      disk.renameSync("/a.tmp", "/a");
      await world.settle(disk.syncDirectory("/"));
    }, content("/a"));
    expect([...found.keys()]).toContain("");
    expect([...found.keys()]).toContain("new");
  });

  test("may bring a removed file back, with its content, and never half a directory tree", async () => {
    const found = await afterPowerLoss(
      async ({ disk }, world) => {
        disk.makeDirectorySync("/d");
        for (const name of "ab") {
          const file = disk.openSync(`/d/${name}`, "write");
          file.writeSync([bytes(name)], 0);
          await world.settle(file.sync());
        }
        await world.settle(disk.syncDirectory("/d"));
        await world.settle(disk.syncDirectory("/"));
        await world.settle(disk.removeDirectory("/d"));
      },
      (node) => `${node.disk.files.find("/d") === undefined ? "-" : "d"} ${content("/d/a")(node)} ${content("/d/b")(node)}`,
    );
    expect(new Set(found.keys())).toEqual(new Set(["d a b", "d missing b", "d a missing", "d missing missing", "- missing missing"]));
  });

  test("a move between directories happens once, whichever of the two is synced", async () => {
    for (const synced of ["/from", "/to"]) {
      const found = await afterPowerLoss(
        async ({ disk }, world) => {
          disk.makeDirectorySync("/from");
          disk.makeDirectorySync("/to");
          await world.settle(disk.syncDirectory("/"));
          const file = disk.openSync("/from/a", "write");
          file.writeSync([bytes("x")], 0);
          await world.settle(file.sync());
          disk.renameSync("/from/a", "/to/a");
          await world.settle(disk.syncDirectory(synced));
        },
        (node) => `${content("/from/a")(node)} ${content("/to/a")(node)}`,
      );
      expect([...found.keys()]).toEqual(["missing x"]);
    }
  });

  test("a failed sync loses changes for good, though the page cache shows them and a later sync succeeds", async () => {
    const shown = new Set<string>();
    const found = await afterPowerLoss(async ({ disk }, world, node) => {
      const file = disk.openSync("/a", "write");
      await world.settle(disk.syncDirectory("/"));
      node.disk.options.tearing = false;
      node.disk.options.garbling = false;
      file.writeSync([bytes("1")], 0);
      node.disk.options.syncErrorsPerMillion = 1_000_000;
      await expect(world.settle(file.sync())).rejects.toMatchObject({ code: "EIO" });
      node.disk.options.syncErrorsPerMillion = 0;
      file.writeSync([bytes("2")], 1);
      await world.settle(file.sync());
      shown.add(content("/a")(node));
    }, content("/a"));
    expect([...shown]).toEqual(["12"]);
    expect(new Set(found.keys())).toEqual(new Set(["12", "\u00002"]));
  });

  test("what is older than the system's write-back is on the disk unasked", async () => {
    for (const seed of seeds.slice(0, 20)) {
      const world = new World({ seed, disk: { writebackMs: 1000 } });
      const node = world.addNode("a");
      const file = node.host.disk.openSync("/a", "write");
      file.writeSync([bytes("old")], 0);
      await world.run({ forMs: 2000 });
      file.writeSync([bytes("new")], 3);
      node.host.disk.openSync("/b", "write");
      node.powerLoss();
      expect(node.disk.peek("/a")?.toString("latin1", 0, 3)).toBe("old");
    }
  });
});
