/** Where Kafka 2.7.1 keeps what in ZooKeeper. Source: core/src/main/scala/kafka/zk/ZkData.scala. */
export const paths = {
  controller: "/controller",
  controllerEpoch: "/controller_epoch",
  clusterId: "/cluster/id",
  feature: "/feature",
  brokerIds: "/brokers/ids",
  brokerSequenceId: "/brokers/seqid",
  topics: "/brokers/topics",
  configChanges: "/config/changes",
  deleteTopics: "/admin/delete_topics",
  preferredElection: "/admin/preferred_replica_election",
  reassignPartitions: "/admin/reassign_partitions",
  isrChanges: "/isr_change_notification",
  logDirEvents: "/log_dir_event_notification",
  producerIdBlock: "/latest_producer_id_block",
  broker: (id: number): string => `/brokers/ids/${id}`,
  topic: (topic: string): string => `/brokers/topics/${topic}`,
  partitions: (topic: string): string => `/brokers/topics/${topic}/partitions`,
  partition: (topic: string, partition: number): string => `/brokers/topics/${topic}/partitions/${partition}`,
  partitionState: (topic: string, partition: number): string => `/brokers/topics/${topic}/partitions/${partition}/state`,
  deleteTopic: (topic: string): string => `/admin/delete_topics/${topic}`,
  /** Where consumers of before 0.8.2 commit; the group is any text. */
  consumerOffset: (group: string, topic: string, partition: number): string => `/consumers/${group}/offsets/${topic}/${partition}`,
  /** `name` is sanitised already; a user's client is `<user>/clients/<client>` of the type users. */
  config: (type: ConfigEntityType, name: string): string => `/config/${type}/${name}`,
  /** Names that a sequential create completes with ten digits. */
  newConfigChange: "/config/changes/config_change_",
  newIsrChange: "/isr_change_notification/isr_change_",
  newLogDirEvent: "/log_dir_event_notification/log_dir_event_",
} as const;

export const configEntityTypes = ["topics", "clients", "users", "brokers"] as const;
export type ConfigEntityType = (typeof configEntityTypes)[number];

/** Every broker makes these at its start, without data. */
export const persistentPaths: readonly string[] = [
  "/consumers",
  paths.brokerIds,
  paths.topics,
  paths.configChanges,
  paths.deleteTopics,
  paths.brokerSequenceId,
  paths.isrChanges,
  paths.producerIdBlock,
  paths.logDirEvents,
  ...configEntityTypes.map((type) => `/config/${type}`),
];

/** The broker in a path such as /brokers/ids/3. */
export function brokerOfPath(path: string): number | undefined {
  const match = /^\/brokers\/ids\/(\d+)$/.exec(path);
  return match === null ? undefined : Number(match[1]);
}

/** The topic in a path such as /brokers/topics/orders. */
export function topicOfPath(path: string): string | undefined {
  return /^\/brokers\/topics\/([^/]+)$/.exec(path)?.[1];
}
