import { afterAll, beforeAll, expect, test } from "vitest";
import { realHost } from "../../src/host/real/host.ts";
import { firstFailure, ZooKeeperClient, type ZooKeeperClientOptions } from "../../src/zookeeper/client/client.ts";
import { checkOp, createOp, OPEN_ACL, setDataOp } from "../../src/zookeeper/client/operations.ts";
import type { WatchEvent } from "../../src/zookeeper/client/watches.ts";
import { ErrorCode } from "../../src/zookeeper/protocol/errors.ts";
import { NO_SESSION } from "../../src/zookeeper/protocol/ids.ts";
import { CreateFlag, EventType, OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import { eventually } from "./processes.ts";
import { Wire } from "./zookeeper-wire.ts";

/** A standalone server, Apache's or ours, that can go down and come back on the same port with the same data. */
export interface StandaloneServer {
  readonly port: number;
  /** Down, the data stays. */
  kill(): Promise<void>;
  start(): Promise<void>;
  /** Down for good, the data goes. */
  stop(): Promise<void>;
}

/** What our client and a standalone server do together, whoever's server it is. */
export function clientSuite(startServer: () => Promise<StandaloneServer>): void {
  const host = realHost({ logLevel: "silent" });
  let server: StandaloneServer;
  const clients: ZooKeeperClient[] = [];

  beforeAll(async () => {
    server = await startServer();
  });

  afterAll(async () => {
    await Promise.all(clients.map((client) => client.abandon()));
    await server.stop();
  });

  async function connect(options: Partial<ZooKeeperClientOptions> = {}): Promise<ZooKeeperClient> {
    const client = new ZooKeeperClient(host, { connect: `127.0.0.1:${server.port}`, sessionTimeoutMs: 4000, ...options });
    clients.push(client);
    client.start();
    expect(await client.whenConnected()).toBe(true);
    return client;
  }

  test("nodes are made, read, written, listed and deleted; codes are values", async () => {
    const client = await connect();
    expect(await client.create("/a", null)).toEqual({ ok: true, value: "/a" });
    expect(await client.create("/a", null)).toEqual({ ok: false, code: ErrorCode.nodeExists });
    expect(await client.getData("/a")).toMatchObject({ ok: true, value: { data: null, stat: { version: 0 } } });
    expect(await client.setData("/a", Buffer.from("x"), 0)).toMatchObject({ ok: true, value: { version: 1 } });
    expect(await client.setData("/a", Buffer.from("y"), 0)).toEqual({ ok: false, code: ErrorCode.badVersion });
    expect(await client.create("/a/n-", Buffer.from("1"), { flags: CreateFlag.persistentSequential })).toEqual({ ok: true, value: "/a/n-0000000000" });
    expect(await client.getChildren("/a")).toMatchObject({ ok: true, value: { children: ["n-0000000000"] } });
    expect(await client.delete("/a")).toEqual({ ok: false, code: ErrorCode.notEmpty });
    expect(await client.exists("/missing")).toEqual({ ok: false, code: ErrorCode.noNode });
    expect(await client.sync("/a")).toEqual({ ok: true, value: "/a" });
    expect(await client.getACL("/a")).toMatchObject({ ok: true, value: { acl: OPEN_ACL } });
  });

  test("a multi is done as a whole or not at all, and tells which operation failed", async () => {
    const client = await connect();
    const done = await client.multi([createOp("/m", null), createOp("/m/b", null), setDataOp("/m", Buffer.from("z"), 0)]);
    expect(done).toMatchObject({ ok: true, value: [{ record: { path: "/m" } }, { record: { path: "/m/b" } }, { record: { stat: { version: 1 } } }] });
    const failed = await client.multi([createOp("/m/c", null), checkOp("/m", 7), createOp("/m/d", null)]);
    expect(failed.ok && firstFailure(failed.value)).toEqual({ index: 1, code: ErrorCode.badVersion });
    expect(await client.exists("/m/c")).toEqual({ ok: false, code: ErrorCode.noNode });
  });

  test("with a chroot every path is relative to it, in replies and events too", async () => {
    const client = await connect({ connect: `127.0.0.1:${server.port}/deep/root` });
    expect((await client.makeChroot()).ok).toBe(true);
    expect((await client.makeChroot()).ok).toBe(true);
    const events: WatchEvent[] = [];
    await client.getChildren("/", (event) => events.push(event));
    expect(await client.create("/x", null)).toEqual({ ok: true, value: "/x" });
    await eventually("the event arrives", () => events.length > 0);
    expect(events).toEqual([{ type: EventType.nodeChildrenChanged, path: "/" }]);
    expect(await (await connect()).exists("/deep/root/x")).toMatchObject({ ok: true });
  });

  test("each watch fires once, before a read can see the change", async () => {
    const [client, other] = [await connect(), await connect()];
    const events: string[] = [];
    await client.exists("/w", (event) => events.push(`exist ${event.type}`));
    await other.create("/w", null);
    await client.sync("/w");
    expect(events).toEqual(["exist 1"]);
    await client.getData("/w", (event) => events.push(`data ${event.type}`));
    await other.setData("/w", Buffer.from("1"));
    await other.setData("/w", Buffer.from("2"));
    await client.sync("/w");
    expect(events).toEqual(["exist 1", "data 3"]);
  });

  test("an ephemeral node goes with its session: at once after close, never before", async () => {
    const [client, other] = [await connect(), await connect()];
    await client.create("/e", null, { flags: CreateFlag.ephemeral });
    expect(await other.exists("/e")).toMatchObject({ ok: true, value: { ephemeralOwner: client.session?.id } });
    await client.close();
    expect(await other.exists("/e")).toEqual({ ok: false, code: ErrorCode.noNode });
    expect(await client.exists("/e")).toEqual({ ok: false, code: ErrorCode.connectionLoss });
  });

  test("a session outlives its client: the next one goes on with its id and password", async () => {
    const first = await connect();
    await first.create("/kept", null, { flags: CreateFlag.ephemeral });
    const { session } = first;
    await first.abandon();
    const second = await connect({ session });
    expect(second.session?.id).toBe(session?.id);
    expect(await second.exists("/kept")).toMatchObject({ ok: true, value: { ephemeralOwner: session?.id } });
  });

  test("after the server was killed and came back: the same session, its watches, and the requests that waited", async () => {
    const client = await connect({ sessionTimeoutMs: 10_000 });
    const events: WatchEvent[] = [];
    await client.create("/r", null);
    await client.getData("/r", (event) => events.push(event));
    const before = client.session?.id;
    await server.kill();
    await eventually("the client has noticed", () => client.state === "connecting");
    const waiting = client.setData("/r", Buffer.from("after"));
    await server.start();
    expect(await waiting).toMatchObject({ ok: true });
    expect(client.session?.id).toBe(before);
    await eventually("the watch fires on the new connection", () => events.length > 0);
    expect(events).toEqual([{ type: EventType.nodeDataChanged, path: "/r" }]);
  });

  test("an expired session is told, its requests end, and a new one begins", async () => {
    const client = await connect();
    let expired = 0;
    client.listen({ expired: () => (expired += 1) });
    const before = client.session;
    // Somebody else closes the session with the same id and password, and may lose it to its owner before that is done.
    await eventually("a new session", async () => {
      if (expired > 0) return client.state === "connected";
      const thief = await Wire.open(host.net, "127.0.0.1", server.port);
      thief.connect({ sessionId: before?.id ?? NO_SESSION, passwd: before?.password ?? null });
      thief.request(1, OpCode.closeSession);
      await eventually("the thief is thrown out", () => thief.closed);
      return false;
    });
    expect(client.session?.id).not.toBe(before?.id);
    expect(await client.exists("/")).toMatchObject({ ok: true });
  });
}
