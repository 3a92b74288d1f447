import { expect, test } from "vitest";
import type { Host } from "../host/host.ts";
import { World } from "../host/sim/world.ts";
import { ClusterAdmin } from "../kafka/client/cluster-admin.ts";
import { GroupAdmin } from "../kafka/client/group-admin.ts";
import { fetchOffsets } from "../kafka/client/group-offsets.ts";
import { errorCode } from "../lib/error.ts";
import { consoleConsumer } from "./kafka/console-consumer.ts";
import { consoleProducer } from "./kafka/console-producer.ts";
import { consumeCommand, type ConsumeOptions } from "./odradek/consume.ts";
import { produceCommand, type ProduceOptions } from "./odradek/produce.ts";
import type { ToolIo } from "./tool-io.ts";
import { SimulatedBrokers } from "../../test/support/simulated-brokers.ts";

/** One command's streams: `give` adds to the input, which goes on until `end`. */
class Terminal {
  readonly io: ToolIo;
  printed = "";
  readonly told: string[] = [];
  /** Writes that succeed before the reader has gone. */
  writesMax = Infinity;
  readonly #interrupt = new AbortController();
  readonly #chunks: Buffer[] = [];
  #ended = false;
  #wake: (() => void) | undefined;

  constructor(host: Host, interactive = false) {
    this.io = {
      host,
      input: this.#input(),
      output: {
        write: (bytes) => {
          if (this.writesMax-- <= 0) return Promise.resolve(false);
          this.printed += bytes.toString("latin1");
          return Promise.resolve(true);
        },
      },
      err: (line) => void this.told.push(line),
      interrupt: this.#interrupt.signal,
      interactive,
    };
  }

  give(text: string): this {
    this.#chunks.push(Buffer.from(text));
    this.#wake?.();
    return this;
  }

  end(): this {
    this.#ended = true;
    this.#wake?.();
    return this;
  }

  interrupt(signal: "SIGINT" | "SIGTERM" = "SIGINT"): void {
    this.#interrupt.abort(signal);
  }

