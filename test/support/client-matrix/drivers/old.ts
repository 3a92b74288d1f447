import { writeFileSync } from "node:fs";
import { join } from "node:path";
import { mavenClassPath } from "../../apache-kafka.ts";
import type { KafkaCluster } from "../../kafka-cluster.ts";
import { eventually, run, temporaryDirectory } from "../../processes.ts";
import type { Codec, Seen } from "../client.ts";
import type { OldClient } from "../formats.ts";
import { Observer } from "../observer.ts";
import { JVM, verifiableConsumer } from "./java.ts";
import { kcatRecord } from "./kcat.ts";
import { KAFKA_PYTHON, PYTHON } from "./python.ts";
import { runScript, scriptedClient } from "./script.ts";

/** kcat as it speaks to a broker of this version, or (undefined) to one that it asks. */
export function oldKcat(bootstrap: string, brokerVersion: string | undefined, codecs: readonly Codec[]): OldClient {
  const settings = brokerVersion === undefined ? [] : ["-X", "api.version.request=false", "-X", `broker.version.fallback=${brokerVersion}`];
  return {
    name: `kcat to ${brokerVersion ?? "us"}`,
    codecs,
    async produce(topic, messages, codec) {
      const input = messages.map(({ key, value }) => `${key}\t${value}\n`).join("");
      const { code, stderr } = await run("kcat", ["-P", "-b", bootstrap, "-t", topic, "-p", "0", "-K", "\\t", "-z", codec, "-X", "acks=all", "-X", "linger.ms=50", ...settings], { input });
      if (code !== 0) throw new Error(`kcat can't produce: ${stderr}`);
      return messages;
    },
    async read(topic, { from, count, fetchBytes }) {
      const limit = fetchBytes === undefined ? [] : ["-X", `fetch.message.max.bytes=${fetchBytes}`];
      const { code, stdout, stderr } = await run("kcat", ["-C", "-b", bootstrap, "-t", topic, "-p", "0", "-o", String(from), "-c", String(count), "-J", "-q", ...limit, ...settings]);
      if (code !== 0) throw new Error(`kcat can't read: ${stdout.slice(-500)}${stderr}`);
      return linesOf(stdout).map((line) => kcatRecord(line));
    },
  };
}

/** kafka-python as it speaks to a broker of this version. */
export function oldKafkaPython(bootstrap: string, apiVersion: readonly number[], codecs: readonly Codec[]): OldClient {
  const name = `kafka-python to ${apiVersion.join(".")}`;
  const client = scriptedClient({ name, command: [PYTHON, KAFKA_PYTHON], codecs, bootstrap, options: { apiVersion } });
  return {
    name,
    codecs,
    async produce(topic, messages, codec) {
      await client.produce(topic, messages, codec);
      return messages;
    },
    async read(topic, wanted) {
      const stdout = await runScript(PYTHON, [KAFKA_PYTHON, "read", JSON.stringify({ bootstrap, apiVersion, topic, ...wanted })]);
      return linesOf(stdout).map((line) => seenOf(JSON.parse(line) as Seen));
    },
  };
}

/** The Java client of a release, under its own VerifiableProducer, which writes 0, 1, 2, … and no keys, and VerifiableConsumer. Undefined, after a loud line, where it can't be had. */
export async function oldJava(version: string): Promise<{ readonly name: string; readonly of: (cluster: KafkaCluster) => OldClient } | undefined> {
  const classPath = await mavenClassPath(`kafka-tools-${version}`, [`org.apache.kafka:kafka-tools:${version}`, `org.apache.kafka:kafka-clients:${version}`]);
  if (classPath === undefined) return undefined;
  const name = `Java ${version}`;
  let groups = 0;
  const of = (cluster: KafkaCluster): OldClient => ({
    name,
    codecs: ["none", "gzip", "snappy", "lz4"],
    async produce(topic, messages, codec) {
      const args = ["-cp", classPath, "org.apache.kafka.tools.VerifiableProducer", "--broker-list", cluster.bootstrap, "--topic", topic, "--max-messages", String(messages.length), "--acks", "-1"];
      const { code, stdout, stderr } = await withSettings({ "compression.type": codec, "linger.ms": 50 }, (config) => run("java", [...JVM, ...args, "--producer.config", config]));
      if (code !== 0 || stdout.includes("error")) throw new Error(`${name} can't produce: ${stdout}${stderr}`);
      return messages.map((_message, index) => ({ key: null, value: String(index) }));
    },
    async read(topic, { from, count, fetchBytes }) {
      const group = `${name.replace(" ", "-")}-${groups++}`;
      await new Observer(cluster).commit(group, topic, new Map([[0, from]]));
      return withSettings({ "heartbeat.interval.ms": 500, ...(fetchBytes === undefined ? {} : { "max.partition.fetch.bytes": fetchBytes }) }, async (config) => {
        const consumer = verifiableConsumer(classPath, ["--broker-list", cluster.bootstrap, "--topic", topic, "--group-id", group, "--session-timeout", "6000", "--verbose", "--consumer.config", config]);
        try {
          await eventually(`${count} records for ${name}`, () => consumer.records.length >= count || !consumer.process.running);
          return consumer.records.slice(0, count);
        } catch (error) {
          throw new Error(`${String(error)}: ${consumer.records.length} have come\n${consumer.process.output.slice(-2000)}`, { cause: error });
        } finally {
          await consumer.kill();
        }
      });
    },
  });
  return { name, of };
}

async function withSettings<T>(settings: Readonly<Record<string, string | number>>, use: (path: string) => Promise<T>): Promise<T> {
  const directory = temporaryDirectory();
  const path = join(directory.path, "client.properties");
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`);
  writeFileSync(path, lines.join(""));
  try {
    return await use(path);
  } finally {
    directory.remove();
  }
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line !== "");
}

function seenOf({ partition, offset, key, value }: Seen): Seen {
  return { partition, offset, key, value };
}
