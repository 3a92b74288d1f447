import { fork } from "node:child_process";
import { once } from "node:events";
import process from "node:process";
import { fileURLToPath } from "node:url";
import { must } from "../src/lib/assert.ts";
import { Hunter, Tally, type HuntOptions } from "./hunting.ts";
import { WORLDS } from "./worlds.ts";

/** What is looked for, as data: another process can be told. */
export interface Hunt extends HuntOptions {
  /** One of WORLDS. */
  readonly world: string;
}

/** What a process says of a seed that it was given. */
export interface Told {
  readonly failed: boolean;
  /** Of all that it has run. */
  readonly tally: Tally;
}

export interface Swept {
  /** In the order in which they failed. */
  readonly failed: readonly string[];
  readonly tally: Tally;
}

/**
 * Runs seeds from `first` to `last`, in this process or in `jobs` others, each of which takes the next seed when it is
 * done with one. With `stop` nothing is begun any more once a seed has failed. Lines come as seeds end.
 */
export async function sweep(hunt: Hunt, { first, last, jobs, stop }: { readonly first: bigint; readonly last: bigint; readonly jobs: number; readonly stop: boolean }): Promise<Swept> {
  const failed: string[] = [];
  let upNext = first;
  const next = (): string | undefined => (upNext > last || (stop && failed.length > 0) ? undefined : String(upNext++));
  const work = async (runner: Runner): Promise<Tally> => {
    let tally = new Tally();
    for (let seed = next(); seed !== undefined; seed = next()) {
      const told = await runner.hunt(seed);
      if (told.failed) failed.push(seed);
      ({ tally } = told);
    }
    runner.end();
    return tally;
  };
  const runners = jobs === 1 ? [inThisProcess(hunt)] : Array.from({ length: jobs }, () => inAnother(hunt));
  const tallies = await Promise.all(runners.map(work));
  const total = new Tally();
  for (const tally of tallies) total.add(tally);
  return { failed, tally: total };
}

interface Runner {
  hunt(seed: string): Promise<Told>;
  end(): void;
}

function inThisProcess(hunt: Hunt): Runner {
  const hunter = new Hunter(must(WORLDS.get(hunt.world), hunt.world), hunt);
  return { hunt: async (seed) => ({ failed: await hunter.hunt(seed), tally: hunter.tally }), end: () => undefined };
}

function inAnother(hunt: Hunt): Runner {
  const { NODE_EXTRA_CA_CERTS: _, ...env } = process.env;
  const child = fork(fileURLToPath(new URL("job.js", import.meta.url)), [JSON.stringify(hunt)], { env });
  const exited = once(child, "exit");
  return {
    hunt: async (seed) => {
      child.send(seed);
      const [told] = (await Promise.race([once(child, "message"), exited.then(([code, signal]) => Promise.reject(new Error(`the process that ran seed ${seed} ended with ${code ?? signal}`)))])) as [Told];
      return told;
    },
    end: () => child.disconnect(),
  };
}
