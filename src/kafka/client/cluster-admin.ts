import { ZERO_UUID } from "../../codec/model.ts";
import type { Decoded, Input } from "../../codec/schema.ts";
import { must } from "../../lib/assert.ts";
import { errorCode } from "../../lib/error.ts";
import type { Api } from "../protocol/api.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import { toBrokerId } from "../protocol/ids.ts";
import { createPartitions } from "../protocol/messages/create-partitions.ts";
import { createTopics } from "../protocol/messages/create-topics.ts";
import { deleteTopics } from "../protocol/messages/delete-topics.ts";
import { describeConfigs } from "../protocol/messages/describe-configs.ts";
import { incrementalAlterConfigs } from "../protocol/messages/incremental-alter-configs.ts";
import { listPartitionReassignments } from "../protocol/messages/list-partition-reassignments.ts";
import type { VersionBounds } from "./api-negotiation.ts";
import { refusal, type KafkaClient, type TopicPartition } from "./kafka-client.ts";
import { partitionOffsets, type OffsetOptions, type OffsetPlace, type PartitionEnd } from "./partition-offsets.ts";

export interface ClusterDescription {
  /** Null: the broker does not say. */
  readonly clusterId: string | null;
  /** -1: none. */
  readonly controllerId: number;
  readonly brokers: readonly { readonly id: number; readonly host: string; readonly port: number; readonly rack: string | null }[];
}

export interface PartitionDescription {
  readonly index: number;
  /** -1: none. */
  readonly leader: number;
  readonly replicas: readonly number[];
  readonly isr: readonly number[];
  /** Of a reassignment that is under way. */
  readonly adding: readonly number[];
  readonly removing: readonly number[];
}

export interface TopicDescription {
  readonly name: string;
  /** Of all zeros where the broker knows none. */
  readonly id: string;
  readonly internal: boolean;
  /** By index. */
  readonly partitions: readonly PartitionDescription[];
}

export interface NewTopic {
  readonly name: string;
  /** Without it, the broker's default. */
  readonly partitions?: number | undefined;
  readonly replicationFactor?: number | undefined;
  /** Instead of both: replicas of partition 0, 1, … */
  readonly assignment?: readonly (readonly number[])[] | undefined;
  readonly configs?: ReadonlyMap<string, string>;
}

export interface NewPartitions {
  readonly topic: string;
  /** How many there are to be, those that there are included. */
  readonly count: number;
  /** Replicas of each that is added. */
  readonly assignment?: readonly (readonly number[])[] | undefined;
}

/** `message` is the broker's own, where it gave one. */
export interface Outcome {
  readonly code: number;
  readonly message: string | null;
}

export type ConfigResourceType = "topic" | "broker" | "broker-logger";

export interface ConfigResource {
  readonly type: ConfigResourceType;
  /** A broker's id; "": what all brokers share. */
  readonly name: string;
}

export interface ConfigValue {
  readonly name: string;
  readonly value: string | null;
  readonly source: ConfigSourceName;
}

export interface DescribedConfig extends ConfigValue {
  readonly readOnly: boolean;
  readonly sensitive: boolean;
  /** From the one that counts to the default. */
  readonly synonyms: readonly ConfigValue[];
}

export interface ConfigAnswer extends Outcome {
  readonly resource: ConfigResource;
  /** In the order of the answer. */
  readonly entries: readonly DescribedConfig[];
}

export type ConfigChange =
  | { readonly kind: "set" | "append" | "subtract"; readonly name: string; readonly value: string }
  | { readonly kind: "delete"; readonly name: string };

/** clients/…/common/requests/DescribeConfigsResponse.java, ConfigSource. */
const SOURCES = [
  "UNKNOWN",
  "DYNAMIC_TOPIC_CONFIG",
  "DYNAMIC_BROKER_CONFIG",
  "DYNAMIC_DEFAULT_BROKER_CONFIG",
  "STATIC_BROKER_CONFIG",
  "DEFAULT_CONFIG",
  "DYNAMIC_BROKER_LOGGER_CONFIG",
] as const;
export type ConfigSourceName = (typeof SOURCES)[number];

/** clients/…/common/config/ConfigResource.java, Type. */
const RESOURCE_TYPES: Readonly<Record<ConfigResourceType, number>> = { topic: 2, broker: 4, "broker-logger": 8 };
/** clients/…/admin/AlterConfigOp.java, OpType. */
const CHANGES: Readonly<Record<ConfigChange["kind"], number>> = { set: 0, delete: 1, append: 2, subtract: 3 };

/** From here on CreateTopics takes -1 for the broker's defaults (KIP-464). */
const DEFAULTS_FROM = 4;
/** From here on DeleteTopics takes names or ids. */
const TOPIC_STATES_FROM = 6;
/** From here on DescribeConfigs tells sources and synonyms. */
const SOURCES_FROM = 1;
const BROKERS_DEFAULT = -1;
/** What an answer takes beyond the work that it waits for. */
const GRACE_MS = 5000;

