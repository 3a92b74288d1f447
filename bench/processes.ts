import { readdirSync, readFileSync } from "node:fs";

/** What Linux counts CPU time in: sysconf(_SC_CLK_TCK), 100 on all its architectures. */
const TICKS_PER_SECOND = 100;

interface Stat {
  /** R, S, D, Z (ended, not yet waited for), … */
  readonly state: string;
  readonly parent: number;
  readonly cpuSeconds: number;
}

function stat(pid: number): Stat | undefined {
  try {
    return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8"));
  } catch {
    return undefined;
  }
}

/** proc(5): pid (comm) state ppid … utime stime, the 14th and the 15th; comm may hold blanks and brackets. */
export function parseStat(line: string): Stat {
  const fields = line.slice(line.lastIndexOf(")") + 2).split(" ");
  return { state: fields[0] ?? "", parent: Number(fields[1]), cpuSeconds: (Number(fields[11]) + Number(fields[12])) / TICKS_PER_SECOND };
}

/** These processes and all that descend from them. */
export function processTree(roots: readonly number[]): number[] {
  const children = new Map<number, number[]>();
  for (const name of readdirSync("/proc")) {
    if (!/^\d+$/.test(name)) continue;
    const found = stat(Number(name));
    if (found !== undefined) children.set(found.parent, [...(children.get(found.parent) ?? []), Number(name)]);
  }
  const tree: number[] = [];
  const rest = [...roots];
  for (let pid = rest.pop(); pid !== undefined; pid = rest.pop()) {
    tree.push(pid);
    rest.push(...(children.get(pid) ?? []));
  }
  return tree;
}

/** Whether a process of this id still does anything: one that has ended stays listed until its parent asks for its end. */
export function isRunning(pid: number): boolean {
  const found = stat(pid);
  return found !== undefined && found.state !== "Z";
}

/** User and system time of processes up to now, by process id. */
export type CpuTimes = ReadonlyMap<number, number>;

export function cpuTimes(roots: readonly number[]): CpuTimes {
  return new Map(processTree(roots).map((pid) => [pid, stat(pid)?.cpuSeconds ?? 0]));
}

/** What was used between two looks; a process that has ended in between counts up to the first. */
export function cpuSecondsBetween(before: CpuTimes, after: CpuTimes): number {
  let sum = 0;
  for (const [pid, seconds] of after) sum += seconds - (before.get(pid) ?? 0);
  return sum;
}

/** Proportional set size of all these processes in MB (10^6 bytes): pages that several share are counted once. */
export function memoryMegabytes(roots: readonly number[]): number {
  let kilobytes = 0;
  for (const pid of processTree(roots)) kilobytes += pss(pid);
  return (kilobytes * 1024) / 1e6;
}

function pss(pid: number): number {
  try {
    return smapsKilobytes(pid, "Pss");
  } catch {
    return 0;
  }
}

function smapsKilobytes(pid: number, field: "Pss" | "Rss"): number {
  return Number(new RegExp(`^${field}:\\s+(\\d+) kB`, "m").exec(readFileSync(`/proc/${pid}/smaps_rollup`, "utf8"))?.[1] ?? 0);
}

/** Of one process that runs, in MB of 2^20 bytes; throws where it has ended. */
export function memoryMb(pid: number): { readonly rss: number; readonly pss: number } {
  return { rss: smapsKilobytes(pid, "Rss") / 1024, pss: smapsKilobytes(pid, "Pss") / 1024 };
}

/** User and system time of one process that runs; throws where it has ended. */
export function cpuMs(pid: number): number {
  return parseStat(readFileSync(`/proc/${pid}/stat`, "utf8")).cpuSeconds * 1000;
}

/** How many processes could run, averaged over the last minute. */
export function loadAverage(): string {
  return readFileSync("/proc/loadavg", "utf8").split(" ")[0] ?? "";
}

const SAMPLE_MS = 1000;

/** The highest memory between its making and `end`, looked at each second. */
export class MemoryWatch {
  readonly #roots: () => readonly number[];
  readonly #timer: NodeJS.Timeout;
  #highest = 0;

  constructor(roots: () => readonly number[]) {
    this.#roots = roots;
    this.#timer = setInterval(() => this.#look(), SAMPLE_MS);
  }

  end(): number {
    clearInterval(this.#timer);
    this.#look();
    return this.#highest;
  }

  #look(): void {
    this.#highest = Math.max(this.#highest, memoryMegabytes(this.#roots()));
  }
}
