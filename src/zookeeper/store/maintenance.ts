import type { Disk, File } from "../../host/disk.ts";
import type { Host } from "../../host/host.ts";
import { OperationalError } from "../../lib/error.ts";
import { toHex, type Zxid } from "../protocol/ids.ts";
import { filesFrom, listFiles, type NumberedFile } from "./file-names.ts";
import { LogFileReader } from "./log-format.ts";
import { BATCH_BYTES_MAX } from "./transaction-log.ts";

/** What is done to whole files: mending, cutting, throwing away. */

export interface Directories {
  readonly snapshots: string;
  readonly logs: string;
}

export interface DamagedLog {
  /** Where the last good entry ends; 0 where not even the header is good. */
  readonly validBytes: number;
  /** Whether no later log file exists. */
  readonly last: boolean;
  readonly what: string;
  readonly entryBytesMax: number;
}

/**
 * Cuts off what a power loss left of the last batch, which nobody was told of. Anything else is damage to what
 * others rely on, and refused: ZK_LOG. A file without a header, from which nothing was ever acknowledged, goes.
 */
export async function repairLog(host: Host, path: string, damage: DamagedLog): Promise<void> {
  const file = await host.disk.open(path, "write");
  try {
    const torn = damage.last && (await endOfContent(file)) - damage.validBytes <= BATCH_BYTES_MAX + damage.entryBytesMax;
    if (!torn) {
      throw new OperationalError("ZK_LOG", `${path} is damaged behind byte ${damage.validBytes}: ${damage.what}. Restore it, or empty this member's directories so that it takes its data from the others`);
    }
    if (damage.validBytes > 0) {
      await file.truncate(damage.validBytes);
      await file.sync();
    }
  } finally {
    await file.close();
  }
  host.log.warn("cut off a torn write at the end of the transaction log", { path, validBytes: damage.validBytes, what: damage.what });
  if (damage.validBytes > 0) return;
  await host.disk.remove(path);
  await host.disk.syncDirectory(path.slice(0, path.lastIndexOf("/")));
}

/** Behind the last byte that is not zero. */
async function endOfContent(file: File): Promise<number> {
  const chunk = Buffer.allocUnsafeSlow(SCAN_BYTES);
  for (let end = file.sizeSync(); end > 0; ) {
    const start = Math.max(0, end - SCAN_BYTES);
    const read = await file.read(chunk.subarray(0, end - start), start);
    for (let at = read - 1; at >= 0; at--) if (chunk[at] !== 0) return start + at + 1;
    end = start;
  }
  return 0;
}

const SCAN_BYTES = 1024 * 1024;

/**
 * Removes every transaction after `zxid` from the logs, and the snapshots that hold any: a member that has taken
 * a snapshot at its start, before a leader told it to go back, must not find it again. ZK_TRUNCATE where `zxid`
 * itself is not there to end with. Source: FileTxnLog.truncate.
 */
export async function truncateLogs(disk: Disk, directories: Directories, zxid: Zxid, payloadBytesMax: number): Promise<void> {
  const { snapshots, logs } = directories;
  const taken = await listFiles(disk, snapshots, "snapshot");
  const cut = await findCut(disk, logs, await listFiles(disk, logs, "log"), zxid, payloadBytesMax);
  if (!taken.some((file) => file.zxid <= zxid)) throw cannotTruncate(zxid, `every snapshot in ${snapshots} is newer`);
  if (cut?.last !== zxid && !taken.some((file) => file.zxid === zxid)) throw cannotTruncate(zxid, `${logs} does not hold it`);
  await dropAfter(disk, directories, zxid, payloadBytesMax);
}

/**
 * What is after `zxid` goes, from the newest on, logs before the snapshots that stand in for them: a crash on the way
 * leaves more than is wanted, but no gap.
 */
export async function dropAfter(disk: Disk, { snapshots, logs }: Directories, zxid: Zxid, payloadBytesMax: number): Promise<void> {
  const files = await listFiles(disk, logs, "log");
  await removeAll(disk, logs, files.filter((file) => file.zxid > zxid).toReversed());
  const cut = await findCut(disk, logs, files, zxid, payloadBytesMax);
  if (cut !== undefined) {
    const file = await disk.open(cut.path, "write");
    try {
      await file.truncate(cut.end);
      await file.sync();
    } finally {
      await file.close();
    }
  }
  const taken = await listFiles(disk, snapshots, "snapshot");
  await removeAll(disk, snapshots, taken.filter((file) => file.zxid > zxid).toReversed());
}

interface Cut {
  readonly path: string;
  /** The last transaction that stays. */
  readonly last: Zxid | undefined;
  /** Where it ends. */
  readonly end: number;
}

/** In the file that `zxid` is or would be in. */
async function findCut(disk: Disk, logs: string, files: readonly NumberedFile[], zxid: Zxid, payloadBytesMax: number): Promise<Cut | undefined> {
  const holding = files.findLast((file) => file.zxid <= zxid);
  return holding && { path: `${logs}/${holding.name}`, ...(await lastUpTo(disk, `${logs}/${holding.name}`, zxid, payloadBytesMax)) };
}

/** The last transaction of a file that is not after `zxid`, and where it ends. */
async function lastUpTo(disk: Disk, path: string, zxid: Zxid, payloadBytesMax: number): Promise<{ last: Zxid | undefined; end: number }> {
  const reader = await LogFileReader.open(disk, path, { payloadBytesMax, until: zxid });
  try {
    let last: Zxid | undefined;
    for (let batch = await reader.next(); batch !== undefined; batch = await reader.next()) last = batch.at(-1)?.header.zxid;
    return { last, end: reader.position };
  } finally {
    await reader.close();
  }
}

function cannotTruncate(zxid: Zxid, why: string): OperationalError {
  return new OperationalError("ZK_TRUNCATE", `cannot go back to transaction 0x${toHex(zxid)}: ${why}. Empty this member's directories so that it takes its data from the others`);
}

/** Keeps the newest `retain` snapshots, the logs since the oldest of them, and the one log before. Source: PurgeTxnLog. */
export async function purgeFiles(disk: Disk, { snapshots, logs }: Directories, retain: number): Promise<string[]> {
  const taken = await listFiles(disk, snapshots, "snapshot");
  const oldest = taken.at(-retain) ?? taken[0];
  if (oldest === undefined) return [];
  const files = await listFiles(disk, logs, "log");
  const needed = new Set(filesFrom(files, (oldest.zxid + 1) as Zxid));
  const oldSnapshots = taken.filter((file) => file.zxid < oldest.zxid);
  const oldLogs = files.filter((file) => !needed.has(file));
  await removeAll(disk, snapshots, oldSnapshots);
  await removeAll(disk, logs, oldLogs);
  return [...oldSnapshots, ...oldLogs].map((file) => file.name);
}

/** Durably, one after the other. */
async function removeAll(disk: Disk, directory: string, files: readonly NumberedFile[]): Promise<void> {
  for (const { name } of files) {
    await disk.remove(`${directory}/${name}`);
    await disk.syncDirectory(directory);
  }
}
