import type { Host } from "../src/host/host.ts";
import { withTripwires } from "../src/host/sim/tripwires.ts";
import { World } from "../src/host/sim/world.ts";
import { errorCode } from "../src/lib/error.ts";
import { parseProperties } from "../src/lib/properties.ts";
import { Broker } from "../src/kafka/broker/broker.ts";
import { BrokerConnection } from "../src/kafka/client/broker-connection.ts";
import { readBrokerConfig } from "../src/kafka/config/broker-config.ts";
import { ErrorCode } from "../src/kafka/protocol/error-codes.ts";
import { fetch } from "../src/kafka/protocol/messages/fetch.ts";
import { initProducerId } from "../src/kafka/protocol/messages/init-producer-id.ts";
import { metadata } from "../src/kafka/protocol/messages/metadata.ts";
import { produce } from "../src/kafka/protocol/messages/produce.ts";
import { batchBaseOffset, wholeBatchSize } from "../src/kafka/records/batch.ts";
import { buildBatch } from "../src/kafka/records/build.ts";
import { RecordCursor } from "../src/kafka/records/record-cursor.ts";
import { readMemberConfig } from "../src/zookeeper/config/member-config.ts";
import { StandaloneMember } from "../src/zookeeper/server/standalone-member.ts";

/**
 * One ZooKeeper member and one broker, whole, on the simulated host: processes are killed, the member loses power, the
 * network breaks and clogs, while an idempotent producer writes one record after the other. In the end every
 * acknowledged record is there, once, in its place.
 */

export interface Outcome {
  readonly hash: string;
  readonly events: number;
  readonly acknowledged: number;
  readonly faults: number;
}

const TOPIC = "history";
const FAULTS_MS = 15_000;
const HEAL_MS_MAX = 120_000;

export function runOneNode(seed: string): Promise<Outcome> {
  return withTripwires(async () => {
    const world = new World({ seed, eventsMax: 5_000_000, expected: () => false });
    const zookeeper = world.addNode("zookeeper");
    const kafka = world.addNode("kafka");
    const client = world.addNode("client");
    const starting = (host: Host, start: (host: Host) => Promise<unknown>): void => {
      // A life that ends while it starts never settles; one that can't start says so by failing.
      start(host).catch((error: unknown) => host.fail(error instanceof Error ? error : new Error(String(error))));
    };
    starting(zookeeper.host, startMember);
    starting(kafka.host, startBroker);

    const producer = new Producer(client.host);
    let over = false;
    const produced = producer.run(() => over);

    let faults = 0;
    const draws = world.prng("faults");
    const harm = (): void => {
      if (world.nowMs >= FAULTS_MS) return;
      faults += 1;
      const [victim, start] = draws.chance(1, 2) ? ([zookeeper, startMember] as const) : ([kafka, startBroker] as const);
      switch (draws.below(5)) {
        case 0:
        case 1:
          if (victim.up) victim.kill();
          break;
        case 2:
          // Kafka leaves the disk to its replicas: alone, only a member may lose power without losing what it has promised.
          if (zookeeper.up) zookeeper.powerLoss();
          break;
        case 3:
          world.net.partition([draws.pick([zookeeper, client])], [kafka], { oneWay: draws.chance(1, 2) });
          break;
        default:
          world.net.clog(kafka, draws.pick([zookeeper, client]), draws.between(10, 2000));
      }
      world.after(draws.between(10, 3000), () => {
        world.net.heal();
        if (!zookeeper.up) starting(zookeeper.start(), startMember);
        if (victim !== zookeeper && !victim.up) starting(victim.start(), start);
      });
      world.after(draws.between(100, 4000), harm);
    };
    world.after(draws.between(500, 3000), harm);

    await world.run({ untilMs: FAULTS_MS + 3000 });
    world.net.heal();
    if (!zookeeper.up) starting(zookeeper.start(), startMember);
    if (!kafka.up) starting(kafka.start(), startBroker);
    const before = producer.acknowledged;
    await world.run({ until: () => producer.acknowledged > before + 20, withinMs: HEAL_MS_MAX });
    over = true;
    await world.settle(produced);
    const values = await world.settle(readAll(client.host));
    check(values, producer.acknowledged);
    world.mark(producer.acknowledged);
    world.mark(values.length);
    return { hash: world.hash, events: world.events, acknowledged: producer.acknowledged, faults };
  });
}

/** What is read is 0, 1, 2, …: every acknowledged record, and after those at most one whose answer was lost. */
function check(values: readonly number[], acknowledged: number): void {
  for (const [index, value] of values.entries()) {
    if (value !== index) throw new Error(`record ${index} of the partition is ${value}: ${value < index ? "doubled" : "lost or out of order"}`);
  }
  if (values.length < acknowledged) throw new Error(`${acknowledged} records were acknowledged, ${values.length} are there`);
}

