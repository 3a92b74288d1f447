import { hostname } from "node:os";
import { basename, dirname, resolve } from "node:path";
import * as z from "zod";
import type { Disk } from "../host/disk.ts";
import { makeDirectoryDurably } from "../host/durable-directory.ts";
import { replaceTextFile } from "../host/durable-file.ts";
import { realDisk } from "../host/real/disk.ts";
import { loadBrokerConfig, type LoadedBroker } from "../kafka/config/load.ts";
import { must } from "../lib/assert.ts";
import { errorCode, OperationalError, toError } from "../lib/error.ts";
import { parseProperties, placeOf, type Properties } from "../lib/properties.ts";
import { loadMemberConfig } from "../zookeeper/config/load.ts";
import type { MemberConfig } from "../zookeeper/config/member-config.ts";
import { isEverywhere, nodeCountWarnings, nodeDirectories, nodeDirectory, nodeFiles, planListens, planNodes, portFlags, type ClusterPlan, type PortKind } from "./layout.ts";

/** The flags of `odradek up` that say what a cluster is; those that were not given are left out. */
export type ClusterFlags = { readonly [K in Exclude<keyof ClusterPlan, "directory">]?: ClusterPlan[K] | undefined };

export interface Address {
  readonly host: string;
  readonly port: number;
}

/** A port that a node opens, and the flag that chose it. */
export interface Listen extends Address {
  readonly flag: string;
}

export interface ClusterNode {
  readonly id: number;
  readonly directory: string;
  /** Paths. */
  readonly zookeeperProperties: string;
  readonly serverProperties: string;
  /** What the node's process prints. */
  readonly logFile: string;
  /** As clients are to reach them. */
  readonly kafka: Address;
  readonly zookeeper: Address;
  readonly listens: readonly Listen[];
}

export interface Cluster {
  /** Absolute. */
  readonly directory: string;
  /** In ascending order of id. */
  readonly nodes: readonly ClusterNode[];
  /** What whoever starts it should know. */
  readonly warnings: readonly string[];
}

const defaults = { nodes: 3, kafkaPort: 9092, zookeeperPort: 2181, quorumPort: 2888, electionPort: 3888, metricsPort: undefined, host: "localhost" } as const;

/** What no node's file can say. */
const clusterFile = z.strictObject({ version: z.literal(1), nodes: z.int().min(1).max(254) });

const CLUSTER_FILE = "odradek.json";

/**
 * The cluster that lies in `directory`, as its nodes' files describe it; where there is none, it is made as the flags
 * say, with the defaults for the others. No file that stands is ever written to.
 *
 * Throws ERR_USAGE for flags that contradict the files or each other, ERR_CLUSTER_DIRECTORY where something else lies
 * there or odradek.json can't be read, and what loadMemberConfig and loadBrokerConfig find wrong.
 */
export async function openCluster(directory: string, flags: ClusterFlags): Promise<Cluster> {
  const path = resolve(directory);
  const nodes = (await readClusterFile(path)) ?? (await makeCluster(planOf(path, flags)));
  const file = `${path}/${CLUSTER_FILE}`;
  if (flags.nodes !== undefined && flags.nodes !== nodes.count) {
    throw new OperationalError("ERR_USAGE", `${file}${nodes.line === undefined ? "" : `:${nodes.line}`}: the cluster has ${nodes.count} ${nodes.count === 1 ? "node" : "nodes"}, which --nodes ${flags.nodes} contradicts: leave the flag out, or choose another --dir`);
  }
  const read = await Promise.all(Array.from({ length: nodes.count }, (_, index) => readNode(path, index + 1)));
  checkFlags(read, flags);
  checkDistinct(read);
  return { directory: path, nodes: read.map(describeNode), warnings: nodeCountWarnings(nodes.count) };
}

/**
 * The ports that `openCluster` would give to a cluster that it has to make: who asks first leaves no files behind where
 * they are taken, or where something else lies there (ERR_CLUSTER_DIRECTORY). None where a cluster lies there.
 */
export async function newListens(directory: string, flags: ClusterFlags): Promise<Listen[]> {
  if (await holdsCluster(directory)) return [];
  await refuseStrangers(resolve(directory));
  return planListens(planOf(resolve(directory), flags));
}

