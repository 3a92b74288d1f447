import { must } from "../../src/lib/assert.ts";
import { ErrorCode } from "../../src/zookeeper/protocol/errors.ts";
import type { SessionId, Zxid } from "../../src/zookeeper/protocol/ids.ts";
import type { MultiOp, MultiResult } from "../../src/zookeeper/protocol/multi.ts";
import { CreateFlag, EventType, OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import type { AclEntry, Stat } from "../../src/zookeeper/protocol/records.ts";
import type { SubTxnType, TxnBody } from "../../src/zookeeper/protocol/transactions.ts";

/** A change that watches wait for. */
export interface Trigger {
  readonly zxid: Zxid;
  readonly type: EventType;
}

interface Node {
  data: Buffer | null;
  acl: readonly AclEntry[];
  readonly czxid: Zxid;
  readonly ctime: number;
  /** 0 or the session of an ephemeral. */
  readonly owner: bigint;
  mzxid: Zxid;
  mtime: number;
  pzxid: Zxid;
  version: number;
  /** Counts creations below. */
  creations: number;
  aversion: number;
  readonly children: Set<string>;
}

export interface Origin {
  readonly zxid: Zxid;
  readonly session: SessionId;
  readonly wallMs: number;
}

/** What a single operation comes to: the transaction that stands for it and its result. */
export type Step = { readonly txn: TxnBody<SubTxnType>; readonly result: MultiResult } | ErrorCode;

/**
 * ZooKeeper without members, disks and connections: znodes, sessions and their ephemerals, one operation after the
 * other. Written from the documentation of the operations alone, to be held against what an ensemble does; it knows
 * the operations that the workload uses, with open ACLs, and nothing of /zookeeper but that it is there.
 */
export class Model {
  readonly sessions = new Map<SessionId, { readonly timeoutMs: number; closed: Zxid | undefined }>();
  /** In the order in which they came to be, by path. */
  readonly dataTriggers = new Map<string, Trigger[]>();
  readonly childTriggers = new Map<string, Trigger[]>();
  readonly #nodes = new Map<string, Node>();
  readonly #owned = new Map<SessionId, Set<string>>();
  /** What takes back the changes since the last multi began. */
  #undo: (() => unknown)[] = [];

  constructor() {
    const none = 0 as Zxid;
    this.#nodes.set("/", newNode({ zxid: none, session: 0n as SessionId, wallMs: 0 }, Buffer.alloc(0), [], 0n));
    this.#at("/").children.add("zookeeper");
  }

  get paths(): string[] {
    return [...this.#nodes.keys()];
  }

  get owners(): SessionId[] {
    return [...this.#owned.keys()];
  }

  has(path: string): boolean {
    return this.#nodes.has(path);
  }

  statOf(path: string): Stat | undefined {
    const node = this.#nodes.get(path);
    return (
      node && {
        czxid: node.czxid,
        mzxid: node.mzxid,
        ctime: node.ctime,
        mtime: node.mtime,
        version: node.version,
        cversion: 2 * node.creations - node.children.size,
        aversion: node.aversion,
        ephemeralOwner: node.owner,
        dataLength: node.data?.length ?? 0,
        numChildren: node.children.size,
        pzxid: node.pzxid,
      }
    );
  }

  dataOf(path: string): Buffer | null {
    return this.#at(path).data;
  }

  aclOf(path: string): readonly AclEntry[] {
    return this.#at(path).acl;
  }

  childrenOf(path: string): string[] {
    return [...this.#at(path).children];
  }

  openSession(session: SessionId, timeoutMs: number): void {
    this.sessions.set(session, { timeoutMs, closed: undefined });
  }

  closeSession({ zxid, session }: Origin): void {
    const state = this.sessions.get(session);
    if (state !== undefined) state.closed ??= zxid;
    for (const path of this.#owned.get(session) ?? []) this.#remove(path, zxid);
  }

  /** All or nothing. */
  multi(origin: Origin, operations: readonly MultiOp[]): { readonly txn: TxnBody<typeof OpCode.multi>; readonly results: readonly MultiResult[] } {
    this.#undo = [];
    const done: Exclude<Step, ErrorCode>[] = [];
    let failure: ErrorCode | undefined;
    for (const operation of operations) {
      const step = this.step(origin, operation);
      if (typeof step !== "number") done.push(step);
      else failure = step;
      if (failure !== undefined) break;
    }
    const undo = this.#undo;
    this.#undo = [];
    const { txns, results } = { txns: done.map((step) => step.txn), results: done.map((step) => step.result) };
    if (failure === undefined) return { txn: { type: OpCode.multi, record: { txns } }, results };
    for (const revert of undo.toReversed()) revert();
    const errors = [failure, ...operations.slice(done.length + 1).map(() => ErrorCode.runtimeInconsistency)].map(errorResult);
    return { txn: { type: OpCode.multi, record: { txns: [...txns, ...errors] } }, results: [...done.map(() => errorResult(ErrorCode.ok)), ...errors] };
  }

  step(origin: Origin, { type, record }: MultiOp): Step {
    switch (type) {
      case OpCode.create:
        return this.#create(origin, record.path, record.data, record.acl ?? [], record.flags);
      case OpCode.delete:
        return this.#delete(origin, record.path, record.version);
      case OpCode.setData: {
        const node = this.#expect(record.path, record.version);
        if (typeof node === "number") return node;
        const { data, mzxid, mtime, version } = node;
        this.#undo.push(() => Object.assign(node, { data, mzxid, mtime, version }));
        Object.assign(node, { data: record.data, mzxid: origin.zxid, mtime: origin.wallMs, version: version + 1 });
        this.#note(this.dataTriggers, record.path, origin.zxid, EventType.nodeDataChanged);
        return { txn: { type, record: { path: record.path, data: record.data, version: node.version } }, result: { type, record: { stat: must(this.statOf(record.path), "stat") } } };
      }
      case OpCode.check: {
        const node = this.#expect(record.path, record.version);
        if (typeof node === "number") return node;
        return { txn: { type, record: { path: record.path, version: node.version + 1 } }, result: { type, record: {} } };
      }
      default:
        throw new Error(`the model knows no operation ${type}`);
    }
  }

  setAcl(path: string, acl: readonly AclEntry[], aversion: number): { readonly txn: TxnBody<typeof OpCode.setACL>; readonly stat: Stat } | ErrorCode {
    const node = this.#nodes.get(path);
    if (node === undefined) return ErrorCode.noNode;
    if (aversion !== -1 && aversion !== node.aversion) return ErrorCode.badVersion;
    node.aversion += 1;
    node.acl = acl;
    return { txn: { type: OpCode.setACL, record: { path, acl: [...acl], version: node.aversion } }, stat: must(this.statOf(path), "stat") };
  }

  #create(origin: Origin, asked: string, data: Buffer | null, acl: readonly AclEntry[], flags: number): Step {
    const sequential = flags === CreateFlag.persistentSequential || flags === CreateFlag.ephemeralSequential;
    const ephemeral = flags === CreateFlag.ephemeral || flags === CreateFlag.ephemeralSequential;
    const parentPath = parentOf(asked);
    const parent = this.#nodes.get(parentPath);
    if (parent === undefined) return ErrorCode.noNode;
    const path = sequential ? asked + String(parent.creations).padStart(10, "0") : asked;
    if (this.#nodes.has(path)) return ErrorCode.nodeExists;
    if (parent.owner !== 0n) return ErrorCode.noChildrenForEphemerals;
    const { pzxid, creations } = parent;
    this.#undo.push(() => {
      this.#unlink(path);
      Object.assign(parent, { pzxid, creations });
    });
    this.#link(path, newNode(origin, data, acl, ephemeral ? origin.session : 0n));
    Object.assign(parent, { pzxid: origin.zxid, creations: creations + 1 });
    this.#note(this.dataTriggers, path, origin.zxid, EventType.nodeCreated);
    this.#note(this.childTriggers, parentPath, origin.zxid, EventType.nodeChildrenChanged);
    return {
      txn: { type: OpCode.create, record: { path, data, acl: [...acl], ephemeral, parentCVersion: parent.creations } },
      result: { type: OpCode.create, record: { path } },
    };
  }

  #delete(origin: Origin, path: string, version: number): Step {
    const node = this.#expect(path, version);
    if (typeof node === "number") return node;
    if (node.children.size > 0) return ErrorCode.notEmpty;
    this.#remove(path, origin.zxid);
    return { txn: { type: OpCode.delete, record: { path } }, result: { type: OpCode.delete, record: {} } };
  }

  #remove(path: string, zxid: Zxid): void {
    const node = this.#at(path);
    const parentPath = parentOf(path);
    const parent = this.#at(parentPath);
    const { pzxid } = parent;
    this.#undo.push(() => {
      this.#link(path, node);
      parent.pzxid = pzxid;
    });
    this.#unlink(path);
    parent.pzxid = zxid;
    this.#note(this.dataTriggers, path, zxid, EventType.nodeDeleted);
    this.#note(this.childTriggers, path, zxid, EventType.nodeDeleted);
    this.#note(this.childTriggers, parentPath, zxid, EventType.nodeChildrenChanged);
  }

  #link(path: string, node: Node): void {
    this.#nodes.set(path, node);
    this.#at(parentOf(path)).children.add(nameOf(path));
    if (node.owner === 0n) return;
    const owned = this.#owned.get(node.owner as SessionId) ?? new Set();
    this.#owned.set(node.owner as SessionId, owned.add(path));
  }

  #unlink(path: string): void {
    const owner = this.#at(path).owner as SessionId;
    this.#nodes.delete(path);
    this.#at(parentOf(path)).children.delete(nameOf(path));
    const owned = this.#owned.get(owner);
    owned?.delete(path);
    if (owned?.size === 0) this.#owned.delete(owner);
  }

  #note(triggers: Map<string, Trigger[]>, path: string, zxid: Zxid, type: EventType): void {
    const list = triggers.get(path) ?? [];
    triggers.set(path, list);
    list.push({ zxid, type });
    this.#undo.push(() => list.pop());
  }

  #expect(path: string, version: number): Node | ErrorCode {
    const node = this.#nodes.get(path);
    if (node === undefined) return ErrorCode.noNode;
    return version === -1 || version === node.version ? node : ErrorCode.badVersion;
  }

  #at(path: string): Node {
    return must(this.#nodes.get(path), `node ${path}`);
  }
}

function newNode({ zxid, wallMs }: Origin, data: Buffer | null, acl: readonly AclEntry[], owner: bigint): Node {
  return { data, acl, czxid: zxid, ctime: wallMs, owner, mzxid: zxid, mtime: wallMs, pzxid: zxid, version: 0, creations: 0, aversion: 0, children: new Set() };
}

function errorResult(err: ErrorCode): { readonly type: typeof OpCode.error; readonly record: { readonly err: ErrorCode } } {
  return { type: OpCode.error, record: { err } };
}

export function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/")) || "/";
}

function nameOf(path: string): string {
  return path.slice(path.lastIndexOf("/") + 1);
}
