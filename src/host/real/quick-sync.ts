import fs from "node:fs";
import { toError } from "../../lib/error.ts";
import type { DataSync } from "./sync-thread.ts";

/** A sync that takes longer holds the loop for longer than the way to another thread and back is worth. */
const QUICK_MS = 2;

/**
 * Syncs in the caller's own turn while the disk is quick, and by `otherwise` after one that was not, until one of those
 * is: on a quick disk another thread takes as long to be woken as the disk to sync. For a loop that has little else to do
 * than what waits for the sync (docs/decisions/20261123-quick-sync.md).
 */
export function quickDataSync(otherwise: DataSync = fs.fdatasync, quickMs = QUICK_MS): DataSync {
  let quick = false;
  return (fd, done) => {
    const startedMs = performance.now();
    const synced = (error: Error | null): void => {
      quick = performance.now() - startedMs < quickMs;
      done(error);
    };
    if (quick) synced(syncNow(fd));
    else otherwise(fd, synced);
  };
}

function syncNow(fd: number): Error | null {
  try {
    fs.fdatasyncSync(fd);
    return null;
  } catch (error) {
    return toError(error);
  }
}
