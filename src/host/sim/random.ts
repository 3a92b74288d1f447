import type { Prng } from "../../lib/prng.ts";
import type { Random } from "../random.ts";

/** A life's entropy, all of it from the world's seed. */
export function simRandom(prng: Prng): Random {
  return { below: (bound) => prng.below(bound), bytes: (length) => prng.bytes(length) };
}
