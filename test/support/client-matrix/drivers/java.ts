import { join } from "node:path";
import { mavenClassPath } from "../../apache-kafka.ts";
import { run, ServerProcess } from "../../processes.ts";
import { Consumer, type ClientUnderTest, type ConsumerEvent, type Seen } from "../client.ts";

/** Small and soon awake. */
export const JVM = ["-Xmx128m", "-XX:TieredStopAtLevel=1", "-XX:+UseSerialGC", "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn"];

const CONFIG = join(import.meta.dirname, "java-consumer.properties");

/** A JVM that starts beside others on two cores takes seconds. */
const TOOL_MS_MAX = 60_000;

/** Where a release keeps its tools, and how they are told to read keys. */
interface Release {
  readonly version: string;
  readonly artifacts: readonly `${string}:${string}:${string}`[];
  readonly consoleProducer: string;
  readonly readerProperty: string;
  readonly consoleConsumer: string;
  readonly formatterProperty: string;
  readonly consumerProperty: string;
  readonly topicCommand: string;
  readonly consumerGroupCommand: string;
}

const RELEASES = {
  reference: {
    version: "2.7.1",
    artifacts: ["org.apache.kafka:kafka_2.13:2.7.1", "org.apache.kafka:kafka-tools:2.7.1"],
    consoleProducer: "kafka.tools.ConsoleProducer",
    readerProperty: "--property",
    consoleConsumer: "kafka.tools.ConsoleConsumer",
    formatterProperty: "--property",
    consumerProperty: "--consumer-property",
    topicCommand: "kafka.admin.TopicCommand",
    consumerGroupCommand: "kafka.admin.ConsumerGroupCommand",
  },
  newest: {
    version: "4.3.1",
    artifacts: ["org.apache.kafka:kafka-tools:4.3.1"],
    consoleProducer: "org.apache.kafka.tools.ConsoleProducer",
    readerProperty: "--reader-property",
    consoleConsumer: "org.apache.kafka.tools.consumer.ConsoleConsumer",
    formatterProperty: "--formatter-property",
    consumerProperty: "--command-property",
    topicCommand: "org.apache.kafka.tools.TopicCommand",
    consumerGroupCommand: "org.apache.kafka.tools.consumer.group.ConsumerGroupCommand",
  },
} as const satisfies Record<string, Release>;

/** Apache's own clients and tools of a release, on this machine. */
export class JavaTools {
  readonly release: Release;
  readonly classPath: string;

  private constructor(release: Release, classPath: string) {
    this.release = release;
    this.classPath = classPath;
  }

  /** Undefined, after a loud line, where there is no Java or no Maven. */
  static async of(name: keyof typeof RELEASES): Promise<JavaTools | undefined> {
    const release = RELEASES[name];
    const classPath = await mavenClassPath(`kafka-tools-${release.version}`, release.artifacts);
    return classPath === undefined ? undefined : new JavaTools(release, classPath);
  }

  /** What a class printed; rejects where it fails. */
  async run(mainClass: string, args: readonly string[], input = ""): Promise<string> {
    const { code, stdout, stderr } = await run("java", [...JVM, "-cp", this.classPath, mainClass, ...args], { timeoutMs: TOOL_MS_MAX, input });
    if (code !== 0 || stderr.includes("ERROR")) throw new Error(`${mainClass} ${args.join(" ")} ended with ${code}: ${stdout}${stderr}`);
    return stdout;
  }

  /** What kafka-consumer-groups.sh says. */
  consumerGroups(bootstrap: string, ...args: readonly string[]): Promise<string> {
    return this.run(this.release.consumerGroupCommand, ["--bootstrap-server", bootstrap, ...args]);
  }

  /** Of one group or of all. */
  async describeGroups(bootstrap: string, group?: string): Promise<DescribedOffset[]> {
    return describedOffsets(await this.consumerGroups(bootstrap, "--describe", ...(group === undefined ? ["--all-groups"] : ["--group", group])));
  }
}

/** A line of kafka-consumer-groups.sh --describe. */
export interface DescribedOffset {
  readonly group: string;
  readonly topic: string;
  readonly partition: number;
  readonly current: number;
  readonly end: number;
  readonly lag: number;
}

function describedOffsets(output: string): DescribedOffset[] {
  const lines = output.matchAll(/^(\S+) +(\S+) +(\d+) +(\d+) +(\d+) +(\d+) /gm);
  return Array.from(lines, ([, group = "", topic = "", partition, current, end, lag]) => ({ group, topic, partition: Number(partition), current: Number(current), end: Number(end), lag: Number(lag) }));
}

