import type { Decoded, Input, Schema } from "../../../codec/schema.ts";
import type { Fields } from "../../../codec/model.ts";
import { must } from "../../../lib/assert.ts";
import { OperationalError } from "../../../lib/error.ts";
import { LeaderEpochs, type EpochEnd } from "../../log/leader-epochs.ts";
import { partitionName } from "../../log/names.ts";
import type { WriteDone } from "../../log/write-queue.ts";
import type { Api } from "../../protocol/api.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { fetch, type fetchRequest, type fetchResponse } from "../../protocol/messages/fetch.ts";
import { listOffsets, type listOffsetsRequest, type listOffsetsResponse } from "../../protocol/messages/list-offsets.ts";
import { offsetForLeaderEpoch, type offsetForLeaderEpochRequest, type offsetForLeaderEpochResponse } from "../../protocol/messages/offset-for-leader-epoch.ts";
import { refused } from "../../records/validate.ts";
import type { FollowedReplica, FollowerAppended, FollowerData, PartitionChange } from "../ports.ts";

/** For tests: logs in memory with the real `LeaderEpochs`, the replicas that have them, and a leader that answers followers. */

export interface ModelBatch {
  readonly offset: number;
  readonly count: number;
  readonly epoch: number;
  /** Tells it from every other batch ever written. */
  readonly id: number;
}

export function encodeBatches(batches: readonly ModelBatch[]): Buffer {
  return batches.length === 0 ? Buffer.alloc(0) : Buffer.from(JSON.stringify(batches));
}

export function decodeBatches(records: Buffer): readonly ModelBatch[] {
  return records.length === 0 ? [] : (JSON.parse(records.toString()) as ModelBatch[]);
}

export class ModelLog {
  batches: ModelBatch[] = [];
  startOffset = 0;
  endOffset = 0;
  highWatermark = 0;
  /** What a crash keeps. */
  writtenOffset = 0;
  readonly #epochs = new LeaderEpochs();

  get latestEpoch(): number | undefined {
    return this.#epochs.latestEpoch;
  }

  get epochs(): readonly { readonly epoch: number; readonly startOffset: number }[] {
    return this.#epochs.entries;
  }

  endOffsetForEpoch(epoch: number): EpochEnd | undefined {
    return this.#epochs.endOffsetFor(epoch, this.endOffset);
  }

  assignEpoch(epoch: number): void {
    this.#epochs.assign(epoch, this.endOffset);
  }

  append(batch: ModelBatch): void {
    this.#epochs.assign(batch.epoch, batch.offset);
    this.batches.push(batch);
    this.endOffset = batch.offset + batch.count;
  }

  /** Drops batches whole, as a log does. */
  truncateTo(offset: number): ModelBatch[] {
    const kept = this.batches.filter((batch) => batch.offset + batch.count <= offset);
    const dropped = this.batches.slice(kept.length);
    if (offset < this.endOffset) this.#moveEnd(Math.min(offset, dropped[0]?.offset ?? offset));
    this.batches = kept;
    this.#epochs.truncateFromEnd(this.endOffset);
    return dropped;
  }

  restartAt(offset: number): ModelBatch[] {
    const dropped = this.batches;
    this.batches = [];
    this.#epochs.clear();
    this.startOffset = offset;
    this.#moveEnd(offset);
    this.highWatermark = offset;
    return dropped;
  }

  #moveEnd(offset: number): void {
    this.endOffset = offset;
    this.startOffset = Math.min(this.startOffset, offset);
    this.highWatermark = Math.min(this.highWatermark, offset);
    this.writtenOffset = Math.min(this.writtenOffset, offset);
  }

  setHighWatermark(offset: number): void {
    this.highWatermark = Math.min(Math.max(offset, this.startOffset), this.endOffset);
  }

  setStart(offset: number): void {
    this.startOffset = offset;
    this.batches = this.batches.filter((batch) => batch.offset + batch.count > offset);
    this.#epochs.truncateFromStart(offset);
  }
}

/** A follower. `calls` says what was done to it. */
export class ModelReplica implements FollowedReplica {
  readonly topic: string;
  readonly partition: number;
  readonly log: ModelLog;
  readonly calls: string[] = [];
  /** The epoch in force. */
  epoch = 0;
  /** Writes and truncations wait for `finish`. */
  slow = false;
  /** What the next append is refused with. */
  refusal: ErrorCode | undefined;
  /** The next writes and truncations fail. */
  broken = false;
  onDropped: (batches: readonly ModelBatch[]) => void = () => undefined;
  onAppend: () => void = () => undefined;
  #waiting: (() => void)[] = [];
  readonly #watchers = new Set<(change: PartitionChange) => void>();

  constructor(topic: string, partition: number, log = new ModelLog()) {
    this.topic = topic;
    this.partition = partition;
    this.log = log;
  }

  get name(): string {
    return partitionName(this.topic, this.partition);
  }

  get watchers(): number {
    return this.#watchers.size;
  }

  get unfinished(): number {
    return this.#waiting.length;
  }

