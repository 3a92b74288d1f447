import { OperationalError } from "../lib/error.ts";
import type { Listen } from "./cluster-directory.ts";

/** What `odradek up` is told by its flags; node i has each first port plus i - 1. */
export interface ClusterPlan {
  /** Absolute. */
  readonly directory: string;
  readonly nodes: number;
  readonly kafkaPort: number;
  readonly zookeeperPort: number;
  readonly quorumPort: number;
  readonly electionPort: number;
  /** Undefined: no metrics are served. */
  readonly metricsPort: number | undefined;
  /** A name or an address to listen on; 0.0.0.0 and :: stand for all of the machine's. */
  readonly host: string;
  /** What clients are told to connect to, where it is not `host`. */
  readonly advertise: string | undefined;
}

export type PortKind = "kafkaPort" | "zookeeperPort" | "quorumPort" | "electionPort" | "metricsPort";

export interface NodePlan extends Readonly<Record<Exclude<PortKind, "metricsPort">, number>> {
  /** broker.id and the content of myid: 1, 2, … */
  readonly id: number;
  /** Absolute. */
  readonly directory: string;
  readonly metricsPort: number | undefined;
}

export interface PlannedFile {
  /** Absolute. */
  readonly path: string;
  readonly text: string;
}

export const portFlags: Readonly<Record<PortKind, string>> = {
  kafkaPort: "--kafka-port",
  zookeeperPort: "--zookeeper-port",
  quorumPort: "--quorum-port",
  electionPort: "--election-port",
  metricsPort: "--metrics-port",
};

const portKinds: readonly PortKind[] = ["kafkaPort", "zookeeperPort", "quorumPort", "electionPort", "metricsPort"];

const PORT_MAX = 65_535;

export function isEverywhere(host: string): boolean {
  return host === "0.0.0.0" || host === "::";
}

/** The nodes in ascending order of id. Throws ERR_USAGE, naming the flag, for a plan that can't be carried out. */
export function planNodes(plan: ClusterPlan): NodePlan[] {
  checkPlan(plan);
  return Array.from({ length: plan.nodes }, (_, index) => ({
    id: index + 1,
    directory: nodeDirectory(plan.directory, index + 1),
    kafkaPort: plan.kafkaPort + index,
    zookeeperPort: plan.zookeeperPort + index,
    quorumPort: plan.quorumPort + index,
    electionPort: plan.electionPort + index,
    metricsPort: plan.metricsPort === undefined ? undefined : plan.metricsPort + index,
  }));
}

/** The ports that a plan's nodes open. Throws as `planNodes`. */
export function planListens(plan: ClusterPlan): Listen[] {
  const ofMembers: readonly PortKind[] = plan.nodes === 1 ? [] : ["quorumPort", "electionPort"];
  return planNodes(plan).flatMap((node) => {
    const listen = (kind: PortKind, host: string): Listen[] => (node[kind] === undefined ? [] : [{ flag: portFlags[kind], host, port: node[kind] }]);
    return [...listen("kafkaPort", plan.host), ...listen("zookeeperPort", plan.host), ...ofMembers.flatMap((kind) => listen(kind, peerHost(plan))), ...listen("metricsPort", plan.host)];
  });
}

export function nodeDirectory(directory: string, id: number): string {
  return `${directory}/node-${id}`;
}

/** What one should know of a cluster of so many nodes, one sentence each. */
export function nodeCountWarnings(nodes: number): string[] {
  if (nodes === 1) return [];
  if (nodes === 2) return ["--nodes 2: with either node gone the ZooKeeper ensemble stands still; 3 nodes bear the loss of one"];
  return nodes % 2 === 0 ? [`--nodes ${nodes}: an ensemble of ${nodes} bears the loss of no more nodes than one of ${nodes - 1}`] : [];
}

/** The directories that a node is laid out with, below its own; all else its member and its broker make. */
export const nodeDirectories = ["config", "zookeeper", "log/zookeeper", "logs"] as const;

/** A node's configuration, which is the user's to edit once it is written. Throws as `planNodes`. */
export function nodeFiles(plan: ClusterPlan, node: NodePlan): readonly PlannedFile[] {
  const { id, directory } = node;
  return [
    { path: `${directory}/config/zookeeper.properties`, text: zookeeperProperties(plan, node) },
    { path: `${directory}/config/server.properties`, text: serverProperties(plan, node) },
    { path: `${directory}/zookeeper/myid`, text: `${id}\n` },
  ];
}

function zookeeperProperties(plan: ClusterPlan, { id, directory, zookeeperPort }: NodePlan): string {
  const peers = planNodes(plan).map((peer) => setting(`server.${peer.id}`, `${bracketed(peerHost(plan))}:${peer.quorumPort}:${peer.electionPort}`));
  return lines(
    `# The ZooKeeper member of node ${id}. Its number stands in myid, in dataDir.`,
    setting("dataDir", `${directory}/zookeeper`),
    setting("dataLogDir", `${directory}/log/zookeeper`),
    "",
    "# Where clients connect; 0: as many of them as like.",
    setting("clientPort", String(zookeeperPort)),
    ...(isEverywhere(plan.host) ? [] : [setting("clientPortAddress", plan.host)]),
    setting("maxClientCnxns", "0"),
    setting("admin.enableServer", "false"),
    setting("4lw.commands.whitelist", "*"),
    "",
    "# A tick in ms; the limits are in ticks.",
    setting("tickTime", "2000"),
    setting("initLimit", "10"),
    setting("syncLimit", "5"),
    // A server line of its own only makes a lone member warn that it stands alone.
    ...(plan.nodes === 1 ? [] : ["", "# The ensemble: host, port of the quorum, port of the election.", ...peers]),
  );
}

