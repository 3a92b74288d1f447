import type { DirectoryEntry, Disk } from "../../host/disk.ts";
import { errorCode } from "../../lib/error.ts";
import { toHex, zxid, type Zxid } from "../protocol/ids.ts";

/** Logs and snapshots are named by a zxid: of a log's first transaction, of the last one before a snapshot. Source: persistence/Util. */
export type FileKind = "log" | "snapshot";

export interface NumberedFile {
  readonly name: string;
  readonly zxid: Zxid;
}

export const VERSION_DIRECTORY = "version-2";

export function fileName(kind: FileKind, id: Zxid): string {
  return `${kind}.${toHex(id)}`;
}

/** Ascending. Names of another form are none of ours: 3.8's compressed snapshots, files in the making. */
export async function listFiles(disk: Disk, directory: string, kind: FileKind): Promise<NumberedFile[]> {
  const files: NumberedFile[] = [];
  for (const { name } of await entriesOf(disk, directory)) {
    const match = NAME.exec(name);
    if (match?.[1] === kind && match[2] !== undefined) files.push({ name, zxid: zxid(Number.parseInt(match[2], 16)) });
  }
  return files.toSorted((a, b) => a.zxid - b.zxid);
}

/** Whether anything begins like a file of this kind, whatever follows. */
export async function holdsAny(disk: Disk, directory: string, kind: FileKind): Promise<boolean> {
  return (await entriesOf(disk, directory)).some(({ name }) => name.startsWith(`${kind}.`));
}

async function entriesOf(disk: Disk, directory: string): Promise<DirectoryEntry[]> {
  try {
    return await disk.readDirectory(directory);
  } catch (error) {
    if (errorCode(error) === "ENOENT") return [];
    throw error;
  }
}

/** Twelve digits are 48 bits: more than a safe zxid begins with is no file of ours. */
const NAME = /^(log|snapshot)\.([0-9a-fA-F]{1,13})$/;

/** From the last file that begins below `from` on: those that may hold it and what follows. */
export function filesFrom(files: readonly NumberedFile[], from: Zxid): readonly NumberedFile[] {
  const below = files.findLastIndex((file) => file.zxid < from);
  return files.slice(Math.max(below, 0));
}
