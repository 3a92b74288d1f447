import type { Disk } from "../../host/disk.ts";
import type { Segment } from "./segment.ts";

export interface SwapSteps {
  /** Whether the log is still one whose files may be changed. */
  isOpen(): boolean;
  /** Takes the sources out of the log, their files marked as deleted, and `cleaned` into it; in one turn. */
  exchange(): void;
}

/**
 * Puts a complete and durable `.cleaned` segment in the place of those that it was made from, so that a crash at any
 * moment leaves the old records or the new ones: its files become `.swap`; once that is durable a start completes the
 * exchange, before it is undone. Only then the sources go, and once that is durable the files take their live names.
 * The caller keeps truncation, retention and the close away. False: the log was given up before the exchange.
 * Source: Log.replaceSegments.
 */
export async function swapSegments(disk: Disk, directory: { readonly path: string }, cleaned: Segment, steps: SwapSteps): Promise<boolean> {
  cleaned.moveTo("swap");
  await disk.syncDirectory(directory.path);
  if (!steps.isOpen()) return false;
  steps.exchange();
  await disk.syncDirectory(directory.path);
  // What was given up now is completed by the next start, if ever there is one.
  if (!steps.isOpen()) return true;
  cleaned.moveTo("live");
  await disk.syncDirectory(directory.path);
  return true;
}
