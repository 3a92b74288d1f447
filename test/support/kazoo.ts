import { existsSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { run } from "./processes.ts";

/** Debian's, whatever other Python is on the path. */
const PYTHON = "/usr/bin/python3";
const CHECKS = ["nodes", "ephemeral", "watches", "transaction", "acls", "lock", "lock_of_the_dead", "election", "barrier", "double_barrier", "counter", "queue", "party", "reconnect", "pipelined", "commands"];

/** Whose alone one of its nodes is. */
export const KAZOO_USER = { user: "ada", password: "secret" };

export const hasKazoo = existsSync("/usr/lib/python3/dist-packages/kazoo");
if (!hasKazoo) console.warn("SKIPPED what needs kazoo: no /usr/lib/python3/dist-packages/kazoo (apt-get install python3-kazoo)");

/** kazoo's client and all its recipes, with servers at `host:port,…`; throws what kazoo has to say. */
export async function runKazoo(connect: string): Promise<void> {
  const finished = await run(PYTHON, [join(import.meta.dirname, "zookeeper-kazoo.py"), connect], { timeoutMs: 100_000 });
  if (finished.code !== 0) throw new Error(`kazoo ended after:\n${finished.stdout}${finished.stderr}`);
  expect(finished.stdout.trim().split("\n")).toEqual(CHECKS.map((name) => `ok ${name}`));
}

/** The data of a znode as kazoo reads it. */
export async function kazooGet(connect: string, path: string): Promise<string> {
  return (await kazooNode(connect, "get", path)).trimEnd();
}

/** kazoo sets the data of a znode that is there. */
export async function kazooSet(connect: string, path: string, data: string): Promise<void> {
  await kazooNode(connect, "set", path, data);
}

async function kazooNode(connect: string, ...args: readonly string[]): Promise<string> {
  const { code, stdout, stderr } = await run(PYTHON, [join(import.meta.dirname, "kazoo-node.py"), connect, ...args]);
  if (code !== 0) throw new Error(`kazoo can't ${args.join(" ")}: ${stderr}`);
  return stdout;
}
