import { setTimeout as sleep } from "node:timers/promises";
import { expect } from "vitest";
import { realHost } from "../../src/host/real/host.ts";
import { ZooKeeperClient, type Outcome, type ZooKeeperClientOptions } from "../../src/zookeeper/client/client.ts";
import { ErrorCode } from "../../src/zookeeper/protocol/errors.ts";
import { eventually } from "./processes.ts";

const host = realHost({ logLevel: "silent" });

/** Opens a session; the caller ends it. */
export async function connectClient(connect: string, options: Partial<ZooKeeperClientOptions> = {}): Promise<ZooKeeperClient> {
  const client = new ZooKeeperClient(host, { connect, sessionTimeoutMs: 10_000, ...options });
  client.start();
  const state = await Promise.race([client.whenConnected(), eventually(`a session at ${connect}`, () => client.state === "connected")]);
  expect(state).toBe(true);
  return client;
}

/** A session for as long as `use` takes. */
export async function withClient<T>(connect: string, use: (client: ZooKeeperClient) => Promise<T>, options: Partial<ZooKeeperClientOptions> = {}): Promise<T> {
  const client = await connectClient(connect, options);
  try {
    return await use(client);
  } finally {
    await client.close();
  }
}

/** The value of an outcome that has to be one. */
export async function valueOf<T>(outcome: Promise<Outcome<T>>): Promise<T> {
  const settled = await outcome;
  if (!settled.ok) throw new Error(`expected a value, got the code ${Object.entries(ErrorCode).find(([, code]) => code === settled.code)?.[0] ?? settled.code}`);
  return settled.value;
}

/** Everything that a client can see of a tree, a line for each node, depth first. */
export async function treeOf(client: ZooKeeperClient, path = "/"): Promise<string[]> {
  const [data, acl] = await Promise.all([client.getData(path), client.getACL(path)]);
  if (!data.ok || !acl.ok) throw new Error(`${path} can't be read`);
  const names = data.value.stat.numChildren === 0 ? [] : (await valueOf(client.getChildren(path))).children;
  const { data: bytes } = data.value;
  const seen = { path, data: bytes === null || bytes.length <= 100 ? (bytes?.toString("latin1") ?? null) : `${bytes.length} bytes from ${bytes.toString("hex", 0, 8)} to ${bytes.toString("hex", bytes.length - 8)}`, stat: data.value.stat, acl: acl.value.acl };
  const line = JSON.stringify(seen, (_key, value: unknown) => (typeof value === "bigint" ? `0x${BigInt.asUintN(64, value).toString(16)}` : value));
  const below = await Promise.all(names.toSorted().map((child) => treeOf(client, path === "/" ? `/${child}` : `${path}/${child}`)));
  return [line, ...below.flat()];
}

/** The same after a sync, so with all that was committed before; for the eyes of `digest` too. */
export async function syncedTree(connect: string, digest?: ZooKeeperClientOptions["digest"]): Promise<string[]> {
  const read = async (client: ZooKeeperClient): Promise<string[]> => {
    await valueOf(client.sync("/"));
    return treeOf(client);
  };
  return withClient(connect, read, { digest });
}

/** Between a lane's requests, so that the members have time for more than the load. */
const THINK_MS = 25;

/**
 * Clients that create nodes, several at once, and remember which were acknowledged: an answer that the node exists
 * counts, for a request that was under way when its connection broke is sent again.
 */
export class Load {
  readonly #clients: readonly ZooKeeperClient[];
  readonly #root: string;
  readonly acknowledged: string[] = [];
  #stopped = false;
  #lanes: Promise<unknown> = Promise.resolve();

  constructor(clients: readonly ZooKeeperClient[], root: string) {
    this.#clients = clients;
    this.#root = root;
  }

  start(lanesPerClient: number): void {
    const lanes = this.#clients.flatMap((client, index) => Array.from({ length: lanesPerClient }, (_, lane) => this.#run(client, `${index}-${lane}`)));
    this.#lanes = Promise.all(lanes);
    // Told by `stop`, which awaits the very same.
    this.#lanes.catch(() => undefined);
  }

  /** Resolves when so many more have been acknowledged than now. */
  async more(count: number): Promise<void> {
    const goal = this.acknowledged.length + count;
    await eventually(`${count} more acknowledged creates`, () => this.acknowledged.length >= goal);
  }

  async stop(): Promise<void> {
    this.#stopped = true;
    await this.#lanes;
  }

  async #run(client: ZooKeeperClient, lane: string): Promise<void> {
    for (let n = 0; !this.#stopped; n++) {
      const path = `${this.#root}/${lane}-${n}`;
      const made = await client.create(path, Buffer.from(path));
      if (!made.ok && made.code !== ErrorCode.nodeExists) throw new Error(`${path}: code ${made.code}`);
      this.acknowledged.push(path);
      await sleep(THINK_MS);
    }
  }
}
