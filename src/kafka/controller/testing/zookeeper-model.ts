import { assertNever } from "../../../lib/assert.ts";
import { ZkCode, type ZkCheck, type ZkReply, type ZkRequest, type ZkWrite } from "../../znodes/requests.ts";
import type { WatchEvent } from "../ports.ts";

interface Znode {
  data: Buffer | null;
  czxid: number;
  mzxid: number;
  ctime: number;
  version: number;
  owner: bigint;
  /** Children made so far: the next sequence number. */
  made: number;
}

const nothing: ZkReply = { code: ZkCode.OK, data: null, stat: undefined, children: [], path: "", results: [] };

/** What ZooKeeper does with the requests that this project's Kafka makes, in memory: enough to run the controller's steps in tests. */
export class ZooKeeperModel {
  #znodes = new Map<string, Znode>([["", { data: null, czxid: 0, mzxid: 0, ctime: 0, version: 0, owner: 0n, made: 0 }]]);
  readonly #sessions = new Map<bigint, ModelSession>();
  #zxid = 0;
  #lastSession = 100n;
  nowMs = 1_000_000;
  /** Sees every znode's data as it is written. */
  onWrite: (path: string, data: Buffer | null, czxid: number) => void = () => {};

  connect(listener: (event: WatchEvent) => void): ModelSession {
    const session = new ModelSession(this, ++this.#lastSession, listener);
    this.#sessions.set(session.id, session);
    return session;
  }

  /** Ends a session: its ephemeral znodes go. */
  expire(session: ModelSession): void {
    this.#sessions.delete(session.id);
    session.alive = false;
    for (const [path, znode] of this.#znodes) if (znode.owner === session.id) this.#commit([{ op: "delete", path, version: -1 }], 0n);
  }

  /** As from a client of its own. */
  apply(request: ZkRequest, session?: ModelSession): ZkReply {
    switch (request.op) {
      case "getData":
      case "exists":
      case "getChildren":
        return this.#read(request, session);
      case "multi":
        return this.#commit(request.ops, session?.id ?? 0n);
      default: {
        const reply = this.#commit([request], session?.id ?? 0n);
        return reply.results[0] ?? reply;
      }
    }
  }

  data(path: string): Buffer | null | undefined {
    return this.#znodes.get(path)?.data;
  }

  json(path: string): unknown {
    return JSON.parse(this.data(path)?.toString() ?? "null");
  }

  has(path: string): boolean {
    return this.#znodes.has(path);
  }

  version(path: string): number | undefined {
    return this.#znodes.get(path)?.version;
  }

  czxid(path: string): number | undefined {
    return this.#znodes.get(path)?.czxid;
  }

  owner(path: string): bigint | undefined {
    return this.#znodes.get(path)?.owner;
  }

  children(path: string): string[] {
    const prefix = `${path}/`;
    return [...this.#znodes.keys()].filter((key) => key.startsWith(prefix) && !key.slice(prefix.length).includes("/")).map((key) => key.slice(prefix.length));
  }

  #read(request: ZkRequest & { op: "getData" | "exists" | "getChildren" }, session: ModelSession | undefined): ZkReply {
    const { op, path, watch } = request;
    const znode = this.#znodes.get(path);
    const watches = op === "getChildren" ? session?.childWatches : session?.dataWatches;
    if (watch && (znode !== undefined || op === "exists")) watches?.add(path);
    if (znode === undefined) return { ...nothing, code: ZkCode.NO_NODE };
    if (op === "getChildren") return { ...nothing, children: this.children(path) };
    return { ...nothing, data: op === "getData" ? znode.data : null, stat: statOf(znode) };
  }

  /** All or nothing, under one zxid. */
  #commit(ops: readonly (ZkWrite | ZkCheck)[], owner: bigint): ZkReply {
    const before = new Map([...this.#znodes].map(([path, znode]) => [path, { ...znode }]));
    const events: WatchEvent[] = [];
    const results: ZkReply[] = [];
    this.#zxid++;
    for (const op of ops) {
      const reply = this.#write(op, owner, events);
      if (reply.code === ZkCode.OK) {
        results.push(reply);
        continue;
      }
      this.#znodes = before;
      const done = results.map(() => nothing);
      const undone = ops.slice(results.length + 1).map(() => ({ ...nothing, code: ZkCode.RUNTIME_INCONSISTENCY }));
      return { ...nothing, code: reply.code, results: [...done, reply, ...undone] };
    }
    for (const op of ops) if (op.op === "create" || op.op === "setData") this.onWrite(op.path, op.data, this.#znodes.get(op.path)?.czxid ?? 0);
    for (const event of events) for (const session of this.#sessions.values()) session.fire(event);
    return { ...nothing, results };
  }

  #write(op: ZkWrite | ZkCheck, owner: bigint, events: WatchEvent[]): ZkReply {
    if (op.op === "create") return this.#create(op, owner, events);
    const znode = this.#znodes.get(op.path);
    if (znode === undefined) return { ...nothing, code: ZkCode.NO_NODE };
    if (op.version !== -1 && op.version !== znode.version) return { ...nothing, code: ZkCode.BAD_VERSION };
    switch (op.op) {
      case "check":
        return nothing;
      case "setData":
        znode.data = op.data;
        znode.mzxid = this.#zxid;
        znode.version++;
        events.push({ kind: "dataChanged", path: op.path });
        return { ...nothing, stat: statOf(znode) };
      case "delete":
        if (this.children(op.path).length > 0) return { ...nothing, code: ZkCode.NOT_EMPTY };
        this.#znodes.delete(op.path);
        events.push({ kind: "deleted", path: op.path }, { kind: "childrenChanged", path: parentOf(op.path) });
        return nothing;
      default:
        return assertNever(op);
    }
  }

  #create(op: ZkWrite & { op: "create" }, owner: bigint, events: WatchEvent[]): ZkReply {
    const parent = this.#znodes.get(parentOf(op.path));
    if (parent === undefined) return { ...nothing, code: ZkCode.NO_NODE };
    const path = op.mode === "persistentSequential" ? `${op.path}${String(parent.made).padStart(10, "0")}` : op.path;
    if (this.#znodes.has(path)) return { ...nothing, code: ZkCode.NODE_EXISTS };
    parent.made++;
    this.#znodes.set(path, { data: op.data, czxid: this.#zxid, mzxid: this.#zxid, ctime: this.nowMs, version: 0, owner: op.mode === "ephemeral" ? owner : 0n, made: 0 });
    events.push({ kind: "created", path }, { kind: "childrenChanged", path: parentOf(path) });
    return { ...nothing, path };
  }
}

export class ModelSession {
  readonly #model: ZooKeeperModel;
  readonly id: bigint;
  readonly #listener: (event: WatchEvent) => void;
  readonly dataWatches = new Set<string>();
  readonly childWatches = new Set<string>();
  alive = true;

  constructor(model: ZooKeeperModel, id: bigint, listener: (event: WatchEvent) => void) {
    this.#model = model;
    this.id = id;
    this.#listener = listener;
  }

  request(batch: readonly ZkRequest[]): ZkReply[] {
    if (!this.alive) throw new Error("the session has ended");
    return batch.map((request) => this.#model.apply(request, this));
  }

  fire(event: WatchEvent): void {
    const watches = event.kind === "childrenChanged" ? this.childWatches : this.dataWatches;
    if (watches.delete(event.path)) this.#listener(event);
    else if (event.kind === "deleted" && this.childWatches.delete(event.path)) this.#listener(event);
  }
}

function statOf(znode: Znode): ZkReply["stat"] {
  return { czxid: znode.czxid, mzxid: znode.mzxid, ctime: znode.ctime, version: znode.version, ephemeralOwner: znode.owner };
}

function parentOf(path: string): string {
  return path.slice(0, path.lastIndexOf("/"));
}
