import type { Command } from "commander";
import { ensureDone } from "../../admin/admin.ts";
import { alterConfigs } from "../../admin/configs.ts";
import { addPartitions, createTopic, describeTopics, hasTrouble, parseReplicaAssignment, parseTopicConfigs, selectTopics, topicPattern, type PartitionTrouble } from "../../admin/topics.ts";
import { outcomeText, type TopicDescription } from "../../kafka/client/cluster-admin.ts";
import { OperationalError } from "../../lib/error.ts";
import { printText, type AdminIo } from "../admin-session.ts";
import { partitionLine, topicLine } from "../print/topics.ts";
import { clusterCommand, collect, positive, withCluster, type ClusterOptions, type RunAdmin } from "./cluster-command.ts";
import { ExitCode } from "./io.ts";

export interface ListTopicsOptions extends ClusterOptions {
  readonly internal?: boolean;
}

/** Names, a line each. */
export async function listTopics(options: ListTopicsOptions, io: AdminIo): Promise<number> {
  const names = (await withCluster(options, io, ({ cluster }) => selectTopics(cluster, { matches: () => true, internal: options.internal === true }))).map(({ name }) => name);
  if (options.json === true) io.out(JSON.stringify(names));
  else for (const name of names) io.out(name);
  return ExitCode.ok;
}

export interface DescribeTopicsOptions extends ListTopicsOptions {
  readonly underReplicated?: boolean;
  readonly unavailable?: boolean;
  readonly underMinIsr?: boolean;
  readonly atMinIsr?: boolean;
}

/** Those that are named, or all; 1 where one is not there. */
export async function describeNamedTopics(names: readonly string[], options: DescribeTopicsOptions, io: AdminIo): Promise<number> {
  const trouble = troubleOf(options);
  const described = await withCluster(options, io, async ({ cluster }) => {
    const all = await selectTopics(cluster, { matches: named(names), internal: names.length > 0 || options.internal === true });
    return (await describeTopics(cluster, all)).toSorted((a, b) => (a.topic.name < b.topic.name ? -1 : 1));
  });
  const shown = described.map(({ topic, configs, minIsr }) => ({ topic, configs, partitions: topic.partitions.filter((partition) => trouble === undefined || hasTrouble(trouble, partition, minIsr)) }));
  if (options.json === true) {
    io.out(JSON.stringify(shown.map(({ topic: { name, id, internal }, configs, partitions }) => ({ name, id, internal, configs: Object.fromEntries(configs.map((config) => [config.name, config.value])), partitions }))));
  } else {
    for (const { topic, configs, partitions } of shown) {
      if (trouble === undefined) printText(io.out, topicLine(topic, { configs }));
      for (const partition of partitions) printText(io.out, partitionLine(topic.name, partition));
    }
  }
  return missing(names, described.map(({ topic }) => topic), io) ? ExitCode.failed : ExitCode.ok;
}

function troubleOf({ underReplicated, unavailable, underMinIsr, atMinIsr }: DescribeTopicsOptions): PartitionTrouble | undefined {
  const given: PartitionTrouble[] = [...(underReplicated === true ? ["under-replicated" as const] : []), ...(unavailable === true ? ["unavailable" as const] : []), ...(underMinIsr === true ? ["under-min-isr" as const] : []), ...(atMinIsr === true ? ["at-min-isr" as const] : [])];
  if (given.length > 1) throw new OperationalError("ERR_USAGE", `--${given.join(" and --")} can't be used together`);
  return given[0];
}

export interface CreateTopicOptions extends ClusterOptions {
  readonly partitions?: number;
  readonly replicationFactor?: number;
  readonly replicaAssignment?: string;
  readonly config?: readonly string[];
  readonly ifNotExists?: boolean;
}

export async function createNamedTopic(name: string, options: CreateTopicOptions, io: AdminIo): Promise<number> {
  const { partitions, replicationFactor, replicaAssignment } = options;
  if (replicaAssignment !== undefined && (partitions !== undefined || replicationFactor !== undefined)) throw new OperationalError("ERR_USAGE", "--replica-assignment says how many partitions and replicas there are: leave --partitions and --replication-factor out");
  const assignment = replicaAssignment === undefined ? undefined : parseReplicaAssignment(replicaAssignment, "--replica-assignment");
  const configs = parseTopicConfigs(options.config ?? [], "--config");
  const created = await withCluster(options, io, ({ cluster }) => createTopic(cluster, { name, partitions, replicationFactor, assignment, configs }, { ifNotExists: options.ifNotExists === true }));
  if (options.json === true) io.out(JSON.stringify({ name, created }));
  else io.out(created ? `created topic ${name}` : `topic ${name} is there already`);
  return ExitCode.ok;
}

export interface DeleteTopicsOptions extends ClusterOptions {
  readonly ifExists?: boolean;
  readonly regex?: boolean;
}

