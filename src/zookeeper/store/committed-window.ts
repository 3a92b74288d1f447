import { assert } from "../../lib/assert.ts";
import type { Zxid } from "../protocol/ids.ts";
import type { Transaction } from "../protocol/transactions.ts";

/** A transaction as a learner that lacks it is sent it. */
export interface CommittedTransaction {
  readonly zxid: Zxid;
  readonly payload: Buffer;
}

/** As ZKDatabase.commitLogCount. */
const TRANSACTIONS_MAX = 500;
const BYTES_MAX = 64 * 1024 * 1024;

/**
 * The last transactions committed, from which learners that were away for a moment are brought up to date.
 * Bounded by number, as ZooKeeper's, and by bytes. Source: ZKDatabase.addCommittedProposal.
 */
export class CommittedWindow {
  #entries: CommittedTransaction[] = [];
  #first = 0;
  #bytes = 0;

  get size(): number {
    return this.#entries.length - this.#first;
  }

  get min(): Zxid | undefined {
    return this.#entries[this.#first]?.zxid;
  }

  get max(): Zxid | undefined {
    return this.#entries.at(-1)?.zxid;
  }

  add(transaction: Transaction): void {
    const { zxid } = transaction.header;
    assert(this.max === undefined || zxid > this.max, "transactions are committed in zxid order");
    // A copy: the payload may be a view of a large read buffer.
    const payload = Buffer.from(transaction.payload);
    this.#entries.push({ zxid, payload });
    this.#bytes += payload.length;
    while (this.size > TRANSACTIONS_MAX || (this.#bytes > BYTES_MAX && this.size > 1)) {
      this.#bytes -= this.#entries[this.#first]?.payload.length ?? 0;
      this.#first += 1;
    }
    if (this.#first > TRANSACTIONS_MAX) {
      this.#entries = this.#entries.slice(this.#first);
      this.#first = 0;
    }
  }

  /** Those at and after `zxid`, oldest first. */
  from(zxid: Zxid): readonly CommittedTransaction[] {
    const at = this.#entries.findIndex((entry, index) => index >= this.#first && entry.zxid >= zxid);
    return at < 0 ? [] : this.#entries.slice(at);
  }

  clear(): void {
    this.#entries = [];
    this.#first = 0;
    this.#bytes = 0;
  }
}
