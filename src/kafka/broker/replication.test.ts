import { expect, test } from "vitest";
import type { Host } from "../../host/host.ts";
import { withTripwires } from "../../host/sim/tripwires.ts";
import type { SimNode } from "../../host/sim/node.ts";
import { World } from "../../host/sim/world.ts";
import { must } from "../../lib/assert.ts";
import { errorCode } from "../../lib/error.ts";
import { parseProperties } from "../../lib/properties.ts";
import { readMemberConfig } from "../../zookeeper/config/member-config.ts";
import { StandaloneMember } from "../../zookeeper/server/standalone-member.ts";
import { BrokerConnection } from "../client/broker-connection.ts";
import { readBrokerConfig } from "../config/broker-config.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { toBrokerId } from "../protocol/ids.ts";
import { createTopics } from "../protocol/messages/create-topics.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { metadata } from "../protocol/messages/metadata.ts";
import { produce } from "../protocol/messages/produce.ts";
import { batchBaseOffset, batchLastOffset, wholeBatchSize } from "../records/batch.ts";
import { buildBatch } from "../records/build.ts";
import { RecordCursor } from "../records/record-cursor.ts";
import { Broker } from "./broker.ts";

/** Three brokers and one ZooKeeper member, whole, on simulated machines: what they are to each other. */

const TOPIC = "t";
const BROKERS = [1, 2, 3] as const;
/** A follower hears of the high watermark a fetch later. */
const FOLLOWERS_LAG_MS = 2000;
const LINGER_MS = 2500;

interface Layout {
  readonly leader: number;
  readonly epoch: number;
  readonly isr: readonly number[];
  readonly offline: readonly number[];
}

/** By partition, where replicas are not left to the broker. */
type Assignment = readonly (readonly number[])[];

class Cluster {
  readonly world: World;
  readonly zookeeper: SimNode;
  readonly client: SimNode;
  readonly brokers = new Map<number, Broker>();
  readonly #nodes = new Map<number, SimNode>();

  constructor(seed: number) {
    this.world = new World({ seed, eventsMax: 5_000_000, expected: () => false, logLinesMax: 5000, ...(process.env["PRINT"] === undefined ? {} : { print: (line: string) => void process.stdout.write(`${line}\n`) }) });
    this.zookeeper = this.world.addNode("zookeeper");
    for (const id of BROKERS) this.#nodes.set(id, this.world.addNode(`kafka${id}`));
    this.client = this.world.addNode("client");
    starting(this.zookeeper.host, startMember);
  }

