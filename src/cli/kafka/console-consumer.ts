import { rangeAssignor, roundRobinAssignor, type Assignor } from "../../kafka/client/assignors.ts";
import type { ConsumedRecord, ConsumerSource } from "../../kafka/client/consumer.ts";
import { javaPattern } from "../../lib/java-pattern.ts";
import { parseBootstrap } from "../bootstrap.ts";
import { ClientSettings, readProperties } from "../client-properties.ts";
import { consume, type ConsumeRequest } from "../consume.ts";
import { deserializerNamed } from "../deserializers.ts";
import { DEFAULT_FORMAT, formatRecord, type RecordFormat, type Show } from "../print/records.ts";
import { interruptExitCode, type ToolIo } from "../tool-io.ts";
import { conflict, type GivenOptions, type OptionSpec } from "./jopt.ts";
import { fileOption, pairOption, ScriptExit, scriptOptions, usage } from "./script.ts";

/** kafka-console-consumer.sh. Source: core/…/tools/ConsoleConsumer.scala of Apache Kafka 2.7.1, and of 3.8 where it adds to it. */

export const CONSOLE_CONSUMER_OPTIONS: readonly OptionSpec[] = [
  { name: "bootstrap-server", arg: "required", requiredUnless: [], help: "Brokers to ask first: host:port,..." },
  { name: "topic", arg: "required", help: "What to read." },
  { name: "include", arg: "required", help: "The same, a regular expression that whole names match." },
  { name: "whitelist", arg: "required", help: "The same, by its former name." },
  { name: "partition", arg: "required", type: "int", onlyWith: ["topic"], help: "Read this partition only." },
  { name: "offset", arg: "required", onlyWith: ["partition"], help: "Where to begin with it: an offset, earliest or latest (default: latest)." },
  { name: "from-beginning", arg: "none", help: "Begin with the oldest record where the group has not read yet." },
  { name: "group", arg: "required", help: "Read as a member of this group." },
  { name: "max-messages", arg: "required", type: "int", help: "End after so many records." },
  { name: "timeout-ms", arg: "required", type: "int", help: "End when nothing has come for so long." },
  { name: "isolation-level", arg: "required", help: "read_uncommitted or read_committed (default: read_uncommitted)." },
  { name: "formatter", arg: "required", help: "kafka.tools.DefaultMessageFormatter, LoggingMessageFormatter or NoOpMessageFormatter." },
  { name: "property", arg: "required", list: true, help: "How a record is printed, key=value: print.timestamp, print.partition, print.offset, print.headers, print.key, print.value, key.separator, line.separator, headers.separator, null.literal, key.deserializer, value.deserializer, headers.deserializer." },
  { name: "formatter-config", arg: "required", help: "A file with such properties." },
  { name: "key-deserializer", arg: "required", help: "How keys are printed: a class of org.apache.kafka.common.serialization." },
  { name: "value-deserializer", arg: "required", help: "The same for values." },
  { name: "consumer-property", arg: "required", list: true, help: "A setting of the consumer, key=value." },
  { name: "consumer.config", arg: "required", help: "A file with such settings." },
  { name: "skip-message-on-error", arg: "none", help: "Go on after a record that can't be printed." },
  { name: "enable-systest-events", arg: "none", help: "Print shutdown_complete at the end." },
];

const CONSUMER_PROPERTIES = [
  "client.id", "group.id", "group.instance.id", "auto.offset.reset", "enable.auto.commit", "auto.commit.interval.ms", "isolation.level", "fetch.min.bytes", "fetch.max.bytes",
  "fetch.max.wait.ms", "max.partition.fetch.bytes", "session.timeout.ms", "heartbeat.interval.ms", "max.poll.interval.ms", "partition.assignment.strategy",
  "exclude.internal.topics", "allow.auto.create.topics", "metadata.max.age.ms", "request.timeout.ms",
];

/** Groups that nobody has named are named as Apache's, of which so many are possible. */
const GENERATED_GROUPS = 100_000;

/** 0 where there were enough records, nothing came for --timeout-ms, or nobody reads any more; the count goes to stderr. */
export async function consoleConsumer(argv: readonly string[], io: ToolIo): Promise<number> {
  const options = await scriptOptions("kafka-console-consumer.sh", CONSOLE_CONSUMER_OPTIONS, argv, io);
  if (typeof options === "number") return options;
  const { ended, count } = await consume(await requestOf(options, io), io);
  io.err(`Processed a total of ${count} messages`);
  if (options.has("enable-systest-events")) await io.output.write(Buffer.from("shutdown_complete\n"));
  if (ended === "interrupt") return interruptExitCode(io.interrupt);
  return ended === "failure" ? ScriptExit.failed : ScriptExit.ok;
}

