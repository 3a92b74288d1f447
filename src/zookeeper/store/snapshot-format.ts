import { buffer, int, juteRecord, long, longExact, time, vector } from "../../codec/jute.ts";
import type { Decoded } from "../../codec/schema.ts";
import { Writer } from "../../codec/writer.ts";
import { assert } from "../../lib/assert.ts";
import { RecordStream } from "../jute/stream.ts";
import type { SessionId, Zxid } from "../protocol/ids.ts";
import { acl, pathRecord, sessionIdField, zxidField } from "../protocol/records.ts";
import { OPEN, UNKNOWN_ACL, type Acl } from "../tree/acl-table.ts";
import type { Znode } from "../tree/nodes.ts";
import { ownershipOf } from "../tree/owner.ts";
import { childPath, nameOf, parentPath, ROOT_PATH } from "../tree/paths.ts";
import type { DataTree, TreeWitness } from "../tree/tree.ts";

/**
 * A tree as bytes: sessions, ACLs, znodes with parents before children, an end mark. Snapshot files hold it, and
 * so does the stream with which a leader brings a learner up. Sources: SerializeUtils, DataTree.serialize,
 * ReferenceCountedACLCache.
 */

const count = juteRecord("Count", { count: int() });
const sessionEntry = juteRecord("SessionEntry", { id: sessionIdField(), timeOut: int() });
const aclEntry = juteRecord("AclEntry", { id: long(), entries: vector(acl) });
/** After its path. */
const nodeEntry = juteRecord("NodeEntry", {
  data: buffer({ nullable: true }),
  acl: long(),
  czxid: zxidField(),
  mzxid: zxidField(),
  ctime: time(),
  mtime: time(),
  version: int(),
  cversion: int(),
  aversion: int(),
  ephemeralOwner: longExact(),
  pzxid: zxidField(),
});

/** In place of a further path. */
const END_MARK = "/";

interface OpenDirectory {
  readonly node: Znode;
  readonly path: string;
  readonly children: Iterator<Znode>;
  /** Ephemerals in it that are written. */
  readonly written: Set<Znode>;
}

/**
 * Writes a tree that goes on changing, a chunk at a time. The result is fuzzy, as the reference's: it stands for
 * the tree at `zxid` only once the transactions after that are replayed over it, which `applyTransaction` allows.
 * It holds no znode made later, sessions and ACLs as they were at the start, and may hold later data and versions
 * and lack what was deleted since; but no ephemeral, because a closeSession does not say what it deletes, and
 * would leave the parent's pzxid behind.
 */
export class TreeWriter implements TreeWitness {
  readonly zxid: Zxid;
  readonly #tree: DataTree;
  readonly #sessions: readonly (readonly [SessionId, number])[];
  readonly #acls: readonly Acl[];
  /** ACLs that have been replaced since the start, as they were then. */
  readonly #replaced = new Map<Znode, Acl>();
  /** Under way, the innermost last. */
  readonly #open: OpenDirectory[] = [];
  /** Ephemerals that went before their turn came. */
  #late: Writer | undefined;
  #step: "sessions" | "acls" | "root" | "nodes" | "done" = "sessions";
  #at = 0;

  /** Must be closed. */
  constructor(tree: DataTree) {
    this.#tree = tree;
    this.zxid = tree.lastZxid;
    this.#sessions = [...tree.sessions];
    this.#acls = tree.acls.list();
    tree.witnesses.add(this);
  }

  close(): void {
    this.#tree.witnesses.delete(this);
  }

