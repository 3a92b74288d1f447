import type { BufferPool } from "../../lib/buffer-pool.ts";
import {
  BATCH_HEADER_BYTES,
  Codec,
  NO_LEADER_EPOCH,
  batchBaseOffset,
  batchCodec,
  batchFirstTimestamp,
  batchLastOffset,
  batchLeaderEpoch,
  batchMagic,
  batchMaxTimestamp,
  batchTimestampType,
  declaredBatchSize,
} from "../records/batch.ts";
import { RecordCursor } from "../records/record-cursor.ts";
import { scanBatches } from "./scan.ts";
import type { SegmentList } from "./segment-list.ts";
import type { BatchPlace, Segment } from "./segment.ts";
import { batchRange, type ReadLimits, type TailCache } from "./tail-cache.ts";
import type { AbortedTxn } from "./txn-index.ts";

/** Ends of reads whose position is remembered, for readers that go on from there. */
const PLACES_MAX = 32;
const SCAN_WINDOW_BYTES = 64 * 1024;

export interface LogRead {
  readonly kind: "read";
  /** Stored bytes, one after the other; they must not be changed. Whoever asked for them holds them (BufferPool), and may release each once. */
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
  /** Behind the last whole batch; the offset asked for where there is none. */
  readonly nextOffset: number;
}

export interface TimestampOffset {
  readonly timestamp: number;
  readonly offset: number;
  readonly leaderEpoch: number | undefined;
}

/** Reads of a log: from the tail's memory, else from the segments' files. */
export class LogReader {
  readonly #segments: SegmentList;
  readonly #tail: TailCache;
  readonly #buffers: BufferPool;
  /** Where the batch that holds an offset begins. */
  readonly #places = new Map<number, { readonly segment: Segment; readonly position: number }>();

  constructor(segments: SegmentList, tail: TailCache, buffers: BufferPool) {
    this.#segments = segments;
    this.#tail = tail;
    this.#buffers = buffers;
  }

  /** Of one segment, as from a file: Apache's follower gives up a partition that it is sent more of at once than segment.bytes. */
  tail(limits: ReadLimits): LogRead | undefined {
    if (limits.offset >= limits.maxOffset) return nothingAt(limits.offset);
    for (let segment = this.#segments.floor(limits.offset) ?? this.#segments.first; ; ) {
      const next = this.#segments.after(segment);
      const isLast = next === undefined || next.baseOffset >= limits.maxOffset;
      const read = this.#tail.read(isLast ? limits : { ...limits, maxOffset: next.baseOffset });
      if (read === undefined) return undefined;
      if (read.bytes > 0 || isLast) return { kind: "read", ...read };
      // A gap lies between them.
      segment = next;
    }
  }

  /** What is not in the tail is written. */
  async files(limits: ReadLimits): Promise<LogRead> {
    for (let segment = this.#segments.floor(limits.offset); segment !== undefined; segment = this.#segments.after(segment)) {
      const read = await this.#file(segment, limits);
      if (read !== undefined) return read;
    }
    return nothingAt(limits.offset);
  }