async function requestOf(options: GivenOptions, io: ToolIo): Promise<ConsumeRequest> {
  const settings = new ClientSettings(await readProperties({ disk: io.host.disk, file: fileOption(options, "consumer.config"), pairs: pairOption(options, "consumer-property") }), CONSUMER_PROPERTIES);
  for (const notice of settings.notices) io.err(notice);
  const problem = conflict(options, "from-beginning", ["offset"]) ?? conflict(options, "topic", ["include", "whitelist"]);
  if (problem !== undefined) throw usage(problem);
  const given = settings.word("auto.offset.reset", ["earliest", "latest", "none"]);
  const fromBeginning = options.has("from-beginning");
  if (fromBeginning && given !== undefined && given !== "earliest") throw usage(`--from-beginning can't be used with auto.offset.reset=${given}`);
  const isolation = options.one("isolation-level") ?? settings.word("isolation.level", ["read_uncommitted", "read_committed"]);
  if (isolation !== undefined && isolation !== "read_uncommitted" && isolation !== "read_committed") throw usage(`--isolation-level ${isolation}: expected read_uncommitted or read_committed`);
  const max = options.number("max-messages") ?? -1;
  const timeoutMs = options.number("timeout-ms") ?? -1;
  return {
    bootstrap: parseBootstrap(options.one("bootstrap-server") ?? "", "--bootstrap-server"),
    clientId: settings.text("client.id") ?? "console-consumer",
    requestTimeoutMs: settings.number("request.timeout.ms") ?? 30_000,
    consumer: {
      source: await sourceOf(options, settings, io),
      reset: given ?? (fromBeginning ? "earliest" : "latest"),
      readCommitted: isolation === "read_committed",
      fetchBytesMin: settings.number("fetch.min.bytes") ?? 1,
      fetchBytesMax: settings.number("fetch.max.bytes") ?? 52_428_800,
      fetchWaitMs: settings.number("fetch.max.wait.ms") ?? 500,
      partitionBytesMax: settings.number("max.partition.fetch.bytes") ?? 1_048_576,
      metadataMaxAgeMs: settings.number("metadata.max.age.ms") ?? 300_000,
      createTopics: settings.flag("allow.auto.create.topics") ?? true,
    },
    recordsMax: max === -1 ? Infinity : max,
    idleMs: timeoutMs < 0 ? undefined : timeoutMs,
    format: await formatOf(options, io),
    skipErrors: options.has("skip-message-on-error"),
  };
}

async function sourceOf(options: GivenOptions, settings: ClientSettings, io: ToolIo): Promise<ConsumerSource> {
  const topic = options.one("topic");
  const included = options.has("include") ? "include" : "whitelist";
  const pattern = options.one(included);
  if (topic === undefined && pattern === undefined) throw usage("--topic or --include is required");
  const groupId = await groupOf(options, io);
  const partition = options.number("partition");
  if (topic !== undefined && partition !== undefined) {
    if (groupId !== undefined) throw usage("--partition can't be used with a group, which shares partitions out");
    return { kind: "partitions", partitions: [{ topic, partition, offset: offsetOf(options) }] };
  }
  const topics = topic === undefined ? javaPattern(pattern ?? "", `--${included}`) : [topic];
  return {
    kind: "group",
    groupId: groupId ?? `console-consumer-${io.host.random.below(GENERATED_GROUPS)}`,
    topics,
    internal: settings.flag("exclude.internal.topics") === false,
    instanceId: settings.text("group.instance.id"),
    sessionTimeoutMs: settings.number("session.timeout.ms", 1) ?? 10_000,
    heartbeatMs: settings.number("heartbeat.interval.ms", 1) ?? 3000,
    pollIntervalMsMax: settings.number("max.poll.interval.ms", 1) ?? 300_000,
    autoCommitMs: (settings.flag("enable.auto.commit") ?? groupId !== undefined) ? (settings.number("auto.commit.interval.ms") ?? 5000) : undefined,
    ...(settings.text("partition.assignment.strategy") !== undefined && { assignors: settings.parsed("partition.assignment.strategy", assignorsOf, [...ASSIGNORS.keys()].join(", ")) ?? [] }),
  };
}

