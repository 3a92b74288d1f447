import { InvalidArgumentError, Option, type Command } from "commander";
import { OperationalError } from "../../lib/error.ts";
import { bootstrapOf } from "../bootstrap.ts";
import { CODECS, produce } from "../produce.ts";
import { DEFAULT_LINE_RULES, ruleConflict, type LineRules } from "../record-line.ts";
import { interruptExitCode, type ToolIo, type ToolRun } from "../tool-io.ts";
import { ExitCode } from "./io.ts";

export interface ProduceOptions {
  readonly bootstrap?: string;
  readonly dir: string;
  readonly timeout: number;
  readonly keySeparator?: string;
  readonly headers?: boolean;
  readonly null?: string;
  readonly compression: string;
  readonly acks: string;
  readonly sync?: boolean;
}

const ACKS: Readonly<Record<string, -1 | 0 | 1>> = { all: -1, 0: 0, 1: 1 };

/** A record for each line of the input. 0 only where every one was acknowledged. */
export async function produceCommand(topic: string, options: ProduceOptions, io: ToolIo): Promise<number> {
  const { keySeparator = DEFAULT_LINE_RULES.keySeparator, headers = false, sync = false, timeout } = options;
  const rules: LineRules = { ...DEFAULT_LINE_RULES, key: options.keySeparator !== undefined, keySeparator, headers, nullMarker: options.null };
  const conflict = ruleConflict(rules);
  if (conflict !== undefined) throw new OperationalError("ERR_USAGE", conflict);
  const acks = ACKS[options.acks] ?? -1;
  const { ended, failed } = await produce({
    bootstrap: await bootstrapOf(options),
    clientId: "odradek-produce",
    topic,
    rules,
    sync,
    producer: {
      acks, codec: CODECS.get(options.compression) ?? 0, lingerMs: sync || io.interactive ? 0 : LINGER_MS, batchBytes: 131_072, bufferBytes: 33_554_432, recordBytesMax: 1_048_576,
      retries: Math.ceil(timeout / RETRY_MS), retryBackoffMs: RETRY_MS, requestTimeoutMs: timeout, metadataTimeoutMs: timeout, metadataMaxAgeMs: 300_000, idempotent: acks === -1,
    },
  }, io);
  if (ended === "interrupt") return interruptExitCode(io.interrupt);
  return ended === "failure" || failed > 0 ? ExitCode.failed : ExitCode.ok;
}

const LINGER_MS = 20;
const RETRY_MS = 250;

export function milliseconds(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("expected a whole number of milliseconds above 0.");
  return value;
}

/** `run` gives the command its streams and ends the process with its exit code. */
export function addProduce(program: Command, directory: string, run: (command: ToolRun) => Promise<void>): void {
  program
    .command("produce <topic>")
    .description("write a record for each line of the input")
    .option("--bootstrap <host:port,...>", "brokers of any cluster (default: those of --dir)")
    .option("--dir <directory>", "the cluster's directory", directory)
    .option("--timeout <ms>", "how long a broker may take to answer", milliseconds, 30_000)
    .option("--key-separator <text>", "lines have a key, up to the first of these")
    .option("--headers", "lines begin with headers: a:1,b:2 and a tab")
    .option("--null <text>", "what stands for null as a key, a value or headers")
    .addOption(new Option("--compression <codec>").choices([...CODECS.keys()]).default("none"))
    .addOption(new Option("--acks <acks>", "who must have a record").choices(Object.keys(ACKS)).default("all"))
    .option("--sync", "write one record after the other; the first failure is the end")
    .action((topic: string, options: ProduceOptions) => run((io) => produceCommand(topic, options, io)));
}
