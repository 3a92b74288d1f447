import { createRequire } from "node:module";

/** What the tests use of the npm package, which has no types of its own. */
export interface NodeZooKeeper {
  createClient(connect: string, options?: { readonly sessionTimeout: number }): NodeClient;
  readonly CreateMode: Readonly<Record<"EPHEMERAL" | "PERSISTENT_SEQUENTIAL" | "PERSISTENT", number>>;
  readonly ACL: { readonly CREATOR_ALL_ACL: unknown; readonly OPEN_ACL_UNSAFE: unknown };
}
export type Callback<T> = (error: NodeError | null, value: T) => void;
export interface NodeError extends Error {
  readonly name: string;
}
export interface NodeStat {
  readonly version: number;
  readonly numChildren: number;
}
export interface NodeEvent {
  readonly name: string;
  readonly path: string;
}
export interface NodeTransaction {
  create(path: string): NodeTransaction;
  setData(path: string, data: Buffer): NodeTransaction;
  check(path: string, version: number): NodeTransaction;
  remove(path: string): NodeTransaction;
  commit(callback: Callback<unknown[]>): void;
}
export interface NodeClient {
  connect(): void;
  close(): void;
  once(event: "connected" | "disconnected" | "expired", listener: () => void): void;
  addAuthInfo(scheme: string, auth: Buffer): void;
  getSessionId(): Buffer;
  create(path: string, data: Buffer | null, mode: number, callback: Callback<string>): void;
  create(path: string, data: Buffer | null, acl: unknown, callback: Callback<string>): void;
  mkdirp(path: string, callback: Callback<string>): void;
  getData(path: string, watcher: ((event: NodeEvent) => void) | undefined, callback: (error: NodeError | null, data: Buffer | undefined, stat: NodeStat) => void): void;
  setData(path: string, data: Buffer, version: number, callback: Callback<NodeStat>): void;
  exists(path: string, callback: Callback<NodeStat | null>): void;
  getChildren(path: string, watcher: ((event: NodeEvent) => void) | undefined, callback: (error: NodeError | null, children: string[], stat: NodeStat) => void): void;
  remove(path: string, version: number, callback: (error: NodeError | null) => void): void;
  transaction(): NodeTransaction;
}

export const zookeeper = createRequire(import.meta.url)("node-zookeeper-client") as NodeZooKeeper;

/** What a function with a callback gives. */
export function call<T>(run: (callback: Callback<T>) => void): Promise<T> {
  return new Promise((resolve, reject) => {
    run((error, value) => (error === null ? resolve(value) : reject(error)));
  });
}

/** The caller closes it. */
export async function connectNodeClient(connect: string): Promise<NodeClient> {
  const client = zookeeper.createClient(connect, { sessionTimeout: 4000 });
  await new Promise<void>((resolve) => {
    client.once("connected", resolve);
    client.connect();
  });
  return client;
}
