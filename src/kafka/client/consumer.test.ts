import { expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { Codec } from "../records/batch.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { buildBatch } from "../records/build.ts";
import { ClusterAdmin } from "./cluster-admin.ts";
import { Consumer, type ConsumedRecord, type ConsumerOptions, type ConsumerSource, type GroupChoice } from "./consumer.ts";
import { GroupAdmin } from "./group-admin.ts";
import type { KafkaClient } from "./kafka-client.ts";
import { Producer, type ProducerOptions } from "./producer.ts";
import { ScriptedCluster, topicLedBy } from "../../../test/support/scripted-cluster.ts";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";

const defaults = { reset: "earliest", readCommitted: false, fetchBytesMin: 1, fetchBytesMax: 1_000_000, fetchWaitMs: 200, partitionBytesMax: 100_000, metadataMaxAgeMs: 60_000 } as const;

/** A partition of one broker's topic: one record an offset, from `start` on. */
interface Log {
  start: number;
  readonly values: string[];
  epoch: number;
}

async function stage(source: ConsumerSource, options: Partial<ConsumerOptions> = {}, leaders: readonly number[] = [1]) {
  const cluster = await ScriptedCluster.start(2);
  cluster.topics = [topicLedBy("t", leaders)];
  const logs = leaders.map((): Log => ({ start: 0, values: [], epoch: 0 }));
  const fetched: { readonly broker: number; readonly offsets: readonly number[]; readonly lastFetchedEpoch: number | undefined }[] = [];
  const codes: number[] = [];
  cluster.every(listOffsets, ({ topics }) => ({
    topics: topics.map(({ name, partitions }) => ({ name, partitions: partitions.map(({ partitionIndex, timestamp }) => ({ partitionIndex, errorCode: 0, oldStyleOffsets: [], offset: timestamp === -2 ? (logs[partitionIndex]?.start ?? 0) : endOf(logs[partitionIndex]) })) })),
  }));
  for (const broker of [1, 2]) {
    cluster.on(broker, fetch, async ({ topics: [topic] }) => {
      const asked = topic?.partitions ?? [];
      fetched.push({ broker, offsets: asked.map(({ fetchOffset }) => fetchOffset), lastFetchedEpoch: asked[0]?.lastFetchedEpoch });
      const forced = codes.shift();
      if (forced === undefined && asked.every(({ partition, fetchOffset }) => fetchOffset === endOf(logs[partition]))) await new Promise<void>((resolve) => void cluster.world.after(200, () => resolve()));
      return {
        responses: [
          {
            topic: "t",
            partitions: asked.map(({ partition, fetchOffset }) => {
              const log = logs[partition] as Log;
              const outside = fetchOffset < log.start || fetchOffset > endOf(log);
              const values = outside || forced !== undefined ? [] : log.values.slice(fetchOffset - log.start);
              const records = values.length === 0 ? [] : [buildBatch(values.map((value) => ({ key: null, value: Buffer.from(value), timestamp: 1 })), { baseOffset: fetchOffset, leaderEpoch: log.epoch })];
              return { partitionIndex: partition, errorCode: forced ?? (outside ? ErrorCode.OFFSET_OUT_OF_RANGE : 0), highWatermark: 0, records };
            }),
          },
        ],
      };
    });
  }
  const client = cluster.client({ retryTimeoutMs: 2000 });
  const troubles: string[] = [];
  const consumer = new Consumer(client, { source, ...defaults, onTrouble: (error) => troubles.push(errorCode(error) ?? ""), ...options });
  const poll = async (): Promise<string[]> => (await cluster.world.settle(consumer.poll(1000))).map(({ partition, offset, value }) => `${partition}/${offset} ${String(value)}`);
  return { cluster, client, consumer, logs, fetched, codes, troubles, poll };
}

function endOf(log: Log | undefined): number {
  return log === undefined ? 0 : log.start + log.values.length;
}

const all: ConsumerSource = { kind: "topics", topics: ["t"] };
const codeOf = (promise: Promise<unknown>): Promise<string | undefined> => promise.then(() => undefined, errorCode);

test("all partitions of a topic are read from where the policy says, and on as records come; nothing comes within the time: nothing", async () => {
  const { cluster, consumer, logs, poll } = await stage(all, {}, [1, 2]);
  logs[0]?.values.push("a", "b");
  logs[1]?.values.push("c");
  const first = [await poll(), await poll()];
  expect(first).toHaveLength(2);
  expect(first).toEqual(expect.arrayContaining([["0/0 a", "0/1 b"], ["1/0 c"]]));
  logs[0]?.values.push("d");
  expect(await poll()).toEqual(["0/2 d"]);
  const begun = cluster.world.nowMs;
  expect(await poll()).toEqual([]);
  expect(cluster.world.nowMs - begun).toBeGreaterThan(999);
  expect([consumer.assignment.length, consumer.position({ topic: "t", partition: 0 })]).toEqual([2, 3]);
});

test("given partitions are read from their offset, others from the latest one", async () => {
  const { logs, poll } = await stage({ kind: "partitions", partitions: [{ topic: "t", partition: 0, offset: 1 }, { topic: "t", partition: 1 }] }, { reset: "latest" }, [1, 1]);
  logs[0]?.values.push("a", "b");
  logs[1]?.values.push("old");
  expect(await poll()).toEqual(["0/1 b"]);
  logs[1]?.values.push("new");
  expect(await poll()).toEqual(["1/1 new"]);
});

test("a pattern means whole names, and the brokers' own topics only where it is said", async () => {
  for (const [pattern, internal, expected] of [[/t|tt/, false, ["t", "tt"]], [/.*/, false, ["t", "tt", "ttt"]], [/__.*/, true, ["__x"]]] as const) {
    const { cluster, consumer, poll } = await stage({ kind: "topics", topics: pattern, internal });
    cluster.topics = [topicLedBy("t", [1]), topicLedBy("tt", [1]), topicLedBy("ttt", [1]), { ...topicLedBy("__x", [1]), isInternal: true }];
    await poll();
    expect(consumer.assignment.map(({ topic }) => topic)).toEqual(expected);
  }
});

test("partitions and topics that come later are found, and read from their start", async () => {
  const { cluster, logs, poll, troubles } = await stage({ kind: "topics", topics: ["t"] }, { metadataMaxAgeMs: 500, reset: "latest" });
  logs[0]?.values.push("before");
  expect(await poll()).toEqual([]);
  cluster.topics = [topicLedBy("t", [1, 1])];
  logs.push({ start: 0, values: ["x"], epoch: 0 });
  expect(await poll()).toEqual(["1/0 x"]);
  const late = await stage(all);
  const there = late.cluster.topics;
  late.cluster.topics = [{ errorCode: ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, name: "t", partitions: [] }];
  late.logs[0]?.values.push("a");
  expect(await late.poll()).toEqual([]);
  late.cluster.topics = there;
  expect([await late.poll(), await late.poll()].flat()).toEqual(["0/0 a"]);
  expect([troubles, late.troubles[0]]).toEqual([[], "UNKNOWN_TOPIC_OR_PARTITION"]);
});

test("a leader that moves, or goes down, is followed without a gap or a repetition, and not asked again and again", async () => {
  const { cluster, logs, fetched, codes, poll } = await stage(all);
  logs[0]?.values.push("a");
  expect(await poll()).toEqual(["0/0 a"]);
  await poll();
  codes.push(...Array.from({ length: 1000 }, () => ErrorCode.NOT_LEADER_OR_FOLLOWER));
  const before = fetched.length;
  await poll();
  expect(fetched.length - before).toBeLessThan(20);
  codes.length = 0;
  cluster.topics = [topicLedBy("t", [2], 1)];
  logs[0]?.values.push("b");
  expect([await poll(), await poll()].flat()).toEqual(["0/1 b"]);
  expect(fetched.at(-1)?.broker).toBe(2);
  cluster.node(2).kill();
  cluster.topics = [topicLedBy("t", [1], 2)];
  logs[0]?.values.push("c");
  const rest: string[] = [];
  for (let times = 0; times < 5 && rest.length === 0; times++) rest.push(...(await poll()));
  expect(rest).toEqual(["0/2 c"]);
});

test("an offset that is not there any more follows the policy: from the start, from the end, or an error that stays", async () => {
  const source: ConsumerSource = { kind: "partitions", partitions: [{ topic: "t", partition: 0, offset: 1 }] };
  const earliest = await stage(source);
  Object.assign(earliest.logs[0] as Log, { start: 5, values: ["f"] });
  expect(await earliest.poll()).toEqual(["0/5 f"]);
  expect(earliest.troubles).toEqual(["OFFSET_OUT_OF_RANGE"]);
  const latest = await stage(source, { reset: "latest" });
  Object.assign(latest.logs[0] as Log, { start: 5, values: ["f"] });
  expect(await latest.poll()).toEqual([]);
  latest.logs[0]?.values.push("g");
  expect(await latest.poll()).toEqual(["0/6 g"]);
  const none = await stage(source, { reset: "none" });
  Object.assign(none.logs[0] as Log, { start: 5, values: ["f"] });
  for (let times = 0; times < 2; times++) expect(await none.cluster.world.settle(codeOf(none.consumer.poll(1000)))).toBe("OFFSET_OUT_OF_RANGE");
  const nowhere = await stage(all, { reset: "none" });
  expect(await nowhere.cluster.world.settle(codeOf(nowhere.consumer.poll(1000)))).toBe("ERR_NO_OFFSET");
});

test("records that were lost with their leader are read over: from where the logs part", async () => {
  const { cluster, logs, fetched, poll } = await stage(all);
  logs[0]?.values.push("a", "b", "c");
  expect(await poll()).toHaveLength(3);
  let told = false;
  cluster.on(1, fetch, ({ topics: [topic] }) => {
    const { fetchOffset = 0, lastFetchedEpoch = -1 } = topic?.partitions[0] ?? {};
    fetched.push({ broker: 1, offsets: [fetchOffset], lastFetchedEpoch });
    const diverging = !told;
    told = true;
    const records = diverging ? [] : [buildBatch([{ key: null, value: Buffer.from("B"), timestamp: 1 }], { baseOffset: fetchOffset, leaderEpoch: 7 })];
    return { responses: [{ topic: "t", partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 0, records, ...(diverging && { divergingEpoch: { epoch: 0, endOffset: 1 } }) }] }] };
  });
  expect(await poll()).toEqual(["0/1 B"]);
  await poll();
  expect(fetched.at(-1)?.lastFetchedEpoch).toBe(7);
});

