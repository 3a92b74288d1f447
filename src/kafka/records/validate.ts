import { ErrorCode } from "../protocol/error-codes.ts";
import {
  BATCH_HEADER_BYTES,
  Codec,
  NO_PRODUCER_ID,
  NO_TIMESTAMP,
  batchBaseOffset,
  batchBaseSequence,
  batchChecksumHolds,
  batchCodec,
  batchFirstTimestamp,
  batchIsControl,
  batchLastOffset,
  batchLastOffsetDelta,
  batchMagic,
  batchMaxTimestamp,
  batchProducerId,
  batchRecordCount,
  batchTimestampType,
  wholeBatchSize,
  type TimestampType,
} from "./batch.ts";
import { RecordCursor } from "./record-cursor.ts";

/** What a topic and the writer's role demand of a batch that is to be appended. */
export interface ProduceRules {
  /** Coordinators of this broker write control batches and batches without sequence numbers; clients may not. */
  readonly origin: "client" | "coordinator";
  readonly maxMessageBytes: number;
  readonly compacted: boolean;
  readonly timestampType: TimestampType;
  readonly timestampDifferenceMaxMs: number;
}

/** One record that was refused: `record_errors` of Produce 8 and later. */
export interface RecordError {
  readonly batchIndex: number;
  readonly message: string;
}

export interface Refusal {
  readonly kind: "refused";
  readonly error: ErrorCode;
  readonly message: string;
  readonly recordErrors?: readonly RecordError[];
}

export interface ValidBatch {
  readonly kind: "batch";
  /** The batch is records[0, size); a cut-off batch behind it is to be ignored. */
  readonly size: number;
  readonly recordCount: number;
  /** Of the records, whatever the header says; -1 where none has a timestamp. */
  readonly maxTimestamp: number;
}

/** Not one whole batch: nothing to append, and no error. */
export interface NoBatch {
  readonly kind: "empty";
}

export function refused(error: ErrorCode, message: string, recordErrors?: readonly RecordError[]): Refusal {
  return recordErrors === undefined ? { kind: "refused", error, message } : { kind: "refused", error, message, recordErrors };
}

/**
 * The form that a Produce request of this version may have: from 3 on exactly one v2 batch, zstd only from 7 on.
 * Undefined where all is well. Source: ProduceRequest.validateRecords.
 */
export function checkProduceFormat(records: Buffer, apiVersion: number): Refusal | undefined {
  if (apiVersion < 3) return undefined;
  const size = wholeBatchSize(records, 0, records.length);
  if (size < 0) return corruptHeader();
  if (size === 0) return refused(ErrorCode.INVALID_RECORD, `A produce request of version ${apiVersion} must hold a record batch.`);
  if (batchMagic(records, 0) !== 2) {
    return refused(ErrorCode.INVALID_RECORD, `A produce request of version ${apiVersion} must hold batches of format 2, not ${batchMagic(records, 0)}.`);
  }
  if (apiVersion < 7 && batchCodec(records, 0) === Codec.zstd) {
    return refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, `A produce request of version ${apiVersion} must not use zstd.`);
  }
  return wholeBatchSize(records, size, records.length) === 0
    ? undefined
    : refused(ErrorCode.INVALID_RECORD, `A produce request of version ${apiVersion} must hold one record batch a partition.`);
}

function corruptHeader(): Refusal {
  return refused(ErrorCode.CORRUPT_MESSAGE, "A record batch has an impossible size or format number.");
}

/**
 * Bytes of the whole batches that a leader sent, the first `size` of them to be appended; a cut-off one may follow.
 * `lastOffset` is -1 where there is none. Their checksums must hold and their offsets rise. Source: Log.analyzeAndValidateRecords, for followers.
 */