  replacingAcl(node: Znode): void {
    if (!this.#replaced.has(node)) this.#replaced.set(node, node.acl);
  }

  /** Matters only where the parent is written and the node is not: while the parent's directory is open. */
  removing(node: Znode): void {
    const directory = this.#open.find((open) => open.node === node.parent);
    if (directory === undefined || directory.written.has(node) || !this.#isEphemeral(node) || !this.#isOld(node)) return;
    this.#writeNode((this.#late ??= new Writer()), node, childPath(directory.path, node.name));
  }

  /** The next bytes, a little over `bytesMin` of them; undefined after the last. */
  next(bytesMin: number): readonly Buffer[] | undefined {
    if (this.#step === "done") return undefined;
    const writer = new Writer(bytesMin + 1024);
    for (const chunk of this.#late?.finish() ?? []) writer.bytes(chunk);
    this.#late = undefined;
    while (writer.length < bytesMin && this.#write(writer));
    return writer.finish();
  }

  /** Writes one thing; false after the last. */
  #write(writer: Writer): boolean {
    switch (this.#step) {
      case "sessions": {
        if (this.#at === 0) count.write(writer, { count: this.#sessions.length });
        const session = this.#sessions[this.#at++];
        if (session === undefined) this.#begin("acls");
        else sessionEntry.write(writer, { id: session[0], timeOut: session[1] });
        return true;
      }
      case "acls": {
        if (this.#at === 0) count.write(writer, { count: this.#acls.length });
        const listed = this.#acls[this.#at++];
        if (listed === undefined) this.#begin("root");
        else aclEntry.write(writer, listed);
        return true;
      }
      case "root":
        this.#writeNode(writer, this.#tree.root, "");
        this.#step = "nodes";
        return true;
      case "nodes":
        if (this.#writeNext(writer)) return true;
        pathRecord.write(writer, { path: END_MARK });
        this.#step = "done";
        return false;
      case "done":
        return false;
    }
  }

  #begin(step: "acls" | "root"): void {
    this.#step = step;
    this.#at = 0;
  }

  #writeNext(writer: Writer): boolean {
    const directory = this.#open.at(-1);
    if (directory === undefined) return false;
    const { value: node, done } = directory.children.next();
    if (done === true) this.#open.pop();
    // A directory may have been split, and its iterator left behind with nodes that are gone, since the last turn.
    else if (node.row >= 0 && this.#isOld(node)) {
      this.#writeNode(writer, node, childPath(directory.path, node.name));
      if (this.#isEphemeral(node)) directory.written.add(node);
    }
    return true;
  }

  #isOld(node: Znode): boolean {
    return this.#tree.stats.czxid(node.row) <= this.zxid;
  }

  #isEphemeral(node: Znode): boolean {
    return ownershipOf(node.owner, this.#tree.options) === "session";
  }

  #writeNode(writer: Writer, node: Znode, path: string): void {
    const { stats } = this.#tree;
    const { row } = node;
    const listed = this.#replaced.get(node) ?? node.acl;
    pathRecord.write(writer, { path });
    nodeEntry.write(writer, {
      data: this.#tree.dataOf(node),
      acl: listed.id,
      czxid: stats.czxid(row),
      mzxid: stats.mzxid(row),
      ctime: stats.ctime(row),
      mtime: stats.mtime(row),
      version: stats.version(row),
      cversion: stats.cversion(row),
      aversion: stats.aversion(row),
      ephemeralOwner: node.owner,
      pzxid: stats.pzxid(row),
    });
    if (node.children !== undefined) this.#open.push({ node, path: path === "" ? ROOT_PATH : path, children: node.children.values(), written: new Set() });
  }
}

/** Fills a new tree from such bytes, as they come. */
export class TreeReader {
  readonly #tree: DataTree;
  readonly #stream: RecordStream;
  readonly #acls = new Map<number, Acl>([[OPEN.id, OPEN]]);
  #step: "sessionCount" | "sessions" | "aclCount" | "acls" | "nodes" | "done" = "sessionCount";
  #left = 0;
  /** Read, while its znode has yet to arrive. */
  #path: string | undefined;
  #lastParent: { path: string; node: Znode } | undefined;
  #unknownAcls = 0;
  #problem: string | undefined;

  constructor(tree: DataTree, fieldBytesMax: number) {
    this.#tree = tree;
    // The longest record is an ACL list, for which the reference knows no limit, or a znode with its data.
    this.#stream = new RecordStream(4 * fieldBytesMax);
  }

  /** All of the tree has been read; `rest` is what follows. */
  get done(): boolean {
    return this.#step === "done";
  }

  /** What is wrong with the bytes. */
  get problem(): string | undefined {
    return this.#problem;
  }

  /** Znodes whose ACL is not listed: a fuzzy snapshot of the reference's, which replay puts right. */
  get unknownAcls(): number {
    return this.#unknownAcls;
  }

  /** Returns the bytes that this call used up. The chunk belongs to the reader. */
  push(chunk: Buffer): Buffer {
    this.#stream.push(chunk);
    while (this.#problem === undefined && this.#read());
    if (this.#stream.malformed) this.#problem ??= "a record is longer than any can be";
    return this.#stream.takeRead();
  }

  /** The bytes after the tree. */
  rest(): Buffer {
    return this.#stream.rest();
  }

  /** After the last byte: `lastZxid` is the one that the snapshot stands for. */
  finish(lastZxid: Zxid): void {
    assert(this.done, "the snapshot is read to its end");
    this.#tree.finishLoading(lastZxid);
  }

  /** Reads one thing; false where more bytes are needed, or none. */
  #read(): boolean {
    switch (this.#step) {
      case "sessionCount":
        return this.#readCount("sessions");
      case "sessions": {
        if (this.#left === 0) return this.#begin("aclCount");
        const entry = this.#stream.read(sessionEntry);
        if (entry === undefined) return false;
        this.#tree.sessions.set(entry.id, entry.timeOut);
        this.#left -= 1;
        return true;
      }
      case "aclCount":
        return this.#readCount("acls");
      case "acls": {
        if (this.#left === 0) return this.#begin("nodes");
        const entry = this.#stream.read(aclEntry);
        if (entry === undefined) return false;
        this.#acls.set(entry.id, { id: entry.id, entries: entry.entries });
        this.#left -= 1;
        return true;
      }
      case "nodes":
        return this.#readNode();
      case "done":
        return false;
    }
  }

  #begin(step: "aclCount" | "nodes"): boolean {
    this.#step = step;
    return true;
  }

  #readCount(then: "sessions" | "acls"): boolean {
    const entry = this.#stream.read(count);
    if (entry === undefined) return false;
    this.#left = Math.max(entry.count, 0);
    this.#step = then;
    return true;
  }

  #readNode(): boolean {
    this.#path ??= this.#stream.read(pathRecord)?.path;
    const path = this.#path;
    if (path === undefined) return false;
    if (path === END_MARK) {
      this.#step = "done";
      return false;
    }
    const entry = this.#stream.read(nodeEntry);
    if (entry === undefined) return false;
    this.#path = undefined;
    this.#place(path, entry);
    return true;
  }

  #place(path: string, entry: Decoded<typeof nodeEntry>): void {
    const tree = this.#tree;
    const listed = this.#acls.get(entry.acl);
    if (listed === undefined) this.#unknownAcls += 1;
    const shared = tree.acls.intern(listed === undefined ? UNKNOWN_ACL : listed.entries);
    if (path === "") {
      tree.loadRoot(entry.data, shared, entry);
      return;
    }
    const parent = this.#parentOf(path);
    const name = nameOf(path);
    if (parent === undefined || name === "" || !path.startsWith("/")) this.#problem = `the znode ${JSON.stringify(path)} has no parent`;
    else if (parent.children?.get(name) !== undefined) this.#problem = `the znode ${JSON.stringify(path)} stands there twice`;
    else tree.attach(parent, path, entry.data, shared, entry.ephemeralOwner, entry);
  }

  /** Siblings follow one another. */
  #parentOf(path: string): Znode | undefined {
    const parent = parentPath(path);
    if (this.#lastParent?.path === parent) return this.#lastParent.node;
    const node = this.#tree.find(parent);
    if (node !== undefined) this.#lastParent = { path: parent, node };
    return node;
  }
}

