import type { Disk } from "../../host/disk.ts";
import { segmentFileName } from "./names.ts";
import { decodeSnapshot, encodeSnapshot } from "./producer-snapshot.ts";
import { isExpired, type ProducerState } from "./producer-state.ts";

/** The `.snapshot` files of a log. Source: kafka.log.ProducerStateManager. */
export class SnapshotFiles {
  readonly #disk: Disk;
  readonly #directory: { readonly path: string };
  /** Ascending. */
  #offsets: number[];
  /** No snapshot is taken at or below this offset. */
  #takenOffset = 0;

  constructor(disk: Disk, directory: { readonly path: string }, offsets: Iterable<number>) {
    this.#disk = disk;
    this.#directory = directory;
    this.#offsets = [...offsets].toSorted((a, b) => a - b);
  }

  get offsets(): readonly number[] {
    return this.#offsets;
  }

  /** Writes what the state is at its end offset, unless that was done. Returns the path of a file that was written. */
  take(state: ProducerState): string | undefined {
    const offset = state.endOffset;
    if (offset <= this.#takenOffset) return undefined;
    const path = this.#path(offset);
    const file = this.#disk.openSync(path, "truncate");
    try {
      file.writeSync([encodeSnapshot(state.producers)], 0);
    } finally {
      file.closeSync();
    }
    this.#takenOffset = offset;
    this.#offsets = [...this.#offsets.filter((one) => one !== offset), offset].toSorted((a, b) => a - b);
    return path;
  }

  /** Resets `state` to the newest intact snapshot in (logStart, upTo], or to nothing known at `logStart`. Damaged ones are removed. */
  async load(state: ProducerState, logStart: number, upTo: number, wallMs: number, expirationMs: number): Promise<void> {
    for (const offset of this.#offsets.toReversed()) {
      if (offset > upTo || offset <= logStart) continue;
      const entries = decodeSnapshot(await this.#disk.readFile(this.#path(offset)));
      if (entries !== undefined) {
        state.reset(
          offset,
          entries.filter((entry) => !isExpired(entry, wallMs, expirationMs)),
        );
        this.#takenOffset = offset;
        return;
      }
      await this.#remove(offset);
    }
    state.reset(logStart);
    this.#takenOffset = logStart;
  }

  /** Removes the snapshots whose offset satisfies `unwanted`. */
  async prune(unwanted: (offset: number) => boolean): Promise<void> {
    for (const offset of this.#offsets.filter(unwanted)) await this.#remove(offset);
  }

  /** As `prune`, in the background; in memory they are gone at once. */
  pruneLater(background: (task: () => Promise<void>) => void, unwanted: (offset: number) => boolean): void {
    const gone = this.#offsets.filter(unwanted);
    if (gone.length === 0) return;
    this.#offsets = this.#offsets.filter((offset) => !unwanted(offset));
    background(async () => {
      for (const offset of gone) {
        if (!this.#offsets.includes(offset)) await this.#disk.remove(this.#path(offset));
      }
    });
  }

  /** The log starts over: nothing is known below `offset`, and nothing was taken. */
  forgetTaken(offset: number): void {
    this.#takenOffset = offset;
  }

  async #remove(offset: number): Promise<void> {
    this.#offsets = this.#offsets.filter((one) => one !== offset);
    await this.#disk.remove(this.#path(offset));
  }

  #path(offset: number): string {
    return `${this.#directory.path}/${segmentFileName(offset, "snapshot")}`;
  }
}
