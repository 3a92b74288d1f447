import { OperationalError } from "../../lib/error.ts";

/**
 * What Kafka asks of ZooKeeper, as values. A step (an operation of several requests) is a generator that yields
 * batches of them and is resumed with their replies, one for each in the same order; what runs it owns the client.
 */
export type Step<T> = Generator<readonly ZkRequest[], T, readonly ZkReply[]>;

export type CreateMode = "persistent" | "persistentSequential" | "ephemeral";

/** Version -1 matches any. */
export type ZkWrite =
  | { readonly op: "create"; readonly path: string; readonly data: Buffer | null; readonly mode: CreateMode }
  | { readonly op: "setData"; readonly path: string; readonly data: Buffer | null; readonly version: number }
  | { readonly op: "delete"; readonly path: string; readonly version: number };

export type ZkRead = { readonly op: "getData" | "exists" | "getChildren"; readonly path: string; readonly watch: boolean };

export type ZkCheck = { readonly op: "check"; readonly path: string; readonly version: number };

export type ZkRequest = ZkRead | ZkWrite | { readonly op: "multi"; readonly ops: readonly (ZkWrite | ZkCheck)[] };

export interface ZkStat {
  /** Of the znode's creation. */
  readonly czxid: number;
  /** Of the last change of its data. */
  readonly mzxid: number;
  /** Milliseconds since the Unix epoch, of the creation. */
  readonly ctime: number;
  readonly version: number;
  /** The owner's session; 0 for a persistent znode. */
  readonly ephemeralOwner: bigint;
}

/** What a request has no answer to give is empty: null data, no stat, no children, an empty path, no results. */
export interface ZkReply {
  /** Of `ZkCode`; of a multi, the code of the operation that failed. */
  readonly code: number;
  readonly data: Buffer | null;
  /** After getData, exists and setData; in a multi after setData. */
  readonly stat: ZkStat | undefined;
  readonly children: readonly string[];
  /** The path that a create made. */
  readonly path: string;
  /** One for each operation of a multi. */
  readonly results: readonly ZkReply[];
}

/** Source: ZooKeeper's KeeperException.java. */
export const ZkCode = {
  OK: 0,
  RUNTIME_INCONSISTENCY: -2,
  NO_NODE: -101,
  NO_AUTH: -102,
  BAD_VERSION: -103,
  NODE_EXISTS: -110,
  NOT_EMPTY: -111,
} as const;

export const anyVersion = -1;

export const getData = (path: string, watch = false): ZkRequest => ({ op: "getData", path, watch });
export const exists = (path: string, watch = false): ZkRequest => ({ op: "exists", path, watch });
export const getChildren = (path: string, watch = false): ZkRequest => ({ op: "getChildren", path, watch });
export const create = (path: string, data: Buffer | null, mode: CreateMode = "persistent"): ZkWrite => ({ op: "create", path, data, mode });
export const setData = (path: string, data: Buffer | null, version = anyVersion): ZkWrite => ({ op: "setData", path, data, version });
export const remove = (path: string, version = anyVersion): ZkWrite => ({ op: "delete", path, version });

/** Replies to a batch, which must not be empty on the wire. */
export function* ask(requests: readonly ZkRequest[]): Step<readonly ZkReply[]> {
  return requests.length === 0 ? [] : yield requests;
}

export function* askOne(request: ZkRequest): Step<ZkReply> {
  const [reply] = yield [request];
  if (reply === undefined) throw new OperationalError("ERR_ZOOKEEPER", `no reply to ${request.op}`);
  return reply;
}

/** ERR_ZOOKEEPER: a reply that the request has no use for. */
export function unexpected(request: ZkRequest, reply: ZkReply): OperationalError {
  const where = request.op === "multi" ? request.ops.map((op) => `${op.op} ${op.path}`).join(", ") : `${request.op} ${request.path}`;
  const name = Object.entries(ZkCode).find(([, code]) => code === reply.code)?.[0] ?? String(reply.code);
  return new OperationalError("ERR_ZOOKEEPER", `ZooKeeper answered ${name} to ${where}; look at its log and at the znode's ACL`);
}

/** Throws ERR_ZOOKEEPER unless the code is OK or one of `also`. */
export function expectCode(request: ZkRequest, reply: ZkReply, ...also: readonly number[]): ZkReply {
  if (reply.code !== ZkCode.OK && !also.includes(reply.code)) throw unexpected(request, reply);
  return reply;
}

/** The children, sorted; none where the znode does not exist. */
export function* listChildren(path: string, watch = false): Step<string[]> {
  const request = getChildren(path, watch);
  const reply = expectCode(request, yield* askOne(request), ZkCode.NO_NODE);
  return reply.children.toSorted();
}
