import { KafkaCluster, type BrokerKind, type Settings } from "./kafka-cluster.ts";
import { ZooKeeperEnsemble } from "./zookeeper-ensemble.ts";

/** As a cluster for one machine is set up: groups start without waiting for more members, and outlive any one broker. */
export const GROUP_SETTINGS: Settings = {
  "group.initial.rebalance.delay.ms": 0,
  "offsets.topic.replication.factor": 3,
};

/**
 * Three brokers that serve, and that the controller knows. Ours run on three members of ours, all from dist/; Apache's on Apache's ZooKeeper, which is
 * how a story is tested before it judges ours. `classPath` is Apache Kafka's, which its tools need too.
 */
export async function startCluster({ kind = "odradek", classPath = "", settings = {} }: { readonly kind?: BrokerKind; readonly classPath?: string; readonly settings?: Settings } = {}): Promise<KafkaCluster> {
  const all = { ...GROUP_SETTINGS, ...settings };
  const cluster = kind === "odradek" ? await onOurEnsemble(classPath, all) : await KafkaCluster.plan([kind, kind, kind], classPath, { settings: all });
  try {
    await Promise.all(cluster.brokers.map((broker) => broker.start()));
    await cluster.allKnown();
  } catch (error) {
    await cluster.close();
    throw error;
  }
  return cluster;
}

async function onOurEnsemble(classPath: string, settings: Settings): Promise<KafkaCluster> {
  const ensemble = await ZooKeeperEnsemble.plan(["odradek", "odradek", "odradek"]);
  await ensemble.start();
  const zookeeper = { connect: ensemble.connect(), stop: () => ensemble.close() };
  return KafkaCluster.plan(["odradek", "odradek", "odradek"], classPath, { settings, zookeeper });
}
