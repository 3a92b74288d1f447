import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { expectIdenticalReplicas, FAULT_TOPICS, FaultWorkload, hasFaultClients } from "../support/fault-workload.ts";
import { KafkaCluster, type BrokerKind } from "../support/kafka-cluster.ts";
import { GROUP_SETTINGS } from "../support/odradek-cluster.ts";
import { ZooKeeperEnsemble, type MemberKind } from "../support/zookeeper-ensemble.ts";

/**
 * Two brokers of ours and one of Apache Kafka 2.7.1, on an ensemble of two members of ours and one of Apache ZooKeeper
 * 3.5.9. Every broker, the ensemble's leader and the controller are killed while an idempotent producer, a plain one and
 * a group work: first under a controller of ours, then under Apache's. The tests are one story, in this order. With
 * MIXED_CLUSTER=apache,apache,apache it is told of Apache's brokers alone.
 */

const KINDS = (process.env["MIXED_CLUSTER"] ?? "odradek,odradek,apache").split(",") as BrokerKind[];
const MEMBERS: readonly MemberKind[] = ["odradek", "odradek", "apache-3.5.9"];

const classPath = (await apacheKafkaClassPath("2.7.1")) ?? "";
const able = hasFaultClients && classPath !== "";
if (!able) console.warn("SKIPPED the faults of our brokers in one cluster with Apache's: it needs kcat, confluent-kafka and Apache Kafka 2.7.1");

/** Faults that take sessions of 6 s and JVMs that start. */
const SLOW = { timeout: 240_000 };

describe.runIf(able)("under the death of every process of a mixed cluster", () => {
  let ensemble: ZooKeeperEnsemble;
  let cluster: KafkaCluster;
  let workload: FaultWorkload;

  beforeAll(async () => {
    ensemble = await ZooKeeperEnsemble.plan(MEMBERS);
    await ensemble.start();
    const zookeeper = { connect: ensemble.connect(), stop: () => ensemble.close() };
    cluster = await KafkaCluster.plan(KINDS, classPath, { settings: { ...GROUP_SETTINGS, "offsets.topic.num.partitions": 6 }, zookeeper });
    await Promise.all(cluster.brokers.map((broker) => broker.start()));
    workload = await FaultWorkload.begin(cluster.bootstrap);
    await workload.more(50);
  }, 120_000);

  afterAll(async () => {
    await workload?.kill();
    await cluster?.close();
  });

  /** The others go on without it, or, `atOnce`, it is back before its session is over; Apache's can't be. */
  async function kill(id: number, { atOnce }: { readonly atOnce: boolean }): Promise<void> {
    const broker = cluster.broker(id);
    await broker.kill();
    if (!atOnce || broker.kind === "apache") {
      await workload.more(30);
      await cluster.forgotten(id);
    }
    await broker.start();
    for (const topic of FAULT_TOPICS) await cluster.inSync(topic);
    await workload.more(30);
  }

  describe.each([
    { kind: KINDS[0] ?? "odradek", atOnce: false },
    { kind: KINDS[2] ?? "apache", atOnce: true },
  ])("the controller is a broker of kind $kind", ({ kind, atOnce }) => {
    let controller = 0;

    beforeAll(async () => {
      await cluster.controlledBy(kind);
      controller = (await cluster.controller()) ?? 0;
      await workload.more(30);
    }, SLOW.timeout);

    test("each other broker is killed, and work goes on", SLOW, async () => {
      for (const { id } of cluster.others(controller)) await kill(id, { atOnce });
    });

    test("the leader of the ensemble is killed, and work goes on", SLOW, async () => {
      const leader = await ensemble.leader();
      await leader.kill();
      await workload.more(30);
      await ensemble.start();
      await workload.more(30);
    });

    test("the controller is killed, and work goes on", SLOW, async () => {
      expect(await cluster.controller()).toBe(controller);
      expect(cluster.broker(controller).kind).toBe(kind);
      await kill(controller, { atOnce });
    });
  });

  test("no acknowledged record is lost, none is doubled for the idempotent producer, order is kept, and the group has seen all and never gone back", SLOW, async () => {
    await workload.expectKept();
  });

  test("all replicas are identical, and stay so when the brokers have stopped", SLOW, async () => {
    await workload.leave();
    const stop = async (): Promise<void> => void (await Promise.all(cluster.brokers.map((broker) => broker.stop())));
    await expectIdenticalReplicas(cluster.brokers.map(({ logDir }) => logDir), stop);
  });
});
