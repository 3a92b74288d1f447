import { assert } from "../../lib/assert.ts";
import { NO_ZXID, type SessionId, type Zxid } from "../protocol/ids.ts";
import type { AclEntry } from "../protocol/records.ts";
import { ROOT_PATH } from "./paths.ts";
import type { DataTree } from "./tree.ts";

/** A znode as it will be once everything prepared is applied; what checks look at. Source: ZooKeeperServer.ChangeRecord. */
export interface PreparedNode {
  readonly path: string;
  /** Of the transaction that makes it so; -1 for what the tree holds already. */
  readonly zxid: Zxid;
  readonly deleted: boolean;
  readonly version: number;
  readonly cversion: number;
  readonly aversion: number;
  readonly owner: bigint;
  readonly childCount: number;
  readonly acl: readonly AclEntry[];
}

/**
 * The tree with the transactions that are prepared but not applied laid over it. Requests are prepared against
 * this, in zxid order, and it forgets what has been applied.
 */
export class PreparedState {
  readonly #tree: DataTree;
  readonly #byPath = new Map<string, PreparedNode>();
  /** In zxid order; entries before #head are done with. */
  #queue: PreparedNode[] = [];
  #head = 0;
  /** While a multi is prepared: what stood at the paths that it touched. */
  #undo: { readonly path: string; readonly before: PreparedNode | undefined }[] | undefined;

  constructor(tree: DataTree) {
    this.#tree = tree;
  }

  /** Changes that wait to be applied. */
  get size(): number {
    return this.#queue.length - this.#head;
  }

  /** Undefined where there will be no such node. */
  find(path: string): PreparedNode | undefined {
    const key = path === "" ? ROOT_PATH : path;
    const change = this.#byPath.get(key);
    if (change !== undefined) return change.deleted ? undefined : change;
    const node = this.#tree.find(key);
    if (node === undefined) return undefined;
    const { stats } = this.#tree;
    return {
      path: key,
      zxid: NO_ZXID,
      deleted: false,
      version: stats.version(node.row),
      cversion: stats.cversion(node.row),
      aversion: stats.aversion(node.row),
      owner: node.owner,
      childCount: node.childCount,
      acl: node.acl.entries,
    };
  }

  put(change: PreparedNode): void {
    const last = this.#queue.at(-1);
    assert(last === undefined || last.zxid <= change.zxid, "changes are prepared in zxid order");
    this.#undo?.push({ path: change.path, before: this.#byPath.get(change.path) });
    this.#queue.push(change);
    this.#byPath.set(change.path, change);
  }

  delete(path: string, zxid: Zxid): void {
    this.put({ path, zxid, deleted: true, version: 0, cversion: 0, aversion: 0, owner: 0n, childCount: 0, acl: [] });
  }

  /** From here on changes can be taken back together. */
  begin(): void {
    assert(this.#undo === undefined, "one multi is prepared at a time");
    this.#undo = [];
  }

  commit(): void {
    this.#undo = undefined;
  }

  rollback(): void {
    const undo = this.#undo ?? [];
    this.#undo = undefined;
    for (const { path, before } of undo.toReversed()) {
      this.#queue.pop();
      if (before === undefined) this.#byPath.delete(path);
      else this.#byPath.set(path, before);
    }
  }

  /** The transactions up to `zxid` are in the tree. */
  applied(zxid: Zxid): void {
    const queue = this.#queue;
    for (let change = queue[this.#head]; change !== undefined && change.zxid <= zxid; change = queue[this.#head]) {
      this.#head += 1;
      if (this.#byPath.get(change.path) === change) this.#byPath.delete(change.path);
    }
    if (this.#head === queue.length) {
      this.#queue = [];
      this.#head = 0;
    } else if (this.#head > COMPACT_AT && this.#head * 2 > queue.length) {
      this.#queue = queue.slice(this.#head);
      this.#head = 0;
    }
  }

  /** The ephemerals that a session will have. */
  ephemeralsOf(session: SessionId): string[] {
    const paths = this.#tree.ephemeralsOf(session).filter((path) => !this.#byPath.has(path));
    for (const change of this.#byPath.values()) if (!change.deleted && change.owner === session) paths.push(change.path);
    return paths;
  }
}

const COMPACT_AT = 1024;
