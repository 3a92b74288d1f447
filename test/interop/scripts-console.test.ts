import { resolve } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { startCluster } from "../support/odradek-cluster.ts";
import type { KafkaCluster } from "../support/kafka-cluster.ts";
import { run, type Finished } from "../support/processes.ts";

/** kafka-console-producer.sh and kafka-console-consumer.sh beside Apache Kafka 2.7.1's own classes, on a cluster of ours: the same records, bytes, offsets and exit codes. */

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";
if (classPath === "") console.warn("SKIPPED the console scripts beside Apache's: they need Apache Kafka 2.7.1");

const BIN = resolve(import.meta.dirname, "../../bin");
const TOOLS = { producer: ["kafka.tools.ConsoleProducer", "kafka-console-producer.sh"], consumer: ["kafka.tools.ConsoleConsumer", "kafka-console-consumer.sh"] } as const;
type Whose = "apache" | "ours";

/** JVMs that start, one after the other. */
const SLOW = { timeout: 240_000 };
/** Ends as soon as they have come: waiting for nothing more would cost its whole time. */
const until = (records: number): string[] => ["--max-messages", String(records), "--timeout-ms", "30000"];
const END_OF_PARTITION = ["--timeout-ms", "4000"];

describe.runIf(classPath !== "")("console scripts", () => {
  let cluster: KafkaCluster;
  let topics = 0;

  beforeAll(async () => {
    cluster = await startCluster({ classPath, settings: { "min.insync.replicas": 1 } });
  }, 120_000);
  afterAll(async () => {
    await cluster?.close();
  });

  function tool(whose: Whose, which: keyof typeof TOOLS, args: readonly string[], input: string | Buffer = "", bootstrap = cluster.brokers[0]?.bootstrap ?? ""): Promise<Finished> {
    const [className, script] = TOOLS[which];
    const all = ["--bootstrap-server", bootstrap, ...args];
    return whose === "ours" ? run(resolve(BIN, script), all, { input, timeoutMs: 60_000 }) : run("java", ["-XX:TieredStopAtLevel=1", "-cp", classPath, className, ...all], { input, timeoutMs: 90_000 });
  }

  async function topic(partitions: number): Promise<string> {
    const name = `console-${++topics}`;
    const created = await run(resolve(BIN, "odradek"), ["topics", "create", name, "--bootstrap", cluster.brokers[0]?.bootstrap ?? "", "--partitions", String(partitions), "--replication-factor", "3"], { timeoutMs: 60_000 });
    expect(created).toMatchObject({ code: 0 });
    return name;
  }

  /** Apache's prompt goes to stdout, always. */
  const sent = (finished: Finished): Finished => ({ ...finished, stdout: finished.stdout.replaceAll(">", "") });
  const lines = (text: string): string[] => text.split("\n").toSorted();

  test.each<[string, readonly string[], string, number]>([
    ["plain lines, an empty one, the last one open", [], "a\n\nb\r\nc", 4],
    ["keys", ["--property", "parse.key=true", "--property", "key.separator=:"], "k1:a\nk2:b:c\n:d\nk3:\n", 4],
    ["keys that may be absent", ["--property", "parse.key=true", "--property", "ignore.error=true"], "k\ta\nb\n", 2],
    ["gzip", ["--compression-codec"], "a\nb\n", 2],
    ["snappy", ["--compression-codec", "snappy"], "a\nb\n", 2],
    ["lz4", ["--compression-codec=lz4"], "a\nb\n", 2],
    ["zstd", ["-compression-codec", "zstd"], "a\nb\n", 2],
    ["acks 0", ["--request-required-acks", "0"], "a\nb\n", 2],
    ["sync", ["--sync", "--request-required-acks", "all"], "a\nb\n", 2],
  ])("what either producer writes is the same: %s", SLOW, async (_what, options, input, records) => {
    const found: string[][] = [];
    for (const whose of ["apache", "ours"] as const) {
      const name = await topic(1);
      expect(sent(await tool(whose, "producer", ["--topic", name, ...options], input))).toMatchObject({ code: 0, stdout: "" });
      // The last of them is what a second producer writes: a record too many would take its place.
      expect((await tool("ours", "producer", ["--topic", name], "end\n")).code).toBe(0);
      const { stdout } = await tool("apache", "consumer", ["--topic", name, "--from-beginning", "--property", "print.key=true", "--property", "print.offset=true", ...until(records + 1)]);
      found.push(lines(stdout));
    }
    expect(found[1]).toEqual(found[0]);
    expect(found[0]?.length).toBeGreaterThan(2);
  });

  test("a key goes to the same partition, whoever writes it", SLOW, async () => {
    const name = await topic(5);
    const keys = Array.from({ length: 50 }, (_, index) => `${"k".repeat(index % 7)}${index}é:v\n`).join("");
    const options = ["--topic", name, "--property", "parse.key=true", "--property", "key.separator=:"];
    for (const whose of ["apache", "ours"] as const) expect((await tool(whose, "producer", options, keys)).code).toBe(0);
    const { stdout } = await tool("apache", "consumer", ["--topic", name, "--from-beginning", "--property", "print.key=true", "--property", "print.partition=true", ...until(100)]);
    const printed = lines(stdout).filter((line) => line !== "");
    expect(printed).toHaveLength(100);
    expect(new Set(printed).size).toBe(50);
  });

  describe("what either consumer prints", () => {
    let name: string;

    beforeAll(async () => {
      name = await topic(1);
      const input = "h1:a,h2:b\tk1=one\nh:NULL\tk2=NULL\nNULL\tNULL=three\n";
      const options = ["--topic", name, "--property", "parse.key=true", "--property", "key.separator==", "--property", "parse.headers=true", "--property", "null.marker=NULL"];
      expect((await tool("ours", "producer", options, input)).code).toBe(0);
    });

    test.each<[string, readonly string[], number?]>([
      ["values", []],
      ["all fields", ["timestamp", "partition", "offset", "headers", "key", "value"].flatMap((field) => ["--property", `print.${field}=true`])],
      ["no value", ["--property", "print.value=false", "--property", "print.key=TRUE"]],
      ["separators", ["--property", "print.key=true", "--property", "print.headers=true", "--property", "key.separator=|", "--property", "line.separator=;", "--property", "headers.separator=+", "--property", "null.literal=NIL"]],
      ["deserializers", ["--property", "print.key=true", "--key-deserializer", "org.apache.kafka.common.serialization.StringDeserializer", "--value-deserializer", "org.apache.kafka.common.serialization.BytesDeserializer"]],
      ["no formatter", ["--formatter", "kafka.tools.NoOpMessageFormatter"]],
      ["few of them", [], 2],
    ])("%s: the same bytes, count and code", SLOW, async (_what, options, records = 3) => {
      const args = ["--topic", name, "--from-beginning", ...options, ...until(records)];
      const [apache, ours] = [await tool("apache", "consumer", args), await tool("ours", "consumer", args)];
      expect(ours.stdout).toBe(apache.stdout);
      expect(ours.code).toBe(apache.code);
      const counted = /^Processed a total of (\d+) messages$/m;
      expect(counted.exec(ours.stderr)?.[1]).toBe(counted.exec(apache.stderr)?.[1]);
    });

    test.each<[string, readonly string[]]>([
      ["one partition from an offset", ["--partition", "0", "--offset", "1", ...until(2)]],
      ["one partition from its start", ["--partition", "0", "--offset", "EARLIEST", ...until(3)]],
      ["from the end", ["--partition", "0", ...END_OF_PARTITION]],
      ["names that match", ["--whitelist", "console-\\d+", "--from-beginning", ...until(3)]],
    ])("%s", SLOW, async (what, options) => {
      const args = [...(what === "names that match" ? [] : ["--topic", name]), ...options];
      const [apache, ours] = [await tool("apache", "consumer", args), await tool("ours", "consumer", args)];
      // Of several topics, which records come first is nobody's promise.
      if (what === "names that match") expect(lines(ours.stdout)).toHaveLength(lines(apache.stdout).length);
      else expect(ours.stdout).toBe(apache.stdout);
      expect(ours.code).toBe(apache.code);
    });

    test("a group that one began goes on with the other, from what was printed", SLOW, async () => {
      for (const [first, second] of [["apache", "ours"], ["ours", "apache"]] as const) {
        const group = `group-${first}`;
        const args = ["--topic", name, "--from-beginning", "--group", group, ...until(1)];
        const printed = [await tool(first, "consumer", args), await tool(second, "consumer", args)];
        expect(printed.map(({ code, stdout }) => [code, stdout])).toEqual([[0, "one\n"], [0, "null\n"]]);
      }
    });
  });

  test.each<[string, keyof typeof TOOLS, readonly string[], string]>([
    ["no topic", "consumer", [], ""],
    ["a partition in a group", "consumer", ["--topic", "t", "--partition", "0", "--group", "g"], ""],
    ["an offset without a partition", "consumer", ["--topic", "t", "--offset", "0"], ""],
    ["an option that does not exist", "consumer", ["--top", "t"], ""],
    ["a producer without a topic", "producer", [], ""],
    ["a number that is none", "producer", ["--topic", "t", "--batch-size", "x"], ""],
    ["a line without a key", "producer", ["--topic", "console-1", "--property", "parse.key=true"], "value\n"],
    ["a file that is not there", "producer", ["--topic", "t", "--producer.config", "/nosuch"], ""],
    ["a record that is too large", "producer", ["--topic", "console-1", "--producer-property", "max.request.size=100"], `${"x".repeat(200)}\n`],
    ["the same with --sync", "producer", ["--topic", "console-1", "--sync", "--producer-property", "max.request.size=100"], `${"x".repeat(200)}\n`],
  ])("the same exit code, and something on stderr: %s", SLOW, async (_what, which, args, input) => {
    const [apache, ours] = [await tool("apache", which, args, input), await tool("ours", which, args, input)];
    expect(ours.code).toBe(apache.code);
    expect(ours.stderr).not.toBe("");
  });
});
