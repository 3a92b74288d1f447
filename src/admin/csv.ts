import { OperationalError } from "../lib/error.ts";

/** One line of a reset plan. `group` is told where a file holds several. */
export interface PlannedOffset {
  readonly group?: string;
  readonly topic: string;
  readonly partition: number;
  readonly offset: number;
}

/** Longer texts are quoted without being looked at. Source: jackson-dataformat-csv, CsvEncoder, as Kafka 2.7.1 sets it up. */
const PLAIN_UNITS_MAX = 24;

/** Rows, each ended by "\n"; a text with a blank, a quote or a comma, or one that is long, is quoted. */
export function formatCsv(rows: readonly (readonly (string | number)[])[]): string {
  return rows.map((row) => `${row.map((cell) => (typeof cell === "number" ? String(cell) : quoted(cell))).join(",")}\n`).join("");
}

function quoted(text: string): string {
  return text.length > PLAIN_UNITS_MAX || /[\s",]/.test(text) ? `"${text.replaceAll('"', '""')}"` : text;
}

/**
 * What `formatCsv` writes and people edit: `topic,partition,offset`, or with the group in front; three columns only
 * where `single` and the first line reads so. Throws ERR_CSV with origin and line.
 */
export function parseResetPlan(text: string, { origin, single }: { readonly origin: string; readonly single: boolean }): PlannedOffset[] {
  const lines = text.split("\n").map((line, index) => ({ at: `${origin}:${index + 1}`, cells: cellsOf(line.replace(/\r$/, ""), `${origin}:${index + 1}`) }));
  const rows = lines.filter(({ cells }) => cells.length > 1 || cells[0] !== "");
  const threeColumns = single && rows[0]?.cells.length === 3;
  return rows.map(({ at, cells }) => {
    const columns = threeColumns ? 3 : 4;
    if (cells.length !== columns) throw new OperationalError("ERR_CSV", `${at}: ${cells.length} columns where there have to be ${columns}: ${threeColumns ? "" : "group,"}topic,partition,offset`);
    const [offset, partition, topic = "", group] = cells.toReversed();
    return { ...(group !== undefined && { group }), topic, partition: wholeNumber(partition, "partition", at), offset: wholeNumber(offset, "offset", at) };
  });
}

function wholeNumber(cell: string | undefined, what: string, at: string): number {
  const value = /^\s*-?\d+\s*$/.test(cell ?? "") ? Number(cell) : Number.NaN;
  if (!Number.isSafeInteger(value)) throw new OperationalError("ERR_CSV", `${at}: "${cell ?? ""}" is no ${what}`);
  return value;
}

function cellsOf(line: string, at: string): string[] {
  const cells: string[] = [];
  for (let rest: string | undefined = line; rest !== undefined; ) {
    const match: RegExpExecArray | null = /^"((?:[^"]|"")*)"(?:,(.*))?$/s.exec(rest) ?? /^([^",]*)(?:,(.*))?$/s.exec(rest);
    if (match === null) throw new OperationalError("ERR_CSV", `${at}: a quote is not closed, or stands inside a text that does not begin with one`);
    cells.push((match[1] ?? "").replaceAll('""', '"'));
    rest = match[2];
  }
  return cells;
}
