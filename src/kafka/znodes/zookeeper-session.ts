import { assertNever } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import { firstFailure, type Outcome, type ZooKeeperClient } from "../../zookeeper/client/client.ts";
import { checkOp, createOp, deleteOp, setDataOp } from "../../zookeeper/client/operations.ts";
import { CreateFlag, ErrorCode, EventType, OpCode, type MultiOp, type MultiResult, type Stat } from "../../zookeeper/client/vocabulary.ts";
import type { CreateMode, Step, ZkCheck, ZkReply, ZkRequest, ZkStat, ZkWrite } from "./requests.ts";

export interface ZnodeEvent {
  readonly kind: "created" | "deleted" | "dataChanged" | "childrenChanged";
  readonly path: string;
}

/**
 * Carries out what steps ask of ZooKeeper, on a client. A batch's requests are pipelined. A request whose reply was
 * lost with a connection is sent again in the same session (see ZooKeeperClient).
 */
export class ZooKeeperSession {
  readonly client: ZooKeeperClient;
  readonly #watchers = new Set<(event: ZnodeEvent) => void>();

  constructor(client: ZooKeeperClient) {
    this.client = client;
  }

  /** 0 where there is none. */
  get sessionId(): bigint {
    return this.client.session?.id ?? 0n;
  }

  /** Rejects with ERR_ZOOKEEPER_SESSION where the session has ended or the client is closed. */
  async request(batch: readonly ZkRequest[]): Promise<readonly ZkReply[]> {
    return Promise.all(batch.map((request) => this.#one(request)));
  }

  async run<T>(step: Step<T>): Promise<T> {
    let result = step.next();
    while (result.done !== true) result = step.next(await this.request(result.value));
    return result.value;
  }

  /** Each watch that a request has left fires once. Returns what ends it. */
  listen(listener: { watch(event: ZnodeEvent): void; sessionExpired(): void; sessionStarted(sessionId: bigint): void }): () => void {
    const watcher = (event: ZnodeEvent): void => listener.watch(event);
    this.#watchers.add(watcher);
    const stop = this.client.listen({
      expired: () => listener.sessionExpired(),
      connected: (session, resumed) => {
        if (!resumed) listener.sessionStarted(session.id);
      },
    });
    return () => {
      this.#watchers.delete(watcher);
      stop();
    };
  }

  async #one(request: ZkRequest): Promise<ZkReply> {
    switch (request.op) {
      case "getData":
        return reply(await this.client.getData(request.path, this.#watcher(request.watch)), ({ data, stat }) => ({ data, stat: statOf(stat) }));
      case "exists":
        return reply(await this.client.exists(request.path, this.#watcher(request.watch)), (stat) => ({ stat: statOf(stat) }));
      case "getChildren":
        return reply(await this.client.getChildren(request.path, this.#watcher(request.watch)), ({ children }) => ({ children }));
      case "create":
        return reply(await this.client.create(request.path, request.data, { flags: CREATE_FLAGS[request.mode] }), (path) => ({ path }));
      case "setData":
        return reply(await this.client.setData(request.path, request.data, request.version), (stat) => ({ stat: statOf(stat) }));
      case "delete":
        return reply(await this.client.delete(request.path, request.version), () => ({}));
      case "multi":
        return multiReply(await this.client.multi(request.ops.map(multiOp)));
      default:
        return assertNever(request);
    }
  }

  #watcher(wanted: boolean): ((event: ClientEvent) => void) | undefined {
    return wanted ? this.#fire : undefined;
  }

  // One function for all watches: the client keeps a set of them for each path, so that a path that is read twice fires once.
  readonly #fire = ({ type, path }: ClientEvent): void => {
    const kind = EVENT_KINDS[type];
    if (kind !== undefined) for (const watcher of this.#watchers) watcher({ kind, path });
  };
}

interface ClientEvent {
  readonly type: number;
  readonly path: string;
}

const CREATE_FLAGS: Readonly<Record<CreateMode, CreateFlag>> = {
  persistent: CreateFlag.persistent,
  persistentSequential: CreateFlag.persistentSequential,
  ephemeral: CreateFlag.ephemeral,
};

const EVENT_KINDS: Readonly<Record<number, ZnodeEvent["kind"]>> = {
  [EventType.nodeCreated]: "created",
  [EventType.nodeDeleted]: "deleted",
  [EventType.nodeDataChanged]: "dataChanged",
  [EventType.nodeChildrenChanged]: "childrenChanged",
};

const EMPTY_REPLY: ZkReply = { code: ErrorCode.ok, data: null, stat: undefined, children: [], path: "", results: [] };

function reply<T>(outcome: Outcome<T>, fields: (value: T) => Partial<ZkReply>): ZkReply {
  if (outcome.ok) return { ...EMPTY_REPLY, ...fields(outcome.value) };
  refuseLostSession(outcome.code);
  return { ...EMPTY_REPLY, code: outcome.code };
}

function multiReply(outcome: Outcome<readonly MultiResult[]>): ZkReply {
  if (!outcome.ok) return reply(outcome, () => ({}));
  const failure = firstFailure(outcome.value);
  if (failure !== undefined) refuseLostSession(failure.code);
  return { ...EMPTY_REPLY, code: failure?.code ?? ErrorCode.ok, results: outcome.value.map(resultReply) };
}

function resultReply(result: MultiResult): ZkReply {
  switch (result.type) {
    case OpCode.create:
    case OpCode.create2:
      return { ...EMPTY_REPLY, path: result.record.path };
    case OpCode.setData:
      return { ...EMPTY_REPLY, stat: statOf(result.record.stat) };
    case OpCode.error:
      return { ...EMPTY_REPLY, code: result.record.err };
    default:
      return EMPTY_REPLY;
  }
}

/** Throws ERR_ZOOKEEPER_SESSION where the code says that the session has ended. */
export function refuseLostSession(code: number): void {
  if (code === ErrorCode.sessionExpired || code === ErrorCode.connectionLoss || code === ErrorCode.authFailed) {
    throw new OperationalError("ERR_ZOOKEEPER_SESSION", `the ZooKeeper session has ended (code ${code})`);
  }
}

function multiOp(op: ZkWrite | ZkCheck): MultiOp {
  switch (op.op) {
    case "create":
      return createOp(op.path, op.data, CREATE_FLAGS[op.mode]);
    case "setData":
      return setDataOp(op.path, op.data, op.version);
    case "delete":
      return deleteOp(op.path, op.version);
    case "check":
      return checkOp(op.path, op.version);
    default:
      return assertNever(op);
  }
}

function statOf(stat: Stat): ZkStat {
  return { czxid: stat.czxid, mzxid: stat.mzxid, ctime: stat.ctime, version: stat.version, ephemeralOwner: stat.ephemeralOwner };
}
