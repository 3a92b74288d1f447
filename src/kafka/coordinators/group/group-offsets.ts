import type { CommittedOffset, LoadedGroup, TopicPartition } from "./types.ts";

/** What a group knows of one partition of a topic. */
export interface OffsetEntry extends TopicPartition {
  /** What OffsetFetch gives: the last that is known to be in the log. */
  committed: CommittedOffset | undefined;
  /** Base offset of the batch that holds it; -1 while there is none. */
  appendedOffset: number;
  /** Commits that are being appended. */
  underWay: number;
  /** The last of them, and its place among the records of its append. */
  lastToken: number;
  lastIndex: number;
}

/**
 * The offsets of a group: committed, being appended, and those of open transactions (KIP-447: a fetch may ask to wait
 * for the latter two). A commit holds on to its entries while it is appended; an entry that is deleted meanwhile is
 * not found any more, so that the commit changes nothing. Source: the offsets of GroupMetadata.
 */
export class GroupOffsets {
  readonly #topics = new Map<string, Map<number, OffsetEntry>>();
  /** Offsets that transactions, by their producers, have committed and not ended yet. */
  readonly transactional = new Map<number, OffsetEntry[]>();
  #size = 0;

  get isEmpty(): boolean {
    return this.#size === 0 && this.transactional.size === 0;
  }

  restore(loaded: Pick<LoadedGroup, "offsets" | "transactional">): void {
    for (const { topic, partition, committed, appendedOffset } of loaded.offsets) {
      const entry = this.entry(topic, partition);
      entry.committed = committed;
      entry.appendedOffset = appendedOffset;
    }
    for (const { producerId, topic, partition, committed, appendedOffset } of loaded.transactional) {
      const open = this.transactional.get(producerId) ?? [];
      open.push({ ...newEntry(topic, partition), committed, appendedOffset });
      this.transactional.set(producerId, open);
    }
  }

  find(topic: string, partition: number): OffsetEntry | undefined {
    return this.#topics.get(topic)?.get(partition);
  }

  /** Made where there is none. */
  entry(topic: string, partition: number): OffsetEntry {
    let partitions = this.#topics.get(topic);
    if (partitions === undefined) this.#topics.set(topic, (partitions = new Map()));
    let entry = partitions.get(partition);
    if (entry === undefined) {
      partitions.set(partition, (entry = newEntry(topic, partition)));
      this.#size++;
    }
    return entry;
  }

  /** In the order of topics, then of partitions, in which they were first committed. */
  *entries(): Generator<OffsetEntry, void> {
    for (const partitions of this.#topics.values()) yield* partitions.values();
  }

  /** An append has ended: with an offset, or undefined where it failed. */
  settle(entry: OffsetEntry, committed: CommittedOffset, appendedOffset: number | undefined): void {
    entry.underWay--;
    // Appends may end in another order than they were made in; the log's order is the one that counts.
    if (appendedOffset !== undefined && appendedOffset > entry.appendedOffset) {
      entry.committed = committed;
      entry.appendedOffset = appendedOffset;
    }
    if (entry.underWay === 0 && entry.committed === undefined) this.#forget(entry);
  }

  /** Whether a later fetch could give something else, though nobody commits any more. */
  isUnstable(topic: string, partition: number): boolean {
    const entry = this.find(topic, partition);
    return (entry !== undefined && entry.underWay > 0) || this.#isInTransaction(topic, partition);
  }

  /** Whether there was anything, committed or on its way to the log. */
  remove(topic: string, partition: number): boolean {
    for (const [producerId, open] of this.transactional) {
      const kept = open.filter((entry) => entry.topic !== topic || entry.partition !== partition);
      if (kept.length === open.length) continue;
      if (kept.length === 0) this.transactional.delete(producerId);
      else this.transactional.set(producerId, kept);
    }
    const entry = this.find(topic, partition);
    if (entry === undefined) return false;
    this.#forget(entry);
    return true;
  }

  /** Takes out what `isExpired` says, but nothing that is being written. */
  expire(isExpired: (entry: OffsetEntry, committed: CommittedOffset) => boolean): OffsetEntry[] {
    const expired: OffsetEntry[] = [];
    for (const entry of this.entries()) {
      if (entry.committed === undefined || this.isUnstable(entry.topic, entry.partition)) continue;
      if (isExpired(entry, entry.committed)) expired.push(entry);
    }
    for (const entry of expired) this.#forget(entry);
    return expired;
  }

  #forget(entry: OffsetEntry): void {
    const partitions = this.#topics.get(entry.topic);
    if (partitions?.get(entry.partition) !== entry) return;
    partitions.delete(entry.partition);
    this.#size--;
    if (partitions.size === 0) this.#topics.delete(entry.topic);
  }

  #isInTransaction(topic: string, partition: number): boolean {
    for (const open of this.transactional.values()) if (open.some((entry) => entry.topic === topic && entry.partition === partition)) return true;
    return false;
  }
}

function newEntry(topic: string, partition: number): OffsetEntry {
  return { topic, partition, committed: undefined, appendedOffset: -1, underWay: 0, lastToken: 0, lastIndex: -1 };
}