function startMember(host: Host): Promise<StandaloneMember> {
  const text = "dataDir=/zookeeper\nclientPort=2181\ntickTime=500\nsnapCount=40\npreAllocSize=64\n";
  return StandaloneMember.start(host, readMemberConfig({ main: parseProperties(text, "zoo.cfg"), origin: "zoo.cfg", myId: undefined, dynamic: undefined }).config);
}

function startBroker(host: Host): Promise<Broker> {
  const text = [
    "broker.id=1",
    "listeners=PLAINTEXT://kafka:9092",
    "log.dirs=/kafka",
    "zookeeper.connect=zookeeper:2181/kafka",
    "zookeeper.session.timeout.ms=6000",
    // Small enough for many segments, index entries and checkpoints in a short run.
    "log.segment.bytes=4096",
    "log.index.interval.bytes=128",
    "log.index.size.max.bytes=4096",
    "replica.high.watermark.checkpoint.interval.ms=500",
    "log.flush.offset.checkpoint.interval.ms=1000",
  ].join("\n");
  const properties = parseProperties(text, "server.properties");
  const { config } = readBrokerConfig(properties, "server.properties");
  return Broker.start({ host, config, layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() }, tailBytesMax: 5000 });
}

function connect(host: Host): Promise<BrokerConnection> {
  return BrokerConnection.connect(host, { host: "kafka", port: 9092, clientId: "history", connectTimeoutMs: 1000, requestTimeoutMs: 5000 });
}

/** Writes 0, 1, 2, … one at a time; a record whose answer is an error, or lost, is sent again with its sequence number. */
class Producer {
  acknowledged = 0;
  readonly #host: Host;
  #connection: BrokerConnection | undefined;
  #producerId = -1;

  constructor(host: Host) {
    this.#host = host;
  }

  async run(isOver: () => boolean): Promise<void> {
    while (!isOver()) {
      try {
        if (await this.#attempt()) this.acknowledged += 1;
        else await this.#pause();
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        this.#connection?.close();
        this.#connection = undefined;
        await this.#pause();
      }
    }
    this.#connection?.close();
  }

  async #attempt(): Promise<boolean> {
    if (this.#connection === undefined) {
      this.#connection = await connect(this.#host);
      const known = await this.#connection.send(metadata, 9, { topics: [{ name: TOPIC }], includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false });
      if (known.topics[0]?.partitions[0]?.errorCode !== ErrorCode.NONE) {
        this.#connection.close();
        this.#connection = undefined;
        return false;
      }
    }
    if (this.#producerId < 0) {
      const given = await this.#connection.send(initProducerId, 4, { transactionalId: null, transactionTimeoutMs: 60_000 });
      if (given.errorCode !== ErrorCode.NONE) return false;
      this.#producerId = given.producerId;
    }
    const value = this.acknowledged;
    const record = { key: null, value: Buffer.from(String(value).padEnd(20 + (value % 100))), timestamp: this.#host.clock.wallMs() };
    const batch = buildBatch([record], { producerId: this.#producerId, producerEpoch: 0, baseSequence: value });
    const answer = await this.#connection.send(produce, 8, { transactionalId: null, acks: -1, timeoutMs: 2000, topicData: [{ name: TOPIC, partitionData: [{ index: 0, records: [batch] }] }] });
    const outcome = answer.responses[0]?.partitionResponses[0];
    if (outcome?.errorCode === ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER) throw new Error(`record ${value} is out of order: acknowledged ones are gone`);
    return outcome?.errorCode === ErrorCode.NONE;
  }

  #pause(): Promise<void> {
    return new Promise((resolve) => {
      this.#host.timers.after(50, resolve);
    });
  }
}

async function readAll(host: Host): Promise<number[]> {
  const connection = await connect(host);
  const values: number[] = [];
  const cursor = new RecordCursor();
  for (let offset = 0; ; ) {
    const partitions = [{ partition: 0, fetchOffset: offset, partitionMaxBytes: 10_000 }];
    const answer = await connection.send(fetch, 11, { maxWaitMs: 0, minBytes: 0, topics: [{ topic: TOPIC, partitions }], forgottenTopicsData: [] });
    const result = answer.responses[0]?.partitions[0];
    if (result === undefined || result.errorCode !== ErrorCode.NONE) throw new Error(`reading at ${offset} answers ${result?.errorCode ?? answer.errorCode}`);
    const records = result.records?.[0] ?? Buffer.alloc(0);
    const from = offset;
    for (let at = 0, size = wholeBatchSize(records, at, records.length); size > 0; at += size, size = wholeBatchSize(records, at, records.length)) {
      cursor.open(records, at, size);
      while (cursor.next()) {
        if (batchBaseOffset(records, at) + cursor.offsetDelta < from) continue;
        values.push(Number(cursor.buffer.toString("latin1", cursor.valueAt, cursor.valueAt + cursor.valueLength)));
        offset = batchBaseOffset(records, at) + cursor.offsetDelta + 1;
      }
    }
    if (offset === from) {
      connection.close();
      return values;
    }
  }
}
