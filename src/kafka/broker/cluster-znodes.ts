import { must } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import type { Host } from "../../host/host.ts";
import type { Outcome, ZooKeeperClient } from "../../zookeeper/client/client.ts";
import { ErrorCode } from "../../zookeeper/protocol/errors.ts";
import { decodeClusterId, encodeClusterId } from "../znodes/cluster.ts";
import { paths, persistentPaths } from "../znodes/paths.ts";

/** Creates `path` and whatever parents it lacks, all without data. Nodes that are there already are fine. */
export async function makePath(zookeeper: ZooKeeperClient, path: string, data: Buffer | null = null): Promise<void> {
  const made = await zookeeper.create(path, data);
  if (made.ok || made.code === ErrorCode.nodeExists) return;
  if (made.code !== ErrorCode.noNode) throw zookeeperFailure(`creating ${path}`, made.code);
  await makePath(zookeeper, path.slice(0, path.lastIndexOf("/")));
  await makePath(zookeeper, path, data);
}

/** The nodes that every broker expects. Source: KafkaZkClient.createTopLevelPaths. */
export async function makeTopLevelPaths(zookeeper: ZooKeeperClient): Promise<void> {
  await Promise.all(persistentPaths.map((path) => makePath(zookeeper, path)));
}

/** The cluster's id; the first broker of all draws it. Source: KafkaZkClient.createOrGetClusterId. */
export async function clusterIdOf(zookeeper: ZooKeeperClient, host: Host): Promise<string> {
  const known = await zookeeper.getData(paths.clusterId);
  if (known.ok) return decodeClusterId(known.value.data);
  if (known.code !== ErrorCode.noNode) throw zookeeperFailure("reading the cluster id", known.code);
  await makePath(zookeeper, paths.clusterId, encodeClusterId(randomUuid(host)));
  return decodeClusterId(expectOk(await zookeeper.getData(paths.clusterId), "reading the cluster id").data);
}

/** Sets /brokers/seqid so that its version is the next number. Source: ZkAdminPaths, KafkaZkClient.generateBrokerSequenceId. */
export async function nextBrokerSequenceId(zookeeper: ZooKeeperClient): Promise<number> {
  return expectOk(await zookeeper.setData(paths.brokerSequenceId, Buffer.alloc(0)), "drawing a broker id").version;
}

/** A random (version 4) UUID as 22 characters of URL-safe base64. */
function randomUuid(host: Host): string {
  const bytes = host.random.bytes(16);
  bytes[6] = (must(bytes[6], "byte 6") & 0x0f) | 0x40;
  bytes[8] = (must(bytes[8], "byte 8") & 0x3f) | 0x80;
  return bytes.toString("base64url");
}

export function expectOk<T>(outcome: Outcome<T>, what: string): T {
  if (!outcome.ok) throw zookeeperFailure(what, outcome.code);
  return outcome.value;
}

export function zookeeperFailure(what: string, code: number): OperationalError {
  const name = Object.entries(ErrorCode).find(([, value]) => value === code)?.[0] ?? "unknown";
  return new OperationalError(`ZOOKEEPER_${name}`, `${what} failed: ZooKeeper answered ${code} (${name})`);
}
