import { OperationalError } from "../../lib/error.ts";
import { formatProperties, parseProperties } from "../../lib/properties.ts";

/**
 * Who a log directory belongs to: its file meta.properties. Source: core/src/main/scala/kafka/server/
 * BrokerMetadataCheckpoint.scala and KafkaServer.scala (getBrokerMetadataAndOfflineDirs, getOrGenerateBrokerId).
 */
export interface DirectoryOwner {
  readonly brokerId: number;
  /** Files of Kafka before 0.10.1 have none. */
  readonly clusterId: string | undefined;
}

/** Throws ERR_META_PROPERTIES where the file can't be understood: the directory is to be treated as failed. */
export function parseMetaProperties(text: string, path: string): DirectoryOwner {
  const properties = parseProperties(text, path);
  const number = (key: string): number => {
    const value = properties.get(key)?.value.trim() ?? "";
    if (/^[0-9]{1,10}$/.test(value) && Number(value) <= 2_147_483_647) return Number(value);
    throw new OperationalError("ERR_META_PROPERTIES", `${path}: ${key}=${value}: expected a whole number from 0 to 2147483647`);
  };
  const version = number("version");
  if (version !== 0) throw new OperationalError("ERR_META_PROPERTIES", `${path}: version=${version}: this broker knows version 0 only`);
  return { brokerId: number("broker.id"), clusterId: properties.get("cluster.id")?.value };
}

export function formatMetaProperties(owner: DirectoryOwner): string {
  const clusterId: [string, string][] = owner.clusterId === undefined ? [] : [["cluster.id", owner.clusterId]];
  return formatProperties([["broker.id", String(owner.brokerId)], ["version", "0"], ...clusterId]);
}

/** `draw`: a number is to be drawn from ZooKeeper. */
export type BrokerIdentity = { readonly kind: "known"; readonly brokerId: number } | { readonly kind: "draw" };

/**
 * This broker's number, from its log directories' files, by the directory's path, and its configuration. Throws ERR_BROKER_ID where
 * they disagree among themselves, with `clusterId`, which ZooKeeper holds, or with the configured number.
 */
export function settleBrokerId(
  owners: ReadonlyMap<string, DirectoryOwner>,
  clusterId: string,
  config: { readonly brokerId: number; readonly brokerIdGenerationEnable: boolean },
): BrokerIdentity {
  const [first] = owners.values();
  const found = [...owners].map(([path, owner]) => `${path}/meta.properties belongs to broker ${owner.brokerId} of cluster ${owner.clusterId ?? "unknown"}`).join("; ");
  const fresh = freshStart([...owners.keys()]);
  for (const owner of owners.values()) {
    if (owner.brokerId !== first?.brokerId || owner.clusterId !== first.clusterId) {
      throw new OperationalError("ERR_BROKER_ID", `the log directories are not one broker's: ${found}. Check log.dirs, and remove what was copied from another broker`);
    }
  }
  if (first?.clusterId !== undefined && first.clusterId !== clusterId) {
    throw new OperationalError("ERR_BROKER_ID", `${found}, but zookeeper.connect leads to cluster ${clusterId}. Correct zookeeper.connect; or, to start as a new broker without these records, ${fresh}`);
  }
  if (first !== undefined && config.brokerId >= 0 && config.brokerId !== first.brokerId) {
    throw new OperationalError("ERR_BROKER_ID", `broker.id=${config.brokerId}, but ${found}. Correct broker.id; or, if the directory was copied from that broker and is to be a new one, ${fresh}`);
  }
  if (first !== undefined) return { kind: "known", brokerId: first.brokerId };
  return config.brokerId >= 0 || !config.brokerIdGenerationEnable ? { kind: "known", brokerId: config.brokerId } : { kind: "draw" };
}

/** What makes a new broker of directories that were another's; where they lie as in the guide (NODE/logs), one command. */
function freshStart(logDirectories: readonly string[]): string {
  const [only] = logDirectories;
  const node = logDirectories.length === 1 && only !== undefined ? /^(.+)\/logs\/?$/.exec(only)?.[1] : undefined;
  return node === undefined ? "empty its log.dirs" : `run: odradek fresh ${quoted(node)}`;
}

/** As a shell takes it for one word. */
function quoted(path: string): string {
  return /^[\w@%+=:,./-]+$/.test(path) ? path : `'${path.replaceAll("'", String.raw`'\''`)}'`;
}
