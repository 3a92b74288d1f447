import { randomBytes, randomInt } from "node:crypto";
import type { Random } from "../random.ts";

export const realRandom: Random = {
  below: (bound) => randomInt(bound),
  bytes: (length) => randomBytes(length),
};
