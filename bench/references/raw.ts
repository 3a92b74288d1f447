import { join } from "node:path";
import process from "node:process";
import { packageRoot } from "../../test/support/package-root.ts";
import { startProgram } from "../drivers/run.ts";

/** What Node alone does with the same bytes, in processes of its own. MB/s. */
async function raw(what: "append" | "socket", bytes: number): Promise<number> {
  const { result } = startProgram(process.execPath, [join(packageRoot, "dist/bench/references/raw-process.js"), what, String(bytes)], { name: `raw ${what}` });
  return (await result)["megabytesPerSecond"] ?? Number.NaN;
}

/** Writes of 64 KB to the end of a file. */
export function rawAppend(bytes: number): Promise<number> {
  return raw("append", bytes);
}

/** Writes of 64 KB to a socket that another process reads. */
export function rawSocket(bytes: number): Promise<number> {
  return raw("socket", bytes);
}
