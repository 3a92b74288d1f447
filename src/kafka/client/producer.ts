import { assert, must } from "../../lib/assert.ts";
import { errorCode, OperationalError, toError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { Timer } from "../../host/clock.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { initProducerId } from "../protocol/messages/init-producer-id.ts";
import { metadata as metadataApi } from "../protocol/messages/metadata.ts";
import { produce } from "../protocol/messages/produce.ts";
import { addToSequence, BATCH_HEADER_BYTES, Codec, NO_PRODUCER_EPOCH, NO_PRODUCER_ID, NO_SEQUENCE } from "../records/batch.ts";
import { buildBatch, type RecordToWrite } from "../records/build.ts";
import { isCoordinatorMoving, isLeaderMoving, refusal, type KafkaClient, type TopicPartition } from "./kafka-client.ts";
import { partitionFor, StickyPartition } from "./partitioner.ts";

export interface ProducerOptions {
  /** -1: all replicas in sync; 0: nobody answers, and offsets are not known. */
  readonly acks: -1 | 0 | 1;
  /** A number of `Codec`. */
  readonly codec: number;
  /** How long a batch that is not full waits for more. */
  readonly lingerMs: number;
  /** A batch is full with so many bytes, before they are packed; a larger record is a batch by itself. */
  readonly batchBytes: number;
  /** From so many bytes on that wait or are under way, `pressed` says so, and nothing lingers. */
  readonly bufferBytes: number;
  readonly recordBytesMax: number;
  /** How often a batch is sent again. */
  readonly retries: number;
  readonly retryBackoffMs: number;
  readonly requestTimeoutMs: number;
  /** How long a topic may take to be there. */
  readonly metadataTimeoutMs: number;
  /** After so long a topic's partitions are asked for anew. */
  readonly metadataMaxAgeMs: number;
  /** With acks -1: what is sent again is written once. Where the cluster forbids it, as without. */
  readonly idempotent: boolean;
  /** Told of what goes wrong and is tried again. */
  readonly onTrouble?: (error: Error) => void;
}

export interface RecordToSend {
  readonly topic: string;
  readonly partition?: number | undefined;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers?: RecordToWrite["headers"];
  /** Milliseconds since the epoch; without it, now. */
  readonly timestamp?: number;
}

export interface Sent {
  readonly partition: number;
  /** -1: not known, with acks 0, or where a broker only says that it has the record already. */
  readonly offset: number;
}

interface Pending {
  readonly record: RecordToWrite;
  readonly bytes: number;
  resolve(sent: Sent): void;
  reject(error: Error): void;
}

/** What has been given to the producer for a topic that it does not know yet. */
interface Asked {
  readonly toSend: RecordToSend;
  readonly pending: Pending;
}

interface Batch {
  readonly records: Pending[];
  bytes: number;
}

/** Of one partition: batches in their order, the last one open; at most one is under way. */
interface Queue extends TopicPartition {
  readonly batches: Batch[];
  /** How many of the batches, from the first, may go. */
  ready: number;
  delivering: boolean;
  linger: Timer | undefined;
  identity: Identity;
  sequence: number;
}

interface Topic {
  readonly name: string;
  readonly sticky: StickyPartition;
  /** Undefined while it is asked for the first time. */
  partitions: readonly number[] | undefined;
  readonly waiting: Asked[];
  learnedMs: number;
  asking: boolean;
}

/** As whom batches are written. */
interface Identity {
  readonly producerId: number;
  readonly producerEpoch: number;
}

const NOBODY: Identity = { producerId: NO_PRODUCER_ID, producerEpoch: NO_PRODUCER_EPOCH };
/** Batches of format 2 begin with it; Zstandard with the other. */
const BATCHES_FROM = 3;
const ZSTD_FROM = 7;
/** Of a record beside its key, value and headers: lengths, deltas and attributes, at most. */
const RECORD_OVERHEAD_BYTES = 21;
const HEADER_OVERHEAD_BYTES = 10;
/** A request that stands for itself: a batch that waits for replicas must not hold back metadata. */
const CHANNEL = "produce";
const TRANSACTION_TIMEOUT_MS = 60_000;

/** After these the broker knows nothing of this producer, or something else, and has written nothing. */
const IDENTITY_LOST = new Set<number>([ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER, ErrorCode.UNKNOWN_PRODUCER_ID, ErrorCode.INVALID_PRODUCER_EPOCH]);
/** After these the batch may have been written all the same. */
const UNCERTAIN = new Set<number>([ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND, ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.KAFKA_STORAGE_ERROR]);

/**
 * Writes records to the leaders of their partitions, in batches, each partition's in the order in which they were
 * given: one batch of a partition is under way at a time. Without idempotence, a batch whose answer was lost may be
 * there twice. Source: clients/…/producer/{KafkaProducer,internals/{RecordAccumulator,Sender}}.java.
 * Left out: transactions, several batches of one partition under way.
 */
export class Producer {
  readonly #client: KafkaClient;
  readonly #options: ProducerOptions;
  readonly #topics = new Map<string, Topic>();
  readonly #queues = new Map<string, Queue>();
  readonly #tasks: TaskGroup;
  /** Brokers that were sent what is never answered. */
  readonly #posted = new Set<number>();
  readonly #drained: (() => void)[] = [];
  readonly #flushed: (() => void)[] = [];
  #identity: Promise<Identity> | undefined;
  /** False once the cluster has forbidden it. */
  #idempotent: boolean;
  #bufferedBytes = 0;
  #unanswered = 0;
  /** How many flushes wait: nothing lingers. */
  #flushing = 0;
  #closed = false;

  constructor(client: KafkaClient, options: ProducerOptions) {
    assert(!options.idempotent || options.acks === -1, "an idempotent producer needs acks -1");
    this.#client = client;
    this.#options = options;
    this.#idempotent = options.idempotent;
    this.#tasks = new TaskGroup((error) => client.host.fail(error));
  }

  /** Whether the caller should wait for `drained` before it gives more. */
  get pressed(): boolean {
    return this.#bufferedBytes >= this.#options.bufferBytes;
  }

  /** Resolves when there is room again, at once where there is. */
  drained(): Promise<void> {
    return this.pressed ? new Promise((resolve) => this.#drained.push(resolve)) : Promise.resolve();
  }

  /** Rejects with the error code's name, or operationally, when it can't be written, or nobody knows whether it was. */
  send(toSend: RecordToSend): Promise<Sent> {
    if (this.#closed) return Promise.reject(new OperationalError("ERR_CLOSED", "the producer is closed"));
    const { key, value, headers = [], timestamp = this.#client.host.clock.wallMs() } = toSend;
    const bytes = recordBytes(toSend);
    if (bytes > this.#options.recordBytesMax) {
      return Promise.reject(new OperationalError("MESSAGE_TOO_LARGE", `a record for ${toSend.topic} has ${bytes} bytes, and at most ${this.#options.recordBytesMax} are allowed`));
    }
    return new Promise((resolve, reject) => {
      this.#bufferedBytes += bytes;
      this.#unanswered++;
      const pending: Pending = { record: { key, value, headers, timestamp }, bytes, resolve, reject };
      const topic = this.#topic(toSend.topic);
      if (topic.partitions === undefined) topic.waiting.push({ toSend, pending });
      else this.#append(topic, topic.partitions, { toSend, pending });
      if (this.pressed) this.#release();
    });
  }

  /** Resolves when all that was sent so far, and meanwhile, is answered; nothing waits to be joined by more. */
  async flush(): Promise<void> {
    if (this.#unanswered === 0) return;
    this.#flushing++;
    this.#release();
    await new Promise<void>((resolve) => this.#flushed.push(resolve));
    this.#flushing--;
  }

  /** What was sent is answered; what comes later is refused (ERR_CLOSED). Closing the client instead ends everything at once. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flush();
    await this.#tasks.settled();
    await Promise.all([...this.#posted].map((broker) => this.#received(broker)));
  }

  /** With acks 0 nothing says that a broker has it, but an answer to what comes behind it. */
  async #received(broker: number): Promise<void> {
    try {
      await this.#client.send(broker, metadataApi, () => ({ topics: [], allowAutoTopicCreation: false, includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false }), { channel: CHANNEL, timeoutMs: this.#options.requestTimeoutMs });
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      this.#options.onTrouble?.(toError(error));
    }
  }

  #topic(name: string): Topic {
    const known = this.#topics.get(name);
    const nowMs = this.#client.host.clock.monotonicMs();
    const topic: Topic = known ?? { name, sticky: new StickyPartition(this.#client.host.random), partitions: undefined, waiting: [], learnedMs: nowMs, asking: false };
    this.#topics.set(name, topic);
    const stale = topic.partitions === undefined || nowMs - topic.learnedMs >= this.#options.metadataMaxAgeMs;
    if (stale && !topic.asking) {
      topic.asking = true;
      this.#tasks.run(() => this.#learn(topic));
    }
    return topic;
  }

  async #learn(topic: Topic): Promise<void> {
    const client = this.#client;
    try {
      const code = await client.retry({ again: isLeaderMoving, onFailure: () => undefined, retryTimeoutMs: this.#options.metadataTimeoutMs }, async () => {
        const { topics } = await client.metadata([topic.name], { create: true });
        const told = topics[0]?.errorCode ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
        return told === ErrorCode.NONE && topics[0]?.partitions.length === 0 ? ErrorCode.LEADER_NOT_AVAILABLE : told;
      });
      if (code !== ErrorCode.NONE) throw refusal(`topic ${topic.name}`, code);
      topic.partitions = client.partitionsOf(topic.name);
      topic.learnedMs = client.host.clock.monotonicMs();
      for (const asked of topic.waiting.splice(0)) this.#append(topic, topic.partitions, asked);
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      // What is known goes on being used; who waits for the first answer has none.
      for (const { pending } of topic.waiting.splice(0)) this.#settle(pending, () => pending.reject(toError(error)));
    } finally {
      topic.asking = false;
    }
  }

  #append(topic: Topic, partitions: readonly number[], { toSend, pending }: Asked): void {
    const { name } = topic;
    let { partition } = toSend;
    if (partition !== undefined && !partitions.includes(partition)) {
      const error = refusal(`partition ${partition} of ${name}, which has ${partitions.length}`, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
      return this.#settle(pending, () => pending.reject(error));
    }
    if (partition === undefined && toSend.key !== null) partition = partitionFor(toSend.key, partitions.length);
    if (partition === undefined) {
      const { current } = topic.sticky;
      const open = current < 0 ? undefined : this.#queues.get(`${name}-${current}`);
      partition = open !== undefined && this.#openBatch(open, pending.bytes) !== undefined ? current : topic.sticky.moveOn(partitions, partitions.filter((index) => (this.#client.partition({ topic: name, partition: index })?.leader ?? -1) >= 0));
    }
    const queue = this.#queue(name, partition);
    const open = this.#openBatch(queue, pending.bytes);
    if (open === undefined) {
      queue.ready = queue.batches.length;
      queue.batches.push({ records: [pending], bytes: BATCH_HEADER_BYTES + pending.bytes });
    } else {
      open.records.push(pending);
      open.bytes += pending.bytes;
    }
    this.#schedule(queue);
  }

  #queue(topic: string, partition: number): Queue {
    const name = `${topic}-${partition}`;
    const queue = this.#queues.get(name) ?? { topic, partition, batches: [], ready: 0, delivering: false, linger: undefined, identity: NOBODY, sequence: 0 };
    this.#queues.set(name, queue);
    return queue;
  }

  /** The last batch that has not gone, where it has room; one that may go but waits for the one before takes more, or each record would be a batch. */
  #openBatch(queue: Queue, bytes: number): Batch | undefined {
    const last = queue.batches.at(-1);
    return last !== undefined && last.bytes + bytes <= this.#options.batchBytes ? last : undefined;
  }

  /** Sees to it that the first batch goes when it is ready, or has waited. */
  #schedule(queue: Queue): void {
    const last = queue.batches.at(-1);
    if (last === undefined) return;
    if (last.bytes >= this.#options.batchBytes || this.#flushing > 0 || this.pressed) queue.ready = queue.batches.length;
    if (queue.ready > 0) return this.#begin(queue);
    queue.linger ??= this.#client.host.timers.after(this.#options.lingerMs, () => {
      queue.linger = undefined;
      // One that is under way is followed at once by what has gathered behind it.
      queue.ready = queue.batches.length;
      this.#begin(queue);
    });
  }

  #release(): void {
    for (const queue of this.#queues.values()) this.#schedule(queue);
  }

  #begin(queue: Queue): void {
    if (queue.delivering || queue.ready === 0) return;
    queue.delivering = true;
    queue.linger?.cancel();
    queue.linger = undefined;
    this.#tasks.run(async () => {
      for (let batch = queue.batches[0]; batch !== undefined && queue.ready > 0; batch = queue.batches[0]) {
        queue.batches.shift();
        queue.ready--;
        await this.#deliver(queue, batch);
      }
      queue.delivering = false;
      this.#schedule(queue);
    });
  }

  /** Until it is acknowledged, refused for good, or was sent as often as it may be. */
  async #deliver(queue: Queue, batch: Batch): Promise<void> {
    const { retries, retryBackoffMs, onTrouble } = this.#options;
    const client = this.#client;
    let uncertain = false;
    for (let attempt = 0; ; attempt++) {
      let error: Error;
      try {
        if (attempt > 0) await client.pause(retryBackoffMs);
        // Nothing is said of who leads where something was wrong with it.
        if (attempt > 0 || (client.partition(queue)?.leader ?? -1) < 0) await client.metadata([queue.topic]);
        const { code, offset, message } = await this.#attempt(queue, batch);
        if (code === ErrorCode.NONE || code === ErrorCode.DUPLICATE_SEQUENCE_NUMBER) {
          queue.sequence = addToSequence(queue.sequence, batch.records.length);
          return this.#acknowledge(queue, batch, code === ErrorCode.NONE ? offset : -1);
        }
        if (code === ErrorCode.MESSAGE_TOO_LARGE && batch.records.length > 1) return this.#split(queue, batch);
        error = refusal(`a batch for ${queue.topic}-${queue.partition}`, code, message);
        uncertain ||= UNCERTAIN.has(code);
        if (IDENTITY_LOST.has(code) && this.#idempotent) this.#forgetIdentity(queue);
        else if (!isLeaderMoving(code) && code !== ErrorCode.CORRUPT_MESSAGE) return this.#giveUp(queue, batch, error, uncertain);
      } catch (thrown) {
        if (errorCode(thrown) === undefined) throw thrown;
        error = toError(thrown);
        // A request that went out may have arrived; with what never found a leader the batch has not left.
        uncertain ||= errorCode(thrown) !== "ECONNREFUSED" && errorCode(thrown) !== "BROKER_NOT_AVAILABLE" && errorCode(thrown) !== "LEADER_NOT_AVAILABLE";
        if (!client.isPassing(thrown)) return this.#giveUp(queue, batch, error, uncertain);
      }
      if (attempt >= retries) return this.#giveUp(queue, batch, error, uncertain);
      onTrouble?.(error);
    }
  }

  async #attempt(queue: Queue, batch: Batch): Promise<{ readonly code: number; readonly offset: number; readonly message: string | null }> {
    const { acks, codec, requestTimeoutMs } = this.#options;
    const client = this.#client;
    const { leader = -1 } = client.partition(queue) ?? {};
    if (leader < 0) return { code: ErrorCode.LEADER_NOT_AVAILABLE, offset: -1, message: null };
    if (this.#idempotent) await this.#identify(queue);
    const { producerId, producerEpoch } = queue.identity;
    const baseSequence = producerId === NO_PRODUCER_ID ? NO_SEQUENCE : queue.sequence;
    const records = buildBatch(batch.records.map(({ record }) => record), { codec, producerId, producerEpoch, baseSequence });
    const request = { transactionalId: null, acks, timeoutMs: requestTimeoutMs, topicData: [{ name: queue.topic, partitionData: [{ index: queue.partition, records: [records] }] }] };
    const options = { channel: CHANNEL, timeoutMs: requestTimeoutMs, versions: { first: codec === Codec.zstd ? ZSTD_FROM : BATCHES_FROM } };
    if (acks === 0) {
      await client.post(leader, produce, () => request, options);
      this.#posted.add(leader);
      return { code: ErrorCode.NONE, offset: -1, message: null };
    }
    const { response } = await client.send(leader, produce, () => request, options);
    const told = must(response.responses[0]?.partitionResponses[0], `the answer for ${queue.topic}-${queue.partition}`);
    return { code: told.errorCode, offset: told.baseOffset, message: told.recordErrors[0]?.batchIndexErrorMessage ?? told.errorMessage };
  }

  /** Its records begin a new count under every identity. */
  async #identify(queue: Queue): Promise<void> {
    if (queue.identity !== NOBODY) return;
    this.#identity ??= this.#newIdentity();
    try {
      queue.identity = await this.#identity;
      queue.sequence = 0;
    } catch (error) {
      this.#identity = undefined;
      if (errorCode(error) !== "CLUSTER_AUTHORIZATION_FAILED" && errorCode(error) !== "ERR_UNSUPPORTED_VERSION") throw error;
      this.#idempotent = false;
      this.#options.onTrouble?.(toError(error));
    }
  }

  async #newIdentity(): Promise<Identity> {
    const client = this.#client;
    const { response } = await client.retry({ again: (answer) => isCoordinatorMoving(answer.response.errorCode) }, () => client.send("any", initProducerId, () => ({ transactionalId: null, transactionTimeoutMs: TRANSACTION_TIMEOUT_MS })));
    if (response.errorCode !== ErrorCode.NONE) throw refusal("a producer id", response.errorCode);
    return { producerId: response.producerId, producerEpoch: response.producerEpoch };
  }

  /** The next batch of the partition goes under another id, from sequence 0 on. */
  #forgetIdentity(queue: Queue): void {
    queue.identity = NOBODY;
    this.#identity = undefined;
  }

  #split(queue: Queue, { records }: Batch): void {
    const half = Math.ceil(records.length / 2);
    const halves = [records.slice(0, half), records.slice(half)].map((part): Batch => ({ records: part, bytes: part.reduce((sum, { bytes }) => sum + bytes, BATCH_HEADER_BYTES) }));
    queue.batches.unshift(...halves);
    queue.ready += halves.length;
  }

  #acknowledge(queue: Queue, batch: Batch, base: number): void {
    const { partition } = queue;
    for (const [index, pending] of batch.records.entries()) this.#settle(pending, () => pending.resolve({ partition, offset: base < 0 ? -1 : base + index }));
  }

  #giveUp(queue: Queue, batch: Batch, error: Error, uncertain: boolean): void {
    // Whether the sequence numbers are taken, nobody knows: the next batch must not depend on it.
    if (uncertain && queue.identity !== NOBODY) this.#forgetIdentity(queue);
    for (const pending of batch.records) this.#settle(pending, () => pending.reject(error));
  }

  #settle({ bytes }: Pending, tell: () => void): void {
    this.#bufferedBytes -= bytes;
    this.#unanswered--;
    tell();
    if (!this.pressed) for (const resolve of this.#drained.splice(0)) resolve();
    if (this.#unanswered === 0) for (const resolve of this.#flushed.splice(0)) resolve();
  }
}

function recordBytes({ key, value, headers = [] }: RecordToSend): number {
  const headerBytes = headers.reduce((sum, header) => sum + HEADER_OVERHEAD_BYTES + Buffer.byteLength(header.key) + (header.value?.length ?? 0), 0);
  return RECORD_OVERHEAD_BYTES + (key?.length ?? 0) + (value?.length ?? 0) + headerBytes;
}