  /** Ends writes and truncations that wait, in their order. */
  finish(countMax = Infinity): void {
    for (const done of this.#waiting.splice(0, countMax)) done();
  }

  /** The process died: what waits never ends. */
  die(): void {
    this.#waiting = [];
    this.#watchers.clear();
  }

  appendAsFollower(epoch: number, data: FollowerData, onWritten: WriteDone): FollowerAppended {
    const { log } = this;
    const batches = decodeBatches(data.records);
    this.calls.push(`append ${batches.map((batch) => batch.offset).join(",")} hw ${data.highWatermark} start ${data.logStartOffset}`);
    this.onAppend();
    if (epoch !== this.epoch) return refused(ErrorCode.NOT_LEADER_OR_FOLLOWER, `epoch ${epoch} is not ${this.epoch}`);
    if (this.refusal !== undefined) {
      const error = this.refusal;
      this.refusal = undefined;
      return refused(error, "refused by the test");
    }
    const [first] = batches;
    if (first !== undefined && first.offset < log.endOffset) {
      const last = must(batches.at(-1), "a last batch");
      const within = log.batches.length === 0 && last.offset + last.count > log.endOffset;
      return within ? { kind: "restart", at: first.offset } : refused(ErrorCode.UNKNOWN_SERVER_ERROR, `${first.offset} lies below the end, ${log.endOffset}`);
    }
    for (const batch of batches) log.append(batch);
    log.setHighWatermark(data.highWatermark);
    if (data.logStartOffset > log.startOffset && data.logStartOffset <= log.highWatermark) this.moveStart(data.logStartOffset);
    if (first === undefined) return { kind: "nothing" };
    const end = log.endOffset;
    this.#later(() => {
      if (!this.broken) log.writtenOffset = Math.min(end, log.endOffset);
      onWritten(this.broken ? new OperationalError("EIO", "broken by the test") : undefined);
    });
    return { kind: "appended" };
  }

  truncate(epoch: number, offset: number): Promise<void> {
    return this.#cut(`truncate ${offset}`, epoch, () => this.log.truncateTo(offset));
  }

  restartAt(epoch: number, offset: number): Promise<void> {
    return this.#cut(`restart ${offset}`, epoch, () => this.log.restartAt(offset));
  }

  #cut(call: string, epoch: number, cut: () => readonly ModelBatch[]): Promise<void> {
    this.calls.push(call);
    return new Promise((resolve, reject) => {
      this.#later(() => {
        if (this.broken || epoch !== this.epoch) {
          reject(new OperationalError("EIO", "broken by the test"));
          return;
        }
        this.onDropped(cut());
        resolve();
      });
    });
  }

  moveStart(offset: number): void {
    this.log.setStart(offset);
    for (const wake of this.#watchers) wake("logStart");
  }

  watch(wake: (change: PartitionChange) => void): () => void {
    this.#watchers.add(wake);
    return () => this.#watchers.delete(wake);
  }

  #later(task: () => void): void {
    if (this.slow) this.#waiting.push(task);
    else task();
  }
}

/** What a leader has of one partition. */
export interface ModelLed {
  readonly log: ModelLog;
  readonly epoch: number;
}

interface LeaderSession {
  epoch: number;
  readonly entries: Map<string, LeaderEntry>;
}

interface LeaderEntry {
  readonly topic: string;
  readonly partition: number;
  asked: Decoded<typeof fetchRequest>["topics"][number]["partitions"][number];
  sentHighWatermark: number;
  sentLogStart: number;
}

/** A leader of many partitions; answers at once. Source: KafkaApis.scala, FetchSession.scala, Partition.scala. */
export class ModelLeader {
  readonly #find: (name: string) => ModelLed | ErrorCode;
  readonly #onFetch: (name: string, replicaId: number, fetchOffset: number) => void;
  readonly #sessions = new Map<number, LeaderSession>();
  #nextSessionId = 1;
  /** Of those in a response, for each partition. */
  batchesMax = 3;
  /** False: sessions are refused. */
  slots = true;

  constructor(find: (name: string) => ModelLed | ErrorCode, onFetch: (name: string, replicaId: number, fetchOffset: number) => void = () => undefined) {
    this.#find = find;
    this.#onFetch = onFetch;
  }

  /** As after a restart. */
  forgetSessions(): void {
    this.#sessions.clear();
  }

  get sessions(): number {
    return this.#sessions.size;
  }

