import crypto from "node:crypto";
import { syncBuiltinESMExports } from "node:module";
import timers from "node:timers";
import timersPromises from "node:timers/promises";

/** [object, property, what to use instead] */
const wires: readonly (readonly [object: object, property: string, instead: string])[] = [
  [performance, "now", "host.clock.monotonicMs"],
  [process, "hrtime", "host.clock.monotonicMs"],
  [Math, "random", "host.random.below"],
  [crypto, "randomBytes", "host.random.bytes"],
  [crypto, "randomFillSync", "host.random.bytes"],
  [crypto, "randomInt", "host.random.below"],
  [crypto, "randomUUID", "host.random.bytes"],
  // node:crypto's own getRandomValues reads it from here.
  [globalThis.crypto, "getRandomValues", "host.random.bytes"],
  [globalThis.crypto, "randomUUID", "host.random.bytes"],
  ...[globalThis, timers].flatMap((holder) => [
    [holder, "setTimeout", "host.timers.after"] as const,
    [holder, "setInterval", "host.timers.after"] as const,
    [holder, "setImmediate", "host.timers.soon"] as const,
  ]),
  [timersPromises, "setTimeout", "host.timers.after"],
  [timersPromises, "setInterval", "host.timers.after"],
  [timersPromises, "setImmediate", "host.timers.soon"],
];

/**
 * While `body` runs, real time, timers and entropy throw, naming what to use instead; afterwards all is as before.
 * A function that someone took out of its module's exports earlier, as `const now = Date.now`, goes unnoticed.
 */
export async function withTripwires<T>(body: () => Promise<T>): Promise<T> {
  const restorers: (() => void)[] = [];
  try {
    for (const [holder, property, instead] of wires) restorers.unshift(replace(holder, property, trap(property, instead)));
    restorers.unshift(replace(globalThis, "Date", timelessDate(Date)));
    syncBuiltinESMExports();
    return await body();
  } finally {
    for (const restore of restorers) restore();
    syncBuiltinESMExports();
  }
}

function trap(name: string, instead: string): () => never {
  const throws = (): never => {
    throw new Error(`${name} in a simulated world: use ${instead}`);
  };
  return Object.assign(throws, { bigint: throws });
}

/** Dates of a given time work; those that ask for the present do not. */
function timelessDate(real: DateConstructor): DateConstructor {
  const now = trap("the present Date", "host.clock.wallMs");
  return new Proxy(real, {
    construct: (target, parameters, newTarget) => (parameters.length === 0 ? now() : (Reflect.construct(target, parameters, newTarget) as Date)),
    apply: now,
    get: (target, property) => (property === "now" ? now : (Reflect.get(target, property) as unknown)),
  });
}

function replace(holder: object, property: string, value: unknown): () => void {
  const before = Object.getOwnPropertyDescriptor(holder, property);
  Object.defineProperty(holder, property, { value, configurable: true, enumerable: true, writable: true });
  return () => {
    if (before === undefined) Reflect.deleteProperty(holder, property);
    else Object.defineProperty(holder, property, before);
  };
}
