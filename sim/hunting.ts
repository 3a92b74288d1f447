import process from "node:process";
import { errorCode, toError } from "../src/lib/error.ts";
import type { Fault, PlanPart } from "./trouble.ts";
import { Violation } from "./zookeeper/violation.ts";

/** Which part of a seed's plan comes to pass, and for how long. */
export interface RunOptions<Kind extends string = string> extends PlanPart<Kind> {
  /** Of the world; a world that knows rounds of faults repeats them so long. */
  readonly minutes?: number;
  readonly print?: ((line: string) => void) | undefined;
}

export interface RunResult {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
}

/** A world whose faults are a plan that is drawn beforehand. */
export interface Quarry<Kind extends string = string> {
  readonly kinds: readonly Kind[];
  readonly run: (seed: string, options: RunOptions<Kind>) => Promise<RunResult>;
  /** The plan, its rounds one after the other. */
  readonly plan: (seed: string, minutes: number) => readonly Fault<Kind>[];
}

/** Runs seeds, prints what fails, and makes a failing plan of faults small. */
export class Hunter<Kind extends string> {
  /** Of all runs together: the worlds' time, and the processor's. */
  simulatedMs = 0;
  processorMs = 0;
  readonly #quarry: Quarry<Kind>;
  readonly #options: RunOptions<Kind>;

  constructor(quarry: Quarry<Kind>, options: RunOptions<Kind>) {
    this.#quarry = quarry;
    this.#options = options;
  }

  /** Prints one line, and after it what failed. Undefined: the seed holds. */
  async try(seed: string, { print, twice, verbose }: { readonly print: ((line: string) => void) | undefined; readonly twice: boolean; readonly verbose: boolean }): Promise<Error | undefined> {
    const result = await this.#attempt(seed, { ...this.#options, print });
    if (result instanceof Error) {
      const told = print === undefined ? await this.#attempt(seed, { ...this.#options, print: () => undefined }) : result;
      if (!(told instanceof Error)) {
        console.log(`seed ${seed} FAILED ${result.message}, and holds when it is run again`);
        return new Violation("a seed gives one run", seed);
      }
      const { stack, cause } = told;
      console.log(`seed ${seed} FAILED ${stack ?? told.message}${cause instanceof Error ? `\n${cause.stack}` : ""}`);
      return result;
    }
    const again = twice ? await this.#attempt(seed, this.#options) : result;
    if (again instanceof Error || again.hash !== result.hash) {
      console.log(`seed ${seed} FAILED the second run differs: ${again instanceof Error ? again.message : JSON.stringify(again)} after ${JSON.stringify(result)}`);
      return new Violation("a seed gives one run", seed);
    }
    if (verbose) console.log(JSON.stringify(result));
    console.log(`seed ${seed} hash ${result.hash} events ${result.events} ok`);
    return undefined;
  }

  /** Leaves out ever smaller parts of the plan, as long as what is left fails in the same way. */
  async shrink(seed: string, failure: Error): Promise<void> {
    const plan = this.#quarry.plan(seed, this.#options.minutes ?? 0);
    const { only, without = [] } = this.#options;
    let kept = only ?? plan.flatMap(({ kind }, index) => (without.includes(kind) ? [] : [index]));
    for (let size = Math.ceil(kept.length / 2); size >= 1; size = size === 1 ? 0 : Math.ceil(size / 2)) {
      for (let from = 0; from < kept.length; ) {
        const fewer = kept.filter((_, index) => index < from || index >= from + size);
        const result = await this.#attempt(seed, { ...this.#options, only: fewer });
        if (result instanceof Error && kindOf(result) === kindOf(failure)) kept = fewer;
        else from += size;
      }
    }
    console.log(`seed ${seed} still fails with --only ${kept.join(",")}`);
    for (const index of kept) console.log(`  ${index}: ${JSON.stringify(plan[index])}`);
  }

  async #attempt(seed: string, options: RunOptions<Kind>): Promise<RunResult | Error> {
    const begun = process.cpuUsage();
    // Connections that are refused and the like are many, and nobody reads where: a run that fails is run again for that.
    const { stackTraceLimit } = Error;
    Error.stackTraceLimit = options.print === undefined ? 0 : stackTraceLimit;
    const result = await this.#quarry.run(seed, options).catch(toError);
    Error.stackTraceLimit = stackTraceLimit;
    if (result instanceof Error) return result;
    this.simulatedMs += result.endedMs;
    const { user, system } = process.cpuUsage(begun);
    this.processorMs += (user + system) / 1000;
    return result;
  }
}

/** What a failure has in common with others of its kind. */
function kindOf(error: Error): string {
  const { cause } = error;
  const own = error instanceof Violation ? error.rule : (errorCode(error) ?? error.name);
  return cause instanceof Error ? `${own} ${kindOf(cause)}` : own;
}
