import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MUTATIONS, SEEDS_MAX, type Mutation } from "./mutations.ts";

/**
 * Shows that the checkers can fail: puts each deliberate fault into a copy of what was built, and runs seeds until one
 * catches it. `npm run sim:mutations [-- PART_OF_A_NAME …]`. Prints a row of a table for each; exit code 1 where one
 * was not caught, or does not fit the code any more.
 */

const BUILT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
const COPY = path.join(BUILT, "mutant");
/** A mutant may turn in a circle in which no time passes. */
const CHILD_MS_MAX = 1_200_000;

function main(): number {
  const wanted = process.argv.slice(2);
  const chosen = MUTATIONS.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  for (const part of ["src", "sim"]) fs.cpSync(path.join(BUILT, part), path.join(COPY, part), { recursive: true });
  let missed = 0;
  for (const mutation of chosen) {
    const caught = run(mutation);
    if (caught === undefined && mutation.isOpen !== true) missed += 1;
    console.log(`| ${mutation.name} | ${mutation.world} | ${caught ?? `**not caught** by seeds 1 to ${SEEDS_MAX}`} |`);
  }
  console.log(`${missed} of ${chosen.length} should have been caught, and were not`);
  return missed === 0 ? 0 : 1;
}

/** By which seed, and what it says; undefined where none does. */
function run({ name, file, find, replace, world }: Mutation): string | undefined {
  const [from, to] = [BUILT, COPY].map((root) => path.join(root, "src", file)) as [string, string];
  const text = fs.readFileSync(from, "utf8");
  if (text.split(find).length !== 2) throw new Error(`"${name}" does not fit ${file} any more: what it replaces is not there once`);
  fs.writeFileSync(to, text.replace(find, () => replace));
  try {
    const { stdout } = spawnSync(process.execPath, [path.join(COPY, "sim/main.js"), "--world", world, "--sweep", String(SEEDS_MAX), "--stop"], { encoding: "utf8", maxBuffer: 1e9, timeout: CHILD_MS_MAX });
    const [, seed, what] = /^seed (\d+) FAILED (.*)$/m.exec(stdout) ?? [];
    return seed === undefined ? undefined : `${ruleOf(what ?? "")} | ${seed}`;
  } finally {
    fs.writeFileSync(to, text);
  }
}

/** A violation names its rule first; whatever else stops a run says what it is. */
function ruleOf(what: string): string {
  return /(?:^Violation: |stopped itself in life \d+: )([^:]*)/.exec(what)?.[1] ?? what.slice(0, 120).replaceAll("|", "/");
}

process.exitCode = main();
