import { must } from "../../lib/assert.ts";
import { errorCode, OperationalError, toError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { Timer } from "../../host/clock.ts";
import type { Decoded } from "../../codec/schema.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import type { Assignor } from "./assignors.ts";
import { readFetched, type ConsumedRecord } from "./fetched-batches.ts";
import { GroupMember, type Assignment } from "./group-member.ts";
import { perTopic } from "./group-offsets.ts";
import { isLeaderMoving, refusal, type KafkaClient, type TopicPartition } from "./kafka-client.ts";
import { partitionOffsets, type OffsetPlace } from "./partition-offsets.ts";

export type { ConsumedRecord } from "./fetched-batches.ts";

export interface TopicChoice {
  /** Names, or those that match as a whole name. */
  readonly topics: readonly string[] | RegExp;
  /** Whether a pattern means the brokers' own topics too. */
  readonly internal?: boolean;
}

export interface GroupChoice extends TopicChoice {
  readonly kind: "group";
  readonly groupId: string;
  readonly instanceId?: string | undefined;
  readonly sessionTimeoutMs: number;
  readonly heartbeatMs: number;
  /** Who does not poll for so long leaves the group; and so long may a rebalance take. */
  readonly pollIntervalMsMax: number;
  readonly assignors?: readonly Assignor[];
  /** Undefined: only `commit` commits. */
  readonly autoCommitMs?: number | undefined;
}

export type ConsumerSource =
  | { readonly kind: "partitions"; readonly partitions: readonly (TopicPartition & { readonly offset?: number | "earliest" | "latest" })[] }
  | ({ readonly kind: "topics" } & TopicChoice)
  | GroupChoice;

export interface ConsumerOptions {
  readonly source: ConsumerSource;
  /** Where to begin without an offset, or where that offset is gone; "none" rejects. */
  readonly reset: "earliest" | "latest" | "none";
  readonly readCommitted: boolean;
  readonly fetchBytesMin: number;
  readonly fetchBytesMax: number;
  readonly fetchWaitMs: number;
  readonly partitionBytesMax: number;
  /** After so long topics and their partitions are asked for anew. */
  readonly metadataMaxAgeMs: number;
  /** Whether asking for a topic may make it. */
  readonly createTopics?: boolean;
  /** Told of what goes wrong and is tried again. */
  readonly onTrouble?: (error: Error) => void;
}

/** What is read of a partition, from when it is assigned until it is given up. */
interface Reading extends TopicPartition {
  /** Undefined until it is known where to begin. */
  position: number | undefined;
  /** Of the last record read; -1: not known. */
  leaderEpoch: number;
  /** Where to begin; "committed": as the group says. */
  start: OffsetPlace | "committed" | "none";
  /** Its leader was not where it was thought to be, and is asked for anew. */
  doubted: boolean;
  fetching: boolean;
  buffered: readonly ConsumedRecord[];
}

interface Consumed extends TopicPartition {
  readonly offset: number;
  readonly leaderEpoch: number;
}

const RETRY_MS = 100;
/** What only time brings about is looked for so often while a poll waits. */
const LOOK_AFTER_MS = 1000;
/** Batches of format 2, and positions checked by their leader's epoch (KIP-595); topic ids come after. */
const FETCH_VERSIONS = { first: 4, last: 12 } as const;
const CHANNEL = "fetch";
/** What an answer takes beyond the time that it may wait for records. */
const FETCH_GRACE_MS = 30_000;

/** Of commits and heartbeats: the member has to join again. */
const REJOIN: ReadonlySet<string> = new Set(["REBALANCE_IN_PROGRESS", "ILLEGAL_GENERATION", "UNKNOWN_MEMBER_ID"]);

/**
 * Reads records of given partitions, of topics, or as a member of a group. All that has to be done is begun in `poll`,
 * and goes on behind it: fetches of partitions of which nothing is left, joins, heartbeats, commits. What is committed is
 * what the caller has said is `consumed`. Source: clients/…/consumer/KafkaConsumer.java and internals/{Fetcher,
 * ConsumerCoordinator}.java. Left out: fetch sessions, reading from followers, cooperative rebalances.
 */
export class Consumer {
  readonly #client: KafkaClient;
  readonly #options: ConsumerOptions;
  readonly #member: GroupMember | undefined;
  readonly #readings = new Map<string, Reading>();
  readonly #consumed = new Map<string, Consumed>();
  readonly #tasks: TaskGroup;
  /** What is under way, or waits before it may be tried again. */
  readonly #busy = new Set<string>();
  readonly #timers = new Set<Timer>();
  /** Of a pattern, or as they are named; and how many partitions each has. */
  #topics: readonly string[] = [];
  #shape = "";
  /** As long as this member of the group owns it. */
  #assignment: Assignment | undefined;
  #mustJoin = true;
  /** When topics are to be asked for next; undefined: they were never. */
  #learnAtMs: number | undefined;
  #polling = false;
  #heartbeatMs = 0;
  #committedMs = 0;
  #polledMs = 0;
  #failure: Error | undefined;
  #wake: (() => void) | undefined;
  #closed = false;

  constructor(client: KafkaClient, options: ConsumerOptions) {
    this.#client = client;
    this.#options = options;
    this.#tasks = new TaskGroup((error) => client.host.fail(error));
    const { source } = options;
    if (source.kind === "group") {
      const { groupId, instanceId, sessionTimeoutMs, pollIntervalMsMax: rebalanceTimeoutMs, assignors } = source;
      this.#member = new GroupMember(client, { groupId, topics: [], instanceId, sessionTimeoutMs, rebalanceTimeoutMs, ...(assignors !== undefined && { assignors }) });
    }
  }

  /** What it reads now. */
  get assignment(): readonly TopicPartition[] {
    return [...this.#readings.values()].map(({ topic, partition }) => ({ topic, partition }));
  }

  /** Where it reads on; undefined until it is known, and of what it does not read. */
  position({ topic, partition }: TopicPartition): number | undefined {
    const reading = this.#readings.get(`${topic}-${partition}`);
    return reading?.buffered[0]?.offset ?? reading?.position;
  }

  /**
   * The next records of one partition, as soon as there are any; none after `timeoutMs`. Rejects, from then on each
   * time, with what another attempt would not mend: the name of an error code, or that there is no offset to begin at.
   */
  async poll(timeoutMs: number): Promise<readonly ConsumedRecord[]> {
    const { clock } = this.#client.host;
    const untilMs = clock.monotonicMs() + timeoutMs;
    this.#polling = true;
    try {
      for (;;) {
        if (this.#failure !== undefined) throw this.#failure;
        if (this.#closed) throw new OperationalError("ERR_CLOSED", "the consumer is closed");
        this.#advance();
        const records = this.#take();
        if (records.length > 0) {
          // The next ones may come while these are looked at.
          this.#advance();
          return records;
        }
        const leftMs = untilMs - clock.monotonicMs();
        if (leftMs <= 0) return [];
        await this.#woken(Math.min(leftMs, LOOK_AFTER_MS));
      }
    } finally {
      this.#polling = false;
      this.#polledMs = clock.monotonicMs();
    }
  }

  /** The caller is done with the record, and with those before it in its partition: what a commit says. */
  consumed({ topic, partition, offset, leaderEpoch }: ConsumedRecord): void {
    const name = `${topic}-${partition}`;
    // What was given up meanwhile belongs to somebody else.
    if (this.#readings.has(name)) this.#consumed.set(name, { topic, partition, offset: offset + 1, leaderEpoch });
  }

  /** What is consumed and not committed yet; nothing without a group. Rejects as GroupMember.commit does. */
  async commit(): Promise<void> {
    const offsets = [...this.#consumed.values()];
    if (this.#member === undefined || offsets.length === 0) return;
    this.#committedMs = this.#client.host.clock.monotonicMs();
    try {
      await this.#member.commit(offsets);
    } catch (error) {
      if (REJOIN.has(errorCode(error) ?? "")) this.#mustJoin = true;
      throw error;
    }
    for (const offset of offsets) {
      const name = `${offset.topic}-${offset.partition}`;
      if (this.#consumed.get(name) === offset) this.#consumed.delete(name);
    }
  }

  /** Commits, where it does so by itself, and leaves the group. What is being fetched ends with the client. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    for (const timer of this.#timers) timer.cancel();
    this.#timers.clear();
    this.#wake?.();
    const { source } = this.#options;
    if (this.#member === undefined || source.kind !== "group") return;
    if (this.#assignment !== undefined && source.autoCommitMs !== undefined) await this.#attempt(() => this.commit());
    await this.#attempt(() => must(this.#member, "member").leave());
  }

  /** Begins whatever there is to do. */
  #advance(): void {
    const { source } = this.#options;
    const nowMs = this.#client.host.clock.monotonicMs();
    if (nowMs >= (this.#learnAtMs ?? nowMs)) this.#run("learn", () => this.#learn());
    if (source.kind === "group") this.#advanceGroup(source, nowMs);
    const lost = [...this.#readings.values()].filter(({ position }) => position === undefined);
    if (lost.length > 0) this.#run("begin", () => this.#begin(lost));
    this.#fetchAll();
  }

  #advanceGroup({ heartbeatMs, autoCommitMs, pollIntervalMsMax }: GroupChoice, nowMs: number): void {
    const member = must(this.#member, "member");
    if (this.#mustJoin && this.#polling && this.#topics.length > 0) this.#run("join", () => this.#join(member));
    if (this.#assignment === undefined || member.generation < 0 || this.#busy.has("join")) return;
    if (autoCommitMs !== undefined && this.#consumed.size > 0 && nowMs - this.#committedMs >= autoCommitMs) this.#run("commit", () => this.commit());
    if (nowMs - this.#heartbeatMs < heartbeatMs) return;
    this.#heartbeatMs = nowMs;
    this.#run("heartbeat", async () => {
      if (!this.#polling && nowMs - this.#polledMs >= pollIntervalMsMax) {
        this.#giveUp();
        await member.leave();
      } else if ((await member.heartbeat()) === "rejoin") this.#mustJoin = true;
    });
  }

  /** Goes on with heartbeats and commits while nobody polls. */
  #tick(): void {
    const { source } = this.#options;
    if (source.kind !== "group" || this.#closed || this.#assignment === undefined) return;
    this.#advanceGroup(source, this.#client.host.clock.monotonicMs());
    this.#after(source.heartbeatMs, () => this.#tick());
  }

  #giveUp(): void {
    this.#mustJoin = true;
    this.#readings.clear();
    this.#consumed.clear();
    this.#assignment = undefined;
  }

  /** A kind of work once at a time; what fails and may pass is begun again after a pause. */
  #run(kind: string, task: () => Promise<void>): void {
    if (this.#busy.has(kind) || this.#closed) return;
    this.#busy.add(kind);
    const free = (): void => {
      this.#busy.delete(kind);
      this.#wake?.();
    };
    this.#tasks.run(async () => {
      try {
        await task();
        free();
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        if (this.#closed) return;
        if (this.#client.isPassing(error) && isRepairable(error)) {
          this.#options.onTrouble?.(toError(error));
          this.#after(RETRY_MS, free);
        } else {
          this.#failure ??= toError(error);
          free();
        }
      }
    });
  }

  async #attempt(task: () => Promise<void>): Promise<void> {
    try {
      await task();
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      this.#options.onTrouble?.(toError(error));
    }
  }

  /** What topics there are, and who leads their partitions. */
  async #learn(): Promise<void> {
    const { source, createTopics: create = false, metadataMaxAgeMs } = this.#options;
    const nowMs = this.#client.host.clock.monotonicMs();
    const first = this.#learnAtMs === undefined;
    // What is doubted from here on may be doubted of this answer.
    const doubted = [...this.#readings.values()].filter((reading) => reading.doubted);
    if (source.kind === "partitions") {
      const topics = [...new Set(source.partitions.map(({ topic }) => topic))];
      await this.#client.metadata(topics, { create });
      if (first) for (const { topic, partition, offset } of source.partitions) this.#assign({ topic, partition }, offset ?? this.#options.reset);
      const missing = source.partitions.find((wanted) => this.#client.partition(wanted) === undefined);
      if (missing !== undefined) this.#options.onTrouble?.(refusal(`${missing.topic}-${missing.partition}`, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION));
      for (const reading of doubted) reading.doubted = false;
    } else {
      const { topics: wanted, internal = false } = source;
      const { topics: told } = wanted instanceof RegExp ? await this.#client.metadata(null) : await this.#client.metadata(wanted, { create });
      const whole = wanted instanceof RegExp ? new RegExp(`^(?:${wanted.source})$`, wanted.flags) : undefined;
      const chosen = whole === undefined ? told : told.filter(({ name, isInternal }) => name !== null && (internal || !isInternal) && whole.test(name));
      const refused = chosen.find(({ errorCode: code }) => code === ErrorCode.TOPIC_AUTHORIZATION_FAILED || code === ErrorCode.INVALID_TOPIC_EXCEPTION);
      if (refused !== undefined) throw refusal(`topic ${refused.name ?? ""}`, refused.errorCode);
      const missing = chosen.find(({ errorCode: code }) => code !== ErrorCode.NONE);
      const names = chosen.map(({ name }) => name ?? "").toSorted();
      if (source.kind === "topics") this.#assignAll(chosen.filter(({ errorCode: code }) => code === ErrorCode.NONE).map(({ name }) => name ?? ""), first);
      else this.#subscribe(names);
      for (const reading of doubted) reading.doubted = false;
      if (missing !== undefined) {
        // Looked for again soon; those that are there are read meanwhile.
        this.#options.onTrouble?.(refusal(`topic ${missing.name ?? ""}`, missing.errorCode));
        this.#learnAtMs = nowMs + Math.min(metadataMaxAgeMs, LOOK_AFTER_MS);
        return;
      }
    }
    this.#learnAtMs = nowMs + metadataMaxAgeMs;
  }

  /** Partitions that come later are read from their start: nothing was written to them before. */
  #assignAll(topics: readonly string[], first: boolean): void {
    for (const topic of topics) {
      for (const partition of this.#client.partitionsOf(topic)) {
        if (!this.#readings.has(`${topic}-${partition}`)) this.#assign({ topic, partition }, first ? this.#options.reset : "earliest");
      }
    }
  }

  #assign({ topic, partition }: TopicPartition, start: Reading["start"]): void {
    // An offset is a place by itself, and no time.
    const position = typeof start === "number" ? start : undefined;
    this.#readings.set(`${topic}-${partition}`, { topic, partition, position, leaderEpoch: -1, start: position === undefined ? start : this.#options.reset, doubted: false, fetching: false, buffered: [] });
  }

  /** Another choice of topics makes every member join again, more partitions the one that shares them out. */
  #subscribe(topics: readonly string[]): void {
    const member = must(this.#member, "member");
    const shape = topics.map((topic) => `${topic} ${this.#client.partitionsOf(topic).length}`).join(",");
    const changed = topics.join(",") !== this.#topics.join(",");
    const grown = this.#assignment !== undefined && this.#assignment.leaderId === this.#assignment.memberId && shape !== this.#shape;
    this.#shape = shape;
    if (changed) {
      this.#topics = topics;
      member.subscribe(topics);
    }
    if (changed || grown) this.#mustJoin = true;
  }

  async #join(member: GroupMember): Promise<void> {
    const { source } = this.#options;
    // Before others own them: what was consumed is told, where it still can be.
    if (source.kind === "group" && source.autoCommitMs !== undefined && this.#assignment !== undefined) await this.#attempt(() => this.commit());
    this.#giveUp();
    const topics = this.#topics;
    const assignment = await member.join();
    if (this.#closed) return this.#attempt(() => member.leave());
    this.#assignment = assignment;
    // Another choice of topics meanwhile is for the next one.
    this.#mustJoin = this.#topics !== topics;
    const nowMs = this.#client.host.clock.monotonicMs();
    this.#heartbeatMs = nowMs;
    this.#committedMs = nowMs;
    for (const owned of assignment.partitions) this.#assign(owned, "committed");
    if (source.kind === "group") this.#after(source.heartbeatMs, () => this.#tick());
  }

  /** Finds where to begin, for those that don't know. */
  async #begin(lost: readonly Reading[]): Promise<void> {
    const byGroup = lost.filter(({ start }) => start === "committed");
    if (byGroup.length > 0) {
      const committed = await must(this.#member, "member").committed(byGroup);
      for (const { topic, partition, offset, leaderEpoch } of committed) {
        const reading = byGroup.find((other) => other.topic === topic && other.partition === partition);
        if (reading === undefined) continue;
        if (offset < 0) reading.start = this.#options.reset;
        else [reading.position, reading.leaderEpoch] = [offset, leaderEpoch];
      }
    }
    const places = lost.flatMap((reading) => (reading.position === undefined && (reading.start === "earliest" || reading.start === "latest") ? [{ reading, at: reading.start }] : []));
    const orphan = lost.find(({ position, start }) => position === undefined && start === "none");
    if (orphan !== undefined) throw new OperationalError("ERR_NO_OFFSET", `nothing says where to begin with ${orphan.topic}-${orphan.partition}: no offset is committed, or it is not there any more, and there is no reset policy`);
    const ends = await partitionOffsets(this.#client, places.map(({ reading: { topic, partition }, at }) => ({ topic, partition, at })), { readCommitted: this.#options.readCommitted, retryTimeoutMs: 0 });
    for (const [index, { code, offset }] of ends.entries()) {
      const { reading } = must(places[index], "reading");
      if (code === ErrorCode.NONE) [reading.position, reading.leaderEpoch] = [offset, -1];
    }
    const failed = ends.find(({ code }) => code !== ErrorCode.NONE);
    if (failed !== undefined) throw refusal(`the offset of ${failed.topic}-${failed.partition} to begin at`, failed.code);
  }

  /**
   * One request to each leader that has none under way, and of which nothing is left to give: one that waited for more
   * of some partitions would hold up what there is of others.
   */
  #fetchAll(): void {
    const perLeader = new Map<number, Reading[]>();
    const full = new Set<number>();
    for (const reading of this.#readings.values()) {
      const leader = this.#client.partition(reading)?.leader ?? -1;
      if (reading.buffered.length > 0) full.add(leader);
      else if (reading.position !== undefined && !reading.fetching && !reading.doubted) {
        const readings = perLeader.get(leader) ?? [];
        perLeader.set(leader, readings);
        readings.push(reading);
      }
    }
    for (const [leader, readings] of perLeader) {
      if (leader < 0) this.#doubt(readings);
      else if (!full.has(leader)) this.#run(`fetch ${leader}`, () => this.#fetch(leader, readings));
    }
  }

  async #fetch(leader: number, readings: readonly Reading[]): Promise<void> {
    const { readCommitted, fetchBytesMin: minBytes, fetchBytesMax: maxBytes, fetchWaitMs: maxWaitMs, partitionBytesMax } = this.#options;
    const asked = readings.map((reading) => ({ reading, topic: reading.topic, partition: reading.partition, position: must(reading.position, "position") }));
    for (const { reading } of asked) reading.fetching = true;
    try {
      const topics = perTopic(asked, ({ reading, topic, partition, position }) => ({
        partition,
        currentLeaderEpoch: this.#client.partition({ topic, partition })?.leaderEpoch ?? -1,
        fetchOffset: position,
        lastFetchedEpoch: reading.leaderEpoch,
        partitionMaxBytes: partitionBytesMax,
      })).map(({ name: topic, partitions }) => ({ topic, partitions }));
      const request = { maxWaitMs, minBytes, maxBytes, isolationLevel: readCommitted ? 1 : 0, topics, forgottenTopicsData: [] };
      const { response } = await this.#client.send(leader, fetch, () => request, { channel: CHANNEL, timeoutMs: maxWaitMs + FETCH_GRACE_MS, versions: FETCH_VERSIONS });
      if (response.errorCode !== ErrorCode.NONE) throw refusal(`a fetch from broker ${leader}`, response.errorCode);
      const told = new Map(response.responses.flatMap(({ topic, partitions }) => partitions.map((partition) => [`${topic}-${partition.partitionIndex}`, partition] as const)));
      for (const { reading, position } of asked) {
        const answer = told.get(`${reading.topic}-${reading.partition}`);
        // Given up meanwhile, or moved.
        if (answer !== undefined && this.#readings.get(`${reading.topic}-${reading.partition}`) === reading && reading.position === position) this.#receive(reading, position, answer);
      }
    } catch (error) {
      this.#doubt(readings);
      throw error;
    } finally {
      for (const { reading } of asked) reading.fetching = false;
    }
  }

  #receive(reading: Reading, position: number, answer: FetchedPartition): void {
    const name = `${reading.topic}-${reading.partition}`;
    const { errorCode: code, divergingEpoch } = answer;
    if (code === ErrorCode.OFFSET_OUT_OF_RANGE) {
      if (this.#options.reset === "none") throw new OperationalError("OFFSET_OUT_OF_RANGE", `offset ${position} of ${name} is not there any more, and there is no reset policy`);
      this.#options.onTrouble?.(new OperationalError("OFFSET_OUT_OF_RANGE", `offset ${position} of ${name} is not there any more: going on at the ${this.#options.reset} one`));
      [reading.position, reading.start] = [undefined, this.#options.reset];
    } else if (isLeaderMoving(code)) {
      this.#doubt([reading]);
    } else if (code !== ErrorCode.NONE) {
      throw refusal(`${name} at offset ${position}`, code);
    } else if (divergingEpoch.endOffset >= 0) {
      // What was read was lost with its leader: the log goes on before it.
      [reading.position, reading.leaderEpoch] = [Math.min(position, divergingEpoch.endOffset), divergingEpoch.epoch];
    } else {
      const aborted = this.#options.readCommitted ? (answer.abortedTransactions ?? []) : undefined;
      const bytes = answer.records ?? [];
      const { records, next, leaderEpoch, problem } = readFetched({ ...reading, bytes: bytes.length === 1 ? must(bytes[0], "bytes") : Buffer.concat(bytes), from: position, aborted });
      reading.position = next;
      reading.leaderEpoch = leaderEpoch ?? reading.leaderEpoch;
      reading.buffered = records;
      if (problem !== undefined && records.length === 0) throw new OperationalError("CORRUPT_MESSAGE", `${name}: ${problem}`);
    }
  }

  /** All that is buffered of one partition, which stands behind the others then. */
  #take(): readonly ConsumedRecord[] {
    for (const [name, reading] of this.#readings) {
      if (reading.buffered.length === 0) continue;
      const { buffered } = reading;
      reading.buffered = [];
      this.#readings.delete(name);
      this.#readings.set(name, reading);
      return buffered;
    }
    return [];
  }

  /** Who leads is asked for anew, after a pause. */
  #doubt(readings: readonly Reading[]): void {
    for (const reading of readings) reading.doubted = true;
    if (this.#busy.has("doubt")) return;
    this.#busy.add("doubt");
    this.#after(RETRY_MS, () => {
      this.#busy.delete("doubt");
      if (this.#learnAtMs !== undefined) this.#learnAtMs = -Infinity;
      this.#wake?.();
    });
  }

  #woken(withinMs: number): Promise<void> {
    return new Promise((resolve) => {
      const timer = this.#client.host.timers.after(withinMs, () => this.#wake?.());
      this.#wake = () => {
        timer.cancel();
        this.#wake = undefined;
        resolve();
      };
    });
  }

  #after(ms: number, callback: () => void): void {
    if (this.#closed) return;
    const timer = this.#client.host.timers.after(ms, () => {
      this.#timers.delete(timer);
      callback();
    });
    this.#timers.add(timer);
  }
}

type FetchedPartition = Decoded<typeof fetch.response>["responses"][number]["partitions"][number];

/** Error codes of the protocol that tell of something which goes on being so. */
const LASTING: ReadonlySet<string> = new Set([
  "TOPIC_AUTHORIZATION_FAILED", "GROUP_AUTHORIZATION_FAILED", "CLUSTER_AUTHORIZATION_FAILED", "INVALID_TOPIC_EXCEPTION", "INVALID_GROUP_ID",
  "FENCED_INSTANCE_ID", "GROUP_MAX_SIZE_REACHED", "INCONSISTENT_GROUP_PROTOCOL", "INVALID_SESSION_TIMEOUT", "UNSUPPORTED_VERSION",
  "OFFSET_OUT_OF_RANGE", "CORRUPT_MESSAGE", "UNSUPPORTED_COMPRESSION_TYPE", "ERR_NO_OFFSET",
]);

function isRepairable(error: unknown): boolean {
  return !LASTING.has(errorCode(error) ?? "");
}