export interface ClusterAdminOptions {
  /** How long the cluster may take over one change. */
  readonly timeoutMs?: number;
}

/**
 * What people ask of a cluster's topics and settings. Error codes of single topics and resources are values; what
 * rejects is operational, or carries the name of the error code that a whole request was refused with. A request whose
 * answer was lost is sent again: a topic that was made by the first one then exists already, as with Apache's client.
 */
export class ClusterAdmin {
  readonly #client: KafkaClient;
  readonly #timeoutMs: number;

  constructor(client: KafkaClient, { timeoutMs = 30_000 }: ClusterAdminOptions = {}) {
    this.#client = client;
    this.#timeoutMs = timeoutMs;
  }

  async cluster(): Promise<ClusterDescription> {
    const { clusterId, controllerId, brokers } = await this.#client.metadata([]);
    return { clusterId, controllerId, brokers: brokers.map(({ nodeId: id, host, port, rack }) => ({ id, host, port, rack })).toSorted((a, b) => a.id - b.id) };
  }

  /** All of them, by name. */
  async topics({ internal }: { readonly internal: boolean }): Promise<TopicDescription[]> {
    const [{ topics }, reassigned] = await Promise.all([this.#client.metadata(null), this.#reassignments()]);
    const described = topics.filter(({ name, isInternal }) => name !== null && (internal || !isInternal)).map((topic): TopicDescription => {
      const name = topic.name ?? "";
      const partitions = topic.partitions.map(({ partitionIndex: index, leaderId: leader, replicaNodes: replicas, isrNodes: isr }): PartitionDescription => {
        const { adding, removing } = reassigned.get(`${name}-${index}`) ?? STAYS;
        return { index, leader, replicas, isr, adding, removing };
      });
      return { name, id: topic.topicId, internal: topic.isInternal, partitions: partitions.toSorted((a, b) => a.index - b.index) };
    });
    return described.toSorted((a, b) => (a.name < b.name ? -1 : 1));
  }

  async createTopic(topic: NewTopic, { validateOnly = false }: { readonly validateOnly?: boolean } = {}): Promise<Outcome> {
    const { name, partitions = BROKERS_DEFAULT, replicationFactor = BROKERS_DEFAULT, assignment } = topic;
    const usesDefaults = assignment === undefined && (partitions === BROKERS_DEFAULT || replicationFactor === BROKERS_DEFAULT);
    const wanted = {
      name,
      numPartitions: assignment === undefined ? partitions : BROKERS_DEFAULT,
      replicationFactor: assignment === undefined ? replicationFactor : BROKERS_DEFAULT,
      assignments: (assignment ?? []).map((brokerIds, partitionIndex) => ({ partitionIndex, brokerIds: brokerIds.map(toBrokerId) })),
      configs: [...(topic.configs ?? [])].map(([key, value]) => ({ name: key, value })),
    };
    const [result] = await this.#asController(
      createTopics,
      () => ({ topics: [wanted], timeoutMs: this.#timeoutMs, validateOnly }),
      ({ topics }) => topics,
      usesDefaults ? { first: DEFAULTS_FROM } : {},
    );
    return outcomeOf(must(result, `the answer for topic ${name}`));
  }

  /** By name. */
  async deleteTopics(names: readonly string[]): Promise<ReadonlyMap<string, Outcome>> {
    const results = await this.#asController(
      deleteTopics,
      (version) => ({ ...(version >= TOPIC_STATES_FROM ? { topics: names.map((name) => ({ name, topicId: ZERO_UUID })) } : { topics: [], topicNames: [...names] }), timeoutMs: this.#timeoutMs }),
      ({ responses }) => responses,
    );
    return new Map(results.map((result) => [result.name ?? "", outcomeOf(result)]));
  }

  async createPartitions({ topic, count, assignment }: NewPartitions, { validateOnly = false }: { readonly validateOnly?: boolean } = {}): Promise<Outcome> {
    const assignments = assignment?.map((brokerIds) => ({ brokerIds: brokerIds.map(toBrokerId) })) ?? null;
    const [result] = await this.#asController(
      createPartitions,
      () => ({ topics: [{ name: topic, count, assignments }], timeoutMs: this.#timeoutMs, validateOnly }),
      ({ results }) => results,
    );
    return outcomeOf(must(result, `the answer for topic ${topic}`));
  }

  /** In the order of `resources`: of a broker it is asked itself, of the others any broker. */
  async describeConfigs(resources: readonly ConfigResource[], { synonyms }: { readonly synonyms: boolean }): Promise<ConfigAnswer[]> {
    const perBroker = new Map<number | "any", ConfigResource[]>();
    for (const resource of resources) {
      const asked = perBroker.get(responsible(resource)) ?? [];
      perBroker.set(responsible(resource), asked);
      asked.push(resource);
    }
    const answers = new Map<ConfigResource, ConfigAnswer>();
    await Promise.all(
      [...perBroker].map(async ([to, asked]) => {
        const wanted = asked.map(({ type, name }) => ({ resourceType: RESOURCE_TYPES[type], resourceName: name, configurationKeys: null }));
        const { response } = await this.#client.retry({ again: () => false }, () =>
          this.#client.send(to, describeConfigs, () => ({ resources: wanted, includeSynonyms: synonyms, includeDocumentation: false }), { versions: { first: SOURCES_FROM } }),
        );
        for (const resource of asked) {
          const told = must(response.results.find(({ resourceType, resourceName }) => resourceType === RESOURCE_TYPES[resource.type] && resourceName === resource.name), `the settings of ${resource.type} ${resource.name}`);
          const entries = told.configs.map((entry): DescribedConfig => ({
            name: entry.name,
            value: entry.value,
            source: sourceName(entry.configSource),
            readOnly: entry.readOnly,
            sensitive: entry.isSensitive,
            synonyms: entry.synonyms.map(({ name, value, source }) => ({ name, value, source: sourceName(source) })),
          }));
          answers.set(resource, { resource, ...outcomeOf(told), entries });
        }
      }),
    );
    return resources.map((resource) => must(answers.get(resource), `the settings of ${resource.type} ${resource.name}`));
  }

  /** All of the changes, or none. */
  async alterConfigs(resource: ConfigResource, changes: readonly ConfigChange[], { validateOnly = false }: { readonly validateOnly?: boolean } = {}): Promise<Outcome> {
    const configs = changes.map((change) => ({ name: change.name, configOperation: CHANGES[change.kind], value: change.kind === "delete" ? null : change.value }));
    const { response } = await this.#client.retry({ again: () => false }, () =>
      this.#client.send(responsible(resource), incrementalAlterConfigs, () => ({ resources: [{ resourceType: RESOURCE_TYPES[resource.type], resourceName: resource.name, configs }], validateOnly })),
    );
    return outcomeOf(must(response.responses[0], `the answer for ${resource.type} ${resource.name}`));
  }

  /** In the order of `partitions`. */
  offsets(partitions: readonly TopicPartition[], at: OffsetPlace, options: OffsetOptions = {}): Promise<PartitionEnd[]> {
    return partitionOffsets(this.#client, partitions.map(({ topic, partition }) => ({ topic, partition, at })), options);
  }

  /** Of all partitions that are being moved, by name; none where the cluster does not say. */
  async #reassignments(): Promise<ReadonlyMap<string, Reassignment>> {
    const client = this.#client;
    try {
      const { response } = await client.retry({ again: (answer) => answer.response.errorCode === ErrorCode.NOT_CONTROLLER, onAgain: () => client.forgetController() }, () =>
        client.send("controller", listPartitionReassignments, () => ({ timeoutMs: this.#timeoutMs, topics: null }), { timeoutMs: this.#timeoutMs + GRACE_MS }),
      );
      if (response.errorCode === ErrorCode.CLUSTER_AUTHORIZATION_FAILED) return new Map();
      if (response.errorCode !== ErrorCode.NONE) throw refusal("the reassignments", response.errorCode, response.errorMessage);
      return new Map(response.topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, addingReplicas: adding, removingReplicas: removing }) => [`${name}-${partitionIndex}`, { adding, removing }] as const)));
    } catch (error) {
      if (errorCode(error) !== "ERR_UNSUPPORTED_VERSION") throw error;
      return new Map();
    }
  }

  /** A change that only the controller makes; who is none any more says so, for every topic. */
  async #asController<A extends Api, R extends { readonly errorCode: number }>(
    api: A,
    request: (version: number) => Input<A["request"]>,
    resultsOf: (response: Decoded<A["response"]>) => readonly R[],
    versions: VersionBounds = {},
  ): Promise<readonly R[]> {
    const client = this.#client;
    return client.retry({ again: (results) => results.some(({ errorCode: code }) => code === ErrorCode.NOT_CONTROLLER), onAgain: () => client.forgetController() }, async () => {
      const { response } = await client.send("controller", api, request, { versions, timeoutMs: this.#timeoutMs + GRACE_MS });
      return resultsOf(response);
    });
  }
}

interface Reassignment {
  readonly adding: readonly number[];
  readonly removing: readonly number[];
}

const STAYS: Reassignment = { adding: [], removing: [] };

/** Who knows the resource: a broker what is its own. */
function responsible({ type, name }: ConfigResource): number | "any" {
  return type === "topic" || name === "" ? "any" : Number(name);
}

function sourceName(source: number): ConfigSourceName {
  return SOURCES[source] ?? "UNKNOWN";
}

function outcomeOf({ errorCode: code, errorMessage: message = null }: { readonly errorCode: number; readonly errorMessage?: string | null }): Outcome {
  return { code, message: message === "" ? null : message };
}

/** What an outcome says to people: the broker's words, or else the code's name. */
export function outcomeText({ code, message }: Outcome): string {
  return message ?? errorName(code);
}
