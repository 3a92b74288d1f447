import { spawnSync } from "node:child_process";
import { cpSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import process from "node:process";
import { afterAll, expect, test } from "vitest";

/** dist/bundle: each program as one file, with what V8 has compiled of it beside it. */

const dist = resolve(import.meta.dirname, "../../dist");
// Within dist, so that the packages are found.
const copy = mkdtempSync(join(dist, "bundle-"));
afterAll(() => rmSync(copy, { recursive: true }));

test.each([
  ["nothing", undefined],
  ["noise", (kept: Buffer) => Buffer.alloc(kept.length, 7)],
  ["half of it", (kept: Buffer) => kept.subarray(0, kept.length / 2)],
  ["another version's", (kept: Buffer) => Buffer.concat([kept.subarray(0, 4), Buffer.from([1, 2, 3, 4]), kept.subarray(8)])],
] as const)("a program runs where %s is kept of its compilation", (_name, spoil) => {
  rmSync(copy, { recursive: true });
  cpSync(join(dist, "bundle"), copy, { recursive: true, filter: (path) => !/(kafka|zookeeper|member|node)-[^/]*$/.test(path) });
  for (const name of readdirSync(copy).filter((each) => each.endsWith(".compiled"))) {
    const path = join(copy, name);
    if (spoil === undefined) rmSync(path);
    else writeFileSync(path, spoil(readFileSync(path)));
  }
  const { status, stdout, stderr } = spawnSync(process.execPath, [join(copy, "odradek.js"), "--help"], { encoding: "utf8" });
  expect({ status, stderr }).toEqual({ status: 0, stderr: "" });
  expect(stdout).toContain("odradek [options] [command]");
});