  async *#input(): AsyncGenerator<Buffer> {
    for (;;) {
      const chunk = this.#chunks.shift();
      if (chunk !== undefined) yield chunk;
      else if (this.#ended) return;
      else await new Promise<void>((resolve) => (this.#wake = resolve));
    }
  }
}

async function stage(count = 1) {
  const brokers = await SimulatedBrokers.start(count, ["offsets.topic.replication.factor=1"]);
  const { world } = brokers;
  const { host } = brokers.clientNode;
  const bootstrap = "kafka1:9092";
  const client = brokers.client();
  const settle = <T>(promise: Promise<T>): Promise<T> => world.settle(promise);
  const produceOptions: ProduceOptions = { bootstrap, dir: "", timeout: 5000, compression: "none", acks: "all" };
  const consumeOptions: ConsumeOptions = { bootstrap, dir: "", print: ["value"], separator: "\t", fromBeginning: true, timeout: 2000 };
  return {
    host, world, client, settle,
    /** Codes and output of a command that ends by itself. */
    produce: async (topic: string, text: string, options: Partial<ProduceOptions> = {}) => {
      const terminal = new Terminal(host).give(text).end();
      return { code: await settle(produceCommand(topic, { ...produceOptions, ...options }, terminal.io)), told: terminal.told };
    },
    consume: async (topics: readonly string[], options: Partial<ConsumeOptions> = {}) => {
      const terminal = new Terminal(host);
      return { code: await settle(consumeCommand(topics, { ...consumeOptions, ...options }, terminal.io)), printed: terminal.printed, told: terminal.told };
    },
    producer: async (text: string, ...argv: readonly string[]) => {
      const terminal = new Terminal(host).give(text).end();
      return { code: await settle(consoleProducer(["--bootstrap-server", bootstrap, ...argv], terminal.io)), printed: terminal.printed, told: terminal.told };
    },
    consumer: async (...argv: readonly string[]) => {
      const terminal = new Terminal(host);
      return { code: await settle(consoleConsumer(["--bootstrap-server", bootstrap, ...argv], terminal.io)), printed: terminal.printed, told: terminal.told };
    },
    produceOptions, consumeOptions, bootstrap,
  };
}

const sorted = (text: string): string[] => text.replace(/\n$/, "").split("\n").toSorted();
const counted = (count: number): string => `Processed a total of ${count} messages`;

test("odradek produce makes the topic and writes a record a line, odradek consume prints them until nothing comes", async () => {
  const { produce, consume } = await stage();
  expect(await produce("t", "one\ntwo\r\n\nlast")).toMatchObject({ code: 0, told: [] });
  const { code, printed, told } = await consume(["t"]);
  expect([code, sorted(printed), told]).toEqual([0, ["", "last", "one", "two"], ["no record has come for 2000 ms"]]);
});

test("keys, headers and null go there and back, and every field can be printed; --max is an end", async () => {
  const { produce, consume } = await stage();
  await produce("t", "a:1,b:-\tk=v\n-\tk=-\n", { keySeparator: "=", headers: true, null: "-", compression: "gzip", sync: true });
  const { printed } = await consume(["t"], { print: ["partition", "offset", "headers", "key", "value"], separator: "|", max: 2 });
  expect(printed.replaceAll(/Partition:\d/g, "P")).toBe("P|Offset:0|a:1,b:null|k|v\nP|Offset:1|NO_HEADERS|k|null\n");
  const { printed: json, code } = await consume(["t"], { json: true, max: 1 });
  expect(code).toBe(0);
  expect(JSON.parse(json)).toMatchObject({ topic: "t", offset: 0, timestampType: "CreateTime", key: "k", value: "v", headers: [{ key: "a", value: "1" }, { key: "b", value: null }] });
});

test("one partition from one offset on; one that is not there is named", async () => {
  const { produce, consume, client, settle } = await stage();
  await settle(new ClusterAdmin(client).createTopic({ name: "one", partitions: 1, replicationFactor: 1 }));
  await produce("one", "a\nb\nc\n");
  expect((await consume(["one"], { partition: 0, offset: 1, fromBeginning: false })).printed).toBe("b\nc\n");
  expect((await consume(["one"], { partition: 0 })).printed).toBe("a\nb\nc\n");
  const missing = "one-7: the broker answers UNKNOWN_TOPIC_OR_PARTITION";
  expect(await consume(["one"], { partition: 7, offset: 1, fromBeginning: false })).toEqual({ code: 0, printed: "", told: [missing, "no record has come for 2000 ms"] });
});

test("a group goes on behind what it has printed, also where --max ended it in the midst of a batch", async () => {
  const { produce, consume, client, settle } = await stage();
  await settle(new ClusterAdmin(client).createTopic({ name: "one", partitions: 1, replicationFactor: 1 }));
  await produce("one", "a\nb\nc\n");
  expect(await consume(["one"], { group: "g", max: 2, timeout: 20_000 })).toMatchObject({ code: 0, printed: "a\nb\n" });
  expect((await settle(fetchOffsets(client, "g", null))).map(({ offset }) => offset)).toEqual([2]);
  expect(await consume(["one"], { group: "g", max: 1, timeout: 20_000 })).toMatchObject({ code: 0, printed: "c\n" });
});

test("Ctrl-C: what was printed is committed, the member leaves, and the code is that of the signal", async () => {
  const { host, world, produce, client, settle, consumeOptions } = await stage();
  await produce("t", "a\nb\n");
  const terminal = new Terminal(host);
  const { timeout: _none, ...endless } = consumeOptions;
  const running = consumeCommand(["t"], { ...endless, group: "g" }, terminal.io);
  await world.run({ until: () => terminal.printed.length === 4, withinMs: 30_000 });
  terminal.interrupt("SIGTERM");
  expect(await settle(running)).toBe(143);
  expect(terminal.told).toEqual(["2 records"]);
  const [described] = await settle(new GroupAdmin(client).describe(["g"]));
  expect(described).toMatchObject({ groupState: "Empty" });
  expect((await settle(fetchOffsets(client, "g", null))).reduce((sum, { offset }) => sum + offset, 0)).toBe(2);
});

test("a reader that has gone ends it with 0, and what it did not take is not committed", async () => {
  const { host, produce, client, settle, consumeOptions } = await stage();
  await produce("t", "a\n");
  const terminal = new Terminal(host);
  terminal.writesMax = 0;
  expect(await settle(consumeCommand(["t"], { ...consumeOptions, group: "g", timeout: 20_000 }, terminal.io))).toBe(0);
  expect(terminal.told).toEqual(["nobody reads the output any more"]);
  expect(await settle(fetchOffsets(client, "g", null))).toEqual([]);
});

test("Ctrl-C while lines are typed: those that were given are written, the code is 130; each line has a prompt where somebody types", async () => {
  const { host, world, settle, consume, produceOptions } = await stage();
  const terminal = new Terminal(host, true);
  const running = produceCommand("t", produceOptions, terminal.io);
  await world.run({ until: () => terminal.printed === ">", withinMs: 10_000 });
  terminal.give("a\nb\nunfinished");
  await world.run({ until: () => terminal.printed === ">>>", withinMs: 10_000 });
  terminal.interrupt();
  expect(await settle(running)).toBe(130);
  expect(sorted((await consume(["t"])).printed)).toEqual(["a", "b"]);
});

test("a record that is refused is told and makes odradek fail; the script goes on and ends with 0, with --sync at once and 1", async () => {
  const { produce, producer, consume, client, settle } = await stage();
  await settle(new ClusterAdmin(client).createTopic({ name: "small", partitions: 1, replicationFactor: 1, configs: new Map([["max.message.bytes", "200"]]) }));
  const long = "x".repeat(300);
  const failure = /^Error when sending message to topic small with key: null, value: 300 bytes with error: .*MESSAGE_TOO_LARGE/;
  const refused = await produce("small", `${long}\na\n`, { sync: false });
  expect([refused.code, refused.told]).toEqual([1, [expect.stringMatching(failure)]]);
  expect(await producer(`${long}\nb\n`, "--topic", "small")).toMatchObject({ code: 0, told: [expect.stringMatching(failure)] });
  expect(await producer(`${long}\nc\n`, "--topic", "small", "--sync")).toMatchObject({ code: 1, told: [expect.stringMatching(failure)] });
  expect(sorted((await consume(["small"])).printed)).toEqual(["a", "b"]);
});

test("the script's line without a key ends it with 1, what came before is written", async () => {
  const { producer, consume } = await stage();
  const keyed = ["--topic", "t", "--property", "parse.key=true", "--property", "key.separator=:"];
  expect(await producer("k:a\nb\nk:c\n", ...keyed)).toMatchObject({ code: 1, told: [expect.stringContaining("line 2 has no key")] });
  expect(await producer("b\n", ...keyed, "--property", "ignore.error=true")).toMatchObject({ code: 0, told: [] });
  expect(sorted((await consume(["t"], { print: ["key", "value"], separator: "=" })).printed)).toEqual(["k=a", "null=b"]);
});

test("acks 0 and 1 and every codec arrive", async () => {
  const { producer, consume } = await stage();
  for (const acks of ["0", "1", "all"]) expect((await producer(`acks ${acks}\n`, "--topic", "t", "--request-required-acks", acks)).code).toBe(0);
  for (const codec of ["gzip", "snappy", "lz4", "zstd"]) expect((await producer(`${codec}\n`, "--topic", "t", "--compression-codec", codec)).code).toBe(0);
  expect((await producer("alone\n", "--compression-codec", "--topic", "t")).code).toBe(0);
  expect(sorted((await consume(["t"])).printed)).toEqual(["acks 0", "acks 1", "acks all", "alone", "gzip", "lz4", "snappy", "zstd"]);
});

test("kafka-console-consumer.sh: a group of its own name without commits, or the named one with them; the count comes last", async () => {
  const { producer, consumer, client, settle } = await stage();
  await producer("a\nb\n", "--topic", "t.one");
  const first = await consumer("--topic", "t.one", "--from-beginning", "--timeout-ms", "15000");
  expect([first.code, sorted(first.printed), first.told]).toEqual([0, ["a", "b"], ["no record has come for 15000 ms", counted(2)]]);
  const groups = (await settle(new GroupAdmin(client).list())).map(({ groupId }) => groupId);
  expect(groups.filter((group) => !/^console-consumer-\d{1,5}$/.test(group))).toEqual([]);
  for (const group of groups) expect(await settle(fetchOffsets(client, group, null))).toEqual([]);
  const second = await consumer("--include", "t\\..*", "--group", "named", "--consumer-property", "auto.offset.reset=earliest", "--max-messages", "2", "--timeout-ms", "15000", "--enable-systest-events");
  expect([second.code, sorted(second.printed), second.told]).toEqual([0, ["a", "b", "shutdown_complete"], [counted(2)]]);
  expect((await settle(fetchOffsets(client, "named", null))).reduce((sum, { offset }) => sum + offset, 0)).toBe(2);
});

test("kafka-console-consumer.sh prints as it is told; what can't be printed ends it with 1, or is skipped", async () => {
  const { producer, consumer } = await stage();
  await producer("1234=a\n12345=b\n", "--topic", "t", "--property", "parse.key=true", "--property", "key.separator==");
  const options = ["--topic", "t", "--from-beginning", "--timeout-ms", "15000", "--property", "print.key=true", "--property", "key.separator= is "];
  expect(sorted((await consumer(...options)).printed)).toEqual(["1234 is a", "12345 is b"]);
  const integer = ["--key-deserializer", "org.apache.kafka.common.serialization.IntegerDeserializer"];
  expect(await consumer(...options, ...integer, "--skip-message-on-error")).toMatchObject({ code: 0, printed: "825373492 is a\n", told: [expect.stringContaining("5 bytes are no integer"), expect.anything(), counted(2)] });
  expect((await consumer(...options, ...integer)).code).toBe(1);
  expect(await consumer(...options, "--formatter", "kafka.tools.NoOpMessageFormatter")).toMatchObject({ code: 0, printed: "", told: [expect.anything(), counted(2)] });
  expect(await consumer("--topic", "t", "--max-messages", "0")).toMatchObject({ code: 0, printed: "", told: [counted(0)] });
});

test.each<[name: string, tool: (argv: readonly string[], io: ToolIo) => Promise<number>, argv: readonly string[], problem: RegExp]>([
  ["producer: no topic", consoleProducer, ["--bootstrap-server", "a:1"], /--topic is required/],
  ["producer: no broker", consoleProducer, ["--topic", "t"], /--bootstrap-server or --broker-list is required/],
  ["producer: no port", consoleProducer, ["--topic", "t", "--broker-list", "a"], /^--broker-list a: expected host:port/],
  ["producer: codec", consoleProducer, ["--topic", "t", "--broker-list", "a:1", "--compression-codec", "zip"], /expected none, gzip/],
  ["producer: acks", consoleProducer, ["--topic", "t", "--broker-list", "a:1", "--request-required-acks", "2"], /expected all, -1, 0 or 1/],
  ["producer: acks of a property", consoleProducer, ["--topic", "t", "--broker-list", "a:1", "--producer-property", "acks=2"], /^--producer-property: acks=2: expected all/],
  ["producer: reader", consoleProducer, ["--topic", "t", "--broker-list", "a:1", "--line-reader", "com.example.R"], /Java classes/],
  ["producer: TLS", consoleProducer, ["--topic", "t", "--broker-list", "a:1", "--producer-property", "security.protocol=SSL"], /only PLAINTEXT/],
  ["producer: same separators", consoleProducer, ["--topic", "t", "--broker-list", "a:1", "--property", "null.marker=,"], /headers.separator and null.marker/],
  ["consumer: no topic", consoleConsumer, ["--bootstrap-server", "a:1"], /--topic or --include/],
  ["consumer: two topics", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--whitelist", "u"], /--whitelist can't be used with --topic/],
  ["consumer: partition of a pattern", consoleConsumer, ["--bootstrap-server", "a:1", "--include", "t", "--partition", "0"], /--partition can only be used with --topic/],
  ["consumer: partition in a group", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--partition", "0", "--group", "g"], /--partition can't be used with a group/],
  ["consumer: offset alone", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--offset", "0"], /--offset can only be used with --partition/],
  ["consumer: offset", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--partition", "0", "--offset", "-1"], /expected earliest, latest or an offset/],
  ["consumer: two groups", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--group", "g", "--consumer-property", "group.id=h"], /different groups/],
  ["consumer: beginning and latest", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--from-beginning", "--consumer-property", "auto.offset.reset=latest"], /--from-beginning can't/],
  ["consumer: Java's pattern", consoleConsumer, ["--bootstrap-server", "a:1", "--include", "(?i)t"], /Java/],
  ["consumer: formatter", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--formatter", "kafka.tools.ChecksumMessageFormatter"], /Java classes/],
  ["consumer: deserializer", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--value-deserializer", "com.example.D"], /value.deserializer com.example.D/],
  ["consumer: isolation", consoleConsumer, ["--bootstrap-server", "a:1", "--topic", "t", "--isolation-level", "none"], /read_uncommitted or read_committed/],
])("wrong usage is named: %s", async (_name, tool, argv, problem) => {
  const { host } = new World({ seed: 1 }).addNode("client");
  const running = tool(argv, new Terminal(host).io);
  await expect(running).rejects.toThrow(problem);
  expect(await running.catch(errorCode)).toBe("ERR_USAGE");
});

test("a broker that can't be reached is told at once, and after --timeout the producer fails; a consumer waits on, until it is interrupted", async () => {
  const { host, world, settle, produceOptions, consumeOptions } = await stage();
  const terminal = new Terminal(host).give("a\n").end();
  const producing = produceCommand("t", { ...produceOptions, bootstrap: "kafka1:1" }, terminal.io);
  await expect(settle(producing)).rejects.toThrow(/no broker answers at kafka1:1 within 5 s/);
  expect(terminal.told).toEqual([expect.stringMatching(/^no broker answers at kafka1:1 yet, trying for 5 s: /)]);
  const second = new Terminal(host);
  const { timeout: _none, ...endless } = consumeOptions;
  const consuming = consumeCommand(["t"], { ...endless, bootstrap: "kafka1:1" }, second.io);
  await world.run({ forMs: 7000 });
  expect(second.told).toEqual([expect.stringMatching(/^no broker answers at kafka1:1 yet: /), expect.anything()]);
  second.interrupt();
  expect(await settle(consuming)).toBe(130);
});
