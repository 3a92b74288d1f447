import { batchChecksumHolds, batchIsControl, batchLastOffset, batchProducerEpoch, batchProducerId, declaredBatchSize } from "../../records/batch.ts";
import { UNPACKED_BYTES_MAX } from "../../records/compression.ts";
import { RecordReader } from "../../records/record-reader.ts";
import type { PartitionLog } from "../log.ts";
import type { Segment } from "../segment.ts";
import type { KeyMap } from "./key-map.ts";
import { retainRecords } from "./retain.ts";
import { groupSegments } from "./segment-groups.ts";
import { CleanedTransactions } from "./transactions.ts";

const WINDOW_BYTES_MIN = 1024;

export interface PassOptions {
  readonly log: PartitionLog;
  /** Empty. */
  readonly map: KeyMap;
  /** Below, keys are unique. */
  readonly firstDirty: number;
  /** The base of a segment; all below is durable, decided and replicated. */
  readonly firstUncleanable: number;
  /** Of the log, when these offsets were read from it. */
  readonly truncations: number;
  readonly windowBytes: number;
  /** Looked at after every read. */
  readonly aborted: () => boolean;
}

export type PassOutcome =
  | {
      readonly kind: "cleaned";
      /** Below, keys are unique now. */
      readonly endOffset: number;
      /** Of the segments that were looked at. */
      readonly bytesBefore: number;
      readonly bytesAfter: number;
    }
  /** The log was truncated or given up, or somebody asked for it; the checkpoint stays. */
  | { readonly kind: "aborted" }
  | { readonly kind: "uncleanable"; readonly problem: string };

/** Ends a pass from the midst of its loops. */
class PassEnded extends Error {
  override readonly name = "PassEnded";
  readonly outcome: PassOutcome;

  constructor(outcome: PassOutcome) {
    super(outcome.kind);
    this.outcome = outcome;
  }
}

/** True: enough was seen. */
type Visitor = (buffer: Buffer, at: number, size: number) => boolean | void;

/**
 * One compaction of a log: notes the last offset of every key in the dirty part, then copies segments from the log's
 * first on without what is superseded, and puts the copies in their place, neighbours together.
 * I/O errors are thrown as the disk does. Source: Cleaner (kafka.log.LogCleaner).
 */
export class CleanerPass {
  readonly #options: PassOptions;
  readonly #log: PartitionLog;
  readonly #reader = new RecordReader();
  readonly #window: Buffer;
  #bytesBefore = 0;
  #bytesAfter = 0;

  constructor(options: PassOptions) {
    this.#options = options;
    this.#log = options.log;
    this.#window = Buffer.allocUnsafeSlow(Math.max(WINDOW_BYTES_MIN, options.windowBytes));
  }

  async run(): Promise<PassOutcome> {
    try {
      return await this.#run();
    } catch (thrown) {
      if (thrown instanceof PassEnded) return thrown.outcome;
      throw thrown;
    }
  }

  async #run(): Promise<PassOutcome> {
    const { firstDirty, firstUncleanable } = this.#options;
    const endOffset = await this.#fillMap();
    if (endOffset <= firstDirty) throw uncleanable(`the keys of the batch at offset ${firstDirty} do not fit log.cleaner.dedupe.buffer.size`);
    const horizonMs = await this.#deleteHorizon();
    const sized = [];
    for (const segment of this.#log.segments.filter((one) => one.baseOffset < endOffset)) {
      this.#goOn();
      const { offsets, times } = await segment.indexBytes();
      sized.push({ segment, offsetIndexBytes: offsets, timeIndexBytes: times });
    }
    this.#goOn();
    // Beyond `endOffset` too, for the last segment is copied as a whole.
    const transactions = new CleanedTransactions(this.#log.abortedTransactions(0, firstUncleanable));
    const { segmentBytes, segmentIndexBytes } = this.#log.config;
    for (const group of groupSegments(sized, { logBytes: segmentBytes, indexBytes: segmentIndexBytes, firstUncleanable })) {
      await this.#clean(
        group.map((one) => one.segment),
        { endOffset, horizonMs, transactions },
      );
    }
    return { kind: "cleaned", endOffset, bytesBefore: this.#bytesBefore, bytesAfter: this.#bytesAfter };
  }