/** The Java client of a release under its console producer and its VerifiableConsumer. */
export function javaClient(tools: JavaTools, bootstrap: string): ClientUnderTest {
  const { version, consoleProducer, readerProperty, topicCommand } = tools.release;
  return {
    name: `Java ${version}`,
    codecs: ["none", "gzip", "snappy", "lz4", "zstd"],
    create: async (topic, partitions, replicas) => {
      await tools.run(topicCommand, ["--bootstrap-server", bootstrap, "--create", "--topic", topic, "--partitions", String(partitions), "--replication-factor", String(replicas)]);
    },
    produce: async (topic, messages, codec) => {
      const args = ["--bootstrap-server", bootstrap, "--topic", topic, readerProperty, "parse.key=true", "--compression-codec", codec, "--request-required-acks", "all"];
      await tools.run(consoleProducer, args, messages.map(({ key, value }) => `${key}\t${value}\n`).join(""));
    },
    consumer: (topic, group, { instanceId, cooperative = false } = {}) => {
      const instance = instanceId === undefined ? [] : ["--group-instance-id", instanceId];
      const assignor = cooperative ? ["--assignment-strategy", "org.apache.kafka.clients.consumer.CooperativeStickyAssignor"] : [];
      const args = ["--bootstrap-server", bootstrap, "--topic", topic, "--group-id", group, ...instance, ...assignor, "--session-timeout", "6000", "--verbose", "--consumer.config", CONFIG];
      return verifiableConsumer(tools.classPath, args, { cooperative });
    },
    committed: async (group, topic) => {
      const described = (await tools.describeGroups(bootstrap, group)).filter((line) => line.topic === topic);
      return new Map(described.toSorted((a, b) => a.partition - b.partition).map(({ partition, current }) => [partition, current]));
    },
  };
}

/** org.apache.kafka.tools.VerifiableConsumer of any release: it commits behind every poll, and leaves at SIGTERM. */
export function verifiableConsumer(classPath: string, args: readonly string[], { cooperative = false }: { readonly cooperative?: boolean } = {}): Consumer {
  return new Consumer((options) => new ServerProcess("java", [...JVM, "-cp", classPath, "org.apache.kafka.tools.VerifiableConsumer", ...args], options), (line) => eventOf(line, cooperative ? "added" : "assigned"));
}

/** Members log what they are given only at this level; 2.7.1 brings a log4j of its own. */
const TELLING = ["-Dorg.slf4j.simpleLogger.log.org.apache.kafka.clients.consumer=info", `-Dlog4j.configuration=file:${join(import.meta.dirname, "java-log4j.properties")}`];
const GROUP = ["session.timeout.ms=6000", "heartbeat.interval.ms=500", "auto.commit.interval.ms=200"];

/** The same release under its scripts alone: kafka-topics.sh, kafka-console-producer.sh, kafka-console-consumer.sh, kafka-consumer-groups.sh. */
export function javaScripts(tools: JavaTools, bootstrap: string): ClientUnderTest {
  const { version, consoleConsumer, formatterProperty, consumerProperty } = tools.release;
  const printed = ["print.partition=true", "print.offset=true", "print.key=true"].flatMap((property) => [formatterProperty, property]);
  const settings = GROUP.flatMap((setting) => [consumerProperty, setting]);
  return {
    ...javaClient(tools, bootstrap),
    name: `Kafka's scripts ${version}`,
    consumer: (topic, group) => {
      const args = ["--bootstrap-server", bootstrap, "--topic", topic, "--group", group, "--from-beginning", ...printed, ...settings];
      return new Consumer((options) => new ServerProcess("java", [...JVM, ...TELLING, "-cp", tools.classPath, consoleConsumer, ...args], options), consoleEvent);
    },
  };
}

/** `Partition:0\tOffset:7\tkey\tvalue`, or what the consumer logs of its partitions. */
function consoleEvent(line: string): ConsumerEvent | undefined {
  const [, partition, offset, key = null, value = ""] = /^Partition:(\d+)\tOffset:(\d+)\t([^\t]*)\t(.*)$/.exec(line) ?? [];
  if (partition !== undefined) return { event: "record", partition: Number(partition), offset: Number(offset), key, value };
  if (line.includes(" ERROR ")) return { event: "error", message: line };
  const [, change, list = ""] = /(Adding newly assigned partitions:|(?:Revoke|Lost) previously assigned partitions) ?(.*)$/.exec(line) ?? [];
  if (change === undefined) return undefined;
  return { event: change.startsWith("Adding") ? "added" : "revoked", partitions: Array.from(list.matchAll(/-(\d+)(?=[,\]]|$)/g), ([, number]) => Number(number)) };
}

interface Line {
  readonly name: string;
  readonly partitions?: readonly { readonly partition: number }[];
  readonly offsets?: readonly { readonly partition: number; readonly offset: number }[];
  readonly success?: boolean;
  readonly error?: string;
  readonly partition?: number;
  readonly offset?: number;
  readonly key?: string | null;
  readonly value?: string;
}

function eventOf(text: string, assigned: "assigned" | "added"): ConsumerEvent | undefined {
  if (!text.startsWith("{")) return text.includes(" ERROR ") ? { event: "error", message: text } : undefined;
  const line = JSON.parse(text) as Line;
  switch (line.name) {
    case "partitions_assigned":
      return { event: assigned, partitions: line.partitions?.map(({ partition }) => partition) ?? [] };
    case "partitions_revoked":
      return { event: "revoked", partitions: line.partitions?.map(({ partition }) => partition) ?? [] };
    case "offsets_committed":
      return line.success === true ? { event: "committed", offsets: Object.fromEntries(line.offsets?.map(({ partition, offset }) => [partition, offset]) ?? []) } : undefined;
    case "record_data":
      return { event: "record", ...recordOf(line) };
    default:
      return undefined;
  }
}

function recordOf({ partition = -1, offset = -1, key = null, value = "" }: Line): Seen {
  return { partition, offset, key, value };
}
