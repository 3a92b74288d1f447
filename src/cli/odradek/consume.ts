import { InvalidArgumentError, type Command } from "commander";
import type { ConsumedRecord, ConsumerSource } from "../../kafka/client/consumer.ts";
import { OperationalError } from "../../lib/error.ts";
import { bootstrapOf } from "../bootstrap.ts";
import { consume } from "../consume.ts";
import { DEFAULT_FORMAT, formatRecord, type RecordFormat } from "../print/records.ts";
import { interruptExitCode, type ToolIo, type ToolRun } from "../tool-io.ts";
import { ExitCode } from "./io.ts";
import { milliseconds } from "./produce.ts";

export interface ConsumeOptions {
  readonly bootstrap?: string;
  readonly dir: string;
  readonly group?: string;
  readonly fromBeginning?: boolean;
  readonly partition?: number;
  readonly offset?: number;
  readonly max?: number;
  readonly timeout?: number;
  readonly print: readonly Field[];
  readonly separator: string;
  readonly json?: boolean;
}

const FIELDS = ["timestamp", "partition", "offset", "headers", "key", "value"] as const;
export type Field = (typeof FIELDS)[number];

/**
 * Prints the records of topics as they come. Without a group all partitions are read, and nothing of it is left in the
 * cluster. 1 only where something failed: that nothing comes any more is what --timeout asks for.
 */
export async function consumeCommand(topics: readonly string[], options: ConsumeOptions, io: ToolIo): Promise<number> {
  const { ended, count } = await consume({
    bootstrap: await bootstrapOf(options),
    clientId: "odradek-consume",
    requestTimeoutMs: REQUEST_TIMEOUT_MS,
    consumer: {
      source: sourceOf(topics, options),
      reset: options.fromBeginning === true ? "earliest" : "latest",
      readCommitted: false,
      fetchBytesMin: 1, fetchBytesMax: 52_428_800, fetchWaitMs: 500, partitionBytesMax: 1_048_576, metadataMaxAgeMs: 60_000,
    },
    recordsMax: options.max ?? Infinity,
    idleMs: options.timeout,
    format: options.json === true ? jsonLine : formatter(options),
    skipErrors: false,
  }, io);
  if (ended === "interrupt") {
    io.err(`${count} ${count === 1 ? "record" : "records"}`);
    return interruptExitCode(io.interrupt);
  }
  return ended === "failure" ? ExitCode.failed : ExitCode.ok;
}

const REQUEST_TIMEOUT_MS = 30_000;

function sourceOf(topics: readonly string[], { group, partition, offset, fromBeginning }: ConsumeOptions): ConsumerSource {
  const usage = (problem: string): OperationalError => new OperationalError("ERR_USAGE", problem);
  if (offset !== undefined && partition === undefined) throw usage("--offset needs --partition");
  if (offset !== undefined && fromBeginning === true) throw usage("--offset can't be used with --from-beginning");
  if (partition !== undefined) {
    const [topic, ...others] = topics;
    if (group !== undefined) throw usage("--partition can't be used with --group, which shares partitions out");
    if (topic === undefined || others.length > 0) throw usage("--partition needs one topic");
    return { kind: "partitions", partitions: [{ topic, partition, ...(offset !== undefined && { offset }) }] };
  }
  if (group === undefined) return { kind: "topics", topics };
  return { kind: "group", groupId: group, topics, sessionTimeoutMs: 10_000, heartbeatMs: 3000, pollIntervalMsMax: 300_000, autoCommitMs: 5000 };
}

function formatter({ print, separator }: ConsumeOptions): (record: ConsumedRecord) => Buffer {
  const format: RecordFormat = { ...DEFAULT_FORMAT, ...Object.fromEntries(FIELDS.map((field) => [field, print.includes(field)])), keySeparator: Buffer.from(separator) };
  return (record) => formatRecord(record, format);
}

/** Bytes that are UTF-8 as text, others as an object with their base64. */
function jsonBytes(bytes: Buffer | null): string | null | { readonly base64: string } {
  if (bytes === null) return null;
  const text = bytes.toString("utf8");
  return Buffer.from(text).equals(bytes) ? text : { base64: bytes.toString("base64") };
}

function jsonLine({ topic, partition, offset, timestamp, timestampType, key, value, headers }: ConsumedRecord): Buffer {
  const line = { topic, partition, offset, timestamp: timestamp < 0 ? null : timestamp, timestampType, key: jsonBytes(key), value: jsonBytes(value), headers: headers.map((header) => ({ key: header.key, value: jsonBytes(header.value) })) };
  return Buffer.from(`${JSON.stringify(line)}\n`);
}

function wholeNumber(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw new InvalidArgumentError("expected a whole number.");
  return value;
}

function fields(text: string): Field[] {
  return text.split(",").map((name) => {
    const field = FIELDS.find((one) => one === name.trim());
    if (field === undefined) throw new InvalidArgumentError(`expected some of ${FIELDS.join(", ")}.`);
    return field;
  });
}

/** `run` gives the command its streams and ends the process with its exit code. */
export function addConsume(program: Command, directory: string, run: (command: ToolRun) => Promise<void>): void {
  program
    .command("consume <topics...>")
    .description("print records of topics as they come; Ctrl-C ends it")
    .option("--bootstrap <host:port,...>", "brokers of any cluster (default: those of --dir)")
    .option("--dir <directory>", "the cluster's directory", directory)
    .option("--group <id>", "read as a member of this group, and commit what was printed")
    .option("--from-beginning", "begin with the oldest record, where the group has not read yet")
    .option("--partition <n>", "read this partition only", wholeNumber)
    .option("--offset <n>", "begin at this offset of --partition", wholeNumber)
    .option("--max <n>", "end after so many records", wholeNumber)
    .option("--timeout <ms>", "end when nothing has come for so long", milliseconds)
    .option("--print <fields>", `some of ${FIELDS.join(",")}`, fields, ["value"] as Field[])
    .option("--separator <text>", "what stands between fields", "\t")
    .option("--json", "print an object a line")
    .action((topics: string[], options: ConsumeOptions) => run((io) => consumeCommand(topics, options, io)));
}