  /** After an await, and before a file is opened: those of a log that was given up are closed already. */
  #goOn(): void {
    if (this.#options.aborted() || !this.#log.isOpen || this.#log.truncations !== this.#options.truncations) throw new PassEnded({ kind: "aborted" });
  }

  /** Notes the keys of the dirty part; where the map is full, of so much of it as fits. Returns where that ends. */
  async #fillMap(): Promise<number> {
    const { firstDirty, firstUncleanable, map } = this.#options;
    const { segments } = this.#log;
    const transactions = new CleanedTransactions(this.#log.abortedTransactions(firstDirty, firstUncleanable));
    let endOffset = firstDirty;
    for (const [index, segment] of segments.entries()) {
      const next = segments[index + 1]?.baseOffset ?? firstUncleanable;
      if (next <= firstDirty || segment.baseOffset >= firstUncleanable) continue;
      const full = await this.#walk(segment, firstDirty, (buffer, at, size) => {
        const lastOffset = batchLastOffset(buffer, at);
        if (batchIsControl(buffer, at)) transactions.onMarker(buffer, at, size);
        else if (transactions.onBatch(buffer, at) === "keep" && lastOffset >= firstDirty && !this.#noteKeys(buffer, at, size, map)) return true;
        endOffset = Math.max(endOffset, lastOffset + 1);
        return false;
      });
      if (full) return endOffset;
      // A gap may end the segment.
      endOffset = Math.max(endOffset, next);
    }
    return endOffset;
  }

  /** False: the map is full. */
  #noteKeys(buffer: Buffer, at: number, size: number, map: KeyMap): boolean {
    const reader = this.#reader;
    reader.open(buffer, at, size, UNPACKED_BYTES_MAX);
    while (reader.next()) {
      const key = reader.key();
      if (key !== null && reader.offset >= this.#options.firstDirty && !map.put(key, reader.offset)) return false;
    }
    if (reader.problem !== undefined) throw damaged(buffer, at, reader.problem.message);
    return true;
  }

  /** Marks of deletion, and markers of transactions, in segments that were last written by then have been seen by all who had to. */
  async #deleteHorizon(): Promise<number> {
    const lastClean = this.#log.segments.findLast((segment) => segment.baseOffset < this.#options.firstDirty);
    return lastClean === undefined ? 0 : (await lastClean.modifiedMs()) - this.#log.config.deleteRetentionMs;
  }

  async #clean(sources: readonly Segment[], walk: { readonly endOffset: number; readonly horizonMs: number; readonly transactions: CleanedTransactions }): Promise<void> {
    const [first] = sources;
    const last = sources.at(-1);
    if (first === undefined || last === undefined) return;
    this.#goOn();
    const cleaned = this.#log.createCleaned(first.baseOffset);
    let replaced = false;
    try {
      for (const source of sources) await this.#copy(source, cleaned, { ...walk, keepsDeletions: (await source.modifiedMs()) > walk.horizonMs });
      const modifiedMs = await last.modifiedMs();
      cleaned.deactivate();
      await cleaned.sync();
      await cleaned.setModified(modifiedMs);
      replaced = await this.#log.replaceSegments(sources, cleaned, this.#options.truncations);
    } finally {
      // The files of a log that was given up are left to the next start, and to whoever removes them.
      if (!replaced) await (this.#log.isOpen ? cleaned.remove() : cleaned.close());
    }
    if (!replaced) throw new PassEnded({ kind: "aborted" });
    for (const source of sources) this.#bytesBefore += source.sizeBytes;
    this.#bytesAfter += cleaned.sizeBytes;
  }

  async #copy(source: Segment, cleaned: Segment, rules: CopyRules): Promise<void> {
    let kept: Buffer[] = [];
    await this.#walk(
      source,
      source.baseOffset,
      (buffer, at, size) => {
        const bytes = this.#retained(buffer, at, size, cleaned, rules);
        if (bytes !== undefined) kept.push(bytes);
      },
      async () => {
        const position = cleaned.sizeBytes;
        for (const bytes of kept) cleaned.note(bytes, 0, bytes.length);
        if (kept.length > 0) await cleaned.file.write(kept, position);
        cleaned.wroteTo(cleaned.sizeBytes);
        kept = [];
      },
    );
  }

  #retained(buffer: Buffer, at: number, size: number, cleaned: Segment, { endOffset, transactions, keepsDeletions }: CopyRules): Buffer | undefined {
    const control = batchIsControl(buffer, at);
    let gone: boolean;
    if (control) {
      const marker = transactions.onMarker(buffer, at, size);
      if (marker.kind === "stays" && marker.aborted !== undefined) cleaned.noteAborted(marker.aborted);
      gone = marker.kind === "may go" && !keepsDeletions;
    } else {
      gone = transactions.onBatch(buffer, at) === "discard";
    }
    const retainEmpty = this.#isLastOfProducer(buffer, at, control);
    if (gone && !retainEmpty) return undefined;
    const { map } = this.#options;
    const keep = (record: RecordReader): boolean => {
      if (gone || control || record.offset >= endOffset) return !gone;
      const key = record.key();
      return key !== null && record.offset >= map.get(key) && (keepsDeletions || record.value() !== null);
    };
    const { bytes, problem } = retainRecords(this.#reader, buffer, at, size, { keep, retainEmpty });
    if (problem !== undefined) throw damaged(buffer, at, problem);
    return bytes;
  }

  /** Its last batch tells a producer's sequence number, and where it has none its last marker tells the epoch. */
  #isLastOfProducer(buffer: Buffer, at: number, control: boolean): boolean {
    const producer = this.#log.producers.get(batchProducerId(buffer, at));
    if (producer === undefined) return false;
    const last = producer.batches.at(-1);
    return last === undefined ? control && batchProducerEpoch(buffer, at) === producer.epoch : batchLastOffset(buffer, at) === last.lastOffset;
  }

  /** Visits the segment's batches from the one that holds `offset` on, perhaps from some before it. True: as the visitor said. */
  #walk(segment: Segment, offset: number, visit: Visitor, afterWindow?: () => Promise<void>): Promise<boolean> {
    this.#goOn();
    return segment.use(async (file) => {
      const end = segment.writtenBytes;
      let window = this.#window;
      for (let position = segment.offsetIndex.positionFor(offset); position < end; ) {
        const filled = await file.read(window.subarray(0, Math.min(window.length, end - position)), position);
        this.#goOn();
        let at = 0;
        let size = declaredBatchSize(window, 0, filled);
        for (; size > 0 && size <= filled - at; size = declaredBatchSize(window, at, filled)) {
          if (!batchChecksumHolds(window, at, size)) throw damaged(window, at, "its checksum does not hold");
          if (visit(window, at, size) === true) return true;
          at += size;
        }
        if (size < 0 || size > end - position - at) throw uncleanable(`segment ${segment.baseOffset} holds no whole batch at position ${position + at}`);
        if (at === 0 && size === 0) throw uncleanable(`segment ${segment.baseOffset} is cut off at position ${position}`);
        await afterWindow?.();
        if (at === 0) window = Buffer.allocUnsafeSlow(size);
        position += at;
      }
      return false;
    });
  }
}

interface CopyRules {
  readonly endOffset: number;
  readonly transactions: CleanedTransactions;
  /** Neither marks of deletion nor markers of transactions go. */
  readonly keepsDeletions: boolean;
}

function damaged(buffer: Buffer, at: number, problem: string): PassEnded {
  return uncleanable(`the batch that ends at offset ${batchLastOffset(buffer, at)} is damaged: ${problem}`);
}

function uncleanable(problem: string): PassEnded {
  return new PassEnded({ kind: "uncleanable", problem });
}
