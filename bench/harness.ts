import type { Case, Figure, Measured, Meter } from "./case.ts";
import type { Contestant, ContestantName } from "./contestants/contestant.ts";
import { cpuSecondsBetween, cpuTimes, MemoryWatch } from "./processes.ts";
import { holds, quartiles, ratios, spread, type Quartiles, type Spread } from "./statistics.ts";

/** A row: one figure of a case. */
export interface Row {
  readonly case: string;
  readonly title: string;
  readonly unit: string;
  readonly better: Figure["better"];
  readonly ours: Spread;
  /** Apache 2.7.1, or what else the figure is compared with. */
  readonly theirs: Spread;
  /** The newest Kafka, where it took part. */
  readonly kraft: Spread | undefined;
  /** Of what `theirs` is, where it is not Apache. */
  readonly against: string | undefined;
  readonly ratio: Quartiles;
  readonly reach: number | undefined;
  readonly holds: boolean | undefined;
  readonly rounds: number;
}

/** A case of which there are no figures. */
export interface Failed {
  readonly case: string;
  readonly title: string;
  /** Whose run failed, and how. */
  readonly failed: string;
}

export interface Round {
  readonly odradek: Measured;
  readonly apache: Measured;
  readonly kraft?: Measured;
  readonly references: Measured;
}

export interface Sides {
  readonly odradek: Contestant;
  readonly apache: Contestant;
  readonly kraft?: Contestant;
}

export interface RunOptions {
  readonly rounds: number | undefined;
  readonly warmups: number | undefined;
  readonly say: (line: string) => void;
}

/** All rounds of a case, each with a run of either side in turns, and of its references. */
export async function runCase(what: Case, sides: Sides, { rounds = what.rounds, warmups = what.warmups, say }: RunOptions): Promise<readonly Row[] | Failed> {
  const all: readonly Contestant[] = Object.values(sides);
  const measured: Round[] = [];
  let at = "the preparation";
  try {
    for (const side of all) await what.prepare?.(side);
    for (let round = 1 - warmups; round <= rounds; round++) {
      const found: Partial<Record<ContestantName, Measured>> = {};
      // Who comes first takes turns.
      const first = (round + warmups) % all.length;
      for (const side of [...all.slice(first), ...all.slice(0, first)]) {
        at = `${round <= 0 ? "a warm-up" : `round ${round}`} of ${side.name}`;
        found[side.name] = await what.run(side, meterOf(side));
      }
      const { odradek, apache, kraft } = found;
      if (round <= 0 || odradek === undefined || apache === undefined) continue;
      const references: Record<string, number> = {};
      for (const [name, run] of Object.entries(what.references ?? {})) {
        at = `round ${round} of ${name}`;
        references[name] = await run();
      }
      for (const [name, mark] of Object.entries(what.marks ?? {})) references[name] = mark(references);
      measured.push({ odradek, apache, ...(kraft === undefined ? {} : { kraft }), references });
      say(`  round ${round}: ${what.figures.filter(({ against }) => against === undefined).map(({ key, unit }) => `${key} ${short(odradek[key])} : ${short(apache[key])}${kraft === undefined ? "" : ` : ${short(kraft[key])}`} ${unit}`).join(", ")}${Object.entries(references).map(([name, value]) => `, ${name} ${short(value)}`).join("")}`);
    }
    at = "the cleaning";
    for (const side of all) await what.clean?.(side);
    return rowsOf(what, measured);
  } catch (error) {
    return { case: what.id, title: what.title, failed: `${at}: ${String(error)}` };
  }
}

/** Throws RangeError where a round lacks a figure. */
export function rowsOf(what: Case, rounds: readonly Round[]): Row[] {
  const kraft = rounds.flatMap((round) => (round.kraft === undefined ? [] : [round.kraft]));
  return what.figures.map((figure) => {
    const ours = valuesOf(what, figure.key, rounds.map(({ odradek }) => odradek));
    const theirs = figure.against === undefined ? valuesOf(what, figure.key, rounds.map(({ apache }) => apache)) : valuesOf(what, figure.against, rounds.map(({ references }) => references));
    const ratio = quartiles(ratios(ours, theirs));
    return {
      case: `${what.id}/${figure.key}${figure.against === undefined ? "" : `/${figure.against}`}`,
      title: `${what.title}: ${figure.title}`,
      unit: figure.unit,
      better: figure.better,
      ours: spread(ours),
      theirs: spread(theirs),
      kraft: kraft.length === 0 || figure.against !== undefined ? undefined : spread(valuesOf(what, figure.key, kraft)),
      against: figure.against,
      ratio,
      reach: figure.reach,
      holds: figure.reach === undefined ? undefined : holds(ratio, figure.reach, figure.better),
      rounds: rounds.length,
    };
  });
}

function valuesOf(what: Case, key: string, rounds: readonly Measured[]): number[] {
  return rounds.map((measured) => {
    const value = measured[key];
    if (value === undefined || !Number.isFinite(value)) throw new RangeError(`${what.id} gives no ${key}`);
    return value;
  });
}

function meterOf(contestant: Contestant): Meter {
  return async (driven) => {
    const before = cpuTimes(contestant.roots);
    const watch = new MemoryWatch(() => contestant.roots);
    let measured: Measured;
    let memory: number;
    try {
      measured = await driven();
    } finally {
      memory = watch.end();
    }
    const cpuSeconds = cpuSecondsBetween(before, cpuTimes(contestant.roots));
    const { bytes } = measured;
    return { ...measured, memory, cpuSeconds, ...(bytes === undefined ? {} : { cpu: cpuSeconds / (bytes / 1e9) }) };
  };
}

function short(value: number | undefined): string {
  return value === undefined ? "none" : String(Number(value.toPrecision(4)));
}
