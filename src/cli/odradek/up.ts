import { spawn } from "node:child_process";
import fs from "node:fs";
import { resolve } from "node:path";
import process from "node:process";
import { ClusterLock, runningCluster } from "../../cluster/cluster-lock.ts";
import { newListens, openCluster, type Cluster, type Listen } from "../../cluster/cluster-directory.ts";
import { describeTaken, takenPorts } from "../../cluster/ports.ts";
import { whenInSync, whenReady } from "../../cluster/readiness.ts";
import { Supervisor, type SupervisorEvent } from "../../cluster/supervisor.ts";
import { realHost } from "../../host/real/host.ts";
import { OperationalError } from "../../lib/error.ts";
import { ExitCode, type CommandIo } from "./io.ts";

/** What the command line says; undefined where it does not. */
export interface UpOptions {
  readonly dir: string;
  readonly nodes?: number;
  readonly kafkaPort?: number;
  readonly zookeeperPort?: number;
  readonly quorumPort?: number;
  readonly electionPort?: number;
  readonly metricsPort?: number;
  readonly host?: string;
  readonly advertise?: string;
  readonly detach?: boolean;
  readonly json?: boolean;
}

/** What `up --json` prints, and what a detached supervisor tells. */
export interface ReadyReport {
  readonly readyMs: number;
  readonly kafka: readonly string[];
  readonly zookeeper: readonly string[];
  readonly pids: { readonly up: number; readonly nodes: Readonly<Record<string, number>> };
}

/** Runs a cluster until SIGINT or SIGTERM, and stops it in good order then. Resolves with the exit code. */
export async function up(options: UpOptions, io: CommandIo): Promise<number> {
  const startedMs = performance.now();
  const host = realHost({ logLevel: "silent" });
  const directory = resolve(options.dir);
  // Before a new directory is laid out: the flag that the error names must be free to be used.
  await expectFree(await newListens(directory, options));
  const cluster = await openCluster(directory, options);
  for (const warning of cluster.warnings) io.err(warning);
  const lock = await ClusterLock.take(host.disk, directory);
  try {
    await expectFree(cluster.nodes.flatMap(({ listens }) => listens));
  } catch (error) {
    await lock.release();
    throw error;
  }

  const say = options.json === true ? (): void => undefined : (line: string): void => io.out(line);
  const givenUp = new Set<number>();
  let allGone: (error: Error) => void;
  const gone = new Promise<never>((_, reject) => (allGone = reject));
  const supervisor = new Supervisor({
    nodes: cluster.nodes,
    restarts: true,
    onEvent: (event) => {
      const line = describe(event);
      if (line !== undefined) (event.kind === "died" ? io.err : say)(line);
      lock.tell(supervisor.pids);
      if (event.kind === "died" && event.againMs === undefined) givenUp.add(event.node);
      if (givenUp.size === cluster.nodes.length) allGone(new OperationalError("ERR_NODE", "no node is left"));
    },
  });
  const stopping = new AbortController();
  const asked = Promise.race([stopRequests(stopping, () => void supervisor.kill()), gone]);
  const brokers = cluster.nodes.map(({ kafka }) => kafka);
  say(`starting ${cluster.nodes.length} nodes in ${directory}`);
  try {
    await Promise.race([supervisor.start(), asked]);
    const controller = await Promise.race([whenReady(host, brokers, stopping.signal), asked]);
    await Promise.race([whenInSync(host, brokers, stopping.signal), asked]);
    if (controller !== undefined && !stopping.signal.aborted) tellReady(report(cluster, supervisor, performance.now() - startedMs), options, io);
    await asked;
    say("stopping");
    // Whoever is the controller goes last, so that there is one for all the others.
    const last = await whenReady(host, brokers, AbortSignal.timeout(CONTROLLER_ASK_MS));
    await supervisor.stop(cluster.nodes.find(({ kafka }) => kafka.host === last?.host && kafka.port === last.port)?.id);
    say("stopped");
    return ExitCode.ok;
  } finally {
    stopping.abort();
    await lock.release();
  }
}

