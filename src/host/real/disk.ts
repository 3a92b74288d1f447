import fs from "node:fs";
import { constants } from "node:fs";
import { dirname } from "node:path";
import { assert } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import type { DirectoryEntry, Disk, File, FileLock, FileStat, OpenMode } from "../disk.ts";
import { tryLock } from "./file-lock.ts";
import type { DataSync } from "./sync-thread.ts";

/** IOV_MAX: the kernel takes no more buffers in one writev. */
const WRITEV_CHUNKS_MAX = 1024;

const OPEN_FLAGS: Readonly<Record<OpenMode, number>> = {
  read: constants.O_RDONLY,
  write: constants.O_RDWR | constants.O_CREAT,
  truncate: constants.O_RDWR | constants.O_CREAT | constants.O_TRUNC,
};

const ownDisk: Omit<Disk, "open" | "openSync"> = {
  readFile: (path) => fs.promises.readFile(path),
  async readDirectory(path) {
    const entries = await fs.promises.readdir(path, { withFileTypes: true });
    return entries.map((entry): DirectoryEntry => ({ name: entry.name, kind: kindOf(entry) }));
  },
  async stat(path): Promise<FileStat | undefined> {
    try {
      const stat = await fs.promises.stat(path);
      return { kind: kindOf(stat), size: stat.size, modifiedMs: stat.mtimeMs };
    } catch (error) {
      if (isMissing(error)) return undefined;
      throw error;
    }
  },
  async makeDirectory(path) {
    await fs.promises.mkdir(path, { recursive: true });
  },
  makeDirectorySync(path) {
    fs.mkdirSync(path, { recursive: true });
  },
  rename: (from, to) => fs.promises.rename(from, to),
  renameSync: (from, to) => fs.renameSync(from, to),
  remove: (path) => fs.promises.rm(path, { force: true }),
  removeSync: (path) => fs.rmSync(path, { force: true }),
  removeDirectory: (path) => fs.promises.rm(path, { force: true, recursive: true }),
  async syncDirectory(path) {
    const directory = await fs.promises.open(path, constants.O_RDONLY);
    try {
      await directory.sync();
    } finally {
      await directory.close();
    }
  },
  async setModifiedTime(path, wallMs) {
    await fs.promises.utimes(path, wallMs / 1000, wallMs / 1000);
  },
  async lock(path): Promise<FileLock | undefined> {
    await fs.promises.mkdir(dirname(path), { recursive: true });
    const fd = fs.openSync(path, OPEN_FLAGS.write, 0o644);
    if (!tryLock(fd)) {
      fs.closeSync(fd);
      return undefined;
    }
    return {
      release: () => {
        fs.closeSync(fd);
        return Promise.resolve();
      },
    };
  },
};

/** What else a disk does than to call the system. */
export interface DiskHooks {
  /** Called first when an operation on an open file has ended. */
  readonly enter: () => void;
  /** Syncs the data of an open file. */
  readonly dataSync: DataSync;
}

export function diskWith({ enter = () => undefined, dataSync = fs.fdatasync }: Partial<DiskHooks> = {}): Disk {
  const hooks: DiskHooks = { enter, dataSync };
  return {
    ...ownDisk,
    open: (path, mode) => callbackToPromise<number>(enter, (done) => fs.open(path, OPEN_FLAGS[mode], 0o644, done)).then((fd) => new DescriptorFile(path, fd, hooks)),
    openSync: (path, mode) => new DescriptorFile(path, fs.openSync(path, OPEN_FLAGS[mode], 0o644), hooks),
  };
}

class DescriptorFile implements File {
  readonly path: string;
  readonly #fd: number;
  readonly #hooks: DiskHooks;
  /** Keeps asynchronous writes, truncations and syncs in the order of their calls. */
  #tail: Promise<void> = Promise.resolve();
  /** Writes and truncations that are under way. */
  #changes = 0;

  constructor(path: string, fd: number, hooks: DiskHooks) {
    this.path = path;
    this.#fd = fd;
    this.#hooks = hooks;
  }

  sizeSync(): number {
    return this.#named(() => fs.fstatSync(this.#fd).size);
  }

  async read(into: Buffer, position: number): Promise<number> {
    let total = 0;
    while (total < into.length) {
      const at = total;
      const count = await this.#called<number>((done) => fs.read(this.#fd, into, at, into.length - at, position + at, done));
      if (count === 0) break;
      total += count;
    }
    return total;
  }

