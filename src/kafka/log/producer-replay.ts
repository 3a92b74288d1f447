import { NO_PRODUCER_ID, batchLastOffset, batchProducerId } from "../records/batch.ts";
import type { LogContext } from "./log-context.ts";
import type { ProducerState } from "./producer-state.ts";
import { scanBatches } from "./scan.ts";
import type { SegmentList } from "./segment-list.ts";
import type { SnapshotFiles } from "./snapshot-files.ts";

const WINDOW_BYTES = 256 * 1024;
/** A truncation hardly ever reaches further back than this many segments. */
const SNAPSHOT_SEGMENTS = 2;

export interface Replay {
  readonly state: ProducerState;
  readonly snapshots: SnapshotFiles;
  readonly segments: SegmentList;
  /** The log's start. */
  readonly startOffset: number;
  /** Batches that end below this offset are taken in. */
  readonly upTo: number;
}

/** Brings `state` to what the log's batches make of it: from the newest snapshot that fits, and the batches behind it. */
export async function replayProducers(context: LogContext, replay: Replay): Promise<void> {
  const { state, snapshots, segments, startOffset, upTo } = replay;
  await snapshots.load(state, startOffset, upTo, context.clock.wallMs(), context.producerExpirationMs);
  const newest = segments.all.slice(-SNAPSHOT_SEGMENTS);
  for (const segment of segments.from(state.endOffset)) {
    if (segment.baseOffset >= upTo || state.endOffset >= upTo) break;
    const from = Math.max(segment.baseOffset, state.endOffset);
    const start = from === segment.baseOffset ? 0 : (await segment.locate(from))?.position;
    state.endOffset = from;
    if (from === segment.baseOffset && newest.includes(segment)) snapshots.take(state);
    if (start === undefined) continue;
    await segment.use((file) =>
      scanBatches(file, start, segment.writtenBytes, { bodies: "control", windowBytes: WINDOW_BYTES }, (buffer, at, size) => {
        const lastOffset = batchLastOffset(buffer, at);
        if (lastOffset >= upTo) return true;
        if (batchProducerId(buffer, at) > NO_PRODUCER_ID) state.apply(buffer, at, size);
        state.endOffset = lastOffset + 1;
        return false;
      }),
    );
  }
  state.endOffset = upTo;
}
