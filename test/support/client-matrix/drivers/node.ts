import { join } from "node:path";
import { run } from "../../processes.ts";
import type { ClientUnderTest, Codec } from "../client.ts";
import { runScript, scriptedClient } from "./script.ts";

const CODECS: readonly Codec[] = ["none", "gzip", "snappy", "lz4", "zstd"];

export function kafkaJs(bootstrap: string): ClientUnderTest {
  return scriptedClient({ name: "kafkajs", command: [process.execPath, join(import.meta.dirname, "kafkajs.mjs")], codecs: CODECS, bootstrap });
}

/** @platformatic/kafka wants a newer Node than this project: `node` is one. */
export function platformaticKafka(bootstrap: string, node: string): ClientUnderTest {
  return scriptedClient({ name: "@platformatic/kafka", command: [node, join(import.meta.dirname, "platformatic.mjs")], codecs: CODECS, bootstrap });
}

/** What the admin client of a script sees of a group that it gives offsets and deletes again. */
export async function administer(script: "kafkajs.mjs" | "platformatic.mjs", options: { readonly node: string; readonly bootstrap: string; readonly groupId: string; readonly topic: string }): Promise<unknown> {
  return JSON.parse(await runScript(options.node, [join(import.meta.dirname, script), "administer", JSON.stringify(options)]));
}

/** The path of a Node 24, this one or npm's; undefined, after a loud line, where it can't be had. */
export async function node24(): Promise<string | undefined> {
  if (Number(process.versions.node.split(".")[0]) >= 24) return process.execPath;
  const { code, stdout, stderr } = await run("npx", ["--yes", "node@24", "-p", "process.execPath"], { timeoutMs: 60_000 }).catch((error: unknown) => ({ code: -1, stdout: "", stderr: String(error) }));
  if (code === 0) return stdout.trim();
  console.warn(`SKIPPED @platformatic/kafka: npx can't bring Node 24 (${stderr.trim()})`);
  return undefined;
}
