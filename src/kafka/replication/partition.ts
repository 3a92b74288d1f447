import { assert } from "../../lib/assert.ts";
import type { Clock } from "../../host/clock.ts";
import type { Appended, LeaderAppend } from "../log/log-context.ts";
import type { PartitionLog } from "../log/log.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { toLeaderEpoch, type LeaderEpoch } from "../protocol/ids.ts";
import { refused, type Refusal } from "../records/validate.ts";
import { LeaderState } from "./leader-state.ts";

/** What the controller decided for a partition (one entry of LeaderAndIsr). */
export interface Leadership {
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly isr: readonly number[];
  readonly replicas: readonly number[];
}

export interface PartitionOptions {
  readonly localId: number;
  readonly log: PartitionLog;
  readonly clock: Clock;
  /** replica.lag.time.max.ms */
  readonly lagMsMax: number;
}

/** `stopped`: not begun yet, or ended; `error` is what whoever asks is told. */
type Role = { readonly kind: "stopped"; readonly error: ErrorCode } | { readonly kind: "leader"; readonly state: LeaderState } | { readonly kind: "follower" };

/** Who reads: a consumer up to the high watermark, or to what no open transaction may take back; a replica to the end. */
export type ReadBound = "highWatermark" | "lastStableOffset" | "end";

/** How a request insists on an epoch: -1 asks for none. */
export interface EpochCheck {
  readonly currentLeaderEpoch: number;
  /** Consumers from Fetch 11 on may read from any replica. */
  readonly leaderOnly: boolean;
}

/** Appended, and to be acknowledged when the high watermark is at `requiredOffset`. */
export interface LeaderAppended extends Appended {
  readonly requiredOffset: number;
}

/** Waits for the high watermark: called once with NONE, or with why it never comes. */
interface Acknowledgement {
  readonly requiredOffset: number;
  readonly settle: (error: ErrorCode) => void;
}

/**
 * One partition on this broker: its log and the part that this broker plays in it. Everything here takes effect in the
 * turn of the call; what waits is told by a callback. Source: kafka/cluster/Partition.scala.
 */
