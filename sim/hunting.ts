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
  /** Of clients, answered well. */
  readonly operationsPerSecond?: number;
}

/** A world whose faults are a plan that is drawn beforehand. */
export interface Quarry<Kind extends string = string> {
  readonly kinds: readonly Kind[];
  readonly run: (seed: string, options: RunOptions<Kind>) => Promise<RunResult>;
  /** The plan, its rounds one after the other. */
  readonly plan: (seed: string, minutes: number) => readonly Fault<Kind>[];
}

/** Of all runs that held. */
export class Tally {
  /** The worlds' time, and the processor's. */
  simulatedMs = 0;
  processorMs = 0;
  /** Of clients, answered well, where a world counts them. */
  operations = 0;

  add({ simulatedMs, processorMs, operations }: Readonly<Pick<Tally, "simulatedMs" | "processorMs" | "operations">>): void {
    this.simulatedMs += simulatedMs;
    this.processorMs += processorMs;
    this.operations += operations;
  }
}

export interface HuntOptions<Kind extends string = string> extends PlanPart<Kind> {
  readonly minutes: number;
  /** Each seed runs a second time and must give the same hash. */
  readonly twice: boolean;
  /** A failing plan is made small. */
  readonly shrink: boolean;
  /** Prints every node's log. */
  readonly log: boolean;
  readonly verbose: boolean;
}

/** Runs seeds, prints what fails, and makes a failing plan of faults small. */
export class Hunter<Kind extends string> {
  readonly tally = new Tally();
  readonly #quarry: Quarry<Kind>;
  readonly #hunt: HuntOptions<Kind>;
  readonly #options: RunOptions<Kind>;

  constructor(quarry: Quarry<Kind>, hunt: HuntOptions<Kind>) {
    const { minutes, only, without } = hunt;
    this.#quarry = quarry;
    this.#hunt = hunt;
    this.#options = { minutes, only, ...(without && { without }) };
  }

  /** Whether the seed failed. */
  async hunt(seed: string): Promise<boolean> {
    const failure = await this.#try(seed);
    if (failure !== undefined && this.#hunt.shrink) await this.#shrink(seed, failure);
    return failure !== undefined;
  }

  /** Prints one line, and after it what failed. Undefined: the seed holds. */
  async #try(seed: string): Promise<Error | undefined> {
    const { twice, verbose, log } = this.#hunt;
    const print = log ? (line: string) => console.log(line) : undefined;
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
  async #shrink(seed: string, failure: Error): Promise<void> {
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
    const { user, system } = process.cpuUsage(begun);
    this.tally.add({ simulatedMs: result.endedMs, processorMs: (user + system) / 1000, operations: ((result.operationsPerSecond ?? 0) * result.endedMs) / 1000 });
    return result;
  }
}

/** What a failure has in common with others of its kind. */
function kindOf(error: Error): string {
  const { cause } = error;
  const own = error instanceof Violation ? error.rule : (errorCode(error) ?? error.name);
  return cause instanceof Error ? `${own} ${kindOf(cause)}` : own;
}
