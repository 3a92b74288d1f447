import { randomInt } from "node:crypto";
import { appendFile, mkdtemp, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { realHost } from "../host/real/host.ts";
import { OperationalError } from "../lib/error.ts";
import { holdsCluster, openCluster, type Cluster, type ClusterNode } from "./cluster-directory.ts";
import { ClusterLock } from "./cluster-lock.ts";
import { InProcessNodes } from "./in-process-nodes.ts";
import { takenPorts } from "./ports.ts";
import { whenInSync, whenReady } from "./readiness.ts";
import { Supervisor } from "./supervisor.ts";

export interface LocalClusterOptions {
  /** 3 by default; a directory that holds a cluster already must have as many. */
  readonly nodes?: number;
  /** Where its files are, and stay; by default a temporary directory that goes with `close`. */
  readonly directory?: string;
  /** All nodes in this very process: starts faster, and shares its event loop. Otherwise each node is a process. */
  readonly inProcess?: boolean;
  /** More lines for each node's server.properties, when it is written. */
  readonly settings?: Readonly<Record<string, string | number | boolean>>;
}

/** A cluster for tests. Nodes are numbered from 1. */
export interface LocalCluster {
  /** `host:port,…` of the brokers, as every Kafka client takes it. */
  readonly bootstrapServers: string;
  /** `host:port,…` of the ZooKeeper members. */
  readonly zookeeperConnect: string;
  /** Ends a node as kill -9 does; it stays down. In this process: stops it without handing its partitions over. */
  kill(node: number): Promise<void>;
  /** Starts one that was killed. Resolves when its broker serves. */
  start(node: number): Promise<void>;
  /** Stops all in good order; a temporary directory goes too. */
  close(): Promise<void>;
}

/** What keeps the nodes. */
interface Nodes {
  start(): Promise<void>;
  killNode(id: number): Promise<void>;
  startNode(id: number): Promise<void>;
  stop(): Promise<void>;
  /** Ends all at once; what is known of them is lost. */
  abandon(): Promise<void>;
}

/** Below those that systems give to outgoing connections. */
const [PORT_MIN, PORT_MAX] = [10_000, 32_000];
const KINDS_OF_PORTS = 4;
const DEFAULT_NODES = 3;
const LOOKS_MAX = 25;

/**
 * Starts a cluster on free ports of this machine. Resolves when it is ready: every broker registered, a controller
 * elected. Rejects with what kept it from starting; nothing is left running then.
 */
export async function startCluster(options: LocalClusterOptions = {}): Promise<LocalCluster> {
  const host = realHost({ logLevel: "silent" });
  const directory = options.directory ?? (await mkdtemp(join(tmpdir(), "odradek-")));
  const removeTemporary = async (): Promise<void> => {
    if (options.directory === undefined) await rm(directory, { recursive: true, force: true });
  };
  try {
    const cluster = await openOnFreePorts(directory, options);
    const lock = await ClusterLock.take(host.disk, directory);
    let died: (error: Error) => void;
    const dead = new Promise<never>((_, reject) => (died = reject));
    const nodes = options.inProcess === true ? new InProcessNodes(cluster.nodes) : supervised(cluster.nodes, (error) => died(error));
    const waiting = new AbortController();
    const ready = async (): Promise<void> => {
      await nodes.start();
      const brokers = cluster.nodes.map(({ kafka }) => kafka);
      await whenReady(host, brokers, waiting.signal);
      await whenInSync(host, brokers, waiting.signal);
    };
    try {
      await Promise.race([ready(), dead]);
    } catch (error) {
      waiting.abort();
      await nodes.abandon();
      await lock.release();
      throw error;
    }
    return {
      bootstrapServers: cluster.nodes.map(({ kafka }) => `${kafka.host}:${kafka.port}`).join(","),
      zookeeperConnect: cluster.nodes.map(({ zookeeper }) => `${zookeeper.host}:${zookeeper.port}`).join(","),
      kill: (node) => nodes.killNode(known(cluster, node)),
      start: (node) => nodes.startNode(known(cluster, node)),
      close: async () => {
        await nodes.stop();
        await lock.release();
        await removeTemporary();
      },
    };
  } catch (error) {
    await removeTemporary();
    throw error;
  }
}

function supervised(nodes: readonly ClusterNode[], onDeath: (error: Error) => void): Nodes {
  const supervisor = new Supervisor({
    nodes,
    restarts: false,
    onEvent: (event) => {
      if (event.kind === "died") onDeath(new OperationalError("ERR_NODE", `node ${event.node} died (${event.how}) before the cluster was ready`));
    },
  });
  return {
    start: () => supervisor.start(),
    killNode: (id) => supervisor.killNode(id, "SIGKILL"),
    startNode: (id) => supervisor.startNode(id),
    stop: () => supervisor.stop(),
    abandon: () => supervisor.kill(),
  };
}

function known(cluster: Cluster, node: number): number {
  if (cluster.nodes.some(({ id }) => id === node)) return node;
  throw new OperationalError("ERR_USAGE", `there is no node ${node}: the cluster has ${cluster.nodes.map(({ id }) => id).join(", ")}`);
}

/** A directory that holds a cluster already keeps its ports. */
async function openOnFreePorts(directory: string, { nodes: wanted, settings = {} }: LocalClusterOptions): Promise<Cluster> {
  if (await holdsCluster(directory)) return openCluster(directory, { nodes: wanted });
  const nodes = wanted ?? DEFAULT_NODES;
  const first = await freePorts(nodes * KINDS_OF_PORTS);
  const cluster = await openCluster(directory, { nodes, kafkaPort: first, zookeeperPort: first + nodes, quorumPort: first + 2 * nodes, electionPort: first + 3 * nodes });
  const lines = Object.entries(settings).map(([key, value]) => `${key}=${value}\n`).join("");
  for (const { serverProperties } of cluster.nodes) await appendFile(serverProperties, lines);
  return cluster;
}

/** The first of `count` ports in a row that nobody has. */
async function freePorts(count: number): Promise<number> {
  for (let attempt = 1; ; attempt++) {
    const first = randomInt(PORT_MIN, PORT_MAX - count);
    const listens = Array.from({ length: count }, (_, at) => ({ flag: "", host: "localhost", port: first + at }));
    if ((await takenPorts(listens)).length === 0) return first;
    if (attempt >= LOOKS_MAX) throw new OperationalError("EADDRINUSE", `no ${count} free ports in a row were found between ${PORT_MIN} and ${PORT_MAX}`);
  }
}
