import { badZnode, decodeJson, encodeJson, type Json, type JsonObject, type ZnodeObject } from "./json.ts";
import { paths } from "./paths.ts";

/** `replicas` holds those that a reassignment adds or removes as well. The first is the preferred leader. */
export interface ReplicaAssignment {
  readonly replicas: readonly number[];
  readonly adding: readonly number[];
  readonly removing: readonly number[];
}

export function assign(replicas: readonly number[]): ReplicaAssignment {
  return { replicas, adding: [], removing: [] };
}

/** Where the reassignment, if any, is going. */
export function targetReplicas(assignment: ReplicaAssignment): readonly number[] {
  return assignment.replicas.filter((replica) => !assignment.removing.includes(replica));
}

export function isBeingReassigned(assignment: ReplicaAssignment): boolean {
  return assignment.adding.length > 0 || assignment.removing.length > 0;
}

/** /brokers/topics/T. */
export interface TopicZnode {
  /** By partition, ascending. */
  readonly partitions: ReadonlyMap<number, ReplicaAssignment>;
  /** Every key that is not about replicas, such as `topic_id` of 2.8 and later: kept when the znode is written again. */
  readonly rest: JsonObject;
}

/**
 * Version 2, or the higher one that the znode had: a later version's readers find their keys again. Source:
 * ZkData.scala, TopicZNode.
 */
export function encodeTopic(znode: TopicZnode): Buffer {
  const partitions: Record<string, Json> = {};
  const adding: Record<string, Json> = {};
  const removing: Record<string, Json> = {};
  for (const [partition, assignment] of znode.partitions) {
    partitions[partition] = assignment.replicas;
    if (assignment.adding.length > 0) adding[partition] = assignment.adding;
    if (assignment.removing.length > 0) removing[partition] = assignment.removing;
  }
  const before = znode.rest["version"];
  const version = typeof before === "number" && before > 2 ? before : 2;
  return encodeJson({ ...znode.rest, version, partitions, adding_replicas: adding, removing_replicas: removing });
}

/** Throws ERR_ZNODE. */
export function decodeTopic(topic: string, data: Buffer | null): TopicZnode {
  const path = paths.topic(topic);
  const json = decodeJson(path, data);
  const { partitions: _partitions, adding_replicas: _adding, removing_replicas: _removing, ...rest } = json.value;
  const adding = json.has("adding_replicas") ? json.object("adding_replicas") : undefined;
  const removing = json.has("removing_replicas") ? json.object("removing_replicas") : undefined;
  const replicas = json.has("partitions") ? json.object("partitions") : undefined;
  const partitions = (replicas?.keys() ?? []).map((key): [number, ReplicaAssignment] => {
    if (!/^\d{1,10}$/.test(key) || Number(key) > 0x7fff_ffff) throw badZnode(path, `"${key}" is not a partition`);
    return [Number(key), { replicas: replicas?.ints(key) ?? [], adding: replicasOf(adding, key), removing: replicasOf(removing, key) }];
  });
  return { partitions: new Map(partitions.toSorted(([a], [b]) => a - b)), rest };
}

function replicasOf(json: ZnodeObject | undefined, key: string): number[] {
  return json?.has(key) === true ? json.ints(key) : [];
}

/** …/partitions/P/state: who leads a partition and who is in sync. `zkVersion` is the znode's version, its CAS token. */
export interface LeaderAndIsr {
  /** -1: none. */
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly isr: readonly number[];
  readonly zkVersion: number;
  /** Of the controller that decided so. */
  readonly controllerEpoch: number;
}

/** Source: ZkData.scala, TopicPartitionStateZNode. */
export function encodePartitionState(state: Omit<LeaderAndIsr, "zkVersion">): Buffer {
  return encodeJson({ controller_epoch: state.controllerEpoch, leader: state.leader, version: 1, leader_epoch: state.leaderEpoch, isr: state.isr });
}

export function decodePartitionState(path: string, data: Buffer | null, zkVersion: number): LeaderAndIsr {
  const json = decodeJson(path, data);
  return {
    leader: json.int("leader"),
    leaderEpoch: json.int("leader_epoch"),
    isr: json.ints("isr"),
    zkVersion,
    controllerEpoch: json.int("controller_epoch"),
  };
}
