import type { ClusterAdmin, DescribedConfig, NewTopic, Outcome, PartitionDescription, TopicDescription } from "../kafka/client/cluster-admin.ts";
import { ErrorCode } from "../kafka/protocol/error-codes.ts";
import { OperationalError } from "../lib/error.ts";
import { javaHashMapOrder } from "../lib/java-hash.ts";
import { javaPattern } from "../lib/java-pattern.ts";
import { must } from "../lib/assert.ts";
import { ensureDone } from "./admin.ts";

/** What the commands about topics mean. Source: core/…/admin/TopicCommand.scala of Apache Kafka 2.7.1. */

export interface TopicSelection {
  readonly matches: (name: string) => boolean;
  /** The brokers' own ones too. */
  readonly internal: boolean;
}

/** By name. */
export async function selectTopics(admin: ClusterAdmin, { matches, internal }: TopicSelection): Promise<TopicDescription[]> {
  return (await admin.topics({ internal })).filter(({ name }) => matches(name));
}

/**
 * A regular expression for whole names, as Kafka's tools read it: commas separate alternatives, blanks and quotes
 * around it don't count. Throws ERR_USAGE. Source: core/…/utils/TopicFilter.scala.
 */
export function topicPattern(text: string, option: string): RegExp {
  const pattern = text.trim().replaceAll(",", "|").replaceAll(" ", "").replace(/^["']+/, "").replace(/["']+$/, "");
  return javaPattern(`^(?:${pattern})$`, option);
}

export interface DescribedTopic {
  /** A leader that is not among the brokers is none. */
  readonly topic: TopicDescription;
  /** All that are not the default's, in the order in which Apache's tool shows them. */
  readonly configs: readonly DescribedConfig[];
  /** Undefined: the broker does not say. */
  readonly minIsr: number | undefined;
}

/** In the order of Apache's tool, which is that of a hash map. Throws where the settings of one are refused. */
export async function describeTopics(admin: ClusterAdmin, topics: readonly TopicDescription[]): Promise<DescribedTopic[]> {
  if (topics.length === 0) return [];
  const [answers, { brokers }] = await Promise.all([admin.describeConfigs(topics.map(({ name }) => ({ type: "topic", name })), { synonyms: false }), admin.cluster()]);
  const alive = new Set(brokers.map(({ id }) => id));
  const described = new Map<string, DescribedTopic>();
  for (const [index, topic] of topics.entries()) {
    const answer = must(answers[index], `the settings of topic ${topic.name}`);
    ensureDone(answer);
    const byName = new Map(answer.entries.map((entry) => [entry.name, entry]));
    const inOrder = javaHashMapOrder([...byName.keys()]).map((name) => must(byName.get(name), name));
    const minIsr = byName.get("min.insync.replicas")?.value ?? undefined;
    described.set(topic.name, {
      topic: { ...topic, partitions: topic.partitions.map((partition) => (alive.has(partition.leader) ? partition : { ...partition, leader: -1 })) },
      configs: inOrder.filter(({ source }) => source !== "DEFAULT_CONFIG"),
      minIsr: minIsr === undefined ? undefined : Number(minIsr),
    });
  }
  return javaHashMapOrder([...described.keys()], described.size).map((name) => must(described.get(name), name));
}

export const PARTITION_TROUBLES = ["under-replicated", "unavailable", "under-min-isr", "at-min-isr"] as const;
export type PartitionTrouble = (typeof PARTITION_TROUBLES)[number];

/** Whether the partition is in that kind of trouble. */
export function hasTrouble(trouble: PartitionTrouble, { leader, replicas, adding, isr }: PartitionDescription, minIsr: number | undefined): boolean {
  switch (trouble) {
    case "under-replicated":
      return replicas.filter((id) => !adding.includes(id)).length > isr.length;
    case "unavailable":
      return leader < 0;
    case "under-min-isr":
      return leader < 0 || (minIsr !== undefined && isr.length < minIsr);
    case "at-min-isr":
      return isr.length === minIsr;
  }
}

const REPLICATION_FACTOR_MAX = 32_767;

/** Whether it was made; false: it was there already, which `ifNotExists` allows. Throws what is refused. */
export async function createTopic(admin: ClusterAdmin, topic: NewTopic, { ifNotExists }: { readonly ifNotExists: boolean }): Promise<boolean> {
  const { partitions, replicationFactor } = topic;
  if (replicationFactor !== undefined && (replicationFactor < 1 || replicationFactor > REPLICATION_FACTOR_MAX)) throw new OperationalError("INVALID_REPLICATION_FACTOR", `a replication factor has to be between 1 and ${REPLICATION_FACTOR_MAX}, not ${replicationFactor}`);
  if (partitions !== undefined && partitions < 1) throw new OperationalError("INVALID_PARTITIONS", `a topic has at least one partition, not ${partitions}`);
  const outcome = await admin.createTopic(topic);
  if (ifNotExists && outcome.code === ErrorCode.TOPIC_ALREADY_EXISTS) return false;
  ensureDone(outcome);
  return true;
}

/** Outcomes by topic. `assignment` is of all partitions; what it says of those that exist does not count. */
export async function addPartitions(admin: ClusterAdmin, topics: readonly TopicDescription[], { count, assignment }: { readonly count: number; readonly assignment?: readonly (readonly number[])[] | undefined }): Promise<ReadonlyMap<string, Outcome>> {
  const outcomes = await Promise.all(topics.map(async ({ name, partitions }) => [name, await admin.createPartitions({ topic: name, count, assignment: assignment?.slice(partitions.length) })] as const));
  return new Map(outcomes);
}

/** `0:1,1:2`: the brokers of partition 0, of partition 1, … Throws ERR_USAGE. */
export function parseReplicaAssignment(text: string, option: string): number[][] {
  const wrong = (problem: string): OperationalError => new OperationalError("ERR_USAGE", `${option} ${text}: ${problem}`);
  const partitions = text.split(",").map((replicas) =>
    replicas.split(":").map((id) => {
      if (!/^\s*\d+\s*$/.test(id)) throw wrong(`"${id}" is no broker's number`);
      return Number(id);
    }),
  );
  for (const [index, replicas] of partitions.entries()) {
    if (new Set(replicas).size < replicas.length) throw wrong(`partition ${index} has a broker twice`);
    if (replicas.length !== partitions[0]?.length) throw wrong(`partition ${index} has ${replicas.length} replicas where partition 0 has ${partitions[0]?.length}`);
  }
  return partitions;
}

/** `name=value` each. Throws ERR_USAGE. */
export function parseTopicConfigs(texts: readonly string[], option: string): Map<string, string> {
  return new Map(
    texts.map((text) => {
      const [name = "", value, ...rest] = text.split(/\s*=\s*/);
      if (value === undefined || value === "" || rest.some((part) => part !== "")) throw new OperationalError("ERR_USAGE", `${option} ${text}: expected name=value`);
      return [name.trim(), value.trim()];
    }),
  );
}
