import { assert } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import type { Clock } from "../../host/clock.ts";
import type { Logger } from "../../host/log.ts";
import type { Appended, LeaderAppend, OutOfPlace } from "../log/log-context.ts";
import type { EpochEnd } from "../log/leader-epochs.ts";
import type { PartitionLog } from "../log/log.ts";
import type { WriteDone } from "../log/write-queue.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import { toLeaderEpoch, type LeaderEpoch } from "../protocol/ids.ts";
import { refused, type Refusal } from "../records/validate.ts";
import { Acknowledgements } from "./acknowledgements.ts";
import { LeaderState, type FetchClock } from "./leader-state.ts";
import { BrokerTraffic, PartitionTraffic } from "./traffic.ts";
import type { FollowedReplica, FollowerAppended, FollowerData, IsrAnswer, IsrPort, IsrProposal, IsrSubject, PartitionChange } from "./ports.ts";

/** What the controller decided for a partition (one entry of LeaderAndIsr). */
export interface Leadership {
  readonly leader: number;
  readonly leaderEpoch: number;
  readonly isr: readonly number[];
  readonly replicas: readonly number[];
  /** Of the znode that holds the state: a change of the ISR rests on it. */
  readonly zkVersion: number;
}

export interface PartitionOptions {
  readonly localId: number;
  readonly log: PartitionLog;
  readonly clock: Clock;
  readonly logger: Logger;
  /** replica.lag.time.max.ms */
  readonly lagMsMax: number;
  readonly isr: IsrPort;
  readonly traffic?: BrokerTraffic;
}

/** `stopped`: not begun yet, or ended; `error` is what whoever asks is told. */
type Role = { readonly kind: "stopped"; readonly error: ErrorCode } | { readonly kind: "leader"; readonly state: LeaderState } | { readonly kind: "follower"; readonly leader: number };

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

/**
 * One partition on this broker: its log and the part that this broker plays in it. Everything but a truncation takes
 * effect in the turn of the call; what waits is told by a callback. Source: kafka/cluster/Partition.scala; unlike it,
 * the high watermark moves as soon as the controller has shrunk the ISR (there it waits for the next fetch or append,
 * KAFKA-13091).
 */
export class Partition implements FollowedReplica, IsrSubject {
  readonly topic: string;
  readonly partition: number;
  readonly log: PartitionLog;
  readonly traffic: PartitionTraffic;
  readonly #options: PartitionOptions;
  readonly #acknowledgements = new Acknowledgements();
  readonly #watchers = new Set<(change: PartitionChange) => void>();
  #role: Role = { kind: "stopped", error: ErrorCode.NOT_LEADER_OR_FOLLOWER };
  #leaderEpoch: LeaderEpoch = toLeaderEpoch(-1);

  constructor(options: PartitionOptions) {
    this.#options = options;
    this.log = options.log;
    this.topic = options.log.topic;
    this.partition = options.log.partition;
    this.traffic = new PartitionTraffic(this.topic, options.traffic ?? new BrokerTraffic());
    options.log.onStartMoved = () => this.#wake("logStart");
  }

  get leaderEpoch(): LeaderEpoch {
    return this.#leaderEpoch;
  }

  get isLeader(): boolean {
    return this.#role.kind === "leader";
  }

  /** Whether this broker has the replica at present: it leads or follows. */
  get isRunning(): boolean {
    return this.#role.kind !== "stopped";
  }

  /** -1 where there is none, or the replica has stopped. */
  get leaderId(): number {
    if (this.#role.kind === "leader") return this.#options.localId;
    return this.#role.kind === "follower" ? this.#role.leader : -1;
  }

  get #state(): LeaderState | undefined {
    return this.#role.kind === "leader" ? this.#role.state : undefined;
  }

  /** The first offset of the epoch that this broker leads. */
  get epochStartOffset(): number | undefined {
    return this.#state?.epochStartOffset;
  }

  /** As the leader knows them to be committed; empty elsewhere. */
  get inSync(): readonly number[] {
    return this.#state?.isr ?? [];
  }

  /** 0 where this broker does not lead. */
  get replicaCount(): number {
    return this.#state?.replicaCount ?? 0;
  }

  /** Members of the ISR as the controller has it; 0 where this broker does not lead. */
  get inSyncCount(): number {
    return this.#state?.inSyncCount ?? 0;
  }

  /** Members of the ISR, and those that the controller was asked to take in. */
  get countedCount(): number {
    return this.#state?.countedCount ?? 0;
  }

