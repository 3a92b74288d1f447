import { must } from "../../src/lib/assert.ts";
import { parseLeaderEpochs } from "../../src/kafka/log/checkpoint.ts";
import type { LeaderEpochStart } from "../../src/kafka/log/leader-epochs.ts";
import { LEADER_EPOCH_FILE, parsePartitionDirectory, parseSegmentFile, partitionName } from "../../src/kafka/log/names.ts";
import { GROUP_METADATA_TOPIC } from "../../src/kafka/protocol/internal-topics.ts";
import { batchBaseOffset, batchChecksumHolds, batchLastOffset, batchLeaderEpoch, wholeBatchSize } from "../../src/kafka/records/batch.ts";
import { RecordCursor } from "../../src/kafka/records/record-cursor.ts";
import type { StoredFiles } from "../stored-files.ts";
import { Violation } from "../zookeeper/violation.ts";
import { LOG_DIRECTORY } from "./cluster-world.ts";
import { identityOf } from "./producers.ts";

/** A batch by its place in a log's bytes. */
interface StoredBatch {
  readonly firstOffset: number;
  readonly lastOffset: number;
  readonly leaderEpoch: number;
  readonly at: number;
  readonly size: number;
}

/** What a broker's disk holds of one partition. */
export interface StoredLog {
  readonly name: string;
  readonly broker: string;
  /** Of the first segment. */
  readonly baseOffset: number;
  /** All segments, one after the other. */
  readonly bytes: Buffer;
  readonly batches: readonly StoredBatch[];
  readonly epochs: readonly LeaderEpochStart[];
}

/** Directories of partitions by name, `…-delete` among them. */
export function partitionDirectories(files: StoredFiles): string[] {
  return files.list(LOG_DIRECTORY).filter(({ isDirectory }) => isDirectory).map(({ name }) => name);
}

/** Each replica compacts such a log by itself, at times of its own. */
export function isCompacted(name: string): boolean {
  return name.startsWith(`${GROUP_METADATA_TOPIC}-`);
}

/** A partition in which cleaned segments are about to take the place of others, so that its files alone do not tell what it holds. */
export function exchangeUnderWay(files: StoredFiles): string | undefined {
  return partitionDirectories(files).find((name) => isCompacted(name) && files.list(`${LOG_DIRECTORY}/${name}`).some((file) => file.name.endsWith(".swap")));
}

/** By partition, without those that are being deleted. */
export function storedLogs(files: StoredFiles): Map<string, StoredLog> {
  const logs = new Map<string, StoredLog>();
  for (const name of partitionDirectories(files)) {
    const { topic, partition, kind } = parsePartitionDirectory(name, LOG_DIRECTORY);
    if (kind === "current") logs.set(partitionName(topic, partition), readLog(files, name));
  }
  return logs;
}

function readLog(files: StoredFiles, name: string): StoredLog {
  const path = `${LOG_DIRECTORY}/${name}`;
  const segments = files
    .list(path)
    .map(({ name: file }) => ({ file, segment: parseSegmentFile(file) }))
    .filter(({ segment }) => segment?.kind === "log" && segment.stage === "live")
    .toSorted((a, b) => (a.segment?.offset ?? 0) - (b.segment?.offset ?? 0));
  const bytes = Buffer.concat(segments.map(({ file }) => must(files.read(`${path}/${file}`), file)));
  const batches: StoredBatch[] = [];
  let at = 0;
  for (let size = wholeBatchSize(bytes, at, bytes.length); size > 0; at += size, size = wholeBatchSize(bytes, at, bytes.length)) {
    const batch = { firstOffset: batchBaseOffset(bytes, at), lastOffset: batchLastOffset(bytes, at), leaderEpoch: batchLeaderEpoch(bytes, at), at, size };
    const before = batches.at(-1);
    if (!batchChecksumHolds(bytes, at, size)) throw new Violation("logs are whole", `${files.name} has a damaged batch at ${batch.firstOffset} of ${name}`);
    const follows = before === undefined || (isCompacted(name) ? batch.firstOffset > before.lastOffset : batch.firstOffset === before.lastOffset + 1);
    if (!follows || batch.leaderEpoch < (before?.leaderEpoch ?? -1)) {
      throw new Violation("logs are whole", `${files.name} has ${name} at ${batch.firstOffset} in epoch ${batch.leaderEpoch} after ${before?.lastOffset} in epoch ${before?.leaderEpoch}`);
    }
    batches.push(batch);
  }
  if (at !== bytes.length) throw new Violation("logs are whole", `${files.name} has ${bytes.length - at} bytes behind the last batch of ${name}`);
  const epochs = parseLeaderEpochs(files.read(`${path}/${LEADER_EPOCH_FILE}`)?.toString() ?? "", path);
  return { name, broker: files.name, baseOffset: segments[0]?.segment?.offset ?? 0, bytes, batches, epochs };
}

