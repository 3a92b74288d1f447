import { appendFileSync, existsSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { cpus, totalmem } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { parseArgs } from "node:util";
import { packageRoot } from "../test/support/package-root.ts";
import { run as runCommand } from "../test/support/processes.ts";
import type { Case } from "./case.ts";
import { allCases } from "./cases/all.ts";
import type { Contestant, ContestantName } from "./contestants/contestant.ts";
import { plan } from "./contestants/plan.ts";
import { whatIsMissing } from "./drivers/build.ts";
import { runCase, type Failed, type Row, type RunOptions, type Sides } from "./harness.ts";
import { document, historyLine, NOTES, table, type Run, type Section } from "./report.ts";
import { setScale } from "./scale.ts";
import type { Topology } from "./settings.ts";

const USAGE = `npm run bench -- [--full] [--only PATTERN] [--rounds N] [--warmups N] [--scale S] [--list]
  --full     all cases, not the core alone
  --only     cases whose id matches this regular expression
  --rounds, --warmups, --scale   smaller runs, to see whether it works: nothing is written then, nor with --only`;

const DOCUMENT = join(packageRoot, "docs/benchmarks.md");
const HISTORY = join(packageRoot, "bench/history.jsonl");
/** The last core and the last full run as they were, from which the document is written. */
const RESULTS = join(packageRoot, "bench/results");

const { values } = parseArgs({
  options: { full: { type: "boolean", default: false }, only: { type: "string" }, rounds: { type: "string" }, warmups: { type: "string" }, scale: { type: "string" }, list: { type: "boolean", default: false }, help: { type: "boolean", default: false } },
});

process.exitCode = await main();

async function main(): Promise<number> {
  if (values.help) return say(USAGE);
  const only = new RegExp(values.only ?? "");
  const cases = allCases.filter(({ id, core }) => (values.full || core || values.only !== undefined) && only.test(id));
  if (values.list) return say(cases.map(({ id, title, core }) => `${id.padEnd(28)} ${core ? "core" : "full"}  ${title}`).join("\n"));
  const missing = whatIsMissing();
  if (missing !== undefined) {
    console.error(`\n*** The benchmark can't run: this machine lacks what its clients and Apache's servers need. ***\n\n    ${missing}\n`);
    return 1;
  }
  setScale(Number(values.scale ?? 1));
  const writes = [values.only, values.rounds, values.warmups, values.scale].every((value) => value === undefined);
  const about = await aboutThisRun();
  // Case by case: a run that is cut off leaves what it has seen.
  const keep = (rows: readonly (Row | Failed)[]): void => {
    if (writes) appendFileSync(HISTORY, rows.map((row) => `${historyLine(about, row)}\n`).join(""));
  };
  const rows = await runAll(cases, { rounds: numberOf(values.rounds), warmups: numberOf(values.warmups), say }, keep);
  say(`\n${table(rows)}`);
  if (writes) writeDocument({ run: about, rows });
  return rows.some((row) => "failed" in row) ? 1 : 0;
}

function say(line: string): number {
  console.log(line);
  return 0;
}

function numberOf(text: string | undefined): number | undefined {
  return text === undefined ? undefined : Number(text);
}

/** What a case has shown, as soon as it ends. */
type Keep = (rows: readonly (Row | Failed)[]) => void;

/** One topology after another: both sides are started, and all its cases run. */
async function runAll(cases: readonly Case[], options: RunOptions, keep: Keep): Promise<(Row | Failed)[]> {
  const rows: (Row | Failed)[] = [];
  for (const topology of ["none", "three", "one", "five", "apart", "ensemble"] as const) {
    const here = cases.filter((each) => each.topology === topology);
    if (here.length === 0) continue;
    const kraft = topology !== "ensemble" && topology !== "apart" && (values.full || here.some((each) => each.kraft === true));
    rows.push(...(await runThere(here, { topology: topology === "none" ? undefined : topology, kraft }, options, keep)));
  }
  return rows;
}

async function runThere(cases: readonly Case[], { topology, kraft }: { readonly topology: Topology | undefined; readonly kraft: boolean }, options: RunOptions, keep: Keep): Promise<(Row | Failed)[]> {
  const rows: (Row | Failed)[] = [];
  // A case that starts its own asks these for their names only.
  const planned = (name: ContestantName): Promise<Contestant> => plan(name, topology ?? "three");
  const sides: Sides = { odradek: await planned("odradek"), apache: await planned("apache"), ...(kraft ? { kraft: await planned("kraft") } : {}) };
  const all: readonly Contestant[] = Object.values(sides);
  const end = async (): Promise<void> => {
    await Promise.all(all.map((each) => each.stop()));
    for (const each of all) each.remove();
  };
  // A terminal, npm and timeout(1) each may send it once more: servers are stopped all the same.
  let stopping = false;
  const onSignal = (): void => {
    if (stopping) return;
    stopping = true;
    void end().finally(() => process.exit(130));
  };
  process.on("SIGINT", onSignal).on("SIGTERM", onSignal);
  try {
    if (topology !== undefined) {
      for (const each of all) {
        options.say(`starting ${each.name} (${topology})`);
        each.launch();
        await each.serving();
      }
    }
    for (const each of cases) {
      const began = performance.now();
      options.say(`${each.id}: ${each.title}`);
      const outcome = await runCase(each, sides, options);
      if ("failed" in outcome) {
        options.say(`  FAILED: ${outcome.failed}\n${topology === undefined ? "" : all.map((side) => `${side.name} said last:\n${side.lastWords()}`).join("\n")}`);
      }
      const found = "failed" in outcome ? [outcome] : outcome;
      keep(found);
      rows.push(...found);
      options.say(`  ${((performance.now() - began) / 1000).toFixed(0)} s`);
    }
  } finally {
    process.off("SIGINT", onSignal).off("SIGTERM", onSignal);
    await end();
  }
  return rows;
}

async function aboutThisRun(): Promise<Run> {
  const git = async (...args: readonly string[]): Promise<string> => (await runCommand("git", ["-C", packageRoot, ...args])).stdout.trim();
  const commit = (await git("rev-parse", "--short", "HEAD")) || "unknown";
  const changed = (await git("status", "--porcelain", "--untracked-files=no")) !== "";
  return { time: new Date().toISOString(), commit: changed ? `${commit} with changes` : commit, full: values.full, machine: `${cpus().length} cores, ${Math.round(totalmem() / 1e9)} GB, Node ${process.versions.node}` };
}

function writeDocument(section: Section): void {
  mkdirSync(RESULTS, { recursive: true });
  const fileOf = (kind: "core" | "full"): string => join(RESULTS, `${kind}.json`);
  writeFileSync(fileOf(section.run.full ? "full" : "core"), `${JSON.stringify(section, undefined, 1)}\n`);
  // A full run has the core's rows too.
  if (section.run.full) rmSync(fileOf("core"), { force: true });
  const read = (kind: "core" | "full"): Section | undefined => (existsSync(fileOf(kind)) ? (JSON.parse(readFileSync(fileOf(kind), "utf8")) as Section) : undefined);
  const before = existsSync(DOCUMENT) ? readFileSync(DOCUMENT, "utf8") : "";
  const notes = before.includes(`${NOTES}\n`) ? before.slice(before.indexOf(`${NOTES}\n`) + NOTES.length + 1) : "";
  writeFileSync(DOCUMENT, document({ core: read("core"), full: read("full"), notes }));
}
