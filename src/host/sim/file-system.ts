import { assert } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import { SparseBytes, type Piece } from "./sparse-bytes.ts";

export type Inode = FileNode | DirectoryNode;

export interface FileNode {
  readonly kind: "file";
  /** As the page cache has it. */
  readonly content: SparseBytes;
  /** What leads from the disk's bytes to the page cache's, oldest first. */
  changes: ContentChange[];
  modifiedMs: number;
  /** False once no name leads to it: its space counts as free, although those who hold it open read and write on. */
  linked: boolean;
}

export interface DirectoryNode {
  readonly kind: "directory";
  readonly entries: Map<string, Inode>;
  modifiedMs: number;
}

/** A write to, or a change of size that affects, the bytes from `from` to `to`; `before` are those it replaced. */
export interface ContentChange {
  readonly kind: "write" | "resize";
  readonly timeUs: number;
  readonly from: number;
  readonly to: number;
  readonly sizeBefore: number;
  readonly sizeAfter: number;
  readonly before: readonly Piece[];
  /** `lost`: a failed sync dropped it, and only the page cache still shows it. `durable`: later than a lost one, but synced. */
  state: "pending" | "lost" | "durable";
}

/** Entries that change together or not at all. */
export interface NameChange {
  readonly timeUs: number;
  readonly entries: readonly EntryChange[];
}

export interface EntryChange {
  readonly directory: DirectoryNode;
  readonly name: string;
  readonly before: Inode | undefined;
  readonly after: Inode | undefined;
}

/** The most changes of a file, or of names, that wait for a sync; the system writes back older ones by itself. */
const changesMax = 1024;

/**
 * A machine's files as its system shows them, with what it takes to go back to what the disk has for certain.
 * Content becomes durable with its file's sync, names with their directory's: neither with the other's.
 * Every method is one step that takes effect at once.
 */
export class FileSystem {
  readonly root: DirectoryNode;
  names: NameChange[] = [];
  usedBytes = 0;
  readonly #nowUs: () => number;
  readonly #wallMs: () => number;
  readonly #writebackUs: () => number;

  constructor(options: { nowUs: () => number; wallMs: () => number; writebackUs: () => number }) {
    this.#nowUs = options.nowUs;
    this.#wallMs = options.wallMs;
    this.#writebackUs = options.writebackUs;
    this.root = { kind: "directory", entries: new Map(), modifiedMs: this.#wallMs() };
  }

  find(path: string): Inode | undefined {
    let node: Inode = this.root;
    for (const name of split(path)) {
      if (node.kind !== "directory") return undefined;
      const next = node.entries.get(name);
      if (next === undefined) return undefined;
      node = next;
    }
    return node;
  }

  file(path: string): FileNode {
    const node = this.find(path);
    if (node === undefined) throw diskError("ENOENT", path);
    if (node.kind !== "file") throw diskError("EISDIR", path);
    return node;
  }

  directory(path: string): DirectoryNode {
    const node = this.find(path);
    if (node === undefined) throw diskError("ENOENT", path);
    if (node.kind !== "directory") throw diskError("ENOTDIR", path);
    return node;
  }

  /** The file of that name, made where there is none. */
  create(path: string): FileNode {
    if (this.find(path) !== undefined) return this.file(path);
    const { parent, name } = this.#place(path);
    const file: FileNode = { kind: "file", content: new SparseBytes(), changes: [], modifiedMs: this.#wallMs(), linked: true };
    this.#change([{ directory: parent, name, before: undefined, after: file }]);
    return file;
  }

  makeDirectory(path: string): void {
    let parent = this.root;
    for (const name of split(path)) {
      let next = parent.entries.get(name);
      if (next?.kind === "file") throw diskError("EEXIST", path);
      if (next === undefined) {
        next = { kind: "directory", entries: new Map(), modifiedMs: this.#wallMs() };
        this.#change([{ directory: parent, name, before: undefined, after: next }]);
      }
      parent = next;
    }
  }

  rename(from: string, to: string): void {
    const node = this.find(from);
    if (node === undefined) throw diskError("ENOENT", from);
    const source = this.#place(from);
    const target = this.#place(to);
    const replaced = target.parent.entries.get(target.name);
    if (replaced === node) return;
    if (node.kind === "directory") {
      if (`${split(to).join("/")}/`.startsWith(`${split(from).join("/")}/`)) throw diskError("EINVAL", to);
      if (replaced?.kind === "file") throw diskError("ENOTDIR", to);
      if (replaced !== undefined && replaced.entries.size > 0) throw diskError("ENOTEMPTY", to);
    } else if (replaced?.kind === "directory") throw diskError("EISDIR", to);
    this.#change([
      { directory: source.parent, name: source.name, before: node, after: undefined },
      { directory: target.parent, name: target.name, before: replaced, after: node },
    ]);
    if (replaced?.kind === "file") this.#free(replaced);
  }

  remove(path: string): void {
    const node = this.find(path);
    if (node === undefined) return;
    if (node.kind === "directory") throw diskError("EISDIR", path);
    this.#unlink(path, node);
    this.#free(node);
  }

  /** What removing a directory with all it holds does, step by step. */
  removalSteps(path: string): (() => void)[] {
    const node = this.find(path);
    if (node === undefined) return [];
    if (node.kind === "file") return [() => this.remove(path)];
    const inner = [...node.entries.keys()].flatMap((name) => this.removalSteps(`${path}/${name}`));
    return [...inner, () => this.#unlink(path, node)];
  }

  write(file: FileNode, chunks: readonly Buffer[], position: number): void {
    const length = chunks.reduce((sum, chunk) => sum + chunk.length, 0);
    if (length === 0) return;
    const { content } = file;
    const sizeBefore = content.size;
    const to = position + length;
    const before = position < sizeBefore ? content.extract(position, Math.min(to, sizeBefore)) : [];
    this.#record(file, { kind: "write", timeUs: this.#nowUs(), from: position, to, sizeBefore, sizeAfter: Math.max(sizeBefore, to), before, state: "pending" });
    this.#counting(file, () => {
      let at = position;
      for (const chunk of chunks) {
        content.write(chunk, at);
        at += chunk.length;
      }
    });
    file.modifiedMs = this.#wallMs();
  }