export function checkReplicated(records: Buffer): { readonly kind: "batches"; readonly size: number; readonly lastOffset: number } | Refusal {
  let lastOffset = -1;
  for (let at = 0; ; ) {
    const size = wholeBatchSize(records, at, records.length);
    if (size === 0) return { kind: "batches", size: at, lastOffset };
    if (size < 0) return corruptHeader();
    if (!batchChecksumHolds(records, at, size)) return refused(ErrorCode.CORRUPT_MESSAGE, "The checksum of a record batch does not hold.");
    const next = batchLastOffset(records, at);
    if (batchBaseOffset(records, at) <= lastOffset || next < batchBaseOffset(records, at) || !Number.isSafeInteger(next)) {
      return refused(ErrorCode.CORRUPT_MESSAGE, `A batch of offsets ${batchBaseOffset(records, at)} to ${next} follows ${lastOffset}.`);
    }
    lastOffset = next;
    at += size;
  }
}

/**
 * Decides whether produced records may be appended. Uncompressed batches are walked record by record; of compressed
 * ones only the header is believed, where Apache decompresses them to compare counts, keys, offsets and timestamps.
 * Stricter than 2.7.1 in one thing: offset deltas of an uncompressed batch must count up from 0 (later versions
 * demand it of compressed ones), because a reader would otherwise see offsets twice or out of order.
 * v0 and v1 messages, which would have to be converted, are refused.
 * Source: Log.analyzeAndValidateRecords and LogValidator.
 */
export class RecordsValidator {
  readonly #cursor = new RecordCursor();

  validate(records: Buffer, rules: ProduceRules, wallMs: number): ValidBatch | NoBatch | Refusal {
    const size = wholeBatchSize(records, 0, records.length);
    if (size === 0) return { kind: "empty" };
    if (size < 0) return corruptHeader();
    const intact = this.#checkIntact(records, rules);
    if (intact !== undefined) return intact;
    if (batchMagic(records, 0) < 2) {
      return refused(ErrorCode.UNSUPPORTED_FOR_MESSAGE_FORMAT, `Messages of format ${batchMagic(records, 0)} are not accepted; write format 2.`);
    }
    if (wholeBatchSize(records, size, records.length) !== 0) {
      return refused(ErrorCode.INVALID_RECORD, "There is more than one record batch.");
    }
    const header = checkHeader(records, rules);
    if (header !== undefined) return header;
    return batchCodec(records, 0) === Codec.none ? this.#walk(records, size, rules, wallMs) : believe(records, size, rules, wallMs);
  }

  /** Size, checksum and base offset of every batch. */
  #checkIntact(records: Buffer, rules: ProduceRules): Refusal | undefined {
    for (let at = 0; ; ) {
      const size = wholeBatchSize(records, at, records.length);
      if (size === 0) return undefined;
      if (size < 0) return corruptHeader();
      if (rules.origin === "client" && batchMagic(records, at) === 2 && batchBaseOffset(records, at) !== 0) {
        return refused(ErrorCode.INVALID_RECORD, `The base offset of a produced batch must be 0, not ${batchBaseOffset(records, at)}.`);
      }
      if (size > rules.maxMessageBytes) {
        return refused(ErrorCode.MESSAGE_TOO_LARGE, `A batch of ${size} bytes is larger than max.message.bytes, ${rules.maxMessageBytes}.`);
      }
      if (!batchChecksumHolds(records, at, size)) {
        return refused(ErrorCode.CORRUPT_MESSAGE, "The checksum of a record batch does not hold.");
      }
      at += size;
    }
  }

  #walk(records: Buffer, size: number, rules: ProduceRules, wallMs: number): ValidBatch | Refusal {
    const record = this.#cursor;
    record.open(records, 0, size);
    const ownTime = batchTimestampType(records, 0) === "CreateTime";
    let errors: RecordError[] | undefined;
    let badTime = false;
    let maxTimestamp = NO_TIMESTAMP;
    let count = 0;
    for (; record.next(); count++) {
      if (record.offsetDelta !== count) {
        return refused(ErrorCode.INVALID_RECORD, `Record ${count} of the batch has the offset delta ${record.offsetDelta}.`);
      }
      if (rules.compacted && record.keyLength < 0) {
        (errors ??= []).push({ batchIndex: count, message: "A compacted topic takes no record without a key." });
      } else if (!ownTime || !timestampAllowed(record.timestamp, rules, wallMs)) {
        badTime = true;
        (errors ??= []).push({ batchIndex: count, message: ownTime ? outOfRange(record.timestamp, rules, wallMs) : APPEND_TIME_REFUSED });
      } else if (record.timestamp > maxTimestamp) {
        maxTimestamp = record.timestamp;
      }
    }
    if (record.problem !== undefined) return refused(ErrorCode.INVALID_RECORD, `The batch cannot be read: ${record.problem}.`);
    return errors === undefined ? { kind: "batch", size, recordCount: count, maxTimestamp } : refuseRecords(errors, badTime);
  }
}

