import { expect, test } from "vitest";
import { parseExposition, sampleOf, type ExposedFamily } from "../../../test/support/exposition.ts";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";
import { renderMetrics } from "../../lib/metrics.ts";
import { BrokerConnection } from "../client/broker-connection.ts";
import { toBrokerId } from "../protocol/ids.ts";
import { createTopics } from "../protocol/messages/create-topics.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { metadata } from "../protocol/messages/metadata.ts";
import { produce } from "../protocol/messages/produce.ts";
import { buildBatch } from "../records/build.ts";

const BROKERS = [1, 2, 3];
const BATCHES = 5;
const RECORDS = 3;

/** One topic of one partition, led by broker 1, written to and read once through. */
async function scene() {
  const cluster = await SimulatedBrokers.start(BROKERS.length, ["min.insync.replicas=2"]);
  const { world, clientNode } = cluster;
  const connect = (id: number): Promise<BrokerConnection> =>
    world.settle(BrokerConnection.connect(clientNode.host, { host: `kafka${id}`, port: 9092, clientId: "test", connectTimeoutMs: 1000, requestTimeoutMs: 5000 }));
  const first = await connect(1);
  const ask = async () => world.settle(first.send(metadata, 9, { topics: [{ name: "t" }], allowAutoTopicCreation: false, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false }));
  const controller = await connect((await ask()).controllerId);
  const assignments = [{ partitionIndex: 0, brokerIds: BROKERS.map(toBrokerId) }];
  await world.settle(controller.send(createTopics, 5, { topics: [{ name: "t", numPartitions: -1, replicationFactor: -1, assignments, configs: [] }], timeoutMs: 10_000, validateOnly: false }));
  while ((await ask()).topics[0]?.partitions[0]?.isrNodes.length !== BROKERS.length) await world.run({ forMs: 50 });
  let written = 0;
  for (let n = 0; n < BATCHES; n++) {
    const batch = buildBatch(Array.from({ length: RECORDS }, () => ({ key: null, value: Buffer.alloc(10 * n), timestamp: clientNode.host.clock.wallMs() })));
    written += batch.length;
    const answer = await world.settle(first.send(produce, 8, { transactionalId: null, acks: -1, timeoutMs: 3000, topicData: [{ name: "t", partitionData: [{ index: 0, records: [batch] }] }] }));
    expect(answer.responses[0]?.partitionResponses[0]?.errorCode).toBe(0);
  }
  const read = await world.settle(first.send(fetch, 11, { maxWaitMs: 0, minBytes: 0, topics: [{ topic: "t", partitions: [{ partition: 0, fetchOffset: 0, partitionMaxBytes: 100_000 }] }], forgottenTopicsData: [] }));
  expect(Buffer.concat(read.responses[0]?.partitions[0]?.records ?? [])).toHaveLength(written);
  const scrapes = new Map(BROKERS.map((id) => [id, parseExposition([...renderMetrics(cluster.broker(id).families)].join(""))]));
  const of = (id: number, sample: string): number | undefined => sampleOf(scrapes.get(id) ?? new Map<string, ExposedFamily>(), sample);
  return { cluster, written, scrapes, of };
}

test("what was written and read through a cluster adds up in its brokers' metrics", async () => {
  const { cluster, written, scrapes, of } = await scene();
  for (const label of ["", '{topic="t"}']) {
    const counted = (name: string): unknown => of(1, `kafka_server_brokertopicmetrics_${name}_total${label}`);
    expect([counted("messagesin"), counted("bytesin"), counted("bytesout"), counted("bytesrejected")]).toEqual([BATCHES * RECORDS, written, written, 0]);
    expect([counted("totalproducerequests"), counted("failedproducerequests"), counted("totalfetchrequests"), counted("failedfetchrequests")]).toEqual([BATCHES, 0, 1, 0]);
  }
  expect(of(1, "kafka_server_brokertopicmetrics_replicationbytesout_total")).toBe(2 * written);
  for (const follower of [2, 3]) expect(of(follower, "kafka_server_brokertopicmetrics_replicationbytesin_total")).toBe(written);
  for (const id of BROKERS) {
    expect(of(id, 'kafka_log_log_logendoffset{partition="0",topic="t"}')).toBe(BATCHES * RECORDS);
    expect(of(id, 'kafka_log_log_size{partition="0",topic="t"}')).toBe(written);
    expect(of(id, "kafka_server_replicamanager_partitioncount")).toBe(1);
    expect(of(id, "kafka_server_replicamanager_leadercount")).toBe(id === 1 ? 1 : 0);
    expect(of(id, "kafka_server_replicamanager_underreplicatedpartitions")).toBe(0);
    expect(of(id, 'odradek_log_write_ms_count{kind="now"}')).toBeGreaterThan(0);
    expect(of(id, "kafka_server_kafkaserver_brokerstate")).toBe(3);
    expect(cluster.broker(id).unready).toBeUndefined();
  }
  expect(of(1, 'kafka_cluster_partition_insyncreplicascount{partition="0",topic="t"}')).toBe(3);
  const controllers = BROKERS.filter((id) => of(id, "kafka_controller_kafkacontroller_activecontrollercount") === 1);
  expect(controllers).toHaveLength(1);
  expect(of(controllers[0] ?? 0, "kafka_controller_kafkacontroller_globalpartitioncount")).toBe(1);
  expect(scrapes.get(1)?.get("kafka_server_brokertopicmetrics_messagesin_total")?.type).toBe("counter");
});

test("requests are counted by API and version, and the parts of their time add up to the whole", async () => {
  const { of } = await scene();
  expect(of(1, 'kafka_network_requestmetrics_requests_total{request="Produce",version="8"}')).toBe(BATCHES);
  expect(of(1, 'kafka_network_requestmetrics_requests_total{request="FetchConsumer",version="11"}')).toBe(1);
  const counted = (name: string, request: string): number => of(1, `kafka_network_requestmetrics_${name}{request="${request}"}`) ?? Number.NaN;
  expect(counted("totaltimems_count", "Fetch")).toBe(counted("totaltimems_count", "FetchConsumer") + counted("totaltimems_count", "FetchFollower"));
  for (const request of ["Produce", "FetchFollower", "Metadata"]) {
    const parts = ["requestqueuetimems", "localtimems", "remotetimems", "responsequeuetimems", "responsesendtimems"].map((part) => counted(`${part}_sum`, request));
    expect(parts.reduce((sum, part) => sum + part, 0)).toBeCloseTo(counted("totaltimems_sum", request), 3);
  }
  // acks=all waits for the followers, over a network.
  expect(counted("remotetimems_sum", "Produce")).toBeGreaterThan(0.9 * counted("totaltimems_sum", "Produce"));
});

test("a broker that loses ZooKeeper is not ready, and is again when it is back", async () => {
  const { cluster } = await scene();
  const zookeeper = cluster.world.nodes.find(({ name }) => name === "zookeeper");
  if (zookeeper === undefined) throw new Error("no ZooKeeper");
  cluster.world.net.partition([cluster.node(2)], [zookeeper]);
  await cluster.world.run({ until: () => cluster.broker(2).unready !== undefined, withinMs: 20_000 });
  expect(cluster.broker(2).unready).toBe("it has no connection to ZooKeeper");
  cluster.world.net.heal();
  await cluster.world.run({ until: () => cluster.broker(2).unready === undefined, withinMs: 60_000 });
});
