import type { ConfigValues } from "../../lib/config/key.ts";
import { ConfigReading } from "../../lib/config/read.ts";
import { must } from "../../lib/assert.ts";
import type { Properties } from "../../lib/properties.ts";
import type { ApiVersion } from "./api-version.ts";
import { parseApiVersion, recordVersion } from "./api-version.ts";
import { brokerKeys } from "./broker-keys.ts";
import { ownKeys } from "./keys/own.ts";
import { listenerConnectionsMax, parseListenerKey } from "./listener-keys.ts";
import type { Endpoint, SecurityProtocol } from "./listeners.ts";
import { parseEndpoints, parseProtocolMap, securityProtocols, servedProtocols, splitList } from "./listeners.ts";
import type { TopicConfig } from "./topic-config.ts";

type Values = ConfigValues<typeof brokerKeys>;

/** Settings that several keys make together, in the form in which the broker uses them. */
interface Derived {
  readonly listeners: readonly Endpoint[];
  readonly advertisedListeners: readonly Endpoint[];
  readonly interBrokerListenerName: string;
  readonly interBrokerSecurityProtocol: SecurityProtocol;
  readonly controlPlaneListenerName: string | undefined;
  /** Of listeners that have a limit of their own, by name. */
  readonly listenerConnectionsMax: ReadonlyMap<string, number>;
  readonly maxConnectionsPerIpOverrides: ReadonlyMap<string, number>;
  readonly zookeeperConnectionTimeoutMs: number;
  readonly logDirs: readonly string[];
  readonly interBrokerProtocolVersion: ApiVersion;
  /** What a topic without settings of its own goes by. */
  readonly topicDefaults: TopicConfig;
  /** Where /metrics and /ready are; undefined: nowhere. */
  readonly metricsAddress: { readonly host: string | undefined; readonly port: number } | undefined;
}

/** Keys whose part in a broker's life is played by one of the derived settings. */
type Replaced =
  | keyof Derived
  | "port" | "hostName" | "advertisedHostName" | "advertisedPort" | "listenerSecurityProtocolMap" | "securityInterBrokerProtocol"
  | "logDir" | "logRollMs" | "logRollHours" | "logRollJitterMs" | "logRollJitterHours" | "logRetentionMs" | "logRetentionMinutes"
  | "logRetentionHours" | "logFlushIntervalMs" | "logMessageFormatVersion";

/**
 * A broker's settings by camel-case name. The object has some two hundred fields and is slow to read from: take what
 * a hot path needs out of it once.
 */
export type BrokerConfig = Omit<Values, Replaced> & Derived;

export interface BrokerReading {
  readonly config: BrokerConfig;
  /** What the operator should know: unknown keys, keys without effect. */
  readonly warnings: readonly string[];
}

/**
 * Checks what Kafka 2.7.1 checks (KafkaConfig.scala, validateValues) and throws a ConfigError that lists all there is
 * to mend. `origin` names the whole, as a rule the file.
 */
export function readBrokerConfig(properties: Properties, origin: string): BrokerReading {
  const reading = new ConfigReading(brokerKeys, properties, { origin, accepts: (key) => parseListenerKey(key) !== undefined || Object.hasOwn(ownKeys, key) });
  const own = new ConfigReading(ownKeys, properties, { origin, accepts: () => true });
  reading.problems.push(...own.problems);
  const { values } = reading;
  const endpoints = readListeners(reading);
  const interBrokerProtocolVersion = must(parseApiVersion(values.interBrokerProtocolVersion), "inter.broker.protocol.version");
  const topicDefaults = readTopicDefaults(reading, interBrokerProtocolVersion);
  const maxConnectionsPerIpOverrides = readPerIpOverrides(reading);
  const logDirs = splitList(values.logDirs ?? values.logDir);
  const connectionsMax = listenerConnectionsMax(properties, reading);
  checkNumbers(reading);
  reading.expect(logDirs.length > 0, ["log.dirs", "log.dir"], "at least one log directory is needed");
  reading.settle();
  const config: BrokerConfig = {
    ...values,
    ...endpoints,
    listenerConnectionsMax: connectionsMax,
    maxConnectionsPerIpOverrides,
    zookeeperConnectionTimeoutMs: values.zookeeperConnectionTimeoutMs ?? values.zookeeperSessionTimeoutMs,
    logDirs,
    interBrokerProtocolVersion,
    topicDefaults,
    metricsAddress: own.values.odradekMetricsPort === undefined ? undefined : { host: own.values.odradekMetricsHost, port: own.values.odradekMetricsPort },
  };
  return { config, warnings: reading.warnings.map((warning) => warning.message) };
}

type Reading = ConfigReading<typeof brokerKeys>;

type Listeners = Pick<Derived, "listeners" | "advertisedListeners" | "interBrokerListenerName" | "interBrokerSecurityProtocol" | "controlPlaneListenerName">;

