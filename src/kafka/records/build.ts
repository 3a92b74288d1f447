import { Codec, type TimestampType } from "./batch.ts";
import { BatchBuilder, type HeaderToWrite } from "./batch-builder.ts";

export interface RecordToWrite {
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
  readonly headers?: readonly HeaderToWrite[];
}

export interface BatchOptions {
  readonly codec?: number;
  readonly baseOffset?: number;
  readonly leaderEpoch?: number;
  readonly timestampType?: TimestampType;
  readonly producerId?: number;
  readonly producerEpoch?: number;
  readonly baseSequence?: number;
  readonly transactional?: boolean;
  readonly control?: boolean;
}

/** A v2 batch of at least one record, for writers inside the broker. */
export function buildBatch(records: readonly RecordToWrite[], { codec = Codec.none, ...header }: BatchOptions = {}): Buffer {
  const builder = new BatchBuilder(codec);
  for (const [delta, record] of records.entries()) builder.add(delta, record.timestamp, record.key, record.value, record.headers);
  return builder.finish(header);
}
