import {
  BATCH_HEADER_BYTES,
  Codec,
  NO_TIMESTAMP,
  batchBaseOffset,
  batchBaseSequence,
  batchCodec,
  batchFirstTimestamp,
  batchIsControl,
  batchIsTransactional,
  batchLastOffsetDelta,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
  batchTimestampType,
  writeBatchHeader,
  type BatchHeader,
} from "../../records/batch.ts";
import { UNPACKED_BYTES_MAX, compress } from "../../records/compression.ts";
import { legacyMessage } from "../../records/legacy.ts";
import type { RecordReader } from "../../records/record-reader.ts";

export interface Retention {
  /** Whether the record stays that the reader stands on. */
  keep(record: RecordReader): boolean;
  /** A batch of which nothing stays becomes an empty one, which tells of its producer; v2 only. */
  readonly retainEmpty: boolean;
}

export interface Retained {
  /** What stays of the batch: a view of it where all does. Undefined: nothing. */
  readonly bytes: Buffer | undefined;
  /** Why the batch can't be read. */
  readonly problem: string | undefined;
}

const NOTHING: Retained = { bytes: undefined, problem: undefined };

/**
 * What stays of the whole batch of `size` bytes at `at`, of any format and codec. Records are copied as they lie: they
 * count from the batch's base offset and first timestamp, which it keeps, and its last offset delta, which tells the
 * producer's last sequence number. Source: MemoryRecords.filterTo, buildRetainedRecordsInto.
 */
export function retainRecords(reader: RecordReader, batch: Buffer, at: number, size: number, retention: Retention): Retained {
  const kept: Buffer[] = [];
  let all = true;
  let lastOffset = 0;
  let maxTimestamp = NO_TIMESTAMP;
  reader.open(batch, at, size, UNPACKED_BYTES_MAX);
  while (reader.next()) {
    if (!retention.keep(reader)) {
      all = false;
      continue;
    }
    kept.push(reader.buffer.subarray(reader.recordAt, reader.recordEnd));
    lastOffset = reader.offset;
    maxTimestamp = Math.max(maxTimestamp, reader.timestamp);
  }
  if (reader.problem !== undefined) return { bytes: undefined, problem: reader.problem.message };
  if (kept.length === 0) return retention.retainEmpty ? { bytes: emptyBatch(batch, at), problem: undefined } : NOTHING;
  if (all) return { bytes: batch.subarray(at, at + size), problem: undefined };
  const bytes = batchMagic(batch, at) < 2 ? wrapperOf(batch, at, kept, lastOffset, maxTimestamp) : batchOf(batch, at, kept, maxTimestamp);
  return { bytes, problem: undefined };
}

function headerOf(batch: Buffer, at: number): BatchHeader {
  return {
    baseOffset: batchBaseOffset(batch, at),
    leaderEpoch: batchLeaderEpoch(batch, at),
    codec: batchCodec(batch, at),
    timestampType: batchTimestampType(batch, at),
    transactional: batchIsTransactional(batch, at),
    control: batchIsControl(batch, at),
    lastOffsetDelta: batchLastOffsetDelta(batch, at),
    firstTimestamp: batchFirstTimestamp(batch, at),
    maxTimestamp: batchMaxTimestamp(batch, at),
    producerId: batchProducerId(batch, at),
    producerEpoch: batchProducerEpoch(batch, at),
    baseSequence: batchBaseSequence(batch, at),
    recordCount: 0,
  };
}

function batchOf(batch: Buffer, at: number, kept: readonly Buffer[], maxTimestamp: number): Buffer {
  const codec = batchCodec(batch, at);
  const records = codec === Codec.none ? kept : [compress(codec, Buffer.concat(kept), 2)];
  const bytes = Buffer.concat([Buffer.allocUnsafe(BATCH_HEADER_BYTES), ...records]);
  const ownTime = batchTimestampType(batch, at) === "CreateTime";
  writeBatchHeader(bytes, 0, bytes.length, { ...headerOf(batch, at), recordCount: kept.length, maxTimestamp: ownTime ? maxTimestamp : batchMaxTimestamp(batch, at) });
  return bytes;
}

/** As DefaultRecordBatch.writeEmptyHeader: no codec, no first timestamp. */
function emptyBatch(batch: Buffer, at: number): Buffer {
  const bytes = Buffer.allocUnsafe(BATCH_HEADER_BYTES);
  writeBatchHeader(bytes, 0, bytes.length, { ...headerOf(batch, at), codec: Codec.none, firstTimestamp: NO_TIMESTAMP });
  return bytes;
}

/** Inner offsets of format 1 count back from the last one, which tells the wrapper's: they stay true as they are. */
function wrapperOf(batch: Buffer, at: number, kept: readonly Buffer[], lastOffset: number, maxTimestamp: number): Buffer {
  const magic = batchMagic(batch, at) === 0 ? 0 : 1;
  const codec = batchCodec(batch, at);
  const appendTime = batchTimestampType(batch, at) === "LogAppendTime";
  return legacyMessage({
    magic,
    offset: lastOffset,
    codec,
    timestamp: appendTime ? batchMaxTimestamp(batch, at) : maxTimestamp,
    appendTime,
    key: null,
    value: compress(codec, Buffer.concat(kept), magic),
  });
}
