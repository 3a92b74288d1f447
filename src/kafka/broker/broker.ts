import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import type { Timer } from "../../host/clock.ts";
import { must } from "../../lib/assert.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import type { Family } from "../../lib/metrics.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import { randomUuid } from "../../lib/uuid.ts";
import { ZooKeeperClient } from "../../zookeeper/client/client.ts";
import { BrokerLink } from "../client/broker-link.ts";
import { ControllerLink, type BrokerEndpoint } from "../client/controller-link.ts";
import type { BrokerConfig } from "../config/broker-config.ts";
import type { BrokerLayers } from "../config/dynamic.ts";
import type { Endpoint } from "../config/listeners.ts";
import { settleBrokerId, type DirectoryOwner } from "../config/meta-properties.ts";
import { Controller } from "../controller/controller.ts";
import { GroupCoordinator, type GroupConfig } from "../coordinators/group/group-coordinator.ts";
import { readDirectoryOwner, writeDirectoryOwner } from "../log/log-directory.ts";
import { LogManager, logManagerDefaults } from "../log/log-manager.ts";
import { ConnectionQuotas } from "../network/connection-quotas.ts";
import { RequestMetrics } from "../network/request-metrics.ts";
import { Server } from "../network/server.ts";
import type { Route } from "../network/request.ts";
import { GROUP_METADATA_TOPIC, isInternalTopic } from "../protocol/internal-topics.ts";
import { IsrUpdates } from "../replication/isr-updates.ts";
import type { Partition } from "../replication/partition.ts";
import { ReplicaFetchers } from "../replication/replica-fetchers.ts";
import { ReplicaManager } from "../replication/replica-manager.ts";
import type { BrokerRegistration } from "../znodes/broker.ts";
import { announceLogDirFailure, createOrGetClusterId, createPersistentPaths, generateBrokerId, registerBroker } from "../znodes/operations.ts";
import { paths } from "../znodes/paths.ts";
import { listChildren } from "../znodes/requests.ts";
import { refuseLostSession, ZooKeeperSession } from "../znodes/zookeeper-session.ts";
import { BrokerSettings } from "./broker-settings.ts";
import { ConfigAdmin } from "./config-admin.ts";
import { ConfigWatcher } from "./config-watcher.ts";
import { Conversions } from "./conversions.ts";
import { handOver } from "./controlled-shutdown.ts";
import { controllerEndpoint, endpointOf } from "./endpoints.ts";
import { FetchSessions } from "./fetch-sessions.ts";
import { alterConfigsRoute } from "./handlers/alter-configs.ts";
import { apiVersionsRoute } from "./handlers/api-versions.ts";
import { clusterControlRoutes } from "./handlers/cluster-control.ts";
import { controllerRoutes } from "./handlers/controller-requests.ts";
import { createPartitionsRoute } from "./handlers/create-partitions.ts";
import { createTopicsRoute } from "./handlers/create-topics.ts";
import { deleteGroupsRoute } from "./handlers/delete-groups.ts";
import { deleteRecordsRoute } from "./handlers/delete-records.ts";
import { deleteTopicsRoute } from "./handlers/delete-topics.ts";
import { describeClusterRoute } from "./handlers/describe-cluster.ts";
import { describeConfigsRoute } from "./handlers/describe-configs.ts";
import { describeGroupsRoute } from "./handlers/describe-groups.ts";
import { describeLogDirsRoute } from "./handlers/describe-log-dirs.ts";
import { electLeadersRoute } from "./handlers/elect-leaders.ts";
import { fetchRoute } from "./handlers/fetch.ts";
import { findCoordinatorRoute } from "./handlers/find-coordinator.ts";
import { heartbeatRoute } from "./handlers/heartbeat.ts";
import { incrementalAlterConfigsRoute } from "./handlers/incremental-alter-configs.ts";
import { initProducerIdRoute } from "./handlers/init-producer-id.ts";
import { joinGroupRoute } from "./handlers/join-group.ts";
import { leaveGroupRoute } from "./handlers/leave-group.ts";
import { listGroupsRoute } from "./handlers/list-groups.ts";
import { listOffsetsRoute } from "./handlers/list-offsets.ts";
import { metadataRoute } from "./handlers/metadata.ts";
import { offsetCommitRoute } from "./handlers/offset-commit.ts";
import { offsetDeleteRoute } from "./handlers/offset-delete.ts";
import { offsetFetchRoute } from "./handlers/offset-fetch.ts";
import { offsetForLeaderEpochRoute } from "./handlers/offset-for-leader-epoch.ts";
import { produceRoute } from "./handlers/produce.ts";
import { syncGroupRoute } from "./handlers/sync-group.ts";
import { MetadataCache } from "./metadata-cache.ts";
import { brokerFamilies } from "./metrics.ts";
import { OffsetsTopic } from "./offsets-topic.ts";
import { ProducerIds } from "./producer-ids.ts";
import { refuseSharedEndpoints } from "./registration.ts";
import { readSessionFile, removeOwnNodes, writeSessionFile } from "./session-file.ts";
import { settingChanges } from "./setting-changes.ts";
import { gateUntilMetadata, isFromReplica } from "./start-gate.ts";
import { TopicAdmin } from "./topic-admin.ts";
import { TopicConfigs } from "./topic-configs.ts";
import { TopicIds } from "./topic-ids.ts";

