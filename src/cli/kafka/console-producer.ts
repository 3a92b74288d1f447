import { parseBootstrap } from "../bootstrap.ts";
import { ClientSettings, readProperties } from "../client-properties.ts";
import { CODECS, produce, type ProduceRequest } from "../produce.ts";
import { DEFAULT_LINE_RULES, ruleConflict, type LineRules } from "../record-line.ts";
import { interruptExitCode, type ToolIo } from "../tool-io.ts";
import type { GivenOptions, OptionSpec } from "./jopt.ts";
import { fileOption, pairOption, ScriptExit, scriptOptions, usage } from "./script.ts";

/** kafka-console-producer.sh. Source: core/…/tools/ConsoleProducer.scala of Apache Kafka 2.7.1, and of 3.8 where its ways are better. */

export const CONSOLE_PRODUCER_OPTIONS: readonly OptionSpec[] = [
  { name: "topic", arg: "required", requiredUnless: [], help: "Where to write." },
  { name: "bootstrap-server", arg: "required", requiredUnless: ["broker-list"], help: "Brokers to ask first: host:port,..." },
  { name: "broker-list", arg: "required", help: "The same, by its former name." },
  { name: "sync", arg: "none", help: "Wait for each record's acknowledgement." },
  { name: "compression-codec", arg: "optional", help: "none, gzip, snappy, lz4 or zstd; alone: gzip (default: none)." },
  { name: "timeout", arg: "required", type: "int", help: "Milliseconds that a batch waits for more records (default: 1000)." },
  { name: "batch-size", arg: "required", type: "int", help: "Bytes of a batch (default: 16384)." },
  { name: "max-partition-memory-bytes", arg: "required", type: "long", help: "The same; wins over --batch-size." },
  { name: "max-memory-bytes", arg: "required", type: "long", help: "Bytes that may wait to be sent (default: 33554432)." },
  { name: "request-required-acks", arg: "required", help: "Who must have a record: all or -1, 0, 1 (default: -1)." },
  { name: "request-timeout-ms", arg: "required", type: "int", help: "Milliseconds that an answer may take (default: 1500)." },
  { name: "message-send-max-retries", arg: "required", type: "int", help: "How often a batch is sent again (default: 3)." },
  { name: "retry-backoff-ms", arg: "required", type: "int", help: "Milliseconds before a batch is sent again (default: 100)." },
  { name: "max-block-ms", arg: "required", type: "long", help: "Milliseconds that brokers and the topic are looked for (default: 60000)." },
  { name: "metadata-expiry-ms", arg: "required", type: "long", help: "Milliseconds after which partitions are asked for anew (default: 300000)." },
  { name: "socket-buffer-size", arg: "required", type: "int", ignored: true, help: "Without effect." },
  { name: "line-reader", arg: "required", help: "The reader of lines; there is this one: kafka.tools.ConsoleProducer$LineMessageReader." },
  { name: "property", arg: "required", list: true, help: "How a line is read, key=value: parse.key, key.separator, parse.headers, headers.delimiter, headers.separator, headers.key.separator, null.marker, ignore.error." },
  { name: "reader-config", arg: "required", help: "A file with such properties." },
  { name: "producer-property", arg: "required", list: true, help: "A setting of the producer, key=value." },
  { name: "producer.config", arg: "required", help: "A file with such settings." },
];

const READERS: readonly (string | undefined)[] = [undefined, "kafka.tools.ConsoleProducer$LineMessageReader", "org.apache.kafka.tools.LineMessageReader"];
const READER_PROPERTIES = ["topic", "parse.key", "key.separator", "parse.headers", "headers.delimiter", "headers.separator", "headers.key.separator", "null.marker", "ignore.error"];
const PRODUCER_PROPERTIES = [
  "client.id", "acks", "linger.ms", "batch.size", "compression.type", "max.request.size", "enable.idempotence", "retries", "retry.backoff.ms",
  "request.timeout.ms", "max.block.ms", "metadata.max.age.ms", "buffer.memory",
];

/** 0 even where records were not acknowledged, which is told, as Apache's; 1 where --sync is given or a line can't be read. */
export async function consoleProducer(argv: readonly string[], io: ToolIo): Promise<number> {
  const options = await scriptOptions("kafka-console-producer.sh", CONSOLE_PRODUCER_OPTIONS, argv, io);
  if (typeof options === "number") return options;
  const { ended } = await produce(await requestOf(options, io), io);
  if (ended === "interrupt") return interruptExitCode(io.interrupt);
  return ended === "failure" ? ScriptExit.failed : ScriptExit.ok;
}

