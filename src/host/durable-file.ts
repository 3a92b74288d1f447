import type { Disk } from "./disk.ts";

/** Replaces the file so that after a crash it has the old content or the new: `.tmp`, fsync, rename, fsync of the directory. */
export async function replaceTextFile(disk: Disk, directory: string, name: string, text: string): Promise<void> {
  const path = `${directory}/${name}`;
  const file = await disk.open(`${path}.tmp`, "truncate");
  try {
    await file.write([Buffer.from(text)], 0);
    await file.sync();
  } finally {
    await file.close();
  }
  await disk.rename(`${path}.tmp`, path);
  await disk.syncDirectory(directory);
}