/** Whether a cluster lies there. */
export async function holdsCluster(directory: string): Promise<boolean> {
  return (await readClusterFile(resolve(directory))) !== undefined;
}

/** The same, where nothing is to be made: throws ERR_CLUSTER_DIRECTORY where no cluster lies there. */
export async function existingCluster(directory: string): Promise<Cluster> {
  const path = resolve(directory);
  if (!(await holdsCluster(path))) throw new OperationalError("ERR_CLUSTER_DIRECTORY", `there is no cluster in ${path}: start one with odradek up --dir ${path}, or name another directory with --dir`);
  return openCluster(path, {});
}

function planOf(directory: string, flags: ClusterFlags): ClusterPlan {
  const given: Partial<ClusterPlan> = Object.fromEntries(Object.entries(flags).filter(([, value]) => value !== undefined));
  return { ...defaults, advertise: undefined, ...given, directory };
}

interface NodeCount {
  readonly count: number;
  /** Where it stands in odradek.json. */
  readonly line: number | undefined;
}

async function readClusterFile(directory: string): Promise<NodeCount | undefined> {
  const path = `${directory}/${CLUSTER_FILE}`;
  const text = await readText(path);
  if (text === undefined) return undefined;
  const fault = (problem: string): OperationalError =>
    new OperationalError("ERR_CLUSTER_DIRECTORY", `${path} can't be understood: ${problem}. Expected such as {"version": 1, "nodes": 3}`);
  let json: unknown;
  try {
    json = JSON.parse(text);
  } catch (error) {
    throw fault(toError(error).message);
  }
  const parsed = clusterFile.safeParse(json);
  if (!parsed.success) throw fault(parsed.error.issues.map((issue) => [...issue.path, issue.message].join(": ")).join("; "));
  const line = text.split("\n").findIndex((each) => each.includes('"nodes"')) + 1;
  return { count: parsed.data.nodes, line: line === 0 ? undefined : line };
}

/** Makes all that is missing, odradek.json last: until it stands, a start that was cut short begins anew. */
async function makeCluster(plan: ClusterPlan): Promise<NodeCount> {
  const { directory } = plan;
  const nodes = planNodes(plan);
  await refuseStrangers(directory);
  for (const file of nodes.flatMap((node) => nodeFiles(plan, node))) {
    const text = await readText(file.path);
    if (text === undefined || text === file.text) continue;
    throw new OperationalError(
      "ERR_CLUSTER_DIRECTORY",
      `${file.path} stands there already, and not as these flags would have it, while ${directory}/${CLUSTER_FILE} is missing. ` +
        `To go on with the nodes as they are, write {"version": 1, "nodes": N} to ${CLUSTER_FILE}; for a new cluster choose another --dir`,
    );
  }
  await Promise.all(
    nodes.map(async (node) => {
      for (const name of nodeDirectories) await makeDirectoryDurably(realDisk, `${node.directory}/${name}`);
      for (const file of nodeFiles(plan, node)) await createFile(realDisk, file.path, file.text);
    }),
  );
  await createFile(realDisk, `${directory}/${CLUSTER_FILE}`, `${JSON.stringify({ version: 1, nodes: plan.nodes })}\n`);
  return { count: plan.nodes, line: 1 };
}

/** A mistyped --dir must not lay a cluster out in the midst of somebody's files. */
async function refuseStrangers(directory: string): Promise<void> {
  let names: string[];
  try {
    names = (await realDisk.readDirectory(directory)).map((entry) => entry.name);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return;
    if (errorCode(error) === "ENOTDIR") throw new OperationalError("ERR_CLUSTER_DIRECTORY", `${directory} is a file: choose a directory with --dir`, { cause: error });
    throw error;
  }
  const strangers = names.filter((name) => !/^(node-[0-9]+|odradek\..+|lost\+found)$/.test(name));
  if (strangers.length === 0) return;
  const some = strangers.toSorted().slice(0, 3).join(", ");
  throw new OperationalError(
    "ERR_CLUSTER_DIRECTORY",
    `${directory} holds something else than a cluster (${some}${strangers.length > 3 ? ` and ${strangers.length - 3} more` : ""}, but no ${CLUSTER_FILE}): choose an empty or a new directory with --dir`,
  );
}

