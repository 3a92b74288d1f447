import { batchRecordCount } from "./batch.ts";
import { buildBatch } from "./build.ts";
import { RecordCursor } from "./record-cursor.ts";

/** The end of a transaction in one partition. Source: ControlRecordType, EndTransactionMarker. */
export interface EndTxnMarker {
  readonly committed: boolean;
  readonly coordinatorEpoch: number;
  /** Milliseconds since the epoch. */
  readonly timestamp: number;
}

const KEY_BYTES = 4;
const VALUE_BYTES = 6;
const ABORT = 0;
const COMMIT = 1;

/**
 * The marker in the control batch of `size` bytes at `at`. Undefined where compaction has emptied the batch, where it
 * is of a kind that brokers without Raft ignore, or where it cannot be read.
 */
export function readEndTxnMarker(batch: Buffer, at: number, size: number): EndTxnMarker | undefined {
  if (batchRecordCount(batch, at) === 0) return undefined;
  const record = new RecordCursor();
  record.open(batch, at, size);
  if (!record.next() || record.keyLength < KEY_BYTES || record.valueLength < VALUE_BYTES) return undefined;
  const type = record.buffer.readInt16BE(record.keyAt + 2);
  if (type !== ABORT && type !== COMMIT) return undefined;
  if (record.buffer.readInt16BE(record.keyAt) < 0 || record.buffer.readInt16BE(record.valueAt) < 0) return undefined;
  return {
    committed: type === COMMIT,
    coordinatorEpoch: record.buffer.readInt32BE(record.valueAt + 2),
    timestamp: record.timestamp,
  };
}

export function buildEndTxnMarker(producerId: number, producerEpoch: number, marker: EndTxnMarker): Buffer {
  const key = Buffer.alloc(KEY_BYTES);
  key.writeInt16BE(marker.committed ? COMMIT : ABORT, 2);
  const value = Buffer.alloc(VALUE_BYTES);
  value.writeInt32BE(marker.coordinatorEpoch, 2);
  return buildBatch([{ key, value, timestamp: marker.timestamp }], { producerId, producerEpoch, transactional: true, control: true });
}
