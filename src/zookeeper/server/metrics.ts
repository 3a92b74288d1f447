import { family, labels, single, summary, type Family, type Histogram } from "../../lib/metrics.ts";
import { voters } from "../config/ensemble.ts";
import type { Database } from "../store/database.ts";
import type { Role } from "./role.ts";
import type { ClientServer } from "./server.ts";

interface Gauge {
  /** As PrometheusMetricsProvider has it. */
  readonly name: string;
  /** As its MBean's attribute has it behind Prometheus' JMX exporter; undefined where dashboards do not ask for it. */
  readonly bean?: string;
  readonly help: string;
  readonly read: (server: ClientServer, role: Role) => number | undefined;
}

const GAUGES: readonly Gauge[] = [
  { name: "avg_latency", bean: "avgrequestlatency", help: "Mean of the time from a request's arrival to its answer, in whole ms, since the last srst", read: ({ stats }) => stats.latency.average },
  { name: "min_latency", bean: "minrequestlatency", help: "The least of them", read: ({ stats }) => stats.latency.min },
  { name: "max_latency", bean: "maxrequestlatency", help: "The greatest of them", read: ({ stats }) => stats.latency.max },
  { name: "packets_received", bean: "packetsreceived", help: "Packets from clients, since the last srst", read: ({ stats }) => stats.packetsReceived },
  { name: "packets_sent", bean: "packetssent", help: "Packets to clients, since the last srst", read: ({ stats }) => stats.packetsSent },
  { name: "num_alive_connections", bean: "numaliveconnections", help: "Clients' open connections", read: (server) => server.connections().size },
  { name: "outstanding_requests", bean: "outstandingrequests", help: "Requests that are not answered yet", read: (server) => server.outstandingRequests },
  { name: "uptime", help: "For how many ms the member runs", read: ({ host, startedAt }) => Math.round(host.clock.monotonicMs() - startedAt) },
  { name: "leader_uptime", help: "For how many ms it leads; only the leader has it", read: ({ host, roleSince }, { mode }) => (mode === "leader" ? Math.round(host.clock.monotonicMs() - roleSince) : undefined) },
  { name: "znode_count", bean: "inmemorydatatree_nodecount", help: "Znodes", read: (_server, { tree }) => tree.nodeCount },
  { name: "watch_count", bean: "inmemorydatatree_watchcount", help: "Watches of this member's clients", read: (_server, { tree }) => tree.watches.data.size + tree.watches.child.size },
  { name: "ephemerals_count", help: "Ephemeral znodes", read: (_server, { tree }) => tree.ephemeralCount },
  { name: "approximate_data_size", help: "Bytes of all paths and data", read: (_server, { tree }) => tree.approximateDataSize },
  { name: "global_sessions", help: "Sessions of the ensemble", read: (_server, { tree }) => tree.sessions.size },
  { name: "learners", help: "Learners connected to this leader", read: (_server, role) => role.monitored()["followers"] },
  ...["synced_followers", "pending_syncs", "last_proposal_size", "max_proposal_size", "min_proposal_size"].map((name): Gauge => ({
    name,
    help: "As mntr has it of a leader",
    read: (_server, role) => role.monitored()[name],
  })),
];

/** The state of a ZooKeeper server in numbers has no name of its own. */
const MODES = ["standalone", "leader", "follower", "observer", "read-only"] as const;

/**
 * A member's metrics under the names of ZooKeeper 3.6's PrometheusMetricsProvider, which ZooKeeper's common dashboards
 * ask for, and of those that Kafka's dashboards show under the names of the JMX exporter too. While the member has no
 * role, gauges of a role are absent. Sources: ZooKeeperServer.registerMetrics, LeaderZooKeeperServer.registerMetrics,
 * ServerMetrics at release-3.6.3; examples/metrics/kafka-metrics.yaml and strimzi-zookeeper.json of
 * strimzi/strimzi-kafka-operator. Quantiles are of the last minute or two.
 */
export function memberFamilies(server: ClientServer, database: Database): readonly Family[] {
  const { stats, config, host } = server;
  const member = (role: Role): string => labels({ memberType: role.mode === "leader" ? "Leader" : role.mode === "standalone" ? "Standalone" : "Follower", replicaId: String(config.myId ?? 1) });
  const names = ({ name, bean, help, read }: Gauge): Family[] => {
    const value = (): number | undefined => (server.role === undefined ? undefined : read(server, server.role));
    const own = single("gauge", name, help, value);
    if (bean === undefined) return [own];
    const other = family("gauge", `zookeeper_${bean}`, help, () => {
      const now = value();
      return now === undefined || server.role === undefined ? [] : [[member(server.role), now]];
    });
    return [own, other];
  };
  const counters: readonly (readonly [name: string, help: string, read: () => number])[] = [
    ["connection_request_count", "Connections accepted from clients", () => stats.connectionsAccepted],
    ["connection_rejected", "Connections refused for their number", () => stats.connectionsRejected],
    ["commit_count", "Transactions committed", () => stats.commits],
    ["proposal_count", "Transactions that this member has proposed as a leader", () => stats.proposals],
    ["looking_count", "Elections that this member has begun", () => stats.elections],
  ];
  const summaries: readonly (readonly [name: string, help: string, observed: Histogram])[] = [
    ["fsynctime", "Syncs of the transaction log, in ms", database.syncTimes],
    ["snapshottime", "Writing a snapshot, in ms", database.snapshotTimes],
    ["election_time", "From the begin of an election to its end, in ms", stats.electionTimes],
    ["readlatency", "Reads, from arrival to answer, in ms", stats.readLatency],
    ["updatelatency", "Writes of this member's clients, from arrival to answer, in ms", stats.updateLatency],
  ];
  const options = { nowMs: () => host.clock.monotonicMs(), quantiles: ["0.5", "0.9", "0.99"] };
  return [
    ...GAUGES.flatMap(names),
    single("gauge", "quorum_size", "Voting members of the ensemble", () => Math.max(1, voters(config.ensemble).length)),
    single("gauge", "zookeeper_quorumsize", "Voting members of the ensemble", () => Math.max(1, voters(config.ensemble).length)),
    family("gauge", "odradek_member_state", "1 for the state that the member is in", () => MODES.map((state) => [labels({ state }), Number(server.role?.mode === state)])),
    ...counters.map(([name, help, read]) => single("counter", name, help, read)),
    ...summaries.map(([name, help, observed]) => summary(name, help, options, () => [["", observed]])),
  ];
}