  node(id: number): SimNode {
    return must(this.#nodes.get(id), `node of broker ${id}`);
  }

  /** In a new process where the last one has ended. */
  start(id: number): void {
    const node = this.node(id);
    starting(node.up ? node.host : node.start(), async (host) => {
      this.brokers.set(id, await startBroker(host, id));
    });
  }

  kill(id: number): void {
    this.node(id).kill();
    this.brokers.delete(id);
  }

  /** As on SIGTERM. */
  async stop(id: number): Promise<void> {
    await this.world.settle(must(this.brokers.get(id), `broker ${id}`).stop());
    this.brokers.delete(id);
  }

  connect(id: number): Promise<BrokerConnection> {
    return BrokerConnection.connect(this.client.host, { host: `kafka${id}`, port: 9092, clientId: "client", connectTimeoutMs: 1000, requestTimeoutMs: 5000 });
  }

  async layout(id: number, topic = TOPIC): Promise<Layout[]> {
    const connection = await this.connect(id);
    const known = await connection.send(metadata, 9, { topics: [{ name: topic }], allowAutoTopicCreation: false, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false });
    connection.close();
    const partitions = known.topics[0]?.partitions ?? [];
    return partitions
      .toSorted((a, b) => a.partitionIndex - b.partitionIndex)
      .map(({ leaderId, leaderEpoch, isrNodes, offlineReplicas }) => ({ leader: leaderId, epoch: leaderEpoch, isr: isrNodes.toSorted((a, b) => a - b), offline: offlineReplicas }));
  }

  async controller(id: number): Promise<number> {
    const connection = await this.connect(id);
    const { controllerId } = await connection.send(metadata, 9, { topics: [], allowAutoTopicCreation: false, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false });
    connection.close();
    return controllerId;
  }

  /** Until it holds in the Metadata of all these brokers. */
  async until(holds: (layout: readonly Layout[]) => boolean, asked: readonly number[], topic = TOPIC, withinMs = 60_000): Promise<void> {
    const deadline = this.world.nowMs + withinMs;
    let last = "";
    while (this.world.nowMs < deadline) {
      const layouts = await this.world.settle(Promise.all(asked.map((id) => this.layout(id, topic).catch((error: unknown) => String(error)))));
      if (layouts.every((layout) => typeof layout !== "string" && layout.length > 0 && holds(layout))) return;
      last = JSON.stringify(layouts);
      await this.world.run({ forMs: 100 });
    }
    throw new Error(`not within ${withinMs} ms: ${last}`);
  }

  async createTopic(name: string, assignment: Assignment, inSyncMin = 1): Promise<void> {
    const assignments = assignment.map((replicas, partitionIndex) => ({ partitionIndex, brokerIds: replicas.map(toBrokerId) }));
    const topics = [{ name, numPartitions: -1, replicationFactor: -1, assignments, configs: [{ name: "min.insync.replicas", value: String(inSyncMin) }] }];
    const attempt = async (): Promise<boolean> => {
      for (const id of this.brokers.keys()) {
        const connection = await this.connect(id);
        const answer = await connection.send(createTopics, 5, { topics, timeoutMs: 10_000, validateOnly: false });
        connection.close();
        if (answer.topics[0]?.errorCode === ErrorCode.NONE || answer.topics[0]?.errorCode === ErrorCode.TOPIC_ALREADY_EXISTS) return true;
      }
      return false;
    };
    while (!(await this.world.settle(attempt()))) await this.world.run({ forMs: 200 });
  }

  async settleAll(): Promise<void> {
    await this.world.run({ until: () => this.brokers.size === BROKERS.length, withinMs: 60_000 });
  }
}

function starting(host: Host, start: (host: Host) => Promise<unknown>): void {
  start(host).catch((error: unknown) => host.fail(error instanceof Error ? error : new Error(String(error))));
}

function startMember(host: Host): Promise<StandaloneMember> {
  const text = "dataDir=/zookeeper\nclientPort=2181\ntickTime=500\n";
  return StandaloneMember.start(host, readMemberConfig({ main: parseProperties(text, "zoo.cfg"), origin: "zoo.cfg", myId: undefined, dynamic: undefined }).config);
}

function startBroker(host: Host, id: number): Promise<Broker> {
  const text = [
    `broker.id=${id}`,
    `listeners=PLAINTEXT://kafka${id}:9092`,
    "log.dirs=/kafka/a,/kafka/b",
    "zookeeper.connect=zookeeper:2181/kafka",
    "zookeeper.session.timeout.ms=6000",
    "replica.lag.time.max.ms=3000",
    "replica.fetch.backoff.ms=200",
    "controlled.shutdown.retry.backoff.ms=500",
    "controller.socket.timeout.ms=3000",
    "leader.imbalance.check.interval.seconds=5",
    "log.segment.bytes=4096",
  ].join("\n");
  const properties = parseProperties(text, "server.properties");
  const { config } = readBrokerConfig(properties, "server.properties");
  return Broker.start({ host, config, layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() } });
}

/** Writes 0, 1, 2, … to one partition with acks=all, each until it is acknowledged; it may stand there more than once. */
class Producer {
  acknowledged = 0;
  /** The longest time without an acknowledgement. */
  waitedMsMax = 0;
  /** Answers other than NONE and NOT_LEADER_OR_FOLLOWER, and requests that timed out. */
  readonly failures: string[] = [];
  readonly #cluster: Cluster;
  readonly #partition: number;

  constructor(cluster: Cluster, partition: number) {
    this.#cluster = cluster;
    this.#partition = partition;
  }