test("what lasts is told by every poll; a closed consumer says so, and a poll that waits ends", async () => {
  const { cluster, consumer, codes } = await stage(all);
  codes.push(ErrorCode.TOPIC_AUTHORIZATION_FAILED);
  for (let times = 0; times < 2; times++) expect(await cluster.world.settle(codeOf(consumer.poll(1000)))).toBe("TOPIC_AUTHORIZATION_FAILED");
  const other = await stage(all);
  const waiting = codeOf(other.consumer.poll(60_000));
  await other.cluster.world.run({ forMs: 300 });
  const begun = other.cluster.world.nowMs;
  await other.cluster.world.settle(other.consumer.close());
  expect([await other.cluster.world.settle(waiting), other.cluster.world.nowMs]).toEqual(["ERR_CLOSED", begun]);
  await other.cluster.world.settle(other.client.close());
});

const producing: ProducerOptions = {
  acks: -1, codec: Codec.none, lingerMs: 5, batchBytes: 16_384, bufferBytes: 1_000_000, recordBytesMax: 100_000, retries: 1000, retryBackoffMs: 100,
  requestTimeoutMs: 3000, metadataTimeoutMs: 10_000, metadataMaxAgeMs: 60_000, idempotent: true,
};

const group = (groupId: string, more: Partial<GroupChoice> = {}): GroupChoice => ({ kind: "group", groupId, topics: ["t"], sessionTimeoutMs: 6000, heartbeatMs: 500, pollIntervalMsMax: 20_000, ...more });

