import type { Decoded, Input } from "../../codec/schema.ts";
import type { Timer } from "../../host/clock.ts";
import type { Host } from "../../host/host.ts";
import type { Logger } from "../../host/log.ts";
import { errorCode, toError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { LogManager } from "../log/log-manager.ts";
import { partitionName } from "../log/names.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { leaderAndIsrRequest, leaderAndIsrResponse } from "../protocol/messages/leader-and-isr.ts";
import type { stopReplicaRequest, stopReplicaResponse } from "../protocol/messages/stop-replica.ts";
import { FollowerSessions } from "./follower-sessions.ts";
import { Partition } from "./partition.ts";
import type { Followers, IsrPort } from "./ports.ts";
import { BrokerTraffic } from "./traffic.ts";

type PartitionError = Input<typeof leaderAndIsrResponse>["partitionErrors"][number];
type StopError = Input<typeof stopReplicaResponse>["partitionErrors"][number];
type PartitionState = Decoded<typeof leaderAndIsrRequest>["topicStates"][number]["partitionStates"][number];
type StopState = Decoded<typeof stopReplicaRequest>["topicStates"][number]["partitionStates"][number];

/** In the place of a leader epoch: the replica goes whatever the epoch; or no epoch is known. Source: LeaderAndIsr.scala. */
const EPOCH_DURING_DELETE = -2;
const NO_EPOCH = -1;
/** Each log that is made or deleted waits for the disk; what they wait for they share. The loop must not be held by all at once. */
const LOGS_AT_ONCE = 100;

export interface ReplicaManagerOptions {
  readonly host: Host;
  readonly brokerId: number;
  readonly logs: Pick<LogManager, "get" | "getOrCreate" | "delete">;
  /** replica.lag.time.max.ms */
  readonly lagMsMax: number;
  readonly isr: IsrPort;
  readonly followers: Followers;
  /** max.incremental.fetch.session.cache.slots */
  readonly sessions: { readonly slots: number };
  /** Whether the controller has told this broker of the partition. */
  isKnown(topic: string, partition: number): boolean;
  /** Logs of these topics are about to be opened or made: their settings must be known. */
  beforeCreate(topics: readonly string[]): Promise<void>;
  /**
   * Told in the turn in which the partition here changes its part, when it has: the epoch in which this broker leads
   * it, or that it does not. May come again with the same.
   */
  onRole?(topic: string, partition: number, leaderEpoch: number | undefined): void;
}

/** One partition of a request, with what became of it. */
interface Item<S> {
  readonly topic: string;
  readonly name: string;
  readonly state: S;
  error: ErrorCode;
}

/**
 * The partitions on this broker, as the controller decides. Its requests are carried out one after the other: they
 * may wait for a disk, and one must not overtake another. A partition changes its part only when nothing of the one
 * before is under way. Source: kafka/server/ReplicaManager.scala; unlike there, a partition becomes a follower though
 * its leader is not in the metadata yet: the fetcher looks for it.
 */
export class ReplicaManager {
  readonly sessions: FollowerSessions;
  readonly traffic = new BrokerTraffic();
  readonly #options: ReplicaManagerOptions;
  readonly #log: Logger;
  readonly #tasks: TaskGroup;
  /** By `topic-partition`; `offline` where the disk failed. */
  readonly #partitions = new Map<string, Partition | "offline">();
  #controllerEpoch = 0;
  #lastRequest: Promise<unknown> = Promise.resolve();
  #shrinkTimer: Timer | undefined;
  /** `stopping`: what comes to follow is not fetched any more. */
  #phase: "running" | "stopping" | "closed" = "running";

  constructor(options: ReplicaManagerOptions) {
    const { host, sessions } = options;
    this.#options = options;
    this.#log = host.log.child("replication");
    this.#tasks = new TaskGroup((error) => host.fail(error));
    this.sessions = new FollowerSessions({ slots: sessions.slots, random: host.random, clock: host.clock, timers: host.timers, find: (topic, partition) => this.find(topic, partition) });
  }

  /** The partition, or why this broker can't be asked for it. */
  find(topic: string, partition: number): Partition | ErrorCode {
    const found = this.#partitions.get(partitionName(topic, partition));
    if (found === "offline") return ErrorCode.KAFKA_STORAGE_ERROR;
    if (found !== undefined) return found;
    return this.#options.isKnown(topic, partition) ? ErrorCode.NOT_LEADER_OR_FOLLOWER : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  }

  get partitions(): readonly Partition[] {
    return [...this.#partitions.values()].filter((partition) => partition !== "offline");
  }

  /** Those whose disk failed. */
  get offlineCount(): number {
    let count = 0;
    for (const partition of this.#partitions.values()) if (partition === "offline") count++;
    return count;
  }

  /** Notes the epoch of a controller that sends a request. False: a later controller has been heard of. */
  acceptsController(epoch: number): boolean {
    if (epoch < this.#controllerEpoch) return false;
    this.#controllerEpoch = epoch;
    return true;
  }

  /** Begins to look for followers that lag. */
  start(): void {
    const { host, lagMsMax } = this.#options;
    this.#shrinkTimer = host.timers.after(lagMsMax / 2, () => {
      for (const partition of this.#partitions.values()) if (partition !== "offline") partition.maybeShrink();
      this.start();
    });
  }

  /** From here on LeaderAndIsr makes followers, but they do not fetch: this broker is on its way out. */
  beginShutdown(): void {
    if (this.#phase === "running") this.#phase = "stopping";
  }

  /** Ends everything that waits or fetches; the logs stay as they are. */
  async close(): Promise<void> {
    this.#phase = "closed";
    this.#shrinkTimer?.cancel();
    this.sessions.close();
    for (const partition of this.partitions) this.#stopPartition(partition, ErrorCode.NOT_LEADER_OR_FOLLOWER);
    await this.#options.followers.close();
    await this.#tasks.settled();
  }

  /** A disk failed under these (`topic-partition`): they can't be used until the broker starts again. */
  onDirectoryFailed(partitions: readonly string[]): void {
    for (const name of partitions) {
      const partition = this.#partitions.get(name);
      if (partition === undefined || partition === "offline") continue;
      this.#partitions.set(name, "offline");
      this.#stopPartition(partition, ErrorCode.KAFKA_STORAGE_ERROR);
    }
    this.#tasks.run(() => this.#options.followers.unfollow(partitions));
  }

  // ---- LeaderAndIsr

  /** An error for each partition, or the code of the whole response. */
  becomeLeaderOrFollower(request: Decoded<typeof leaderAndIsrRequest>): Promise<PartitionError[] | ErrorCode> {
    return this.#inTurn(async () => {
      if (!this.acceptsController(request.controllerEpoch)) return ErrorCode.STALE_CONTROLLER_EPOCH;
      const items = itemsOf(request.topicStates);
      await this.#createMissing(items);
      for (const item of items) item.error = this.#mayBecome(item);
      const changing = items.filter((item) => item.error === ErrorCode.NONE);
      await this.#options.followers.unfollow(changing.map((item) => item.name));
      this.#becomeAll(changing);
      this.#options.followers.closeIdle();
      return items.map(({ topic, state, error }) => ({ topicName: topic, partitionIndex: state.partitionIndex, errorCode: error }));
    });
  }

  async #createMissing(items: readonly Item<PartitionState>[]): Promise<void> {
    const missing = new Map(items.filter((item) => !this.#partitions.has(item.name) && this.#isAssigned(item)).map((item) => [item.name, item]));
    if (missing.size === 0) return;
    // Without ZooKeeper this rejects, and the controller asks again: nothing is wrong with the disk.
    await this.#options.beforeCreate([...new Set([...missing.values()].map((item) => item.topic))]);
    await forEach([...missing.values()], LOGS_AT_ONCE, (item) => this.#create(item));
  }

  async #create({ topic, name, state }: Item<PartitionState>): Promise<void> {
    const { host, logs, brokerId, lagMsMax, isr } = this.#options;
    if (this.#phase === "closed") return;
    try {
      const log = await logs.getOrCreate(topic, state.partitionIndex, state.isNew);
      // Its directory may have failed since it was made.
      const isThere = logs.get(topic, state.partitionIndex) === log;
      this.#partitions.set(name, isThere ? new Partition({ localId: brokerId, log, clock: host.clock, logger: this.#log, lagMsMax, isr, traffic: this.traffic }) : "offline");
    } catch (thrown) {
      if (errorCode(thrown) === undefined) throw thrown;
      this.#log.error(`the log of ${name} can't be used`, { error: toError(thrown) });
      this.#partitions.set(name, "offline");
    }
  }

  #isAssigned({ state }: Item<PartitionState>): boolean {
    return state.replicas.some((replica) => replica === this.#options.brokerId);
  }

  #mayBecome(item: Item<PartitionState>): ErrorCode {
    // Its log may be closing too.
    if (this.#phase === "closed") return ErrorCode.NOT_LEADER_OR_FOLLOWER;
    const known = this.#partitions.get(item.name);
    if (known === "offline") return ErrorCode.KAFKA_STORAGE_ERROR;
    if (known !== undefined && item.state.leaderEpoch <= known.leaderEpoch) return ErrorCode.STALE_CONTROLLER_EPOCH;
    return this.#isAssigned(item) && known !== undefined ? ErrorCode.NONE : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  }

  /** Nothing of the old parts is under way. */
  #becomeAll(changing: readonly Item<PartitionState>[]): void {
    const { brokerId, followers } = this.#options;
    const followed = new Map<number, { replica: Partition; leaderEpoch: number }[]>();
    for (const item of changing) {
      // A disk may have failed since; of a partition that is named twice, the later epoch holds.
      item.error = this.#mayBecome(item);
      const partition = this.#partitions.get(item.name);
      if (item.error !== ErrorCode.NONE || partition === undefined || partition === "offline") continue;
      const { leader, leaderEpoch, replicas } = item.state;
      partition.become(item.state);
      this.#tellRole(partition);
      if (leader === brokerId) this.sessions.expect(item.name, replicas.filter((id) => id !== brokerId));
      if (leader < 0 || leader === brokerId) continue;
      const others = followed.get(leader);
      if (others === undefined) followed.set(leader, [{ replica: partition, leaderEpoch }]);
      else others.push({ replica: partition, leaderEpoch });
    }
    if (this.#phase !== "running") return;
    for (const [leader, replicas] of followed) followers.follow(leader, replicas);
  }

  // ---- StopReplica

  /** The same for replicas that leave this broker, or only stop following. */
  stopReplicas(request: Decoded<typeof stopReplicaRequest>): Promise<StopError[] | ErrorCode> {
    return this.#inTurn(async () => {
      if (!this.acceptsController(request.controllerEpoch)) return ErrorCode.STALE_CONTROLLER_EPOCH;
      const items = itemsOf(request.topicStates);
      for (const item of items) item.error = this.#mayStop(item);
      const { followers, logs } = this.#options;
      await followers.unfollow(items.filter((item) => item.error === ErrorCode.NONE).map((item) => item.name));
      const deleted = new Map<string, Item<StopState>>();
      for (const item of items) if (item.error === ErrorCode.NONE && this.#stop(item)) deleted.set(item.name, item);
      await forEach([...deleted.values()], LOGS_AT_ONCE, ({ topic, state }) => logs.delete(topic, state.partitionIndex));
      followers.closeIdle();
      return items.map(({ topic, state, error }) => ({ topicName: topic, partitionIndex: state.partitionIndex, errorCode: error }));
    });
  }

  #mayStop({ name, state: { leaderEpoch } }: Item<StopState>): ErrorCode {
    const partition = this.#partitions.get(name);
    if (partition === "offline") return ErrorCode.KAFKA_STORAGE_ERROR;
    const unconditional = leaderEpoch === EPOCH_DURING_DELETE || leaderEpoch === NO_EPOCH;
    return partition !== undefined && !unconditional && leaderEpoch <= partition.leaderEpoch ? ErrorCode.FENCED_LEADER_EPOCH : ErrorCode.NONE;
  }

  /** True: its log is to be deleted. It may be there without a partition: the controller had no chance to tell of it before the topic went. */
  #stop(item: Item<StopState>): boolean {
    const { name, state } = item;
    const partition = this.#partitions.get(name);
    if (partition === "offline") {
      item.error = ErrorCode.KAFKA_STORAGE_ERROR;
      return false;
    }
    if (state.deletePartition) this.#partitions.delete(name);
    if (partition !== undefined) this.#stopPartition(partition, state.deletePartition ? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION : ErrorCode.NOT_LEADER_OR_FOLLOWER);
    return state.deletePartition;
  }

  #stopPartition(partition: Partition, error: ErrorCode): void {
    partition.stop(error);
    this.#tellRole(partition);
  }

  #tellRole(partition: Partition): void {
    const { topic, partition: index, isLeader, leaderEpoch } = partition;
    this.#options.onRole?.(topic, index, isLeader ? leaderEpoch : undefined);
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#lastRequest.then(task);
    this.#lastRequest = result.catch(() => undefined);
    return result;
  }
}

function itemsOf<S extends { readonly partitionIndex: number }>(topics: readonly { readonly topicName: string; readonly partitionStates: readonly S[] }[]): Item<S>[] {
  return topics.flatMap(({ topicName, partitionStates }) =>
    partitionStates.map((state) => ({ topic: topicName, name: partitionName(topicName, state.partitionIndex), state, error: ErrorCode.NONE })),
  );
}

/** Runs `task` for each, `atOnce` of them at a time. */
async function forEach<T>(items: readonly T[], atOnce: number, task: (item: T) => Promise<void>): Promise<void> {
  const waiting = items.toReversed();
  const next = async (): Promise<void> => {
    for (let item = waiting.pop(); item !== undefined; item = waiting.pop()) await task(item);
  };
  await Promise.all(Array.from({ length: Math.min(atOnce, items.length) }, next));
}
