import process from "node:process";
import { realHost } from "../../host/real/host.ts";
import type { Endpoint } from "../../kafka/client/kafka-client.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import type { AdminIo, SessionOptions } from "../admin-session.ts";
import { parseBootstrap } from "../bootstrap.ts";
import { ClientSettings, readProperties } from "../client-properties.ts";
import { processIo } from "../tool-process.ts";
import { parseArguments, type GivenOptions, type OptionSpec } from "./jopt.ts";
import { ScriptExit } from "./script.ts";
import { VERSION_LINE } from "./version.ts";
import { brokersInZooKeeper } from "./zookeeper-brokers.ts";

/** One of Kafka's scripts that administer a cluster. */
export interface Script {
  /** As people call it. */
  readonly name: string;
  readonly specs: readonly OptionSpec[];
  /** What is wrong with the options beside each other; undefined: nothing. */
  readonly check: (options: GivenOptions) => string | undefined;
}

/** The options, or the exit code where there is nothing left to do. Throws nothing. */
export function adminOptions({ name, specs, check }: Script, argv: readonly string[], { out, err }: AdminIo): GivenOptions | number {
  const parsed = parseArguments(name, specs, argv.length === 0 ? ["--help"] : argv);
  switch (parsed.kind) {
    case "help":
      (argv.length === 0 ? err : out)(parsed.text.trimEnd());
      return argv.length === 0 ? ScriptExit.failed : 0;
    case "version":
      out(VERSION_LINE);
      return 0;
    case "wrong":
      return wrongUsage(name, parsed.message, err);
    case "options": {
      const problem = check(parsed.options);
      if (problem !== undefined) return wrongUsage(name, problem, err);
      for (const notice of parsed.notices) err(notice);
      return parsed.options;
    }
  }
}

export function wrongUsage(name: string, problem: string, err: (line: string) => void): number {
  err(`${name}: ${problem}`);
  err(`${name} --help lists the options`);
  return ScriptExit.failed;
}

export const CONNECTION_SPECS: readonly OptionSpec[] = [
  { name: "bootstrap-server", arg: "required", requiredUnless: [], help: "Brokers to ask first, host:port with commas between." },
  { name: "command-config", arg: "required", help: "A file with settings of the client." },
];

/** The same where --zookeeper, too, tells where the brokers are. */
export const CONNECTION_OR_ZOOKEEPER_SPECS: readonly OptionSpec[] = [
  ...CONNECTION_SPECS.map((spec) => (spec.name === "bootstrap-server" ? { ...spec, requiredUnless: ["zookeeper"] } : spec)),
  { name: "zookeeper", arg: "required", help: "A ZooKeeper that knows the brokers, host:port with commas between and the path of the cluster behind them, in place of --bootstrap-server." },
];

const CLIENT_KEYS = ["client.id", "request.timeout.ms", "default.api.timeout.ms"];

/** How the cluster is to be reached. Throws ERR_USAGE, and what asking ZooKeeper for it can throw. */
export async function sessionOptions(options: GivenOptions, io: AdminIo, timeoutMs?: number): Promise<SessionOptions> {
  const { host, err } = io;
  const path = options.one("command-config");
  const settings = new ClientSettings(await readProperties({ disk: host.disk, ...(path !== undefined && { file: { option: "--command-config", path } }) }), CLIENT_KEYS);
  for (const notice of settings.notices) err(notice);
  const totalTimeoutMs = timeoutMs ?? settings.number("default.api.timeout.ms", 1) ?? 60_000;
  return {
    bootstrap: await bootstrapOf(options, totalTimeoutMs, io),
    clientId: settings.text("client.id") ?? "odradek-admin",
    requestTimeoutMs: timeoutMs ?? settings.number("request.timeout.ms", 1) ?? 30_000,
    totalTimeoutMs,
  };
}

async function bootstrapOf(options: GivenOptions, forMs: number, io: AdminIo): Promise<Endpoint[]> {
  const connect = options.one("zookeeper");
  return connect === undefined ? parseBootstrap(options.one("bootstrap-server") ?? "", "--bootstrap-server") : brokersInZooKeeper(connect, forMs, io);
}

/** Exactly one of these; undefined: so it is. */
export function exactlyOne(options: GivenOptions, names: readonly string[]): string | undefined {
  const given = names.filter((name) => options.has(name));
  return given.length === 1 ? undefined : `exactly one of ${names.map((name) => `--${name}`).join(", ")} is needed${given.length === 0 ? "" : `, not ${given.map((name) => `--${name}`).join(" and ")}`}`;
}

/** Whether the arguments, not the cluster, are to blame. */
export function isUsage(error: Error): boolean {
  return error instanceof OperationalError && (error.code === "ERR_USAGE" || error.code === "ERR_PROPERTIES");
}

/** Runs a script as this process, which ends with its exit code as soon as all is written. */
export async function runAdminScript(run: (argv: readonly string[], io: AdminIo) => Promise<number>): Promise<void> {
  const io: AdminIo = { ...processIo(), host: realHost({ logLevel: "silent" }) };
  try {
    process.exitCode = await run(process.argv.slice(2), io);
  } catch (thrown) {
    const error = toError(thrown);
    io.err(error.stack ?? error.message);
    process.exitCode = ScriptExit.failed;
  }
}
