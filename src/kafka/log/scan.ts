import type { File } from "../../host/disk.ts";
import { BATCH_HEADER_BYTES, BATCH_PREFIX_BYTES, batchIsControl, declaredBatchSize } from "../records/batch.ts";

/** Called with the batch of `size` bytes in buffer[at…], which stands at `position` in the file. True: stop here. */
export type BatchVisitor = (buffer: Buffer, at: number, size: number, position: number) => boolean | void;

export interface ScanOptions {
  /** Which batches the visitor needs as a whole; of others it may look at the header only. */
  readonly bodies: "all" | "control" | "none";
  readonly windowBytes: number;
}

export interface ScanResult {
  /** Where the last batch that was passed ends; where the visitor stopped, that batch begins. */
  readonly position: number;
  /** `cut`: a batch begins that reaches beyond the end. `corrupt`: no batch can begin like this. */
  readonly reason: "end" | "stopped" | "cut" | "corrupt";
}

/** Walks the batches of file[start, end), of any format, through one window of memory. */
export async function scanBatches(file: File, start: number, end: number, options: ScanOptions, visit: BatchVisitor): Promise<ScanResult> {
  let window = Buffer.allocUnsafe(Math.max(BATCH_HEADER_BYTES, Math.min(options.windowBytes, end - start)));
  let windowAt = start;
  let filled = 0;
  for (let position = start; ; ) {
    const at = position - windowAt;
    const size = at < filled ? declaredBatchSize(window, at, filled) : 0;
    if (size < 0) return { position, reason: "corrupt" };
    const available = filled - at;
    const needed = size === 0 ? BATCH_PREFIX_BYTES : bytesNeeded(window, at, size, available, options);
    if (position + needed > end || size > end - position) return { position, reason: position === end ? "end" : "cut" };
    if (available < needed) {
      if (window.length < needed) window = Buffer.allocUnsafe(needed);
      filled = await file.read(window.subarray(0, Math.min(window.length, end - position)), position);
      windowAt = position;
      if (filled < needed) return { position, reason: "cut" };
    } else {
      if (visit(window, at, size, position) === true) return { position, reason: "stopped" };
      position += size;
    }
  }
}

function bytesNeeded(window: Buffer, at: number, size: number, available: number, options: ScanOptions): number {
  if (options.bodies === "all") return size;
  const header = Math.min(size, BATCH_HEADER_BYTES);
  return options.bodies === "control" && available >= header && batchIsControl(window, at) ? size : header;
}