  truncate(file: FileNode, size: number): void {
    const { content } = file;
    const sizeBefore = content.size;
    if (size === sizeBefore) return;
    const before = content.extract(size, sizeBefore);
    this.#record(file, { kind: "resize", timeUs: this.#nowUs(), from: size, to: Math.max(size, sizeBefore), sizeBefore, sizeAfter: size, before, state: "pending" });
    this.#counting(file, () => content.resize(size));
    file.modifiedMs = this.#wallMs();
  }

  sync(file: FileNode): void {
    // A lost change stays on record, and with it all that was written over it.
    if (file.changes.some((change) => change.state === "lost")) {
      for (const change of file.changes) if (change.state === "pending") change.state = "durable";
    } else file.changes = [];
  }

  syncDirectory(path: string): void {
    const directory = this.directory(path);
    if (!this.names.some(({ entries }) => entries.some((entry) => entry.directory === directory))) return;
    // Durable with it: what those changes rest on, such as the other half of a move.
    const durable = new Set<NameChange>();
    const touched = new Map<DirectoryNode, Set<string>>();
    for (const change of this.names.toReversed()) {
      const needed = change.entries.some((entry) => entry.directory === directory || touched.get(entry.directory)?.has(entry.name) === true);
      if (!needed) continue;
      durable.add(change);
      for (const entry of change.entries) {
        const names = touched.get(entry.directory) ?? new Set();
        touched.set(entry.directory, names.add(entry.name));
      }
    }
    this.names = this.names.filter((change) => !durable.has(change));
  }

  /** Counts anew, after the past was changed. */
  recount(): void {
    this.usedBytes = allocated(this.root);
  }

  #place(path: string): { parent: DirectoryNode; name: string } {
    const parts = split(path);
    const name = parts.pop();
    if (name === undefined) throw diskError("EBUSY", path);
    return { parent: this.directory(parts.join("/")), name };
  }

  #unlink(path: string, node: Inode): void {
    const { parent, name } = this.#place(path);
    assert(node.kind === "file" || node.entries.size === 0, `${path} is removed last`);
    this.#change([{ directory: parent, name, before: node, after: undefined }]);
  }

  #change(entries: EntryChange[]): void {
    applyNames(entries);
    for (const { directory } of entries) directory.modifiedMs = this.#wallMs();
    this.names.push({ timeUs: this.#nowUs(), entries });
    this.names = this.#stillPending(this.names, () => true);
  }

  #record(file: FileNode, change: ContentChange): void {
    file.changes.push(change);
    file.changes = this.#stillPending(file.changes, (oldest) => oldest.state !== "lost");
  }

  /** Without what was written back for its age or its number; only ever a run of the oldest. */
  #stillPending<T extends { readonly timeUs: number }>(changes: T[], mayGo: (change: T) => boolean): T[] {
    const oldUs = this.#nowUs() - this.#writebackUs();
    const first = changes[0];
    if (changes.length <= changesMax && (first === undefined || first.timeUs >= oldUs)) return changes;
    const least = changes.length > changesMax ? changesMax / 2 : 0;
    let gone = 0;
    for (const change of changes) {
      if ((gone >= least && change.timeUs >= oldUs) || !mayGo(change)) break;
      gone++;
    }
    return changes.slice(gone);
  }

  #free(file: FileNode): void {
    file.linked = false;
    this.usedBytes -= file.content.allocatedBytes;
  }

  #counting(file: FileNode, act: () => void): void {
    const before = file.content.allocatedBytes;
    act();
    if (file.linked) this.usedBytes += file.content.allocatedBytes - before;
  }
}

export function applyNames(entries: readonly EntryChange[]): void {
  for (const { directory, name, after } of entries) {
    if (after === undefined) directory.entries.delete(name);
    else directory.entries.set(name, after);
  }
}

export function diskError(code: string, path: string): OperationalError {
  return new OperationalError(code, `${errorTexts[code] ?? "failed"}: ${path}`);
}

const errorTexts: Readonly<Record<string, string>> = {
  EBADF: "the file is closed, or open for reading only",
  EBUSY: "in use by the system",
  EEXIST: "a file has that name",
  EINVAL: "a directory can't be moved into itself",
  EIO: "the disk failed",
  EISDIR: "is a directory",
  ENOENT: "no such file or directory",
  ENOSPC: "no space left on the disk",
  ENOTDIR: "is not a directory",
  ENOTEMPTY: "the directory is not empty",
};

function split(path: string): string[] {
  const parts: string[] = [];
  for (const part of path.split("/")) {
    if (part === "..") parts.pop();
    else if (part !== "" && part !== ".") parts.push(part);
  }
  return parts;
}

function allocated(node: Inode): number {
  if (node.kind === "file") {
    node.linked = true;
    return node.content.allocatedBytes;
  }
  let sum = 0;
  for (const child of node.entries.values()) sum += allocated(child);
  return sum;
}
