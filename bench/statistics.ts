/** Of one side's values of all rounds. */
export interface Spread {
  readonly median: number;
  readonly min: number;
  readonly max: number;
}

export interface Quartiles {
  readonly lower: number;
  readonly median: number;
  readonly upper: number;
}

export type Better = "more" | "less";

/** So much a mark may be missed by. */
export const TOLERANCE = 0.05;

export function spread(values: readonly number[]): Spread {
  return { median: quantile(values, 0.5), min: Math.min(...values), max: Math.max(...values) };
}

export function quartiles(values: readonly number[]): Quartiles {
  return { lower: quantile(values, 0.25), median: quantile(values, 0.5), upper: quantile(values, 0.75) };
}

/** Linear between the two nearest ranks, as R's and NumPy's default. Throws RangeError for no values. */
export function quantile(values: readonly number[], share: number): number {
  if (values.length === 0) throw new RangeError("no values");
  const sorted = values.toSorted((a, b) => a - b);
  const at = (sorted.length - 1) * share;
  const below = sorted[Math.floor(at)] ?? Number.NaN;
  const above = sorted[Math.ceil(at)] ?? Number.NaN;
  return below + (above - below) * (at - Math.floor(at));
}

/** Ours ÷ theirs, a round at a time. Throws RangeError where the two have not the same rounds, or a value is not above zero. */
export function ratios(ours: readonly number[], theirs: readonly number[]): number[] {
  if (ours.length !== theirs.length) throw new RangeError(`${ours.length} rounds of ours and ${theirs.length} of theirs`);
  if (![...ours, ...theirs].every((value) => value > 0)) throw new RangeError(`a value that is not above zero: ${ours.join(", ")} and ${theirs.join(", ")}`);
  return ours.map((value, round) => value / (theirs[round] ?? Number.NaN));
}

/** Whether the quartile on the bad side is at or beyond the mark, within the tolerance. */
export function holds(ratio: Quartiles, mark: number, better: Better): boolean {
  return better === "more" ? ratio.lower >= mark * (1 - TOLERANCE) : ratio.upper <= mark * (1 + TOLERANCE);
}
