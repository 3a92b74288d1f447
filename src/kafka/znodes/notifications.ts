import { decodeJson, encodeJson, type ZnodeObject } from "./json.ts";
import { paths } from "./paths.ts";

export interface TopicPartition {
  readonly topic: string;
  readonly partition: number;
}

/**
 * A new /isr_change_notification/isr_change_NNNNNNNNNN: partitions whose state a leader has written. Source:
 * ZkData.scala, IsrChangeNotificationSequenceZNode.
 */
export function encodeIsrChange(partitions: readonly TopicPartition[]): Buffer {
  return encodePartitions(partitions);
}

export function decodeIsrChange(path: string, data: Buffer | null): TopicPartition[] {
  return decodeJson(path, data).objects("partitions").map(decodePartition);
}

/** /admin/preferred_replica_election: what an administrator asks of the controller. Source: ZkData.scala, PreferredReplicaElectionZNode. */
export function encodePreferredElection(partitions: readonly TopicPartition[]): Buffer {
  return encodePartitions(partitions);
}

export function decodePreferredElection(data: Buffer | null): TopicPartition[] {
  return decodeJson(paths.preferredElection, data).objects("partitions").map(decodePartition);
}

/** A new /log_dir_event_notification/log_dir_event_NNNNNNNNNN: a broker has lost a log directory. Source: ZkData.scala, LogDirEventNotificationSequenceZNode. */
export function encodeLogDirEvent(brokerId: number): Buffer {
  return encodeJson({ version: 1, broker: brokerId, event: 1 });
}

export function decodeLogDirEvent(path: string, data: Buffer | null): number {
  return decodeJson(path, data).int("broker");
}

function encodePartitions(partitions: readonly TopicPartition[]): Buffer {
  return encodeJson({ version: 1, partitions: partitions.map(({ topic, partition }) => ({ topic, partition })) });
}

function decodePartition(json: ZnodeObject): TopicPartition {
  return { topic: json.text("topic"), partition: json.int("partition") };
}
