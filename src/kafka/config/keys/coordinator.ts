import { boolean, className, int, long, longMax, oneOf, short } from "../../../lib/config/key.ts";

const noRecompression = "batches are stored as their producers compressed them";
const noTransactions = "transactions are still to come";
const noQuotas = "quotas are still to come";

/** Groups and their offsets. */
export const groupKeys = {
  "group.min.session.timeout.ms": int(6000, { doc: "The shortest session timeout that a consumer may ask for" }),
  "group.max.session.timeout.ms": int(1_800_000, { doc: "The longest session timeout that a consumer may ask for" }),
  "group.initial.rebalance.delay.ms": int(3000, { doc: "How long a new group waits for more members before it starts" }),
  "group.max.size": int(2_147_483_647, { min: 1, doc: "How many members a group may have" }),
  "offset.metadata.max.bytes": int(4096, { importance: "high", doc: "The longest text that a consumer may store beside an offset" }),
  "offsets.load.buffer.size": int(5_242_880, { importance: "high", min: 1, doc: "How many bytes are read at once when offsets are loaded" }),
  "offsets.topic.replication.factor": short(3, { importance: "high", min: 1, doc: "The replicas of the offsets topic, which can't be created while fewer brokers live" }),
  "offsets.topic.num.partitions": int(50, { importance: "high", min: 1, doc: "The partitions of the offsets topic; never change it once the topic exists" }),
  "offsets.topic.segment.bytes": int(104_857_600, { importance: "high", min: 1, doc: "The segment size of the offsets topic" }),
  "offsets.topic.compression.codec": int(0, { importance: "high", min: 0, max: 4, doc: "The compression of the offsets topic: 0 none, 1 gzip, 2 snappy, 3 lz4, 4 zstd" }),
  "offsets.retention.minutes": int(10_080, { importance: "high", min: 1, doc: "How long a group's offsets outlive its last member" }),
  "offsets.retention.check.interval.ms": long(600_000, { importance: "high", min: 1, doc: "How often offsets are looked through for expired ones" }),
  "offsets.commit.timeout.ms": int(5000, { importance: "high", min: 1, doc: "How long a commit waits for the replicas of the offsets topic" }),
  "offsets.commit.required.acks": short(-1, { importance: "high", doc: "The acks with which commits are written, -1, 0 or 1; -1 means all" }),
  "delete.topic.enable": boolean(true, { importance: "high", doc: "Whether topics can be deleted" }),
  "compression.type": oneOf(["uncompressed", "zstd", "lz4", "snappy", "gzip", "producer"], "producer", {
    importance: "high",
    update: "cluster-wide",
    ignoreCase: true,
    doc: "The compression in which records are stored; producer keeps the producer's own",
    noEffect: noRecompression,
  }),
};

/** Transactions. */
export const transactionKeys = {
  "transactional.id.expiration.ms": int(604_800_000, { importance: "high", min: 1, doc: "How long the broker remembers an idle producer id or transactional id" }),
  "transaction.max.timeout.ms": int(900_000, { importance: "high", min: 1, doc: "The longest transaction that a producer may ask for", noEffect: noTransactions }),
  "transaction.state.log.min.isr": int(2, { importance: "high", min: 1, doc: "The min.insync.replicas of the transactions topic", noEffect: noTransactions }),
  "transaction.state.log.load.buffer.size": int(5_242_880, { importance: "high", min: 1, doc: "How many bytes are read at once when transactions are loaded", noEffect: noTransactions }),
  "transaction.state.log.replication.factor": short(3, { importance: "high", min: 1, doc: "The replicas of the transactions topic", noEffect: noTransactions }),
  "transaction.state.log.num.partitions": int(50, { importance: "high", min: 1, doc: "The partitions of the transactions topic", noEffect: noTransactions }),
  "transaction.state.log.segment.bytes": int(104_857_600, { importance: "high", min: 1, doc: "The segment size of the transactions topic", noEffect: noTransactions }),
  "transaction.abort.timed.out.transaction.cleanup.interval.ms": int(10_000, { importance: "low", min: 1, doc: "How often transactions are looked through for overdue ones", noEffect: noTransactions }),
  "transaction.remove.expired.transaction.cleanup.interval.ms": int(3_600_000, { importance: "low", min: 1, doc: "How often transactional ids are looked through for expired ones", noEffect: noTransactions }),
};

/** Quotas. */
export const quotaKeys = {
  "quota.producer.default": long(longMax, { importance: "high", min: 1, doc: "Old form of a default quota: bytes a second for each producer", noEffect: noQuotas }),
  "quota.consumer.default": long(longMax, { importance: "high", min: 1, doc: "Old form of a default quota: bytes a second for each consumer", noEffect: noQuotas }),
  "quota.window.num": int(11, { importance: "low", min: 1, doc: "How many samples client quotas keep", noEffect: noQuotas }),
  "replication.quota.window.num": int(11, { importance: "low", min: 1, doc: "How many samples replication quotas keep", noEffect: noQuotas }),
  "alter.log.dirs.replication.quota.window.num": int(11, { importance: "low", min: 1, doc: "How many samples the quota for moves between log directories keeps", noEffect: noQuotas }),
  "controller.quota.window.num": int(11, { importance: "low", min: 1, doc: "How many samples quotas for changes of topics keep", noEffect: noQuotas }),
  "quota.window.size.seconds": int(1, { importance: "low", min: 1, doc: "How long a sample of client quotas lasts", noEffect: noQuotas }),
  "replication.quota.window.size.seconds": int(1, { importance: "low", min: 1, doc: "How long a sample of replication quotas lasts", noEffect: noQuotas }),
  "alter.log.dirs.replication.quota.window.size.seconds": int(1, { importance: "low", min: 1, doc: "How long a sample of that quota lasts", noEffect: noQuotas }),
  "controller.quota.window.size.seconds": int(1, { importance: "low", min: 1, doc: "How long a sample of quotas for changes of topics lasts", noEffect: noQuotas }),
  "client.quota.callback.class": className(null, { importance: "low", doc: "The Java class that computes client quotas", noEffect: "only a JVM can load it" }),
};

/** Settings that exist in ZooKeeper only, never in a file (kafka/server/DynamicConfig.scala). */
export const dynamicOnlyKeys = {
  "leader.replication.throttled.rate": long(longMax, { update: "cluster-wide", min: 0, doc: "Bytes a second that leaders send to the throttled replicas of their topics", noEffect: noQuotas }),
  "follower.replication.throttled.rate": long(longMax, { update: "cluster-wide", min: 0, doc: "Bytes a second that throttled followers fetch", noEffect: noQuotas }),
  "replica.alter.log.dirs.io.max.bytes.per.second": long(longMax, { update: "cluster-wide", min: 0, doc: "Bytes a second for moves between log directories", noEffect: noQuotas }),
};
