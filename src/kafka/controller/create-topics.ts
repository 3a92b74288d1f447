import type { Decoded } from "../../codec/schema.ts";
import type { Random } from "../../host/random.ts";
import { repeated } from "../../lib/repeated.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { createTopicsRequest } from "../protocol/messages/create-topics.ts";
import type { EntityConfig } from "../znodes/config.ts";
import { createWithParents, writeConfig } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { ZkCode, type Step } from "../znodes/requests.ts";
import { assign, encodeTopic, type TopicZnode } from "../znodes/topic.ts";
import { placeReplicas, type Candidate } from "./assignment.ts";

export type CreatableTopic = Decoded<typeof createTopicsRequest>["topics"][number];

export interface TopicRules {
  /** Live brokers, by ascending id. */
  readonly brokers: readonly Candidate[];
  /** Every topic of the cluster, those that are being deleted among them. */
  readonly topics: ReadonlySet<string>;
  /** num.partitions and default.replication.factor, for a -1 in the request. */
  readonly numPartitions: number;
  readonly replicationFactor: number;
  readonly validateOnly: boolean;
  readonly random: Pick<Random, "below">;
  mayCreate(topic: string): boolean;
  /** What is wrong with a topic's settings. */
  problemOf(config: EntityConfig, topic: string): string | undefined;
}

export type TopicPlan =
  | { readonly kind: "refused"; readonly name: string; readonly errorCode: ErrorCode; readonly message: string }
  | { readonly kind: "create"; readonly name: string; readonly config: EntityConfig; /** By partition. */ readonly replicas: readonly (readonly number[])[] };

/** The value of numPartitions and replicationFactor that stands for the broker's default, or for an assignment. */
const unset = -1;

const nameLengthMax = 249;

/** No znode holds more: jute.maxbuffer is 1 MiB, and a server cuts off a client that sends more. */
export const topicBytesMax = 1_000_000;
/** So many partitions do not fit in any case. */
export const partitionsMax = topicBytesMax / '"0":[1],'.length;

/**
 * What becomes of each topic of a CreateTopics request, in its order. The first rule that a topic breaks decides:
 * named twice, authorization, existence, null setting, counts beside an assignment, counts, name, collision,
 * assignment, settings. Source: KafkaApis.scala (handleCreateTopicsRequest), AdminManager.scala, AdminZkClient.scala.
 */
export function planTopics(requested: readonly CreatableTopic[], rules: TopicRules): TopicPlan[] {
  const twice = repeated(requested.map(({ name }) => name));
  const topics = new TopicNames(rules.topics);
  return requested.map((topic) => {
    const plan = twice.has(topic.name) ? refuse(topic, ErrorCode.INVALID_REQUEST, "the request names the topic more than once") : planTopic(topic, topics, rules);
    // Two topics of one request must not collide either, where the first is made before the second is looked at.
    if (plan.kind === "create" && !rules.validateOnly) topics.add(topic.name);
    return plan;
  });
}

/**
 * Writes the topic's settings, then the topic; the controller does the rest. TOPIC_ALREADY_EXISTS where another
 * request was faster.
 */
export function* createTopic(plan: TopicPlan & { kind: "create" }): Step<ErrorCode> {
  yield* writeConfig({ type: "topics", name: plan.name }, plan.config);
  const code = yield* createWithParents(paths.topic(plan.name), encodeTopic(znodeOf(plan.replicas)));
  return code === ZkCode.OK ? ErrorCode.NONE : ErrorCode.TOPIC_ALREADY_EXISTS;
}

/** Why a name can't be a topic's. Source: clients/…/common/internals/Topic.java. */
export function topicNameProblem(name: string): string | undefined {
  if (name === "") return "a topic's name can't be empty";
  if (name === "." || name === "..") return `"${name}" can't be a topic's name`;
  if (name.length > nameLengthMax) return `a topic's name can't have more than ${nameLengthMax} characters`;
  return /^[a-zA-Z0-9._-]+$/.test(name) ? undefined : "a topic's name may hold ASCII letters, digits, '.', '_' and '-' only";
}

