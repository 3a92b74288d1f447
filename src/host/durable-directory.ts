import { errorCode } from "../lib/error.ts";
import type { Disk } from "./disk.ts";

/**
 * Makes a directory, with its parents, and their names durable. Those that are there already are synced too: whoever
 * made them may have been killed before it could. An ancestor that may not be opened is somebody else's, and older.
 */
export async function makeDirectoryDurably(disk: Disk, path: string): Promise<void> {
  await disk.makeDirectory(path);
  for (let at = path; at.includes("/") && at !== "/"; ) {
    at = at.slice(0, at.lastIndexOf("/")) || "/";
    try {
      await disk.syncDirectory(at);
    } catch (error) {
      const code = errorCode(error);
      if (code !== "EACCES" && code !== "EPERM") throw error;
    }
  }
}
