import { boolean, className, double, int, list, listOf, long, longMax, oneOf, string } from "../../../lib/config/key.ts";
import { apiVersionCheck, latestApiVersion } from "../api-version.ts";

/** Of message.format.version too. */
export const oneFormat = "records are stored in format 2, and consumers get what their version of Fetch can read";
const policyClass = "a policy is a Java class, and without it requests would pass that it was meant to stop";

/** Topics' defaults and the log directories. */
export const logKeys = {
  "num.partitions": int(1, { min: 1, doc: "How many partitions a topic gets that is created without a number" }),
  "log.dir": string("/tmp/kafka-logs", { importance: "high", doc: "The log directory, where log.dirs is not set" }),
  "log.dirs": string(null, { importance: "high", doc: "The directories for partitions' logs, separated by commas" }),
  "log.segment.bytes": int(1_073_741_824, { importance: "high", update: "cluster-wide", min: 14, doc: "The size at which a log starts a new segment" }),
  "log.roll.ms": long(null, { importance: "high", update: "cluster-wide", doc: "The age at which a log starts a new segment; log.roll.hours where unset" }),
  "log.roll.hours": int(168, { importance: "high", min: 1, doc: "The age, in hours, at which a log starts a new segment, where log.roll.ms is not set" }),
  "log.roll.jitter.ms": long(null, { importance: "high", update: "cluster-wide", doc: "How much earlier, at random, a segment may end; log.roll.jitter.hours where unset" }),
  "log.roll.jitter.hours": int(0, { importance: "high", min: 0, doc: "The same in hours, where log.roll.jitter.ms is not set" }),
  "log.retention.ms": long(null, { importance: "high", update: "cluster-wide", doc: "How long records are kept, -1 for ever; log.retention.minutes where unset" }),
  "log.retention.minutes": int(null, { importance: "high", doc: "The same in minutes, where log.retention.ms is not set; log.retention.hours where neither is" }),
  "log.retention.hours": int(168, { importance: "high", doc: "The same in hours, where neither log.retention.ms nor log.retention.minutes is set" }),
  "log.retention.bytes": long(-1, { importance: "high", update: "cluster-wide", doc: "How many bytes of a partition are kept; -1 means no limit" }),
  "log.retention.check.interval.ms": long(300_000, { min: 1, doc: "How often the broker looks for segments to delete" }),
  "log.cleanup.policy": listOf(["compact", "delete"], ["delete"], {
    update: "cluster-wide",
    doc: "What happens to old segments: delete removes them, compact keeps the last record of each key",
  }),
  "log.cleaner.threads": int(1, { update: "cluster-wide", min: 0, doc: "Threads that compact logs", noEffect: "one log is cleaned at a time" }),
  "log.cleaner.io.max.bytes.per.second": double(Number.MAX_VALUE, { update: "cluster-wide", doc: "How many bytes a second compaction may read and write", noEffect: "cleaning gives way to all else after every read, and is not throttled" }),
  "log.cleaner.dedupe.buffer.size": long(134_217_728, { update: "cluster-wide", doc: "Memory for the keys seen by compaction" }),
  "log.cleaner.io.buffer.size": int(524_288, { update: "cluster-wide", min: 0, doc: "Memory for the records read by compaction" }),
  "log.cleaner.io.buffer.load.factor": double(0.9, { update: "cluster-wide", doc: "How full compaction's table of keys may get" }),
  "log.cleaner.backoff.ms": long(15_000, { update: "cluster-wide", min: 0, doc: "How long compaction rests when there is nothing to do" }),
  "log.cleaner.min.cleanable.ratio": double(0.5, { update: "cluster-wide", doc: "The share of a log that must be new before compaction takes it up" }),
  "log.cleaner.enable": boolean(true, { doc: "Whether compaction runs at all" }),
  "log.cleaner.delete.retention.ms": long(86_400_000, { update: "cluster-wide", doc: "How long compaction keeps the mark that a key was deleted" }),
  "log.cleaner.min.compaction.lag.ms": long(0, { update: "cluster-wide", doc: "How long a record stays before compaction may remove it" }),
  "log.cleaner.max.compaction.lag.ms": long(longMax, { update: "cluster-wide", doc: "After how long compaction must have seen a record" }),
  "log.index.size.max.bytes": int(10_485_760, { update: "cluster-wide", min: 4, doc: "The largest size of an index file" }),
  "log.index.interval.bytes": int(4096, { update: "cluster-wide", min: 0, doc: "How many bytes of records lie between two entries of an offset index" }),
  "log.flush.interval.messages": long(longMax, { importance: "high", update: "cluster-wide", min: 1, doc: "After how many records a log is forced to the disk" }),
  "log.segment.delete.delay.ms": long(60_000, { importance: "high", update: "cluster-wide", min: 0, doc: "How long a deleted segment's files stay" }),
  "log.flush.scheduler.interval.ms": long(longMax, { importance: "high", doc: "How often the broker looks for logs to force to the disk" }),
  "log.flush.interval.ms": long(null, {
    importance: "high",
    update: "cluster-wide",
    doc: "After how long a record is forced to the disk; log.flush.scheduler.interval.ms where unset",
  }),
  "log.flush.offset.checkpoint.interval.ms": int(60_000, { importance: "high", min: 0, doc: "How often the offsets up to which logs are on the disk are written down" }),
  "log.flush.start.offset.checkpoint.interval.ms": int(60_000, { importance: "high", min: 0, doc: "How often the first offsets of logs are written down" }),
  "log.preallocate": boolean(false, { update: "cluster-wide", doc: "Whether a new segment's file gets its full size at once" }),
  "num.recovery.threads.per.data.dir": int(1, { importance: "high", update: "cluster-wide", min: 1, doc: "How many logs of one directory are opened, recovered or flushed at the same time" }),
  "auto.create.topics.enable": boolean(true, { importance: "high", doc: "Whether a topic that a client asks for comes into being" }),
  "min.insync.replicas": int(1, {
    importance: "high",
    update: "cluster-wide",
    min: 1,
    doc: "How many replicas must be in sync before a write with acks=all is taken",
  }),
  "log.message.format.version": string(latestApiVersion, {
    doc: "The version whose record format topics are written in; never above inter.broker.protocol.version",
    check: apiVersionCheck,
    noEffect: oneFormat,
  }),
  "log.message.timestamp.type": oneOf(["CreateTime", "LogAppendTime"], "CreateTime", {
    update: "cluster-wide",
    doc: "Whether a record keeps its producer's time or gets the broker's",
  }),
  "log.message.timestamp.difference.max.ms": long(longMax, { update: "cluster-wide", doc: "How far a producer's time may be from the broker's" }),
  "create.topic.policy.class.name": className(null, { importance: "low", doc: "The Java class that may refuse new topics", refused: policyClass }),
  "alter.config.policy.class.name": className(null, { importance: "low", doc: "The Java class that may refuse changes of configuration", refused: policyClass }),
  "log.message.downconversion.enable": boolean(true, { importance: "low", update: "cluster-wide", doc: "Whether records are rewritten for consumers that know an older format only" }),
};

