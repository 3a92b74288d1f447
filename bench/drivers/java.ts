import { mavenClassPath } from "../../test/support/apache-kafka.ts";
import { run } from "../../test/support/processes.ts";
import { versions } from "../settings.ts";
import type { Printed } from "./run.ts";

/** Of kafka-run-class.sh for tools. */
const HEAP = ["-Xmx512M", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20"];

const JAVA_MS_MAX = 300_000;
const MEBIBYTE = 1_048_576;

interface Order {
  readonly bootstrap: string;
  readonly topic: string;
  readonly records: number;
}

async function java(main: string, args: readonly string[]): Promise<string> {
  const classPath = await mavenClassPath(`kafka-tools-${versions.apache}`, [`org.apache.kafka:kafka_2.13:${versions.apache}`, `org.apache.kafka:kafka-tools:${versions.apache}`]);
  if (classPath === undefined) throw new Error("Kafka's tools can't be had: apt-get install -y default-jre-headless maven, and a way to Maven Central");
  const { code, stdout, stderr } = await run("java", [...HEAP, "-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-cp", classPath, main, ...args], { timeoutMs: JAVA_MS_MAX });
  // Both tools print what goes wrong, and end with 0 all the same.
  const fault = `${stdout}\n${stderr}`.split("\n").find((line) => /Exception|\bERROR\b/.test(line));
  if (code !== 0 || fault !== undefined) throw new Error(`${main} ended with ${code ?? "a signal"}: ${fault ?? stderr.slice(-1000)}`);
  return stdout;
}

/** kafka-producer-perf-test.sh's own class, as fast as it can. */
export async function javaProduce({ bootstrap, topic, records, size }: Order & { readonly size: number }): Promise<Printed> {
  const props = [`bootstrap.servers=${bootstrap}`, "acks=all", "linger.ms=5"];
  return parseProducer(await java("org.apache.kafka.tools.ProducerPerformance", ["--topic", topic, "--num-records", String(records), "--record-size", String(size), "--throughput", "-1", "--producer-props", ...props]), { records, size });
}

/** Its last line: `N records sent, … records/sec (… MB/sec), … avg latency, …, … ms 99th, …`, of MB of 2^20 bytes. */
export function parseProducer(printed: string, { records, size }: { readonly records: number; readonly size: number }): Printed {
  const last = printed.trim().split("\n").at(-1) ?? "";
  const found = /^(\d+) records sent, .*\(([\d.]+) MB\/sec\).* ([\d.]+) ms 99th/.exec(last);
  if (found === null || Number(found[1]) !== records) throw new Error(`the producer printed ${last}, and ${records} records were wanted`);
  return { records, bytes: records * size, megabytesPerSecond: (Number(found[2]) * MEBIBYTE) / 1e6, ackP99Ms: Number(found[3]) };
}

/** kafka-consumer-perf-test.sh's own class, in a group of its own. */
export async function javaConsume({ bootstrap, topic, records }: Order): Promise<Printed> {
  return parseConsumer(await java("kafka.tools.ConsumerPerformance", ["--bootstrap-server", bootstrap, "--topic", topic, "--messages", String(records), "--timeout", "30000", "--hide-header"]), records);
}

/** One line: start, end, MB consumed, MB/s, messages, … What it says of fetching alone is wrong in 2.7.1, whose time of the rebalance may be a date. */
export function parseConsumer(printed: string, records: number): Printed {
  const last = printed.trim().split("\n").at(-1) ?? "";
  const fields = last.split(", ");
  const [mebibytes, rate, got] = [Number(fields[2]), Number(fields[3]), Number(fields[4])];
  if (fields.length < 10 || !(got >= records) || !(rate > 0)) throw new Error(`the consumer printed ${last}, and ${records} records were wanted`);
  return { records: got, bytes: mebibytes * MEBIBYTE, megabytesPerSecond: (rate * MEBIBYTE) / 1e6 };
}