export class Partition {
  readonly topic: string;
  readonly partition: number;
  readonly log: PartitionLog;
  readonly #options: PartitionOptions;
  #role: Role = { kind: "stopped", error: ErrorCode.NOT_LEADER_OR_FOLLOWER };
  #leaderEpoch: LeaderEpoch = toLeaderEpoch(-1);
  #acknowledgements: Acknowledgement[] = [];
  readonly #readers = new Set<() => void>();

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.log = options.log;
    this.topic = options.log.topic;
    this.partition = options.log.partition;
  }

  get leaderEpoch(): LeaderEpoch {
    return this.#leaderEpoch;
  }

  get isLeader(): boolean {
    return this.#role.kind === "leader";
  }

  /** The first offset of the epoch that this broker leads. */
  get epochStartOffset(): number | undefined {
    return this.#role.kind === "leader" ? this.#role.state.epochStartOffset : undefined;
  }

  get inSyncCount(): number {
    return this.#role.kind === "leader" ? this.#role.state.inSyncCount : 0;
  }

  /** The leadership must be of a later epoch than the one in force. */
  become(leadership: Leadership): void {
    assert(leadership.leaderEpoch > this.#leaderEpoch, `${this.log.name} goes from leader epoch ${this.#leaderEpoch} to ${leadership.leaderEpoch}`);
    const wasLeader = this.isLeader;
    this.#leaderEpoch = toLeaderEpoch(leadership.leaderEpoch);
    if (leadership.leader === this.#options.localId) {
      const epochStartOffset = this.log.endOffset;
      this.log.assignEpoch(leadership.leaderEpoch, epochStartOffset);
      const { localId, clock } = this.#options;
      const state = new LeaderState({ localId, epoch: this.#leaderEpoch, epochStartOffset, replicas: leadership.replicas, isr: leadership.isr, nowMs: clock.monotonicMs() });
      this.#role = { kind: "leader", state };
      this.#advance();
    } else {
      this.#role = { kind: "follower" };
      if (wasLeader) this.#dropAcknowledgements(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    }
    this.#wakeReaders();
  }

  /** The replica leaves this broker, or its disk failed. */
  stop(error: ErrorCode): void {
    this.#role = { kind: "stopped", error };
    this.#dropAcknowledgements(error);
    this.#wakeReaders();
  }

  /** Fencing comes before leadership. */
  check({ currentLeaderEpoch, leaderOnly }: EpochCheck): ErrorCode {
    if (this.#role.kind === "stopped") return this.#role.error;
    if (currentLeaderEpoch !== -1 && currentLeaderEpoch < this.#leaderEpoch) return ErrorCode.FENCED_LEADER_EPOCH;
    if (currentLeaderEpoch !== -1 && currentLeaderEpoch > this.#leaderEpoch) return ErrorCode.UNKNOWN_LEADER_EPOCH;
    if (leaderOnly && !this.isLeader) return ErrorCode.NOT_LEADER_OR_FOLLOWER;
    return ErrorCode.NONE;
  }

  boundOf(bound: ReadBound): number {
    if (bound === "end") return this.log.endOffset;
    return bound === "highWatermark" ? this.log.highWatermark : this.log.lastStableOffset;
  }

  /**
   * Appends a produced batch. `onWritten` is called once where it is appended: the records are in the page cache, or
   * the disk has failed.
   */
  append(records: Buffer, options: Pick<LeaderAppend, "origin"> & { readonly inSyncMin: number }, onWritten: (error: ErrorCode) => void): LeaderAppended | Refusal {
    if (this.#role.kind !== "leader") return refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, `Broker ${this.#options.localId} does not lead ${this.log.name}.`);
    const { inSyncCount } = this.#role.state;
    if (inSyncCount < options.inSyncMin) {
      return refused(ErrorCode.NOT_ENOUGH_REPLICAS, `${this.log.name} has ${inSyncCount} in-sync replicas, and min.insync.replicas is ${options.inSyncMin}.`);
    }
    const appended = this.log.appendAsLeader(records, { leaderEpoch: this.#leaderEpoch, origin: options.origin }, (failure) => {
      if (failure === undefined) {
        this.#advance();
        this.#wakeReaders();
      }
      onWritten(failure === undefined ? ErrorCode.NONE : ErrorCode.KAFKA_STORAGE_ERROR);
    });
    return appended.kind === "appended" ? { ...appended, requiredOffset: appended.lastOffset + 1 } : appended;
  }

  /** Calls `settle` when all in-sync replicas have what is below `requiredOffset`. Returns the function that gives up. */
  acknowledge(requiredOffset: number, settle: (error: ErrorCode) => void): () => void {
    if (!this.isLeader) {
      settle(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    } else if (this.log.highWatermark >= requiredOffset) {
      settle(ErrorCode.NONE);
    } else {
      const acknowledgement = { requiredOffset, settle };
      this.#acknowledgements.push(acknowledgement);
      return () => {
        this.#acknowledgements = this.#acknowledgements.filter((one) => one !== acknowledgement);
      };
    }
    return () => undefined;
  }

  /** A follower asks for what comes at `fetchOffset`: it has all before. False: it is no replica of this partition. */
  fetchedBy(broker: number, fetchOffset: number, logStartOffset: number): boolean {
    if (this.#role.kind !== "leader" || !this.#role.state.isReplica(broker)) return false;
    const nowMs = this.#options.clock.monotonicMs();
    this.#role.state.fetched(broker, { fetchOffset, logStartOffset, leaderEndOffset: this.log.writtenOffset, nowMs });
    if (this.#advance()) this.#wakeReaders();
    return true;
  }

  /** Calls `wake` whenever there may be more to read, or the answer to a read may differ. Returns the function that ends it. */
  watch(wake: () => void): () => void {
    this.#readers.add(wake);
    return () => this.#readers.delete(wake);
  }

  /** Moves the high watermark to what all replicas that count have, and acknowledges. False: it did not move. */
  #advance(): boolean {
    if (this.#role.kind !== "leader") return false;
    const { log } = this;
    const candidate = this.#role.state.highWatermark(log.writtenOffset, this.#options.clock.monotonicMs(), this.#options.lagMsMax);
    if (!log.advanceHighWatermark(candidate)) return false;
    const reached = this.#acknowledgements.filter((one) => one.requiredOffset <= log.highWatermark);
    if (reached.length > 0) this.#acknowledgements = this.#acknowledgements.filter((one) => one.requiredOffset > log.highWatermark);
    for (const { settle } of reached) settle(ErrorCode.NONE);
    return true;
  }

  #dropAcknowledgements(error: ErrorCode): void {
    for (const { settle } of this.#acknowledgements.splice(0)) settle(error);
  }

  #wakeReaders(): void {
    for (const wake of this.#readers) wake();
  }
}
