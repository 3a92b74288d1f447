/**
 * Files. The synchronous forms exist for short appends to a warm page, for rolling a file in the midst of
 * an append, and for start-up; everything cold or large goes through the asynchronous ones.
 * Errors are operational: an `Error` with a Node-style `code` (ENOENT, EEXIST, ENOSPC, EIO, EACCES, …) and the path.
 */
export interface Disk {
  open(path: string, mode: OpenMode): Promise<File>;
  openSync(path: string, mode: OpenMode): File;
  /** The whole file. ENOENT where there is none. */
  readFile(path: string): Promise<Buffer>;
  /** Names in no particular order. ENOENT where there is no directory. */
  readDirectory(path: string): Promise<DirectoryEntry[]>;
  /** Undefined where nothing has that name. */
  stat(path: string): Promise<FileStat | undefined>;
  /** Creates missing parents too; an existing directory is fine. */
  makeDirectory(path: string): Promise<void>;
  makeDirectorySync(path: string): void;
  /** Replaces `to` atomically; durable only after `syncDirectory`. */
  rename(from: string, to: string): Promise<void>;
  renameSync(from: string, to: string): void;
  /** A missing file is fine. */
  remove(path: string): Promise<void>;
  removeSync(path: string): void;
  /** Removes a directory and all it holds. A missing one is fine. */
  removeDirectory(path: string): Promise<void>;
  /** Makes creations, renames and removals in that directory durable. */
  syncDirectory(path: string): Promise<void>;
  setModifiedTime(path: string, wallMs: number): Promise<void>;
  /**
   * Takes the exclusive lock on `path` (created where missing), or undefined where another process holds it.
   * The lock also excludes a JVM's FileChannel.lock and is gone with the process that holds it.
   */
  lock(path: string): Promise<FileLock | undefined>;
}

/** `read`: must exist · `write`: read and write, created where missing, kept as it is · `truncate`: read and write, emptied. */
export type OpenMode = "read" | "write" | "truncate";

export interface DirectoryEntry {
  readonly name: string;
  readonly kind: "file" | "directory" | "other";
}

export interface FileStat {
  readonly kind: "file" | "directory" | "other";
  readonly size: number;
  readonly modifiedMs: number;
}

export interface FileLock {
  release(): Promise<void>;
}

/**
 * Positions and sizes in bytes. Asynchronous writes, truncations and syncs of one file take effect in the order in
 * which they were called. While a write or truncation is under way, a synchronous one must not be called (an assertion
 * says so), and a read of the bytes that it changes may give the old ones or the new. A sync may be under way: it covers
 * what was written before it was called.
 */
export interface File {
  readonly path: string;
  /** The size as the system has it now. */
  sizeSync(): number;
  /** Fills `into` from `position`; returns the bytes read, fewer only at the end of the file. */
  read(into: Buffer, position: number): Promise<number>;
  readSync(into: Buffer, position: number): number;
  /** Writes all of `chunks`, one after the other, from `position` on. After an error the range is undefined. */
  write(chunks: readonly Buffer[], position: number): Promise<void>;
  writeSync(chunks: readonly Buffer[], position: number): void;
  truncate(size: number): Promise<void>;
  truncateSync(size: number): void;
  /** Data and metadata are on the disk (fsync). A failure means that earlier writes may be lost: do not retry. */
  sync(): Promise<void>;
  /** As `sync`, without metadata that reading does not need (fdatasync). */
  dataSync(): Promise<void>;
  close(): Promise<void>;
  closeSync(): void;
}
