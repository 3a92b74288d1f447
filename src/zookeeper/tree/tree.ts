import { must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { ZXID_ZERO, type SessionId, type Zxid } from "../protocol/ids.ts";
import type { AclEntry, Stat } from "../protocol/records.ts";
import { AclTable, OPEN, type Acl } from "./acl-table.ts";
import { READ_ONLY_ACL } from "./acl.ts";
import { NameMap } from "./name-map.ts";
import { packData, packName, StatTable, unpackData, Znode, type StatNumbers } from "./nodes.ts";
import { NO_OWNER, ownershipOf, sessionOf, ttlMsOf, type OwnerOptions } from "./owner.ts";
import { CONFIG_PATH, nameOf, parentPath, QUOTA_PATH, ROOT_PATH, SYSTEM_PATH } from "./paths.ts";
import { formatQuota, LIMITS_NAME, limitsPath, parseQuota, QuotaPaths, quotaTarget, STATS_NAME, statsPath, type QuotaNumbers } from "./quota.ts";
import { Watches, type WatcherId, type WatchEvent } from "./watches.ts";

export interface TreeListener {
  /** In the order in which clients must see events; all of a transaction's before anything else about it leaves. */
  watchEvent(watcher: WatcherId, event: WatchEvent): void;
  /** A write went over a limit, which only gets said. */
  quotaExceeded(path: string, used: QuotaNumbers, limit: QuotaNumbers): void;
}

/** Sees what a snapshot in the making has to remember. */
export interface TreeWitness {
  /** The node is about to leave the tree. */
  removing(node: Znode): void;
  /** The node's ACL is about to be replaced. */
  replacingAcl(node: Znode): void;
}

export interface NewNode {
  readonly path: string;
  readonly data: Buffer | null;
  readonly acl: readonly AclEntry[] | null;
  readonly owner: bigint;
  /** The parent's count of creations from here on; -1 for one more than it was. */
  readonly parentCVersion: number;
}

const ZERO_NUMBERS: StatNumbers = { czxid: ZXID_ZERO, mzxid: ZXID_ZERO, pzxid: ZXID_ZERO, ctime: 0, mtime: 0, version: 0, cversion: 0, aversion: 0 };

/**
 * The data tree: znodes, sessions, who owns what, watches. It changes by transactions only (`operations.ts`), in
 * place, and holds what ZooKeeper's holds after the same ones. Source: DataTree.
 *
 * Invariants: a child's parent is in the tree; `children` is undefined or not empty; every session's ephemerals
 * are in the tree; `lastZxid` never falls.
 */
export class DataTree {
  readonly options: OwnerOptions;
  readonly stats = new StatTable();
  readonly acls = new AclTable();
  readonly watches: Watches;
  /** Timeouts in milliseconds. */
  readonly sessions = new Map<SessionId, number>();
  readonly containers = new Set<Znode>();
  readonly ttls = new Set<Znode>();
  readonly root: Znode;
  readonly witnesses = new Set<TreeWitness>();
  /** Of the last transaction applied. */
  lastZxid: Zxid = ZXID_ZERO;
  readonly #listener: TreeListener;
  readonly #ephemerals = new Map<SessionId, Set<Znode>>();
  readonly #quotas = new QuotaPaths();
  /** Without the root. */
  #descendants = 0;
  #dataBytes = 0;
  #pathChars = 0;
  #ephemeralCount = 0;

  constructor(options: OwnerOptions, listener: TreeListener) {
    this.options = options;
    this.#listener = listener;
    this.watches = new Watches((watcher, event) => this.#listener.watchEvent(watcher, event));
    this.root = new Znode(undefined, "", "", OPEN, NO_OWNER, this.stats.allocate(ZERO_NUMBERS));
    this.#addSystemNodes();
  }

  /** As four-letter words count: the root stands under two names. */
  get nodeCount(): number {
    return this.#descendants + 2;
  }

  get ephemeralCount(): number {
    return this.#ephemeralCount;
  }

  /** Characters of paths and bytes of data, the root counted twice too. */
  get approximateDataSize(): number {
    return this.#pathChars + this.#dataBytes + ROOT_PATH.length + (this.root.data?.length ?? 0);
  }

  find(path: string): Znode | undefined {
    if (path.length <= 1) return path === "" || path === ROOT_PATH ? this.root : undefined;
    if (!path.startsWith("/")) return undefined;
    let node: Znode | undefined = this.root;
    for (let start = 1; node !== undefined; ) {
      const end = path.indexOf("/", start);
      if (end < 0) return node.children?.get(path.slice(start));
      node = node.children?.get(path.slice(start, end));
      start = end + 1;
    }
    return undefined;
  }

  pathOf(node: Znode): string {
    let path = "";
    for (let at = node; at.parent !== undefined; at = at.parent) path = `/${at.name}${path}`;
    return path === "" ? ROOT_PATH : path;
  }

  dataOf(node: Znode): Buffer | null {
    return unpackData(node.data);
  }

  childrenOf(node: Znode): string[] {
    return node.children === undefined ? [] : node.children.names();
  }

  /** As clients see it: cversion counts changes, and owners that are no sessions do not show. */
  statOf(node: Znode): Stat {
    const { stats } = this;
    const { row } = node;
    const numChildren = node.childCount;
    return {
      czxid: stats.czxid(row),
      mzxid: stats.mzxid(row),
      ctime: stats.ctime(row),
      mtime: stats.mtime(row),
      version: stats.version(row),
      cversion: (2 * stats.cversion(row) - numChildren) | 0,
      aversion: stats.aversion(row),
      ephemeralOwner: ownershipOf(node.owner, this.options) === "session" ? node.owner : NO_OWNER,
      dataLength: node.data === null ? 0 : node.data.length,
      numChildren,
      pzxid: stats.pzxid(row),
    };
  }

  ephemeralsOf(session: SessionId): string[] {
    return Array.from(this.#ephemerals.get(session) ?? [], (node) => this.pathOf(node));
  }

  ephemeralOwners(): SessionId[] {
    return [...this.#ephemerals.keys()];
  }

  /** The znodes below `node`. */
  countDescendants(node: Znode): number {
    return node === this.root ? this.#descendants : this.#usage(node).count - 1;
  }

  create(node: NewNode, zxid: Zxid, time: number): Znode | ErrorCode {
    const parentName = parentPath(node.path);
    const name = nameOf(node.path);
    const parent = this.find(parentName);
    if (parent === undefined) return ErrorCode.noNode;
    const { stats } = this;
    const before = stats.cversion(parent.row);
    const cversion = node.parentCVersion === -1 ? (before + 1) | 0 : node.parentCVersion;
    // Never back: replay over a fuzzy snapshot may meet a parent that is ahead. The count wraps, hence the difference.
    if (((cversion - before) | 0) > 0) stats.setCversion(parent.row, cversion);
    stats.raisePzxid(parent.row, zxid);
    const existing = parent.children?.get(name);
    if (existing !== undefined) {
      // Replay: the snapshot has the node already, but perhaps not its ACL.
      if (stats.czxid(existing.row) === zxid) this.#replaceAcl(existing, node.acl);
      return ErrorCode.nodeExists;
    }
    const child = this.attach(parent, node.path, node.data, this.acls.intern(node.acl), node.owner, { czxid: zxid, mzxid: zxid, pzxid: zxid, ctime: time, mtime: time, version: 0, cversion: 0, aversion: 0 });
    this.#accountForCreation(node.path, parentName, name, child);
    this.watches.created(node.path, zxid, child.acl.entries, parent.acl.entries);
    return child;
  }

  delete(path: string, zxid: Zxid): ErrorCode {
    const parentName = parentPath(path);
    const parent = this.find(parentName);
    if (parent === undefined) return ErrorCode.noNode;
    // Even where replay finds the node gone.
    this.stats.raisePzxid(parent.row, zxid);
    const node = parent.children?.get(nameOf(path));
    if (node === undefined) return ErrorCode.noNode;
    this.#detach(parent, node, path.length);
    this.#accountForDeletion(path, parentName, node);
    this.watches.deleted(path, zxid, node.acl.entries, parent.acl.entries);
    return ErrorCode.ok;
  }

  setData(path: string, data: Buffer | null, version: number, zxid: Zxid, time: number): Znode | ErrorCode {
    const node = this.find(path);
    if (node === undefined) return ErrorCode.noNode;
    const grown = this.#putData(node, packData(data));
    this.stats.modify(node.row, version, zxid, time);
    const quota = this.#quotas.covering(path);
    if (quota !== undefined) this.#use(quota, 0, grown);
    this.watches.changed(path, zxid, node.acl.entries);
    return node;
  }

  setAcl(path: string, acl: readonly AclEntry[] | null, aversion: number): Znode | ErrorCode {
    const node = this.find(path);
    if (node === undefined) return ErrorCode.noNode;
    this.#replaceAcl(node, acl);
    this.stats.setAversion(node.row, aversion);
    return node;
  }

  /** The session and its ephemerals are gone. */
  closeSession(session: SessionId, zxid: Zxid): void {
    this.sessions.delete(session);
    const owned = this.#ephemerals.get(session);
    if (owned === undefined) return;
    for (const node of owned) this.delete(this.pathOf(node), zxid);
  }

  /** At load, without a transaction: those who own ephemerals but are in no session table. Returns them. */
  closeUnknownSessions(): SessionId[] {
    const unknown = this.ephemeralOwners().filter((session) => !this.sessions.has(session));
    for (const session of unknown) this.closeSession(session, this.lastZxid);
    return unknown;
  }

  /** The ensemble's configuration, put in its znode without a transaction. Source: ZKDatabase.initConfigInZKDatabase. */
  setConfig(config: Buffer, version: Zxid, wallMs: number): void {
    this.#addSystemNodes();
    this.setData(CONFIG_PATH, config, -1, version, wallMs);
  }

  /** Containers that have had children and TTL nodes that have outlived theirs, in the order of their making. Source: ContainerManager. */
  expiredNodes(wallMs: number): string[] {
    const { stats } = this;
    const expired: string[] = [];
    for (const node of this.containers) if (node.childCount === 0 && stats.cversion(node.row) > 0) expired.push(this.pathOf(node));
    for (const node of this.ttls) {
      const ttlMs = ttlMsOf(node.owner);
      if (node.childCount === 0 && ttlMs > 0 && wallMs - stats.mtime(node.row) > ttlMs) expired.push(this.pathOf(node));
    }
    return expired;
  }

  /** What every tree has; one that was loaded from a snapshot of 3.4 lacks the configuration. */
  #addSystemNodes(): void {
    const system = this.#ensure(this.root, SYSTEM_PATH, OPEN.entries, 0);
    this.#ensure(system, QUOTA_PATH, OPEN.entries, 0);
    this.#ensure(system, CONFIG_PATH, READ_ONLY_ACL, -1);
  }

  /** Puts a znode in its place, with its bookkeeping by owner: for `create`, and for the loading of snapshots. */
  attach(parent: Znode, path: string, data: Buffer | null, acl: Acl, owner: bigint, numbers: StatNumbers): Znode {
    const ownership = ownershipOf(owner, this.options);
    const node = new Znode(parent, packName(nameOf(path)), packData(data), acl, owner, this.stats.allocate(numbers));
    (parent.children ??= new NameMap()).add(node.name, node);
    this.#descendants += 1;
    this.#pathChars += path.length;
    this.#dataBytes += node.data?.length ?? 0;
    if (ownership === "container") this.containers.add(node);
    else if (ownership === "ttl") this.ttls.add(node);
    else if (ownership === "session") this.#own(sessionOf(owner), node);
    return node;
  }

  /** After the znodes of a snapshot are in: quotas, whose usage is counted anew. */
  finishLoading(lastZxid: Zxid): void {
    this.lastZxid = lastZxid;
    const quotas = this.find(QUOTA_PATH);
    if (quotas === undefined) return;
    const limited: string[] = [];
    this.#visit(quotas, (node) => {
      const target = node.name === LIMITS_NAME ? quotaTarget(parentPath(this.pathOf(node))) : undefined;
      if (target !== undefined) limited.push(target);
    });
    for (const path of limited) {
      this.#quotas.add(path);
      this.#measure(path);
    }
  }

  /** Fills the root of an empty tree from a snapshot; the system nodes, if they are in it, follow. */
  loadRoot(data: Buffer | null, acl: Acl, numbers: StatNumbers): void {
    const { root, stats } = this;
    for (const child of root.children?.values() ?? []) this.#detach(root, child, child.name.length + 1);
    this.#putData(root, packData(data));
    root.acl = acl;
    stats.modify(root.row, numbers.version, numbers.mzxid, numbers.mtime);
    stats.setAversion(root.row, numbers.aversion);
    stats.setCversion(root.row, numbers.cversion);
    stats.raisePzxid(root.row, numbers.pzxid);
  }

  #ensure(parent: Znode, path: string, acl: readonly AclEntry[], aversion: number): Znode {
    const known = this.find(path);
    if (known !== undefined) return known;
    return this.attach(parent, path, Buffer.alloc(0), this.acls.intern(acl), NO_OWNER, { ...ZERO_NUMBERS, aversion });
  }

  #own(session: SessionId, node: Znode): void {
    const owned = this.#ephemerals.get(session);
    if (owned === undefined) this.#ephemerals.set(session, new Set([node]));
    else owned.add(node);
    this.#ephemeralCount += 1;
  }

  #disown(session: SessionId, node: Znode): void {
    const owned = must(this.#ephemerals.get(session), "ephemerals of the owner");
    owned.delete(node);
    if (owned.size === 0) this.#ephemerals.delete(session);
    this.#ephemeralCount -= 1;
  }

  /** Takes a znode out, and what is below it: replay over a fuzzy snapshot may find later children there. */
  #detach(parent: Znode, node: Znode, pathLength: number): void {
    for (const witness of this.witnesses) witness.removing(node);
    for (const child of node.children?.values() ?? []) this.#detach(node, child, pathLength + 1 + child.name.length);
    parent.children?.delete(node.name);
    if (parent.children?.size === 0) parent.children = undefined;
    this.#descendants -= 1;
    this.#dataBytes -= node.data?.length ?? 0;
    this.#pathChars -= pathLength;
    this.acls.release(node.acl);
    this.stats.release(node.row);
    node.row = -1;
    const ownership = ownershipOf(node.owner, this.options);
    if (ownership === "container") this.containers.delete(node);
    else if (ownership === "ttl") this.ttls.delete(node);
    else if (ownership === "session") this.#disown(sessionOf(node.owner), node);
  }

  #replaceAcl(node: Znode, entries: readonly AclEntry[] | null): void {
    const before = node.acl;
    for (const witness of this.witnesses) witness.replacingAcl(node);
    node.acl = this.acls.intern(entries);
    this.acls.release(before);
  }

  /** Returns the bytes by which the node's data grew. */
  #putData(node: Znode, data: string | null): number {
    const grown = (data?.length ?? 0) - (node.data?.length ?? 0);
    node.data = data;
    this.#dataBytes += grown;
    return grown;
  }

  #accountForCreation(path: string, parentName: string, name: string, node: Znode): void {
    const target = name === LIMITS_NAME || name === STATS_NAME ? quotaTarget(parentName) : undefined;
    if (target !== undefined && name === LIMITS_NAME) this.#quotas.add(target);
    if (target !== undefined && name === STATS_NAME) this.#measure(target);
    const quota = this.#quotas.covering(path);
    if (quota !== undefined) this.#use(quota, 1, node.data?.length ?? 0);
  }

  #accountForDeletion(path: string, parentName: string, node: Znode): void {
    const target = node.name === LIMITS_NAME ? quotaTarget(parentName) : undefined;
    if (target !== undefined) this.#quotas.delete(target);
    const quota = this.#quotas.covering(path);
    if (quota !== undefined) this.#use(quota, -1, -(node.data?.length ?? 0));
  }

  /** Usage stands in the stats node as text and changes without a transaction, version or watch. */
  #use(quota: string, count: number, bytes: number): void {
    const node = this.find(statsPath(quota));
    const limits = this.find(limitsPath(quota));
    if (node === undefined || limits === undefined) return;
    const before = parseQuota(node.data ?? "");
    const used = { count: before.count + count, bytes: before.bytes + bytes };
    this.#putData(node, formatQuota(used));
    const limit = parseQuota(limits.data ?? "");
    if ((limit.count > -1 && used.count > limit.count) || (limit.bytes > -1 && used.bytes > limit.bytes)) this.#listener.quotaExceeded(quota, used, limit);
  }

  #measure(path: string): void {
    const stats = this.find(statsPath(path));
    const top = this.find(path);
    if (stats !== undefined) this.#putData(stats, formatQuota(top === undefined ? { count: 0, bytes: 0 } : this.#usage(top)));
  }

  #usage(top: Znode): QuotaNumbers {
    let count = 0;
    let bytes = 0;
    this.#visit(top, (node) => {
      count += 1;
      bytes += node.data?.length ?? 0;
    });
    return { count, bytes };
  }

  #visit(top: Znode, visitor: (node: Znode) => void): void {
    const waiting = [top];
    for (let node = waiting.pop(); node !== undefined; node = waiting.pop()) {
      visitor(node);
      for (const child of node.children?.values() ?? []) waiting.push(child);
    }
  }
}
