import { assert } from "../../lib/assert.ts";

export interface LeaderEpochStart {
  readonly epoch: number;
  /** Of the first record that a leader of this epoch wrote. */
  readonly startOffset: number;
}

export interface EpochEnd {
  readonly epoch: number;
  /** Exclusive. */
  readonly endOffset: number;
}

/**
 * Which leader epoch begins at which offset; both only rise. Changes set `changed`, for the owner to write the file.
 * Source: kafka.server.epoch.LeaderEpochFileCache.
 */
export class LeaderEpochs {
  #entries: LeaderEpochStart[] = [];
  /** The file no longer says what this says. */
  changed = false;

  /** What a file held; entries out of order are dropped as `assign` drops them. */
  static of(entries: Iterable<LeaderEpochStart>): LeaderEpochs {
    const epochs = new LeaderEpochs();
    for (const entry of entries) epochs.assign(entry.epoch, entry.startOffset);
    epochs.changed = false;
    return epochs;
  }

  get entries(): readonly LeaderEpochStart[] {
    return this.#entries;
  }

  get latestEpoch(): number | undefined {
    return this.#entries.at(-1)?.epoch;
  }

  /** The epoch begins at this offset, unless it is already the latest and began earlier. Entries that contradict it go. */
  assign(epoch: number, startOffset: number): void {
    assert(epoch >= 0 && startOffset >= 0, `leader epoch ${epoch} cannot start at offset ${startOffset}`);
    const latest = this.#entries.at(-1);
    if (latest !== undefined && latest.epoch === epoch && startOffset >= latest.startOffset) return;
    this.#dropFromEnd((entry) => entry.epoch >= epoch || entry.startOffset >= startOffset);
    this.#entries.push({ epoch, startOffset });
    this.changed = true;
  }

  /** The greatest epoch not above the given one, and where it ended. Undefined where that cannot be said. */
  endOffsetFor(epoch: number, logEndOffset: number): EpochEnd | undefined {
    if (epoch < 0) return undefined;
    if (epoch === this.latestEpoch) return { epoch, endOffset: logEndOffset };
    const higher = this.#entries.findIndex((entry) => entry.epoch > epoch);
    const next = this.#entries[higher];
    if (next === undefined) return undefined;
    return { epoch: this.#entries[higher - 1]?.epoch ?? epoch, endOffset: next.startOffset };
  }

  /** Forgets epochs that begin at or behind the log's new end. */
  truncateFromEnd(endOffset: number): void {
    this.#dropFromEnd((entry) => entry.startOffset >= endOffset);
  }

  /** Forgets epochs before the log's new start; the one that holds there begins there now. */
  truncateFromStart(startOffset: number): void {
    const kept = this.#entries.findIndex((entry) => entry.startOffset > startOffset);
    const dropped = kept < 0 ? this.#entries.length : kept;
    const last = this.#entries[dropped - 1];
    if (last === undefined || (dropped === 1 && last.startOffset === startOffset)) return;
    this.#entries = [{ epoch: last.epoch, startOffset }, ...this.#entries.slice(dropped)];
    this.changed = true;
  }

  clear(): void {
    this.#dropFromEnd(() => true);
  }

  #dropFromEnd(dropped: (entry: LeaderEpochStart) => boolean): void {
    for (let last = this.#entries.at(-1); last !== undefined && dropped(last); last = this.#entries.at(-1)) {
      this.#entries.pop();
      this.changed = true;
    }
  }
}
