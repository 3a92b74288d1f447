import type { Decoded, Input } from "../../codec/schema.ts";
import type { Host } from "../../host/host.ts";
import { errorCode, toError } from "../../lib/error.ts";
import type { LogManager } from "../log/log-manager.ts";
import { partitionName } from "../log/names.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { leaderAndIsrRequest, leaderAndIsrResponse } from "../protocol/messages/leader-and-isr.ts";
import type { stopReplicaRequest, stopReplicaResponse } from "../protocol/messages/stop-replica.ts";
import { Partition } from "./partition.ts";

type PartitionError = Input<typeof leaderAndIsrResponse>["partitionErrors"][number];
type StopError = Input<typeof stopReplicaResponse>["partitionErrors"][number];
type PartitionState = Decoded<typeof leaderAndIsrRequest>["topicStates"][number]["partitionStates"][number];

/** In the place of a leader epoch: the replica goes whatever the epoch; or no epoch is known. Source: LeaderAndIsr.scala. */
const EPOCH_DURING_DELETE = -2;
const NO_EPOCH = -1;

export interface ReplicaManagerOptions {
  readonly host: Host;
  readonly brokerId: number;
  readonly logs: LogManager;
  /** replica.lag.time.max.ms */
  readonly lagMsMax: number;
  /** Whether the controller has told this broker of the partition. */
  isKnown(topic: string, partition: number): boolean;
  /** Logs of the topic are about to be opened or made: its settings must be known. */
  beforeCreate(topic: string): Promise<void>;
}

/**
 * The partitions on this broker, as the controller decides. Its requests are carried out one after the other: they
 * may wait for a disk, and one must not overtake another. Source: kafka/server/ReplicaManager.scala.
 */
export class ReplicaManager {
  readonly #options: ReplicaManagerOptions;
  /** By `topic-partition`; `offline` where the disk failed. */
  readonly #partitions = new Map<string, Partition | "offline">();
  #controllerEpoch = 0;
  #lastRequest: Promise<unknown> = Promise.resolve();

  constructor(options: ReplicaManagerOptions) {
    this.#options = options;
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

  /** Notes the epoch of a controller that sends a request. False: a later controller has been heard of. */
  acceptsController(epoch: number): boolean {
    if (epoch < this.#controllerEpoch) return false;
    this.#controllerEpoch = epoch;
    return true;
  }

  /** An error for each partition, or the code of the whole response. */
  becomeLeaderOrFollower(request: Decoded<typeof leaderAndIsrRequest>): Promise<PartitionError[] | ErrorCode> {
    return this.#inTurn(async () => {
      if (!this.acceptsController(request.controllerEpoch)) return ErrorCode.STALE_CONTROLLER_EPOCH;
      const errors: PartitionError[] = [];
      for (const { topicName, partitionStates } of request.topicStates) {
        // Without ZooKeeper this rejects, and the controller asks again: nothing is wrong with the disk.
        if (partitionStates.some((state) => !this.#partitions.has(partitionName(topicName, state.partitionIndex)))) await this.#options.beforeCreate(topicName);
        for (const state of partitionStates) errors.push({ topicName, partitionIndex: state.partitionIndex, errorCode: await this.#become(topicName, state) });
      }
      return errors;
    });
  }

  /** The same for replicas that leave this broker, or only stop following. */
  stopReplicas(request: Decoded<typeof stopReplicaRequest>): Promise<StopError[] | ErrorCode> {
    return this.#inTurn(async () => {
      if (!this.acceptsController(request.controllerEpoch)) return ErrorCode.STALE_CONTROLLER_EPOCH;
      const errors: StopError[] = [];
      for (const { topicName, partitionStates } of request.topicStates) {
        for (const { partitionIndex, leaderEpoch, deletePartition } of partitionStates) {
          errors.push({ topicName, partitionIndex, errorCode: await this.#stop(topicName, partitionIndex, leaderEpoch, deletePartition) });
        }
      }
      return errors;
    });
  }

  /** A disk failed under these (`topic-partition`): they can't be used until the broker starts again. */
  onDirectoryFailed(partitions: readonly string[]): void {
    for (const name of partitions) {
      const partition = this.#partitions.get(name);
      if (partition === undefined || partition === "offline") continue;
      this.#partitions.set(name, "offline");
      partition.stop(ErrorCode.KAFKA_STORAGE_ERROR);
    }
  }

  async #become(topic: string, state: PartitionState): Promise<ErrorCode> {
    const name = partitionName(topic, state.partitionIndex);
    const known = this.#partitions.get(name);
    if (known === "offline") return ErrorCode.KAFKA_STORAGE_ERROR;
    if (known !== undefined && state.leaderEpoch <= known.leaderEpoch) return ErrorCode.STALE_CONTROLLER_EPOCH;
    if (!state.replicas.some((replica) => replica === this.#options.brokerId)) return ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    const partition = known ?? (await this.#create(topic, state));
    if (partition === undefined) return ErrorCode.KAFKA_STORAGE_ERROR;
    partition.become(state);
    return ErrorCode.NONE;
  }

  async #create(topic: string, state: PartitionState): Promise<Partition | undefined> {
    const { host, logs, brokerId, lagMsMax } = this.#options;
    const name = partitionName(topic, state.partitionIndex);
    try {
      const log = await logs.getOrCreate(topic, state.partitionIndex, state.isNew);
      const partition = new Partition({ localId: brokerId, log, clock: host.clock, lagMsMax });
      this.#partitions.set(name, partition);
      return partition;
    } catch (thrown) {
      if (errorCode(thrown) === undefined) throw thrown;
      host.log.error(`the log of ${name} can't be used`, { error: toError(thrown) });
      this.#partitions.set(name, "offline");
      return undefined;
    }
  }

  async #stop(topic: string, index: number, leaderEpoch: number, deletePartition: boolean): Promise<ErrorCode> {
    const name = partitionName(topic, index);
    const partition = this.#partitions.get(name);
    if (partition === "offline") return ErrorCode.KAFKA_STORAGE_ERROR;
    const unconditional = leaderEpoch === EPOCH_DURING_DELETE || leaderEpoch === NO_EPOCH;
    if (partition !== undefined && !unconditional && leaderEpoch <= partition.leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH;
    if (!deletePartition) {
      partition?.stop(ErrorCode.NOT_LEADER_OR_FOLLOWER);
      return ErrorCode.NONE;
    }
    this.#partitions.delete(name);
    partition?.stop(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    // A log may be there without a partition: the controller had no chance to tell of it before the topic went.
    await this.#options.logs.delete(topic, index);
    return ErrorCode.NONE;
  }

  #inTurn<T>(task: () => Promise<T>): Promise<T> {
    const result = this.#lastRequest.then(task);
    this.#lastRequest = result.catch(() => undefined);
    return result;
  }
}
