import { realpath } from "node:fs/promises";
import { resolve } from "node:path";
import type { FileLock } from "../host/disk.ts";
import { realDisk } from "../host/real/disk.ts";
import { errorCode, OperationalError, toError } from "../lib/error.ts";
import { parseProperties, placeOf, type Properties, type Property } from "../lib/properties.ts";

/**
 * Makes a node's directory one that has never run: removes all that its broker and its member have written, the
 * records above all, and keeps config and myid. Gives the paths that it removed.
 *
 * Throws ERR_FRESH, before anything is removed, where it is no node's directory, where its files name directories
 * outside of it (a copy whose paths still lead to the original), and where a process runs on it.
 */
export async function freshen(nodeDirectory: string): Promise<string[]> {
  const directory = await realpath(nodeDirectory).catch((error: unknown) => {
    throw new OperationalError("ERR_FRESH", `${nodeDirectory} can't be read: ${toError(error).message}`, { cause: error });
  });
  const server = await readProperties(`${directory}/config/server.properties`);
  const member = await readProperties(`${directory}/config/zookeeper.properties`);
  if (server === undefined && member === undefined) {
    throw new OperationalError("ERR_FRESH", `${directory} is no node's directory: it has neither config/server.properties nor config/zookeeper.properties`);
  }
  const inside = (property: Property | undefined, names: readonly string[]): Promise<string[]> => insideOf([directory, resolve(nodeDirectory)], property, names);
  const logDirs = server?.get("log.dirs") ?? server?.get("log.dir");
  const dataDir = member?.get("dataDir");
  const dataLogDir = member?.get("dataLogDir");
  const data = [...(await inside(dataDir, [dataDir?.value ?? "zookeeper"])), ...(await inside(dataLogDir, [dataLogDir?.value ?? "log/zookeeper"]))];
  const logs = await inside(logDirs, (logDirs?.value ?? "logs").split(","));
  for (const path of logs) {
    const kept = [`${directory}/config`, ...data].find((other) => `${other}/`.startsWith(`${path}/`));
    if (kept !== undefined) throw new OperationalError("ERR_FRESH", `${settingOf(logDirs, path)}: ${kept} lies in it and is no log directory; nothing was removed`);
  }
  const locks = await lockAll([...logs, ...data]);
  try {
    const removed: string[] = [];
    for (const path of data) removed.push(...(await removeFrom(path, (name) => name === "version-2")));
    for (const path of logs) removed.push(...(await removeFrom(path, (name) => name !== LOCK_FILE)));
    return removed;
  } finally {
    for (const lock of locks) await lock.release();
  }
}

const LOCK_FILE = ".lock";
const META_PROPERTIES_FILE = "meta.properties";

async function readProperties(path: string): Promise<Properties | undefined> {
  try {
    return parseProperties((await realDisk.readFile(path)).toString("latin1"), path);
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
    throw new OperationalError("ERR_FRESH", `${path} can't be read: ${toError(error).message}`, { cause: error });
  }
}

/** Those of a setting's directories that exist. `node`: the node's directory, resolved and as it was given. */
async function insideOf(node: readonly string[], property: Property | undefined, names: readonly string[]): Promise<string[]> {
  const found: string[] = [];
  for (const name of names.map((each) => each.trim()).filter((each) => each !== "")) {
    const path = resolve(node[0] ?? "", name);
    // Where there is nothing, the path as it is written tells all the same whose it would be.
    const real = await realpath(path).catch(() => undefined);
    if (!node.some((directory) => (real ?? path).startsWith(`${directory}/`))) {
      throw new OperationalError("ERR_FRESH", `${settingOf(property, path)}: ${path} lies outside of ${node[0]}, and may be another node's. Correct the path, or empty that directory by hand; nothing was removed`);
    }
    if (real !== undefined) found.push(real);
  }
  return found;
}

function settingOf(property: Property | undefined, path: string): string {
  return property === undefined ? path : `${placeOf(property)}: ${property.key}=${property.value}`;
}

async function lockAll(directories: readonly string[]): Promise<FileLock[]> {
  const locks: FileLock[] = [];
  for (const directory of new Set(directories)) {
    const lock = await realDisk.lock(`${directory}/${LOCK_FILE}`);
    if (lock === undefined) {
      for (const taken of locks) await taken.release();
      throw new OperationalError("ERR_FRESH", `${directory} is in use by a running process: stop the node first; nothing was removed`);
    }
    locks.push(lock);
  }
  return locks;
}

/** What says whose the directory is goes last: cut short, the node is refused as before, and this can be run again. */
async function removeFrom(directory: string, goes: (name: string) => boolean): Promise<string[]> {
  const entries = (await realDisk.readDirectory(directory)).filter(({ name }) => goes(name)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const last = (name: string): number => Number(name === META_PROPERTIES_FILE);
  const removed: string[] = [];
  for (const { name } of entries.toSorted((a, b) => last(a.name) - last(b.name))) {
    const path = `${directory}/${name}`;
    if (name === META_PROPERTIES_FILE) await realDisk.syncDirectory(directory);
    await realDisk.removeDirectory(path);
    removed.push(path);
  }
  await realDisk.syncDirectory(directory);
  return removed;
}
