import { parseArgs } from "node:util";
import { errorCode, toError } from "../src/lib/error.ts";
import { runEnsemble, type Outcome, type RunOptions } from "./ensemble.ts";
import { draw } from "./zookeeper/draw.ts";
import { FAULT_KINDS, type FaultKind } from "./zookeeper/faults.ts";
import { Violation } from "./zookeeper/violation.ts";

/** Runs seeds of the simulated ensemble, prints what fails, and makes a failing plan of faults small. */

const USAGE = `node dist/sim/ensemble-hunt.js FIRST[..LAST] [--without kind,kind] [--only n,n,…] [--twice] [--shrink] [--log]

  --without  faults of these kinds do not come to pass: ${FAULT_KINDS.join(", ")}
  --only     of the plan, only the faults with these numbers
  --twice    each seed runs a second time and must give the same hash
  --shrink   leaves out of a failing plan whatever is not needed for it to fail
  --log      prints every node's log`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: { without: { type: "string" }, only: { type: "string" }, twice: { type: "boolean" }, shrink: { type: "boolean" }, log: { type: "boolean" } },
});

const [first, last] = (positionals[0] ?? "").split("..");
if (first === undefined || first === "") {
  console.error(USAGE);
  process.exit(2);
}

const without = (values.without ?? "").split(",").filter((kind): kind is FaultKind => (FAULT_KINDS as readonly string[]).includes(kind));
const only = values.only?.split(",").map(Number);
const print = values.log === true ? (line: string) => console.log(line) : undefined;
let failures = 0;
for (let seed = BigInt(first); seed <= BigInt(last ?? first); seed++) await hunt(String(seed));
console.log(`${failures} failed`);
process.exitCode = failures === 0 ? 0 : 1;

async function hunt(seed: string): Promise<void> {
  const begun = performance.now();
  const result = await attempt(seed, { only, without, print });
  if (!(result instanceof Error)) {
    const again = values.twice === true ? await attempt(seed, { only, without }) : result;
    if (!(again instanceof Error) && again.hash === result.hash) {
      console.log(`seed ${seed} holds, ${Math.round(performance.now() - begun)} ms: ${JSON.stringify(result)}`);
      return;
    }
    failures += 1;
    console.log(`seed ${seed} FAILS: the second run differs: ${JSON.stringify(again)}`);
    return;
  }
  failures += 1;
  console.log(`seed ${seed} FAILS after ${Math.round(performance.now() - begun)} ms: ${result.stack ?? result.message}${result.cause instanceof Error ? `\n${result.cause.stack}` : ""}`);
  if (values.shrink === true) await shrink(seed, result);
}

function attempt(seed: string, options: RunOptions): Promise<Outcome | Error> {
  return runEnsemble(seed, options).catch(toError);
}

/** Leaves out ever smaller parts of the plan, as long as what is left fails in the same way. */
async function shrink(seed: string, failure: Error): Promise<void> {
  const { plan } = draw(seed);
  let kept = only ?? plan.flatMap(({ kind }, index) => (without.includes(kind) ? [] : [index]));
  for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
    for (let from = 0; from < kept.length; ) {
      const rest = kept.filter((_, index) => index < from || index >= from + size);
      const result = await attempt(seed, { only: rest });
      if (result instanceof Error && kindOf(result) === kindOf(failure)) kept = rest;
      else from += size;
    }
  }
  console.log(`seed ${seed} still fails with --only ${kept.join(",")}`);
  for (const index of kept) console.log(`  ${index}: ${JSON.stringify(plan[index])}`);
  const { plan: _, ...rest } = draw(seed);
  console.log(`  of ${JSON.stringify(rest)}`);
}

function kindOf(error: Error): string {
  const cause = error.cause instanceof Error ? `${error.cause.name} ${errorCode(error.cause) ?? ""}` : "";
  return error instanceof Violation ? error.rule : `${errorCode(error) ?? error.name} ${cause}`;
}
