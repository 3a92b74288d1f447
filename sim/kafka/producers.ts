import { errorCode } from "../../src/lib/error.ts";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { initProducerId } from "../../src/kafka/protocol/messages/init-producer-id.ts";
import { produce } from "../../src/kafka/protocol/messages/produce.ts";
import { buildBatch, type RecordToWrite } from "../../src/kafka/records/build.ts";
import { Violation } from "../zookeeper/violation.ts";
import type { ClusterClient } from "./client.ts";

export interface ProducerOptions {
  readonly name: string;
  readonly topic: string;
  readonly partition: number;
  /** Batches under way at a time. */
  readonly window: number;
  readonly pauseMsMax: number;
  readonly valueBytesMax: number;
  /** Of a record's value now and then; 0: never. */
  readonly largeBytes: number;
}

/** What a broker may answer where nothing is wrong with the batch. */
const TRANSIENT = new Set<number>([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.REQUEST_TIMED_OUT,
  ErrorCode.NOT_ENOUGH_REPLICAS,
  ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND,
]);

const RETRY_MS = 60;
/** An answer that comes so often in a row is no accident. */
const OUT_OF_ORDER_TIMES_MAX = 8;
const PRODUCE_TIMEOUT_MS = 1500;

/** What a record says: who wrote it, the how manieth of its records it is; what follows is there to fill. */
export function valueOf(producer: string, index: number, length = 0): Buffer {
  return Buffer.from(`${producer}:${index} `.padEnd(length, "."));
}

/** The same without the filling. */
export function identityOf(value: Buffer): string {
  const text = value.toString("latin1", 0, 64);
  return text.slice(0, text.indexOf(" "));
}

interface Batch {
  readonly first: number;
  readonly records: readonly RecordToWrite[];
}

/** Both kinds of producer: each writes numbered records to one partition. */
abstract class PartitionProducer {
  readonly options: ProducerOptions;
  /** Records made so far: 0, 1, 2, … */
  created = 0;
  /** By record: the offset that was told, -1 where an answer told none. */
  readonly acknowledged = new Map<number, number>();
  /** What brokers answered, by error code; undefined stands for no answer. */
  readonly answers = new Map<number | undefined, number>();
  /** The longest time between two acknowledgements. */
  longestGapMs = 0;
  #acknowledgedMs: number | undefined;
  protected readonly client: ClusterClient;
  protected over = false;
  #stale = true;
  #running: Promise<void> | undefined;

  constructor(client: ClusterClient, options: ProducerOptions) {
    this.client = client;
    this.options = options;
  }

  start(): void {
    this.#running = this.run();
    // What goes wrong in a client is found where it happens.
    this.#running.catch((error: unknown) => this.client.host.fail(error as Error));
  }

  /** Makes no more records; fulfilled when there is nothing left to be acknowledged. */
  async rest(): Promise<void> {
    this.over = true;
    await this.#running;
    await this.client.close();
  }

  protected abstract run(): Promise<void>;

  protected makeBatch(): Batch {
    const { draws, host } = this.client;
    const { name, largeBytes, valueBytesMax } = this.options;
    const first = this.created;
    const large = largeBytes > 0 && draws.chance(1, 25);
    const count = large ? 1 : draws.pick([1, 1, 1, 2, 5]);
    const records = Array.from({ length: count }, (_, index) => ({ key: null, value: valueOf(name, first + index, large ? largeBytes : draws.between(12, valueBytesMax)), timestamp: host.clock.wallMs() }));
    this.created += count;
    return { first, records };
  }

