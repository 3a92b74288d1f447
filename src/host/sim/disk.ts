import { assert } from "../../lib/assert.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import type { Prng } from "../../lib/prng.ts";
import type { DirectoryEntry, Disk, File, FileLock, FileStat, OpenMode } from "../disk.ts";
import { drawDelayUs } from "./fabric.ts";
import { diskError, FileSystem, type FileNode } from "./file-system.ts";
import { never, type Life } from "./life.ts";
import type { DiskOptions } from "./options.ts";
import { losePower } from "./power-loss.ts";
import { eventKinds, type Schedule } from "./schedule.ts";

const errorClasses = {
  open: "read",
  read: "read",
  list: "read",
  stat: "read",
  lock: "read",
  write: "write",
  truncate: "write",
  makeDirectory: "write",
  rename: "write",
  remove: "write",
  setModifiedTime: "write",
  sync: "sync",
  syncDirectory: "sync",
} as const;

/** One operation as it takes effect; `index` counts those of this disk from 1. */
export interface DiskCall {
  readonly operation: keyof typeof errorClasses;
  readonly path: string;
  readonly index: number;
}

/** What a process asked for and has not been told the end of. */
interface Work {
  readonly file: SimFile | undefined;
  done: boolean;
  run(): void;
  /** Takes effect in part, where the process dies in its midst. */
  runPart(prng: Prng): void;
}

/** A machine's disk. It outlives processes and power; the members here are the test's to read and to harm. */
export class SimDisk {
  readonly files: FileSystem;
  readonly options: DiskOptions;
  readonly schedule: Schedule;
  /** Returns the code with which an operation is to fail: `(call) => (call.index === 7 ? "EIO" : undefined)`. */
  inject: ((call: DiskCall) => string | undefined) | undefined;
  /** Operations that took effect so far. */
  calls = 0;
  readonly locks = new Map<string, Life>();
  readonly works = new Set<Work>();
  readonly latencies: Prng;
  readonly faults: Prng;
  readonly names: Prng;
  readonly #crashes: Prng;

  constructor(options: { schedule: Schedule; prng: Prng; disk: DiskOptions; wallMs: () => number }) {
    this.schedule = options.schedule;
    this.options = options.disk;
    this.latencies = options.prng.fork("latency");
    this.faults = options.prng.fork("faults");
    this.names = options.prng.fork("names");
    this.#crashes = options.prng.fork("crashes");
    this.files = new FileSystem({ nowUs: () => options.schedule.nowUs, wallMs: options.wallMs, writebackUs: () => this.options.writebackMs * 1000 });
  }

  /** The file as a process would read it now, or undefined where there is none. */
  peek(path: string): Buffer | undefined {
    const node = this.files.find(path);
    return node?.kind === "file" ? contentOf(node) : undefined;
  }

  /** Flips one bit, at a drawn position unless one is given; returns the position. Syncs do not mend it. */
  rot(path: string, position?: number): number {
    const file = this.files.file(path);
    assert(file.content.size > 0, `a byte to rot in ${path}`);
    const at = position ?? this.faults.below(file.content.size);
    file.content.flipBit(at, this.faults.below(8));
    return at;
  }

  /** The error with which this operation is to fail, if any. Draws once a call, whatever the rates are. */
  check(operation: DiskCall["operation"], path: string): OperationalError | undefined {
    this.calls++;
    const rates = { read: this.options.readErrorsPerMillion, write: this.options.writeErrorsPerMillion, sync: this.options.syncErrorsPerMillion };
    const drawn = this.faults.chance(rates[errorClasses[operation]], 1_000_000) ? "EIO" : undefined;
    const code = this.inject?.({ operation, path, index: this.calls }) ?? drawn;
    return code === undefined ? undefined : diskError(code, path);
  }

