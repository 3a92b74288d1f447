import { addPartitions, createTopic, describeTopics, hasTrouble, parseReplicaAssignment, parseTopicConfigs, PARTITION_TROUBLES, selectTopics, topicPattern, type PartitionTrouble } from "../../admin/topics.ts";
import { ensureDone, type Admin } from "../../admin/admin.ts";
import { ZERO_UUID } from "../../codec/model.ts";
import type { TopicDescription } from "../../kafka/client/cluster-admin.ts";
import { must } from "../../lib/assert.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import { printText, withAdmin, type AdminIo } from "../admin-session.ts";
import { collisionWarning, partitionLine, topicLine, topicList } from "../print/topics.ts";
import { conflict, type GivenOptions, type OptionSpec } from "./jopt.ts";
import { CONNECTION_OR_ZOOKEEPER_SPECS, exactlyOne, isUsage, adminOptions, sessionOptions, wrongUsage, type Script } from "./admin-script.ts";
import { ScriptExit } from "./script.ts";

/** kafka-topics.sh. Source of flags and outputs: core/…/admin/TopicCommand.scala of Apache Kafka 2.7.1. */

const TROUBLES: ReadonlyMap<string, PartitionTrouble> = new Map(PARTITION_TROUBLES.map((trouble) => [`${trouble}-partitions`, trouble]));
const ACTIONS = ["list", "create", "describe", "alter", "delete"] as const;
const DESCRIBE_ONLY = [...TROUBLES.keys(), "topics-with-overrides", "topic-id"];

export const TOPICS_SPECS: readonly OptionSpec[] = [
  ...CONNECTION_OR_ZOOKEEPER_SPECS,
  { name: "list", arg: "none", help: "Print the names of all topics, or of those that --topic matches." },
  { name: "create", arg: "none", help: "Make a topic." },
  { name: "describe", arg: "none", help: "Print topics with their partitions and settings." },
  { name: "alter", arg: "none", help: "Add partitions." },
  { name: "delete", arg: "none", help: "Delete topics." },
  { name: "topic", arg: "required", help: "With --create the topic's name, else a regular expression for whole names." },
  { name: "partitions", arg: "required", type: "int", onlyWith: ["create", "alter"], help: "How many partitions there are to be (default with --create: as the broker is set)." },
  { name: "replication-factor", arg: "required", type: "int", onlyWith: ["create"], help: "How many replicas each has (default: as the broker is set)." },
  { name: "replica-assignment", arg: "required", onlyWith: ["create", "alter"], help: "Brokers of partition 0, of partition 1, ...: 0:1,1:2" },
  { name: "config", arg: "required", list: true, onlyWith: ["create"], help: "A setting of the topic, name=value; kafka-configs.sh changes them later." },
  { name: "delete-config", arg: "required", list: true, refused: "kafka-configs.sh removes settings", help: "Not supported." },
  { name: "under-replicated-partitions", arg: "none", onlyWith: ["describe"], help: "Only partitions with replicas that are not in sync." },
  { name: "unavailable-partitions", arg: "none", onlyWith: ["describe"], help: "Only partitions without a leader." },
  { name: "under-min-isr-partitions", arg: "none", onlyWith: ["describe"], help: "Only partitions with fewer replicas in sync than min.insync.replicas." },
  { name: "at-min-isr-partitions", arg: "none", onlyWith: ["describe"], help: "Only partitions with exactly min.insync.replicas in sync." },
  { name: "topics-with-overrides", arg: "none", onlyWith: ["describe"], help: "Only topics with settings of their own, without their partitions." },
  { name: "topic-id", arg: "required", onlyWith: ["describe"], help: "The topic with this id." },
  { name: "if-exists", arg: "none", onlyWith: ["alter", "delete", "describe"], help: "That no topic matches is no failure." },
  { name: "if-not-exists", arg: "none", onlyWith: ["create"], help: "That the topic is there is no failure." },
  { name: "exclude-internal", arg: "none", onlyWith: ["list", "describe"], help: "Without the brokers' own topics." },
  { name: "disable-rack-aware", arg: "none", ignored: true, help: "No effect." },
  { name: "partition-size-limit-per-response", arg: "required", type: "int", ignored: true, help: "No effect." },
  { name: "force", arg: "none", ignored: "silently", help: "No effect." },
];

