import type { Host } from "../host/host.ts";
import { fourLetterWord } from "./four-letter-word.ts";
import { KafkaClient, type Endpoint } from "../kafka/client/kafka-client.ts";

export interface NodeStatus {
  readonly id: number;
  readonly pid: number | undefined;
  /** What its ZooKeeper member is in the ensemble; undefined: it does not answer, or has no quorum. */
  readonly member: "leader" | "follower" | "observer" | "standalone" | undefined;
  /** Whether the cluster counts its broker in. */
  readonly broker: boolean;
  readonly controller: boolean;
}

export interface ClusterStatus {
  readonly nodes: readonly NodeStatus[];
  /** Partitions with replicas that are not in sync, and those without a leader, as topic-partition. Undefined: no broker answers. */
  readonly underReplicated: readonly string[] | undefined;
  readonly offline: readonly string[] | undefined;
}

/** A node as its files tell where to find it. */
export interface ReachableNode {
  readonly id: number;
  readonly kafka: Endpoint;
  readonly zookeeper: Endpoint;
}

const ANSWER_MS = 2000;

/** Everything is there and in sync. */
export function isHealthy(status: ClusterStatus): boolean {
  return status.nodes.every(({ member, broker }) => member !== undefined && broker) && status.underReplicated?.length === 0 && status.offline?.length === 0;
}

/** Asks members and brokers over the wire; whoever does not answer is down. */
export async function clusterStatus(host: Host, nodes: readonly ReachableNode[], pids: Readonly<Record<string, number>>): Promise<ClusterStatus> {
  const [members, cluster] = await Promise.all([Promise.all(nodes.map(({ zookeeper }) => memberMode(host, zookeeper))), askBrokers(host, nodes.map(({ kafka }) => kafka))]);
  return {
    nodes: nodes.map(({ id, kafka }, at) => {
      // A node's number need not be its broker.id, which is the user's to edit.
      const broker = cluster?.brokers.find(({ host: name, port }) => name === kafka.host && port === kafka.port);
      return { id, pid: pids[id], member: members[at], broker: broker !== undefined, controller: broker !== undefined && broker.nodeId === cluster?.controllerId };
    }),
    underReplicated: cluster?.underReplicated,
    offline: cluster?.offline,
  };
}

async function memberMode(host: Host, at: Endpoint): Promise<NodeStatus["member"]> {
  const answer = await fourLetterWord(host, at, "srvr", ANSWER_MS).catch(() => "");
  const mode = /^Mode: (\w+)$/m.exec(answer)?.[1];
  return mode === "leader" || mode === "follower" || mode === "observer" || mode === "standalone" ? mode : undefined;
}

async function askBrokers(host: Host, bootstrap: readonly Endpoint[]) {
  const client = new KafkaClient({ host, bootstrap, clientId: "odradek", requestTimeoutMs: ANSWER_MS, random: host.random });
  try {
    const { brokers, controllerId, topics } = await client.metadata(null);
    const partitions = topics.flatMap(({ name, partitions: of }) => of.map((partition) => ({ ...partition, name: `${name ?? ""}-${partition.partitionIndex}` })));
    return {
      brokers,
      controllerId,
      underReplicated: partitions.filter(({ isrNodes, replicaNodes }) => isrNodes.length < replicaNodes.length).map(({ name }) => name),
      offline: partitions.filter(({ leaderId }) => leaderId < 0).map(({ name }) => name),
    };
  } catch {
    return undefined;
  } finally {
    await client.close();
  }
}
