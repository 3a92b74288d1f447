import type { PartitionDescription, TopicDescription } from "../../kafka/client/cluster-admin.ts";

/** What kafka-topics.sh prints, byte for byte. Source: core/…/admin/TopicCommand.scala of Apache Kafka 2.7.1. */
export function topicList(names: readonly string[]): string {
  return `${names.join("\n")}\n`;
}

export interface TopicLineOptions {
  /** In the order in which they are to stand there. */
  readonly configs: readonly { readonly name: string; readonly value: string | null }[];
  /** As newer versions print it, where it is asked for. */
  readonly withId?: boolean;
}

export function topicLine(topic: TopicDescription, { configs, withId = false }: TopicLineOptions): string {
  const [first] = topic.partitions;
  return [
    `Topic: ${topic.name}`,
    ...(withId ? [`TopicId: ${topic.id}`] : []),
    `PartitionCount: ${topic.partitions.length}`,
    `ReplicationFactor: ${first === undefined ? 0 : replicationFactor(first)}`,
    `Configs: ${configs.map(({ name, value }) => `${name}=${value ?? "null"}`).join(",")}\n`,
  ].join("\t");
}

export function partitionLine(topic: string, partition: PartitionDescription): string {
  const { index, leader, replicas, isr, adding, removing } = partition;
  const moves = adding.length + removing.length > 0 ? `\tAdding Replicas: ${adding.join(",")}\tRemoving Replicas: ${removing.join(",")}` : "";
  return `\tTopic: ${topic}\tPartition: ${index}\tLeader: ${leader < 0 ? "none" : leader}\tReplicas: ${replicas.join(",")}\tIsr: ${isr.join(",")}${moves}\n`;
}

/** Without those that are only being added. */
export function replicationFactor({ replicas, adding }: PartitionDescription): number {
  return replicas.filter((id) => !adding.includes(id)).length;
}

export function collisionWarning(name: string): string {
  return /[._]/.test(name)
    ? "WARNING: Due to limitations in metric names, topics with a period ('.') or underscore ('_') could collide. To avoid issues it is best to use either, but not both.\n"
    : "";
}
