import type { Clock } from "../../host/clock.ts";
import type { Disk, File } from "../../host/disk.ts";
import type { Host } from "../../host/host.ts";
import { long, juteRecord } from "../../codec/jute.ts";
import { OperationalError } from "../../lib/error.ts";
import type { Zxid } from "../protocol/ids.ts";
import { fileHeader } from "../protocol/transactions.ts";
import { pathRecord } from "../protocol/records.ts";
import type { DataTree } from "../tree/tree.ts";
import { Adler32 } from "./adler32.ts";
import { fileName, listFiles, type NumberedFile } from "./file-names.ts";
import { TreeReader, TreeWriter } from "./snapshot-format.ts";

/** Snapshot files: a header, a tree, its checksum, an end mark. Source: FileSnap. */

const SNAPSHOT_MAGIC = 0x5a4b534e;
const SNAPSHOT_VERSION = 2;
const SNAPSHOT_DBID = -1;
const HEADER_BYTES = 16;

const seal = juteRecord("Seal", { checksum: long(), ...pathRecord.fields });
/** The last five bytes of every snapshot that was written to its end. */
const END = pathRecord.encode({ path: "/" });
const COMPLETE_BYTES_MIN = 10;

const CHUNK_BYTES = 256 * 1024;
/** Bytes a step, between looks at the clock. */
const STEP_BYTES = 16 * 1024;
/** How long writing a snapshot keeps others waiting at once. */
const SLICE_MS = 4;
/** Older snapshots than so many are not tried. */
const CANDIDATES_MAX = 100;

export interface LoadedSnapshot {
  readonly tree: DataTree;
  readonly zxid: Zxid;
  /** Newer ones that look complete but could not be read. */
  readonly damaged: readonly Zxid[];
}

/**
 * The newest snapshot that can be read, or undefined where there is none that looks complete. ZK_SNAPSHOT where
 * some look complete but none can be read.
 */
export async function loadNewestSnapshot(host: Host, directory: string, options: { readonly fieldBytesMax: number; newTree(): DataTree }): Promise<LoadedSnapshot | undefined> {
  const candidates: NumberedFile[] = [];
  for (const file of (await listFiles(host.disk, directory, "snapshot")).toReversed()) {
    if (candidates.length === CANDIDATES_MAX) break;
    if (await isComplete(host.disk, `${directory}/${file.name}`)) candidates.push(file);
    else host.log.warn("a snapshot was not written to its end, an older one is taken", { path: `${directory}/${file.name}` });
  }
  for (const [index, { name, zxid }] of candidates.entries()) {
    const path = `${directory}/${name}`;
    const tree = options.newTree();
    const problem = await load(host, path, tree, zxid, options.fieldBytesMax);
    if (problem === undefined) return { tree, zxid, damaged: candidates.slice(0, index).map((file) => file.zxid) };
    host.log.error("a snapshot is damaged, an older one is tried", { path, problem });
  }
  if (candidates.length === 0) return undefined;
  throw new OperationalError("ZK_SNAPSHOT", `none of the snapshots in ${directory} can be read: restore them, or empty this member's directories so that it takes its data from the others`);
}

/** Writes `tree` as it goes on changing; under its name and durable when the promise is fulfilled. Returns the zxid it stands for. */
export async function writeSnapshot(host: Host, directory: string, tree: DataTree): Promise<Zxid> {
  const { disk } = host;
  const writer = new TreeWriter(tree);
  const path = `${directory}/${fileName("snapshot", writer.zxid)}`;
  const temporary = `${path}.tmp`;
  try {
    const file = await disk.open(temporary, "truncate");
    try {
      await writeAll(host, file, writer);
      await file.sync();
    } finally {
      await file.close();
    }
  } finally {
    writer.close();
  }
  await disk.rename(temporary, path);
  await disk.syncDirectory(directory);
  return writer.zxid;
}

/** What a crash left of snapshots in the making. */
export async function removeUnfinishedSnapshots(disk: Disk, directory: string): Promise<void> {
  for (const { name } of await disk.readDirectory(directory)) if (/^snapshot\.[0-9a-f]+\.tmp$/.test(name)) await disk.remove(`${directory}/${name}`);
}

async function writeAll(host: Host, file: File, writer: TreeWriter): Promise<void> {
  const checksum = new Adler32();
  let position = 0;
  const write = async (chunks: readonly Buffer[]): Promise<void> => {
    await file.write(chunks, position);
    for (const chunk of chunks) position += chunk.length;
  };
  const header = fileHeader.encode({ magic: SNAPSHOT_MAGIC, version: SNAPSHOT_VERSION, dbid: SNAPSHOT_DBID });
  checksum.update(header);
  await write([header]);
  for (let slice = nextSlice(host.clock, writer); slice !== undefined; slice = nextSlice(host.clock, writer)) {
    for (const chunk of slice) checksum.update(chunk);
    await write(slice);
  }
  await write([seal.encode({ checksum: checksum.value, path: "/" })]);
}

/** As much of the tree as a slice of time gives, at most about a chunk; undefined after the last. */
export function nextSlice(clock: Clock, writer: TreeWriter): Buffer[] | undefined {
  const slice: Buffer[] = [];
  const until = clock.monotonicMs() + SLICE_MS;
  let bytes = 0;
  do {
    const chunks = writer.next(STEP_BYTES);
    if (chunks === undefined) return slice.length === 0 ? undefined : slice;
    for (const chunk of chunks) bytes += chunk.length;
    slice.push(...chunks);
  } while (bytes < CHUNK_BYTES && clock.monotonicMs() < until);
  return slice;
}

async function isComplete(disk: Disk, path: string): Promise<boolean> {
  const file = await disk.open(path, "read");
  try {
    const size = file.sizeSync();
    if (size < COMPLETE_BYTES_MIN) return false;
    const last = Buffer.alloc(END.length);
    const read = await file.read(last, size - END.length);
    return read === END.length && last.equals(END);
  } finally {
    await file.close();
  }
}

/** Returns what is wrong with the file, if anything is. */
async function load(host: Host, path: string, tree: DataTree, zxid: Zxid, fieldBytesMax: number): Promise<string | undefined> {
  const file = await host.disk.open(path, "read");
  try {
    const head = Buffer.alloc(HEADER_BYTES);
    await file.read(head, 0);
    if (fileHeader.decode(head)?.magic !== SNAPSHOT_MAGIC) return "the header is not a snapshot's";
    const checksum = new Adler32().update(head);
    const reader = new TreeReader(tree, fieldBytesMax);
    let position = HEADER_BYTES;
    while (!reader.done) {
      const chunk = Buffer.allocUnsafeSlow(CHUNK_BYTES);
      const read = await file.read(chunk, position);
      if (read === 0) return "it ends too early";
      position += read;
      checksum.update(reader.push(chunk.subarray(0, read)));
      if (reader.problem !== undefined) return reader.problem;
    }
    const rest = reader.rest();
    const tail = Buffer.alloc(seal.encode({ checksum: 0, path: "/" }).length);
    const copied = rest.copy(tail);
    await file.read(tail.subarray(copied), position);
    if (seal.decode(tail)?.checksum !== checksum.value) return "its checksum does not match";
    if (reader.unknownAcls > 0) host.log.warn("a snapshot names ACLs that it does not list, replay has to tell them", { path, znodes: reader.unknownAcls });
    reader.finish(zxid);
    return undefined;
  } finally {
    await file.close();
  }
}
