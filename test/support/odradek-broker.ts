import { mkdirSync, writeFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { eventually, freePort, ServerProcess, temporaryDirectory } from "./processes.ts";

const SCRIPT = resolve(import.meta.dirname, "../../bin/kafka-server-start.sh");

export interface OdradekBroker {
  readonly port: number;
  readonly bootstrap: string;
  readonly logDir: string;
  /** What the running process has printed. */
  output(): string;
  /** Of the process that runs. */
  readonly pid: () => number | undefined;
  /** Resolves when the process has ended, as `stop`. */
  ended(): Promise<number | null>;
  start(): Promise<void>;
  /** Resolves with the exit code; null after a signal that it did not handle. */
  stop(signal?: NodeJS.Signals): Promise<number | null>;
  /** Kills it and removes its data. */
  remove(): Promise<void>;
}

/** A broker of ours, from dist/, as kafka-server-start.sh starts it. */
export async function startOdradekBroker(options: { readonly brokerId: number; readonly zookeeper: string; readonly settings?: Readonly<Record<string, string>> }): Promise<OdradekBroker> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const logDir = join(directory.path, "logs");
  mkdirSync(logDir);
  const config = join(directory.path, "server.properties");
  const settings = { "broker.id": String(options.brokerId), listeners: `PLAINTEXT://127.0.0.1:${port}`, "log.dirs": logDir, "zookeeper.connect": options.zookeeper, ...options.settings };
  writeFileSync(
    config,
    Object.entries(settings)
      .map(([key, value]) => `${key}=${value}\n`)
      .join(""),
  );
  let server: ServerProcess | undefined;
  const start = async (): Promise<void> => {
    const started = new ServerProcess(SCRIPT, [config]);
    server = started;
    await eventually(`broker ${options.brokerId} serves`, () => {
      if (!started.running) throw new Error(`broker ${options.brokerId} ended:\n${started.output}`);
      return started.output.includes(`broker ${options.brokerId} serves`);
    });
  };
  await start();
  return {
    port,
    bootstrap: `127.0.0.1:${port}`,
    logDir,
    output: () => server?.output ?? "",
    pid: () => server?.child.pid,
    ended: async () => (await server?.ended()) ?? null,
    start,
    stop: async (signal = "SIGTERM") => (await server?.stop(signal)) ?? null,
    remove: async () => {
      await server?.stop("SIGKILL");
      directory.remove();
    },
  };
}
