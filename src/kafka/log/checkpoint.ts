import { OperationalError, errorCode } from "../../lib/error.ts";
import type { Disk } from "../../host/disk.ts";
import type { LeaderEpochStart } from "./leader-epochs.ts";
import { partitionName } from "./names.ts";

/**
 * Checkpoints are text: a line with version 0, a line with the number of entries, a line an entry.
 * Source: kafka.server.checkpoints.{CheckpointFile,OffsetCheckpointFile,LeaderEpochCheckpointFile}.
 */
const VERSION = "0";

/** By partition name (`topic-partition`). */
export type PartitionOffsets = ReadonlyMap<string, number>;

export function formatOffsets(offsets: PartitionOffsets): string {
  return format(
    Array.from(offsets, ([name, offset]) => {
      const dash = name.lastIndexOf("-");
      return `${name.slice(0, dash)} ${name.slice(dash + 1)} ${offset}`;
    }),
  );
}

/** Throws ERR_CHECKPOINT where the text is none; an empty one has no entries. */
export function parseOffsets(text: string, path: string): Map<string, number> {
  const offsets = new Map<string, number>();
  for (const [topic = "", partition, offset] of parse(text, 3, path)) {
    offsets.set(partitionName(topic, wholeNumber(partition, path)), wholeNumber(offset, path));
  }
  return offsets;
}

export function formatLeaderEpochs(entries: readonly LeaderEpochStart[]): string {
  return format(entries.map((entry) => `${entry.epoch} ${entry.startOffset}`));
}

export function parseLeaderEpochs(text: string, path: string): LeaderEpochStart[] {
  return parse(text, 2, path).map(([epoch, offset]) => ({ epoch: wholeNumber(epoch, path), startOffset: wholeNumber(offset, path) }));
}

function format(lines: readonly string[]): string {
  return [VERSION, String(lines.length), ...lines, ""].join("\n");
}

function parse(text: string, fields: number, path: string): string[][] {
  const lines = text.split(/\r?\n/);
  if (lines.at(-1) === "") lines.pop();
  const [version, count, ...entries] = lines;
  if (version === undefined || (version === VERSION && count === undefined)) return [];
  if (version !== VERSION) throw broken(path, `it has version ${version}, not ${VERSION}`);
  if (wholeNumber(count, path) !== entries.length) throw broken(path, `it says ${count} entries and has ${entries.length}`);
  return entries.map((line) => {
    const parts = line.split(/\s+/);
    if (parts.length !== fields) throw broken(path, `"${line}" does not have ${fields} fields`);
    return parts;
  });
}

function wholeNumber(text: string | undefined, path: string): number {
  const value = Number(text);
  if (text === undefined || !/^-?\d+$/.test(text) || !Number.isSafeInteger(value)) throw broken(path, `"${text}" is not a whole number`);
  return value;
}

function broken(path: string, why: string): OperationalError {
  return new OperationalError("ERR_CHECKPOINT", `The checkpoint ${path} cannot be read: ${why}`);
}

/** The file's text, empty where there is no file. */
export async function readTextFile(disk: Disk, path: string): Promise<string> {
  try {
    return (await disk.readFile(path)).toString("utf8");
  } catch (error) {
    if (errorCode(error) === "ENOENT") return "";
    throw error;
  }
}
