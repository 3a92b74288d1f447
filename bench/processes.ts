import fs from "node:fs";

/** What Linux counts of a process (proc(5)). */

/** USER_HZ, which is 100 wherever Node runs. */
const MS_PER_TICK = 10;

/** User and system time of all its threads so far. */
export function cpuMs(pid: number): number {
  // The name, in brackets, may hold blanks; user time is the 14th field.
  const fields = fs.readFileSync(`/proc/${pid}/stat`, "utf8").split(") ").at(-1)?.split(" ") ?? [];
  return (Number(fields[11]) + Number(fields[12])) * MS_PER_TICK;
}

/** `rss`: resident; `pss`: with pages that several processes map counted by their share. Both in MB of 2^20 bytes. */
export function memoryMb(pid: number): { readonly rss: number; readonly pss: number } {
  const text = fs.readFileSync(`/proc/${pid}/smaps_rollup`, "utf8");
  const field = (name: string): number => Number(new RegExp(`^${name}: +(\\d+) kB`, "m").exec(text)?.[1]) / 1024;
  return { rss: field("Rss"), pss: field("Pss") };
}

/** How many processes could run, averaged over the last minute. */
export function loadAverage(): string {
  return fs.readFileSync("/proc/loadavg", "utf8").split(" ")[0] ?? "";
}
