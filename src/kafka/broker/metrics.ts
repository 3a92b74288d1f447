import type { Clock } from "../../host/clock.ts";
import { family, labels, single, summary, type Family, type Histogram, type Sample } from "../../lib/metrics.ts";
import type { ControllerContext, Partition as ControlledPartition } from "../controller/context.ts";
import type { Controller } from "../controller/controller.ts";
import type { GroupCoordinator } from "../coordinators/group/group-coordinator.ts";
import type { LogTimes } from "../log/log-times.ts";
import type { ApiMetrics, RequestMetrics } from "../network/request-metrics.ts";
import type { Partition } from "../replication/partition.ts";
import type { ReplicaManager } from "../replication/replica-manager.ts";
import type { InSyncMin } from "../replication/produce.ts";
import type { TopicTraffic } from "../replication/traffic.ts";

/** What the metrics of a broker are read from. */
export interface BrokerSources {
  readonly clock: Clock;
  readonly requests: RequestMetrics;
  readonly replicas: Pick<ReplicaManager, "partitions" | "offlineCount" | "traffic">;
  readonly inSyncMin: InSyncMin;
  readonly logTimes: LogTimes;
  readonly offlineLogDirectories: () => number;
  readonly controller: Pick<Controller, "active" | "context">;
  readonly groups: Pick<GroupCoordinator, "list">;
  /** By listener. */
  readonly connections: () => Iterable<readonly [listener: string, count: number]>;
  /** KafkaServer's BrokerState: 3 running, 6 handing over, 7 stopping. */
  readonly state: () => number;
}

/** The percentiles of Kafka's histograms, as the exporter's rules write them. */
const QUANTILES = ["0.50", "0.75", "0.95", "0.98", "0.99", "0.999"];

const TOPIC_COUNTERS: readonly (readonly [name: string, field: keyof TopicTraffic, help: string])[] = [
  ["messagesin", "messagesIn", "Records appended for producers"],
  ["bytesin", "bytesIn", "Bytes of batches appended for producers"],
  ["bytesout", "bytesOut", "Bytes of batches sent to consumers"],
  ["bytesrejected", "bytesRejected", "Bytes of batches refused for their size"],
  ["totalproducerequests", "produceRequests", "Partitions that produce requests wrote to"],
  ["failedproducerequests", "produceFailures", "Of those, refused for a reason that Kafka counts as a failure"],
  ["totalfetchrequests", "fetchRequests", "Partitions that consumers' fetch requests read"],
  ["failedfetchrequests", "fetchFailures", "Of those, refused for a reason that Kafka counts as a failure"],
];

const REQUEST_TIMES: readonly (readonly [name: string, part: Exclude<keyof ApiMetrics, "requests" | "answered">, help: string])[] = [
  ["totaltimems", "total", "From a request's arrival until its answer is handed to the socket, in ms"],
  ["requestqueuetimems", "queue", "From a request's arrival until it is decoded, behind others of its connection, in ms"],
  ["localtimems", "local", "Decoding a request, and its handler up to its first wait, in ms"],
  ["remotetimems", "remote", "What a handler waits for: other brokers, records to come, the disk, in ms"],
  ["responsequeuetimems", "responseQueue", "How long an answer waits for those before it, in ms"],
  ["responsesendtimems", "responseSend", "Encoding an answer and handing it to the socket, in ms"],
];

const GROUP_STATES = [
  ["numgroupspreparingrebalance", "PreparingRebalance"],
  ["numgroupscompletingrebalance", "CompletingRebalance"],
  ["numgroupsstable", "Stable"],
  ["numgroupsempty", "Empty"],
  ["numgroupsdead", "Dead"],
] as const;

/**
 * A broker's metrics under the names that Kafka's MBeans have behind Prometheus' JMX exporter, which Kafka's common
 * dashboards ask for. Sources: the MBeans, KafkaMetricsGroup and its users at 2.7.1 (BrokerTopicStats, RequestMetrics,
 * ReplicaManager, KafkaController, Partition, Log, LogFlushStats, GroupMetadataManager); the rules,
 * example_configs/kafka-2_0_0.yml of prometheus/jmx_exporter and examples/metrics/kafka-metrics.yaml of
 * strimzi/strimzi-kafka-operator; which of them are shown, that project's strimzi-kafka.json. What Kafka has no name for
 * begins with `odradek_`. Quantiles are of the last minute or two; Kafka's are weighted towards the last five.
 */
