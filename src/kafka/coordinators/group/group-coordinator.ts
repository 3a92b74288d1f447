import { Alarm } from "../../../host/alarm.ts";
import type { Timer } from "../../../host/clock.ts";
import type { Host } from "../../../host/host.ts";
import type { Logger } from "../../../host/log.ts";
import { assert, assertNever, must } from "../../../lib/assert.ts";
import { errorCode, toError } from "../../../lib/error.ts";
import { TaskGroup } from "../../../lib/task-group.ts";
import { randomUuidText } from "../../../lib/uuid.ts";
import { ErrorCode, errorName } from "../../protocol/error-codes.ts";
import { GROUP_METADATA_TOPIC } from "../../protocol/internal-topics.ts";
import { wholeBatchSize } from "../../records/batch.ts";
import { buildBatch } from "../../records/build.ts";
import type { PartitionLog } from "../../log/log.ts";
import { produceTo, type InSyncMin } from "../../replication/produce.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import { GroupCore, type GroupRules } from "./group-core.ts";
import { GroupLoad } from "./group-load.ts";
import { encodeRecord } from "./group-records.ts";
import type { CommitRequest, GroupEffect, JoinRequest, JoinResult, MemberRef, Now, StoredRecord, SyncRequest, SyncResult, TopicPartition } from "./types.ts";

export interface GroupConfig {
  readonly rules: GroupRules;
  /** offsets.commit.timeout.ms */
  readonly commitTimeoutMs: number;
  /** offsets.commit.required.acks */
  readonly requiredAcks: -1 | 0 | 1;
  /** offsets.topic.compression.codec */
  readonly codec: number;
  /** offsets.load.buffer.size */
  readonly loadBytes: number;
  /** offsets.retention.check.interval.ms */
  readonly retentionCheckMs: number;
}

export interface GroupCoordinatorOptions {
  readonly host: Host;
  readonly config: GroupConfig;
  readonly inSyncMin: InSyncMin;
  replicas(): Pick<ReplicaManager, "find">;
  /**
   * How many partitions the offsets topic has; asked when this broker leads one of them for the first time. Where it
   * rejects with an operational error it is asked again.
   */
  partitionCount(): Promise<number>;
}

/** A request that waits for its answer. */
type Waiting =
  | { readonly kind: "joined"; settle(result: JoinResult | "superseded"): void }
  | { readonly kind: "synced"; settle(result: SyncResult | "superseded"): void }
  | { readonly kind: "committed"; settle(errors: readonly ErrorCode[]): void };

/** The time for which this broker leads a partition without a break; the epoch may rise meanwhile. */
interface Stint {
  readonly partition: number;
  epoch: number;
}

/** So much is loaded in one turn. */
const LOAD_STEP_BYTES = 256 * 1024;
const COUNT_RETRY_MS = 1000;

/**
 * Drives the core: carries out its effects, gives its inputs the time and tells it when a deadline has come. It appends
 * in the very turn in which the core asks for it. Source: GroupCoordinator and GroupMetadataManager of Apache Kafka
 * 2.7.1 (what they decide is in the core).
 */
export class GroupCoordinator {
  readonly #options: GroupCoordinatorOptions;
  readonly #log: Logger;
  readonly #tasks: TaskGroup;
  /** Not waited for at the end: it may hang on a session that is closed later. */
  readonly #asking: TaskGroup;
  readonly #alarm: Alarm;
  #alarmAtMs: number | undefined;
  /** Before the number of partitions is known this one owns nothing: every group is elsewhere. */
  #core: GroupCore;
  /** What was told before that, the last for each partition; undefined once it is known. */
  #early: Map<number, number | undefined> | undefined = new Map();
  #countIsAsked = false;
  #countTimer: Timer | undefined;
  readonly #stints = new Map<number, Stint>();
  readonly #loads: Stint[] = [];
  #isLoading = false;
  readonly #waiting = new Map<number, Waiting>();
  #lastTicket = 0;
  #carriesOut = false;
  #expiryTimer: Timer | undefined;
  #closed = false;

