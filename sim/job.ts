import process from "node:process";
import { must } from "../src/lib/assert.ts";
import { Hunter } from "./hunting.ts";
import type { Hunt, Told } from "./sweep.ts";
import { WORLDS } from "./worlds.ts";

/** A process of a sweep: the hunt is its argument, each message a seed, each answer what came of it. */

const hunt = JSON.parse(must(process.argv[2], "a hunt")) as Hunt;
const hunter = new Hunter(must(WORLDS.get(hunt.world), hunt.world), hunt);

process.on("message", (seed: string) => {
  hunter.hunt(seed).then(
    (failed) => process.send?.({ failed, tally: hunter.tally } satisfies Told),
    (error: unknown) => {
      console.error(error);
      process.exit(1);
    },
  );
});
// The sweep is over, or has died.
process.on("disconnect", () => process.exit());
