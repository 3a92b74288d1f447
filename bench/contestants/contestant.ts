import type { ClusterAdmin } from "../../src/kafka/client/cluster-admin.ts";
import type { Topology } from "../settings.ts";

export type ContestantName = "odradek" | "apache" | "kraft";

/** One cluster of a contestant's, on directories and ports that stay while it comes and goes. */
export interface Contestant {
  readonly name: ContestantName;
  readonly topology: Topology;
  /** `host:port,…` of its brokers; none where it has none. */
  readonly bootstrap: string;
  /** `host:port` of each member. */
  readonly members: readonly string[];
  /** The brokers' log directories. */
  readonly logDirs: readonly string[];
  /** Its processes without their children. */
  readonly roots: readonly number[];
  readonly running: boolean;
  /** Our own client, to make and to remove what a case needs. */
  readonly admin: ClusterAdmin;
  /** Starts the processes, and does not wait until they serve. */
  launch(): void;
  /** Resolves when all brokers are known and a controller is elected, and for an ensemble when it has a leader. */
  serving(): Promise<void>;
  /** In good order. */
  stop(): Promise<void>;
  /** As kill -9, all at once. */
  kill(): Promise<void>;
  /** Where among the processes a broker is; RangeError where it is none of its own. */
  brokerProcess(id: number): number;
  /** One process, kill -9: a member of an ensemble, or what `brokerProcess` says. */
  killNode(index: number): Promise<void>;
  startNode(index: number): void;
  /** What its processes have printed last, for a failure's message. */
  lastWords(): string;
  /** After `kill`: nothing is left of it. */
  remove(): void;
}
