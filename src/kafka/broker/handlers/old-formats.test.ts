import { describe, expect, test } from "vitest";
import type { Decoded, Input } from "../../../codec/schema.ts";
import { BrokerConnection } from "../../client/broker-connection.ts";
import type { TopicConfig } from "../../config/topic-config.ts";
import type { LogConfig } from "../../log/log-config.ts";
import { Server } from "../../network/server.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { fetch } from "../../protocol/messages/fetch.ts";
import { produce } from "../../protocol/messages/produce.ts";
import { Codec, batchCodec, batchIsControl, batchMagic, wholeBatchSize } from "../../records/batch.ts";
import { buildBatch, type RecordToWrite } from "../../records/build.ts";
import { compress } from "../../records/compression.ts";
import { buildEndTxnMarker } from "../../records/control.ts";
import { legacyMessage, type LegacyMagic, type LegacyMessage } from "../../records/legacy.ts";
import { RecordReader } from "../../records/record-reader.ts";
import type { Partition } from "../../replication/partition.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import { Outcome, PartitionBench } from "../../replication/testing/partition-bench.ts";
import { Conversions } from "../conversions.ts";
import { FetchSessions } from "../fetch-sessions.ts";
import type { MetadataCache } from "../metadata-cache.ts";
import type { TopicIds } from "../topic-ids.ts";
import { fetchRoute } from "./fetch.ts";
import { produceRoute } from "./produce.ts";

const FETCH_BYTES_MAX = 10_000;

/** A broker that leads partition 0 of each topic, behind a listener of the simulated world, and a client of it. */
class Stage {
  readonly bench = new PartitionBench();
  readonly conversions = new Conversions(this.bench.node.host.timers);
  readonly settings = new Map<string, Partial<TopicConfig>>();
  readonly #partitions = new Map<string, Partition | ErrorCode>();
  #client: BrokerConnection | undefined;