function planTopic(topic: CreatableTopic, topics: TopicNames, rules: TopicRules): TopicPlan {
  if (!rules.mayCreate(topic.name)) return refuse(topic, ErrorCode.TOPIC_AUTHORIZATION_FAILED, "not authorized to create the topic");
  if (topics.has(topic.name)) return refuse(topic, ErrorCode.TOPIC_ALREADY_EXISTS, `topic ${topic.name} exists`);
  const nulls = topic.configs.filter((config) => config.value === null).map((config) => config.name);
  if (nulls.length > 0) return refuse(topic, ErrorCode.INVALID_REQUEST, `settings without a value: ${nulls.join(", ")}`);
  const manual = topic.assignments.length > 0;
  if (manual && (topic.numPartitions !== unset || topic.replicationFactor !== unset)) {
    return refuse(topic, ErrorCode.INVALID_REQUEST, "an assignment leaves no room for a number of partitions or replicas");
  }
  let replicas: readonly (readonly number[])[] = [];
  if (!manual) {
    const partitions = topic.numPartitions === unset ? rules.numPartitions : topic.numPartitions;
    if (partitions > partitionsMax) return refuse(topic, ErrorCode.INVALID_PARTITIONS, tooLarge);
    const placed = placeReplicas(rules.brokers, partitions, topic.replicationFactor === unset ? rules.replicationFactor : topic.replicationFactor, { random: rules.random });
    if ("failure" in placed) return refuse(topic, placementErrors[placed.failure.reason], placed.failure.message);
    replicas = placed.replicas;
  }
  const nameProblem = topicNameProblem(topic.name);
  if (nameProblem !== undefined) return refuse(topic, ErrorCode.INVALID_TOPIC_EXCEPTION, nameProblem);
  const colliding = topics.colliding(topic.name);
  if (colliding.length > 0) return refuse(topic, ErrorCode.INVALID_TOPIC_EXCEPTION, `but for '.' and '_' its name is that of ${colliding.join(", ")}`);
  if (manual) {
    const assigned = new Map(topic.assignments.map(({ partitionIndex, brokerIds }) => [partitionIndex, brokerIds]));
    const problem = assignmentProblem(assigned);
    if (problem !== undefined) return refuse(topic, ErrorCode.INVALID_REPLICA_ASSIGNMENT, problem);
    replicas = [...assigned].toSorted(([a], [b]) => a - b).map(([, brokers]) => brokers);
  }
  if (encodeTopic(znodeOf(replicas)).length > topicBytesMax) return refuse(topic, ErrorCode.INVALID_PARTITIONS, tooLarge);
  const config = new Map(topic.configs.map(({ name, value }) => [name, value ?? ""]));
  const configProblem = rules.problemOf(config, topic.name);
  if (configProblem !== undefined) return refuse(topic, ErrorCode.INVALID_CONFIG, configProblem);
  return { kind: "create", name: topic.name, config, replicas };
}

export const tooLarge = "more partitions than a znode can hold";

function znodeOf(replicas: readonly (readonly number[])[]): TopicZnode {
  return { partitions: new Map(replicas.map((brokers, partition) => [partition, assign(brokers)])), rest: {} };
}

export const placementErrors = {
  partitions: ErrorCode.INVALID_PARTITIONS,
  replication: ErrorCode.INVALID_REPLICATION_FACTOR,
  racks: ErrorCode.UNKNOWN_SERVER_ERROR,
} as const;

class TopicNames {
  /** By the name that metrics have, which take '.' for '_'. */
  readonly #byFlatName = new Map<string, Set<string>>();

  constructor(names: Iterable<string>) {
    for (const name of names) this.add(name);
  }

  add(name: string): void {
    const flat = flatName(name);
    const alike = this.#byFlatName.get(flat);
    if (alike === undefined) this.#byFlatName.set(flat, new Set([name]));
    else alike.add(name);
  }

  has(name: string): boolean {
    return this.#byFlatName.get(flatName(name))?.has(name) === true;
  }

  colliding(name: string): string[] {
    return [...(this.#byFlatName.get(flatName(name)) ?? [])];
  }
}

function flatName(name: string): string {
  return name.replaceAll(".", "_");
}

/** The brokers need not be alive. */
function assignmentProblem(assigned: ReadonlyMap<number, readonly number[]>): string | undefined {
  const lists = [...assigned.values()];
  const size = lists[0]?.length;
  if (lists.some((replicas) => replicas.length !== size)) return "every partition needs the same number of replicas";
  if (size === 0) return "a partition needs a replica";
  if (lists.some((replicas) => new Set(replicas).size !== replicas.length || replicas.some((replica) => replica < 0))) return "a partition's replicas must be different brokers";
  for (let partition = 0; partition < assigned.size; partition++) if (!assigned.has(partition)) return `partition ${partition} is missing`;
  return undefined;
}

function refuse(topic: CreatableTopic, errorCode: ErrorCode, message: string): TopicPlan {
  return { kind: "refused", name: topic.name, errorCode, message };
}
