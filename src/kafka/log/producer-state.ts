import { assert } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import {
  NO_PRODUCER_EPOCH,
  NO_SEQUENCE,
  NO_TIMESTAMP,
  addToSequence,
  batchBaseOffset,
  batchBaseSequence,
  batchIsControl,
  batchIsTransactional,
  batchLastOffset,
  batchLastSequence,
  batchMaxTimestamp,
  batchProducerEpoch,
  batchProducerId,
} from "../records/batch.ts";
import { readEndTxnMarker } from "../records/control.ts";
import { refused, type Refusal } from "../records/validate.ts";

/** A sender may have this many batches in flight, so this many are remembered to know repetitions. */
const REMEMBERED_BATCHES = 5;
const NO_OFFSET = -1;

export interface AppendedBatch {
  readonly lastSequence: number;
  readonly lastOffset: number;
  readonly offsetDelta: number;
  readonly timestamp: number;
}

export interface ProducerEntry {
  readonly producerId: number;
  epoch: number;
  /** Oldest first, all of `epoch`; a snapshot keeps the newest only. */
  batches: AppendedBatch[];
  coordinatorEpoch: number;
  lastTimestamp: number;
  /** -1: no transaction is open. */
  currentTxnFirstOffset: number;
}

export interface CompletedTxn {
  readonly producerId: number;
  readonly firstOffset: number;
  /** Of the marker. */
  readonly lastOffset: number;
  readonly aborted: boolean;
  /** Exclusive: what was decided once the marker was written. */
  readonly lastStableOffset: number;
}

/** The batch was appended before; answer as then. */
export interface Duplicate {
  readonly kind: "duplicate";
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly timestamp: number;
}

interface OpenTxn {
  readonly producerId: number;
  readonly firstOffset: number;
}

interface DecidedTxn {
  readonly firstOffset: number;
  readonly lastOffset: number;
}

/**
 * What a partition knows of its idempotent and transactional producers: the fold of its batches. `check` decides,
 * `apply` changes. Source: kafka.log.ProducerStateManager (ProducerAppendInfo, ProducerStateEntry).
 */
export class ProducerState {
  readonly #producers = new Map<number, ProducerEntry>();
  /** By first offset, ascending: a transaction always begins behind all earlier ones. */
  readonly #open = new Map<number, OpenTxn>();
  /** Decided, but the marker is not below the high watermark; by marker, ascending. */
  #unreplicated: DecidedTxn[] = [];
  /** The state is the fold of all batches below this offset. */
  endOffset = 0;

  get producers(): ReadonlyMap<number, ProducerEntry> {
    return this.#producers;
  }

  get isEmpty(): boolean {
    return this.#producers.size === 0 && this.#unreplicated.length === 0;
  }

  /** The start of the oldest transaction that is open, or decided by a marker that is not replicated yet. */
  get firstUnstableOffset(): number | undefined {
    const [open] = this.#open.keys();
    let first = open;
    for (const txn of this.#unreplicated) {
      if (first === undefined || txn.firstOffset < first) first = txn.firstOffset;
    }
    return first;
  }

  /**
   * Whether this batch, which has a producer id, may be appended now. Clients number their batches, coordinators do
   * not; nothing is asked of what was replicated, for the leader checked it.
   */
  check(batch: Buffer, at: number, size: number, origin: "client" | "coordinator"): Duplicate | Refusal | undefined {
    const producerId = batchProducerId(batch, at);
    const epoch = batchProducerEpoch(batch, at);
    const entry = this.#producers.get(producerId);
    if (entry === undefined) return undefined;
    if (origin === "client") {
      const duplicate = findDuplicate(entry, batch, at);
      if (duplicate !== undefined) return duplicate;
    }
    if (epoch < entry.epoch) {
      return refused(ErrorCode.INVALID_PRODUCER_EPOCH, `Producer ${producerId} writes with epoch ${epoch}, but epoch ${entry.epoch} was seen.`);
    }
    if (batchIsControl(batch, at)) {
      const marker = readEndTxnMarker(batch, at, size);
      return marker !== undefined && marker.coordinatorEpoch < entry.coordinatorEpoch
        ? refused(
            ErrorCode.TRANSACTION_COORDINATOR_FENCED,
            `The coordinator of producer ${producerId} writes with epoch ${marker.coordinatorEpoch}, but epoch ${entry.coordinatorEpoch} was seen.`,
          )
        : undefined;
    }
    if (origin === "client") {
      const outOfOrder = checkSequence(entry, epoch, batchBaseSequence(batch, at));
      if (outOfOrder !== undefined) return outOfOrder;
    }
    return entry.currentTxnFirstOffset !== NO_OFFSET && !batchIsTransactional(batch, at)
      ? refused(ErrorCode.INVALID_TXN_STATE, `Producer ${producerId} writes outside the transaction that it opened.`)
      : undefined;
  }

  /** Takes in a batch with a producer id, as stored. Returns the transaction that it completed. */
  apply(batch: Buffer, at: number, size: number): CompletedTxn | undefined {
    const producerId = batchProducerId(batch, at);
    if (!batchIsControl(batch, at)) {
      this.#applyData(this.#entryOf(producerId), batch, at);
      return undefined;
    }
    const marker = readEndTxnMarker(batch, at, size);
    if (marker === undefined) return undefined;
    const entry = this.#entryOf(producerId);
    const offset = batchBaseOffset(batch, at);
    const firstOffset = entry.currentTxnFirstOffset === NO_OFFSET ? offset : entry.currentTxnFirstOffset;
    setEpoch(entry, batchProducerEpoch(batch, at));
    entry.currentTxnFirstOffset = NO_OFFSET;
    entry.coordinatorEpoch = marker.coordinatorEpoch;
    entry.lastTimestamp = marker.timestamp;
    this.#open.delete(firstOffset);
    this.#unreplicated.push({ firstOffset, lastOffset: offset });
    const [oldestOpen] = this.#open.keys();
    return { producerId, firstOffset, lastOffset: offset, aborted: !marker.committed, lastStableOffset: oldestOpen ?? offset + 1 };
  }

