import process from "node:process";
import { parseArgs } from "node:util";
import { runCluster } from "./cluster.ts";
import { runEnsemble } from "./ensemble.ts";
import { runGroups } from "./groups.ts";
import { Hunter, type Quarry } from "./hunting.ts";
import { draw as drawCluster } from "./kafka/draw.ts";
import * as broker from "./kafka/faults.ts";
import { drawGroups } from "./kafka/group-draw.ts";
import { drawRounds, FAULT_KINDS } from "./nodes-draw.ts";
import { runNodes } from "./nodes.ts";
import { draw as drawEnsemble } from "./zookeeper/draw.ts";
import * as member from "./zookeeper/faults.ts";

const nodes = quarry({ kinds: FAULT_KINDS, run: runNodes, plan: (seed, minutes) => drawRounds(seed, minutes).flat() });
const WORLDS: ReadonlyMap<string, Quarry> = new Map([
  ["nodes", nodes],
  ["cluster", quarry({ kinds: broker.FAULT_KINDS, run: runCluster, plan: (seed) => drawCluster(seed).plan })],
  ["groups", quarry({ kinds: broker.FAULT_KINDS, run: runGroups, plan: (seed) => drawGroups(seed).plan })],
  ["ensemble", quarry({ kinds: member.FAULT_KINDS, run: runEnsemble, plan: (seed) => drawEnsemble(seed).plan })],
]);

const USAGE = `npm run sim -- [--world ${[...WORLDS.keys()].join("|")}] [--seed N[..M]] [--sweep K] [--minutes M] [--without kind,kind] [--only n,n,…] [--twice] [--shrink] [--stop] [--log] [--verbose]

  --world    nodes: members and brokers on the same machines, with clients of both kinds; cluster, groups: three
             brokers, members on machines of their own; ensemble: members alone
  --seed     1 where nothing is said
  --sweep    so many seeds, from --seed on
  --minutes  rounds of faults and convergence for so long, in the world's time (nodes)
  --without  faults of these kinds do not come to pass
  --only     of the plan, only the faults with these numbers
  --twice    each seed runs a second time and must give the same hash
  --shrink   leaves out of a failing plan whatever is not needed for it to fail
  --stop     ends with the first seed that fails
  --log      prints every node's log
  --verbose  prints what each run has come by`;

function quarry<Kind extends string>(of: Quarry<Kind>): Quarry {
  return { ...of, run: (seed, { without, ...options }) => of.run(seed, { ...options, ...(without && { without: of.kinds.filter((kind) => without.includes(kind)) }) }) };
}

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      world: { type: "string", default: "nodes" },
      seed: { type: "string", default: "1" },
      sweep: { type: "string", default: "1" },
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
  const [sweep, minutes] = [Number(values.sweep), Number(values.minutes)];
  const without = values.without?.split(",");
  const unknown = world === undefined ? values.world : without?.find((kind) => !world.kinds.includes(kind));
  if (values.help || world === undefined || unknown !== undefined || first === "" || !(sweep >= 1) || !(minutes >= 0)) {
    console.error(unknown === undefined ? USAGE : `there is no ${unknown}\n\n${USAGE}`);
    return 2;
  }
  const hunter = new Hunter(world, { minutes, only: values.only?.split(",").map(Number), ...(without && { without }) });
  const print = values.log ? (line: string) => console.log(line) : undefined;
  const end = last === undefined ? BigInt(first) + BigInt(sweep) - 1n : BigInt(last);
  let failures = 0;
  for (let seed = BigInt(first); seed <= end; seed++) {
    const failure = await hunter.try(String(seed), { print, twice: values.twice, verbose: values.verbose });
    if (failure === undefined) continue;
    failures += 1;
    if (values.shrink) await hunter.shrink(String(seed), failure);
    if (values.stop) break;
  }
  const rate = hunter.processorMs === 0 ? "" : `, ${Math.round((hunter.simulatedMs / hunter.processorMs) * 60)} simulated seconds a minute of one processor`;
  // On its own stream: a run that holds ends with the line of its seed.
  console.error(`${failures} failed${rate}`);
  return failures === 0 ? 0 : 1;
}

process.exitCode = await main();