const ASSIGNORS: ReadonlyMap<string, Assignor> = new Map([
  ["org.apache.kafka.clients.consumer.RangeAssignor", rangeAssignor],
  ["org.apache.kafka.clients.consumer.RoundRobinAssignor", roundRobinAssignor],
]);

function assignorsOf(text: string): Assignor[] | undefined {
  const assignors = text.split(",").flatMap((name) => ASSIGNORS.get(name.trim()) ?? []);
  return assignors.length === text.split(",").length ? assignors : undefined;
}

/** Undefined: nobody has named one. */
async function groupOf(options: GivenOptions, io: ToolIo): Promise<string | undefined> {
  const named = async (file: ReturnType<typeof fileOption>, pairs?: ReturnType<typeof pairOption>): Promise<string | undefined> => (await readProperties({ disk: io.host.disk, file, pairs })).get("group.id")?.value;
  const groups = new Set([options.one("group"), await named(undefined, pairOption(options, "consumer-property")), await named(fileOption(options, "consumer.config"))].filter((group) => group !== undefined));
  if (groups.size > 1) throw usage(`different groups are named: ${[...groups].join(", ")}`);
  return [...groups][0];
}

function offsetOf(options: GivenOptions): number | "earliest" | "latest" {
  const text = options.one("offset")?.toLowerCase() ?? (options.has("from-beginning") ? "earliest" : "latest");
  if (text === "earliest" || text === "latest") return text;
  const offset = Number(text);
  if (!/^\+?\d+$/.test(text) || !Number.isSafeInteger(offset)) throw usage(`--offset ${text}: expected earliest, latest or an offset`);
  return offset;
}

const FORMATTER = /^(?:kafka\.tools|org\.apache\.kafka\.tools\.consumer)\.(Default|Logging|NoOp)MessageFormatter$/;
const NOTHING = Buffer.alloc(0);
const PRINTED = ["timestamp", "partition", "offset", "headers", "key", "value"] as const;
const FORMAT_PROPERTIES = [...PRINTED.map((field) => `print.${field}`), "key.separator", "line.separator", "headers.separator", "null.literal", "key.deserializer", "value.deserializer", "headers.deserializer"];

async function formatOf(options: GivenOptions, io: ToolIo): Promise<(record: ConsumedRecord) => Buffer> {
  const named = options.one("formatter") ?? "kafka.tools.DefaultMessageFormatter";
  const kind = FORMATTER.exec(named)?.[1];
  if (kind === undefined) throw usage(`--formatter ${named}: Java classes can't be loaded here; there are kafka.tools.DefaultMessageFormatter, LoggingMessageFormatter and NoOpMessageFormatter`);
  const properties = await readProperties({ disk: io.host.disk, file: fileOption(options, "formatter-config"), pairs: pairOption(options, "property") });
  for (const { key, origin } of properties.values()) if (!FORMAT_PROPERTIES.includes(key)) io.err(`${origin} ${key} has no effect here`);
  const bytes = (key: string, otherwise: Buffer): Buffer => {
    const text = properties.get(key)?.value;
    return text === undefined ? otherwise : Buffer.from(text);
  };
  const deserializer = (key: string, option?: string): Show | undefined => {
    const className = (option === undefined ? undefined : options.one(option)) || properties.get(key)?.value;
    if (className === undefined) return undefined;
    const show = deserializerNamed(className);
    if (show === undefined) throw usage(`${key} ${className}: there are those of org.apache.kafka.common.serialization for String, ByteArray, Bytes, Short, Integer, Long, Float, Double and UUID`);
    return show;
  };
  const printed = PRINTED.map((field) => [field, (properties.get(`print.${field}`)?.value.trim().toLowerCase() ?? String(field === "value")) === "true"]);
  const format: RecordFormat = {
    ...DEFAULT_FORMAT,
    ...Object.fromEntries(printed),
    keySeparator: bytes("key.separator", DEFAULT_FORMAT.keySeparator),
    lineSeparator: bytes("line.separator", DEFAULT_FORMAT.lineSeparator),
    headersSeparator: bytes("headers.separator", DEFAULT_FORMAT.headersSeparator),
    nullLiteral: bytes("null.literal", DEFAULT_FORMAT.nullLiteral),
    showKey: deserializer("key.deserializer", "key-deserializer"),
    showValue: deserializer("value.deserializer", "value-deserializer"),
    showHeader: deserializer("headers.deserializer"),
  };
  if (kind === "NoOp") return () => NOTHING;
  return (record) => {
    if (kind === "Logging") io.err(`key:${String(record.key)}, value:${String(record.value)}`);
    return formatRecord(record, format);
  };
}