  readSync(into: Buffer, position: number): number {
    return this.#named(() => {
      let total = 0;
      while (total < into.length) {
        const count = fs.readSync(this.#fd, into, total, into.length - total, position + total);
        if (count === 0) break;
        total += count;
      }
      return total;
    });
  }

  write(chunks: readonly Buffer[], position: number): Promise<void> {
    return this.#changing(async () => {
      let at = position;
      let rest = chunks;
      while (rest.length > 0) {
        const head = rest.slice(0, WRITEV_CHUNKS_MAX);
        const offset = at;
        const written = await this.#called<number>((done) => fs.writev(this.#fd, head, offset, done));
        at += written;
        rest = dropBytes(rest, written);
      }
    });
  }

  writeSync(chunks: readonly Buffer[], position: number): void {
    this.#assertIdle();
    this.#named(() => {
      let at = position;
      let rest = chunks;
      while (rest.length > 0) {
        const [only] = rest;
        const written = rest.length === 1 && only !== undefined ? fs.writeSync(this.#fd, only, 0, only.length, at) : fs.writevSync(this.#fd, rest.slice(0, WRITEV_CHUNKS_MAX), at);
        at += written;
        rest = dropBytes(rest, written);
      }
    });
  }

  truncate(size: number): Promise<void> {
    return this.#changing(() => this.#called<void>((done) => fs.ftruncate(this.#fd, size, done)));
  }

  truncateSync(size: number): void {
    this.#assertIdle();
    this.#named(() => fs.ftruncateSync(this.#fd, size));
  }

  sync(): Promise<void> {
    return this.#inOrder(() => this.#called<void>((done) => fs.fsync(this.#fd, done)));
  }

  dataSync(): Promise<void> {
    return this.#inOrder(() => this.#called<void>((done) => this.#hooks.dataSync(this.#fd, done)));
  }

  close(): Promise<void> {
    return this.#inOrder(() => this.#called<void>((done) => fs.close(this.#fd, done)));
  }

  closeSync(): void {
    this.#assertIdle();
    fs.closeSync(this.#fd);
  }

  async #called<T>(start: (done: (error: NodeJS.ErrnoException | null, value?: T) => void) => void): Promise<T> {
    try {
      return await callbackToPromise<T>(this.#hooks.enter, start);
    } catch (error) {
      throw this.#withPath(error);
    }
  }

  #named<T>(operation: () => T): T {
    try {
      return operation();
    } catch (error) {
      throw this.#withPath(error);
    }
  }

  /** The system's errors on a descriptor don't say which file it is. */
  #withPath(thrown: unknown): Error {
    const error: NodeJS.ErrnoException = toError(thrown);
    if (error.code !== undefined && error.path === undefined) {
      error.path = this.path;
      error.message += ` '${this.path}'`;
    }
    return error;
  }

  #inOrder(operation: () => Promise<void>): Promise<void> {
    const result = this.#tail.then(operation);
    this.#tail = result.catch(() => undefined);
    return result;
  }

  #changing(operation: () => Promise<void>): Promise<void> {
    this.#changes += 1;
    return this.#inOrder(operation).finally(() => {
      this.#changes -= 1;
    });
  }

  #assertIdle(): void {
    assert(this.#changes === 0, `a synchronous operation on ${this.path} would overtake ${this.#changes} asynchronous ones`);
  }
}

export const realDisk: Disk = diskWith();

/** What is left of `chunks` after `count` bytes. Empty chunks go too, so that a rest is never empty bytes only. */
function dropBytes(chunks: readonly Buffer[], count: number): readonly Buffer[] {
  let skip = count;
  let index = 0;
  for (let chunk = chunks[index]; chunk !== undefined && skip >= chunk.length; chunk = chunks[index]) {
    skip -= chunk.length;
    index += 1;
  }
  const first = chunks[index];
  if (first === undefined) return [];
  return skip === 0 && index === 0 ? chunks : [first.subarray(skip), ...chunks.slice(index + 1)];
}

function callbackToPromise<T>(enter: () => void, start: (done: (error: NodeJS.ErrnoException | null, value?: T) => void) => void): Promise<T> {
  return new Promise<T>((resolve, reject) => {
    start((error, value) => {
      enter();
      if (error === null || error === undefined) resolve(value as T);
      else reject(error);
    });
  });
}

function kindOf(entry: { isFile(): boolean; isDirectory(): boolean }): DirectoryEntry["kind"] {
  if (entry.isFile()) return "file";
  return entry.isDirectory() ? "directory" : "other";
}

function isMissing(error: unknown): boolean {
  return error instanceof Error && "code" in error && (error.code === "ENOENT" || error.code === "ENOTDIR");
}