/** Polls until `count` records are there. */
async function readOf(brokers: SimulatedBrokers, consumer: Consumer, count: number, use: (record: ConsumedRecord) => void = () => undefined): Promise<string[]> {
  const values: string[] = [];
  const until = brokers.world.nowMs + 60_000;
  while (values.length < count && brokers.world.nowMs < until) {
    for (const record of await brokers.world.settle(consumer.poll(500))) {
      values.push(String(record.value));
      use(record);
    }
  }
  return values;
}

function write(client: KafkaClient, values: readonly string[], options: Partial<ProducerOptions> = {}) {
  const producer = new Producer(client, { ...producing, ...options });
  return Promise.all(values.map((value) => producer.send({ topic: "t", partition: 0, key: Buffer.from("k"), value: Buffer.from(value), headers: [{ key: "h", value: null }] }))).then(() => producer.close());
}

const numbers = (count: number, from = 0): string[] => Array.from({ length: count }, (_, index) => String(from + index));

test("brokers of ours: what is written in every codec, with every acks, is read, once and in order", async () => {
  const brokers = await SimulatedBrokers.start(1);
  const client = brokers.client();
  for (const [index, codec] of Object.values(Codec).entries()) await brokers.world.settle(write(client, numbers(10, 10 * index), { codec }));
  await brokers.world.settle(write(client, ["50"], { acks: 0, idempotent: false }));
  await brokers.world.settle(write(client, ["51"], { acks: 1, idempotent: false }));
  const consumer = new Consumer(client, { ...defaults, source: all });
  const headers: unknown[] = [];
  expect(await readOf(brokers, consumer, 52, (record) => headers.push(record.headers, String(record.key)))).toEqual(numbers(52));
  expect(headers.slice(0, 2)).toEqual([[{ key: "h", value: null }], "k"]);
});