  static async start(): Promise<Stage> {
    const stage = new Stage();
    const { host } = stage.bench.node;
    const shared = {
      metadata: { partition: (topic: string) => (stage.#partitions.has(topic) ? {} : undefined) } as unknown as MetadataCache,
      replicas: { find: (topic: string) => stage.#partitions.get(topic) } as unknown as ReplicaManager,
      timers: host.timers,
      conversions: stage.conversions,
      buffers: host.buffers,
    };
    const routes = [
      produceRoute({ ...shared, inSyncMin: () => 1 }),
      fetchRoute({
        ...shared,
        sessions: new FetchSessions({ slots: 10, random: host.random }),
        topicIds: {} as TopicIds,
        clock: host.clock,
        configOf: (topic) => ({ compressionType: "producer", messageDownconversionEnable: true, ...stage.settings.get(topic) }),
        fetchBytesMax: FETCH_BYTES_MAX,
      }),
    ];
    const limits = { requestBytesMax: 10_000_000, idleMsMax: 0, connectionsMax: 10 };
    const server = new Server(host, { listenerName: "L", host: undefined, port: 9092, ...limits }, routes);
    await stage.bench.settle(server.bind());
    server.process();
    stage.bench.world.addNode("client");
    stage.#client = await stage.connect();
    return stage;
  }

  connect(): Promise<BrokerConnection> {
    const [, client] = this.bench.world.nodes;
    if (client === undefined) throw new Error("no client");
    return this.bench.settle(BrokerConnection.connect(client.host, { host: "broker", port: 9092, clientId: "old", connectTimeoutMs: 1000, requestTimeoutMs: 60_000 }));
  }

  get client(): BrokerConnection {
    if (this.#client === undefined) throw new Error("not started");
    return this.#client;
  }

  topic(name: string, config: Partial<LogConfig> = {}): Partition {
    const partition = this.bench.led({ replicas: [1] }, name, 0, { messageTimestampDifferenceMaxMs: 2 ** 53, ...config });
    this.#partitions.set(name, partition);
    return partition;
  }

  /** What the replica manager knows of the topic. */
  host(name: string, found: Partition | ErrorCode): void {
    this.#partitions.set(name, found);
  }

  send(version: number, records: Readonly<Record<string, Buffer>>, acks: -1 | 0 | 1 = 1): Promise<Decoded<typeof produce.response>> {
    return this.client.send(produce, version, produced(records, acks));
  }

  /** [error, base offset] of each topic. */
  async produce(version: number, records: Readonly<Record<string, Buffer>>): Promise<[number, number][]> {
    const { responses } = await this.bench.settle(this.send(version, records));
    return responses.flatMap((topic) => topic.partitionResponses.map(({ errorCode, baseOffset }): [number, number] => [errorCode, baseOffset]));
  }

  async fetch(version: number, from: Readonly<Record<string, number>>, options: Asked = {}): Promise<Answer[]> {
    return answersOf(await this.bench.settle(this.client.send(fetch, version, fetched(from, options))));
  }

  /** Every batch that the log holds: format and codec, and the records. */
  async stored(partition: Partition): Promise<{ batches: [number, number][]; values: (string | null)[] }> {
    const read = await this.bench.settle(partition.log.read({ offset: 0, maxBytes: 1e7, maxOffset: partition.log.endOffset, minOneMessage: true }));
    if (read.kind === "refused") throw new Error(read.message);
    const bytes = Buffer.concat(read.chunks);
    const batches: [number, number][] = [];
    for (let at = 0; at < bytes.length; at += wholeBatchSize(bytes, at, bytes.length)) batches.push([batchMagic(bytes, at), batchCodec(bytes, at)]);
    return { batches, values: recordsIn(bytes).map(({ value }) => value) };
  }
}

function produced(records: Readonly<Record<string, Buffer>>, acks: -1 | 0 | 1 = 1): Input<typeof produce.request> {
  return { acks, timeoutMs: 1000, topicData: Object.entries(records).map(([name, bytes]) => ({ name, partitionData: [{ index: 0, records: [bytes] }] })) };
}

interface Asked {
  readonly partitionMaxBytes?: number;
  readonly maxWaitMs?: number;
  readonly maxBytes?: number;
}

function fetched(from: Readonly<Record<string, number>>, { partitionMaxBytes = 1e6, maxWaitMs = 0, maxBytes = 1e6 }: Asked): Input<typeof fetch.request> {
  const topics = Object.entries(from).map(([topic, fetchOffset]) => ({ topic, partitions: [{ partition: 0, fetchOffset, partitionMaxBytes }] }));
  return { maxWaitMs, minBytes: 1, maxBytes, topics, forgottenTopicsData: [] };
}

interface Answer {
  readonly error: number;
  readonly highWatermark: number;
  readonly magics: readonly number[];
  readonly offsets: readonly number[];
  readonly values: readonly (string | null)[];
}

function answersOf({ responses }: Decoded<typeof fetch.response>): Answer[] {
  return responses.flatMap((topic) =>
    topic.partitions.map(({ errorCode, highWatermark, records }) => {
      const bytes = Buffer.concat(records ?? []);
      const seen = recordsIn(bytes);
      const magics = new Set<number>();
      for (let at = 0; at < bytes.length; at += wholeBatchSize(bytes, at, bytes.length)) magics.add(batchMagic(bytes, at));
      return { error: errorCode, highWatermark, magics: [...magics], offsets: seen.map(({ offset }) => offset), values: seen.map(({ value }) => value) };
    }),
  );
}

function recordsIn(bytes: Buffer): { offset: number; value: string | null }[] {
  const reader = new RecordReader();
  const seen: { offset: number; value: string | null }[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = wholeBatchSize(bytes, at, bytes.length);
    if (size <= 0) throw new Error("a cut or impossible batch");
    reader.open(bytes, at, size, 1e7);
    while (reader.next()) if (!batchIsControl(bytes, at)) seen.push({ offset: reader.offset, value: reader.value()?.toString() ?? null });
    at += size;
  }
  return seen;
}

function message(magic: LegacyMagic, value: string, fields: Partial<LegacyMessage> = {}): Buffer {
  return legacyMessage({ magic, offset: 0, codec: Codec.none, timestamp: 1000, appendTime: false, key: null, value: Buffer.from(value), ...fields });
}

function wrapped(magic: LegacyMagic, codec: number, ...values: readonly string[]): Buffer {
  const inner = Buffer.concat(values.map((value, offset) => message(magic, value, { offset })));
  return legacyMessage({ magic, offset: values.length - 1, codec, timestamp: 1000, appendTime: false, key: null, value: compress(codec, inner, magic) });
}

function batch(count: number, codec: number = Codec.none, first = 0, bytes = 0): Buffer {
  return buildBatch(Array.from({ length: count }, (_, i): RecordToWrite => ({ key: null, value: Buffer.from(`${first + i}`.padEnd(bytes)), timestamp: 1000 })), { codec });
}

function control(): Buffer {
  return buildEndTxnMarker(7, 1, { committed: true, coordinatorEpoch: 3, timestamp: 5 });
}

function write(partition: Partition, ...batches: readonly Buffer[]): void {
  for (const bytes of batches) {
    const appended = partition.append(bytes, { origin: "coordinator", inSyncMin: 0 }, () => undefined);
    if (appended.kind === "refused") throw new Error(appended.message);
  }
}

describe("Produce 0 to 2", () => {
  for (const version of [0, 1, 2]) {
    for (const magic of [0, 1] as const) {
      test(`version ${version}: messages and wrappers of format ${magic} are stored in format 2, with their codec`, async () => {
        const stage = await Stage.start();
        const partition = stage.topic("t");
        expect(await stage.produce(version, { t: Buffer.concat([message(magic, "a"), message(magic, "b")]) })).toEqual([[0, 0]]);
        for (const [index, codec] of [Codec.gzip, Codec.snappy, Codec.lz4].entries()) expect(await stage.produce(version, { t: wrapped(magic, codec, "c", "d", "e") })).toEqual([[0, 2 + 3 * index]]);
        expect(await stage.produce(version, { t: batch(1, Codec.zstd) })).toEqual([[0, 11]]);
        expect(await stage.stored(partition)).toEqual({
          batches: [[2, 0], [2, Codec.gzip], [2, Codec.snappy], [2, Codec.lz4], [2, Codec.zstd]],
          values: ["a", "b", "c", "d", "e", "c", "d", "e", "c", "d", "e", "0"],
        });
      });
    }
  }

  test("the time of the append comes with version 2", async () => {
    const stage = await Stage.start();
    stage.topic("t", { messageTimestampType: "LogAppendTime" });
    for (const version of [1, 2]) {
      const { responses } = await stage.bench.settle(stage.send(version, { t: message(0, "a") }));
      const time = responses[0]?.partitionResponses[0]?.logAppendTimeMs;
      if (version === 1) expect(time).toBe(-1);
      else expect(time).toBeGreaterThan(1e12);
    }
  });

  test("each partition has an outcome of its own", async () => {
    const stage = await Stage.start();
    for (const name of ["good", "large", "old"]) stage.topic(name, name === "large" ? { maxMessageBytes: 100 } : {});
    stage.host("elsewhere", ErrorCode.NOT_LEADER_OR_FOLLOWER);
    const damaged = message(1, "x");
    damaged.writeUInt8(0, damaged.length - 1);
    const outcomes = await stage.produce(2, {
      good: message(1, "a"),
      large: message(1, "x".repeat(50)),
      old: damaged,
      elsewhere: message(1, "a"),
      unknown: message(1, "a"),
      __consumer_offsets: message(1, "a"),
    });
    expect(outcomes).toEqual([[0, 0], [ErrorCode.MESSAGE_TOO_LARGE, -1], [ErrorCode.CORRUPT_MESSAGE, -1], [ErrorCode.NOT_LEADER_OR_FOLLOWER, -1], [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1], [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, -1]]);
  });

  test("not one whole message is nothing, and no error", async () => {
    const stage = await Stage.start();
    const partition = stage.topic("t");
    expect(await stage.produce(2, { t: message(1, "a").subarray(0, 30) })).toEqual([[0, -1]]);
    expect(await stage.produce(0, { t: Buffer.alloc(0) })).toEqual([[0, -1]]);
    expect(partition.log.endOffset).toBe(0);
  });

  test("a later version still takes nothing but one batch", async () => {
    const stage = await Stage.start();
    stage.topic("t");
    expect(await stage.produce(3, { t: message(1, "a") })).toEqual([[ErrorCode.INVALID_RECORD, -1]]);
    expect(await stage.produce(3, { t: Buffer.alloc(0) })).toEqual([[ErrorCode.INVALID_RECORD, -1]]);
    expect(await stage.produce(3, { t: batch(1) })).toEqual([[0, 0]]);
  });

  test("requests of one connection are appended in their order, whatever must be converted", async () => {
    const stage = await Stage.start();
    const partition = stage.topic("t");
    const slow = wrapped(1, Codec.gzip, ...Array.from({ length: 20 }, () => "s".repeat(50_000)));
    const sent = [stage.send(2, { t: slow }), stage.send(2, { t: message(0, "a") }), stage.send(9, { t: batch(1) }), stage.send(9, { t: batch(1) }), stage.send(1, { t: slow }), stage.send(3, { t: batch(1) })];
    const answers = await stage.bench.settle(Promise.all(sent));
    expect(answers.map(({ responses }) => responses[0]?.partitionResponses[0]?.baseOffset)).toEqual([0, 20, 21, 22, 23, 43]);
    expect(partition.log.endOffset).toBe(44);
  });

  test("without acks nothing is answered, and what fails closes the connection", async () => {
    const stage = await Stage.start();
    const partition = stage.topic("t");
    const unanswered = Outcome.of(stage.send(1, { t: message(0, "a") }, 0).catch(() => "closed"));
    await stage.bench.run(100);
    expect([unanswered.value, partition.log.endOffset]).toEqual(["waiting", 1]);
    void stage.send(1, { t: Buffer.concat([message(0, "a"), message(1, "b")]) }, 0).catch(() => undefined);
    await stage.bench.run(100);
    expect([unanswered.value, partition.log.endOffset]).toEqual(["closed", 1]);
  });

  test("a stop closes the connections of those whose records are being converted", async () => {
    const stage = await Stage.start();
    stage.topic("t");
    stage.conversions.close();
    await expect(stage.produce(2, { t: message(1, "a") })).rejects.toMatchObject({ code: "ECONNRESET" });
  });
});

describe("Fetch 0 to 3", () => {
  test("gives format 0 below version 2 and format 1 below 4, from the offset on where the batch is plain, whole wrappers where it is packed", async () => {
    const stage = await Stage.start();
    write(stage.topic("plain"), batch(5), batch(5, Codec.none, 5));
    write(stage.topic("packed"), batch(5, Codec.gzip), batch(5, Codec.lz4, 5));
    for (const [version, magic] of [[0, 0], [1, 0], [2, 1], [3, 1]] as const) {
      const [plain, packed] = await stage.fetch(version, { plain: 3, packed: 3 });
      expect(plain).toEqual({ error: 0, highWatermark: 10, magics: [magic], offsets: [3, 4, 5, 6, 7, 8, 9], values: ["3", "4", "5", "6", "7", "8", "9"] });
      expect(packed).toMatchObject({ error: 0, highWatermark: 10, magics: [magic], offsets: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] });
    }
    expect(await stage.fetch(4, { plain: 3, packed: 3 })).toMatchObject([{ magics: [2], offsets: [0, 1, 2, 3, 4, 5, 6, 7, 8, 9] }, { magics: [2] }]);
  });

  test("gives each partition a message, however small the limits; in version 3 only the first", async () => {
    const stage = await Stage.start();
    for (const name of ["t", "u", "v"]) write(stage.topic(name), batch(5, name === "u" ? Codec.gzip : Codec.none, 0, 100), batch(5, Codec.none, 5, 100));
    for (const version of [0, 1, 2]) expect((await stage.fetch(version, { t: 2, u: 0, v: 9 }, { partitionMaxBytes: 1 })).map(({ offsets }) => offsets)).toEqual([[2], [0, 1, 2, 3, 4], [9]]);
    expect((await stage.fetch(3, { t: 2, u: 0, v: 9 }, { partitionMaxBytes: 1 })).map(({ offsets }) => offsets)).toEqual([[2], [], []]);
    // A message of 100 bytes takes 134.
    expect((await stage.fetch(2, { t: 0 }, { partitionMaxBytes: 200 })).map(({ offsets }) => offsets)).toEqual([[0, 1]]);
  });

  test("no response is larger than fetch.max.bytes and a batch, of however many partitions", async () => {
    const stage = await Stage.start();
    const names = Array.from({ length: 10 }, (_, index) => `t${index}`);
    for (const name of names) write(stage.topic(name), batch(3, Codec.none, 0, 1000));
    const answers = await stage.fetch(2, Object.fromEntries(names.map((name) => [name, 0])));
    expect(answers.map(({ offsets }) => offsets.length)).toEqual([3, 3, 3, 1, 0, 0, 0, 0, 0, 0]);
  });

  test("messages of old formats in the log are given as they are, but for format 1 where only 0 is known", async () => {
    const stage = await Stage.start();
    const partition = stage.bench.create("old");
    partition.become({ leader: 2, leaderEpoch: 0, isr: [1, 2], replicas: [1, 2], zkVersion: 0 });
    const records = Buffer.concat([message(0, "a"), message(1, "b", { offset: 1 }), message(1, "c", { offset: 2 })]);
    partition.appendAsFollower(0, { records, highWatermark: 3, logStartOffset: 0 }, () => undefined);
    partition.become({ leader: 1, leaderEpoch: 1, isr: [1], replicas: [1, 2], zkVersion: 0 });
    await stage.bench.run(10);
    stage.host("old", partition);
    expect(await stage.fetch(0, { old: 0 })).toMatchObject([{ magics: [0], offsets: [0, 1, 2], values: ["a", "b", "c"] }]);
    expect(await stage.fetch(2, { old: 1 })).toMatchObject([{ magics: [1], offsets: [1, 2] }]);
    stage.settings.set("old", { messageDownconversionEnable: false });
    expect(await stage.fetch(2, { old: 0 })).toMatchObject([{ magics: [0, 1], offsets: [0, 1, 2] }]);
    expect(await stage.fetch(0, { old: 0 })).toMatchObject([{ error: ErrorCode.UNSUPPORTED_VERSION, offsets: [] }]);
  });

  test("with message.downconversion.enable=false batches are not converted", async () => {
    const stage = await Stage.start();
    write(stage.topic("t"), batch(2));
    stage.settings.set("t", { messageDownconversionEnable: false });
    expect(await stage.fetch(3, { t: 0 })).toMatchObject([{ error: ErrorCode.UNSUPPORTED_VERSION, highWatermark: -1, offsets: [] }]);
    expect(await stage.fetch(3, { t: 2 })).toMatchObject([{ error: 0, offsets: [] }]);
    expect(await stage.fetch(4, { t: 0 })).toMatchObject([{ error: 0, offsets: [0, 1] }]);
  });

  test("zstd among what is stored ends the messages, and is refused where it comes first", async () => {
    const stage = await Stage.start();
    write(stage.topic("t"), batch(2), batch(2, Codec.zstd, 2), batch(1, Codec.none, 4));
    expect(await stage.fetch(2, { t: 0 })).toMatchObject([{ error: 0, offsets: [0, 1] }]);
    expect(await stage.fetch(2, { t: 2 })).toMatchObject([{ error: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, offsets: [] }]);
    expect(await stage.fetch(4, { t: 2 })).toMatchObject([{ error: 0, offsets: [2, 3, 4] }]);
  });

  test("what converts to nothing is read on from, partition by partition", async () => {
    const stage = await Stage.start();
    const control10 = Array.from({ length: 10 }, control);
    write(stage.topic("t"), ...control10, batch(1, Codec.none, 10));
    write(stage.topic("u"), batch(1));
    expect((await stage.fetch(2, { t: 0, u: 0 }, { partitionMaxBytes: 100 })).map(({ offsets }) => offsets)).toEqual([[10], [0]]);
  });

  test("where nothing lies behind what converts to nothing, the consumer waits for it", async () => {
    const stage = await Stage.start();
    const partition = stage.topic("t");
    write(partition, batch(1), control());
    const waiting = Outcome.of(stage.client.send(fetch, 2, fetched({ t: 1 }, { maxWaitMs: 5000 })));
    await stage.bench.run(1000);
    expect(waiting.value).toBe("waiting");
    write(partition, control());
    await stage.bench.run(1000);
    expect(waiting.value).toBe("waiting");
    write(partition, batch(1, Codec.none, 3));
    await stage.bench.run(100);
    expect(waiting.value === "waiting" ? [] : answersOf(waiting.value)).toMatchObject([{ error: 0, offsets: [3], highWatermark: 4 }]);
    const began = stage.bench.nowMs;
    expect(await stage.fetch(2, { t: 4 }, { maxWaitMs: 3000 })).toMatchObject([{ error: 0, offsets: [] }]);
    expect(stage.bench.nowMs - began).toBeGreaterThanOrEqual(3000);
  });

  test("what goes wrong behind the offset that was asked for is not the answer", async () => {
    const stage = await Stage.start();
    const partition = stage.topic("t");
    write(partition, control(), control());
    const waiting = Outcome.of(stage.client.send(fetch, 2, fetched({ t: 0 }, { maxWaitMs: 5000 })));
    await stage.bench.run(1000);
    partition.become({ leader: 2, leaderEpoch: 1, isr: [2], replicas: [1, 2], zkVersion: 1 });
    await stage.bench.run(1000);
    expect(waiting.value === "waiting" ? [] : answersOf(waiting.value)).toMatchObject([{ error: 0, offsets: [], highWatermark: 2 }]);
    expect(await stage.fetch(2, { t: 0 })).toMatchObject([{ error: ErrorCode.NOT_LEADER_OR_FOLLOWER }]);
  });
});

describe("what older consumers can't know", () => {
  test("topics with compression.type=zstd are refused below version 10, before anything is read", async () => {
    const stage = await Stage.start();
    write(stage.topic("t"), batch(1));
    stage.settings.set("t", { compressionType: "zstd" });
    for (const version of [0, 3, 4, 9]) expect(await stage.fetch(version, { t: 0 })).toMatchObject([{ error: ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, offsets: [] }]);
    expect(await stage.fetch(10, { t: 0 })).toMatchObject([{ error: 0, offsets: [0] }]);
  });

  test("a storage error is told as NOT_LEADER_OR_FOLLOWER up to version 5", async () => {
    const stage = await Stage.start();
    stage.host("t", ErrorCode.KAFKA_STORAGE_ERROR);
    for (const version of [0, 3, 4, 5]) expect(await stage.fetch(version, { t: 0 })).toMatchObject([{ error: ErrorCode.NOT_LEADER_OR_FOLLOWER }]);
    expect(await stage.fetch(6, { t: 0 })).toMatchObject([{ error: ErrorCode.KAFKA_STORAGE_ERROR }]);
  });
});