export function brokerFamilies(sources: BrokerSources): readonly Family[] {
  return [...topicFamilies(sources), ...requestFamilies(sources), ...replicaFamilies(sources), ...partitionFamilies(sources), ...logFamilies(sources), ...controllerFamilies(sources), ...serverFamilies(sources)];
}

/** Each first of all topics, without a label, then of each topic. */
function topicFamilies({ replicas: { traffic } }: BrokerSources): Family[] {
  const perTopic = TOPIC_COUNTERS.map(([name, field, help]) =>
    family("counter", `kafka_server_brokertopicmetrics_${name}_total`, help, function* () {
      yield ["", traffic.all[field]];
      for (const [topic, counted] of traffic.topics) yield [labels({ topic }), counted[field]];
    }),
  );
  return [
    ...perTopic,
    single("counter", "kafka_server_brokertopicmetrics_replicationbytesin_total", "Bytes of batches that this broker has fetched from leaders", () => traffic.replicationBytesIn),
    single("counter", "kafka_server_brokertopicmetrics_replicationbytesout_total", "Bytes of batches sent to followers", () => traffic.replicationBytesOut),
  ];
}

function requestFamilies({ requests, clock }: BrokerSources): Family[] {
  const options = { nowMs: () => clock.monotonicMs(), quantiles: QUANTILES };
  const times = REQUEST_TIMES.map(([name, part, help]) =>
    summary(`kafka_network_requestmetrics_${name}`, help, options, function* () {
      for (const [request, metrics] of requests.byName) yield [labels({ request }), metrics[part]];
    }),
  );
  const count = family("counter", "kafka_network_requestmetrics_requests_total", "Requests answered", function* () {
    for (const [request, metrics] of requests.byName) {
      for (const [version, value] of metrics.requests.entries()) if (value > 0) yield [labels({ request, version: String(version) }), value];
    }
  });
  return [count, ...times];
}

function replicaFamilies({ replicas, inSyncMin }: BrokerSources): Family[] {
  const { traffic } = replicas;
  const gauge = (name: string, help: string, test: (partition: Partition) => boolean): Family =>
    single("gauge", `kafka_server_replicamanager_${name}`, help, () => replicas.partitions.filter(test).length);
  return [
    gauge("partitioncount", "Partitions with a replica here", () => true),
    gauge("leadercount", "Partitions that this broker leads", (partition) => partition.isLeader),
    gauge("underreplicatedpartitions", "Partitions led here with a replica that is not in sync", isUnderReplicated),
    gauge("underminisrpartitioncount", "Partitions led here with fewer in-sync replicas than min.insync.replicas", (partition) => partition.isLeader && partition.inSyncCount < inSyncMin(partition)),
    gauge("atminisrpartitioncount", "Partitions led here with just as many in-sync replicas as min.insync.replicas", (partition) => partition.isLeader && partition.inSyncCount === inSyncMin(partition)),
    single("gauge", "kafka_server_replicamanager_offlinereplicacount", "Replicas here whose disk failed", () => replicas.offlineCount),
    single("counter", "kafka_server_replicamanager_isrexpands_total", "In-sync replica sets that grew", () => traffic.isrExpands),
    single("counter", "kafka_server_replicamanager_isrshrinks_total", "In-sync replica sets that shrank", () => traffic.isrShrinks),
    single("counter", "kafka_server_replicamanager_failedisrupdates_total", "Changes of in-sync replica sets that the controller refused", () => traffic.isrFailures),
  ];
}

function isUnderReplicated(partition: Partition): boolean {
  return partition.isLeader && partition.inSyncCount < partition.replicaCount;
}

function partitionFamilies({ replicas, inSyncMin }: BrokerSources): Family[] {
  const perPartition = (name: string, help: string, read: (partition: Partition) => number): Family =>
    family("gauge", name, help, function* (): Generator<Sample> {
      for (const partition of replicas.partitions) yield [labels({ partition: String(partition.partition), topic: partition.topic }), read(partition)];
    });
  return [
    perPartition("kafka_cluster_partition_replicascount", "Replicas of a partition led here; 0 of others", ({ replicaCount }) => replicaCount),
    perPartition("kafka_cluster_partition_insyncreplicascount", "In-sync replicas of a partition led here; 0 of others", ({ inSyncCount }) => inSyncCount),
    perPartition("kafka_cluster_partition_underreplicated", "1 where a replica of a partition led here is not in sync", (partition) => Number(isUnderReplicated(partition))),
    perPartition("kafka_cluster_partition_underminisr", "1 where a partition led here has fewer in-sync replicas than min.insync.replicas", (partition) => Number(partition.isLeader && partition.inSyncCount < inSyncMin(partition))),
    perPartition("kafka_cluster_partition_atminisr", "1 where a partition led here has just as many in-sync replicas as min.insync.replicas", (partition) => Number(partition.isLeader && partition.inSyncCount === inSyncMin(partition))),
    perPartition("kafka_cluster_partition_laststableoffsetlag", "Offsets between the last stable one and the high watermark", ({ log }) => log.highWatermark - log.lastStableOffset),
    perPartition("kafka_log_log_size", "Bytes of a partition's segments", ({ log }) => log.sizeBytes),
    perPartition("kafka_log_log_numlogsegments", "Segments of a partition", ({ log }) => log.segments.length),
    perPartition("kafka_log_log_logstartoffset", "The first offset of a partition", ({ log }) => log.startOffset),
    perPartition("kafka_log_log_logendoffset", "The next offset of a partition", ({ log }) => log.endOffset),
  ];
}

