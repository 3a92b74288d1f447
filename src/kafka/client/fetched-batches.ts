import { batchChecksumHolds, batchIsControl, batchIsTransactional, batchLastOffset, batchLeaderEpoch, batchProducerId, batchTimestampType, wholeBatchSize, type TimestampType } from "../records/batch.ts";
import { readEndTxnMarker } from "../records/control.ts";
import { RecordReader } from "../records/record-reader.ts";
import type { TopicPartition } from "./kafka-client.ts";

export interface ConsumedRecord extends TopicPartition {
  readonly offset: number;
  /** Of the leader under which it was written; -1: not known. */
  readonly leaderEpoch: number;
  /** Milliseconds since the epoch; -1: none. */
  readonly timestamp: number;
  readonly timestampType: TimestampType;
  readonly key: Buffer | null;
  readonly value: Buffer | null;
  readonly headers: readonly { readonly key: string; readonly value: Buffer | null }[];
}

export interface FetchedBytes extends TopicPartition {
  readonly bytes: Buffer;
  /** Records before it were not asked for. */
  readonly from: number;
  /** Of read_committed, by their first offset; undefined: all that is there is read. */
  readonly aborted: readonly { readonly producerId: number; readonly firstOffset: number }[] | undefined;
}

export interface FetchedRecords {
  readonly records: readonly ConsumedRecord[];
  /** Where to read on. */
  readonly next: number;
  /** Of the last batch; undefined: there was none. */
  readonly leaderEpoch: number | undefined;
  /** Why the bytes at `next` can't be read; undefined while all is well. */
  readonly problem: string | undefined;
}

/** More than any broker takes in one batch, packed ever so well. */
const UNPACKED_BYTES_MAX = 0x4000_0000;

/**
 * The records of a Fetch answer that a reader is to see: none of control batches, and none of aborted transactions
 * where it reads what is committed only. A batch that is cut off at the end waits for the next fetch.
 * Source: clients/…/consumer/internals/Fetcher.java, CompletedFetch.
 */
export function readFetched({ topic, partition, bytes, from, aborted }: FetchedBytes): FetchedRecords {
  const records: ConsumedRecord[] = [];
  const reader = new RecordReader();
  const pendingAborts = aborted?.toSorted((a, b) => a.firstOffset - b.firstOffset) ?? [];
  const aborting = new Set<number>();
  let next = from;
  let leaderEpoch: number | undefined;
  for (let at = 0, size = wholeBatchSize(bytes, at, bytes.length); size !== 0; at += size, size = wholeBatchSize(bytes, at, bytes.length)) {
    if (size < 0) return { records, next, leaderEpoch, problem: `no batch can begin as the bytes at offset ${next} do` };
    if (!batchChecksumHolds(bytes, at, size)) return { records, next, leaderEpoch, problem: `the batch at offset ${next} is damaged` };
    const last = batchLastOffset(bytes, at);
    for (let [abort] = pendingAborts; abort !== undefined && abort.firstOffset <= last; [abort] = pendingAborts) aborting.add((pendingAborts.shift() as typeof abort).producerId);
    const producerId = batchProducerId(bytes, at);
    const epoch = batchLeaderEpoch(bytes, at);
    if (batchIsControl(bytes, at)) {
      if (readEndTxnMarker(bytes, at, size)?.committed === false) aborting.delete(producerId);
    } else if (!batchIsTransactional(bytes, at) || !aborting.has(producerId)) {
      const timestampType = batchTimestampType(bytes, at);
      reader.open(bytes, at, size, UNPACKED_BYTES_MAX);
      while (reader.next()) {
        const { offset, timestamp } = reader;
        if (offset < next) continue;
        records.push({ topic, partition, offset, leaderEpoch: epoch, timestamp, timestampType, key: reader.key(), value: reader.value(), headers: reader.headers() });
      }
      if (reader.problem !== undefined) return { records, next: Math.max(next, (records.at(-1)?.offset ?? -1) + 1), leaderEpoch, problem: reader.problem.message };
    }
    next = Math.max(next, last + 1);
    leaderEpoch = epoch;
  }
  return { records, next, leaderEpoch, problem: undefined };
}
