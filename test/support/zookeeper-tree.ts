import type { Fields, InputOf } from "../../src/codec/model.ts";
import type { Schema } from "../../src/codec/schema.ts";
import { Writer } from "../../src/codec/writer.ts";
import { Prng } from "../../src/lib/prng.ts";
import { ErrorCode } from "../../src/zookeeper/protocol/errors.ts";
import { sessionId, zxid, type SessionId, type Zxid } from "../../src/zookeeper/protocol/ids.ts";
import { writeMulti, type MultiOp } from "../../src/zookeeper/protocol/multi.ts";
import { EventType, OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import * as records from "../../src/zookeeper/protocol/records.ts";
import type { AclEntry, Id } from "../../src/zookeeper/protocol/records.ts";
import type { Transaction } from "../../src/zookeeper/protocol/transactions.ts";
import { BUILT_IN_PROVIDERS, OPEN_ACL } from "../../src/zookeeper/tree/acl.ts";
import { applyTransaction, type Applied } from "../../src/zookeeper/tree/apply.ts";
import { clientOperation, prepareRequest } from "../../src/zookeeper/tree/operations.ts";
import type { PrepareEnvironment } from "../../src/zookeeper/tree/prepare.ts";
import { PreparedState } from "../../src/zookeeper/tree/prepared.ts";
import { DataTree } from "../../src/zookeeper/tree/tree.ts";
import type { WatcherId, WatchEvent } from "../../src/zookeeper/tree/watches.ts";

/** ZooKeeper's tree without network and disk, for tests of the tree and of what stores it. */

export const ALICE = sessionId(0xa11ce000000000n);
export const BOB = sessionId(0xb0b00000000000n);
export const T0 = 1_700_000_000_000;
export const open = OPEN_ACL;

export interface Outcome {
  readonly err: ErrorCode;
  readonly txn: Transaction;
  readonly applied: Applied;
}

/** A standalone member without network and disk: prepares, applies and answers in one call, or keeps a pipeline of `depth`. */
export class Member {
  readonly events: { watcher: WatcherId; type: EventType; path: string }[] = [];
  readonly exceeded: string[] = [];
  readonly log: Transaction[] = [];
  readonly sessions = new Set<SessionId>([ALICE, BOB]);
  readonly tree: DataTree;
  readonly state: PreparedState;
  readonly environment: PrepareEnvironment;
  ids: Id[] = [{ scheme: "ip", id: "127.0.0.1" }];
  now = T0;
  #next = 1;
  #applied = 0;

  constructor(options: { extendedTypes?: boolean; skipAcl?: boolean } = {}) {
    const owners = { extendedTypes: options.extendedTypes ?? false, emulate353Ttl: false };
    this.tree = new DataTree(owners, {
      watchEvent: (watcher: WatcherId, { type, path }: WatchEvent) => this.events.push({ watcher, type, path }),
      quotaExceeded: (path) => this.exceeded.push(path),
    });
    this.state = new PreparedState(this.tree);
    const check = (session: SessionId) => (this.sessions.has(session) ? ErrorCode.ok : ErrorCode.sessionExpired);
    this.environment = {
      state: this.state,
      policy: { skipAcl: options.skipAcl ?? false, providers: BUILT_IN_PROVIDERS },
      sessions: { check, checkGlobal: check, opening: (session) => this.sessions.add(session), closing: (session) => this.sessions.delete(session) },
      owners,
      reconfigure: () => ErrorCode.reconfigDisabled,
    };
  }

  prepare(type: number, body: Buffer, session = ALICE): Transaction {
    const txn = prepareRequest(this.environment, { type, cxid: 1, body, sessionId: session, owner: undefined, ids: this.ids }, zxid(this.#next++), this.now);
    this.log.push(txn);
    return txn;
  }

  applyNext(): Outcome {
    const txn = this.log[this.#applied++];
    if (txn === undefined) throw new Error("nothing is prepared");
    const applied = applyTransaction(this.tree, txn);
    this.state.applied(txn.header.zxid);
    return { err: applied.err, txn, applied };
  }

  write(type: number, body: Buffer, session = ALICE): Outcome {
    this.prepare(type, body, session);
    return this.applyNext();
  }

  create(path: string, options: { data?: string | null; flags?: number; acl?: readonly AclEntry[]; session?: SessionId; type?: number; ttl?: number } = {}): Outcome {
    const { data = "", flags = 0, acl = open, session, type = OpCode.create, ttl = -1 } = options;
    const record = { path, data: data === null ? null : Buffer.from(data), acl, flags, ttl };
    return this.write(type, type === OpCode.createTTL ? records.createTTLRequest.encode(record) : records.createRequest.encode(record), session);
  }

  delete(path: string, version = -1, session = ALICE): Outcome {
    return this.write(OpCode.delete, records.deleteRequest.encode({ path, version }), session);
  }

  set(path: string, data: string | null, version = -1): Outcome {
    return this.write(OpCode.setData, records.setDataRequest.encode({ path, data: data === null ? null : Buffer.from(data), version }));
  }

  setAcl(path: string, acl: readonly AclEntry[], version = -1): Outcome {
    return this.write(OpCode.setACL, records.setACLRequest.encode({ path, acl, version }));
  }

  multi(operations: readonly MultiOp[]): Outcome {
    return this.write(OpCode.multi, multiBody(operations));
  }

  read<F extends Fields>(type: number, schema: Schema<F>, request: InputOf<F>, watcher: WatcherId = 1): { err: ErrorCode; body: Buffer } {
    const operation = clientOperation(type);
    if (operation?.kind !== "read") throw new Error(`${type} is not a read`);
    const writer = new Writer();
    const context = { tree: this.tree, policy: this.environment.policy, session: ALICE, ids: this.ids, watcher };
    const err = operation.serve(context, schema.encode(request), writer);
    return { err, body: writer.finishBuffer() };
  }

  exists(path: string, watcher?: WatcherId): ErrorCode {
    return this.read(OpCode.exists, records.readRequest, { path, watch: watcher !== undefined }, watcher).err;
  }

  getData(path: string, watcher?: WatcherId): ErrorCode {
    return this.read(OpCode.getData, records.readRequest, { path, watch: watcher !== undefined }, watcher).err;
  }

  getChildren(path: string, watcher?: WatcherId): ErrorCode {
    return this.read(OpCode.getChildren2, records.readRequest, { path, watch: watcher !== undefined }, watcher).err;
  }

  stat(path: string): records.Stat {
    const node = this.tree.find(path);
    if (node === undefined) throw new Error(`no ${path}`);
    return this.tree.statOf(node);
  }

  takeEvents(): string[] {
    return this.events.splice(0).map(({ watcher, type, path }) => `${watcher} ${Object.entries(EventType).find(([, code]) => code === type)?.[0]} ${path}`);
  }
}

export function multiBody(operations: readonly MultiOp[]): Buffer {
  const writer = new Writer();
  writeMulti(writer, operations);
  return writer.finishBuffer();
}

/** All that clients and snapshots can tell of a tree. */
export function dump(tree: DataTree): unknown {
  const nodes: unknown[] = [];
  const visit = (path: string): void => {
    const node = tree.find(path);
    if (node === undefined) return;
    nodes.push([path, node.data, node.owner, node.acl.entries, tree.statOf(node), tree.stats.cversion(node.row)]);
    for (const name of tree.childrenOf(node).toSorted()) visit(path === "/" ? `/${name}` : `${path}/${name}`);
  };
  visit("/");
  const byText = (a: unknown, b: unknown) => String(a).localeCompare(String(b));
  const ephemerals = tree.ephemeralOwners().map((session) => [session, tree.ephemeralsOf(session).toSorted()]);
  return { nodes, sessions: [...tree.sessions].toSorted(byText), ephemerals: ephemerals.toSorted(byText), zxid: tree.lastZxid, count: tree.nodeCount, size: tree.approximateDataSize, ephemeralCount: tree.ephemeralCount, acls: tree.acls.size };
}

export function newTree(): DataTree {
  return new DataTree({ extendedTypes: false, emulate353Ttl: false }, { watchEvent: () => undefined, quotaExceeded: () => undefined });
}

export const SESSIONS = [1n, 2n, 3n].map((id) => sessionId(id << 40n));

/** Draws writes and makes their transactions, as a leader does, from the tree that results. */
export class Workload {
  readonly tree = newTree();
  readonly transactions: Transaction[] = [];
  readonly #state = new PreparedState(this.tree);
  readonly #prng: Prng;
  #next: Zxid;

  constructor(seed: number, first = zxid(1)) {
    this.#prng = new Prng(seed);
    this.#next = first;
  }

  run(count: number): this {
    for (let n = 0; n < count; n++) this.step();
    return this;
  }

  /** As the tree was after the transaction. */
  at(last: Zxid): DataTree {
    const tree = newTree();
    for (const txn of this.transactions) if (txn.header.zxid <= last) applyTransaction(tree, txn);
    return tree;
  }

  step(): Transaction {
    const prng = this.#prng;
    const path = `/${prng.pick(["a", "b", "c"])}${prng.chance(2, 3) ? `/${prng.pick(["x", "y", "z"])}` : ""}${prng.chance(1, 4) ? "/deep" : ""}`;
    const data = prng.chance(1, 8) ? null : prng.bytes(prng.below(60));
    const acl = prng.chance(2, 3) ? OPEN_ACL : [{ perms: 31, id: { scheme: "ip", id: `10.0.0.${prng.below(4)}` } }];
    const session = prng.pick(SESSIONS);
    const draw = prng.below(20);
    if (draw < 8) return this.#write(prng.pick([OpCode.create, OpCode.create2, OpCode.createContainer]), records.createRequest.encode({ path, data, acl, flags: prng.pick([0, 0, 1, 2, 3]) }), session);
    if (draw < 12) return this.#write(OpCode.delete, records.deleteRequest.encode({ path, version: -1 }), session);
    if (draw < 16) return this.#write(OpCode.setData, records.setDataRequest.encode({ path, data, version: -1 }), session);
    if (draw < 18) return this.#write(OpCode.setACL, records.setACLRequest.encode({ path, acl, version: -1 }), session);
    return draw === 18 ? this.#write(OpCode.createSession, Buffer.from("00001000", "hex"), session) : this.#write(OpCode.closeSession, Buffer.alloc(0), session);
  }

  #write(type: number, body: Buffer, session: SessionId): Transaction {
    const allow = () => ErrorCode.ok;
    const environment = {
      state: this.#state,
      policy: { skipAcl: true, providers: BUILT_IN_PROVIDERS },
      sessions: { check: allow, checkGlobal: allow, opening: () => undefined, closing: () => undefined },
      owners: this.tree.options,
      reconfigure: () => ErrorCode.reconfigDisabled,
    };
    const txn = prepareRequest(environment, { type, cxid: 0, body, sessionId: session, owner: undefined, ids: [] }, this.#next, 1_700_000_000_000 + this.#next);
    this.#next = zxid(this.#next + 1);
    applyTransaction(this.tree, txn);
    this.#state.applied(txn.header.zxid);
    this.transactions.push(txn);
    return txn;
  }
}
