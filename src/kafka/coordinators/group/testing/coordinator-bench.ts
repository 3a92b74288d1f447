import type { Timers } from "../../../../host/clock.ts";
import type { Logger } from "../../../../host/log.ts";
import { assert, must } from "../../../../lib/assert.ts";
import type { LogConfig } from "../../../log/log-config.ts";
import { ErrorCode } from "../../../protocol/error-codes.ts";
import { GROUP_METADATA_TOPIC } from "../../../protocol/internal-topics.ts";
import { Codec, wholeBatchSize } from "../../../records/batch.ts";
import { RecordReader } from "../../../records/record-reader.ts";
import type { Leadership, Partition } from "../../../replication/partition.ts";
import { PartitionBench } from "../../../replication/testing/partition-bench.ts";
import { GroupCoordinator, type GroupConfig, type GroupCoordinatorOptions } from "../group-coordinator.ts";
import type { GroupRules } from "../group-core.ts";
import { decodeRecord } from "../group-records.ts";
import type { CommitPartition, JoinRequest, JoinResult } from "../types.ts";

export const RULES: GroupRules = { minSessionTimeoutMs: 1, maxSessionTimeoutMs: 1e6, initialRebalanceDelayMs: 0, maxSize: 100, offsetMetadataCharsMax: 100_000, offsetsRetentionMs: 1e9 };

const CONFIG: GroupConfig = {
  rules: RULES,
  commitTimeoutMs: 5000,
  requiredAcks: -1,
  codec: Codec.none,
  loadBytes: 64 * 1024,
  retentionCheckMs: 600_000,
};

const LOG: Partial<LogConfig> = { cleanupPolicy: ["compact"] };

export interface CoordinatorBenchOptions {
  /** Timers ring so much too early, as a machine's may. */
  readonly earlyMs?: number;
  readonly config?: Partial<GroupConfig>;
  readonly tailBytesMax?: number;
  readonly partitionCount?: GroupCoordinatorOptions["partitionCount"];
}

/** For tests: a coordinator over real partitions of broker 1, which it is told of as `ReplicaManager` does. */
export class CoordinatorBench {
  readonly partitions: PartitionBench;
  readonly coordinator: GroupCoordinator;
  /** What min.insync.replicas says. */
  inSyncMin = 1;
  /** Of every line that was logged. */
  readonly logged: string[] = [];
  readonly #epochs = new Map<number, number>();