  /** The process died: what it had asked for was done, done in part or not begun; of one file, in order. */
  endLife(life: Life): void {
    const stopped = new Set<SimFile>();
    for (const work of this.works) {
      if (work.done || (work.file !== undefined && stopped.has(work.file))) continue;
      const reached = this.faults.below(3);
      if (reached === 2) work.run();
      else {
        if (reached === 1) work.runPart(this.faults);
        if (work.file !== undefined) stopped.add(work.file);
      }
    }
    this.works.clear();
    for (const [path, holder] of this.locks) if (holder === life) this.locks.delete(path);
  }

  losePower(): void {
    losePower(this.files, this.#crashes, this.options);
  }
}

/** The disk as one life of a node sees it. */
export class LifeDisk implements Disk {
  readonly #disk: SimDisk;
  readonly #life: Life;
  /** For those who look for leaks. */
  readonly openFiles = new Set<File>();

  constructor(options: { disk: SimDisk; life: Life }) {
    this.#disk = options.disk;
    this.#life = options.life;
  }

  open(path: string, mode: OpenMode): Promise<File> {
    return this.later("open", path, () => this.#open(path, mode));
  }

  openSync(path: string, mode: OpenMode): File {
    return this.now("open", path, () => this.#open(path, mode));
  }

  readFile(path: string): Promise<Buffer> {
    return this.later("read", path, () => contentOf(this.#disk.files.file(path)));
  }

  readDirectory(path: string): Promise<DirectoryEntry[]> {
    return this.later("list", path, () => {
      const entries = [...this.#disk.files.directory(path).entries].map(([name, { kind }]): DirectoryEntry => ({ name, kind }));
      return this.#disk.names.shuffle(entries);
    });
  }

  stat(path: string): Promise<FileStat | undefined> {
    return this.later("stat", path, (): FileStat | undefined => {
      const node = this.#disk.files.find(path);
      if (node === undefined) return undefined;
      return { kind: node.kind, size: node.kind === "file" ? node.content.size : 0, modifiedMs: node.modifiedMs };
    });
  }

  makeDirectory(path: string): Promise<void> {
    return this.later("makeDirectory", path, () => this.#disk.files.makeDirectory(path));
  }

  makeDirectorySync(path: string): void {
    this.now("makeDirectory", path, () => this.#disk.files.makeDirectory(path));
  }

  rename(from: string, to: string): Promise<void> {
    return this.later("rename", from, () => this.#disk.files.rename(from, to));
  }

  renameSync(from: string, to: string): void {
    this.now("rename", from, () => this.#disk.files.rename(from, to));
  }

  remove(path: string): Promise<void> {
    return this.later("remove", path, () => this.#disk.files.remove(path));
  }

  removeSync(path: string): void {
    this.now("remove", path, () => this.#disk.files.remove(path));
  }

  removeDirectory(path: string): Promise<void> {
    const { files } = this.#disk;
    const remove = (part: (steps: number) => number): void => {
      const steps = files.removalSteps(path);
      for (const step of steps.slice(0, part(steps.length))) step();
    };
    return this.later("remove", path, () => remove((steps) => steps), { part: (prng) => remove((steps) => prng.below(steps + 1)) });
  }

  syncDirectory(path: string): Promise<void> {
    return this.later("syncDirectory", path, () => this.#disk.files.syncDirectory(path));
  }

  setModifiedTime(path: string, wallMs: number): Promise<void> {
    return this.later("setModifiedTime", path, () => {
      const node = this.#disk.files.find(path);
      if (node === undefined) throw diskError("ENOENT", path);
      node.modifiedMs = wallMs;
    });
  }

  lock(path: string): Promise<FileLock | undefined> {
    const { files, locks } = this.#disk;
    return this.later("lock", path, (): FileLock | undefined => {
      if (locks.has(path)) return undefined;
      files.makeDirectory(path.slice(0, Math.max(0, path.lastIndexOf("/"))));
      files.create(path);
      const life = this.#life;
      locks.set(path, life);
      return {
        release: () => {
          if (locks.get(path) === life) locks.delete(path);
          return Promise.resolve();
        },
      };
    });
  }

  /** Takes effect now. */
  now<T>(operation: DiskCall["operation"], path: string, effect: () => T, options: EffectOptions = {}): T {
    if (!this.#life.alive) throw new OperationalError("ESHUTDOWN", `${path}: this life of ${this.#life.nodeName} is over`);
    this.#disk.schedule.note(eventKinds.diskSync, this.#life.node, options.size ?? 0);
    options.file?.runQueued();
    return this.#checked(operation, path, effect, options.part);
  }

  /** Takes effect, and settles, after a drawn time; for a file, after all that was asked of it before. */
  later<T>(operation: DiskCall["operation"], path: string, effect: () => T, options: EffectOptions = {}): Promise<T> {
    const life = this.#life;
    if (!life.alive) return never();
    const { file, size, part } = options;
    const { works, options: rates, latencies, schedule } = this.#disk;
    return new Promise<T>((resolve, reject) => {
      let settle: () => void = () => undefined;
      const work: Work = {
        file,
        done: false,
        run: () => {
          work.done = true;
          try {
            const value = this.#checked(operation, path, effect, part);
            settle = () => resolve(value);
          } catch (thrown) {
            settle = () => reject(toError(thrown));
          }
        },
        runPart: (prng) => part?.(prng, "death"),
      };
      works.add(work);
      file?.queue.push(work);
      let atUs = schedule.nowUs + drawDelayUs(latencies, errorClasses[operation] === "sync" ? rates.syncMs : rates.latencyMs, rates);
      if (file !== undefined) atUs = file.nextUs = Math.max(file.nextUs, atUs);
      const arrive = (): void => {
        works.delete(work);
        if (file !== undefined) file.runQueued(work);
        else work.run();
        settle();
      };
      schedule.at(atUs, eventKinds.disk, life.node, life, arrive, size ?? 0);
    });
  }

  #open(path: string, mode: OpenMode): File {
    const { files } = this.#disk;
    const node = mode === "read" ? files.file(path) : files.create(path);
    if (mode === "truncate") files.truncate(node, 0);
    const file = new SimFile({ disk: this.#disk, owner: this, path, node, writable: mode !== "read" });
    this.openFiles.add(file);
    return file;
  }

  #checked<T>(operation: DiskCall["operation"], path: string, effect: () => T, part: EffectOptions["part"]): T {
    const failure = this.#disk.check(operation, path);
    if (failure === undefined) return effect();
    part?.(this.#disk.faults, "failure");
    throw failure;
  }
}

interface EffectOptions {
  readonly file?: SimFile;
  /** Bytes, for the rolling hash. */
  readonly size?: number;
  /** What happens instead of the effect where the operation fails, or where the process dies in its midst. */
  readonly part?: (prng: Prng, why: "failure" | "death") => void;
}

class SimFile implements File {
  readonly path: string;
  /** Asked for and not in effect, oldest first. */
  queue: Work[] = [];
  /** When the last of the queue takes effect, in world time. */
  nextUs = 0;
  readonly #disk: SimDisk;
  readonly #owner: LifeDisk;
  readonly #node: FileNode;
  readonly #writable: boolean;
  #closed = false;
  /** Writes and truncations that are under way. */
  #changes = 0;

  constructor(options: { disk: SimDisk; owner: LifeDisk; path: string; node: FileNode; writable: boolean }) {
    this.#disk = options.disk;
    this.#owner = options.owner;
    this.path = options.path;
    this.#node = options.node;
    this.#writable = options.writable;
  }

  /** Brings the queue into effect up to and with `last`, or all of it. */
  runQueued(last?: Work): void {
    if (last?.done === true) return;
    for (let work = this.queue.shift(); work !== undefined; work = this.queue.shift()) {
      work.run();
      if (work === last) break;
    }
  }

  sizeSync(): number {
    this.#mustBeOpen(false);
    this.runQueued();
    return this.#node.content.size;
  }

  async read(into: Buffer, position: number): Promise<number> {
    this.#mustBeOpen(false);
    return this.#owner.later("read", this.path, ...this.#reading(into, position));
  }

  readSync(into: Buffer, position: number): number {
    this.#mustBeOpen(false);
    return this.#owner.now("read", this.path, ...this.#reading(into, position));
  }

  async write(chunks: readonly Buffer[], position: number): Promise<void> {
    this.#mustBeOpen(true);
    return this.#changing(this.#owner.later("write", this.path, ...this.#writing(chunks, position)));
  }

  writeSync(chunks: readonly Buffer[], position: number): void {
    this.#mustBeOpen(true);
    this.#mustNotOvertake();
    this.#owner.now("write", this.path, ...this.#writing(chunks, position));
  }

  async truncate(size: number): Promise<void> {
    this.#mustBeOpen(true);
    return this.#changing(this.#owner.later("truncate", this.path, () => this.#disk.files.truncate(this.#node, size), { file: this }));
  }

  truncateSync(size: number): void {
    this.#mustBeOpen(true);
    this.#mustNotOvertake();
    this.#owner.now("truncate", this.path, () => this.#disk.files.truncate(this.#node, size), { file: this });
  }

  async sync(): Promise<void> {
    this.#mustBeOpen(false);
    const lose = (prng: Prng, why: "failure" | "death"): void => {
      if (why === "failure") for (const change of this.#node.changes) if (change.state === "pending" && prng.chance(1, 2)) change.state = "lost";
    };
    return this.#owner.later("sync", this.path, () => this.#disk.files.sync(this.#node), { file: this, part: lose });
  }

  dataSync(): Promise<void> {
    return this.sync();
  }

  async close(): Promise<void> {
    this.#close();
    // What was asked of the file before still comes to pass, and first.
    return this.#owner.later("stat", this.path, () => undefined, { file: this });
  }

  closeSync(): void {
    this.#mustNotOvertake();
    this.#close();
    this.runQueued();
  }

  async #changing(change: Promise<void>): Promise<void> {
    this.#changes++;
    try {
      await change;
    } finally {
      this.#changes--;
    }
  }

  /** As on a real machine, where the system would not put them in order. */
  #mustNotOvertake(): void {
    assert(this.#changes === 0, `a synchronous operation on ${this.path} would overtake ${this.#changes} asynchronous ones`);
  }

  #close(): void {
    this.#mustBeOpen(false);
    this.#closed = true;
    this.#owner.openFiles.delete(this);
  }

  #mustBeOpen(toWrite: boolean): void {
    if (this.#closed || (toWrite && !this.#writable)) throw diskError("EBADF", this.path);
  }

  #reading(into: Buffer, position: number): [() => number, EffectOptions] {
    const { content } = this.#node;
    const part = (prng: Prng): void => void content.read(into.subarray(0, prng.below(into.length + 1)), position);
    return [() => content.read(into, position), { file: this, size: into.length, part }];
  }

  #writing(chunks: readonly Buffer[], position: number): [() => void, EffectOptions] {
    const { files, options } = this.#disk;
    const size = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    const part = (prng: Prng): void => files.write(this.#node, [Buffer.concat(chunks).subarray(0, prng.below(size + 1))], position);
    const effect = (): void => {
      if (options.capacityBytes < Infinity && files.usedBytes + this.#node.content.growth(position, size) > options.capacityBytes) {
        const room = Math.max(0, options.capacityBytes - files.usedBytes);
        files.write(this.#node, [Buffer.concat(chunks).subarray(0, room)], position);
        throw diskError("ENOSPC", this.path);
      }
      files.write(this.#node, chunks, position);
    };
    return [effect, { file: this, size, part }];
  }
}

function contentOf({ content }: FileNode): Buffer {
  const bytes = Buffer.alloc(content.size);
  content.read(bytes, 0);
  return bytes;
}
