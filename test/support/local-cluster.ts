import { resolve } from "node:path";
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { temporaryDirectory, run, ServerProcess, type Finished } from "./processes.ts";

const ODRADEK = resolve(import.meta.dirname, "../../bin/odradek");

/** What `odradek up --json` prints. */
export interface Ready {
  readonly readyMs: number;
  readonly kafka: readonly string[];
  readonly zookeeper: readonly string[];
  readonly pids: { readonly up: number; readonly nodes: Readonly<Record<string, number>> };
}

/** Where `odradek up` is told to put a cluster of three: a directory and fifteen ports that were free a moment ago. */
export interface Place {
  readonly directory: string;
  readonly flags: readonly string[];
  readonly kafkaPort: number;
  /** Not among the flags: metrics are served where somebody asks for them. */
  readonly metricsPort: number;
  remove(): void;
}

export async function freePlace(): Promise<Place> {
  const directory = temporaryDirectory();
  for (;;) {
    const first = randomInt(10_000, 32_000);
    const ports = Array.from({ length: 15 }, (_, at) => first + at);
    if (!(await Promise.all(ports.map(isFree))).every(Boolean)) continue;
    const flags = ["--dir", directory.path, "--kafka-port", String(first), "--zookeeper-port", String(first + 3), "--quorum-port", String(first + 6), "--election-port", String(first + 9)];
    return { directory: directory.path, flags, kafkaPort: first, metricsPort: first + 12, remove: () => directory.remove() };
  }
}

async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((done) => {
    server.on("error", () => done(false));
    server.listen(port, "127.0.0.1", () => done(true));
  });
  if (free) await new Promise((done) => server.close(done));
  return free;
}

/** `odradek` with these arguments, to its end. */
export function odradek(args: readonly string[]): Promise<Finished> {
  return run(ODRADEK, args, { timeoutMs: 60_000 });
}

/** `odradek up --json`, until it says that the cluster is ready. */
export async function up(place: Place): Promise<{ readonly process: ServerProcess; readonly ready: Ready }> {
  let process: ServerProcess | undefined;
  const ready = await new Promise<Ready>((done, reject) => {
    const started = new ServerProcess(ODRADEK, ["up", "--json", ...place.flags], { onLine: (line) => line.startsWith("{") && done(JSON.parse(line) as Ready) });
    process = started;
    started.child.once("exit", () => reject(new Error(`odradek up ended: ${started.output}`)));
  });
  if (process === undefined) throw new Error("odradek up was not started");
  return { process, ready };
}
