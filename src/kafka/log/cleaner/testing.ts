import { AssertionFailure } from "../../../lib/assert.ts";
import {
  BATCH_HEADER_BYTES,
  Codec,
  batchBaseOffset,
  batchBaseSequence,
  batchFirstTimestamp,
  batchIsControl,
  batchIsTransactional,
  batchLastOffset,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchRecordCount,
  batchTimestampType,
  wholeBatchSize,
  writeBatchHeader,
} from "../../records/batch.ts";
import { buildBatch, type BatchOptions } from "../../records/build.ts";
import { UNPACKED_BYTES_MAX, compress } from "../../records/compression.ts";
import { RecordReader } from "../../records/record-reader.ts";
import type { LogConfig } from "../log-config.ts";
import type { PartitionLog } from "../log.ts";
import { LogBench, type TestLimits } from "../testing.ts";
import { LogCleaner, type CleanerSettings } from "./cleaner.ts";

export const compactedConfig: Partial<LogConfig> = { cleanupPolicy: ["compact"], segmentBytes: 600, indexIntervalBytes: 100, minCleanableDirtyRatio: 0, fileDeleteDelayMs: 1000 };

/** One compacted log on a simulated machine, read from its files alone, and a cleaner for it. */
export class CleanerBench extends LogBench {
  readonly settings: CleanerSettings;
  /** What a checkpoint would hold. */
  firstDirty: number | undefined;
  cleaner: LogCleaner;

  constructor(config: Partial<LogConfig> = {}, options: TestLimits & { readonly seed?: number; readonly settings?: Partial<CleanerSettings> } = {}) {
    super({ ...compactedConfig, ...config }, { tailBytesMax: 0, ...options });
    this.settings = { backoffMs: 1000, dedupeBufferBytes: 1024 * 1024, ioBufferLoadFactor: 0.9, ioBufferBytes: 4096, ...options.settings };
    this.cleaner = this.newCleaner();
  }

  /** Belongs to this life of the machine. */
  newCleaner(): LogCleaner {
    return new LogCleaner({
      host: this.node.host,
      logs: () => [this.log],
      firstDirty: () => this.firstDirty,
      setFirstDirty: (_log, offset) => {
        this.firstDirty = offset;
      },
      settings: this.settings,
    });
  }

  /** Records of one batch, as `key=value`, or `key` alone for the mark that it is deleted. Returns the first offset. */
  put(texts: readonly string[], options: BatchOptions = {}): number {
    const records = texts.map((text, index) => {
      const [key = "", value] = text.split("=");
      return { key: Buffer.from(key), value: value === undefined ? null : Buffer.from(value), timestamp: 1000 + index };
    });
    return this.appendBytes(buildBatch(records, options), 0, "coordinator");
  }

  /** Begins a new segment, so that all before it can be cleaned. */
  async roll(): Promise<void> {
    const count = this.log.segments.length;
    while (this.log.segments.length === count) this.put([`roll-${this.log.endOffset}=${"r".repeat(200)}`]);
    await this.ready();
  }

  /** All that was appended is durable and replicated. */
  async ready(): Promise<void> {
    await this.settle(this.log.flush());
    this.log.setHighWatermark(this.log.endOffset);
  }

  clean(): Promise<boolean> {
    return this.settle(this.cleaner.cleanOnce());
  }

  async stored(): Promise<Stored[]> {
    return storedRecords(await this.bytes(), this.log);
  }

  async bytes(): Promise<Buffer> {
    const chunks: Buffer[] = [];
    for (let offset = this.log.startOffset; offset < this.log.endOffset; ) {
      const read = await this.settle(this.log.read({ offset, maxBytes: 1e6, maxOffset: this.log.endOffset, minOneMessage: true }));
      if (read.kind === "refused") throw new AssertionFailure(read.message);
      if (read.bytes === 0) break;
      chunks.push(...read.chunks);
      offset = read.nextOffset;
    }
    return Buffer.concat(chunks);
  }

  /** What a reader of committed records makes of the log: the last value of each key. */
  async fold(): Promise<Map<string, string>> {
    return foldOf(await this.stored());
  }
}

export interface Stored {
  readonly offset: number;
  readonly timestamp: number;
  readonly key: string | null;
  readonly value: string | null;
}

/** The records that a reader of committed ones sees. */
export function storedRecords(bytes: Buffer, log: Pick<PartitionLog, "abortedTransactions" | "endOffset">): Stored[] {
  const aborted = log.abortedTransactions(0, log.endOffset);
  const reader = new RecordReader();
  const found: Stored[] = [];
  for (let at = 0; at < bytes.length; ) {
    const size = wholeBatchSize(bytes, at, bytes.length);
    if (size <= 0) throw new AssertionFailure(`no batch at ${at}`);
    const [base, last, producerId] = [batchBaseOffset(bytes, at), batchLastOffset(bytes, at), batchProducerId(bytes, at)];
    const isAborted = batchIsTransactional(bytes, at) && aborted.some((txn) => txn.producerId === producerId && txn.firstOffset <= base && last <= txn.lastOffset);
    if (!batchIsControl(bytes, at) && !isAborted) {
      reader.open(bytes, at, size, UNPACKED_BYTES_MAX);
      while (reader.next()) found.push({ offset: reader.offset, timestamp: reader.timestamp, key: reader.key()?.toString() ?? null, value: reader.value()?.toString() ?? null });
      if (reader.problem !== undefined) throw new AssertionFailure(reader.problem.message);
    }
    at += size;
  }
  return found;
}

export function foldOf(records: readonly Stored[]): Map<string, string> {
  const fold = new Map<string, string>();
  for (const { key, value } of records) {
    if (key === null) continue;
    if (value === null) fold.delete(key);
    else fold.set(key, value);
  }
  return new Map([...fold].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

/** The v2 batch with its records packed. */
export function packed(batch: Buffer, codec: number): Buffer {
  if (codec === Codec.none) return batch;
  const bytes = Buffer.concat([batch.subarray(0, BATCH_HEADER_BYTES), compress(codec, batch.subarray(BATCH_HEADER_BYTES), 2)]);
  writeBatchHeader(bytes, 0, bytes.length, {
    baseOffset: batchBaseOffset(batch, 0),
    leaderEpoch: batchLeaderEpoch(batch, 0),
    codec,
    timestampType: batchTimestampType(batch, 0),
    transactional: batchIsTransactional(batch, 0),
    control: batchIsControl(batch, 0),
    lastOffsetDelta: batchLastOffsetDelta(batch, 0),
    firstTimestamp: batchFirstTimestamp(batch, 0),
    maxTimestamp: batchMaxTimestamp(batch, 0),
    producerId: batchProducerId(batch, 0),
    producerEpoch: batchProducerEpoch(batch, 0),
    baseSequence: batchBaseSequence(batch, 0),
    recordCount: batchRecordCount(batch, 0),
  });
  return bytes;
}
