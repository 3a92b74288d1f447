import { spawnSync } from "node:child_process";
import fs from "node:fs";
import path from "node:path";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { MUTATIONS, SEEDS_MAX, type Mutation, type Scenario } from "./mutations.ts";

/**
 * Shows that the checkers can fail: puts each deliberate fault into a build of its own, tests included, and runs seeds
 * until one catches it, or the scenario that has to. `npm run sim:mutations [-- PART_OF_A_NAME …]`. Prints a row of a
 * table for each; exit code 1 where one was not caught, or does not fit the code any more.
 */

/** This build. */
const MUTANT = path.resolve(path.dirname(fileURLToPath(import.meta.url)), "..");
/** A mutant may turn in a circle in which no time passes. */
const CHILD_MS_MAX = 1_200_000;

function main(): number {
  const wanted = process.argv.slice(2);
  const chosen = MUTATIONS.filter(({ name }) => wanted.length === 0 || wanted.some((part) => name.includes(part)));
  let missed = 0;
  for (const mutation of chosen) {
    const [where, caught] = run(mutation);
    if (caught === undefined) missed += 1;
    console.log(`| ${mutation.name} | ${where} | ${caught ?? "**not caught** |"} |`);
  }
  console.log(`${missed} of ${chosen.length} should have been caught, and were not`);
  return missed === 0 ? 0 : 1;
}

/** Where it was looked for; what caught it, and with which seed, undefined where nothing did. */
function run({ name, file, find, replace, by }: Mutation): readonly [where: string, caught: string | undefined] {
  const target = path.join(MUTANT, "src", file);
  const text = fs.readFileSync(target, "utf8");
  if (text.split(find).length !== 2) throw new Error(`"${name}" does not fit ${file} any more: what it replaces is not there once`);
  fs.writeFileSync(target, text.replace(find, () => replace));
  try {
    return typeof by === "string" ? [by, caughtBySeed(by)] : [by.file, caughtByScenario(by)];
  } finally {
    fs.writeFileSync(target, text);
  }
}

function caughtBySeed(world: string): string | undefined {
  const { stdout } = spawnSync(process.execPath, [path.join(MUTANT, "sim/main.js"), "--world", world, "--sweep", String(SEEDS_MAX), "--stop"], { encoding: "utf8", maxBuffer: 1e9, timeout: CHILD_MS_MAX });
  const [, seed, what] = /^seed (\d+) FAILED (.*)$/m.exec(stdout) ?? [];
  return seed === undefined ? undefined : `${ruleOf(what ?? "")} | ${seed}`;
}

function caughtByScenario({ file, title }: Scenario): string | undefined {
  // Vitest would take the project's own, which looks for tests elsewhere.
  fs.writeFileSync(path.join(MUTANT, "vitest.config.js"), "export default { test: { testTimeout: 600_000 } };\n");
  const vitest = path.resolve(MUTANT, "../../node_modules/vitest/vitest.mjs");
  const report = path.join(MUTANT, "report.json");
  fs.rmSync(report, { force: true });
  spawnSync(process.execPath, [vitest, "run", "--root", MUTANT, `sim/${file}.test.js`, "-t", title.replace(/[^\w ]/g, "\\$&"), "--reporter=json", `--outputFile=${report}`], { timeout: CHILD_MS_MAX });
  const { testResults } = JSON.parse(fs.readFileSync(report, "utf8")) as Report;
  const ran = testResults.flatMap(({ assertionResults }) => assertionResults).filter(({ status }) => status === "passed" || status === "failed");
  if (ran.length !== 1) throw new Error(`"${title}" is the beginning of ${ran.length} titles in ${file}`);
  const failure = ran[0]?.failureMessages[0];
  return failure === undefined ? undefined : `${title}: ${ruleOf(failure.split("\n")[0] ?? "")} |`;
}

/** What is read of Vitest's report. */
interface Report {
  readonly testResults: readonly { readonly assertionResults: readonly { readonly status: string; readonly failureMessages: readonly string[] }[] }[];
}

/** A violation names its rule first; whatever else stops a run says what it is. */
function ruleOf(what: string): string {
  return /(?:^Violation: |stopped itself in life \d+: )([^:]*)/.exec(what)?.[1] ?? what.slice(0, 120).replaceAll("|", "/");
}

process.exitCode = main();