  constructor({ config = {}, tailBytesMax, earlyMs = 0, partitionCount = () => Promise.resolve(1) }: CoordinatorBenchOptions = {}) {
    this.partitions = new PartitionBench(tailBytesMax === undefined ? {} : { tailBytesMax });
    const { host } = this.partitions.node;
    const timers: Timers = { after: (delayMs, callback) => host.timers.after(Math.max(0, delayMs - earlyMs), callback), soon: (callback) => host.timers.soon(callback) };
    this.coordinator = new GroupCoordinator({
      host: { ...host, timers, log: this.#logger() },
      config: { ...CONFIG, ...config },
      inSyncMin: () => this.inSyncMin,
      replicas: () => ({ find: (topic, partition) => this.#find(topic, partition) }),
      partitionCount,
    });
  }

  #find(topic: string, partition: number): Partition | ErrorCode {
    assert(topic === GROUP_METADATA_TOPIC, "the coordinator looks for its own topic");
    return this.partitions.partitions.get(`${topic}-${partition}`) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
  }

  #logger(): Logger {
    const add = (message: string): void => void this.logged.push(message);
    const logger: Logger = { debug: add, info: add, warn: add, error: add, child: () => logger };
    return logger;
  }

  partition(index = 0): Partition {
    return this.partitions.partitions.get(`${GROUP_METADATA_TOPIC}-${index}`) ?? this.partitions.create(GROUP_METADATA_TOPIC, index, LOG);
  }

  #become(index: number, leadership: Partial<Leadership>): number | undefined {
    const partition = this.partition(index);
    const leaderEpoch = (this.#epochs.get(index) ?? -1) + 1;
    this.#epochs.set(index, leaderEpoch);
    partition.become({ leader: 1, leaderEpoch, isr: [1], replicas: [1, 2, 3], zkVersion: 0, ...leadership });
    return partition.isLeader ? leaderEpoch : undefined;
  }

  /** Broker 1 leads, newly or on. */
  lead(index = 0, leadership: Partial<Leadership> = {}): void {
    this.coordinator.onRole(index, this.#become(index, leadership));
  }

  follow(index = 0): void {
    this.coordinator.onRole(index, this.#become(index, { leader: 2 }));
  }

  /** Leads, and has loaded. */
  async own(index = 0, leadership: Partial<Leadership> = {}): Promise<void> {
    this.lead(index, leadership);
    await this.run(100);
  }

  commit(groupId: string, ...partitions: readonly Partial<CommitPartition>[]): Promise<readonly ErrorCode[]> {
    const all = partitions.map((partition, index) => ({ topic: "t", partition: index, offset: 1, leaderEpoch: -1, metadata: "", commitWallMs: undefined, ...partition }));
    return this.coordinator.commit({ groupId, memberId: "", instanceId: null, generation: -1, retentionMs: undefined, partitions: all });
  }

  /** Committed offsets by partition of topic t; or the error. */
  offsets(groupId: string): Record<string, number> | ErrorCode {
    const { error, offsets } = this.coordinator.fetchOffsets(groupId, null, false);
    return error === ErrorCode.NONE ? Object.fromEntries(offsets.map(({ topic, partition, offset }) => [`${topic}-${partition}`, offset])) : error;
  }

  join(groupId: string, member: Partial<JoinRequest> = {}): Promise<JoinResult | "superseded"> {
    return this.coordinator.join({
      groupId,
      memberId: "",
      instanceId: null,
      clientId: "c",
      clientHost: "/10.0.0.1",
      rebalanceTimeoutMs: 5000,
      sessionTimeoutMs: 1000,
      protocolType: "consumer",
      protocols: [{ name: "range", metadata: Buffer.alloc(2) }],
      requireKnownMemberId: false,
      supportsSkipping: false,
      reason: null,
      ...member,
    });
  }

  /** A member that joins alone and leads, before its assignment. */
  async joined(groupId: string): Promise<JoinResult> {
    const result = await this.settle(this.join(groupId));
    assert(result !== "superseded" && result.error === ErrorCode.NONE, "joined");
    return result;
  }

  sync(groupId: string, { memberId, generation }: JoinResult, assignment = Buffer.from("all")): ReturnType<GroupCoordinator["sync"]> {
    return this.coordinator.sync({ groupId, memberId, generation, instanceId: null, protocolType: null, protocolName: null, assignments: [{ memberId, assignment }] });
  }

  /** What a request of the group meets: its member is unknown where it is served. */
  status(groupId = "g"): ErrorCode {
    return this.coordinator.heartbeat({ groupId, memberId: "nobody", instanceId: null, generation: 0 });
  }

  settle<T>(promise: Promise<T>): Promise<T> {
    return this.partitions.settle(promise);
  }

  run(ms: number): Promise<void> {
    return this.partitions.run(ms);
  }

  /** What happens by itself after what the disk still had to do. */
  async eventsLeft(): Promise<number> {
    const { world } = this.partitions;
    await this.run(500);
    const { events } = world;
    await world.run({ forMs: 1e9 });
    return world.events - events;
  }

  /** Groups that the log's records name, in their order. */
  async stored(): Promise<string[]> {
    const { log } = this.partition();
    const read = await this.settle(log.read({ offset: 0, maxBytes: 1e6, maxOffset: log.endOffset, minOneMessage: true }));
    assert(read.kind === "read", "read");
    const names: string[] = [];
    const reader = new RecordReader();
    for (const chunk of read.chunks) {
      for (let at = 0, size = wholeBatchSize(chunk, 0, chunk.length); size > 0; size = wholeBatchSize(chunk, at, chunk.length)) {
        reader.open(chunk, at, size, 1e6);
        while (reader.next()) {
          const record = decodeRecord(must(reader.key(), "a key"), reader.value());
          assert(record.kind !== "unknown", "a record that is known");
          names.push(`${record.value === null ? "-" : ""}${record.groupId}`);
        }
        at += size;
      }
    }
    return names;
  }
}
