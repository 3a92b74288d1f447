import { decodeFeatures, encodeFeatures, type VersionRange } from "./broker.ts";
import { badZnode, decodeJson, encodeJson } from "./json.ts";
import { paths } from "./paths.ts";

/** /controller: who the controller is. Source: ZkData.scala, ControllerZNode. */
export function encodeController(brokerId: number, timestampMs: number): Buffer {
  return encodeJson({ version: 1, brokerid: brokerId, timestamp: String(timestampMs) });
}

export function decodeController(data: Buffer | null): number {
  return decodeJson(paths.controller, data).int("brokerid");
}

/** /controller_epoch is plain decimal text. */
export function encodeControllerEpoch(epoch: number): Buffer {
  return Buffer.from(String(epoch));
}

export function decodeControllerEpoch(data: Buffer | null): number {
  return decimal(paths.controllerEpoch, data?.toString() ?? "");
}

/** /cluster/id, whose version is a string. */
export function encodeClusterId(id: string): Buffer {
  return encodeJson({ version: "1", id });
}

export function decodeClusterId(data: Buffer | null): string {
  return decodeJson(paths.clusterId, data).text("id");
}

/** The producer ids that a broker has taken for itself, both ends included. Source: ProducerIdManager.scala. */
export interface ProducerIdBlock {
  readonly brokerId: number;
  readonly first: number;
  readonly last: number;
}

export const producerIdBlockSize = 1000;

/** /latest_producer_id_block, whose bounds are strings. */
export function encodeProducerIdBlock(block: ProducerIdBlock): Buffer {
  return encodeJson({ version: 1, broker: block.brokerId, block_start: String(block.first), block_end: String(block.last) });
}

export function decodeProducerIdBlock(data: Buffer | null): ProducerIdBlock {
  const path = paths.producerIdBlock;
  const json = decodeJson(path, data);
  return { brokerId: json.int("broker"), first: decimal(path, json.text("block_start")), last: decimal(path, json.text("block_end")) };
}

/** /feature: the cluster's finalized feature versions (KIP-584). Source: ZkData.scala, FeatureZNode. */
export interface FeatureZnode {
  readonly enabled: boolean;
  readonly features: ReadonlyMap<string, VersionRange>;
}

const minLevel = "min_version_level";
const maxLevel = "max_version_level";

export function encodeFeatureZnode(znode: FeatureZnode): Buffer {
  return encodeJson({ version: 1, status: znode.enabled ? 1 : 0, features: encodeFeatures(znode.features, minLevel, maxLevel) });
}

export function decodeFeatureZnode(data: Buffer | null): FeatureZnode {
  const json = decodeJson(paths.feature, data);
  const [version, status] = [json.int("version"), json.int("status")];
  if (version < 1) throw badZnode(paths.feature, `version ${version} is not known`);
  if (status !== 0 && status !== 1) throw badZnode(paths.feature, `status ${status} is neither 0 nor 1`);
  return { enabled: status === 1, features: decodeFeatures(json.object("features"), minLevel, maxLevel) };
}

function decimal(path: string, text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value)) throw badZnode(path, `"${text}" is not a whole number below 2^53`);
  return value;
}