  /** The leader's id, once it is known anew where it was in doubt. */
  protected async leader(): Promise<number | undefined> {
    const { topic, partition } = this.options;
    if (this.#stale) await this.client.refresh(topic);
    const leader = this.client.partition(topic, partition)?.leader ?? -1;
    this.#stale = leader < 0;
    return leader < 0 ? undefined : leader;
  }

  /** What became of a batch; undefined where nobody knows. */
  protected async attempt(leader: number, batch: Buffer, acks: 1 | -1): Promise<{ readonly error: number; readonly offset: number } | undefined> {
    const { topic, partition } = this.options;
    const request = { transactionalId: null, acks, timeoutMs: PRODUCE_TIMEOUT_MS, topicData: [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }] };
    let outcome: { error: number; offset: number } | undefined;
    try {
      const answer = await this.client.send(leader, produce, 8, request);
      const told = answer.responses[0]?.partitionResponses[0];
      if (told === undefined) throw new Violation("produce", `broker ${leader} answers nothing for ${topic}-${partition}`);
      outcome = { error: told.errorCode, offset: told.baseOffset };
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
    this.answers.set(outcome?.error, (this.answers.get(outcome?.error) ?? 0) + 1);
    if (outcome?.error !== ErrorCode.NONE) this.#stale = true;
    return outcome;
  }

  protected note(batch: Batch, offset: number): void {
    const nowMs = this.client.host.clock.monotonicMs();
    this.longestGapMs = Math.max(this.longestGapMs, nowMs - (this.#acknowledgedMs ?? nowMs));
    this.#acknowledgedMs = nowMs;
    for (const index of batch.records.keys()) this.acknowledged.set(batch.first + index, offset < 0 ? -1 : offset + index);
  }

  protected refuse(error: number, batch: Batch): never {
    throw new Violation("produce", `${this.options.name}'s batch at ${batch.first} is answered with ${error}`);
  }
}

/**
 * Acks=all and a sequence number for each record, as Apache's producer with enable.idempotence: up to `window` batches
 * follow each other; after a failure those that were not acknowledged go again, one at a time and in their order.
 *
 * A broker that recovers from a snapshot knows the last batch of each producer only, and takes a repetition of an
 * earlier one for a gap. Then, again as Apache's, the producer goes on under another id, and may repeat itself.
 */
export class IdempotentProducer extends PartitionProducer {
  /** Records that may be there twice. */
  readonly repeated = new Set<number>();
  readonly #pending: Batch[] = [];
  #producerId = -1;
  /** The record that has sequence number 0, and whether any was acknowledged under this id. */
  #firstOfId = 0;
  #isKnown = false;
  #outOfOrder = 0;

  protected async run(): Promise<void> {
    while (!this.over || this.#pending.length > 0) {
      const leader = await this.leader();
      if (leader === undefined || !(await this.#identified())) await this.client.pause(RETRY_MS);
      else if (this.#pending.length === 0) await this.#stream(leader);
      else if (!(await this.#send(leader, this.#pending[0] as Batch))) await this.#afterFailure();
    }
  }

  async #identified(): Promise<boolean> {
    if (this.#producerId >= 0) return true;
    try {
      const given = await this.client.send(this.client.anyBroker(), initProducerId, 4, { transactionalId: null, transactionTimeoutMs: 60_000 });
      if (given.errorCode === ErrorCode.NONE) this.#producerId = given.producerId;
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
    }
    return this.#producerId >= 0;
  }

  /** Until something fails. */
  async #stream(leader: number): Promise<void> {
    const { draws } = this.client;
    const { window, pauseMsMax } = this.options;
    const flying = new Set<Promise<void>>();
    const flight = { isSound: true };
    const send = async (batch: Batch): Promise<void> => {
      if (!(await this.#send(leader, batch))) flight.isSound = false;
    };
    while (flight.isSound && !this.over) {
      const batch = this.makeBatch();
      this.#pending.push(batch);
      const sent = send(batch).finally(() => flying.delete(sent));
      flying.add(sent);
      // A leader without a trace of this producer takes any sequence number for the first.
      if (flying.size >= (this.#isKnown ? window : 1)) await Promise.race(flying);
      if (draws.chance(1, 2)) await this.client.pause(draws.below(pauseMsMax * 1000 + 1) / 1000);
    }
    await Promise.all(flying);
    this.#outOfOrder = 0;
  }

  async #send(leader: number, batch: Batch): Promise<boolean> {
    const place = { producerId: this.#producerId, producerEpoch: 0, baseSequence: batch.first - this.#firstOfId };
    const outcome = await this.attempt(leader, buildBatch(batch.records, place), -1);
    switch (outcome?.error) {
      case undefined:
        return false;
      case ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER:
        this.#outOfOrder += 1;
        return false;
      case ErrorCode.NONE:
        this.note(batch, outcome?.offset ?? -1);
        this.#pending.splice(this.#pending.indexOf(batch), 1);
        this.#isKnown = true;
        this.#outOfOrder = 0;
        return true;
      default:
        return TRANSIENT.has(outcome?.error ?? 0) ? false : this.refuse(outcome?.error ?? 0, batch);
    }
  }

  async #afterFailure(): Promise<void> {
    const [oldest] = this.#pending;
    if (this.#outOfOrder > OUT_OF_ORDER_TIMES_MAX && oldest !== undefined) {
      if (this.options.window === 1) throw new Violation("what is acknowledged stays", `${this.options.name}:${oldest.first} comes next, and is out of order`);
      for (const batch of this.#pending) for (const index of batch.records.keys()) this.repeated.add(batch.first + index);
      this.#producerId = -1;
      this.#firstOfId = oldest.first;
      this.#isKnown = false;
      this.#outOfOrder = 0;
    }
    await this.client.pause(RETRY_MS);
  }
}

/** Acks=1, and nothing is ever sent twice. */
export class PlainProducer extends PartitionProducer {
  protected async run(): Promise<void> {
    const { draws } = this.client;
    while (!this.over) {
      const leader = await this.leader();
      if (leader === undefined) {
        await this.client.pause(RETRY_MS);
        continue;
      }
      const batch = this.makeBatch();
      const outcome = await this.attempt(leader, buildBatch(batch.records), 1);
      if (outcome?.error === ErrorCode.NONE) this.note(batch, outcome.offset);
      else if (outcome !== undefined && !TRANSIENT.has(outcome.error)) this.refuse(outcome.error, batch);
      else await this.client.pause(RETRY_MS);
      await this.client.pause(draws.below(this.options.pauseMsMax * 1000 + 1) / 1000);
    }
  }
}