  constructor(options: GroupCoordinatorOptions) {
    const { host, config } = options;
    this.#options = options;
    this.#log = host.log.child("groups");
    this.#tasks = new TaskGroup((error) => host.fail(error));
    this.#asking = new TaskGroup((error) => host.fail(error));
    this.#core = new GroupCore({ rules: config.rules, partitionCount: 1 });
    this.#alarm = new Alarm(host, () => {
      this.#alarmAtMs = undefined;
      this.#core.expire(this.#now());
      this.#carryOut();
    });
  }

  /** For the simulation, to look at. */
  get core(): GroupCore {
    return this.#core;
  }

  /** Begins to look for offsets that have expired. */
  start(): void {
    this.#expireOffsets();
  }

  /** All groups are elsewhere from here on, and whoever waits is told so; appends under way are waited for. */
  async close(): Promise<void> {
    this.#closed = true;
    this.#early?.clear();
    this.#countTimer?.cancel();
    this.#expiryTimer?.cancel();
    for (const partition of this.#stints.keys()) this.#unload(partition);
    await this.#tasks.settled();
    assert(this.#waiting.size === 0, `${this.#waiting.size} requests of groups wait at the end`);
  }

  // ---- requests

  join(request: Omit<JoinRequest, "memberSuffix">): Promise<JoinResult | "superseded"> {
    const memberSuffix = randomUuidText(this.#options.host.random);
    return new Promise((settle) => this.#ask({ kind: "joined", settle }, (ticket, now) => this.#core.join({ ...request, memberSuffix }, ticket, now)));
  }

  sync(request: SyncRequest): Promise<SyncResult | "superseded"> {
    return new Promise((settle) => this.#ask({ kind: "synced", settle }, (ticket, now) => this.#core.sync(request, ticket, now)));
  }

  /** An error for each partition, in the order of the request. */
  commit(request: CommitRequest): Promise<readonly ErrorCode[]> {
    return new Promise((settle) => this.#ask({ kind: "committed", settle }, (ticket, now) => this.#core.commit(request, ticket, now)));
  }

  heartbeat(member: MemberRef): ErrorCode {
    return this.#tell((now) => this.#core.heartbeat(member, now));
  }

  leave(groupId: string, members: readonly { readonly memberId: string; readonly instanceId: string | null }[]): ReturnType<GroupCore["leave"]> {
    return this.#tell((now) => this.#core.leave(groupId, members, now));
  }

  /** `wanted` null: all that are stored. */
  fetchOffsets(...question: Parameters<GroupCore["fetchOffsets"]>): ReturnType<GroupCore["fetchOffsets"]> {
    return this.#core.fetchOffsets(...question);
  }

  list(states: readonly string[], types: readonly string[]): ReturnType<GroupCore["list"]> {
    return this.#core.list(states, types);
  }

  describe(groupId: string): ReturnType<GroupCore["describe"]> {
    return this.#core.describe(groupId);
  }

  deleteGroups(ids: readonly string[]): readonly ErrorCode[] {
    return this.#tell((now) => this.#core.deleteGroups(ids, now));
  }

  deleteOffsets(groupId: string, partitions: readonly TopicPartition[]): ReturnType<GroupCore["deleteOffsets"]> {
    return this.#tell((now) => this.#core.deleteOffsets(groupId, partitions, now));
  }

  /** These are gone from the cluster. */
  partitionsDeleted(partitions: readonly TopicPartition[]): void {
    this.#tell((now) => this.#core.partitionsDeleted(partitions, now));
  }

  #ask(waiting: Waiting, input: (ticket: number, now: Now) => void): void {
    const ticket = ++this.#lastTicket;
    this.#waiting.set(ticket, waiting);
    input(ticket, this.#now());
    this.#carryOut();
  }

  #tell<T>(input: (now: Now) => T): T {
    const answer = input(this.#now());
    this.#carryOut();
    return answer;
  }

  #now(): Now {
    const { clock } = this.#options.host;
    return { ms: clock.monotonicMs(), wallMs: clock.wallMs() };
  }

  // ---- effects

  /** In their order; an append whose outcome is known at once adds to them. */
  #carryOut(): void {
    if (this.#carriesOut) return;
    this.#carriesOut = true;
    const { effects } = this.#core;
    for (let at = 0; at < effects.length; at++) this.#effect(must(effects[at], "an effect"));
    effects.length = 0;
    this.#carriesOut = false;
    const deadlineMs = this.#core.nextDeadlineMs;
    if (deadlineMs === this.#alarmAtMs) return;
    this.#alarmAtMs = deadlineMs;
    this.#alarm.set(deadlineMs);
  }

  #effect(effect: GroupEffect): void {
    switch (effect.kind) {
      case "joined":
      case "synced":
      case "committed":
      case "superseded":
        this.#answer(effect);
        break;
      case "append":
        this.#append(effect.partition, effect.records, effect.acks, effect.token);
        break;
      case "log":
        this.#log[effect.level](effect.message, effect.fields);
        break;
      default:
        assertNever(effect);
    }
  }

  #answer(effect: Exclude<GroupEffect, { readonly kind: "append" | "log" }>): void {
    const waiting = must(this.#waiting.get(effect.ticket), `a request of groups with ticket ${effect.ticket}`);
    this.#waiting.delete(effect.ticket);
    if (effect.kind === "superseded" && waiting.kind !== "committed") waiting.settle("superseded");
    else if (effect.kind === "joined" && waiting.kind === "joined") waiting.settle(effect.result);
    else if (effect.kind === "synced" && waiting.kind === "synced") waiting.settle(effect.result);
    else if (effect.kind === "committed" && waiting.kind === "committed") waiting.settle(effect.errors);
    else assert(false, `a request of groups that waits to be ${waiting.kind} is ${effect.kind}`);
  }

  #append(partition: number, records: readonly StoredRecord[], acks: "required" | "none", token: number): void {
    const { host, config, inSyncMin } = this.#options;
    const found = this.#options.replicas().find(GROUP_METADATA_TOPIC, partition);
    const batch = this.#batchOf(records);
    if (typeof found === "number" || batch === undefined) {
      this.#appended(partition, token, typeof found === "number" ? found : ErrorCode.RECORD_LIST_TOO_LARGE, -1);
      return;
    }
    const waits = { acks: acks === "none" ? 0 : config.requiredAcks, timeoutMs: config.commitTimeoutMs, origin: "coordinator" } as const;
    const outcome = produceTo(found, batch, waits, inSyncMin, host.timers);
    if (!(outcome instanceof Promise)) {
      this.#appended(partition, token, outcome.error, outcome.baseOffset);
      return;
    }
    this.#tasks.run(async () => {
      const { error, baseOffset } = await outcome;
      this.#appended(partition, token, error, baseOffset);
    });
  }

  /** Undefined where a record can't be written. */
  #batchOf(records: readonly StoredRecord[]): Buffer | undefined {
    const timestamp = this.#options.host.clock.wallMs();
    const encoded = [];
    for (const record of records) {
      const bytes = encodeRecord(record);
      if (bytes === undefined) return undefined;
      encoded.push({ ...bytes, timestamp });
    }
    return buildBatch(encoded, { codec: this.#options.config.codec });
  }

  #appended(partition: number, token: number, error: ErrorCode, baseOffset: number): void {
    if (token !== 0) this.#core.appended(token, error, baseOffset, this.#now());
    else if (error !== ErrorCode.NONE) this.#log.warn("records of groups are not appended", { partition, error: errorName(error) });
    this.#carryOut();
  }

  // ---- ownership

  /** To be called in the turn in which this broker's part changes: the epoch in which it leads the partition, or that it does not. */
  onRole(partition: number, leaderEpoch: number | undefined): void {
    if (this.#closed) return;
    if (this.#early === undefined) this.#takeRole(partition, leaderEpoch);
    else this.#early.set(partition, leaderEpoch);
    if (leaderEpoch !== undefined && !this.#countIsAsked) this.#askCount();
  }

  #askCount(): void {
    this.#countIsAsked = true;
    this.#asking.run(async () => {
      try {
        this.#countIs(await this.#options.partitionCount());
      } catch (thrown) {
        if (errorCode(thrown) === undefined) throw thrown;
        if (this.#closed) return;
        this.#log.warn(`the number of partitions of ${GROUP_METADATA_TOPIC} is not known, so no group is served here; asked again soon`, { error: toError(thrown) });
        this.#countTimer = this.#options.host.timers.after(COUNT_RETRY_MS, () => this.#askCount());
      }
    });
  }

  #countIs(partitionCount: number): void {
    const early = must(this.#early, "roles that wait for the number of partitions");
    this.#early = undefined;
    this.#core = new GroupCore({ rules: this.#options.config.rules, partitionCount });
    for (const [partition, leaderEpoch] of early) this.#takeRole(partition, leaderEpoch);
  }

  #takeRole(partition: number, leaderEpoch: number | undefined): void {
    const stint = this.#stints.get(partition);
    if (leaderEpoch === undefined) {
      if (stint !== undefined) this.#unload(partition);
    } else if (stint === undefined) {
      this.#lead({ partition, epoch: leaderEpoch });
    } else {
      stint.epoch = leaderEpoch;
      this.#core.newEpoch(partition, leaderEpoch);
    }
  }

  #lead(stint: Stint): void {
    this.#stints.set(stint.partition, stint);
    this.#core.loading(stint.partition, stint.epoch);
    this.#loads.push(stint);
    if (this.#isLoading) return;
    this.#isLoading = true;
    this.#tasks.run(async () => {
      for (let next = this.#loads.shift(); next !== undefined; next = this.#loads.shift()) {
        if (this.#leads(next)) await this.#load(next);
      }
      this.#isLoading = false;
    });
  }

  #leads(stint: Stint): boolean {
    return this.#stints.get(stint.partition) === stint;
  }

  #unload(partition: number): void {
    this.#stints.delete(partition);
    this.#core.unloaded(partition, this.#now());
    this.#carryOut();
  }

  // ---- loading

  async #load(stint: Stint): Promise<void> {
    const { partition } = stint;
    const load = new GroupLoad();
    const found = this.#options.replicas().find(GROUP_METADATA_TOPIC, partition);
    const failure = typeof found === "number" ? errorName(found) : await this.#read(found.log, load, stint);
    if (!this.#leads(stint)) {
      this.#log.info("load given up", { partition });
      return;
    }
    // What was read is served all the same, as by Apache's broker: the rest counts as never committed.
    if (failure !== undefined) this.#log.error("groups could not be loaded to the end", { partition, failure });
    if (load.problems > 0) this.#log.warn("records of groups can't be read and are skipped", { partition, records: load.problems, first: load.firstProblem });
    this.#core.loaded(partition, stint.epoch, load.finish(), this.#now());
    this.#carryOut();
  }

  /** Up to the log's end while this broker leads; what went wrong. */
  async #read(log: PartitionLog, load: GroupLoad, stint: Stint): Promise<string | undefined> {
    try {
      for (let offset = log.startOffset; this.#leads(stint) && offset < log.endOffset; ) {
        const read = await log.read({ offset, maxBytes: this.#options.config.loadBytes, maxOffset: log.endOffset, minOneMessage: true });
        if (read.kind === "refused") return read.message;
        // Compaction may have left nothing below the end.
        if (read.bytes === 0) break;
        await this.#feed(load, read.chunks);
        offset = read.nextOffset;
      }
      return undefined;
    } catch (thrown) {
      if (errorCode(thrown) === undefined) throw thrown;
      return toError(thrown).message;
    }
  }

  /** Steps aside in between: other requests come first. */
  async #feed(load: GroupLoad, chunks: readonly Buffer[]): Promise<void> {
    let stepBytes = 0;
    for (const chunk of chunks) {
      for (let at = 0, size = wholeBatchSize(chunk, 0, chunk.length); size > 0; size = wholeBatchSize(chunk, at, chunk.length)) {
        load.batch(chunk, at, size);
        at += size;
        stepBytes += size;
        if (stepBytes < LOAD_STEP_BYTES) continue;
        stepBytes = 0;
        await this.#soon();
      }
    }
    await this.#soon();
  }

  #soon(): Promise<void> {
    return new Promise((resolve) => this.#options.host.timers.soon(resolve));
  }

  // ---- expiry

  /** One partition a turn. */
  #expireOffsets(): void {
    const { timers } = this.#options.host;
    const partitions = [...this.#core.ownedPartitions];
    const next = (): void => {
      if (this.#closed) return;
      const partition = partitions.shift();
      if (partition === undefined) {
        this.#expiryTimer = timers.after(this.#options.config.retentionCheckMs, () => this.#expireOffsets());
        return;
      }
      this.#tell((now) => this.#core.expireOffsets(partition, now));
      timers.soon(next);
    };
    next();
  }
}