function check(options: GivenOptions): string | undefined {
  const needsTopic = !options.has("list") && !options.has("describe");
  const reports = DESCRIBE_ONLY.filter((name) => name !== "topic-id" && options.has(name));
  return (
    exactlyOne(options, ACTIONS) ??
    conflict(options, "zookeeper", ["bootstrap-server"]) ??
    (needsTopic && !options.has("topic") ? "--topic is required" : undefined) ??
    (options.has("describe") && options.has("if-exists") && !options.has("topic") && !options.has("topic-id") ? "--if-exists needs --topic" : undefined) ??
    (options.has("alter") && !options.has("partitions") ? "--alter needs --partitions" : undefined) ??
    (options.has("create") ? conflict(options, "replica-assignment", ["partitions", "replication-factor"]) : undefined) ??
    conflict(options, "topic-id", ["topic"]) ??
    (reports.length > 1 ? `--${reports.join(" and --")} can't be used together` : undefined)
  );
}

const SCRIPT: Script = { name: "kafka-topics.sh", specs: TOPICS_SPECS, check };

/** Whatever fails after the arguments were read is told on stdout, as Apache's tool does. */
export async function kafkaTopics(argv: readonly string[], io: AdminIo): Promise<number> {
  const options = adminOptions(SCRIPT, argv, io);
  if (typeof options === "number") return options;
  try {
    const action = actionOf(options, io);
    await withAdmin(io, await sessionOptions(options, io), action);
    return 0;
  } catch (thrown) {
    const error = toError(thrown);
    if (isUsage(error)) return wrongUsage(SCRIPT.name, error.message, io.err);
    io.out(`Error while executing topic command : ${error.message}`);
    io.err(error instanceof OperationalError ? `${error.code}: ${error.message}` : (error.stack ?? error.message));
    return ScriptExit.failed;
  }
}

/** What is to be done, once the arguments are found to be right. */
function actionOf(options: GivenOptions, io: AdminIo): (admin: Admin) => Promise<void> {
  const { out } = io;
  const assignmentText = options.one("replica-assignment");
  const assignment = assignmentText === undefined || assignmentText === "" ? undefined : parseReplicaAssignment(assignmentText, "--replica-assignment");
  const configs = parseTopicConfigs(options.all("config"), "--config");
  const topic = options.one("topic");
  const matches = matcherOf(options);
  const select = async ({ cluster }: Admin): Promise<TopicDescription[]> => selectTopics(cluster, { matches: () => true, internal: !options.has("exclude-internal") }).then((all) => all.filter(matches));
  const selectExisting = async (admin: Admin): Promise<TopicDescription[]> => {
    const found = await select(admin);
    const asked = topic ?? options.one("topic-id");
    if (found.length === 0 && asked !== undefined && !options.has("if-exists")) throw new OperationalError("UNKNOWN_TOPIC_OR_PARTITION", `Topic '${asked}' does not exist as expected`);
    return found;
  };
  if (options.has("list")) return async (admin) => printText(out, topicList((await select(admin)).map(({ name }) => name)));
  if (options.has("describe")) return async (admin) => describe(admin, await selectExisting(admin), options, out);
  if (options.has("delete")) {
    return async ({ cluster, ...admin }) => {
      const names = (await selectExisting({ cluster, ...admin })).map(({ name }) => name);
      if (names.length > 0) for (const outcome of (await cluster.deleteTopics(names)).values()) ensureDone(outcome);
    };
  }
  if (options.has("alter")) {
    const count = must(options.number("partitions"), "--partitions");
    return async (admin) => {
      for (const outcome of (await addPartitions(admin.cluster, await selectExisting(admin), { count, assignment })).values()) ensureDone(outcome);
    };
  }
  const name = topic ?? "";
  return async ({ cluster }) => {
    printText(out, collisionWarning(name));
    const created = await createTopic(cluster, { name, partitions: options.number("partitions"), replicationFactor: options.number("replication-factor"), assignment, configs }, { ifNotExists: options.has("if-not-exists") });
    if (created) out(`Created topic ${name}.`);
  };
}

function matcherOf(options: GivenOptions): (topic: TopicDescription) => boolean {
  const wanted = options.one("topic-id");
  if (wanted !== undefined) return ({ id }) => id === wanted && id !== ZERO_UUID;
  const topic = options.one("topic");
  const pattern = topic === undefined || options.has("create") ? undefined : topicPattern(topic, "--topic");
  return ({ name }) => pattern?.test(name) ?? true;
}

async function describe({ cluster }: Admin, topics: readonly TopicDescription[], options: GivenOptions, out: (line: string) => void): Promise<void> {
  const trouble = [...TROUBLES].find(([name]) => options.has(name))?.[1];
  const overrides = options.has("topics-with-overrides");
  for (const { topic, configs, minIsr } of await describeTopics(cluster, topics)) {
    if (trouble === undefined && (!overrides || configs.length > 0)) printText(out, topicLine(topic, { configs, withId: options.has("topic-id") }));
    if (overrides) continue;
    for (const partition of topic.partitions) if (trouble === undefined || hasTrouble(trouble, partition, minIsr)) printText(out, partitionLine(topic.name, partition));
  }
}
