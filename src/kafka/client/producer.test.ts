import { expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { closeConnection } from "../network/request.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { initProducerId } from "../protocol/messages/init-producer-id.ts";
import { metadata } from "../protocol/messages/metadata.ts";
import { produce } from "../protocol/messages/produce.ts";
import { batchBaseSequence, batchProducerId, Codec } from "../records/batch.ts";
import { readFetched } from "./fetched-batches.ts";
import { partitionFor } from "./partitioner.ts";
import { Producer, type ProducerOptions, type RecordToSend } from "./producer.ts";
import { ScriptedCluster, topicLedBy } from "../../../test/support/scripted-cluster.ts";

const defaults: ProducerOptions = {
  acks: -1, codec: Codec.none, lingerMs: 50, batchBytes: 16_384, bufferBytes: 1_000_000, recordBytesMax: 100_000, retries: 3, retryBackoffMs: 20,
  requestTimeoutMs: 1000, metadataTimeoutMs: 2000, metadataMaxAgeMs: 60_000, idempotent: false,
};

interface Written {
  readonly broker: number;
  readonly atMs: number;
  readonly partition: number;
  readonly values: readonly string[];
  readonly producerId: number;
  readonly sequence: number;
}

/** Brokers that note each batch, and answer with the codes of the script, then with NONE and an offset that counts on. */
async function stage(options: Partial<ProducerOptions> = {}, leaders: readonly number[] = [1]) {
  const cluster = await ScriptedCluster.start(2);
  cluster.topics = [topicLedBy("t", leaders)];
  const written: Written[] = [];
  const script: (number | typeof closeConnection | "silence")[] = [];
  const ends = new Map<number, number>();
  for (const broker of [1, 2]) {
    cluster.on(broker, produce, ({ topicData: [topic] }) => {
      const data = topic?.partitionData[0];
      const bytes = Buffer.concat(data?.records ?? []);
      const partition = data?.index ?? -1;
      const { records } = readFetched({ topic: "t", partition, bytes, from: 0, aborted: undefined });
      written.push({ broker, atMs: cluster.world.nowMs, partition, values: records.map(({ value }) => String(value)), producerId: batchProducerId(bytes, 0), sequence: batchBaseSequence(bytes, 0) });
      const said = script.shift() ?? 0;
      if (said === closeConnection) return closeConnection;
      if (said === "silence") return new Promise(() => undefined);
      const baseOffset = ends.get(partition) ?? 0;
      if (said === 0) ends.set(partition, baseOffset + records.length);
      return { responses: [{ name: "t", partitionResponses: [{ index: partition, errorCode: said, baseOffset: said === 0 ? baseOffset : -1, errorMessage: said === 0 ? null : "because" }] }] };
    });
  }
  let ids = 100;
  cluster.every(initProducerId, () => ({ errorCode: 0, producerId: ids++, producerEpoch: 0 }));
  const client = cluster.client({ retryTimeoutMs: 2000 });
  const troubles: string[] = [];
  const producer = new Producer(client, { ...defaults, onTrouble: (error) => troubles.push(errorCode(error) ?? ""), ...options });
  return { cluster, client, producer, written, script, troubles, settle: <T>(promise: Promise<T>): Promise<T> => cluster.world.settle(promise) };
}

const record = (value: string, more: Partial<RecordToSend> = {}): RecordToSend => ({ topic: "t", key: null, value: Buffer.from(value), ...more });
const codeOf = (promise: Promise<unknown>): Promise<string | undefined> => promise.then(() => undefined, errorCode);

test("records given while the topic is looked up, and for lingerMs after, are one batch in their order; each learns its offset", async () => {
  const { cluster, producer, written, settle } = await stage();
  const sent = [producer.send(record("a")), producer.send(record("b"))];
  await cluster.world.run({ forMs: 30 });
  sent.push(producer.send(record("c")));
  expect(await settle(Promise.all(sent))).toEqual([{ partition: 0, offset: 0 }, { partition: 0, offset: 1 }, { partition: 0, offset: 2 }]);
  expect(written.map(({ values, sequence, producerId }) => [values, sequence, producerId])).toEqual([[["a", "b", "c"], -1, -1]]);
  const begun = cluster.world.nowMs;
  await settle(producer.send(record("d")));
  expect(written[1]?.values).toEqual(["d"]);
  expect((written[1]?.atMs ?? 0) - begun).toBeGreaterThanOrEqual(50);
});

test("a full batch goes at once; flush lets nothing linger; close ends with everything answered and refuses what comes later", async () => {
  const { cluster, producer, written, settle } = await stage({ lingerMs: 10_000, batchBytes: 200 });
  const sent = Array.from({ length: 5 }, (_, index) => producer.send(record(`${index}`.padEnd(40, "."))));
  await cluster.world.run({ forMs: 200 });
  expect(written.map(({ values }) => values.map((value) => value[0]))).toEqual([["0", "1"], ["2", "3"]]);
  const begun = cluster.world.nowMs;
  await settle(producer.flush());
  expect(cluster.world.nowMs - begun).toBeLessThan(100);
  expect(written).toHaveLength(3);
  expect((await settle(Promise.all(sent))).map(({ offset }) => offset)).toEqual([0, 1, 2, 3, 4]);
  const last = producer.send(record("last"));
  await settle(producer.close());
  expect(await settle(last)).toMatchObject({ offset: 5 });
  expect(await settle(codeOf(producer.send(record("late"))))).toBe("ERR_CLOSED");
});

test("what nothing may hold back still goes in batches: a flush while the topic is looked up, a buffer that stays full", async () => {
  const flushed = await stage();
  const values = Array.from({ length: 100 }, (_, index) => String(index));
  const sent = values.map((value) => flushed.producer.send(record(value)));
  await flushed.settle(flushed.producer.close());
  await Promise.all(sent);
  expect(flushed.written.flatMap((batch) => batch.values)).toEqual(values);
  expect(flushed.written.length).toBeLessThanOrEqual(2);
  const pressed = await stage({ bufferBytes: 1 });
  await pressed.settle(Promise.all(values.map((value) => pressed.producer.send(record(value)))));
  expect(pressed.written.flatMap((batch) => batch.values)).toEqual(values);
  expect(pressed.written.length).toBeLessThanOrEqual(2);
});

test("one batch of a partition is under way at a time, partitions do not wait for each other", async () => {
  const { cluster, producer, written, script, settle } = await stage({ lingerMs: 0 }, [1, 2]);
  script.push("silence");
  const held = codeOf(producer.send(record("a", { partition: 0 })));
  await cluster.world.run({ forMs: 100 });
  const behind = producer.send(record("b", { partition: 0 }));
  await settle(producer.send(record("c", { partition: 1 })));
  expect(written.map(({ values }) => values[0])).toEqual(["a", "c"]);
  await settle(Promise.all([held, behind]));
  expect(written.map(({ values }) => values[0])).toEqual(["a", "c", "a", "b"]);
});

test("what comes behind a batch that is sent again waits for it", async () => {
  const { cluster, producer, written, script, settle } = await stage({ lingerMs: 0, retryBackoffMs: 300 });
  script.push(ErrorCode.NOT_ENOUGH_REPLICAS);
  const first = producer.send(record("a"));
  await cluster.world.run({ forMs: 100 });
  await settle(Promise.all([first, producer.send(record("b"))]));
  expect(written.map(({ values }) => values[0])).toEqual(["a", "a", "b"]);
});

test("keys choose the partition, a number does; without both, each batch moves on to another one", async () => {
  const { producer, written, settle } = await stage({ lingerMs: 0 }, [1, 1, 1]);
  const key = Buffer.from("foobar");
  expect((await settle(producer.send(record("a", { key })))).partition).toBe(partitionFor(key, 3));
  expect((await settle(producer.send(record("b", { partition: 2 })))).partition).toBe(2);
  written.length = 0;
  for (let count = 0; count < 6; count++) await settle(Promise.all([producer.send(record("x")), producer.send(record("y"))]));
  expect(written.every(({ values }) => values.length === 2)).toBe(true);
  for (const [index, { partition }] of written.entries()) if (index > 0) expect(partition).not.toBe(written[index - 1]?.partition);
  expect(await settle(codeOf(producer.send(record("z", { partition: 3 }))))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
});

test("a leader that moves is followed, in order and without a second copy of what was refused", async () => {
  const { cluster, producer, written, script, troubles, settle } = await stage({ lingerMs: 0 });
  await settle(producer.send(record("a")));
  script.push(ErrorCode.NOT_LEADER_OR_FOLLOWER);
  cluster.topics = [topicLedBy("t", [2], 1)];
  const sent = [producer.send(record("b")), producer.send(record("c"))];
  expect((await settle(Promise.all(sent))).map(({ offset }) => offset)).toEqual([1, 2]);
  expect(written.map(({ broker, values }) => [broker, values])).toEqual([[1, ["a"]], [1, ["b", "c"]], [2, ["b", "c"]]]);
  expect(troubles).toEqual(["NOT_LEADER_OR_FOLLOWER"]);
});

test("retries are counted; what can't be mended is told at once, in the broker's words", async () => {
  const { producer, written, script, settle } = await stage({ lingerMs: 0, retries: 2 });
  script.push(ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.NOT_ENOUGH_REPLICAS, ErrorCode.INVALID_RECORD);
  expect(await settle(codeOf(producer.send(record("a"))))).toBe("NOT_ENOUGH_REPLICAS");
  expect(written).toHaveLength(3);
  const refused = await settle(producer.send(record("b")).catch((error: unknown) => error));
  expect([errorCode(refused), (refused as Error).message]).toEqual(["INVALID_RECORD", expect.stringContaining("because")]);
  expect(written).toHaveLength(4);
  expect(await settle(codeOf(producer.send(record("x".repeat(200_000)))))).toBe("MESSAGE_TOO_LARGE");
});

test("an idempotent producer sends the same batch under the same sequence after an answer that was lost; the duplicate is no failure", async () => {
  const { producer, written, script, settle } = await stage({ lingerMs: 0, idempotent: true });
  await settle(Promise.all([producer.send(record("a")), producer.send(record("b"))]));
  script.push(closeConnection, ErrorCode.DUPLICATE_SEQUENCE_NUMBER);
  expect(await settle(producer.send(record("c")))).toEqual({ partition: 0, offset: -1 });
  await settle(producer.send(record("d")));
  expect(written.map(({ values, producerId, sequence }) => [values.join(""), producerId, sequence])).toEqual([["ab", 100, 0], ["c", 100, 2], ["c", 100, 2], ["d", 100, 3]]);
});

test("sequences do not count what was refused; after an end that nobody knows, or a broker that forgot, the next one goes under another id", async () => {
  const { producer, written, script, settle } = await stage({ lingerMs: 0, idempotent: true, retries: 1 });
  script.push(ErrorCode.INVALID_RECORD);
  expect(await settle(codeOf(producer.send(record("a"))))).toBe("INVALID_RECORD");
  await settle(producer.send(record("b")));
  script.push(closeConnection, closeConnection);
  expect(await settle(codeOf(producer.send(record("c"))))).toBe("ECONNRESET");
  await settle(producer.send(record("d")));
  script.push(ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER);
  await settle(producer.send(record("e")));
  expect(written.map(({ values, producerId, sequence }) => [values[0], producerId, sequence])).toEqual([["a", 100, 0], ["b", 100, 0], ["c", 100, 1], ["c", 100, 1], ["d", 101, 0], ["e", 101, 1], ["e", 102, 0]]);
});

test("where the cluster forbids idempotence, it goes without; while ids are not given out yet, it waits", async () => {
  const { cluster, producer, written, troubles, settle } = await stage({ lingerMs: 0, idempotent: true });
  const codes = [ErrorCode.COORDINATOR_LOAD_IN_PROGRESS, ErrorCode.CLUSTER_AUTHORIZATION_FAILED];
  cluster.every(initProducerId, () => ({ errorCode: codes.shift() ?? ErrorCode.CLUSTER_AUTHORIZATION_FAILED, producerId: -1, producerEpoch: -1 }));
  await settle(producer.send(record("a")));
  await settle(producer.send(record("b")));
  expect(written.map(({ producerId, sequence }) => [producerId, sequence])).toEqual([[-1, -1], [-1, -1]]);
  expect(troubles).toEqual(["CLUSTER_AUTHORIZATION_FAILED"]);
});

test("a batch that is too large is halved, down to single records", async () => {
  const { producer, written, script, settle } = await stage({ idempotent: true });
  script.push(ErrorCode.MESSAGE_TOO_LARGE, ErrorCode.MESSAGE_TOO_LARGE, 0, ErrorCode.MESSAGE_TOO_LARGE);
  const sent = ["a", "b", "c"].map((value) => producer.send(record(value)).then(({ offset }) => offset, errorCode));
  expect(await settle(Promise.all(sent))).toEqual([0, "MESSAGE_TOO_LARGE", 1]);
  expect(written.map(({ values, sequence }) => [values.join(""), sequence])).toEqual([["abc", 0], ["ab", 0], ["a", 0], ["b", 1], ["c", 1]]);
});

test("with a full buffer nothing lingers, and drained waits for room", async () => {
  const { cluster, producer, script, settle } = await stage({ lingerMs: 10_000, bufferBytes: 100 });
  script.push("silence");
  await settle(producer.drained());
  const sent = [producer.send(record("a".repeat(60))), producer.send(record("b".repeat(60)))];
  expect(producer.pressed).toBe(true);
  let drained = false;
  const waiting = producer.drained().then(() => (drained = true));
  await cluster.world.run({ forMs: 500 });
  expect(drained).toBe(false);
  await settle(Promise.all(sent));
  await settle(waiting);
  expect(producer.pressed).toBe(false);
});

test("a topic that is not there yet is made and waited for; one that never comes is told, and asked for again", async () => {
  const { cluster, producer, settle } = await stage({ metadataTimeoutMs: 500, lingerMs: 0 });
  const there = cluster.topics;
  cluster.topics = [{ errorCode: ErrorCode.LEADER_NOT_AVAILABLE, name: "t", partitions: [] }];
  const waiting = producer.send(record("a"));
  await cluster.world.run({ forMs: 200 });
  cluster.topics = there;
  expect(await settle(waiting)).toEqual({ partition: 0, offset: 0 });
  const other = new Producer(cluster.client(), { ...defaults, metadataTimeoutMs: 500, lingerMs: 0 });
  cluster.topics = [{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name: "t", partitions: [] }];
  expect(await settle(codeOf(other.send(record("b"))))).toBe("UNKNOWN_TOPIC_OR_PARTITION");
  cluster.topics = there;
  expect(await settle(other.send(record("c")))).toEqual({ partition: 0, offset: 1 });
});

test("more partitions are seen when the topic is asked for again", async () => {
  const { cluster, producer, written, settle } = await stage({ lingerMs: 0, metadataMaxAgeMs: 300 });
  await settle(producer.send(record("a")));
  cluster.topics = [topicLedBy("t", [1, 2])];
  await cluster.world.run({ forMs: 400 });
  await settle(producer.send(record("b")));
  await cluster.world.run({ forMs: 100 });
  await settle(producer.send(record("c")));
  expect(new Set(written.map(({ partition }) => partition))).toEqual(new Set([0, 1]));
});

test("a client that is closed ends what is under way", async () => {
  const { cluster, client, producer, script, settle } = await stage({ lingerMs: 0 });
  script.push("silence");
  const sent = codeOf(producer.send(record("a")));
  await cluster.world.run({ forMs: 100 });
  const queued = codeOf(producer.send(record("b")));
  await settle(client.close());
  expect(await settle(Promise.all([sent, queued]))).toEqual(["ECONNABORTED", "ECONNABORTED"]);
  await settle(producer.close());
});

test("metadata is asked with leave to make the topic", async () => {
  const { cluster, producer, settle } = await stage({ lingerMs: 0 });
  const asked: boolean[] = [];
  const answer = { brokers: [{ nodeId: 1, host: "kafka1", port: 9092 }], controllerId: 1, clusterId: "test" };
  cluster.every(metadata, ({ topics, allowAutoTopicCreation }) => {
    if (topics?.length === 1) asked.push(allowAutoTopicCreation);
    return { ...answer, topics: cluster.topics };
  });
  await settle(producer.send(record("a")));
  expect(asked[0]).toBe(true);
});