/** Replication, the controller and the way out. */
export const replicationKeys = {
  "controller.socket.timeout.ms": int(30_000, { doc: "How long the controller waits for a broker's answer" }),
  "default.replication.factor": int(1, { doc: "How many replicas a topic gets that comes into being without a number" }),
  "replica.lag.time.max.ms": long(30_000, { importance: "high", doc: "After how long behind the leader a follower is no longer in sync" }),
  "replica.socket.timeout.ms": int(30_000, { importance: "high", doc: "How long a follower waits for its leader's answer" }),
  "replica.socket.receive.buffer.bytes": int(65_536, { importance: "high", doc: "The system's receive buffer of a follower's socket", noEffect: "sockets keep the system's own buffer sizes" }),
  "replica.fetch.max.bytes": int(1_048_576, { min: 0, doc: "How many bytes of one partition a follower asks for at once; a larger first batch comes all the same" }),
  "replica.fetch.wait.max.ms": int(500, { importance: "high", doc: "How long a leader may wait for new records before it answers a follower" }),
  "replica.fetch.backoff.ms": int(1000, { min: 0, doc: "How long a follower waits after an error" }),
  "replica.fetch.min.bytes": int(1, { importance: "high", doc: "How many bytes a leader gathers before it answers a follower" }),
  "replica.fetch.response.max.bytes": int(10_485_760, { min: 0, doc: "How many bytes a leader sends a follower in one answer" }),
  "num.replica.fetchers": int(1, { importance: "high", update: "cluster-wide", doc: "How many connections a follower fetches over from one leader" }),
  "replica.high.watermark.checkpoint.interval.ms": long(5000, { importance: "high", doc: "How often high watermarks are written down" }),
  "fetch.purgatory.purge.interval.requests": int(1000, { doc: "How often waiting fetches are swept", noEffect: "they leave as soon as they are answered" }),
  "producer.purgatory.purge.interval.requests": int(1000, { doc: "How often waiting produce requests are swept", noEffect: "they leave as soon as they are answered" }),
  "delete.records.purgatory.purge.interval.requests": int(1, { doc: "How often waiting deletions are swept", noEffect: "they leave as soon as they are answered" }),
  "auto.leader.rebalance.enable": boolean(true, { importance: "high", doc: "Whether leadership goes back to the preferred replica by itself" }),
  "leader.imbalance.per.broker.percentage": int(10, { importance: "high", doc: "The share of a broker's partitions led elsewhere, in percent, that sets this off" }),
  "leader.imbalance.check.interval.seconds": long(300, { importance: "high", doc: "How often the controller looks at that share" }),
  "unclean.leader.election.enable": boolean(false, {
    importance: "high",
    update: "cluster-wide",
    doc: "Whether a replica that is not in sync may lead when no other is left, at the price of lost records",
  }),
  "security.inter.broker.protocol": string("PLAINTEXT", { doc: "The security protocol between brokers, which also names their listener" }),
  "inter.broker.protocol.version": string(latestApiVersion, {
    doc: "The version whose protocol brokers speak among themselves",
    check: apiVersionCheck,
  }),
  "inter.broker.listener.name": string(null, { doc: "The listener that brokers use among themselves" }),
  "replica.selector.class": string(null, { doc: "The Java class that chooses the replica from which a consumer reads", noEffect: "reading from followers is still to come" }),

  "controlled.shutdown.max.retries": int(3, { doc: "How often a broker that goes down tries to hand its partitions over" }),
  "controlled.shutdown.retry.backoff.ms": long(5000, { doc: "How long it waits between two tries" }),
  "controlled.shutdown.enable": boolean(true, { doc: "Whether a broker that goes down hands its partitions over first" }),
};

