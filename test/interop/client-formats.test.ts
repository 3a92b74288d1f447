import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath, dumpLog } from "../support/apache-kafka.ts";
import type { Codec } from "../support/client-matrix/client.ts";
import { hasKcat, kcat } from "../support/client-matrix/drivers/kcat.ts";
import { oldJava, oldKafkaPython, oldKcat } from "../support/client-matrix/drivers/old.ts";
import { hasKafkaPython } from "../support/client-matrix/drivers/python.ts";
import { judgeFormats, writeModern, type FormatSubject, type OldClient } from "../support/client-matrix/formats.ts";
import type { BrokerKind, KafkaCluster } from "../support/kafka-cluster.ts";
import { eventually } from "../support/processes.ts";
import { startCluster } from "../support/odradek-cluster.ts";

/**
 * Clients of the days of formats 0 and 1, and newer ones that speak as to brokers of those days, on three brokers of
 * ours. With MATRIX_CLUSTER=apache the same is told of Apache Kafka 2.7.1.
 */

const KIND = (process.env["MATRIX_CLUSTER"] ?? "odradek") as BrokerKind;
const MODERN = "formats-modern";
const classPath = await apacheKafkaClassPath("2.7.1");

const WITHOUT_LZ4: readonly Codec[] = ["none", "gzip", "snappy"];
const ALL: readonly Codec[] = ["none", "gzip", "snappy", "lz4"];
/** The version of the broker that a client takes us for, and the codecs that were known then. */
const KCAT: readonly (readonly [string, readonly Codec[]])[] = [
  ["0.8.2.2", ALL],
  ["0.9.0.1", ALL],
  ["0.10.0.1", ALL],
];
const KAFKA_PYTHON: readonly (readonly [readonly number[], readonly Codec[]])[] = [
  [[0, 8, 1], WITHOUT_LZ4],
  [[0, 8, 2], ALL],
  [[0, 9], ALL],
  [[0, 10], ALL],
  [[0, 10, 1], ALL],
  [[0, 11], ALL],
  [[1, 0], ALL],
];

interface Candidate {
  readonly name: string;
  readonly of: (cluster: KafkaCluster) => OldClient;
}

const javas = await Promise.all(["0.9.0.1", "0.10.1.1"].map((version) => oldJava(version)));
const candidates: readonly Candidate[] = [
  ...(hasKcat ? KCAT : []).map(([version, codecs]) => ({ name: `kcat to ${version}`, of: ({ bootstrap }: KafkaCluster) => oldKcat(bootstrap, version, codecs) })),
  ...(hasKafkaPython ? KAFKA_PYTHON : []).map(([version, codecs]) => ({ name: `kafka-python to ${version.join(".")}`, of: ({ bootstrap }: KafkaCluster) => oldKafkaPython(bootstrap, version, codecs) })),
  ...javas.filter((java) => java !== undefined),
];

describe.runIf(hasKcat)("old formats on a cluster", () => {
  let cluster: KafkaCluster;

  beforeAll(async () => {
    cluster = await startCluster({ kind: KIND, classPath: classPath ?? "" });
    await writeModern(cluster, kcat(cluster.bootstrap), MODERN);
  }, 120_000);

  afterAll(() => cluster?.close());

  for (const { name, of } of candidates) {
    const subject = (): FormatSubject => ({
      cluster,
      client: of(cluster),
      modern: { ...kcat(cluster.bootstrap), read: (topic, wanted) => oldKcat(cluster.bootstrap, undefined, ALL).read(topic, wanted) },
      topic: MODERN,
    });
    judgeFormats(name, subject, { limited: KIND === "odradek" });
  }

  test.runIf(classPath !== undefined)("a Java consumer of 2.7.1 reads all that they wrote, and nothing but format 2 is stored", { timeout: 120_000 }, async () => {
    const broker = cluster.broker(1);
    const topics = [...new Set(broker.directories("formats").map((name) => name.replace(/-\d+$/, "")))].filter((topic) => topic !== MODERN);
    expect(topics.length).toBeGreaterThanOrEqual(candidates.length * 3);
    await eventually("all replicas have all", () => cluster.brokers.every((each) => topics.every((topic) => each.segments(topic, 0).length > 0)));
    const segments = cluster.brokers.flatMap((each) => topics.flatMap((topic) => each.segments(topic, 0)));
    const { stdout } = await dumpLog(classPath ?? "", "--files", segments.join(","));
    expect(new Set(Array.from(stdout.matchAll(/ magic: (\d)/g), ([, magic]) => magic))).toEqual(new Set(["2"]));
    const consumed = await cluster.tool("kafka.tools.ConsoleConsumer", ["--whitelist", topics.join("|"), "--from-beginning", "--max-messages", String(topics.length * 60), "--timeout-ms", "20000"]);
    expect(consumed.stdout.trimEnd().split("\n")).toHaveLength(topics.length * 60);
  });
});
