import type { Failed, Row } from "./harness.ts";
import { brokerSettings, jvmOptions, memberSettings, versions } from "./settings.ts";
import type { Spread } from "./statistics.ts";

/** Of one run of the benchmark. */
export interface Run {
  /** ISO 8601. */
  readonly time: string;
  readonly commit: string;
  readonly full: boolean;
  readonly machine: string;
}

/** A line of history.jsonl, without its end. */
export function historyLine(run: Run, row: Row | Failed): string {
  const head = { run: { time: run.time, commit: run.commit, full: run.full }, case: row.case };
  if ("failed" in row) return JSON.stringify({ ...head, failed: row.failed.split("\n")[0] });
  const { unit, ours, theirs, kraft, against, ratio, reach, holds, rounds } = row;
  return JSON.stringify({ ...head, unit, ours: rounded(ours), ...(against === undefined ? { apache: rounded(theirs) } : { [against]: rounded(theirs) }), ...(kraft === undefined ? {} : { kraft: rounded(kraft) }), ratio: roundedQuartiles(ratio), reach, holds, rounds });
}

function rounded({ median, min, max }: Spread): Spread {
  return { median: significant(median), min: significant(min), max: significant(max) };
}

function roundedQuartiles({ lower, median, upper }: Row["ratio"]): Row["ratio"] {
  return { lower: significant(lower), median: significant(median), upper: significant(upper) };
}

function significant(value: number): number {
  return Number(value.toPrecision(4));
}

/** The table of a run in Markdown, lost and failed cases with the others. */
export function table(rows: readonly (Row | Failed)[]): string {
  const head = `| case | unit | ours | Apache ${versions.apache} | ratio (quartiles) | reach | | Kafka ${versions.kraft} (KRaft) |\n|---|---|---|---|---|---|---|---|\n`;
  return head + rows.map(line).join("");
}

function line(row: Row | Failed): string {
  if ("failed" in row) return `| ${row.title} | | | | | | **failed**: ${cell(row.failed)} | |\n`;
  const { title, unit, ours, theirs, kraft, against, ratio, reach, better, holds } = row;
  const mark = reach === undefined ? "" : `${better === "more" ? "≥" : "≤"} ${reach}`;
  const verdict = holds === undefined ? "" : holds ? "holds" : "**lost**";
  return `| ${title} | ${unit} | ${spreadText(ours)} | ${spreadText(theirs)}${against === undefined ? "" : ` (${against})`} | ${digits(ratio.median)} (${digits(ratio.lower)} to ${digits(ratio.upper)}) | ${mark} | ${verdict} | ${kraft === undefined ? "" : spreadText(kraft)} |\n`;
}

function cell(text: string): string {
  return text.split("\n").slice(0, 2).join(" ").replaceAll("|", "\\|").slice(0, 300);
}

function spreadText({ median, min, max }: Spread): string {
  return `${digits(median)} (${digits(min)} to ${digits(max)})`;
}

/** Three of them. */
export function digits(value: number): string {
  return Math.abs(value) >= 1000 ? String(Math.round(value)) : String(Number(value.toPrecision(3)));
}

/** docs/benchmarks.md: written anew by each run; what is said about its rows stands in `notes`, which is kept. */
export function document({ core, full, notes }: { readonly core: Section | undefined; readonly full: Section | undefined; readonly notes: string }): string {
  return [
    "# Beside Apache's own\n",
    "Written by `npm run bench` and `npm run bench:full`; each figure is the median (lowest to highest) of its rounds, a ratio is ours ÷ theirs of one round. A mark holds when the ratio's quartile on the bad side is at or beyond it, with 5 % of tolerance. bench/README.md says what each case does.\n",
    conditions(),
    ...(core === undefined ? [] : [section("Core", core)]),
    ...(full === undefined ? [] : [section("All", full)]),
    `${NOTES}\n${notes}`,
  ].join("\n");
}

/** Where the part of the document begins that people write. */
export const NOTES = "## Notes";

export interface Section {
  readonly run: Run;
  readonly rows: readonly (Row | Failed)[];
}

function section(title: string, { run, rows }: Section): string {
  return `## ${title}\n${run.time}, commit ${run.commit}, ${run.machine}\n\n${table(rows)}`;
}

function conditions(): string {
  const list = (settings: Readonly<Record<string, string | number | boolean>>): string =>
    Object.entries(settings)
      .map(([key, value]) => `${key}=${value}`)
      .join(", ");
  return `## The same on both sides
- Clients: librdkafka and ZooKeeper's C client; the same driver, the same settings, in turns, all clusters up, the others idle.
- Three brokers: ${list(brokerSettings("three"))}. What is not named is at Kafka's default.
- Members: ${list(memberSettings)}; fsync on.
- Acknowledgements are each case's own. Brokers write to the page cache and rely on their in-sync replicas; members flush before they acknowledge.
- Apache ${versions.apache}: \`${jvmOptions.broker.join(" ")}\` for a broker, \`${jvmOptions.member.slice(0, 2).join(" ")}\` and the same for a member. Ours: one process a node, of which the member is a thread.

## What one side checks and the other does not
- Apache opens compressed batches and checks the offsets and sizes of the records in them; ours checks a batch's header, CRC, count and sizes, and leaves what is compressed as it came.
`;
}