async function requestOf(options: GivenOptions, io: ToolIo): Promise<ProduceRequest> {
  const [server = options.one("broker-list") ?? "", via] = options.has("bootstrap-server") ? [options.one("bootstrap-server"), "--bootstrap-server"] : [undefined, "--broker-list"];
  const settings = new ClientSettings(await readProperties({ disk: io.host.disk, file: fileOption(options, "producer.config"), pairs: pairOption(options, "producer-property") }), PRODUCER_PROPERTIES);
  for (const notice of settings.notices) io.err(notice);
  const sync = options.has("sync");
  /** The command line wins, then the settings. */
  const figure = (option: string, key: string, otherwise: number): number => {
    const given = options.number(option);
    if (given !== undefined && given < 0) throw usage(`--${option} ${given}: expected no negative number`);
    return given ?? settings.number(key) ?? otherwise;
  };
  const acks = options.has("request-required-acks") ? acksOf(options.one("request-required-acks") ?? "") : (settings.parsed("acks", (text) => ACKS.get(text.toLowerCase()), ACKS_EXPECTED) ?? -1);
  const idempotent = settings.flag("enable.idempotence");
  if (idempotent === true && acks !== -1) throw usage("enable.idempotence needs acks of all");
  return {
    bootstrap: parseBootstrap(server, via),
    clientId: settings.text("client.id") ?? "console-producer",
    topic: options.one("topic") ?? "",
    rules: await rulesOf(options, io),
    sync,
    producer: {
      acks,
      codec: codecOf(options),
      // One record after the other gains nothing by waiting.
      lingerMs: sync ? 0 : figure("timeout", "linger.ms", 1000),
      batchBytes: figure(options.has("max-partition-memory-bytes") ? "max-partition-memory-bytes" : "batch-size", "batch.size", 16_384),
      bufferBytes: figure("max-memory-bytes", "buffer.memory", 33_554_432),
      recordBytesMax: settings.number("max.request.size") ?? 1_048_576,
      retries: figure("message-send-max-retries", "retries", 3),
      retryBackoffMs: figure("retry-backoff-ms", "retry.backoff.ms", 100),
      requestTimeoutMs: figure("request-timeout-ms", "request.timeout.ms", 1500),
      metadataTimeoutMs: figure("max-block-ms", "max.block.ms", 60_000),
      metadataMaxAgeMs: figure("metadata-expiry-ms", "metadata.max.age.ms", 300_000),
      idempotent: idempotent ?? acks === -1,
    },
  };
}

const ACKS: ReadonlyMap<string, -1 | 0 | 1> = new Map([["all", -1], ["-1", -1], ["0", 0], ["1", 1]]);
const ACKS_EXPECTED = "all, -1, 0 or 1";

function acksOf(text: string): -1 | 0 | 1 {
  const acks = ACKS.get(text.toLowerCase());
  if (acks === undefined) throw usage(`--request-required-acks ${text}: expected ${ACKS_EXPECTED}`);
  return acks;
}

/** Whatever compression.type says: the option's default wins over it too, as in Apache's. */
function codecOf(options: GivenOptions): number {
  if (!options.has("compression-codec")) return CODECS.get("none") ?? 0;
  const name = options.one("compression-codec") || "gzip";
  const codec = CODECS.get(name);
  if (codec === undefined) throw usage(`--compression-codec ${name}: expected ${[...CODECS.keys()].join(", ")}`);
  return codec;
}

async function rulesOf(options: GivenOptions, io: ToolIo): Promise<LineRules> {
  const reader = options.one("line-reader");
  if (!READERS.includes(reader)) throw usage(`--line-reader ${reader}: Java classes can't be loaded here; leave it out for the reader of lines`);
  const properties = await readProperties({ disk: io.host.disk, file: fileOption(options, "reader-config"), pairs: pairOption(options, "property") });
  for (const { key, origin } of properties.values()) if (!READER_PROPERTIES.includes(key)) io.err(`${origin} ${key} has no effect here`);
  const text = (key: string): string | undefined => properties.get(key)?.value;
  const flag = (key: string): boolean => text(key)?.trim().toLowerCase() === "true";
  const rules: LineRules = {
    key: flag("parse.key"),
    keySeparator: text("key.separator") ?? DEFAULT_LINE_RULES.keySeparator,
    headers: flag("parse.headers"),
    headersDelimiter: text("headers.delimiter") ?? DEFAULT_LINE_RULES.headersDelimiter,
    headersSeparator: text("headers.separator") ?? DEFAULT_LINE_RULES.headersSeparator,
    headersKeySeparator: text("headers.key.separator") ?? DEFAULT_LINE_RULES.headersKeySeparator,
    lenient: flag("ignore.error"),
    nullMarker: text("null.marker"),
  };
  const conflict = ruleConflict(rules);
  if (conflict !== undefined) throw usage(conflict);
  return rules;
}
