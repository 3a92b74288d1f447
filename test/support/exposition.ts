/** A strict reader of Prometheus' exposition format 0.0.4: https://prometheus.io/docs/instrumenting/exposition_formats/ */

export interface ExposedFamily {
  readonly type: string;
  readonly help: string;
  /** By name with labels, as they stand in the text. */
  readonly samples: Map<string, number>;
}

const SAMPLE = /^([a-zA-Z_:][a-zA-Z0-9_:]*)(\{((?:[a-zA-Z_][a-zA-Z0-9_]*="(?:[^"\\\n]|\\["\\n])*",?)*)\})? (NaN|[+-]Inf|-?[0-9.]+(?:e[+-]?[0-9]+)?)$/;
const SUFFIXES: Readonly<Record<string, readonly string[]>> = { counter: [""], gauge: [""], summary: ["", "_sum", "_count"], histogram: ["_bucket", "_sum", "_count"] };

/** Throws where a line, a name or an order is not as the format wants it: each family once, HELP, TYPE, then its samples, none twice. */
export function parseExposition(text: string): Map<string, ExposedFamily> {
  const families = new Map<string, ExposedFamily>();
  if (!text.endsWith("\n")) throw new Error("the last line has no end");
  const lines = text.slice(0, -1).split("\n");
  let current: ExposedFamily | undefined;
  let name = "";
  for (let at = 0; at < lines.length; at++) {
    const line = lines[at] ?? "";
    const help = /^# HELP ([a-zA-Z_:][a-zA-Z0-9_:]*) (.+)$/s.exec(line);
    if (help !== null) {
      const type = /^# TYPE ([a-zA-Z_:][a-zA-Z0-9_:]*) (counter|gauge|summary|histogram)$/.exec(lines[++at] ?? "");
      if (type === null || type[1] !== help[1]) throw new Error(`no TYPE after ${line}`);
      name = help[1] ?? "";
      if (families.has(name)) throw new Error(`${name} stands twice`);
      families.set(name, (current = { type: type[2] ?? "", help: help[2] ?? "", samples: new Map() }));
      continue;
    }
    const sample = SAMPLE.exec(line);
    if (sample === null || current === undefined) throw new Error(`not a sample of a family: ${line}`);
    const suffixes = SUFFIXES[current.type] ?? [];
    if (!suffixes.some((suffix) => sample[1] === `${name}${suffix}`)) throw new Error(`not a sample of ${name}: ${line}`);
    if (sample[3]?.endsWith(",") === true) throw new Error(`a comma too many: ${line}`);
    const key = `${sample[1]}${sample[2] ?? ""}`;
    if (current.samples.has(key)) throw new Error(`${key} stands twice`);
    current.samples.set(key, sample[4]?.endsWith("Inf") === true ? Infinity * (sample[4].startsWith("-") ? -1 : 1) : Number(sample[4]));
  }
  return families;
}

/** Of any family, by name with labels. */
export function sampleOf(families: ReadonlyMap<string, ExposedFamily>, sample: string): number | undefined {
  for (const { samples } of families.values()) if (samples.has(sample)) return samples.get(sample);
  return undefined;
}
