import { runEnsemble } from "./ensemble.ts";
import { hunt } from "./hunting.ts";
import { draw } from "./zookeeper/draw.ts";
import { FAULT_KINDS } from "./zookeeper/faults.ts";

await hunt({ name: "ensemble", kinds: FAULT_KINDS, run: runEnsemble, draw });