test("brokers of ours: a leader is killed in the midst of writing and reading, and every record is there once", async () => {
  const brokers = await SimulatedBrokers.start(3, ["default.replication.factor=3", "min.insync.replicas=2", "num.partitions=1"]);
  const client = brokers.client({ requestTimeoutMs: 2000 });
  await brokers.world.settle(new ClusterAdmin(client).createTopic({ name: "t", partitions: 1, replicationFactor: 3 }));
  await brokers.world.run({ forMs: 1000 });
  const consumer = new Consumer(client, { ...defaults, source: all });
  await brokers.world.settle(write(client, numbers(20)));
  expect(await readOf(brokers, consumer, 20)).toEqual(numbers(20));
  const producer = new Producer(client, { ...producing, lingerMs: 0, requestTimeoutMs: 2000 });
  const sent: Promise<unknown>[] = [];
  const send = (value: string): void => void sent.push(producer.send({ topic: "t", key: null, value: Buffer.from(value) }));
  for (const value of numbers(30, 20)) {
    send(value);
    await brokers.world.run({ forMs: 3 });
  }
  brokers.kill(client.partition({ topic: "t", partition: 0 })?.leader ?? 0);
  for (const value of numbers(30, 50)) {
    send(value);
    await brokers.world.run({ forMs: 3 });
  }
  expect(await readOf(brokers, consumer, 60)).toEqual(numbers(60, 20));
  await brokers.world.settle(Promise.all(sent));
  expect(await brokers.world.settle(consumer.poll(1000))).toEqual([]);
});

test("brokers of ours: a group goes on where its last member said that it was done, and only there", async () => {
  const brokers = await SimulatedBrokers.start(1);
  const client = brokers.client();
  await brokers.world.settle(write(client, numbers(10)));
  const first = new Consumer(client, { ...defaults, source: group("g", { autoCommitMs: 60_000 }) });
  await readOf(brokers, first, 10, (record) => {
    if (record.offset < 4) first.consumed(record);
  });
  await brokers.world.settle(first.close());
  const admin = new GroupAdmin(client);
  expect((await brokers.world.settle(admin.offsets("g"))).map(({ offset, leaderEpoch }) => [offset, leaderEpoch])).toEqual([[4, 0]]);
  expect((await brokers.world.settle(admin.describe(["g"])))[0]?.groupState).toBe("Empty");
  // Without commits of its own, only what is asked for is committed.
  const second = new Consumer(client, { ...defaults, source: group("g") });
  expect(await readOf(brokers, second, 6, (record) => second.consumed(record))).toEqual(numbers(6, 4));
  await brokers.world.run({ forMs: 3000 });
  expect((await brokers.world.settle(admin.offsets("g")))[0]?.offset).toBe(4);
  await brokers.world.settle(second.commit());
  expect((await brokers.world.settle(admin.offsets("g")))[0]?.offset).toBe(10);
  await brokers.world.settle(second.close());
});

test("brokers of ours: members share a topic out, take over from one that leaves, and from one that polls no more", async () => {
  const brokers = await SimulatedBrokers.start(1);
  const client = brokers.client();
  await brokers.world.settle(write(client, ["x"]));
  const make = (more: Partial<GroupChoice> = {}) => new Consumer(brokers.client(), { ...defaults, source: group("g", { autoCommitMs: 500, ...more }) });
  const [one, two] = [make(), make({ pollIntervalMsMax: 3000 })];
  const poll = async (...consumers: readonly Consumer[]): Promise<void> => {
    for (let times = 0; times < 20; times++) await brokers.world.settle(Promise.all(consumers.map((consumer) => consumer.poll(200))));
  };
  await poll(one, two);
  expect([one.assignment.length, two.assignment.length]).toEqual([1, 1]);
  // It sends heartbeats, but nobody takes its records.
  await poll(one);
  await poll(one);
  expect([one.assignment.length, two.assignment.length]).toEqual([2, 0]);
  await poll(one, two);
  expect([one.assignment.length, two.assignment.length]).toEqual([1, 1]);
  await brokers.world.settle(one.close());
  await poll(two);
  expect(two.assignment.length).toBe(2);
  await brokers.world.settle(two.close());
});
