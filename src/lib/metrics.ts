/**
 * What is measured, and its text. Whatever is counted on a hot path is a field of its owner's, or a Histogram: nothing
 * is looked up or allocated there. All else happens when somebody asks: a family reads what it shows at that time.
 */

export type FamilyType = "counter" | "gauge" | "histogram" | "summary";

/** One metric with all its samples. Names follow `[a-zA-Z_:][a-zA-Z0-9_:]*`; a registry holds each name once. */
export interface Family {
  readonly name: string;
  readonly type: FamilyType;
  /** One sentence. */
  readonly help: string;
  /** The samples as lines of text without their ends; read once a scrape, and perhaps over several turns. */
  lines(): Iterable<string>;
}

/** A sample's labels, as `labels` writes them, and its value. */
export type Sample = readonly [labels: string, value: number];

/** As they stand between the braces of a sample. Escapes backslashes, quotes and line ends. */
export function labels(values: Readonly<Record<string, string | number>>): string {
  return Object.entries(values)
    .map(([name, value]) => `${name}="${typeof value === "number" ? value : escapeLabel(value)}"`)
    .join(",");
}

function escapeLabel(value: string): string {
  return /["\\\n]/.test(value) ? value.replaceAll("\\", "\\\\").replaceAll('"', '\\"').replaceAll("\n", "\\n") : value;
}

/** One value; none where `read` gives undefined. */
export function single(type: "counter" | "gauge", name: string, help: string, read: () => number | undefined): Family {
  return family(type, name, help, () => {
    const value = read();
    return value === undefined ? [] : [["", value]];
  });
}

export function family(type: "counter" | "gauge", name: string, help: string, samples: () => Iterable<Sample>): Family {
  return {
    name,
    type,
    help,
    *lines() {
      for (const [label, value] of samples()) yield line(name, label, value);
    },
  };
}

export function line(name: string, label: string, value: number): string {
  return label === "" ? `${name} ${number(value)}` : `${name}{${label}} ${number(value)}`;
}

function number(value: number): string {
  if (value === Infinity) return "+Inf";
  return value === -Infinity ? "-Inf" : String(value);
}

// ---- distributions

/** Upper bounds of a histogram's buckets, ascending; the last bucket has none. Histograms may share them. */
export type Bounds = Float64Array;

/** Four buckets to the doubling, from `least` to beyond `most`: an interpolated quantile is off by some percent. */
export function fineBounds(least: number, most: number): Bounds {
  return Float64Array.from({ length: Math.ceil(4 * Math.log2(most / least)) + 1 }, (_, step) => least * 2 ** (step / 4));
}

/**
 * Counts values by size. Observing allocates nothing. Quantiles and the greatest value are of the last while, which is
 * told by whoever asks: since an asking that lies WINDOW_MS back, or up to twice as long, or since the start.
 */
export class Histogram {
  readonly bounds: Bounds;
  /** By bucket, not cumulative. */
  readonly counts: Float64Array;
  sum = 0;
  /** The greatest value since `recent` was last called. */
  #max = 0;
  /** From the first asking on: most histograms are never asked. */
  #windows: { readonly older: Window; readonly newer: Window } | undefined;

  constructor(bounds: Bounds) {
    this.bounds = bounds;
    this.counts = new Float64Array(bounds.length + 1);
  }

  get count(): number {
    let count = 0;
    for (const each of this.counts) count += each;
    return count;
  }

  observe(value: number): void {
    const { bounds } = this;
    let low = 0;
    let high = bounds.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((bounds[middle] as number) < value) low = middle + 1;
      else high = middle;
    }
    this.counts[low] = (this.counts[low] as number) + 1;
    this.sum += value;
    if (value > this.#max) this.#max = value;
  }

  /** The last while, as of `nowMs` of the monotonic clock. To be read before the next call. */
  recent(nowMs: number): Recent {
    const { older, newer } = (this.#windows ??= { older: new Window(this.counts.length), newer: new Window(this.counts.length) });
    older.max = Math.max(older.max, this.#max);
    newer.max = Math.max(newer.max, this.#max);
    this.#max = 0;
    if (nowMs - newer.sinceMs >= WINDOW_MS) {
      older.take(newer);
      newer.begin(this.counts, nowMs);
    }
    return { max: older.max, quantile: (q) => this.#quantile(q, older.counts) };
  }

  /** By linear interpolation in the bucket; the greatest finite bound for what lies above; NaN where there is nothing. */
  #quantile(q: number, base: Float64Array): number {
    let total = 0;
    for (let at = 0; at < this.counts.length; at++) total += (this.counts[at] as number) - (base[at] as number);
    if (total === 0) return Number.NaN;
    let rank = q * total;
    for (const [at, upper] of this.bounds.entries()) {
      const here = (this.counts[at] as number) - (base[at] as number);
      if (here > 0 && rank <= here) {
        const lower = at === 0 ? 0 : (this.bounds[at - 1] as number);
        return lower + (upper - lower) * (rank / here);
      }
      rank -= here;
    }
    return this.bounds.at(-1) ?? Number.NaN;
  }
}

const WINDOW_MS = 60_000;

export interface Recent {
  readonly max: number;
  /** `q` from 0 to 1; NaN where nothing was observed. */
  quantile(q: number): number;
}

/** Where a histogram stood at a time, and the greatest value since. */
class Window {
  readonly counts: Float64Array;
  sinceMs = -Infinity;
  max = 0;

  constructor(buckets: number) {
    this.counts = new Float64Array(buckets);
  }

  begin(counts: Float64Array, nowMs: number): void {
    this.counts.set(counts);
    this.sinceMs = nowMs;
    this.max = 0;
  }

  take(other: Window): void {
    this.counts.set(other.counts);
    this.sinceMs = other.sinceMs;
    this.max = other.max;
  }
}

export type Distribution = readonly [labels: string, histogram: Histogram];

/** Cumulative buckets, as Prometheus computes quantiles of. */
export function histogram(name: string, help: string, distributions: () => Iterable<Distribution>): Family {
  return {
    name,
    type: "histogram",
    help,
    *lines() {
      for (const [label, { bounds, counts, sum }] of distributions()) {
        let count = 0;
        for (const [at, bound] of bounds.entries()) {
          count += counts[at] as number;
          yield line(`${name}_bucket`, and(label, `le="${bound}"`), count);
        }
        count += counts[bounds.length] as number;
        yield line(`${name}_bucket`, and(label, 'le="+Inf"'), count);
        yield line(`${name}_sum`, label, sum);
        yield line(`${name}_count`, label, count);
      }
    },
  };
}

export interface SummaryOptions {
  readonly nowMs: () => number;
  readonly quantiles: readonly string[];
}

/** Quantiles of the last while, as the dashboards of Java servers expect them. */
export function summary(name: string, help: string, { nowMs, quantiles }: SummaryOptions, distributions: () => Iterable<Distribution>): Family {
  return {
    name,
    type: "summary",
    help,
    *lines() {
      for (const [label, observed] of distributions()) {
        const recent = observed.recent(nowMs());
        for (const quantile of quantiles) yield line(name, and(label, `quantile="${quantile}"`), recent.quantile(Number(quantile)));
        yield line(`${name}_sum`, label, observed.sum);
        yield line(`${name}_count`, label, observed.count);
      }
    },
  };
}

function and(label: string, more: string): string {
  return label === "" ? more : `${label},${more}`;
}

// ---- text

/** What `renderMetrics` writes. */
export const METRICS_CONTENT_TYPE = "text/plain; version=0.0.4; charset=utf-8";

/** A chunk is written in well under a millisecond. */
const CHUNK_CHARS = 16 * 1024;

/**
 * The text of Prometheus' exposition format 0.0.4, in chunks between which others may run. A name that several families
 * share, whose samples their labels tell apart, stands once, under the first one's type and help.
 */
export function* renderMetrics(families: readonly Family[]): Generator<string, void> {
  const byName = new Map<string, Family[]>();
  for (const each of families) {
    const same = byName.get(each.name);
    if (same === undefined) byName.set(each.name, [each]);
    else same.push(each);
  }
  let chunk = "";
  for (const [name, same] of byName) {
    const [first] = same;
    let heading = first === undefined ? "" : `# HELP ${name} ${escapeHelp(first.help)}\n# TYPE ${name} ${first.type}\n`;
    for (const each of same) {
      for (const text of each.lines()) {
        chunk += `${heading}${text}\n`;
        heading = "";
        if (chunk.length < CHUNK_CHARS) continue;
        yield chunk;
        chunk = "";
      }
    }
  }
  if (chunk !== "") yield chunk;
}

function escapeHelp(help: string): string {
  return help.replaceAll("\\", "\\\\").replaceAll("\n", "\\n");
}
