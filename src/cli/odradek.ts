import process from "node:process";
import { Command, CommanderError, InvalidArgumentError } from "commander";
import { realHost } from "../host/real/host.ts";
import { errorCode, toError } from "../lib/error.ts";
import type { AdminIo } from "./admin-session.ts";
import { addConsume } from "./odradek/consume.ts";
import { down } from "./odradek/down.ts";
import { fresh } from "./odradek/fresh.ts";
import { addGroups } from "./odradek/groups.ts";
import { ExitCode } from "./odradek/io.ts";
import { logs, type LogsOptions } from "./odradek/logs.ts";
import { addProduce } from "./odradek/produce.ts";
import { status } from "./odradek/status.ts";
import { addTopics } from "./odradek/topics.ts";
import { up, upDetached, type UpOptions } from "./odradek/up.ts";
import type { ToolRun } from "./tool-io.ts";
import { processIo, withToolIo } from "./tool-process.ts";

/** odradek COMMAND: a cluster on this machine, and what is asked of any cluster. */

const DEFAULT_DIRECTORY = "./odradek-data";

const io = processIo();

function count(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || value < 1) throw new InvalidArgumentError("expected a whole number above 0.");
  return value;
}

const program = new Command("odradek")
  .description("A Kafka cluster on Node.js: brokers and ZooKeeper members, with no JVM and no container.")
  .exitOverride()
  .configureOutput({ writeOut: (text) => process.stdout.write(text), writeErr: (text) => process.stderr.write(text) });

/** Runs the command and ends the process with what it gives. */
async function ending(run: Promise<number>): Promise<void> {
  process.exitCode = await run;
}

program
  .command("up")
  .description("start a cluster, or go on with the one that the directory holds; Ctrl-C stops it")
  .option("--dir <directory>", "where the nodes' files and data are", DEFAULT_DIRECTORY)
  .option("--nodes <n>", "how many nodes (default: 3)", count)
  .option("--kafka-port <port>", "the first broker's port, the next ones follow (default: 9092)", count)
  .option("--zookeeper-port <port>", "the first member's port for clients (default: 2181)", count)
  .option("--quorum-port <port>", "the first member's port for its followers (default: 2888)", count)
  .option("--election-port <port>", "the first member's port for elections (default: 3888)", count)
  .option("--metrics-port <port>", "the first node's port for /metrics and /ready (default: none)", count)
  .option("--host <host>", "where the nodes listen (default: localhost)")
  .option("--advertise <host>", "how clients reach the brokers, where it is not --host")
  .option("-d, --detach", "leave it running in the background")
  .option("--json", "print one JSON object when it is ready")
  .action((options: UpOptions) => ending(options.detach === true ? upDetached(options, process.argv.slice(1).filter((arg) => arg !== "--detach" && arg !== "-d"), io) : up(options, io)));

program
  .command("down")
  .description("stop the cluster of a directory")
  .option("--dir <directory>", "the cluster's directory", DEFAULT_DIRECTORY)
  .action((options: { dir: string }) => ending(down(options, io)));

program
  .command("status")
  .description("show nodes, controller, leader of the ensemble, and partitions that are not in sync")
  .option("--dir <directory>", "the cluster's directory", DEFAULT_DIRECTORY)
  .option("--json", "print one JSON object")
  .action((options: { dir: string; json?: boolean }) => ending(status(options, io)));

program
  .command("logs [node]")
  .description("show what the nodes, or one of them, have printed last")
  .option("--dir <directory>", "the cluster's directory", DEFAULT_DIRECTORY)
  .option("-f, --follow", "go on with what they print next")
  .option("--json", "the lines as they are in the files")
  .action((node: string | undefined, options: LogsOptions) => ending(logs(node, options, io)));

program
  .command("fresh <node-directory>")
  .description("make a copied node directory one that has never run: its logs and data go, config and myid stay")
  .option("--yes", "do it")
  .action((directory: string, options: { yes?: boolean }) => ending(fresh(directory, options, io)));

/** The same for a command with streams: input that nobody reads any more must not hold the process. */
const streaming = async (run: ToolRun): Promise<void> => process.exit(await withToolIo(run));
addProduce(program, DEFAULT_DIRECTORY, streaming);
addConsume(program, DEFAULT_DIRECTORY, streaming);

/** The same for a command that asks a cluster. */
const asking = (run: (adminIo: AdminIo) => Promise<number>): Promise<void> => ending(run({ ...io, host: realHost({ logLevel: "silent" }) }));
addTopics(program, DEFAULT_DIRECTORY, asking);
addGroups(program, DEFAULT_DIRECTORY, asking);

program.parseAsync().catch((thrown: unknown) => {
  if (thrown instanceof CommanderError) {
    // Commander has said it already.
    process.exitCode = thrown.exitCode === 0 ? ExitCode.ok : ExitCode.usage;
  } else {
    const error = toError(thrown);
    const code = errorCode(error);
    io.err(code === undefined ? (error.stack ?? error.message) : error.message);
    process.exitCode = code === "ERR_USAGE" ? ExitCode.usage : ExitCode.failed;
  }
});
