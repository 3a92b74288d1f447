import { runCluster } from "./cluster.ts";
import { hunt } from "./hunting.ts";
import { draw } from "./kafka/draw.ts";
import { FAULT_KINDS } from "./kafka/faults.ts";

await hunt({ name: "cluster", kinds: FAULT_KINDS, run: runCluster, draw });