export interface BrokerOptions {
  readonly host: Host;
  readonly config: BrokerConfig;
  readonly layers: BrokerLayers;
  /** What all logs together keep in memory of what was appended last. */
  readonly tailBytesMax?: number | undefined;
}

/** A broker from start to stop. Source: kafka/server/KafkaServer.scala, whose order of start-up is kept. */
export class Broker {
  readonly brokerId: number;
  readonly clusterId: string;
  readonly #log: Logger;
  readonly #parts: Parts;

  private constructor(options: BrokerOptions, parts: Parts) {
    this.brokerId = parts.brokerId;
    this.clusterId = parts.clusterId;
    this.#log = options.host.log.child("broker");
    this.#parts = parts;
  }

  /** The ports that clients reach, by listener name. */
  get ports(): ReadonlyMap<string, number> {
    return new Map(this.#parts.listeners.map(({ endpoint, server }) => [endpoint.listenerName, server.port]));
  }

  /** Those that can be used. */
  get partitions(): Iterable<Partition> {
    return this.#parts.replicas.partitions;
  }

  /** What it measures; to be read until it has stopped. */
  get families(): readonly Family[] {
    return this.#parts.families;
  }

  /** Why clients should not come here, in words; undefined: it is registered and serves. */
  get unready(): string | undefined {
    return this.#parts.unready();
  }

  /** To look at. */
  get groups(): GroupCoordinator {
    return this.#parts.groups;
  }

  /**
   * Resolves when the broker serves. Waits for ZooKeeper as long as it takes. Rejects with an OperationalError where a
   * directory, a port, the broker's number or its registration can't be had; nothing is left running then.
   */
  static async start(options: BrokerOptions): Promise<Broker> {
    const started: (() => Promise<void>)[] = [];
    try {
      const parts = await start(options, started);
      return new Broker(options, parts);
    } catch (error) {
      // What fails now is of less interest than why the start failed.
      await stopAll(started);
      throw error;
    }
  }

  /**
   * Hands its partitions over, stops serving, writes what is in memory, and ends the ZooKeeper session, so that the
   * cluster knows at once. Without `handOver` nobody is asked to take the partitions: the whole cluster stops.
   */
  async stop({ handOver: handsOver = true } = {}): Promise<void> {
    this.#log.info("stopping");
    const failures = await stopAll([...this.#parts.stops, () => this.#parts.leave(handsOver)]);
    if (failures.length > 0) throw new AggregateError(failures, `the broker did not stop cleanly: ${failures.map((failure) => failure.message).join("; ")}`);
    this.#log.info("stopped");
  }
}

/** In the reverse order of the start, each whatever became of the others. */
async function stopAll(stops: readonly (() => Promise<void>)[]): Promise<Error[]> {
  const failures: Error[] = [];
  for (const stop of stops.toReversed()) {
    try {
      await stop();
    } catch (error) {
      failures.push(toError(error));
    }
  }
  return failures;
}

interface Parts {
  readonly brokerId: number;
  readonly clusterId: string;
  readonly listeners: readonly BoundListener[];
  readonly replicas: ReplicaManager;
  readonly groups: GroupCoordinator;
  readonly stops: readonly (() => Promise<void>)[];
  readonly families: readonly Family[];
  unready(): string | undefined;
  leave(handsOver: boolean): Promise<void>;
}

interface BoundListener {
  readonly endpoint: Endpoint;
  readonly server: Server;
}

async function start(options: BrokerOptions, stops: (() => Promise<void>)[]): Promise<Parts> {
  const { host } = options;
  const log = host.log.child("broker");

  const client = new ZooKeeperClient(host, {
    connect: options.config.zookeeperConnect,
    sessionTimeoutMs: options.config.zookeeperSessionTimeoutMs,
    requestsInFlightMax: options.config.zookeeperMaxInFlightRequests,
  });
  const watching = new TaskGroup((error) => host.fail(error));
  stops.push(async () => {
    await client.close();
    // What waits for ZooKeeper ends with the client.
    await watching.settled();
  });
  client.start();
  await connected(client, options, log);
  const chroot = await client.makeChroot();
  if (!chroot.ok) {
    refuseLostSession(chroot.code);
    throw new OperationalError("ERR_ZOOKEEPER", `the path in zookeeper.connect=${options.config.zookeeperConnect} can't be made: ZooKeeper answered ${chroot.code}`);
  }
  const zookeeper = new ZooKeeperSession(client);
  await zookeeper.run(createPersistentPaths());
  const clusterId = await zookeeper.run(createOrGetClusterId(randomUuid(host.random)));

  const { owners, failed } = await readOwners(host, options.config.logDirs);
  const identity = settleBrokerId(owners, clusterId, options.config);
  const brokerId = identity.kind === "known" ? identity.brokerId : options.config.reservedBrokerMaxId + (await zookeeper.run(generateBrokerId()));

  const settings = new BrokerSettings(brokerId, options, log);
  await settings.load(zookeeper);
  // As they are at the start; what changes while the broker runs is read from `settings`.
  const { config } = settings;
  const topicConfigs = new TopicConfigs({ topicDefaults: () => settings.config.topicDefaults, interBrokerProtocolVersion: config.interBrokerProtocolVersion }, log);
  await topicConfigs.loadAll(zookeeper);
  const metadata = new MetadataCache();
  const tasks = new TaskGroup((error) => log.error("ZooKeeper could not be told", { error }));
  let brokerEpoch = -1;
  let replicas: ReplicaManager | undefined;
  const logs = await LogManager.open({
    ...logManagerDefaults,
    ...(options.tailBytesMax !== undefined && { tailBytesMax: options.tailBytesMax }),
    host,
    directories: config.logDirs,
    failed,
    configOf: (topic) => topicConfigs.of(topic),
    fileDeleteDelayMs: config.logSegmentDeleteDelayMs,
    recoveriesPerDirectory: config.numRecoveryThreadsPerDataDir,
    retentionCheckMs: config.logRetentionCheckIntervalMs,
    flushCheckMs: config.logFlushSchedulerIntervalMs,
    recoveryPointCheckpointMs: config.logFlushOffsetCheckpointIntervalMs,
    startOffsetCheckpointMs: config.logFlushStartOffsetCheckpointIntervalMs,
    highWatermarkCheckpointMs: config.replicaHighWatermarkCheckpointIntervalMs,
    producerExpirationMs: config.transactionalIdExpirationMs,
    cleaner: config.logCleanerEnable
      ? {
          get backoffMs() {
            return settings.config.logCleanerBackoffMs;
          },
          dedupeBufferBytes: config.logCleanerDedupeBufferSize,
          ioBufferLoadFactor: config.logCleanerIoBufferLoadFactor,
          get ioBufferBytes() {
            return settings.config.logCleanerIoBufferSize;
          },
        }
      : undefined,
    isCompacted: isInternalTopic,
    onDirectoryFailed: (_directory, _error, partitions) => {
      replicas?.onDirectoryFailed(partitions);
      // Before the registration the controller learns of it by the answers to its first requests.
      if (brokerEpoch >= 0) tasks.run(() => zookeeper.run(announceLogDirFailure(brokerId)));
    },
  });
  stops.push(() => logs.close());
  logs.start();

  let controller: Controller | undefined;
  const controllerAt = (): BrokerEndpoint | undefined => controllerEndpoint(metadata, config.interBrokerListenerName, controller?.controllerId ?? -1);
  const toBroker = ({ host: address, port }: { readonly host: string; readonly port: number }): BrokerLink =>
    new BrokerLink(host, { host: address, port, clientId: String(brokerId), connectTimeoutMs: config.controllerSocketTimeoutMs, requestTimeoutMs: config.controllerSocketTimeoutMs });
  const toController = new ControllerLink({ host, endpoint: controllerAt, open: toBroker });
  const replication = new TaskGroup((error) => host.fail(error));
  const isr = new IsrUpdates({ timers: host.timers, log: host.log.child("replication"), tasks: replication, brokerId, brokerEpoch: () => brokerEpoch, controller: toController });
  const followers = new ReplicaFetchers({
    host,
    tasks: replication,
    fetchersPerLeader: config.numReplicaFetchers,
    rules: {
      replicaId: brokerId,
      maxWaitMs: config.replicaFetchWaitMaxMs,
      minBytes: config.replicaFetchMinBytes,
      maxBytes: config.replicaFetchResponseMaxBytes,
      partitionMaxBytes: config.replicaFetchMaxBytes,
      backoffMs: config.replicaFetchBackoffMs,
    },
    open: (leader, fetcher) => {
      const at = endpointOf(metadata, config.interBrokerListenerName, leader);
      if (at === undefined) return undefined;
      const clientId = `broker-${brokerId}-fetcher-${fetcher}`;
      return new BrokerLink(host, { host: at.host, port: at.port, clientId, connectTimeoutMs: config.replicaSocketTimeoutMs, requestTimeoutMs: config.requestTimeoutMs, lendsResponses: true });
    },
  });
  const inSyncMin = (partition: Partition): number => topicConfigs.of(partition.topic).minInsyncReplicas;
  const topicIds = new TopicIds(zookeeper, clusterId);
  const topics = new TopicAdmin({ host, zookeeper, metadata, numPartitions: config.numPartitions, replicationFactor: config.defaultReplicationFactor, controllerTopics: () => controller?.topics ?? [], whenTold: async (msMax) => controller?.whenTold(msMax) });
  const offsetsTopic = new OffsetsTopic({ zookeeper, metadata, topics, config, log });
  const groups = new GroupCoordinator({ host, config: groupConfigOf(config), replicas: () => manager, inSyncMin, partitionCount: () => offsetsTopic.partitionCount() });
  const manager = new ReplicaManager({
    host,
    brokerId,
    logs,
    lagMsMax: config.replicaLagTimeMaxMs,
    isr,
    followers,
    sessions: { slots: config.maxIncrementalFetchSessionCacheSlots },
    isKnown: (topic, partition) => metadata.partition(topic, partition) !== undefined,
    beforeCreate: (created) => topicConfigs.load(zookeeper, created),
    onRole: (topic, partition, leaderEpoch) => {
      if (topic === GROUP_METADATA_TOPIC) groups.onRole(partition, leaderEpoch);
    },
  });
  replicas = manager;

  const conversions = new Conversions(host.timers);
  const isController = (): boolean => controller?.active === true;
  const routes: Route[] = [
    apiVersionsRoute(() => routes),
    ...clusterControlRoutes({
      metadata,
      replicas: manager,
      brokerEpoch: () => brokerEpoch,
      onTopicGone: (topic) => {
        topicIds.forget(topic);
        topicConfigs.forget(topic);
        manager.traffic.forget(topic);
      },
      onPartitionsGone: (partitions) => groups.partitionsDeleted(partitions),
    }),
    ...controllerRoutes(() => controller),
  ];
  const configAdmin = new ConfigAdmin({ brokerId, metadata, settings, zookeeper });
  const clientRoutes: Route[] = [
    metadataRoute({ clusterId, metadata, topicIds, autoCreateTopics: config.autoCreateTopicsEnable, createTopic: (topic) => topics.createWithDefaults(topic), offsetsTopic }),
    describeClusterRoute({ clusterId, metadata }),
    produceRoute({ metadata, replicas: manager, timers: host.timers, inSyncMin, conversions }),
    fetchRoute({
      metadata,
      replicas: manager,
      topicIds,
      sessions: new FetchSessions({ slots: config.maxIncrementalFetchSessionCacheSlots, random: host.random }),
      clock: host.clock,
      timers: host.timers,
      conversions,
      buffers: host.buffers,
      configOf: (topic) => topicConfigs.of(topic),
      fetchBytesMax: config.fetchMaxBytes,
    }),
    listOffsetsRoute(manager),
    offsetForLeaderEpochRoute(manager),
    initProducerIdRoute(new ProducerIds(zookeeper, brokerId)),
    createTopicsRoute({ topics, topicIds, settings, isController }),
    deleteTopicsRoute({ topics, topicIds, metadata, enabled: config.deleteTopicEnable, isController }),
    deleteRecordsRoute({ metadata, replicas: manager, timers: host.timers }),
    createPartitionsRoute({ topics, deleting: () => controller?.deleting }),
    electLeadersRoute({ metadata, clock: host.clock, timers: host.timers, controller: () => controller }),
    describeLogDirsRoute({ logs, replicas: manager }),
    describeConfigsRoute({ brokerId, metadata, settings, zookeeper }),
    alterConfigsRoute(configAdmin),
    incrementalAlterConfigsRoute(configAdmin),
    findCoordinatorRoute({ metadata, topics, offsetsTopic, zookeeper }),
    joinGroupRoute(groups),
    syncGroupRoute(groups),
    heartbeatRoute(groups),
    leaveGroupRoute(groups),
    offsetCommitRoute({ groups, metadata, zookeeper, offsetMetadataMax: config.offsetMetadataMaxBytes }),
    offsetFetchRoute({ groups, metadata, zookeeper }),
    offsetDeleteRoute({ groups, metadata }),
    describeGroupsRoute(groups),
    listGroupsRoute(groups),
    deleteGroupsRoute(groups),
  ];
  const deleting = new Set(await zookeeper.run(listChildren(paths.deleteTopics)));
  const known = await zookeeper.run(listChildren(paths.topics));
  const gate = gateUntilMetadata(clientRoutes, { metadata, timers: host.timers, topics: known.filter((topic) => !deleting.has(topic)), passes: isFromReplica });
  stops.push(() => Promise.resolve(gate.close()));
  routes.push(...gate.routes);

  stops.push(() => tasks.settled());
  stops.push(async () => {
    // The link first: it rejects what it would repeat for ever.
    isr.close();
    toController.close();
    await manager.close();
    await replication.settled();
  });
  const requests = new RequestMetrics();
  const quotas = new ConnectionQuotas((address) => settings.config.maxConnectionsPerIpOverrides.get(address) ?? settings.config.maxConnectionsPerIp);
  const listeners: BoundListener[] = [];
  for (const endpoint of config.listeners) {
    const server = new Server(host, serverOptions(settings, endpoint, quotas), routes, requests);
    await bind(server, endpoint);
    listeners.push({ endpoint, server });
    stops.push(() => server.close());
  }

  const registration = registrationOf(brokerId, config, listeners, host);
  await zookeeper.run(refuseSharedEndpoints(registration));
  const sessionDirectory = must(logs.directories.find((directory) => directory.failure === undefined), "a log directory").path;
  const deadSessions = await readSessionFile(host.disk, sessionDirectory, brokerId);
  // Before the registration: a broker that is killed right after it must know its session too.
  await writeSessionFile(host.disk, sessionDirectory, brokerId, [zookeeper.sessionId, ...deadSessions]);
  await zookeeper.run(removeOwnNodes(brokerId, deadSessions));
  brokerEpoch = await zookeeper.run(registerBroker(registration, host.clock.wallMs(), { id: zookeeper.sessionId, earlier: [] }));
  await writeSessionFile(host.disk, sessionDirectory, brokerId, [zookeeper.sessionId]);
  for (const directory of logs.directories) {
    if (directory.failure === undefined && !owners.has(directory.path)) await writeDirectoryOwner(host.disk, directory.path, { brokerId, clusterId });
  }

  controller = new Controller({
    host,
    config: {
      brokerId,
      interBrokerListener: config.interBrokerListenerName,
      deleteTopicEnable: config.deleteTopicEnable,
      get uncleanLeaderElectionEnable() {
        return settings.config.uncleanLeaderElectionEnable;
      },
      autoLeaderRebalanceEnable: config.autoLeaderRebalanceEnable,
      leaderImbalancePerBrokerPercentage: config.leaderImbalancePerBrokerPercentage,
      leaderImbalanceCheckIntervalMs: config.leaderImbalanceCheckIntervalSeconds * 1000,
      registration,
    },
    zookeeper,
    links: {
      open: (broker) =>
        toBroker(
          must(
            broker.endpoints.find((endpoint) => endpoint.listenerName === config.interBrokerListenerName),
            `listener ${config.interBrokerListenerName} of broker ${broker.id}`,
          ),
        ),
    },
    beforeRegistration: (sessions) =>
      writeSessionFile(host.disk, sessionDirectory, brokerId, sessions).catch((error: unknown) => {
        log.error("the ZooKeeper session could not be noted: killed, this broker would have to wait until it has expired", { error });
      }),
    onRegistered: (epoch) => {
      brokerEpoch = epoch;
    },
    onRegistrationFailed: (error) => host.fail(error),
  });
  const running = controller;
  stops.push(() => running.close());
  running.start();
  const watcher = new ConfigWatcher({
    host,
    log,
    zookeeper,
    tasks: watching,
    ...settingChanges({ settings, topicConfigs, logs, zookeeper, uncleanElection: (topic) => running.enqueue({ kind: "uncleanElection", topic }) }),
  });
  stops.push(() => Promise.resolve(watcher.close()));
  watcher.start();
  manager.start();
  groups.start();
  // While the servers are still there: whoever waits is told to look elsewhere.
  stops.push(() => groups.close());
  stops.push(() => Promise.resolve(conversions.close()));
  for (const { server } of listeners) server.process();
  // Before all stops: the broker still serves while the controller gives its partitions to others.
  let state: number = BrokerState.running;
  const leave = async (handsOver: boolean): Promise<void> => {
    state = config.controlledShutdownEnable && handsOver ? BrokerState.handingOver : BrokerState.stopping;
    manager.beginShutdown();
    if (!config.controlledShutdownEnable || !handsOver) return;
    const { controlledShutdownMaxRetries: attempts, controlledShutdownRetryBackoffMs: backoffMs } = config;
    await handOver({ host, brokerId, brokerEpoch: () => brokerEpoch, endpoint: controllerAt, open: toBroker, attempts, backoffMs });
  };
  log.info(`broker ${brokerId} serves ${listeners.map(({ endpoint, server }) => `${endpoint.listenerName}://${endpoint.host}:${server.port}`).join(", ")}`, { clusterId });
  const unready = (): string | undefined => {
    if (state !== BrokerState.running) return "it is stopping";
    if (client.state !== "connected") return "it has no connection to ZooKeeper";
    return gate.isOpen() ? undefined : "it has not heard from the controller yet";
  };
  const families = brokerFamilies({
    clock: host.clock,
    requests,
    replicas: manager,
    inSyncMin,
    logTimes: logs.times,
    offlineLogDirectories: () => logs.directories.filter((directory) => directory.failure !== undefined).length,
    controller: running,
    groups,
    connections: () => listeners.map(({ endpoint, server }) => [endpoint.listenerName, server.connectionCount]),
    state: () => state,
  });
  return { brokerId, clusterId, listeners, replicas: manager, groups, stops, leave, families, unready };
}

/** Source: kafka/server/BrokerStates.scala. */
const BrokerState = { running: 3, handingOver: 6, stopping: 7 } as const;

function groupConfigOf(config: BrokerConfig): GroupConfig {
  const acks = config.offsetsCommitRequiredAcks;
  return {
    rules: {
      minSessionTimeoutMs: config.groupMinSessionTimeoutMs,
      maxSessionTimeoutMs: config.groupMaxSessionTimeoutMs,
      initialRebalanceDelayMs: config.groupInitialRebalanceDelayMs,
      maxSize: config.groupMaxSize,
      offsetMetadataCharsMax: config.offsetMetadataMaxBytes,
      offsetsRetentionMs: config.offsetsRetentionMinutes * 60_000,
    },
    commitTimeoutMs: config.offsetsCommitTimeoutMs,
    requiredAcks: acks === 0 || acks === 1 ? acks : -1,
    codec: config.offsetsTopicCompressionCodec,
    loadBytes: config.offsetsLoadBufferSize,
    retentionCheckMs: config.offsetsRetentionCheckIntervalMs,
  };
}

/** Says once, after zookeeper.connection.timeout.ms, what it waits for, and waits on. */
async function connected(client: ZooKeeperClient, { host, config }: BrokerOptions, log: Logger): Promise<void> {
  const warning: Timer = host.timers.after(config.zookeeperConnectionTimeoutMs, () => {
    log.warn(`no ZooKeeper member of zookeeper.connect=${config.zookeeperConnect} has answered for ${config.zookeeperConnectionTimeoutMs} ms: waiting on`);
  });
  const open = await client.whenConnected();
  warning.cancel();
  if (!open) throw new OperationalError("ERR_ZOOKEEPER", `ZooKeeper at ${config.zookeeperConnect} refused this broker, or the broker was stopped while it waited`);
}

async function readOwners(host: Host, directories: readonly string[]): Promise<{ owners: Map<string, DirectoryOwner>; failed: Map<string, Error> }> {
  const owners = new Map<string, DirectoryOwner>();
  const failed = new Map<string, Error>();
  for (const directory of directories) {
    try {
      const owner = await readDirectoryOwner(host.disk, directory);
      if (owner !== undefined) owners.set(directory, owner);
    } catch (error) {
      failed.set(directory, toError(error));
    }
  }
  return { owners, failed };
}

function serverOptions(settings: BrokerSettings, endpoint: Endpoint, quotas: ConnectionQuotas): ConstructorParameters<typeof Server>[1] {
  const { config } = settings;
  return {
    listenerName: endpoint.listenerName,
    host: endpoint.host === "" ? undefined : endpoint.host,
    port: endpoint.port,
    requestBytesMax: config.socketRequestMaxBytes,
    idleMsMax: config.connectionsMaxIdleMs,
    quotas,
    get connectionsMax() {
      const { maxConnections, listenerConnectionsMax } = settings.config;
      return Math.min(maxConnections, listenerConnectionsMax.get(endpoint.listenerName) ?? Infinity);
    },
  };
}

async function bind(server: Server, endpoint: Endpoint): Promise<void> {
  try {
    await server.bind();
  } catch (error) {
    const cause = toError(error);
    throw new OperationalError("ERR_LISTENER", `listener ${endpoint.listenerName} can't listen on ${endpoint.host}:${endpoint.port}: ${cause.message}. Check listeners, and what else uses the port`, { cause });
  }
}

function registrationOf(brokerId: number, config: BrokerConfig, listeners: readonly BoundListener[], host: Host): BrokerRegistration {
  const boundPort = new Map(listeners.map(({ endpoint, server }) => [endpoint.listenerName, server.port]));
  return {
    id: brokerId,
    endpoints: config.advertisedListeners.map(({ listenerName, host: address, port, securityProtocol }) => ({
      listenerName,
      host: address === "" ? host.hostName : address,
      port: port === 0 ? must(boundPort.get(listenerName), `the port of listener ${listenerName}`) : port,
      securityProtocol,
    })),
    rack: config.brokerRack ?? null,
    jmxPort: -1,
    features: new Map(),
  };
}
