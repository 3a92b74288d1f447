import type { ConfigKey, ConfigValues } from "../../lib/config/key.ts";
import { boolean, camelCase, double, int, list, listOf, long, longMax, oneOf, string } from "../../lib/config/key.ts";
import type { ApiVersion } from "./api-version.ts";
import { apiVersionCheck, compareApiVersions, latestApiVersion, parseApiVersion } from "./api-version.ts";
import type { BrokerKey } from "./broker-keys.ts";
import { oneFormat } from "./keys/log.ts";

const noRecompression = "batches are stored as their producers compressed them";
const noQuotas = "quotas are still to come";

const throttled = {
  allowed: "* or a list of partition:broker",
  test: (items: readonly string[]): boolean => items[0] === "*" || items.every((item) => /^([0-9]+:[0-9]+)?$/.test(item)),
};

/** A topic's setting; where the topic does not set it, the broker's `brokerKey` holds. */
type Inherited<T> = ConfigKey<T> & { readonly brokerKey: BrokerKey | undefined };

function from<T>(brokerKey: BrokerKey | undefined, key: ConfigKey<T>): Inherited<T> {
  return { ...key, brokerKey };
}

/** Every setting of a topic in Kafka 2.7.1. Source: core/src/main/scala/kafka/log/LogConfig.scala. */
export const topicKeys = {
  "segment.bytes": from("log.segment.bytes", int(1_073_741_824, { min: 14, doc: "The size at which a log starts a new segment" })),
  "segment.ms": from("log.roll.ms", long(604_800_000, { min: 1, doc: "The age at which a log starts a new segment" })),
  "segment.jitter.ms": from("log.roll.jitter.ms", long(0, { min: 0, doc: "How much earlier, at random, a segment may end" })),
  "segment.index.bytes": from("log.index.size.max.bytes", int(10_485_760, { min: 0, doc: "The largest size of an index file" })),
  "flush.messages": from("log.flush.interval.messages", long(longMax, { min: 0, doc: "After how many records a log is forced to the disk" })),
  "flush.ms": from("log.flush.interval.ms", long(longMax, { min: 0, doc: "After how long a record is forced to the disk" })),
  "retention.bytes": from("log.retention.bytes", long(-1, { doc: "How many bytes of a partition are kept; -1 means no limit" })),
  "retention.ms": from("log.retention.ms", long(604_800_000, { min: -1, doc: "How long records are kept; -1 means for ever" })),
  "max.message.bytes": from("message.max.bytes", int(1_048_588, { min: 0, doc: "The largest record batch, in bytes, that the topic takes" })),
  "index.interval.bytes": from("log.index.interval.bytes", int(4096, { min: 0, doc: "How many bytes of records lie between two entries of an offset index" })),
  "delete.retention.ms": from("log.cleaner.delete.retention.ms", long(86_400_000, { min: 0, doc: "How long compaction keeps the mark that a key was deleted" })),
  "min.compaction.lag.ms": from("log.cleaner.min.compaction.lag.ms", long(0, { min: 0, doc: "How long a record stays before compaction may remove it" })),
  "max.compaction.lag.ms": from("log.cleaner.max.compaction.lag.ms", long(longMax, { min: 1, doc: "After how long compaction must have seen a record" })),
  "file.delete.delay.ms": from("log.segment.delete.delay.ms", long(60_000, { min: 0, doc: "How long a deleted segment's files stay" })),
  "min.cleanable.dirty.ratio": from("log.cleaner.min.cleanable.ratio", double(0.5, { min: 0, max: 1, doc: "The share of a log that must be new before compaction takes it up" })),
  "cleanup.policy": from("log.cleanup.policy", listOf(["compact", "delete"], ["delete"], { doc: "What happens to old segments: delete removes them, compact keeps the last record of each key" })),
  "unclean.leader.election.enable": from("unclean.leader.election.enable", boolean(false, { doc: "Whether a replica that is not in sync may lead when no other is left, at the price of lost records" })),
  "min.insync.replicas": from("min.insync.replicas", int(1, { min: 1, doc: "How many replicas must be in sync before a write with acks=all is taken" })),
  "compression.type": from("compression.type", oneOf(["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"], "producer", { doc: "The compression in which records are stored; producer keeps the producer's own", noEffect: noRecompression })),
  "preallocate": from("log.preallocate", boolean(false, { doc: "Whether a new segment's file gets its full size at once" })),
  "message.format.version": from("log.message.format.version", string(latestApiVersion, { doc: "The version whose record format the topic is written in; without effect above inter.broker.protocol.version", check: apiVersionCheck, noEffect: oneFormat })),
  "message.timestamp.type": from("log.message.timestamp.type", oneOf(["CreateTime", "LogAppendTime"], "CreateTime", { doc: "Whether a record keeps its producer's time or gets the broker's" })),
  "message.timestamp.difference.max.ms": from("log.message.timestamp.difference.max.ms", long(longMax, { min: 0, doc: "How far a producer's time may be from the broker's" })),
  "leader.replication.throttled.replicas": from(undefined, list([], { doc: "The replicas whose leaders keep to leader.replication.throttled.rate, as partition:broker, or * for all", check: throttled, noEffect: noQuotas })),
  "follower.replication.throttled.replicas": from(undefined, list([], { doc: "The replicas that keep to follower.replication.throttled.rate, as partition:broker, or * for all", check: throttled, noEffect: noQuotas })),
  "message.downconversion.enable": from("log.message.downconversion.enable", boolean(true, { importance: "low", doc: "Whether records are rewritten for consumers that know an older format only" })),
};

export type TopicKey = keyof typeof topicKeys;

/**
 * What a log goes by: the broker's settings with the topic's own over them, by camel-case name. Times in ms, sizes
 * in bytes; `longMax` means no limit. All such objects have one shape.
 */
export type TopicConfig = Omit<ConfigValues<typeof topicKeys>, "messageFormatVersion"> & { readonly messageFormatVersion: ApiVersion };

export function isTopicKey(name: string): name is TopicKey {
  return Object.hasOwn(topicKeys, name);
}

/**
 * The configuration of a topic with these overrides. What can't be used, because its name is unknown, its value not
 * allowed or its format version above `interBrokerProtocolVersion`, leaves the default in force and comes back in
 * `ignored`, one sentence each.
 */
export function withOverrides(
  defaults: TopicConfig,
  overrides: ReadonlyMap<string, string>,
  interBrokerProtocolVersion: ApiVersion,
): { readonly config: TopicConfig; readonly ignored: readonly string[] } {
  const config = { ...defaults };
  const ignored: string[] = [];
  for (const [name, text] of overrides) {
    const setting = isTopicKey(name) ? topicKeys[name].parse(text) : undefined;
    if (!isTopicKey(name)) {
      ignored.push(`${name} is not a topic setting`);
    } else if (setting === undefined) {
      ignored.push(`${name}=${text}: expected ${topicKeys[name].allowed}`);
    } else if (name === "message.format.version") {
      const version = parseApiVersion(setting.text);
      if (version !== undefined && compareApiVersions(version, interBrokerProtocolVersion) <= 0) Object.assign(config, { messageFormatVersion: version });
      else ignored.push(`${name}=${text} is above inter.broker.protocol.version=${interBrokerProtocolVersion}`);
    } else {
      Object.assign(config, { [camelCase(name)]: setting.value });
    }
  }
  return { config, ignored };
}