/** A file that is there is left alone. */
async function createFile(disk: Disk, path: string, text: string): Promise<void> {
  if ((await disk.stat(path)) === undefined) await replaceTextFile(disk, dirname(path), basename(path), text);
}

async function readText(path: string): Promise<string | undefined> {
  try {
    return (await realDisk.readFile(path)).toString("utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT" || errorCode(error) === "ENOTDIR") return undefined;
    throw new OperationalError("ERR_CLUSTER_DIRECTORY", `${path} can't be read: ${toError(error).message}`, { cause: error });
  }
}

interface ReadNode {
  readonly id: number;
  readonly directory: string;
  readonly memberFile: string;
  readonly member: MemberConfig;
  readonly memberProperties: Properties;
  readonly brokerFile: string;
  readonly broker: LoadedBroker;
}

async function readNode(clusterDirectory: string, id: number): Promise<ReadNode> {
  const directory = nodeDirectory(clusterDirectory, id);
  const memberFile = `${directory}/config/zookeeper.properties`;
  const brokerFile = `${directory}/config/server.properties`;
  const member = (await loadMemberConfig(realDisk, memberFile)).config;
  const memberProperties = parseProperties((await realDisk.readFile(memberFile)).toString("latin1"), memberFile);
  return { id, directory, memberFile, member, memberProperties, brokerFile, broker: await loadBrokerConfig(realDisk, brokerFile, []) };
}

/** `file:line: key=value`, or the file alone where no line sets any of the keys. */
function settingOf(properties: Properties, keys: readonly string[], file: string): string {
  const property = keys.map((key) => properties.get(key)).find((found) => found !== undefined);
  return property === undefined ? file : `${placeOf(property)}: ${property.key}=${property.value}`;
}

const listenerKeys = ["listeners", "port", "host.name"];
const advertisedKeys = ["advertised.listeners", "advertised.host.name", ...listenerKeys];

function clientPortSetting(node: ReadNode): string {
  return settingOf(node.memberProperties, ["clientPort", `server.${node.member.myId}`], node.memberFile);
}

function serverSetting(node: ReadNode): string {
  return settingOf(node.memberProperties, [`server.${node.member.myId}`], node.memberFile);
}

function checkFlags(nodes: readonly ReadNode[], flags: ClusterFlags): void {
  const expect = (found: string | number | undefined, flag: string, wanted: string | number | undefined, own: string | number | undefined, place: string): void => {
    if (wanted === undefined || found === undefined || found === own) return;
    const meant = own === wanted ? "" : `, by which this node would have ${own}`;
    throw new OperationalError("ERR_USAGE", `${place} contradicts ${flag} ${wanted}${meant}: leave the flag out, or change the file`);
  };
  for (const node of nodes) {
    const { member, broker } = node;
    const at = (kind: PortKind): number | undefined => (flags[kind] === undefined ? undefined : flags[kind] + node.id - 1);
    const [listener] = broker.config.listeners;
    const [advertised] = broker.config.advertisedListeners;
    const brokerSetting = settingOf(broker.static, listenerKeys, node.brokerFile);
    expect(listener?.port, portFlags.kafkaPort, flags.kafkaPort, at("kafkaPort"), brokerSetting);
    expect(member.clientAddress?.port, portFlags.zookeeperPort, flags.zookeeperPort, at("zookeeperPort"), clientPortSetting(node));
    expect(member.self?.quorumPort, portFlags.quorumPort, flags.quorumPort, at("quorumPort"), serverSetting(node));
    expect(member.self?.electionPort, portFlags.electionPort, flags.electionPort, at("electionPort"), serverSetting(node));
    const { metricsAddress } = broker.config;
    if (flags.metricsPort !== undefined && metricsAddress === undefined) {
      throw new OperationalError("ERR_USAGE", `${node.brokerFile} sets no odradek.metrics.port, which --metrics-port ${flags.metricsPort} contradicts: leave the flag out, or add odradek.metrics.port=${at("metricsPort")} to the file`);
    }
    expect(metricsAddress?.port, portFlags.metricsPort, flags.metricsPort, at("metricsPort"), settingOf(broker.static, ["odradek.metrics.port"], node.brokerFile));
    expect(listener?.host, "--host", flags.host, flags.host, brokerSetting);
    expect(advertised?.host, "--advertise", flags.advertise, flags.advertise, settingOf(broker.static, advertisedKeys, node.brokerFile));
  }
}