/** 1 where one is not there, or could not be deleted. */
export async function deleteTopics(names: readonly string[], options: DeleteTopicsOptions, io: AdminIo): Promise<number> {
  const patterns = options.regex === true ? names.map((text) => topicPattern(text, "the pattern")) : undefined;
  return withCluster(options, io, async ({ cluster }) => {
    const found = await selectTopics(cluster, { matches: patterns === undefined ? named(names) : (name) => patterns.some((pattern) => pattern.test(name)), internal: true });
    const outcomes = found.length === 0 ? new Map() : await cluster.deleteTopics(found.map(({ name }) => name));
    const results = [...outcomes].map(([name, outcome]) => ({ name, error: outcome.code === 0 ? undefined : outcomeText(outcome) })).toSorted((a, b) => (a.name < b.name ? -1 : 1));
    if (options.json === true) io.out(JSON.stringify(results));
    for (const { name, error } of results) {
      if (error !== undefined) io.err(`topic ${name} can't be deleted: ${error}`);
      else if (options.json !== true) io.out(`deleted topic ${name}`);
    }
    const absent = options.ifExists !== true && (patterns === undefined ? missing(names, found, io) : none(names, found, io));
    return absent || results.some(({ error }) => error !== undefined) ? ExitCode.failed : ExitCode.ok;
  });
}

export interface AlterTopicOptions extends ClusterOptions {
  readonly partitions?: number;
  readonly set?: readonly string[];
  readonly unset?: readonly string[];
}

/** Settings first, then partitions. */
export async function alterTopic(name: string, options: AlterTopicOptions, io: AdminIo): Promise<number> {
  const { partitions: count, unset = [] } = options;
  const set = parseTopicConfigs(options.set ?? [], "--set");
  if (count === undefined && set.size === 0 && unset.length === 0) throw new OperationalError("ERR_USAGE", "nothing is to be changed: give --partitions, --set or --unset");
  return withCluster(options, io, async ({ cluster }) => {
    const found = await selectTopics(cluster, { matches: named([name]), internal: true });
    if (missing([name], found, io)) return ExitCode.failed;
    if (set.size > 0 || unset.length > 0) await alterConfigs(cluster, { type: "topic", name }, { set, unset });
    if (count !== undefined) for (const outcome of (await addPartitions(cluster, found, { count })).values()) ensureDone(outcome);
    if (options.json === true) io.out(JSON.stringify({ name, ...(count !== undefined && { partitions: count }), set: Object.fromEntries(set), unset }));
    else io.out(`changed topic ${name}`);
    return ExitCode.ok;
  });
}

/** None: all. */
function named(names: readonly string[]): (name: string) => boolean {
  const wanted = new Set(names);
  return (name) => wanted.size === 0 || wanted.has(name);
}

function missing(names: readonly string[], found: readonly TopicDescription[], { err }: AdminIo): boolean {
  const there = new Set(found.map(({ name }) => name));
  const absent = names.filter((name) => !there.has(name));
  for (const name of absent) err(`topic ${name} does not exist`);
  return absent.length > 0;
}

function none(patterns: readonly string[], found: readonly TopicDescription[], { err }: AdminIo): boolean {
  if (found.length === 0) err(`no topic matches ${patterns.join(", ")}`);
  return found.length === 0;
}

export function addTopics(program: Command, directory: string, run: RunAdmin): void {
  const topics = program.command("topics").description("list, create, describe, delete or change topics");
  clusterCommand(topics, "list", "print the names of topics", directory)
    .option("--internal", "the brokers' own topics too")
    .action((options: ListTopicsOptions) => run((io) => listTopics(options, io)));
  clusterCommand(topics, "create <name>", "make a topic", directory)
    .option("--partitions <n>", "how many partitions (default: as the brokers are set)", positive)
    .option("--replication-factor <n>", "how many replicas of each (default: as the brokers are set)", positive)
    .option("--replica-assignment <ids>", "brokers of partition 0, of partition 1, ...: 1:2,2:3")
    .option("--config <name=value>", "a setting of the topic; may be given several times", collect)
    .option("--if-not-exists", "that it is there already is no failure")
    .action((name: string, options: CreateTopicOptions) => run((io) => createNamedTopic(name, options, io)));
  clusterCommand(topics, "describe [name...]", "print topics with their partitions and settings", directory)
    .option("--internal", "the brokers' own topics too")
    .option("--under-replicated", "only partitions with replicas that are not in sync")
    .option("--unavailable", "only partitions without a leader")
    .option("--under-min-isr", "only partitions with fewer replicas in sync than min.insync.replicas")
    .option("--at-min-isr", "only partitions with exactly min.insync.replicas in sync")
    .action((names: readonly string[], options: DescribeTopicsOptions) => run((io) => describeNamedTopics(names, options, io)));
  clusterCommand(topics, "delete <name...>", "delete topics", directory)
    .option("--if-exists", "that one is not there is no failure")
    .option("--regex", "names are regular expressions for whole names")
    .action((names: readonly string[], options: DeleteTopicsOptions) => run((io) => deleteTopics(names, options, io)));
  clusterCommand(topics, "alter <name>", "add partitions, change settings", directory)
    .option("--partitions <n>", "how many there are to be", positive)
    .option("--set <name=value>", "a setting; may be given several times", collect)
    .option("--unset <name>", "a setting that is to be the default again; may be given several times", collect)
    .action((name: string, options: AlterTopicOptions) => run((io) => alterTopic(name, options, io)));
}
