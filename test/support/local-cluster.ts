import { resolve } from "node:path";
import { randomInt } from "node:crypto";
import { createServer } from "node:net";
import { BrokersView } from "./brokers-view.ts";
import { temporaryDirectory, run, ServerProcess, type Finished } from "./processes.ts";

const ROOT = resolve(import.meta.dirname, "../..");
const ODRADEK = resolve(ROOT, "bin/odradek");

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

/** On all addresses of this machine. */
export async function isFree(port: number): Promise<boolean> {
  const server = createServer();
  const free = await new Promise<boolean>((done) => {
    server.on("error", () => done(false));
    server.listen(port, () => done(true));
  });
  if (free) await new Promise((done) => server.close(done));
  return free;
}

/** `odradek` with these arguments, to its end. */
export function odradek(args: readonly string[]): Promise<Finished> {
  return run(ODRADEK, args, { timeoutMs: 60_000 });
}

export interface Running {
  readonly process: ServerProcess;
  readonly ready: Ready;
}

/** `odradek up --json`, until it says that the cluster is ready. */
export function up(place: Place): Promise<Running> {
  return untilReady([ODRADEK, "up", "--json", ...place.flags]);
}

async function untilReady([command = "", ...args]: readonly string[]): Promise<Running> {
  let process: ServerProcess | undefined;
  const ready = await new Promise<Ready>((done, reject) => {
    const started = new ServerProcess(command, args, { cwd: ROOT, onLine: (line) => line.startsWith("{") && done(JSON.parse(line) as Ready) });
    process = started;
    started.child.once("exit", () => reject(new Error(`${command} ended: ${started.output}`)));
  });
  if (process === undefined) throw new Error(`${command} was not started`);
  return { process, ready };
}

/** Brokers of a cluster that `npm start` has brought up. */
export class StartedCluster extends BrokersView {
  readonly #place: Place;
  readonly #running: Running;

  private constructor(place: Place, running: Running) {
    super(running.ready.kafka.map((bootstrap, at) => ({ id: at + 1, port: place.kafkaPort + at, bootstrap, running: true })));
    this.#place = place;
    this.#running = running;
  }

  static async start(): Promise<StartedCluster> {
    const place = await freePlace();
    return new StartedCluster(place, await untilReady(["npm", "start", "--silent", "--", "--json", ...place.flags]));
  }

  async close(): Promise<void> {
    const { up: supervisor, nodes } = this.#running.ready.pids;
    // The supervisor first, which would start them again; npm ends with it.
    for (const pid of [supervisor, ...Object.values(nodes)]) if (isAlive(pid)) process.kill(pid, "SIGKILL");
    await this.#running.process.ended();
    this.#place.remove();
  }
}

/** Whether such a process is there. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch {
    return false;
  }
}