  /**
   * The leadership must be of a later epoch than the one in force, and no truncation under way. A leader that stays
   * leader keeps what it knows of its followers and the produces that wait.
   */
  become(leadership: Leadership): void {
    assert(leadership.leaderEpoch > this.#leaderEpoch, `${this.log.name} goes from leader epoch ${this.#leaderEpoch} to ${leadership.leaderEpoch}`);
    const previous = this.#state;
    const epoch = toLeaderEpoch(leadership.leaderEpoch);
    const { localId, clock, isr } = this.#options;
    this.#leaderEpoch = epoch;
    isr.withdraw(this);
    if (leadership.leader === localId) {
      const epochStartOffset = this.log.endOffset;
      // Even without data: followers with records of other epochs must learn from it where to truncate.
      this.log.assignEpoch(epoch, epochStartOffset);
      const { replicas, zkVersion } = leadership;
      const state = new LeaderState({ localId, epoch, epochStartOffset, zkVersion, replicas, isr: leadership.isr, endOffset: this.log.writtenOffset, nowMs: clock.monotonicMs(), previous });
      this.#role = { kind: "leader", state };
      this.#advance();
    } else {
      this.#role = { kind: "follower", leader: leadership.leader };
      this.#acknowledgements.drop(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    }
    this.#wake("role");
  }

  /** The replica leaves this broker, or its disk failed. */
  stop(error: ErrorCode): void {
    this.#options.isr.withdraw(this);
    this.#role = { kind: "stopped", error };
    this.#acknowledgements.drop(error);
    this.#wake("role");
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
   * Whether a reader whose last record below `fetchOffset` is of `lastFetchedEpoch` (-1: does not say) holds what this
   * log does not. Where it does: the greatest epoch not above, and its end; or that neither is known any more.
   */
  divergence(lastFetchedEpoch: number, fetchOffset: number): EpochEnd | "unknown" | undefined {
    if (lastFetchedEpoch < 0) return undefined;
    const end = this.log.endOffsetForEpoch(lastFetchedEpoch);
    if (end === undefined) return "unknown";
    return end.epoch < lastFetchedEpoch || end.endOffset < fetchOffset ? end : undefined;
  }

  /** Calls `wake` with whatever changes here. Returns the function that ends it. */
  watch(wake: (change: PartitionChange) => void): () => void {
    this.#watchers.add(wake);
    return () => this.#watchers.delete(wake);
  }

  // ---- the leader

  /**
   * Appends a produced batch. `onWritten` is called once where it is appended: the records are in the page cache, or
   * the disk has failed.
   */
  append(records: Buffer, options: Pick<LeaderAppend, "origin"> & { readonly inSyncMin: number }, onWritten: (error: ErrorCode) => void): LeaderAppended | Refusal {
    const state = this.#state;
    if (state === undefined) return refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, `Broker ${this.#options.localId} does not lead ${this.log.name}.`);
    if (state.inSyncCount < options.inSyncMin) {
      return refused(ErrorCode.NOT_ENOUGH_REPLICAS, `${this.log.name} has ${state.inSyncCount} in-sync replicas, and min.insync.replicas is ${options.inSyncMin}.`);
    }
    const appended = this.log.appendAsLeader(records, { leaderEpoch: this.#leaderEpoch, origin: options.origin }, (failure) => {
      if (failure === undefined) {
        this.#advance();
        this.#wake("end");
      }
      onWritten(failure === undefined ? ErrorCode.NONE : ErrorCode.KAFKA_STORAGE_ERROR);
    });
    return appended.kind === "appended" ? { ...appended, requiredOffset: appended.lastOffset + 1 } : appended;
  }

  /** Calls `settle` when all in-sync replicas have what is below `requiredOffset`. Returns the function that gives up. */
  acknowledge(requiredOffset: number, settle: (error: ErrorCode) => void): () => void {
    if (this.isLeader && this.log.highWatermark < requiredOffset) return this.#acknowledgements.add(requiredOffset, settle);
    settle(this.isLeader ? ErrorCode.NONE : ErrorCode.NOT_LEADER_OR_FOLLOWER);
    return () => undefined;
  }

  /**
   * A follower asks for what comes at `fetchOffset`: it has all before. To be called in the turn of its request, before
   * the clock of its session is set. False: it is no replica of this partition, or this broker does not lead.
   */
  fetchedBy(broker: number, fetch: { readonly fetchOffset: number; readonly logStartOffset: number; readonly clock: FetchClock }): boolean {
    const state = this.#state;
    if (state === undefined || !state.isFollower(broker)) return false;
    const startBefore = state.logStartOf(broker);
    const moved = state.fetched(broker, { ...fetch, leaderEndOffset: this.log.writtenOffset, nowMs: this.#options.clock.monotonicMs() });
    this.#propose(state.expansion(broker, this.log.highWatermark));
    if (moved) this.#advance();
    if (fetch.logStartOffset !== startBefore) this.#wake("followerStart");
    return true;
  }

  /** The first offset that is left on all replicas that are alive; the own log's start where this broker does not lead. */
  lowWatermark(isAlive: (broker: number) => boolean): number {
    return this.#state?.lowWatermark(this.log.startOffset, isAlive) ?? this.log.startOffset;
  }

  /** This broker leads, and the follower's next fetch may bring it into the ISR, or back: all of them are to be told by `fetchedBy`. */
  mayJoin(broker: number): boolean {
    return this.#state?.mayJoin(broker) === true;
  }

  /** A follower's session fetches this partition no more, or in vain. */
  fetchEnded(broker: number, clock: FetchClock): void {
    this.#state?.fetchEnded(broker, clock);
  }

  /** Asks to leave those out of the ISR that have lagged too long; to be called every half of that time. */
  maybeShrink(): void {
    const { clock, lagMsMax } = this.#options;
    this.#propose(this.#state?.shrink(this.log.writtenOffset, clock.monotonicMs(), lagMsMax));
  }

  isrDecided(proposal: IsrProposal, answer: IsrAnswer): "done" | "again" {
    const state = this.#state;
    if (state === undefined) return "done";
    const isCurrent = state.pending === proposal;
    const grows = proposal.isr.length > state.inSyncCount;
    const outcome = state.decided(proposal, answer);
    const { broker } = this.traffic;
    if (isCurrent && answer.kind === "error") {
      const { logger } = this.#options;
      const fields = { partition: this.log.name, isr: proposal.isr, error: errorName(answer.error) };
      if (outcome === "again") logger.warn("ISR change sent again", fields);
      else logger.warn("ISR change refused", fields);
    }
    if (isCurrent && answer.kind === "error") broker.isrFailures++;
    if (outcome !== "committed") return outcome;
    if (grows) broker.isrExpands++;
    else broker.isrShrinks++;
    this.#advance();
    this.#propose(state.expansions(this.log.highWatermark, this.#options.clock.monotonicMs(), this.#options.lagMsMax));
    return "done";
  }

  #propose(proposal: IsrProposal | undefined): void {
    if (proposal === undefined) return;
    const { isr, logger } = this.#options;
    const { highWatermark, endOffset } = this.log;
    const shrinks = proposal.isr.length < this.inSyncCount;
    logger.info(shrinks ? "ISR shrinks" : "ISR expands", { partition: this.log.name, from: this.inSync, to: proposal.isr, leaderEpoch: this.#leaderEpoch, highWatermark, endOffset });
    isr.propose(this, proposal);
  }

  /** Moves the high watermark to what all replicas that count have, and acknowledges. */
  #advance(): void {
    const { log } = this;
    const { clock, lagMsMax } = this.#options;
    const candidate = this.#state?.highWatermark(log.writtenOffset, clock.monotonicMs(), lagMsMax);
    if (candidate === undefined || !log.advanceHighWatermark(candidate)) return;
    this.#acknowledgements.reached(log.highWatermark);
    this.#wake("highWatermark");
  }

  // ---- the follower

  /**
   * Appends what the leader sent, then takes its high watermark, which may lie below the own, and its start, which is
   * left where the own high watermark does not reach it yet. CORRUPT_MESSAGE where the bytes are damaged.
   * Source: ReplicaFetcherThread.processPartitionData.
   */
  appendAsFollower(epoch: number, { records, highWatermark, logStartOffset }: FollowerData, onWritten: WriteDone): FollowerAppended {
    const { log } = this;
    if (!this.#follows(epoch)) return refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, `Broker ${this.#options.localId} does not follow ${log.name} in leader epoch ${epoch}.`);
    const appended = records.length === 0 ? NOTHING : log.appendAsFollower(records, onWritten);
    if (appended.kind === "refused") return appended;
    if (appended.kind === "out-of-place") return this.#outOfPlace(appended);
    const before = log.highWatermark;
    log.setHighWatermark(Math.min(highWatermark, log.endOffset));
    log.advanceStartOffset(logStartOffset);
    if (log.highWatermark !== before) this.#wake("highWatermark");
    if (appended.kind === "nothing") return NOTHING;
    this.traffic.broker.replicationBytesIn += records.length;
    this.#wake("end");
    return { kind: "appended" };
  }

  /** Into an empty log the leader may send a batch that begins below it: its own start lies within that batch. */
  #outOfPlace({ firstOffset, lastOffset }: OutOfPlace): FollowerAppended {
    const { startOffset, endOffset, name } = this.log;
    if (startOffset === endOffset && lastOffset >= endOffset) return { kind: "restart", at: firstOffset };
    return refused(ErrorCode.UNKNOWN_SERVER_ERROR, `The leader of ${name} sent offset ${firstOffset} where ${endOffset} is next.`);
  }

  /** Drops what is at and above `offset`, and leader epochs without records. Rejects with ERR_NOT_FOLLOWER, or as the log does. */
  async truncate(epoch: number, offset: number): Promise<void> {
    this.#mustFollow(epoch);
    await this.log.truncateTo(offset);
    this.#wake("end");
  }

  /** Drops everything: the log begins anew at `offset`. Rejects as `truncate` does. */
  async restartAt(epoch: number, offset: number): Promise<void> {
    this.#mustFollow(epoch);
    await this.log.truncateFullyAndStartAt(offset);
    this.#wake("end");
  }

  #follows(epoch: number): boolean {
    return this.#role.kind === "follower" && epoch === this.#leaderEpoch;
  }

  #mustFollow(epoch: number): void {
    if (this.#follows(epoch)) return;
    throw new OperationalError("ERR_NOT_FOLLOWER", `${this.log.name} is not followed in leader epoch ${epoch} any more: nothing is truncated`);
  }

  #wake(change: PartitionChange): void {
    for (const wake of this.#watchers) wake(change);
  }
}

const NOTHING = { kind: "nothing" } as const;