export function endOf(log: StoredLog): number {
  const last = log.batches.at(-1);
  return last === undefined ? 0 : last.lastOffset + 1;
}

/** Each record's identity, by offset. */
export function recordsOf(log: StoredLog): Map<number, string> {
  const records = new Map<number, string>();
  const cursor = new RecordCursor();
  for (const { at, size, firstOffset } of log.batches) {
    cursor.open(log.bytes, at, size);
    while (cursor.next()) records.set(firstOffset + cursor.offsetDelta, identityOf(cursor.buffer.subarray(cursor.valueAt, cursor.valueAt + cursor.valueLength)));
  }
  return records;
}

/** Replicas hold the same bytes from the greatest of their starts on, and know the same epochs of those. */
export function checkEqual(logs: readonly (readonly [log: StoredLog, startOffset: number])[]): void {
  const [first, ...others] = logs;
  if (first === undefined) return;
  const from = Math.max(...logs.map(([, startOffset]) => startOffset));
  const [model] = first;
  for (const [log] of others) {
    const [ours, theirs] = [partAfter(model, from), partAfter(log, from)];
    if (!ours.equals(theirs)) {
      const at = ours.findIndex((byte, index) => byte !== theirs[index]);
      throw new Violation("replicas are equal", `${log.name} from ${from} on: ${describe(model, from)}; ${describe(log, from)}; first difference at byte ${at}`);
    }
    const [known, others2] = [epochsFrom(model, from), epochsFrom(log, from)];
    if (known !== others2) throw new Violation("replicas know the same epochs", `${log.name} from ${from} on: ${model.broker} has ${known}; ${log.broker} has ${others2}`);
  }
  for (const [log] of logs) checkEpochs(log, from);
}

function partAfter(log: StoredLog, offset: number): Buffer {
  const first = log.batches.find((batch) => batch.lastOffset >= offset);
  return first === undefined ? Buffer.alloc(0) : log.bytes.subarray(first.at);
}

function describe(log: StoredLog, from: number): string {
  const runs: string[] = [];
  for (const { firstOffset, lastOffset, leaderEpoch } of log.batches) if (lastOffset >= from) runs.push(`${firstOffset}-${lastOffset}@${leaderEpoch}`);
  return `${log.broker} has ${runs.length > 12 ? `… ${runs.slice(-12).join(" ")}` : runs.join(" ")}`;
}

/** Those in which something was written. */
function epochsFrom(log: StoredLog, from: number): string {
  const written = log.epochs.filter(({ startOffset }) => startOffset < endOf(log));
  return written
    .filter((_, index) => (written[index + 1]?.startOffset ?? Infinity) > from)
    .map(({ epoch, startOffset }) => `${epoch}@${Math.max(startOffset, from)}`)
    .join(" ");
}

/** The file says what the batches say. */
function checkEpochs(log: StoredLog, from: number): void {
  let epoch = -1;
  const fromBatches: string[] = [];
  for (const batch of log.batches) {
    if (batch.lastOffset < from || batch.leaderEpoch === epoch) continue;
    epoch = batch.leaderEpoch;
    fromBatches.push(`${epoch}@${Math.max(batch.firstOffset, from)}`);
  }
  const known = epochsFrom(log, from);
  if (known !== fromBatches.join(" ")) throw new Violation("epochs are those of the batches", `${log.broker} has ${log.name} in ${fromBatches.join(" ")}, and its file says ${known}`);
}
