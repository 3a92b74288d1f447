import fs from "node:fs";

/** What a node's process prints, one JSON object a line; older lines in FILE.1 to FILE.5. */

const BYTES_MAX = 10 * 1024 * 1024;
const OLD_FILES = 5;
/** From the end of a file: enough for the lines that tell why a process ended. */
const TAIL_BYTES = 64 * 1024;

/** A descriptor that only appends, so that several processes may have it, and the file may be emptied under it. */
export function openNodeLog(path: string): number {
  rotateNodeLog(path);
  return fs.openSync(path, "a");
}

/** Moves what is in the file to FILE.1 if it is large. Lines that are printed in that moment may be lost. */
export function rotateNodeLog(path: string): void {
  const size = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  if (size < BYTES_MAX) return;
  for (let number = OLD_FILES - 1; number >= 1; number--) if (fs.existsSync(`${path}.${number}`)) fs.renameSync(`${path}.${number}`, `${path}.${number + 1}`);
  // Copied, not renamed: processes hold the file open.
  fs.copyFileSync(path, `${path}.1`);
  fs.truncateSync(path);
}

/** The last whole lines of the file, at most `count`. */
export function lastLines(path: string, count: number): string[] {
  const size = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
  const from = Math.max(0, size - TAIL_BYTES);
  const text = readFrom(path, from, size).toString("utf8");
  const lines = text.split("\n").filter((line) => line !== "");
  return (from > 0 ? lines.slice(1) : lines).slice(-count);
}

function readFrom(path: string, from: number, to: number): Buffer {
  if (to <= from) return Buffer.alloc(0);
  const fd = fs.openSync(path, "r");
  try {
    const bytes = Buffer.alloc(to - from);
    return bytes.subarray(0, fs.readSync(fd, bytes, 0, bytes.length, from));
  } finally {
    fs.closeSync(fd);
  }
}

/** Hands over what the file holds, and then what is added to it, whole lines only, until `signal` is aborted. */
export async function followNodeLog(path: string, onLine: (line: string) => void, options: { readonly fromEnd: boolean; readonly signal: AbortSignal; readonly pollMs: number }): Promise<void> {
  let position = options.fromEnd ? (fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0) : 0;
  let rest = "";
  while (!options.signal.aborted) {
    const size = fs.statSync(path, { throwIfNoEntry: false })?.size ?? 0;
    // Emptied: what it held is in FILE.1.
    if (size < position) position = 0;
    const bytes = readFrom(path, position, Math.min(size, position + TAIL_BYTES));
    position += bytes.length;
    const lines = (rest + bytes.toString("utf8")).split("\n");
    rest = lines.pop() ?? "";
    for (const line of lines) if (line !== "") onLine(line);
    if (bytes.length === 0) await pause(options.pollMs, options.signal);
  }
}

function pause(ms: number, signal: AbortSignal): Promise<void> {
  return new Promise((resolve) => {
    const timer = setTimeout(done, ms);
    signal.addEventListener("abort", done, { once: true });
    function done(): void {
      clearTimeout(timer);
      signal.removeEventListener("abort", done);
      resolve();
    }
  });
}

interface LogLine {
  readonly level: number;
  readonly time: number;
  readonly msg: string;
  readonly component?: string;
}

const LEVELS: Readonly<Record<number, string>> = { 20: "DEBUG", 30: "INFO", 40: "WARN", 50: "ERROR" };

/** A line for people: time, level, component, message and what else it says. What is no JSON comes back as it is. */
export function readableLine(line: string): string {
  const parsed = parse(line);
  if (parsed === undefined) return line;
  const { level, time, msg, component, ...rest } = parsed;
  const fields = Object.entries(rest).map(([name, value]) => ` ${name}=${typeof value === "string" ? value : JSON.stringify(value)}`);
  return `${new Date(time).toISOString()} ${(LEVELS[level] ?? "INFO").padEnd(5)} ${component === undefined ? "" : `${component}: `}${msg}${fields.join("")}`;
}

function parse(line: string): (LogLine & Record<string, unknown>) | undefined {
  try {
    const parsed: unknown = JSON.parse(line);
    return isLogLine(parsed) ? parsed : undefined;
  } catch {
    return undefined;
  }
}

function isLogLine(parsed: unknown): parsed is LogLine & Record<string, unknown> {
  return typeof parsed === "object" && parsed !== null && "msg" in parsed && "time" in parsed && typeof parsed.time === "number";
}
