import { runGroups } from "./groups.ts";
import { hunt } from "./hunting.ts";
import { FAULT_KINDS } from "./kafka/faults.ts";
import { drawGroups } from "./kafka/group-draw.ts";

await hunt({ name: "groups", kinds: FAULT_KINDS, run: runGroups, draw: drawGroups });