/** What one fetch may cost, and whether a log may be named by its topic's deletion. */
export const fetchKeys = {
  "max.incremental.fetch.session.cache.slots": int(1000, { min: 0, doc: "How many incremental fetch sessions the broker remembers" }),
  "fetch.max.bytes": int(57_671_680, { min: 1024, doc: "How many bytes one fetch may bring, whatever the client asks for" }),
};

/** Metrics; the classes are Java's. */
export const metricKeys = {
  "metrics.num.samples": int(2, { importance: "low", min: 1, doc: "How many samples a metric keeps", noEffect: "metrics are kept for the last minute or two (docs/decisions/20261122-metrics.md)" }),
  "metrics.sample.window.ms": long(30_000, { importance: "low", min: 1, doc: "How long one sample lasts", noEffect: "metrics are kept for the last minute or two (docs/decisions/20261122-metrics.md)" }),
  "metric.reporters": list([], { importance: "low", update: "cluster-wide", doc: "Java classes that report metrics", noEffect: "only a JVM can load them" }),
  "metrics.recording.level": string("INFO", { importance: "low", doc: "How much is measured: INFO or DEBUG", noEffect: "metrics are kept for the last minute or two (docs/decisions/20261122-metrics.md)" }),
  "kafka.metrics.reporters": list([], { importance: "low", doc: "Java classes that report metrics of the older kind", noEffect: "only a JVM can load them" }),
  "kafka.metrics.polling.interval.secs": int(10, { importance: "low", min: 1, doc: "How often those classes report", noEffect: "only a JVM can load them" }),
};
