import type { Logger } from "../../host/log.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { GROUP_METADATA_TOPIC } from "../protocol/internal-topics.ts";
import { countPartitions } from "../znodes/operations.ts";
import type { ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import type { MetadataCache } from "./metadata-cache.ts";
import type { TopicAdmin } from "./topic-admin.ts";

export interface OffsetsTopicConfig {
  readonly offsetsTopicNumPartitions: number;
  readonly offsetsTopicReplicationFactor: number;
  readonly offsetsTopicSegmentBytes: number;
}

export interface OffsetsTopicOptions {
  readonly zookeeper: Pick<ZooKeeperSession, "run">;
  readonly metadata: MetadataCache;
  readonly topics: Pick<TopicAdmin, "createUnasked">;
  readonly config: OffsetsTopicConfig;
  readonly log: Logger;
}

/**
 * The topic of groups and their offsets: made when it is first needed, by whichever broker needs it.
 * Source: KafkaApis.createInternalTopic, GroupMetadataManager.getGroupMetadataTopicPartitionCount.
 */
export class OffsetsTopic {
  readonly #options: OffsetsTopicOptions;
  #count: number | undefined;
  #creation: Promise<ErrorCode> | undefined;
  #warned = false;

  constructor(options: OffsetsTopicOptions) {
    this.#options = options;
  }

  /**
   * By which groups are spread. The topic's znode says it, once for as long as this broker runs, since a group's
   * place must not change; the configured number where there is no topic yet.
   */
  async partitionCount(): Promise<number> {
    if (this.#count !== undefined) return this.#count;
    const counted = await this.#options.zookeeper.run(countPartitions(GROUP_METADATA_TOPIC));
    if (counted === undefined || counted === 0) return this.#options.config.offsetsTopicNumPartitions;
    return (this.#count ??= counted);
  }

  /**
   * Makes the topic where it is missing. NONE: this broker knows it. LEADER_NOT_AVAILABLE: it is being made.
   * INVALID_REPLICATION_FACTOR: too few brokers live.
   */
  ensure(): Promise<ErrorCode> {
    if (this.#options.metadata.hasTopic(GROUP_METADATA_TOPIC)) return Promise.resolve(ErrorCode.NONE);
    this.#creation ??= this.#create().finally(() => (this.#creation = undefined));
    return this.#creation;
  }

  async #create(): Promise<ErrorCode> {
    const { metadata, topics, config, log } = this.#options;
    const { offsetsTopicNumPartitions: numPartitions, offsetsTopicReplicationFactor: replicationFactor } = config;
    const live = metadata.brokers.length;
    if (live < replicationFactor) {
      if (!this.#warned) log.warn(`${GROUP_METADATA_TOPIC} can't be made: ${live} of the ${replicationFactor} brokers that offsets.topic.replication.factor asks for live. Groups wait until the others are there`);
      this.#warned = true;
      return ErrorCode.INVALID_REPLICATION_FACTOR;
    }
    const configs = [
      { name: "segment.bytes", value: String(config.offsetsTopicSegmentBytes) },
      { name: "compression.type", value: "producer" },
      { name: "cleanup.policy", value: "compact" },
    ];
    const outcome = await topics.createUnasked({ name: GROUP_METADATA_TOPIC, numPartitions, replicationFactor, assignments: [], configs });
    if (outcome === ErrorCode.NONE) log.info(`${GROUP_METADATA_TOPIC} is being made`, { partitions: numPartitions, replicas: replicationFactor });
    return outcome === ErrorCode.NONE || outcome === ErrorCode.TOPIC_ALREADY_EXISTS ? ErrorCode.LEADER_NOT_AVAILABLE : outcome;
  }
}
