import process from "node:process";
import { expect, test } from "vitest";
import { memoryMegabytes, parseStat, processTree } from "./processes.ts";

test("a process is read from its stat line, whatever its name", () => {
  expect(parseStat("42 (a (b) c) S 7 42 42 0 -1 4194560 1 0 0 0 150 50 0 0 20 0 1 0 1 1 1")).toEqual({ state: "S", parent: 7, cpuSeconds: 2 });
});

test.skipIf(process.platform !== "linux")("this process is in its parent's tree, and has memory", () => {
  expect(processTree([process.ppid])).toContain(process.pid);
  expect(memoryMegabytes([process.pid])).toBeGreaterThan(10);
});