/** Seconds would be Prometheus' own unit; the buckets are in ms because the histograms are. */
function logFamilies({ logTimes, clock, offlineLogDirectories }: BrokerSources): Family[] {
  const flushes: readonly (readonly [string, Histogram])[] = [["", logTimes.flushed]];
  const options = { nowMs: () => clock.monotonicMs(), quantiles: QUANTILES };
  return [
    summary("kafka_log_logflushstats_logflushrateandtimems", "Flushes of one log to the disk, in ms", options, () => flushes),
    summary("odradek_log_write_ms", "Writes of batches into the page cache, in ms: those that the event loop waits for, and those gathered and written beside it", options, () => [
      [labels({ kind: "now" }), logTimes.written],
      [labels({ kind: "gathered" }), logTimes.writtenBehind],
    ]),
    single("gauge", "kafka_log_logmanager_offlinelogdirectorycount", "Log directories that failed", offlineLogDirectories),
  ];
}

function controllerFamilies({ controller }: BrokerSources): Family[] {
  const gauge = (name: string, help: string, read: (context: ControllerContext) => number): Family =>
    single("gauge", `kafka_controller_kafkacontroller_${name}`, help, () => read(controller.context));
  return [
    single("gauge", "kafka_controller_kafkacontroller_activecontrollercount", "1 where this broker is the controller", () => Number(controller.active)),
    gauge("offlinepartitionscount", "Partitions without a leader, as the controller knows; 0 elsewhere", (context) => countStaying(context, (partition) => partition.state === "offline")),
    gauge("preferredreplicaimbalancecount", "Partitions that another than their first replica leads, as the controller knows; 0 elsewhere", (context) =>
      countStaying(context, ({ leadership, assignment }) => leadership !== undefined && leadership.leader !== assignment.replicas[0]),
    ),
    gauge("globaltopiccount", "Topics of the cluster, as the controller knows; 0 elsewhere", ({ topics }) => topics.size),
    gauge("globalpartitioncount", "Partitions of the cluster, as the controller knows; 0 elsewhere", (context) => context.partitionsWhere(() => true).length),
    gauge("topicstodeletecount", "Topics that are being deleted, as the controller knows; 0 elsewhere", ({ deletionQueued }) => deletionQueued.size),
    gauge("topicsineligibletodeletecount", "Of those, topics whose deletion has to wait", ({ deletionIneligible }) => deletionIneligible.size),
  ];
}

/** Of topics that are not being deleted. */
function countStaying(context: ControllerContext, test: (partition: ControlledPartition) => boolean): number {
  return context.partitionsWhere((partition) => !context.deletionQueued.has(partition.topic) && test(partition)).length;
}

/** The event loop's idle share under the names of Kafka's thread pools stands with the process's own metrics. */
function serverFamilies({ groups, connections, state }: BrokerSources): Family[] {
  const listed = (): readonly { readonly state: string }[] => groups.list([], []).groups;
  return [
    single("gauge", "kafka_server_kafkaserver_brokerstate", "3 running, 6 handing over its partitions, 7 stopping", state),
    family("gauge", "kafka_server_socket_server_metrics_connection_count", "Open connections of a listener", function* () {
      for (const [listener, count] of connections()) yield [labels({ listener, networkProcessor: "0" }), count];
    }),
    single("gauge", "kafka_coordinator_group_groupmetadatamanager_numgroups", "Groups that this broker coordinates", () => listed().length),
    ...GROUP_STATES.map(([name, of]) =>
      single("gauge", `kafka_coordinator_group_groupmetadatamanager_${name}`, `Of those, in the state ${of}`, () => listed().filter((group) => group.state === of).length),
    ),
  ];
}
