import type { Host } from "../../host/host.ts";
import { must } from "../../lib/assert.ts";
import { createTopicSettings } from "../config/alter.ts";
import { addPartitions, type Growth, type PartitionsToAdd } from "../controller/add-partitions.ts";
import type { Candidate } from "../controller/assignment.ts";
import { createTopic, planTopics, type CreatableTopic, type TopicPlan } from "../controller/create-topics.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { queueTopicDeletion } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { askOne, exists, ZkCode } from "../znodes/requests.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import type { MetadataCache } from "./metadata-cache.ts";

export interface TopicAdminOptions {
  readonly host: Host;
  readonly zookeeper: ZooKeeperSession;
  readonly metadata: MetadataCache;
  /** num.partitions */
  readonly numPartitions: number;
  /** default.replication.factor */
  readonly replicationFactor: number;
  /** Topics that only the controller knows of: those that are being deleted. Empty elsewhere. */
  controllerTopics(): Iterable<string>;
  /** On the controller, every broker has heard what it is to be told by now, or `msMax` are over. At once elsewhere. */
  whenTold(msMax: number): Promise<void>;
}

/** How long a broker that does not answer the controller may hold up what was created. */
const TOLD_MS_MAX = 500;

/** The outcome for one topic. */
export type TopicOutcome =
  | { readonly kind: "failed"; readonly name: string; readonly errorCode: ErrorCode; readonly message: string | null }
  | { readonly kind: "done"; readonly plan: TopicPlan & { readonly kind: "create" } };

/**
 * Creates and deletes topics: writes what the controller acts upon, and waits until this broker has heard of the
 * result. Source: kafka/server/AdminManager.scala, DelayedCreatePartitions, DelayedDeleteTopics.
 */
export class TopicAdmin {
  readonly #options: TopicAdminOptions;

  constructor(options: TopicAdminOptions) {
    this.#options = options;
  }

  /** A topic with the broker's defaults, which nobody waits for. */
  createWithDefaults(name: string): Promise<ErrorCode> {
    return this.createUnasked({ name, numPartitions: -1, replicationFactor: -1, assignments: [], configs: [] });
  }

  /**
   * A topic that comes into being because somebody needs it. Racks count only where every broker has one: nobody is
   * there to be told that they can't be kept to. Source: AdminZkClient.getBrokerMetadatas, RackAwareMode.Safe.
   */
  async createUnasked(topic: CreatableTopic): Promise<ErrorCode> {
    const candidates = this.#candidates();
    const brokers = candidates.some(({ rack }) => rack === null) ? candidates.map(({ id }) => ({ id, rack: null })) : candidates;
    const [outcome] = await this.#create([topic], { validateOnly: false, brokers });
    return outcome === undefined || outcome.kind === "done" ? ErrorCode.NONE : outcome.errorCode;
  }

  create(requested: readonly CreatableTopic[], options: { readonly validateOnly: boolean }): Promise<TopicOutcome[]> {
    return this.#create(requested, { ...options, brokers: this.#candidates() });
  }

  #candidates(): Candidate[] {
    return this.#options.metadata.brokers.map(({ id, rack }) => ({ id, rack: rack === "" ? null : rack })).toSorted((a, b) => a.id - b.id);
  }

  async #create(requested: readonly CreatableTopic[], options: { readonly validateOnly: boolean; readonly brokers: readonly Candidate[] }): Promise<TopicOutcome[]> {
    const { host, metadata, numPartitions, replicationFactor } = this.#options;
    const plans = planTopics(requested, {
      brokers: options.brokers,
      topics: new Set([...metadata.topics, ...this.#options.controllerTopics()]),
      numPartitions,
      replicationFactor,
      validateOnly: options.validateOnly,
      random: host.random,
      mayCreate: () => true,
      problemOf: (config, topic) => {
        const outcome = createTopicSettings(
          Array.from(config, ([name, value]) => ({ name, value })),
          topic,
        );
        return outcome.kind === "refused" ? outcome.message : undefined;
      },
    });
    return Promise.all(plans.map(async (plan) => (plan.kind === "refused" ? failed(plan.name, plan.errorCode, plan.message) : this.#write(plan, options.validateOnly))));
  }

  /** TOPIC_ALREADY_EXISTS before anything is written: the settings of a topic that this broker has not heard of yet must stay. */
  async #write(plan: TopicPlan & { readonly kind: "create" }, validateOnly: boolean): Promise<TopicOutcome> {
    const { zookeeper } = this.#options;
    const found = await zookeeper.run(askOne(exists(paths.topic(plan.name))));
    if (found.code === ZkCode.OK) return failed(plan.name, ErrorCode.TOPIC_ALREADY_EXISTS, `topic ${plan.name} exists`);
    if (validateOnly) return { kind: "done", plan };
    const code = await zookeeper.run(createTopic(plan));
    return code === ErrorCode.NONE ? { kind: "done", plan } : failed(plan.name, code, `topic ${plan.name} exists`);
  }

  addPartitions(asked: PartitionsToAdd, validateOnly: boolean): Promise<Growth> {
    return this.#options.zookeeper.run(addPartitions(asked, { brokers: this.#candidates(), validateOnly }));
  }

  /** False where there is no such topic. */
  delete(name: string): Promise<boolean> {
    return this.#options.zookeeper.run(queueTopicDeletion(name));
  }

  /**
   * True once so many partitions of the topic are known and each has a leader in this broker's metadata; false after
   * `timeoutMs`. Where this is the controller, other brokers know them too, unless one does not answer: a client that asks
   * any of them next finds the topic, which Apache's leaves to luck.
   */
  async whenCreated(name: string, count: number, timeoutMs: number): Promise<boolean> {
    const { metadata } = this.#options;
    const created = await this.#within(timeoutMs, () => {
      const partitions = metadata.partitions(name);
      return partitions.length >= count && partitions.every((partition) => partition.leader >= 0);
    });
    if (created) await this.#options.whenTold(Math.min(timeoutMs, TOLD_MS_MAX));
    return created;
  }

  /** True once this broker's metadata knows nothing of the topic; false after `timeoutMs`. */
  whenDeleted(name: string, timeoutMs: number): Promise<boolean> {
    return this.#within(timeoutMs, () => !this.#options.metadata.hasTopic(name));
  }

  #within(timeoutMs: number, done: () => boolean): Promise<boolean> {
    if (done()) return Promise.resolve(true);
    const { host, metadata } = this.#options;
    return new Promise((resolve) => {
      const timer = host.timers.after(timeoutMs, () => {
        giveUp();
        resolve(false);
      });
      const giveUp = metadata.watch(() => {
        if (!done()) return false;
        timer.cancel();
        resolve(true);
        return true;
      });
    });
  }
}

function failed(name: string, errorCode: ErrorCode, message: string | null): TopicOutcome {
  return { kind: "failed", name, errorCode, message };
}

export function replicationFactorOf(plan: TopicPlan & { readonly kind: "create" }): number {
  return must(plan.replicas[0], "the replicas of partition 0").length;
}