  #applyData(entry: ProducerEntry, batch: Buffer, at: number): void {
    const firstOffset = batchBaseOffset(batch, at);
    const lastOffset = batchLastOffset(batch, at);
    setEpoch(entry, batchProducerEpoch(batch, at));
    if (entry.batches.length === REMEMBERED_BATCHES) entry.batches.shift();
    const timestamp = batchMaxTimestamp(batch, at);
    entry.batches.push({ lastSequence: batchLastSequence(batch, at), lastOffset, offsetDelta: lastOffset - firstOffset, timestamp });
    entry.lastTimestamp = timestamp;
    if (batchIsTransactional(batch, at) && entry.currentTxnFirstOffset === NO_OFFSET) {
      entry.currentTxnFirstOffset = firstOffset;
      this.#open.set(firstOffset, { producerId: entry.producerId, firstOffset });
    }
  }

  #entryOf(producerId: number): ProducerEntry {
    let entry = this.#producers.get(producerId);
    if (entry === undefined) {
      entry = emptyEntry(producerId);
      this.#producers.set(producerId, entry);
    }
    return entry;
  }

  /** Markers below the high watermark are replicated: their transactions hold nothing back any more. */
  onHighWatermark(highWatermark: number): void {
    const [oldest] = this.#unreplicated;
    if (oldest === undefined || oldest.lastOffset >= highWatermark) return;
    this.#unreplicated = this.#unreplicated.filter((txn) => txn.lastOffset >= highWatermark);
  }

  /** The log starts at `offset` now. Producers stay known even where all their records are gone. */
  onLogStart(offset: number): void {
    this.onHighWatermark(offset);
    this.endOffset = Math.max(this.endOffset, offset);
  }

  /** Forgets producers without an open transaction that wrote nothing for `expirationMs`. */
  expire(wallMs: number, expirationMs: number): void {
    for (const entry of this.#producers.values()) {
      if (isExpired(entry, wallMs, expirationMs)) this.#producers.delete(entry.producerId);
    }
  }

  /** Starts over at `offset` with what a snapshot of that offset held. */
  reset(offset: number, entries: Iterable<ProducerEntry> = []): void {
    this.#producers.clear();
    this.#open.clear();
    this.#unreplicated = [];
    this.endOffset = offset;
    const open: OpenTxn[] = [];
    for (const entry of entries) {
      this.#producers.set(entry.producerId, entry);
      if (entry.currentTxnFirstOffset !== NO_OFFSET) open.push({ producerId: entry.producerId, firstOffset: entry.currentTxnFirstOffset });
    }
    open.sort((a, b) => a.firstOffset - b.firstOffset);
    for (const txn of open) {
      assert(txn.firstOffset < offset, `a snapshot at ${offset} holds a transaction from ${txn.firstOffset}`);
      this.#open.set(txn.firstOffset, txn);
    }
  }
}

export function isExpired(entry: ProducerEntry, wallMs: number, expirationMs: number): boolean {
  return entry.currentTxnFirstOffset === NO_OFFSET && wallMs - entry.lastTimestamp >= expirationMs;
}

function emptyEntry(producerId: number): ProducerEntry {
  return { producerId, epoch: NO_PRODUCER_EPOCH, batches: [], coordinatorEpoch: -1, lastTimestamp: NO_TIMESTAMP, currentTxnFirstOffset: NO_OFFSET };
}

/** Sequences begin anew with an epoch. */
function setEpoch(entry: ProducerEntry, epoch: number): void {
  if (entry.epoch === epoch) return;
  entry.epoch = epoch;
  entry.batches = [];
}

function findDuplicate(entry: ProducerEntry, batch: Buffer, at: number): Duplicate | undefined {
  if (batchProducerEpoch(batch, at) !== entry.epoch) return undefined;
  const firstSequence = batchBaseSequence(batch, at);
  const lastSequence = batchLastSequence(batch, at);
  for (const one of entry.batches) {
    if (one.lastSequence === lastSequence && addToSequence(one.lastSequence, -one.offsetDelta) === firstSequence) {
      return { kind: "duplicate", firstOffset: one.lastOffset - one.offsetDelta, lastOffset: one.lastOffset, timestamp: one.timestamp };
    }
  }
  return undefined;
}

function checkSequence(entry: ProducerEntry, epoch: number, sequence: number): Refusal | undefined {
  if (epoch !== entry.epoch) {
    return sequence === 0 || entry.epoch === NO_PRODUCER_EPOCH
      ? undefined
      : refused(
          ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
          `Producer ${entry.producerId} begins epoch ${epoch} with the sequence number ${sequence} instead of 0.`,
        );
  }
  const last = entry.batches.at(-1)?.lastSequence ?? NO_SEQUENCE;
  return sequence === addToSequence(last, 1) || entry.epoch === NO_PRODUCER_EPOCH
    ? undefined
    : refused(
        ErrorCode.OUT_OF_ORDER_SEQUENCE_NUMBER,
        `Producer ${entry.producerId} sent the sequence number ${sequence}, but ${last} was the last one.`,
      );
}
