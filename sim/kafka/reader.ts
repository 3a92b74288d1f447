import { errorCode } from "../../src/lib/error.ts";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { fetch } from "../../src/kafka/protocol/messages/fetch.ts";
import { listOffsets } from "../../src/kafka/protocol/messages/list-offsets.ts";
import { batchBaseOffset, batchChecksumHolds, wholeBatchSize } from "../../src/kafka/records/batch.ts";
import { RecordCursor } from "../../src/kafka/records/record-cursor.ts";
import { Violation } from "../zookeeper/violation.ts";
import type { ClusterClient, KnownPartition } from "./client.ts";
import { identityOf } from "./producers.ts";

export interface ReaderOptions {
  readonly topic: string;
  readonly partition: number;
  /** Records may go at the log's start, so that what comes next may lie further on. */
  readonly retained: boolean;
  /** Records that were read may be gone, and others in their place. */
  readonly mayGo: boolean;
  readonly maxWaitMs: number;
  readonly maxBytes: number;
}

const LATEST = -1;
const EARLIEST = -2;
const RETRY_MS = 80;

/** Errors after which a reader asks who leads, and reads on. */
const TRANSIENT = new Set<number>([
  ErrorCode.UNKNOWN_TOPIC_OR_PARTITION,
  ErrorCode.LEADER_NOT_AVAILABLE,
  ErrorCode.NOT_LEADER_OR_FOLLOWER,
  ErrorCode.FENCED_LEADER_EPOCH,
  ErrorCode.UNKNOWN_LEADER_EPOCH,
  ErrorCode.OFFSET_NOT_AVAILABLE,
]);

/**
 * Reads one partition from its start, each record once, mostly from the leader and now and then from another replica.
 * What was readable once stays so, at its offset, and no offset is left out.
 */
export class PartitionReader {
  readonly options: ReaderOptions;
  /** What each offset held, by offset. */
  readonly seen = new Map<number, string>();
  position = 0;
  /** Answers of replicas that did not lead. */
  fromFollowers = 0;
  readonly #client: ClusterClient;
  readonly #cursor = new RecordCursor();
  #over = false;
  #running: Promise<void> | undefined;

  constructor(client: ClusterClient, options: ReaderOptions) {
    this.#client = client;
    this.options = options;
  }

  get #name(): string {
    return `${this.options.topic}-${this.options.partition}`;
  }

  start(): void {
    this.#running = this.#run();
    this.#running.catch((error: unknown) => this.#client.host.fail(error as Error));
  }

  async rest(): Promise<void> {
    this.#over = true;
    await this.#running;
    await this.#client.close();
  }

  async #run(): Promise<void> {
    const { topic, partition } = this.options;
    let stale = true;
    while (!this.#over) {
      if (stale) await this.#client.refresh(topic);
      const known = this.#client.partition(topic, partition);
      try {
        stale = known === undefined || known.leader < 0 || !(await this.#read(known));
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        stale = true;
      }
      if (stale) await this.#client.pause(RETRY_MS);
    }
  }

  /** False where it has to ask who leads. */
  async #read(known: KnownPartition): Promise<boolean> {
    const { topic, partition, maxWaitMs, maxBytes } = this.options;
    const broker = this.#client.draws.chance(1, 6) ? this.#client.draws.pick(known.replicas) : known.leader;
    const answer = await this.#client.send(broker, fetch, 11, {
      maxWaitMs,
      minBytes: 1,
      maxBytes,
      topics: [{ topic, partitions: [{ partition, currentLeaderEpoch: known.leaderEpoch, fetchOffset: this.position, partitionMaxBytes: maxBytes }] }],
      forgottenTopicsData: [],
    });
    const told = answer.responses[0]?.partitions[0];
    if (told === undefined) throw new Violation("fetch", `broker ${broker} answers ${answer.errorCode}, and nothing for ${this.#name}`);
    const { errorCode: error, records, highWatermark } = told;
    if (error === ErrorCode.OFFSET_OUT_OF_RANGE) return broker !== known.leader || this.#outOfRange(known);
    if (TRANSIENT.has(error)) return broker !== known.leader;
    if (error !== ErrorCode.NONE) throw new Violation("fetch", `broker ${broker} answers ${error} for ${this.#name} at ${this.position}`);
    if (broker !== known.leader) this.fromFollowers += 1;
    this.#take(Buffer.concat(records ?? []), highWatermark, broker);
    return true;
  }

  #take(bytes: Buffer, highWatermark: number, broker: number): void {
    const from = this.position;
    for (let at = 0, size = wholeBatchSize(bytes, at, bytes.length); size > 0; at += size, size = wholeBatchSize(bytes, at, bytes.length)) {
      if (!batchChecksumHolds(bytes, at, size)) throw new Violation("fetch", `broker ${broker} sent a damaged batch of ${this.#name} for ${from}`);
      this.#cursor.open(bytes, at, size);
      while (this.#cursor.next()) {
        const offset = batchBaseOffset(bytes, at) + this.#cursor.offsetDelta;
        if (offset < from) continue;
        if (offset >= highWatermark) throw new Violation("only what is committed is read", `broker ${broker} showed offset ${offset} of ${this.#name}, and the high watermark ${highWatermark}`);
        if (offset !== this.position && !this.options.mayGo) throw new Violation("no offset is left out", `broker ${broker} showed ${offset} of ${this.#name} where ${this.position} comes next`);
        this.#put(offset, identityOf(this.#cursor.buffer.subarray(this.#cursor.valueAt, this.#cursor.valueAt + this.#cursor.valueLength)), broker);
        this.position = offset + 1;
      }
    }
  }

  #put(offset: number, value: string, broker: number): void {
    const before = this.seen.get(offset);
    if (before !== undefined && before !== value && !this.options.mayGo) throw new Violation("an offset has one value", `broker ${broker} showed ${value} at ${offset} of ${this.#name}, where ${before} was before`);
    this.seen.set(offset, value);
  }

  /** The leader, in the epoch that it was asked in, does not have what comes next. */
  async #outOfRange({ leader, leaderEpoch }: KnownPartition): Promise<boolean> {
    const { retained, mayGo } = this.options;
    const [earliest, latest] = await Promise.all([this.#offset(leader, leaderEpoch, EARLIEST), this.#offset(leader, leaderEpoch, LATEST)]);
    if (earliest === undefined || latest === undefined) return false;
    if (retained && this.position < earliest) this.position = earliest;
    else if (mayGo && this.position > latest) this.position = latest;
    // Between the two questions a record may have come.
    else if (!mayGo && this.position > latest) {
      throw new Violation("what was read stays", `broker ${leader}, leader in epoch ${leaderEpoch}, has nothing at ${this.position} of ${this.#name}, but ${earliest} to ${latest}`);
    } else if (!retained && this.position < earliest) {
      throw new Violation("what was read stays", `broker ${leader}, leader in epoch ${leaderEpoch}, has ${this.#name} from ${earliest} on only`);
    }
    return true;
  }

  async #offset(leader: number, currentLeaderEpoch: number, timestamp: number): Promise<number | undefined> {
    const { topic, partition } = this.options;
    const answer = await this.#client.send(leader, listOffsets, 5, { replicaId: -1, isolationLevel: 0, topics: [{ name: topic, partitions: [{ partitionIndex: partition, currentLeaderEpoch, timestamp }] }] });
    const told = answer.topics[0]?.partitions[0];
    return told?.errorCode === ErrorCode.NONE ? told.offset : undefined;
  }
}
