import process from "node:process";
import { parseArgs } from "node:util";
import type { Tally } from "./hunting.ts";
import { sweep } from "./sweep.ts";
import { WORLDS } from "./worlds.ts";

const USAGE = `npm run sim -- [--world ${[...WORLDS.keys()].join("|")}] [--seed N[..M]] [--sweep K] [--jobs J] [--minutes M] [--without kind,kind] [--only n,n,…] [--twice] [--shrink] [--stop] [--log] [--verbose]

  --world    nodes: members and brokers on the same machines, with clients of both kinds; cluster, groups: three
             brokers, members on machines of their own; ensemble: members alone
  --seed     1 where nothing is said
  --sweep    so many seeds, from --seed on
  --jobs     so many processes share the seeds; 1 where nothing is said
  --minutes  rounds of faults and convergence for so long, in the world's time (nodes)
  --without  faults of these kinds do not come to pass
  --only     of the plan, only the faults with these numbers
  --twice    each seed runs a second time and must give the same hash
  --shrink   leaves out of a failing plan whatever is not needed for it to fail
  --stop     once a seed has failed no other is begun
  --log      prints every node's log
  --verbose  prints what each run has come by`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      world: { type: "string", default: "nodes" },
      seed: { type: "string", default: "1" },
      sweep: { type: "string", default: "1" },
      jobs: { type: "string", default: "1" },
      minutes: { type: "string", default: "0" },
      without: { type: "string" },
      only: { type: "string" },
      twice: { type: "boolean", default: false },
      shrink: { type: "boolean", default: false },
      stop: { type: "boolean", default: false },
      log: { type: "boolean", default: false },
      verbose: { type: "boolean", default: false },
      help: { type: "boolean", default: false },
    },
  });
  const world = WORLDS.get(values.world);
  const [, first = "", last] = /^(\d+)(?:\.\.(\d+))?$/.exec(values.seed) ?? [];
  const [count, jobs, minutes] = [Number(values.sweep), Number(values.jobs), Number(values.minutes)];
  const without = values.without?.split(",");
  const unknown = world === undefined ? values.world : without?.find((kind) => !world.kinds.includes(kind));
  if (values.help || world === undefined || unknown !== undefined || first === "" || !(count >= 1) || !(jobs >= 1) || !(minutes >= 0)) {
    console.error(unknown === undefined ? USAGE : `there is no ${unknown}\n\n${USAGE}`);
    return 2;
  }
  const { twice, shrink, stop, log, verbose } = values;
  const hunt = { world: values.world, minutes, only: values.only?.split(",").map(Number), ...(without && { without }), twice, shrink, log, verbose };
  const { failed, tally } = await sweep(hunt, { first: BigInt(first), last: last === undefined ? BigInt(first) + BigInt(count) - 1n : BigInt(last), jobs, stop });
  // On its own stream: a run that holds ends with the line of its seed.
  console.error(`${failed.length} failed${failed.length === 0 ? "" : ` (${failed.join()})`}${rateOf(tally)}`);
  return failed.length === 0 ? 0 : 1;
}

function rateOf({ simulatedMs, processorMs, operations }: Tally): string {
  if (processorMs === 0) return "";
  const served = operations === 0 ? "" : ` at ${Math.round((operations / simulatedMs) * 1000)} client operations a simulated second`;
  return `, ${Math.round((simulatedMs / processorMs) * 60)} simulated seconds a minute of one processor${served}`;
}

process.exitCode = await main();
