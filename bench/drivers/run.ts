import { join } from "node:path";
import process from "node:process";
import { packageRoot } from "../../test/support/package-root.ts";
import { ServerProcess } from "../../test/support/processes.ts";
import { built, type Driver } from "./build.ts";

export type Arguments = Readonly<Record<string, string | number>>;

/** What a driver prints. */
export type Printed = Readonly<Record<string, number>>;

/** A driver that runs. */
export interface Running {
  /** Resolves when it has said that it is ready. */
  readonly ready: Promise<void>;
  /** The first line of JSON, as soon as it comes. */
  readonly told: Promise<Readonly<Record<string, unknown>>>;
  /** The last line of JSON, at the end. Rejects with what it said where it failed, for any reason. */
  readonly result: Promise<Printed>;
  stop(): Promise<void>;
}

/** No driver takes longer by itself. */
const DRIVER_MS_MAX = 300_000;

export async function startDriver(driver: Driver, given: Arguments): Promise<Running> {
  const program = await built(driver);
  return startProgram(program, Object.entries(given).map(([key, value]) => `${key}=${value}`), { name: driver });
}

export async function drive(driver: Driver, given: Arguments): Promise<Printed> {
  return (await startDriver(driver, given)).result;
}

/** Of our own, in a process of its own: where other people's clients would wait by themselves. */
export async function driveOurs(program: "rebalance", given: Arguments): Promise<Printed> {
  const args = Object.entries(given).map(([key, value]) => `${key}=${value}`);
  return startProgram(process.execPath, [join(packageRoot, `dist/bench/drivers/${program}.js`), ...args], { name: program }).result;
}

/** A program that ends with 0 and has printed a line of JSON by then. */
export function startProgram(command: string, args: readonly string[], { name }: { readonly name: string }): Running {
  let printed: Printed | undefined;
  let isReady: () => void = () => undefined;
  let isTold: (what: Readonly<Record<string, unknown>>) => void = () => undefined;
  const told = new Promise<Readonly<Record<string, unknown>>>((resolve) => (isTold = resolve));
  const ready = new Promise<void>((resolve) => (isReady = resolve));
  const server = new ServerProcess(command, args, {
    onLine: (line) => {
      if (line.startsWith("{")) isTold((printed = JSON.parse(line) as Printed));
      else if (line === "ready") isReady();
    },
  });
  const timer = setTimeout(() => server.child.kill("SIGKILL"), DRIVER_MS_MAX);
  const result = server.ended().then((code) => {
    clearTimeout(timer);
    if (code !== 0 || printed === undefined) throw new Error(`${name} ${args.join(" ")} ended with ${code ?? "a signal"}: ${server.output.split("\n").filter((line) => line !== "ready").slice(-6).join("\n")}`);
    return printed;
  });
  const running = { ready: Promise.race([ready, result.then(() => undefined)]), told: Promise.race([told, result]), result };
  // Whoever waits for one of these hears of a failure there; whoever waits for none has stopped it.
  for (const promise of Object.values(running)) promise.catch(() => undefined);
  return { ...running, stop: async () => void (await server.stop("SIGKILL")) };
}