function serverProperties(plan: ClusterPlan, { id, directory, kafkaPort, metricsPort }: NodePlan): string {
  const replicas = Math.min(3, plan.nodes);
  const inSync = replicas === 3 ? 2 : 1;
  const ensemble = planNodes(plan).map((peer) => `${bracketed(peerHost(plan))}:${peer.zookeeperPort}`);
  return lines(
    `# The Kafka broker of node ${id}.`,
    setting("broker.id", String(id)),
    setting("log.dirs", `${directory}/logs`),
    setting("zookeeper.connect", ensemble.join(",")),
    setting("zookeeper.session.timeout.ms", "6000"),
    "",
    "# Where the broker listens, and what it tells clients and other brokers to connect to.",
    setting("listeners", `PLAINTEXT://${bracketed(plan.host)}:${kafkaPort}`),
    setting("advertised.listeners", `PLAINTEXT://${bracketed(plan.advertise ?? plan.host)}:${kafkaPort}`),
    "",
    `# How many brokers keep a record, and how many of them must have it before acks=all is answered.`,
    setting("default.replication.factor", String(replicas)),
    setting("min.insync.replicas", String(inSync)),
    setting("offsets.topic.replication.factor", String(replicas)),
    setting("transaction.state.log.replication.factor", String(replicas)),
    setting("transaction.state.log.min.isr", String(inSync)),
    "",
    "# A new group's first member need not wait for others.",
    setting("group.initial.rebalance.delay.ms", "0"),
    ...(metricsPort === undefined
      ? []
      : ["", "# Where the node, broker and member, serves /metrics and /ready.", setting("odradek.metrics.port", String(metricsPort)), ...(isEverywhere(plan.host) ? [] : [setting("odradek.metrics.host", plan.host)])]),
  );
}

/** By which the nodes, all of one machine, find each other. */
function peerHost(plan: ClusterPlan): string {
  return isEverywhere(plan.host) ? "localhost" : plan.host;
}

/** As java.util.Properties reads it; colons and equals signs in a value stay as people write them. */
function setting(key: string, value: string): string {
  const escaped = value.replaceAll("\\", "\\\\").replace(/[^\x20-\x7e]/g, (char) => `\\u${char.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0")}`);
  return `${key}=${escaped.replace(/^ /, "\\ ")}`;
}

function lines(...all: readonly string[]): string {
  return `${all.join("\n")}\n`;
}

function bracketed(host: string): string {
  return host.includes(":") ? `[${host}]` : host;
}

function checkPlan(plan: ClusterPlan): void {
  const { nodes, host, advertise, directory } = plan;
  const expect = (holds: boolean, message: string): void => {
    if (!holds) throw new OperationalError("ERR_USAGE", message);
  };
  // myid is at most 254 where extended types are on, and broker.id must stay below reserved.broker.max.id.
  expect(Number.isInteger(nodes) && nodes >= 1 && nodes <= 254, `--nodes ${nodes}: expected a whole number from 1 to 254`);
  expect(!directory.includes(","), `--dir ${directory}: a comma in the path would part it in log.dirs, which is a list`);
  const kinds = portKinds.filter((kind) => plan[kind] !== undefined);
  for (const kind of kinds) {
    const first = plan[kind] ?? 0;
    expect(Number.isInteger(first) && first >= 1 && first <= PORT_MAX, `${portFlags[kind]} ${first}: expected a whole number from 1 to ${PORT_MAX}`);
    expect(first + nodes - 1 <= PORT_MAX, `${portFlags[kind]} ${first}: node ${nodes} would have the port ${first + nodes - 1}, and the last is ${PORT_MAX}`);
  }
  for (const [index, kind] of kinds.entries()) {
    for (const other of kinds.slice(index + 1)) {
      const apart = Math.abs((plan[kind] ?? 0) - (plan[other] ?? 0)) >= nodes;
      expect(apart, `${portFlags[kind]} ${plan[kind]} and ${portFlags[other]} ${plan[other]}: each node has the port after its neighbour's, so that with ${nodes} nodes the two overlap`);
    }
  }
  const sound = /^[0-9a-zA-Z\-%._:]+$/;
  expect(sound.test(host), `--host ${host}: expected a name or an address`);
  expect(advertise === undefined || sound.test(advertise), `--advertise ${advertise}: expected a name or an address`);
  expect(advertise === undefined || !isEverywhere(advertise), `--advertise ${advertise}: no address to connect to; name one that clients reach this machine by`);
  expect(!isEverywhere(host) || advertise !== undefined, `--host ${host}: listens on all addresses, and none of them is known to be the clients'; name it, such as --advertise 192.168.1.5`);
}
