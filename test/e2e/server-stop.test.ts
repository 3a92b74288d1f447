import { spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { randomUUID } from "node:crypto";
import { readFileSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { afterEach, beforeEach, describe, expect, test } from "vitest";
import { childEnvironment, eventually, run, temporaryDirectory, type Finished } from "../support/processes.ts";

/** Processes stand for servers here, under a class that nothing else on this machine has: it may run others that are none of ours. */

const BIN = resolve(import.meta.dirname, "../../bin");
const STAND_IN = ["-e", "process.stdout.write('up'); setInterval(() => undefined, 1000)", "--"];

let mark: string;
let place: ReturnType<typeof temporaryDirectory>;
const children: ChildProcess[] = [];

beforeEach(() => {
  mark = `test.Server${randomUUID().replaceAll("-", "")}`;
  place = temporaryDirectory();
});
afterEach(() => {
  for (const child of children.splice(0)) child.kill("SIGKILL");
  place.remove();
});

/** A process with these arguments, called `program`; resolves when they can be seen. */
async function start(program: string, ...args: readonly string[]): Promise<ChildProcess> {
  const child = spawn(process.execPath, [...STAND_IN, ...args], { argv0: program, stdio: ["ignore", "pipe", "inherit"], env: childEnvironment() });
  children.push(child);
  await once(child.stdout, "data");
  return child;
}

function stop(environment: Readonly<Record<string, string>> = {}, script = join(BIN, "stop-server")): Promise<Finished> {
  return run("env", [...Object.entries(environment).map(([key, value]) => `${key}=${value}`), script, "test", mark]);
}

/** Where there is no /proc, the script asks ps. */
function withoutProc(): string {
  const script = join(place.path, "stop-server");
  writeFileSync(script, readFileSync(join(BIN, "stop-server"), "utf8").replaceAll("/proc/", "/nowhere/"), { mode: 0o755 });
  return script;
}

const ends = async (child: ChildProcess): Promise<NodeJS.Signals | null> => {
  await eventually("its end", () => child.exitCode !== null || child.signalCode !== null);
  return child.signalCode;
};
const runs = (child: ChildProcess): boolean => child.exitCode === null && child.signalCode === null;

describe.each(["/proc", "ps"])("servers found by %s", (means) => {
  const script = (): string | undefined => (means === "ps" ? withoutProc() : undefined);

  test("ours and a JVM's are stopped, and nothing that only has the word in its arguments", async () => {
    const servers = [await start("node", "--no-java", mark, "server.properties"), await start("/usr/bin/java", "-Xmx1G", mark, "server.properties")];
    const others = [await start("node", mark), await start("vi", `${mark}.txt`), await start("node", "--no-java", `${mark}Other`), await start("grep", "-x", mark), await start("javac", mark)];
    expect(await stop({}, script())).toEqual({ code: 0, stdout: "", stderr: "" });
    expect(await Promise.all(servers.map(ends))).toEqual(["SIGTERM", "SIGTERM"]);
    expect(others.map(runs)).toEqual(others.map(() => true));
  });

  test("none: said, and 1", async () => {
    expect(await stop({}, script())).toEqual({ code: 1, stdout: "No test server to stop\n", stderr: "" });
  });
});

test("SIGNAL is another signal, 0 only looks", async () => {
  const server = await start("node", "--no-java", mark);
  expect((await stop({ SIGNAL: "0" })).code).toBe(0);
  expect(runs(server)).toBe(true);
  expect((await stop({ SIGNAL: "KILL" })).code).toBe(0);
  expect(await ends(server)).toBe("SIGKILL");
});

test("a unit stops its own server alone, and it is no failure that this one has gone, or has died", async () => {
  const [own, other] = [await start("node", "--no-java", mark), await start("node", "--no-java", mark)];
  const unit = { MAINPID: String(own.pid), SERVICE_RESULT: "success" };
  expect((await stop(unit)).code).toBe(0);
  expect(await ends(own)).toBe("SIGTERM");
  expect((await stop(unit)).code).toBe(0);
  expect((await stop({ SERVICE_RESULT: "signal" })).code).toBe(0);
  expect(runs(other)).toBe(true);
});

test("a unit whose main process is a shell around the server, or none, stops as without it", async () => {
  const shell = await start("sh", "-c", "x");
  const server = await start("node", "--no-java", mark);
  expect((await stop({ MAINPID: String(shell.pid) })).code).toBe(0);
  expect([await ends(server), runs(shell)]).toEqual(["SIGTERM", true]);
  const second = await start("node", "--no-java", mark);
  expect((await stop({ SERVICE_RESULT: "success" })).code).toBe(0);
  expect(await ends(second)).toBe("SIGTERM");
});