/** A node's directory that was copied and not yet changed would run on the other's files, or in its name. */
function checkDistinct(nodes: readonly ReadNode[]): void {
  const seen = new Map<string, string>();
  const claim = (what: string, place: string): void => {
    const other = seen.get(what);
    if (other !== undefined) throw new OperationalError("ERR_CLUSTER_DIRECTORY", `${place}: ${other} says the same, and no two nodes may have one ${what}`);
    seen.set(what, place);
  };
  for (const node of nodes) {
    const { member, broker } = node;
    if (broker.config.brokerId >= 0) claim(`broker.id ${broker.config.brokerId}`, settingOf(broker.static, ["broker.id"], node.brokerFile));
    if (member.myId !== undefined) claim(`myid ${member.myId}`, `${member.dataDir}/myid`);
    for (const path of broker.config.logDirs) claim(`log directory ${path}`, settingOf(broker.static, ["log.dirs", "log.dir"], node.brokerFile));
    for (const path of new Set([member.dataDir, member.dataLogDir])) claim(`data directory ${path}`, settingOf(node.memberProperties, [path === member.dataDir ? "dataDir" : "dataLogDir"], node.memberFile));
    const { metricsAddress } = broker.config;
    if (metricsAddress !== undefined) claim(`address ${metricsAddress.host ?? "0.0.0.0"}:${metricsAddress.port}`, settingOf(broker.static, ["odradek.metrics.port"], node.brokerFile));
    for (const { listenerName, host, port } of broker.config.listeners) claim(`address ${host}:${port}`, settingOf(broker.static, listenerKeys, `${node.brokerFile}: ${listenerName}`));
    if (member.clientAddress !== undefined) claim(`address ${member.clientAddress.host}:${member.clientAddress.port}`, clientPortSetting(node));
    if (member.self !== undefined) {
      claim(`address ${member.self.host}:${member.self.quorumPort}`, serverSetting(node));
      claim(`address ${member.self.host}:${member.self.electionPort}`, serverSetting(node));
    }
  }
}

function describeNode(node: ReadNode): ClusterNode {
  const { id, directory, member, broker } = node;
  const { listeners, advertisedListeners, interBrokerListenerName, metricsAddress } = broker.config;
  const advertised = must(advertisedListeners.find((endpoint) => endpoint.listenerName === interBrokerListenerName), "the listener between brokers, which reading has checked");
  if (listeners.some((listener) => listener.port === 0) || advertised.port === 0) {
    throw new OperationalError("ERR_CLUSTER_DIRECTORY", `${settingOf(broker.static, listenerKeys, node.brokerFile)}: a port that the system chooses can't be told to clients; name one`);
  }
  const { clientAddress, self } = member;
  if (clientAddress === undefined) throw new OperationalError("ERR_CLUSTER_DIRECTORY", `${node.memberFile}: clientPort is missing: the brokers need it`);
  const kafka = { host: advertised.host === "" ? hostname() : advertised.host, port: advertised.port };
  const quorumHost = self === undefined || member.quorumListenOnAllIPs ? "::" : self.host;
  return {
    id,
    directory,
    zookeeperProperties: node.memberFile,
    serverProperties: node.brokerFile,
    logFile: `${directory}/node.log`,
    kafka,
    zookeeper: { host: isEverywhere(clientAddress.host) ? kafka.host : clientAddress.host, port: clientAddress.port },
    listens: [
      ...listeners.map(({ host, port }) => ({ flag: portFlags.kafkaPort, host: host === "" ? "::" : host, port })),
      { flag: portFlags.zookeeperPort, ...clientAddress },
      ...(metricsAddress === undefined ? [] : [{ flag: portFlags.metricsPort, host: metricsAddress.host ?? "::", port: metricsAddress.port }]),
      ...(self === undefined
        ? []
        : [
            { flag: portFlags.quorumPort, host: quorumHost, port: self.quorumPort },
            { flag: portFlags.electionPort, host: quorumHost, port: self.electionPort },
          ]),
    ],
  };
}