  /** Both ways over the wire. */
  answer<A extends Api>(api: A, version: number, request: Input<A["request"]>): Decoded<A["response"]> {
    const received = overWire(api.request, version, request) as never;
    const { response } = api;
    if ((api as Api) === fetch) return overWire(response, version, this.#fetch(received)) as Decoded<A["response"]>;
    if ((api as Api) === listOffsets) return overWire(response, version, this.#offsets(received)) as Decoded<A["response"]>;
    if ((api as Api) === offsetForLeaderEpoch) return overWire(response, version, this.#epochs(received)) as Decoded<A["response"]>;
    throw new OperationalError("EPROTO", `no follower asks ${api.name}`);
  }

  /** Fencing, leadership. */
  #led(topic: string, partition: number, currentLeaderEpoch: number): ModelLed | ErrorCode {
    const led = this.#find(partitionName(topic, partition));
    if (typeof led === "number") return led;
    if (currentLeaderEpoch < led.epoch) return ErrorCode.FENCED_LEADER_EPOCH;
    return currentLeaderEpoch > led.epoch ? ErrorCode.UNKNOWN_LEADER_EPOCH : led;
  }

  #epochs(request: Decoded<typeof offsetForLeaderEpochRequest>): Input<typeof offsetForLeaderEpochResponse> {
    const topics = request.topics.map(({ topic, partitions }) => ({
      topic,
      partitions: partitions.map(({ partition, currentLeaderEpoch, leaderEpoch }) => {
        const led = this.#led(topic, partition, currentLeaderEpoch);
        if (typeof led === "number") return { partition, errorCode: led };
        const end = led.log.endOffsetForEpoch(leaderEpoch);
        return { partition, errorCode: 0, leaderEpoch: end?.epoch ?? -1, endOffset: end?.endOffset ?? -1 };
      }),
    }));
    return { topics };
  }

  #offsets(request: Decoded<typeof listOffsetsRequest>): Input<typeof listOffsetsResponse> {
    const topics = request.topics.map(({ name, partitions }) => ({
      name,
      partitions: partitions.map(({ partitionIndex, currentLeaderEpoch, timestamp }) => {
        const led = this.#led(name, partitionIndex, currentLeaderEpoch);
        if (typeof led === "number") return { partitionIndex, errorCode: led, oldStyleOffsets: [] };
        return { partitionIndex, errorCode: 0, oldStyleOffsets: [], offset: timestamp === -2 ? led.log.startOffset : led.log.endOffset };
      }),
    }));
    return { topics };
  }

  #fetch(request: Decoded<typeof fetchRequest>): Input<typeof fetchResponse> {
    const { sessionId, sessionEpoch } = request;
    const full = sessionEpoch === 0;
    if (full) this.#sessions.delete(sessionId);
    const session = full ? { epoch: 0, entries: new Map<string, LeaderEntry>() } : this.#sessions.get(sessionId);
    if (session === undefined) return { errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND, responses: [] };
    if (session.epoch !== sessionEpoch) return { errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH, responses: [] };
    session.epoch++;
    update(session, request);
    const id = full && this.slots ? this.#nextSessionId++ : sessionId;
    if (full && this.slots) this.#sessions.set(id, session);
    const responses = [...session.entries.values()].flatMap((entry) => this.#read(entry, request.replicaId, full));
    if (session.entries.size === 0) this.#sessions.delete(id);
    return { sessionId: session.entries.size === 0 || (full && !this.slots) ? 0 : id, responses };
  }

  #read(entry: LeaderEntry, replicaId: number, full: boolean): Input<typeof fetchResponse>["responses"] {
    const { topic, partition, asked } = entry;
    const led = this.#led(topic, partition, asked.currentLeaderEpoch);
    const error = typeof led === "number" ? led : outOfRange(led.log, asked.fetchOffset);
    if (typeof led === "number" || error !== ErrorCode.NONE) {
      entry.sentHighWatermark = -1;
      return [{ topic, partitions: [{ partitionIndex: partition, errorCode: error, highWatermark: -1, records: [] }] }];
    }
    this.#onFetch(partitionName(topic, partition), replicaId, asked.fetchOffset);
    const { highWatermark, startOffset: logStartOffset } = led.log;
    const batches = led.log.batches.filter((batch) => batch.offset + batch.count > asked.fetchOffset).slice(0, this.batchesMax);
    if (!full && batches.length === 0 && highWatermark === entry.sentHighWatermark && logStartOffset === entry.sentLogStart) return [];
    entry.sentHighWatermark = highWatermark;
    entry.sentLogStart = logStartOffset;
    return [{ topic, partitions: [{ partitionIndex: partition, errorCode: 0, highWatermark, logStartOffset, records: batches.length === 0 ? [] : [encodeBatches(batches)] }] }];
  }
}

function outOfRange(log: ModelLog, offset: number): ErrorCode {
  return offset < log.startOffset || offset > log.endOffset ? ErrorCode.OFFSET_OUT_OF_RANGE : ErrorCode.NONE;
}

function update({ entries }: LeaderSession, request: Decoded<typeof fetchRequest>): void {
  for (const { topic, partitions } of request.topics) {
    for (const asked of partitions) {
      const name = partitionName(topic, asked.partition);
      const entry = entries.get(name);
      if (entry === undefined) entries.set(name, { topic, partition: asked.partition, asked, sentHighWatermark: -1, sentLogStart: -1 });
      else entry.asked = asked;
    }
  }
  for (const { topic, partitions } of request.forgottenTopicsData) {
    for (const partition of partitions) entries.delete(partitionName(topic, partition));
  }
}

/** What the other side reads. */
export function overWire<F extends Fields>(schema: Schema<F>, version: number, value: Input<Schema<F>>): Decoded<Schema<F>> {
  return must(schema.decode(schema.encode(value, version), version), `a ${schema.name} that can be read`);
}
