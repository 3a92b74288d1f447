import type { World } from "../src/host/sim/world.ts";
import type { Prng } from "../src/lib/prng.ts";

/** One thing that goes wrong, as data: a run can be repeated with any part of its plan. */
export interface Fault<Kind extends string = string, Target extends string = string> {
  readonly kind: Kind;
  /** From the beginning of its round of faults. */
  readonly atMs: number;
  readonly forMs: number;
  readonly target: Target;
  /** For whatever else is to be chosen. */
  readonly dice: readonly number[];
}

export interface PlanOptions<Kind extends string, Target extends string> {
  readonly kinds: readonly Kind[];
  /** How long each kind may last, in ms. */
  readonly lengths: Readonly<Record<Kind, readonly [least: number, most: number]>>;
  readonly targets: readonly Target[];
  readonly fromMs: number;
  readonly untilMs: number;
  /** Between two faults, at most. */
  readonly pauseMsMax: number;
}

const DICE = 6;

export function drawPlan<Kind extends string, Target extends string>(draws: Prng, { kinds, lengths, targets, fromMs, untilMs, pauseMsMax }: PlanOptions<Kind, Target>): Fault<Kind, Target>[] {
  const plan: Fault<Kind, Target>[] = [];
  for (let atMs = fromMs; atMs < untilMs; atMs += draws.between(20, pauseMsMax)) {
    const kind = draws.pick(kinds);
    const [least, most] = lengths[kind];
    plan.push({ kind, atMs, forMs: draws.between(least, most), target: draws.pick(targets), dice: Array.from({ length: DICE }, () => draws.next()) });
  }
  return plan;
}

/** What of a plan comes to pass. */
export interface PlanPart<Kind extends string = string> {
  /** By their places; all of them where undefined. */
  readonly only?: readonly number[] | undefined;
  readonly without?: readonly Kind[];
}

export function partOf<F extends Fault>(plan: readonly F[], { only, without = [] }: PlanPart<F["kind"]>): F[] {
  return plan.filter(({ kind }, index) => !without.includes(kind) && (only === undefined || only.includes(index)));
}

/** All that begins is over by then. */
export function planEndMs(plan: readonly Fault[]): number {
  return Math.max(0, ...plan.map(({ atMs, forMs }) => atMs + forMs + 1));
}

/** One round of faults: what they have begun ends with it, late steps of a fault included. */
export class Trouble {
  /** How many came to pass, by kind. */
  readonly happened = new Map<string, number>();
  readonly #world: World;
  #over = false;

  constructor(world: World) {
    this.#world = world;
  }

  /** Puts every fault on the world's calendar; `strike` says whether it came to pass. */
  schedule<F extends Fault>(plan: readonly F[], startMs: number, strike: (fault: F) => boolean): void {
    for (const fault of plan) {
      this.after(startMs + fault.atMs - this.#world.nowMs, () => {
        if (strike(fault)) this.happened.set(fault.kind, (this.happened.get(fault.kind) ?? 0) + 1);
      });
    }
  }

  /** Not at all, once all is healed. */
  readonly after = (ms: number, act: () => void): void => {
    this.#world.after(ms, () => {
      if (!this.#over) act();
    });
  };

  end(): void {
    this.#over = true;
  }
}