async function expectFree(listens: readonly Listen[]): Promise<void> {
  const taken = await takenPorts(listens);
  if (taken.length > 0) throw new OperationalError("EADDRINUSE", taken.map(describeTaken).join("\n"));
}

/** Resolves at the first SIGINT or SIGTERM. A second one, later than a terminal's and npm's together, ends everything at once. */
function stopRequests(stopping: AbortController, kill: () => void): Promise<void> {
  let firstMs: number | undefined;
  return new Promise((done) => {
    const onSignal = (): void => {
      const nowMs = performance.now();
      if (firstMs === undefined) {
        firstMs = nowMs;
        stopping.abort();
        done();
      } else if (nowMs - firstMs > SAME_SIGNAL_MS) {
        kill();
        process.exit(ExitCode.failed);
      }
    };
    process.on("SIGINT", onSignal);
    process.on("SIGTERM", onSignal);
  });
}

/** How long a cluster that is to stop is asked for its controller. */
const CONTROLLER_ASK_MS = 1000;

/** npm passes on the signal that the terminal has sent to both. */
const SAME_SIGNAL_MS = 500;

function report(cluster: Cluster, supervisor: Supervisor, readyMs: number): ReadyReport {
  const at = ({ host, port }: { readonly host: string; readonly port: number }): string => `${host.includes(":") ? `[${host}]` : host}:${port}`;
  return {
    readyMs: Math.round(readyMs),
    kafka: cluster.nodes.map(({ kafka }) => at(kafka)),
    zookeeper: cluster.nodes.map(({ zookeeper }) => at(zookeeper)),
    pids: { up: process.pid, nodes: Object.fromEntries(supervisor.pids) },
  };
}

function tellReady(ready: ReadyReport, options: UpOptions, io: CommandIo): void {
  io.out(readyLine(ready, options.json === true));
  // To the command that has started this one, detached.
  process.send?.(ready);
}

export function readyLine(ready: ReadyReport, json: boolean): string {
  if (json) return JSON.stringify(ready);
  return `ready in ${(ready.readyMs / 1000).toFixed(1)} s  kafka ${ready.kafka.join(",")}  zookeeper ${ready.zookeeper.join(",")}`;
}

function describe(event: SupervisorEvent): string | undefined {
  switch (event.kind) {
    case "starting":
      return undefined;
    case "serving":
      return `node ${event.node} serves after ${(event.tookMs / 1000).toFixed(1)} s`;
    case "died": {
      const then = event.againMs === undefined ? "it has died too often in a row and is not started again" : event.againMs === 0 ? "starting it again" : `starting it again in ${event.againMs / 1000} s`;
      return `node ${event.node} died (${event.how}): ${then}`;
    }
    case "stopped":
      return `node ${event.node} stopped`;
  }
}

/** The same in a process of its own, which outlives this one. Resolves when the cluster is ready. */
export async function upDetached(options: UpOptions, args: readonly string[], io: CommandIo): Promise<number> {
  const directory = resolve(options.dir);
  const host = realHost({ logLevel: "silent" });
  const running = await runningCluster(host.disk, directory);
  if (running !== undefined) throw new OperationalError("ERR_CLUSTER_RUNNING", `the cluster of ${directory} is running already (process ${running.pid})`);
  await expectFree(await newListens(directory, options));
  fs.mkdirSync(directory, { recursive: true });
  const logFile = resolve(directory, "odradek.log");
  const log = fs.openSync(logFile, "w");
  const child = spawn(process.execPath, [...process.execArgv, ...args], { detached: true, stdio: ["ignore", log, log, "ipc"] });
  fs.closeSync(log);
  const ready = await new Promise<ReadyReport | undefined>((done) => {
    child.once("message", (said) => done(said as ReadyReport));
    child.once("exit", () => done(undefined));
  });
  if (ready === undefined) {
    io.err(fs.readFileSync(logFile, "utf8").trimEnd());
    return ExitCode.failed;
  }
  child.disconnect();
  child.unref();
  io.out(readyLine(ready, options.json === true));
  return ExitCode.ok;
}
