import { runCluster } from "./cluster.ts";
import { runEnsemble } from "./ensemble.ts";
import { runGroups } from "./groups.ts";
import type { Quarry } from "./hunting.ts";
import { draw as drawCluster } from "./kafka/draw.ts";
import * as broker from "./kafka/faults.ts";
import { drawGroups } from "./kafka/group-draw.ts";
import { drawRounds, FAULT_KINDS } from "./nodes-draw.ts";
import { runNodes } from "./nodes.ts";
import { draw as drawEnsemble } from "./zookeeper/draw.ts";
import * as member from "./zookeeper/faults.ts";

/** What `npm run sim` can run, by name. */
export const WORLDS: ReadonlyMap<string, Quarry> = new Map([
  ["nodes", quarry({ kinds: FAULT_KINDS, run: runNodes, plan: (seed, minutes) => drawRounds(seed, minutes).flat() })],
  ["cluster", quarry({ kinds: broker.FAULT_KINDS, run: runCluster, plan: (seed) => drawCluster(seed).plan })],
  ["groups", quarry({ kinds: broker.FAULT_KINDS, run: runGroups, plan: (seed) => drawGroups(seed).plan })],
  ["ensemble", quarry({ kinds: member.FAULT_KINDS, run: runEnsemble, plan: (seed) => drawEnsemble(seed).plan })],
]);

function quarry<Kind extends string>(of: Quarry<Kind>): Quarry {
  return { ...of, run: (seed, { without, ...options }) => of.run(seed, { ...options, ...(without && { without: of.kinds.filter((kind) => without.includes(kind)) }) }) };
}
