import { batchBaseOffset, batchIsTransactional, batchLastOffset, batchProducerId } from "../../records/batch.ts";
import { readEndTxnMarker } from "../../records/control.ts";
import type { AbortedTxn } from "../txn-index.ts";

interface Ongoing {
  readonly txn: AbortedTxn;
  /** A batch of it was met. */
  seen: boolean;
}

/**
 * What a walk over a log's batches knows of the transactions that they belong to: records of aborted ones go, and a
 * marker may go once nothing of its transaction is left in front of it. Source: CleanedTransactionMetadata (LogCleaner).
 */
export class CleanedTransactions {
  /** By first offset; those before `#next` have begun. */
  readonly #aborted: readonly AbortedTxn[];
  #next = 0;
  readonly #ongoingAborted = new Map<number, Ongoing>();
  /** Producers of which a batch was met that is not aborted, since their last marker. */
  readonly #ongoingCommitted = new Set<number>();

  /** `aborted`: all that overlap what is walked over. */
  constructor(aborted: readonly AbortedTxn[]) {
    this.#aborted = aborted.toSorted((a, b) => a.firstOffset - b.firstOffset);
  }

  #beginUpTo(offset: number): void {
    for (let txn = this.#aborted[this.#next]; txn !== undefined && txn.firstOffset <= offset; txn = this.#aborted[++this.#next]) {
      const known = this.#ongoingAborted.get(txn.producerId);
      if (known === undefined || known.txn.lastOffset < txn.firstOffset) this.#ongoingAborted.set(txn.producerId, { txn, seen: false });
    }
  }

  /** For a batch of records. */
  onBatch(batch: Buffer, at: number): "discard" | "keep" {
    this.#beginUpTo(batchLastOffset(batch, at));
    if (!batchIsTransactional(batch, at)) return "keep";
    const producerId = batchProducerId(batch, at);
    const ongoing = this.#ongoingAborted.get(producerId);
    // Behind its marker a transaction is over, though the marker be gone.
    if (ongoing !== undefined && batchBaseOffset(batch, at) <= ongoing.txn.lastOffset) {
      ongoing.seen = true;
      return "discard";
    }
    this.#ongoingCommitted.add(producerId);
    return "keep";
  }

  /**
   * For a control batch of `size` bytes. `stays`: batches of its transaction were met in this walk, and `aborted` is
   * the transaction if readers must go on being told of it.
   */
  onMarker(batch: Buffer, at: number, size: number): { readonly kind: "may go" } | { readonly kind: "stays"; readonly aborted: AbortedTxn | undefined } {
    this.#beginUpTo(batchLastOffset(batch, at));
    const marker = readEndTxnMarker(batch, at, size);
    if (marker === undefined) return { kind: "may go" };
    const producerId = batchProducerId(batch, at);
    if (marker.committed) return this.#ongoingCommitted.delete(producerId) ? { kind: "stays", aborted: undefined } : { kind: "may go" };
    const ongoing = this.#ongoingAborted.get(producerId);
    this.#ongoingAborted.delete(producerId);
    return ongoing?.seen === true && batchBaseOffset(batch, at) <= ongoing.txn.lastOffset ? { kind: "stays", aborted: ongoing.txn } : { kind: "may go" };
  }
}