function readListeners(reading: Reading): Listeners {
  const { values } = reading;
  const protocols = parseProtocolMap(values.listenerSecurityProtocolMap);
  for (const problem of protocols.problems) reading.expect(false, ["listener.security.protocol.map"], problem);

  const listeners = parseEndpoints(values.listeners ?? `PLAINTEXT://${values.hostName}:${values.port}`, protocols.value, { distinctPorts: true });
  const listenersKeys = reading.has("listeners") ? (["listeners"] as const) : (["host.name", "port"] as const);
  reading.expect(listeners.problems.length === 0, listenersKeys, listeners.problems.join("; "));
  reading.expect(listeners.value.length > 0, listenersKeys, "at least one listener is needed, such as PLAINTEXT://:9092");
  for (const { listenerName, securityProtocol } of listeners.value) {
    reading.expect(servedProtocols.includes(securityProtocol), listenersKeys, `${listenerName} asks for ${securityProtocol}, and listeners with TLS or SASL are still to come`);
  }

  const old = values.advertisedHostName !== undefined || values.advertisedPort !== undefined;
  const oldText = `PLAINTEXT://${values.advertisedHostName ?? values.hostName}:${values.advertisedPort ?? values.port}`;
  const advertised =
    values.advertisedListeners === undefined && !old
      ? listeners
      : parseEndpoints(values.advertisedListeners ?? oldText, protocols.value, { distinctPorts: false });
  const advertisedKeys = reading.has("advertised.listeners") ? (["advertised.listeners"] as const) : (["advertised.host.name", "advertised.port"] as const);
  const names = listeners.value.map((endpoint) => endpoint.listenerName);
  const advertisedNames = advertised.value.map((endpoint) => endpoint.listenerName);
  if (advertised !== listeners) reading.expect(advertised.problems.length === 0, advertisedKeys, advertised.problems.join("; "));
  if (listeners.problems.length === 0) {
    const strangers = advertisedNames.filter((name) => !names.includes(name));
    reading.expect(strangers.length === 0, advertisedKeys, `the broker has no listener ${strangers.join(", ")}, only ${names.join(", ")}`);
  }
  const everywhere = advertised.value.some((endpoint) => endpoint.host === "0.0.0.0");
  const everywhereKeys = advertised === listeners ? listenersKeys : advertisedKeys;
  reading.expect(!everywhere, everywhereKeys, "0.0.0.0 is no address to connect to: name one that clients and other brokers reach in advertised.listeners");

  const both = reading.has("inter.broker.listener.name") && reading.has("security.inter.broker.protocol");
  reading.expect(!both, ["inter.broker.listener.name", "security.inter.broker.protocol"], "only one of the two may be set");
  const protocol = securityProtocols.find((known) => known === values.securityInterBrokerProtocol.toUpperCase());
  reading.expect(protocol !== undefined, ["security.inter.broker.protocol"], `expected one of ${securityProtocols.join(", ")}`);
  const interBrokerListenerName = values.interBrokerListenerName?.toUpperCase() ?? protocol ?? "PLAINTEXT";
  const interBrokerKeys = reading.has("inter.broker.listener.name") ? (["inter.broker.listener.name"] as const) : (["security.inter.broker.protocol"] as const);
  const sound = listeners.problems.length === 0 && listeners.value.length > 0 && advertised.problems.length === 0;
  const reachable = !sound || advertisedNames.includes(interBrokerListenerName);
  reading.expect(reachable, interBrokerKeys, `brokers need a listener ${interBrokerListenerName} among the advertised ones, which are ${advertisedNames.join(", ")}`);

  const controlPlaneListenerName = values.controlPlaneListenerName?.toUpperCase();
  if (controlPlaneListenerName !== undefined && sound) {
    reading.expect(advertisedNames.includes(controlPlaneListenerName), ["control.plane.listener.name"], `the advertised listeners are ${advertisedNames.join(", ")}`);
    reading.expect(controlPlaneListenerName !== interBrokerListenerName, ["control.plane.listener.name"], "brokers use this listener among themselves: the controller needs one of its own");
  }
  return {
    listeners: listeners.value,
    advertisedListeners: advertised.value,
    interBrokerListenerName,
    interBrokerSecurityProtocol: protocols.value.get(interBrokerListenerName) ?? protocol ?? "PLAINTEXT",
    controlPlaneListenerName,
  };
}

const minuteMs = 60_000;
const hourMs = 60 * minuteMs;