/** What the header alone tells. Source: LogValidator.validateBatch. */
function checkHeader(records: Buffer, rules: ProduceRules): Refusal | undefined {
  const codec = batchCodec(records, 0);
  if (codec > Codec.zstd) return refused(ErrorCode.INVALID_RECORD, `There is no compression codec ${codec}.`);
  const count = batchRecordCount(records, 0);
  const producerId = batchProducerId(records, 0);
  if (!Number.isSafeInteger(producerId)) return refused(ErrorCode.INVALID_RECORD, "The producer id is beyond 2^53.");
  if (rules.origin !== "client") return undefined;
  if (count <= 0 || count !== batchLastOffsetDelta(records, 0) + 1) {
    return refused(ErrorCode.INVALID_RECORD, `The batch says ${count} records and a last offset delta of ${batchLastOffsetDelta(records, 0)}.`);
  }
  if (batchIsControl(records, 0)) return refused(ErrorCode.INVALID_RECORD, "Clients may not write control records.");
  if (producerId > NO_PRODUCER_ID && batchBaseSequence(records, 0) < 0) {
    return refused(ErrorCode.INVALID_RECORD, `Producer ${producerId} sent the sequence number ${batchBaseSequence(records, 0)}.`);
  }
  return undefined;
}

function believe(records: Buffer, size: number, rules: ProduceRules, wallMs: number): ValidBatch | Refusal {
  if (size === BATCH_HEADER_BYTES) return refused(ErrorCode.INVALID_RECORD, "The compressed batch holds no bytes.");
  const maxTimestamp = batchMaxTimestamp(records, 0);
  const first = batchFirstTimestamp(records, 0);
  if (batchTimestampType(records, 0) === "LogAppendTime") return refuseRecords([{ batchIndex: 0, message: APPEND_TIME_REFUSED }], true);
  for (const timestamp of [first, maxTimestamp]) {
    if (!timestampAllowed(timestamp, rules, wallMs)) return refuseRecords([{ batchIndex: 0, message: outOfRange(timestamp, rules, wallMs) }], true);
  }
  return { kind: "batch", size, recordCount: batchRecordCount(records, 0), maxTimestamp };
}

function timestampAllowed(timestamp: number, rules: ProduceRules, wallMs: number): boolean {
  return rules.timestampType === "LogAppendTime" || timestamp === NO_TIMESTAMP || Math.abs(timestamp - wallMs) <= rules.timestampDifferenceMaxMs;
}

const APPEND_TIME_REFUSED = "A producer must not set the timestamp type to LogAppendTime.";

function outOfRange(timestamp: number, rules: ProduceRules, wallMs: number): string {
  const difference = rules.timestampDifferenceMaxMs;
  return `The timestamp ${timestamp} lies outside ${wallMs - difference} to ${wallMs + difference}.`;
}

function refuseRecords(errors: readonly RecordError[], badTime: boolean): Refusal {
  return badTime
    ? refused(ErrorCode.INVALID_TIMESTAMP, "Records were refused for their timestamps; see the list.", errors)
    : refused(ErrorCode.INVALID_RECORD, "Records were refused; see the list.", errors);
}
