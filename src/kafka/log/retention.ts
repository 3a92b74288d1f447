import type { LogConfig } from "./log-config.ts";
import type { SegmentList } from "./segment-list.ts";
import type { Segment } from "./segment.ts";

export interface RetentionView {
  readonly segments: SegmentList;
  readonly startOffset: number;
  readonly highWatermark: number;
  readonly endOffset: number;
}

export interface RetentionRule {
  readonly why: string;
  /** Called for the oldest segment first, as long as it says true. */
  unwanted(segment: Segment): boolean;
}

/**
 * The segments that the rule lets go: from the oldest on, only what lies below the high watermark as a whole, and
 * never an empty active segment. Source: Log.deletableSegments.
 */
export function deletableSegments(view: RetentionView, rule: RetentionRule): readonly Segment[] {
  const { all } = view.segments;
  const kept = all.findIndex((segment) => {
    const next = view.segments.after(segment);
    return (next?.baseOffset ?? view.endOffset) > view.highWatermark || (next === undefined && segment.sizeBytes === 0) || !rule.unwanted(segment);
  });
  return kept < 0 ? all : all.slice(0, kept);
}

/** By time, size and the log's start, as the topic's policy asks. Reads the timestamps of the segments that are in question. */
export async function retentionRules(config: LogConfig, view: RetentionView, wallMs: number): Promise<RetentionRule[]> {
  const rules: RetentionRule[] = [];
  const deletes = config.cleanupPolicy.includes("delete");
  if (deletes && config.retentionMs >= 0) {
    const oldest = wallMs - config.retentionMs;
    const old = new Set<Segment>();
    for (const segment of view.segments.all) {
      if ((await segment.largestTimestamp()) >= oldest) break;
      old.add(segment);
    }
    rules.push({ why: "older than retention.ms", unwanted: (segment) => old.has(segment) });
  }
  if (deletes && config.retentionBytes >= 0) {
    let bytes: number | undefined;
    rules.push({
      why: "beyond retention.bytes",
      unwanted: (segment) => (bytes = (bytes ?? view.segments.sizeBytes) - segment.sizeBytes) >= config.retentionBytes,
    });
  }
  rules.push({
    why: "below the log's start",
    unwanted: (segment) => (view.segments.after(segment)?.baseOffset ?? Infinity) <= view.startOffset,
  });
  return rules;
}

/**
 * Snapshots below this offset are not needed: no recovery begins so far back, and hardly any truncation does.
 * Source: Log.minSnapshotsOffsetToRetain.
 */
export function oldestSnapshotNeeded(segments: SegmentList, recoveryPoint: number): number {
  const before = (offset: number): number => segments.all.findLast((segment) => segment.baseOffset < offset)?.baseOffset ?? offset;
  return Math.min(before(recoveryPoint), before(segments.active.baseOffset));
}
