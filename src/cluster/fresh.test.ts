import { cpSync, existsSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, realpathSync, rmSync, symlinkSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { afterAll, describe, expect, test } from "vitest";
import { realDisk } from "../host/real/disk.ts";
import { toError } from "../lib/error.ts";
import { openCluster } from "./cluster-directory.ts";
import { freshen } from "./fresh.ts";

const root = realpathSync(mkdtempSync(join(tmpdir(), "odradek-fresh-")));
afterAll(() => rmSync(root, { recursive: true }));

const written = [
  "logs/.kafka_cleanshutdown", "logs/.lock", "logs/.zookeeper-session", "logs/a-0/00000000000000000000.log", "logs/meta.properties", "logs/recovery-point-offset-checkpoint",
  "zookeeper/.lock", "zookeeper/version-2/currentEpoch", "zookeeper/version-2/snapshot.0", "log/zookeeper/version-2/log.1", "node.log",
];

let count = 0;
/** A node that has run. */
async function usedNode(): Promise<string> {
  count += 1;
  const { nodes } = await openCluster(join(root, `c${count}`), {});
  const directory = nodes[0]?.directory ?? "";
  for (const name of written) {
    mkdirSync(dirname(join(directory, name)), { recursive: true });
    writeFileSync(join(directory, name), name);
  }
  return directory;
}

function filesBelow(directory: string): string[] {
  return readdirSync(directory, { recursive: true, withFileTypes: true }).filter((entry) => entry.isFile()).map((entry) => join(entry.parentPath, entry.name).slice(directory.length + 1)).toSorted();
}

/** Without the locks, which are no data and which whoever looks may make. */
function dataBelow(directory: string): string[] {
  return filesBelow(directory).filter((name) => !name.endsWith(".lock"));
}

function edit(path: string, from: string | RegExp, to: string): void {
  const text = readFileSync(path, "utf8");
  const edited = text.replaceAll(from, to);
  expect(edited).not.toBe(text);
  writeFileSync(path, edited);
}

async function refusal(directory: string): Promise<string> {
  const before = existsSync(directory) ? dataBelow(directory) : [];
  const error = await freshen(directory).then(() => undefined, toError);
  expect(error).toMatchObject({ code: "ERR_FRESH" });
  if (before.length > 0) expect(dataBelow(directory)).toEqual(before);
  return error?.message ?? "";
}

test("all that a node has written is removed and named, the owner's mark last; config, myid and node.log stay", async () => {
  const directory = await usedNode();
  const removed = await freshen(directory);
  expect(dataBelow(directory)).toEqual(["config/server.properties", "config/zookeeper.properties", "node.log", "zookeeper/myid"]);
  expect(removed.map((path) => path.slice(directory.length + 1))).toEqual([
    "zookeeper/version-2", "log/zookeeper/version-2",
    "logs/.kafka_cleanshutdown", "logs/.zookeeper-session", "logs/a-0", "logs/recovery-point-offset-checkpoint", "logs/meta.properties",
  ]);
  expect(await freshen(directory)).toEqual([]);
});

test("a directory that never ran, one with a member alone, and one by way of a link are fine", async () => {
  const directory = await usedNode();
  for (const name of ["logs", "zookeeper", "log"]) rmSync(`${directory}/${name}`, { recursive: true });
  expect(await freshen(directory)).toEqual([]);
  rmSync(`${directory}/config/server.properties`);
  expect(await freshen(directory)).toEqual([]);
  const linked = await usedNode();
  symlinkSync(linked, `${root}/link${count}`);
  expect(await freshen(`${root}/link${count}`)).toHaveLength(7);
});

describe("refused, and nothing removed", () => {
  test.each(["logs", "zookeeper", "log/zookeeper"])("while a process holds the lock of %s", async (name) => {
    const directory = await usedNode();
    const lock = await realDisk.lock(`${directory}/${name}/.lock`);
    expect(await refusal(directory)).toContain(`${directory}/${name} is in use by a running process`);
    await lock?.release();
    expect(await freshen(directory)).toHaveLength(7);
  });

  test("a copy whose files still lead to the original: neither of them is touched", async () => {
    const original = await usedNode();
    const copy = join(root, `copy${count}`);
    cpSync(original, copy, { recursive: true });
    const before = filesBelow(original);
    expect(await refusal(copy)).toContain(`${copy}/config/zookeeper.properties:2: dataDir=${original}/zookeeper: ${original}/zookeeper lies outside of ${copy}`);
    edit(`${copy}/config/zookeeper.properties`, original, copy);
    expect(await refusal(copy)).toContain(`${copy}/config/server.properties:3: log.dirs=${original}/logs: ${original}/logs lies outside of ${copy}`);
    expect(filesBelow(original)).toEqual(before);
    edit(`${copy}/config/server.properties`, original, copy);
    expect(await freshen(copy)).toHaveLength(7);
    expect(filesBelow(original)).toEqual(before);
  });

  test("what is behind a link that leads out", async () => {
    const [directory, other] = [await usedNode(), await usedNode()];
    rmSync(`${directory}/logs`, { recursive: true });
    symlinkSync(`${other}/logs`, `${directory}/logs`);
    expect(await refusal(directory)).toContain("lies outside of");
    expect(filesBelow(other)).toContain("logs/meta.properties");
  });

  test.each(["config", "zookeeper", "log"])("log.dirs that hold %s, which is to stay", async (name) => {
    const directory = await usedNode();
    edit(`${directory}/config/server.properties`, `${directory}/logs`, `${directory}/logs, ${directory}/${name}`);
    expect(await refusal(directory)).toContain("lies in it and is no log directory");
  });

  test("what is no node's directory, or none at all", async () => {
    mkdirSync(`${root}/home`);
    writeFileSync(`${root}/home/logs`, "mine");
    expect(await refusal(`${root}/home`)).toContain("is no node's directory");
    expect(await refusal(`${root}/nowhere`)).toContain("can't be read");
  });
});