function readTopicDefaults(reading: Reading, interBrokerProtocolVersion: ApiVersion): TopicConfig {
  const { values } = reading;
  const segmentMs = values.logRollMs ?? values.logRollHours * hourMs;
  const segmentJitterMs = values.logRollJitterMs ?? values.logRollJitterHours * hourMs;
  const retentionMs = values.logRetentionMs ?? (values.logRetentionMinutes === undefined ? values.logRetentionHours * hourMs : values.logRetentionMinutes * minuteMs);
  reading.expect(segmentMs >= 1, ["log.roll.ms"], "expected at least 1");
  reading.expect(segmentJitterMs >= 0, ["log.roll.jitter.ms"], "expected at least 0");
  reading.expect(retentionMs !== 0, ["log.retention.ms", "log.retention.minutes", "log.retention.hours"], "expected at least 1, or -1 to keep records for ever");
  reading.expect(!values.logCleanupPolicy.includes("compact"), ["log.cleanup.policy"], "compact would let every topic grow without bound, since compaction is still to come for all but the brokers' own topics; use delete");
  const messageFormatVersion = must(parseApiVersion(values.logMessageFormatVersion), "log.message.format.version");
  reading.expect(
    recordVersion(messageFormatVersion) <= recordVersion(interBrokerProtocolVersion),
    ["log.message.format.version", "inter.broker.protocol.version"],
    "brokers that speak so old a protocol can't copy so new a format",
  );
  return {
    segmentBytes: values.logSegmentBytes,
    segmentMs,
    segmentJitterMs,
    segmentIndexBytes: values.logIndexSizeMaxBytes,
    flushMessages: values.logFlushIntervalMessages,
    flushMs: values.logFlushIntervalMs ?? values.logFlushSchedulerIntervalMs,
    retentionBytes: values.logRetentionBytes,
    retentionMs: retentionMs < 0 ? -1 : retentionMs,
    maxMessageBytes: values.messageMaxBytes,
    indexIntervalBytes: values.logIndexIntervalBytes,
    deleteRetentionMs: values.logCleanerDeleteRetentionMs,
    minCompactionLagMs: values.logCleanerMinCompactionLagMs,
    maxCompactionLagMs: values.logCleanerMaxCompactionLagMs,
    fileDeleteDelayMs: values.logSegmentDeleteDelayMs,
    minCleanableDirtyRatio: values.logCleanerMinCleanableRatio,
    cleanupPolicy: values.logCleanupPolicy,
    uncleanLeaderElectionEnable: values.uncleanLeaderElectionEnable,
    minInsyncReplicas: values.minInsyncReplicas,
    compressionType: values.compressionType,
    preallocate: values.logPreallocate,
    messageFormatVersion,
    messageTimestampType: values.logMessageTimestampType,
    messageTimestampDifferenceMaxMs: values.logMessageTimestampDifferenceMaxMs,
    leaderReplicationThrottledReplicas: [],
    followerReplicationThrottledReplicas: [],
    messageDownconversionEnable: values.logMessageDownconversionEnable,
  };
}

function readPerIpOverrides(reading: Reading): ReadonlyMap<string, number> {
  const { values } = reading;
  const overrides = new Map<string, number>();
  for (const pair of splitList(values.maxConnectionsPerIpOverrides)) {
    const match = /^\s*([0-9a-zA-Z\-%._:]+)\s*:\s*([0-9]+)$/.exec(pair);
    reading.expect(match !== null, ["max.connections.per.ip.overrides"], `${pair} is not address:number`);
    if (match !== null) overrides.set(match[1] ?? "", Number(match[2]));
  }
  reading.expect(values.maxConnectionsPerIp > 0 || overrides.size > 0, ["max.connections.per.ip"], "0 is possible only where max.connections.per.ip.overrides lets some address in");
  return overrides;
}

function checkNumbers(reading: Reading): void {
  const { values } = reading;
  reading.expect(values.brokerIdGenerationEnable ? values.brokerId >= -1 : values.brokerId >= 0, ["broker.id", "broker.id.generation.enable"], `expected at least ${values.brokerIdGenerationEnable ? -1 : 0}`);
  reading.expect(
    !values.brokerIdGenerationEnable || values.brokerId <= values.reservedBrokerMaxId,
    ["broker.id", "reserved.broker.max.id"],
    `expected at most reserved.broker.max.id, which is ${values.reservedBrokerMaxId}: larger numbers are drawn from ZooKeeper`,
  );
  reading.expect(values.logCleanerDedupeBufferSize / values.logCleanerThreads > 1_048_576, ["log.cleaner.dedupe.buffer.size", "log.cleaner.threads"], "expected more than 1 MiB for each thread");
  reading.expect(values.replicaFetchWaitMaxMs <= values.replicaSocketTimeoutMs, ["replica.fetch.wait.max.ms", "replica.socket.timeout.ms"], "a follower must wait at least as long as its leader may take to answer");
  reading.expect(values.replicaFetchWaitMaxMs <= values.replicaLagTimeMaxMs, ["replica.fetch.wait.max.ms", "replica.lag.time.max.ms"], "a follower that waits longer than replica.lag.time.max.ms would fall out of sync");
  reading.expect(
    values.offsetsCommitRequiredAcks >= -1 && values.offsetsCommitRequiredAcks <= 1,
    ["offsets.commit.required.acks"],
    "expected -1, 0 or 1: with any other number every commit would fail",
  );
  reading.expect(
    values.queuedMaxRequestBytes <= 0 || values.queuedMaxRequestBytes >= values.socketRequestMaxBytes,
    ["queued.max.request.bytes", "socket.request.max.bytes"],
    "the largest request must fit into the queue",
  );
  reading.expect(
    values.connectionsMaxIdleMs < 0 || values.connectionFailedAuthenticationDelayMs < values.connectionsMaxIdleMs,
    ["connection.failed.authentication.delay.ms", "connections.max.idle.ms"],
    "the answer to a failed login must come before its connection counts as idle",
  );
}