  /** Undefined where no batch of the segment reaches the offset. */
  async #file(segment: Segment, limits: ReadLimits): Promise<LogRead | undefined> {
    const known = this.#places.get(limits.offset);
    const place: Partial<BatchPlace> | undefined = known?.segment === segment ? known : await segment.locate(limits.offset);
    const position = place?.position;
    // A remembered place may be the segment's end, with a gap behind it.
    if (position === undefined || position >= segment.writtenBytes) return undefined;
    const bytes = await this.#bytes(segment, position, limits, place?.sizeBytes ?? 0);
    const range = batchRange(bytes, limits);
    if (range.nextOffset > limits.offset) this.#remember(range.nextOffset, segment, position + range.end);
    return { kind: "read", chunks: range.end > range.start ? [bytes.subarray(range.start, range.end)] : [], bytes: range.end - range.start, nextOffset: range.nextOffset };
  }

  #bytes(segment: Segment, position: number, limits: ReadLimits, firstBatchBytes: number): Promise<Buffer> {
    return segment.use(async (file) => {
      const read = async (size: number): Promise<Buffer> => {
        const buffer = this.#buffers.take(Math.max(0, Math.min(size, segment.writtenBytes - position)));
        return buffer.subarray(0, await file.read(buffer, position));
      };
      const wanted = Math.max(limits.maxBytes, BATCH_HEADER_BYTES, limits.minOneMessage ? firstBatchBytes : 0);
      const bytes = await read(wanted);
      const first = declaredBatchSize(bytes, 0, bytes.length);
      return limits.minOneMessage && first > wanted ? read(first) : bytes;
    });
  }

  #remember(offset: number, segment: Segment, position: number): void {
    this.#places.delete(offset);
    this.#places.set(offset, { segment, position });
    if (this.#places.size <= PLACES_MAX) return;
    for (const oldest of this.#places.keys()) {
      this.#places.delete(oldest);
      return;
    }
  }

  /** The log was truncated. */
  forgetPlaces(): void {
    this.#places.clear();
  }

  /** Infinity for what is older than the tail. */
  availableBytes(from: number, to: number): number {
    return from < this.#tail.startOffset ? Infinity : this.#tail.bytesBetween(from, to);
  }

  abortedTransactions(from: number, to: number): AbortedTxn[] {
    const found: AbortedTxn[] = [];
    for (const segment of this.#segments.from(from)) {
      if (segment.txns.collect(from, to, found)) break;
    }
    return found;
  }

  async offsetForTimestamp(timestamp: number, startOffset: number): Promise<TimestampOffset | undefined> {
    for (const segment of this.#segments.all) {
      if ((await segment.largestTimestamp()) < timestamp) continue;
      const found = await findInSegment(segment, timestamp, startOffset);
      if (found !== undefined) return found;
    }
    return undefined;
  }

  async offsetOfMaxTimestamp(): Promise<TimestampOffset | undefined> {
    let max = -1;
    for (const segment of this.#segments.all) max = Math.max(max, await segment.largestTimestamp());
    return this.offsetForTimestamp(max, 0);
  }

  /** Newest first. */
  async segmentOffsetsBefore(timestamp: number, log: { readonly start: number; readonly end: number }, wallMs: number): Promise<number[]> {
    const times: { readonly offset: number; readonly ms: number }[] = [];
    for (const segment of this.#segments.all) times.push({ offset: Math.max(segment.baseOffset, log.start), ms: await segment.modifiedMs() });
    if (this.#segments.active.sizeBytes > 0) times.push({ offset: log.end, ms: wallMs });
    const newest = timestamp === -1 ? times.length - 1 : timestamp === -2 ? 0 : times.findLastIndex((one) => one.ms <= timestamp);
    return times
      .slice(0, newest + 1)
      .map((one) => one.offset)
      .toReversed();
  }
}

function nothingAt(offset: number): LogRead {
  return { kind: "read", chunks: [], bytes: 0, nextOffset: offset };
}

function findInSegment(segment: Segment, timestamp: number, startOffset: number): Promise<TimestampOffset | undefined> {
  return segment.use(async (file) => {
    const from = Math.max(segment.timeIndex.offsetFor(timestamp), startOffset);
    let position = segment.offsetIndex.positionFor(from);
    for (;;) {
      let batch: { readonly size: number; readonly previousEnd: number } | undefined;
      let previousEnd = segment.baseOffset;
      const scan = await scanBatches(file, position, segment.writtenBytes, { bodies: "none", windowBytes: SCAN_WINDOW_BYTES }, (buffer, at, size) => {
        if (batchMaxTimestamp(buffer, at) >= timestamp && batchLastOffset(buffer, at) >= startOffset) {
          batch = { size, previousEnd };
          return true;
        }
        previousEnd = batchLastOffset(buffer, at) + 1;
        return false;
      });
      if (batch === undefined) return undefined;
      const bytes = Buffer.allocUnsafe(batch.size);
      if ((await file.read(bytes, scan.position)) < batch.size) return undefined;
      const found = findInBatch(bytes, timestamp, Math.max(startOffset, batch.previousEnd));
      if (found !== undefined) return found;
      position = scan.position + batch.size;
    }
  });
}

/**
 * The first record of the batch with such a timestamp, at or above `startOffset`. Of a compressed batch, which is not
 * opened, its first offset: perhaps a few records early, never late.
 */
function findInBatch(batch: Buffer, timestamp: number, startOffset: number): TimestampOffset | undefined {
  const epoch = batchLeaderEpoch(batch, 0);
  const leaderEpoch = epoch === NO_LEADER_EPOCH ? undefined : epoch;
  if (batchCodec(batch, 0) !== Codec.none) {
    const first = batchMagic(batch, 0) < 2 ? startOffset : Math.max(startOffset, batchBaseOffset(batch, 0));
    const knowsFirst = batchMagic(batch, 0) === 2 && batchTimestampType(batch, 0) === "CreateTime" && first === batchBaseOffset(batch, 0);
    const firstTimestamp = knowsFirst ? batchFirstTimestamp(batch, 0) : -1;
    return { timestamp: firstTimestamp >= timestamp ? firstTimestamp : batchMaxTimestamp(batch, 0), offset: first, leaderEpoch };
  }
  if (batchMagic(batch, 0) < 2) return { timestamp: batchMaxTimestamp(batch, 0), offset: batchLastOffset(batch, 0), leaderEpoch };
  const record = new RecordCursor();
  record.open(batch, 0, batch.length);
  while (record.next()) {
    if (record.timestamp >= timestamp && record.offset >= startOffset) return { timestamp: record.timestamp, offset: record.offset, leaderEpoch };
  }
  return undefined;
}