  async run(isOver: () => boolean): Promise<void> {
    let connection: { readonly broker: number; readonly way: BrokerConnection } | undefined;
    const { host } = this.#cluster.client;
    let lastMs = host.clock.monotonicMs();
    while (!isOver()) {
      try {
        const broker = connection?.broker ?? (await this.#leader());
        if (broker < 0) {
          await pause(host, 50);
          continue;
        }
        connection ??= { broker, way: await this.#cluster.connect(broker) };
        const value = Buffer.from(String(this.acknowledged).padEnd(20 + (this.acknowledged % 100)));
        const batch = buildBatch([{ key: null, value, timestamp: host.clock.wallMs() }]);
        const topicData = [{ name: TOPIC, partitionData: [{ index: this.#partition, records: [batch] }] }];
        const answer = await connection.way.send(produce, 8, { transactionalId: null, acks: -1, timeoutMs: 3000, topicData });
        const error = answer.responses[0]?.partitionResponses[0]?.errorCode;
        if (error === ErrorCode.NONE) {
          this.acknowledged += 1;
          this.waitedMsMax = Math.max(this.waitedMsMax, host.clock.monotonicMs() - lastMs);
          lastMs = host.clock.monotonicMs();
          await pause(host, 20);
          continue;
        }
        if (error !== ErrorCode.NOT_LEADER_OR_FOLLOWER) this.failures.push(String(error));
      } catch (thrown) {
        if (errorCode(thrown) === undefined) throw thrown;
        // A broker that has stopped answers nobody.
        if (errorCode(thrown) !== "ECONNRESET" && errorCode(thrown) !== "ECONNREFUSED") this.failures.push(String(errorCode(thrown)));
      }
      connection?.way.close();
      connection = undefined;
      await pause(host, 50);
    }
    connection?.way.close();
  }

  async #leader(): Promise<number> {
    for (const id of this.#cluster.brokers.keys()) {
      try {
        return (await this.#cluster.layout(id))[this.#partition]?.leader ?? -1;
      } catch (thrown) {
        if (errorCode(thrown) === undefined) throw thrown;
      }
    }
    return -1;
  }
}

function pause(host: Host, ms: number): Promise<void> {
  return new Promise((resolve) => {
    host.timers.after(ms, resolve);
  });
}

async function readAll(cluster: Cluster, broker: number, partition: number): Promise<number[]> {
  const connection = await cluster.connect(broker);
  const values: number[] = [];
  const cursor = new RecordCursor();
  for (let offset = 0; ; ) {
    const answer = await connection.send(fetch, 11, { maxWaitMs: 0, minBytes: 0, topics: [{ topic: TOPIC, partitions: [{ partition, fetchOffset: offset, partitionMaxBytes: 100_000 }] }], forgottenTopicsData: [] });
    const result = answer.responses[0]?.partitions[0];
    if (result === undefined || result.errorCode !== ErrorCode.NONE) throw new Error(`reading at ${offset} answers ${result?.errorCode ?? answer.errorCode}`);
    const records = result.records?.[0] ?? Buffer.alloc(0);
    const from = offset;
    for (let at = 0, size = wholeBatchSize(records, at, records.length); size > 0; at += size, size = wholeBatchSize(records, at, records.length)) {
      if (batchBaseOffset(records, at) < from) continue;
      cursor.open(records, at, size);
      while (cursor.next()) values.push(Number(cursor.buffer.toString("latin1", cursor.valueAt, cursor.valueAt + cursor.valueLength)));
      offset = batchLastOffset(records, at) + 1;
    }
    if (offset === from) {
      connection.close();
      return values;
    }
  }
}

/** Every acknowledged value is there, in order; a value may stand there again, where an answer was lost. */
function expectAll(values: readonly number[], acknowledged: number): void {
  const firsts = values.filter((value, index) => values.indexOf(value) === index);
  expect(firsts.slice(0, acknowledged)).toEqual(Array.from({ length: acknowledged }, (_, index) => index));
  expect(firsts.length - acknowledged).toBeLessThanOrEqual(1);
}

async function started(seed: number, partitions: number): Promise<{ cluster: Cluster; world: World }> {
  const cluster = new Cluster(seed);
  for (const id of BROKERS) cluster.start(id);
  await cluster.settleAll();
  await cluster.createTopic(TOPIC, Array.from({ length: partitions }, (_, index) => BROKERS.map((_id, at) => must(BROKERS[(index + at) % BROKERS.length], "broker"))), 2);
  await cluster.until((layout) => layout.length === partitions && layout.every(({ isr }) => isr.length === 3), BROKERS);
  return { cluster, world: cluster.world };
}

test("a partition outlives its leader: what was acknowledged stays, the leader comes back and into the ISR", () =>
  withTripwires(async () => {
    const { cluster, world } = await started(21, 1);
    const producer = new Producer(cluster, 0);
    let over = false;
    const produced = producer.run(() => over);
    await world.run({ until: () => producer.acknowledged >= 30, withinMs: 20_000 });

    const before = must((await world.settle(cluster.layout(1)))[0], "partition 0");
    cluster.kill(before.leader);
    const others = BROKERS.filter((id) => id !== before.leader);
    await cluster.until(([now]) => now !== undefined && now.leader >= 0 && now.leader !== before.leader && now.isr.join() === others.join(), others);
    const then = producer.acknowledged;
    await world.run({ until: () => producer.acknowledged >= then + 30, withinMs: 20_000 });

    cluster.start(before.leader);
    await cluster.settleAll();
    await cluster.until(([now]) => now?.isr.length === 3, BROKERS);
    // The preferred replica leads again by itself.
    await cluster.until(([now]) => now?.leader === before.leader, BROKERS);
    const later = producer.acknowledged;
    await world.run({ until: () => producer.acknowledged >= later + 30, withinMs: 20_000 });
    over = true;
    await world.settle(produced);
    await world.run({ forMs: FOLLOWERS_LAG_MS });
    for (const id of BROKERS) expectAll(await world.settle(readAll(cluster, id, 0)), producer.acknowledged);
  }));

test("a broker that stops hands its partitions over first: nobody waits, nothing fails, nothing is left of it", () =>
  withTripwires(async () => {
    const { cluster, world } = await started(22, 3);
    const producers = [0, 1, 2].map((partition) => new Producer(cluster, partition));
    let over = false;
    const produced = Promise.all(producers.map((producer) => producer.run(() => over)));
    await world.run({ until: () => producers.every(({ acknowledged }) => acknowledged >= 20), withinMs: 20_000 });
    for (const id of BROKERS) {
      await cluster.stop(id);
      const node = cluster.node(id);
      expect(node.log.lines().join("\n")).toContain("controlled shutdown succeeded");
      // What it has closed takes its leave for a while yet.
      await world.run({ forMs: LINGER_MS });
      expect(node.resources).toEqual({ files: [], connections: 0, listeners: 0 });
      node.kill();
      const others = BROKERS.filter((other) => other !== id);
      for (const other of others) {
        const now = await world.settle(cluster.layout(other));
        expect(now.map(({ leader, isr }) => [leader === id || leader < 0, isr.includes(id)])).toEqual([[false, false], [false, false], [false, false]]);
      }
      const then = producers.map(({ acknowledged }) => acknowledged);
      await world.run({ until: () => producers.every(({ acknowledged }, index) => acknowledged >= (then[index] ?? 0) + 10), withinMs: 20_000 });
      cluster.start(id);
      await cluster.settleAll();
      await cluster.until((layout) => layout.every(({ isr }) => isr.length === 3), BROKERS);
    }
    over = true;
    await world.settle(produced);
    expect(producers.flatMap(({ failures }) => failures)).toEqual([]);
    expect(Math.max(...producers.map(({ waitedMsMax }) => waitedMsMax))).toBeLessThan(1000);
    await world.run({ forMs: FOLLOWERS_LAG_MS });
    for (const [partition, { acknowledged }] of producers.entries()) {
      for (const id of BROKERS) expectAll(await world.settle(readAll(cluster, id, partition)), acknowledged);
    }
  }));

test("what can't be handed over is said, and what could be does not come back into sync with the broker that stops", () =>
  withTripwires(async () => {
    const { cluster, world } = await started(23, 1);
    await cluster.createTopic("solo", [[1, 2]]);
    await cluster.until(([solo]) => solo?.isr.length === 2, BROKERS, "solo");
    cluster.kill(2);
    await cluster.until(([solo]) => solo?.isr.join() === "1", [1, 3], "solo");
    await cluster.until(([now]) => now?.isr.join() === "1,3", [1, 3]);
    await cluster.stop(1);
    const said = cluster.node(1).log.lines().filter((line) => line.includes("controlled shutdown"));
    expect(said.join()).toMatch(/controlled shutdown failed.*remaining: \[ 'solo-0' \]/);
    expect(cluster.node(3).log.lines().filter((line) => /ISR expands.*to: \[ 3, 1 \]/.test(line))).toEqual([]);
    cluster.node(1).kill();
    await cluster.until(([now]) => now?.leader === 3 && now.isr.join() === "3", [3]);
    await cluster.until(([solo]) => solo?.leader === -1, [3], "solo");
    cluster.start(1);
    await cluster.until(([solo]) => solo?.leader === 1, [3], "solo");
    await cluster.until(([now]) => now?.isr.join() === "1,3", [3]);
    await world.run({ forMs: FOLLOWERS_LAG_MS });
  }));

test("a log directory that fails is announced: others lead what was in it, the rest stays where it is", () =>
  withTripwires(async () => {
    const { cluster, world } = await started(24, 6);
    const disk = cluster.node(1).disk;
    disk.inject = ({ operation, path }) => (path.startsWith("/kafka/a/") && operation !== "read" ? "EIO" : undefined);
    const producers = [0, 1, 2, 3, 4, 5].map((partition) => new Producer(cluster, partition));
    let over = false;
    const produced = Promise.all(producers.map((producer) => producer.run(() => over)));
    await cluster.until((layout) => layout.some(({ offline }) => offline.includes(1)) && layout.every(({ offline, isr }) => offline.includes(1) !== isr.includes(1)), BROKERS);
    await cluster.until((layout) => layout.every(({ leader, offline }) => leader > 0 && !offline.includes(leader)), BROKERS);
    const layout = await world.settle(cluster.layout(1));
    expect(layout.some(({ offline }) => offline.length === 0)).toBe(true);
    expect(layout.some(({ leader }) => leader === 1)).toBe(true);
    const then = producers.map(({ acknowledged }) => acknowledged);
    await world.run({ until: () => producers.every(({ acknowledged }, index) => acknowledged >= (then[index] ?? 0) + 10), withinMs: 20_000 });
    over = true;
    await world.settle(produced);
    cluster.kill(1);
    disk.inject = undefined;
    cluster.start(1);
    await cluster.settleAll();
    await cluster.until((now) => now.every(({ isr, offline }) => isr.length === 3 && offline.length === 0), BROKERS);
    await world.run({ forMs: FOLLOWERS_LAG_MS });
    for (const [partition, { acknowledged }] of producers.entries()) {
      for (const id of BROKERS) expectAll(await world.settle(readAll(cluster, id, partition)), acknowledged);
    }
  }));

test("a follower that is cut off from its leader alone falls out of the ISR and comes back; too few in sync are refused", () =>
  withTripwires(async () => {
    const { cluster, world } = await started(25, 3);
    // The leader that is the controller too: it can ask itself.
    const controller = await world.settle(cluster.controller(1));
    const layout = await world.settle(cluster.layout(controller));
    const partition = layout.findIndex(({ leader }) => leader === controller);
    const [first, second] = BROKERS.filter((id) => id !== controller);
    const producer = new Producer(cluster, partition);
    let over = false;
    const produced = producer.run(() => over);

    world.net.partition([cluster.node(controller)], [cluster.node(must(first, "a follower"))]);
    await cluster.until((now) => now[partition]?.isr.length === 2 && !now[partition].isr.includes(must(first, "a follower")), [controller]);
    const then = producer.acknowledged;
    await world.run({ until: () => producer.acknowledged >= then + 10, withinMs: 20_000 });
    expect(producer.failures.filter((failure) => failure !== String(ErrorCode.REQUEST_TIMED_OUT))).toEqual([]);

    world.net.partition([cluster.node(controller)], [cluster.node(must(second, "a follower"))]);
    await cluster.until((now) => now[partition]?.isr.join() === String(controller), [controller]);
    await world.run({ forMs: 1000 });
    const refused = producer.acknowledged;
    expect(producer.failures.at(-1)).toBe(String(ErrorCode.NOT_ENOUGH_REPLICAS));

    world.net.heal();
    await cluster.until((now) => now.every(({ isr }) => isr.length === 3), BROKERS);
    await world.run({ until: () => producer.acknowledged >= refused + 10, withinMs: 20_000 });
    over = true;
    await world.settle(produced);
    await world.run({ forMs: FOLLOWERS_LAG_MS });
    for (const id of BROKERS) expectAll(await world.settle(readAll(cluster, id, partition)), producer.acknowledged);
  }));

test("a broker stops in bounded time though nobody is left: no ZooKeeper, no controller, an ISR change that nobody hears", () =>
  withTripwires(async () => {
    const { cluster, world } = await started(26, 3);
    const controller = await world.settle(cluster.controller(1));
    for (const survivor of BROKERS.filter((id) => id !== controller).slice(0, 1)) {
      cluster.zookeeper.kill();
      for (const id of BROKERS) if (id !== survivor) cluster.kill(id);
      await world.run({ forMs: 5000 });
      const before = world.nowMs;
      await cluster.stop(survivor);
      expect(world.nowMs - before).toBeLessThan(15_000);
      expect(cluster.node(survivor).log.lines().join("\n")).toContain("controlled shutdown failed");
      await world.run({ forMs: LINGER_MS });
      expect(cluster.node(survivor).resources).toEqual({ files: [], connections: 0, listeners: 0 });
    }
  }));
