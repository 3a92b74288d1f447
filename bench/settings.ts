/** What all contestants are told alike. What stands here is printed with the table. */

export type Settings = Readonly<Record<string, string | number | boolean>>;

/**
 * three: three brokers, each with a member; one: one of each, five: five; ensemble: three members without brokers; apart: as three,
 * and each half a process of its own on every side, so that a broker can be killed alone.
 */
export type Topology = "three" | "one" | "five" | "ensemble" | "apart";

export function nodesOf(topology: Topology): number {
  if (topology === "five") return 5;
  return topology === "one" ? 1 : 3;
}

export function replicasOf(topology: Topology): number {
  return Math.min(3, nodesOf(topology));
}

/** Lines of every broker's server.properties; what is not named is at Kafka's default on every side. */
export function brokerSettings(topology: Topology): Settings {
  const replicas = replicasOf(topology);
  const inSync = replicas === 1 ? 1 : 2;
  return {
    "default.replication.factor": replicas,
    "min.insync.replicas": inSync,
    "offsets.topic.replication.factor": replicas,
    "transaction.state.log.replication.factor": replicas,
    "transaction.state.log.min.isr": inSync,
    "group.initial.rebalance.delay.ms": 0,
    // Deleted topics are to be gone from the disk before the next case begins.
    "log.segment.delete.delay.ms": 1000,
    "auto.create.topics.enable": false,
  };
}

/** Of brokers that have a ZooKeeper. */
export const sessionSettings: Settings = {
  "zookeeper.session.timeout.ms": 6000,
  // All processes of a cluster start at once.
  "zookeeper.connection.timeout.ms": 60_000,
};

/** Lines of every member's zoo.cfg. fsync is on, as it is by default. */
export const memberSettings: Settings = {
  "tickTime": 2000,
  "initLimit": 10,
  "syncLimit": 5,
  "maxClientCnxns": 0,
  "admin.enableServer": false,
  "4lw.commands.whitelist": "*",
};

/** As Kafka's own kafka-run-class.sh, kafka-server-start.sh and zookeeper-server-start.sh give them. */
const JVM_PERFORMANCE = ["-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35", "-XX:+ExplicitGCInvokesConcurrent", "-XX:MaxInlineLevel=15", "-Djava.awt.headless=true"];

export const jvmOptions = {
  broker: ["-Xmx1G", "-Xms1G", ...JVM_PERFORMANCE],
  member: ["-Xmx512M", "-Xms512M", ...JVM_PERFORMANCE],
} as const;

export const versions = { apache: "2.7.1", kraft: "4.3.1" } as const;

export function properties(settings: Settings): string {
  return Object.entries(settings)
    .map(([key, value]) => `${key}=${value}\n`)
    .join("");
}
