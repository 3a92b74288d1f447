import { parseArgs } from "node:util";
import { errorCode, toError } from "../src/lib/error.ts";
import { Violation } from "./zookeeper/violation.ts";

/** Which part of a seed's plan comes to pass. */
export interface RunOptions<Kind extends string> {
  /** Which faults of the plan come to pass; all of them where undefined. */
  readonly only?: readonly number[] | undefined;
  readonly without?: readonly Kind[];
  readonly print?: ((line: string) => void) | undefined;
}

/** A world whose faults are a plan that is drawn beforehand. */
export interface Quarry<Kind extends string> {
  readonly name: string;
  readonly kinds: readonly Kind[];
  readonly run: (seed: string, options: RunOptions<Kind>) => Promise<{ readonly hash: string }>;
  readonly draw: (seed: string) => { readonly plan: readonly { readonly kind: Kind }[] };
}

/** Runs the seeds that the command line names, prints what fails, and makes a failing plan of faults small. */
export async function hunt<Kind extends string>(quarry: Quarry<Kind>): Promise<void> {
  const { values, positionals } = parseArgs({
    allowPositionals: true,
    options: { without: { type: "string" }, only: { type: "string" }, twice: { type: "boolean" }, shrink: { type: "boolean" }, log: { type: "boolean" } },
  });
  const [first, last] = (positionals[0] ?? "").split("..");
  if (first === undefined || first === "") {
    console.error(usage(quarry));
    process.exitCode = 2;
    return;
  }
  const without = (values.without ?? "").split(",");
  const options: RunOptions<Kind> = { only: values.only?.split(",").map(Number), without: quarry.kinds.filter((kind) => without.includes(kind)) };
  const print = values.log === true ? (line: string) => console.log(line) : undefined;
  const hunter = new Hunter(quarry, options);
  let failures = 0;
  for (let seed = BigInt(first); seed <= BigInt(last ?? first); seed++) {
    const failure = await hunter.try(String(seed), { print, twice: values.twice === true });
    if (failure === undefined) continue;
    failures += 1;
    if (values.shrink === true) await hunter.shrink(String(seed), failure);
  }
  console.log(`${failures} failed`);
  process.exitCode = failures === 0 ? 0 : 1;
}

function usage({ name, kinds }: { readonly name: string; readonly kinds: readonly string[] }): string {
  return `node dist/sim/${name}-hunt.js FIRST[..LAST] [--without kind,kind] [--only n,n,…] [--twice] [--shrink] [--log]

  --without  faults of these kinds do not come to pass: ${kinds.join(", ")}
  --only     of the plan, only the faults with these numbers
  --twice    each seed runs a second time and must give the same hash
  --shrink   leaves out of a failing plan whatever is not needed for it to fail
  --log      prints every node's log`;
}

class Hunter<Kind extends string> {
  readonly #quarry: Quarry<Kind>;
  readonly #options: RunOptions<Kind>;

  constructor(quarry: Quarry<Kind>, options: RunOptions<Kind>) {
    this.#quarry = quarry;
    this.#options = options;
  }

  /** Undefined: the seed holds. */
  async try(seed: string, { print, twice }: { readonly print: ((line: string) => void) | undefined; readonly twice: boolean }): Promise<Error | undefined> {
    const begun = performance.now();
    const result = await this.#attempt(seed, { ...this.#options, print });
    const took = (): string => `${Math.round(performance.now() - begun)} ms`;
    if (result instanceof Error) {
      console.log(`seed ${seed} FAILS after ${took()}: ${result.stack ?? result.message}${result.cause instanceof Error ? `\n${result.cause.stack}` : ""}`);
      return result;
    }
    const again = twice ? await this.#attempt(seed, this.#options) : result;
    if (!(again instanceof Error) && again.hash === result.hash) {
      console.log(`seed ${seed} holds, ${took()}: ${JSON.stringify(result)}`);
      return undefined;
    }
    console.log(`seed ${seed} FAILS: the second run differs: ${again instanceof Error ? again.message : JSON.stringify(again)}`);
    return new Violation("a seed gives one run", seed);
  }

  /** Leaves out ever smaller parts of the plan, as long as what is left fails in the same way. */
  async shrink(seed: string, failure: Error): Promise<void> {
    const { plan, ...rest } = this.#quarry.draw(seed);
    const { only, without = [] } = this.#options;
    let kept = only ?? plan.flatMap(({ kind }, index) => (without.includes(kind) ? [] : [index]));
    for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 0; from < kept.length; ) {
        const fewer = kept.filter((_, index) => index < from || index >= from + size);
        const result = await this.#attempt(seed, { only: fewer });
        if (result instanceof Error && kindOf(result) === kindOf(failure)) kept = fewer;
        else from += size;
      }
    }
    console.log(`seed ${seed} still fails with --only ${kept.join(",")}`);
    for (const index of kept) console.log(`  ${index}: ${JSON.stringify(plan[index])}`);
    console.log(`  of ${JSON.stringify(rest)}`);
  }

  #attempt(seed: string, options: RunOptions<Kind>): Promise<{ readonly hash: string } | Error> {
    return this.#quarry.run(seed, options).catch(toError);
  }
}

/** What a failure has in common with others of its kind. */
function kindOf(error: Error): string {
  const { cause } = error;
  const own = error instanceof Violation ? error.rule : (errorCode(error) ?? error.name);
  return cause instanceof Error ? `${own} ${kindOf(cause)}` : own;
}
