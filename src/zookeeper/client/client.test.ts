import { describe, expect, test } from "vitest";
import { Reader } from "../../codec/reader.ts";
import type { Connection } from "../../host/net.ts";
import type { SimNode } from "../../host/sim/node.ts";
import { World } from "../../host/sim/world.ts";
import { must } from "../../lib/assert.ts";
import { FrameDecoder } from "../../lib/frames.ts";
import { decodeConnectRequest, sessionPassword, type ConnectRequest } from "../protocol/connect.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { NO_SESSION, sessionId, zxid } from "../protocol/ids.ts";
import { EventType, OpCode, Xid } from "../protocol/op-codes.ts";
import { authPacket, connectResponse, pathRecord, replyHeader, requestHeader, setWatches, statResponse, watcherEvent } from "../protocol/records.ts";
import { ZooKeeperClient, type ZooKeeperClientOptions } from "./client.ts";

const session = { id: sessionId(0x1234_5678n), password: sessionPassword(sessionId(0x1234_5678n)) };

interface Request {
  readonly xid: number;
  readonly type: number;
  readonly body: Buffer;
  readonly atMs: number;
}

/** One connection as the scripted member sees it. It answers nothing by itself. */
class Peer {
  readonly requests: Request[] = [];
  connect: ConnectRequest | undefined;
  closed = false;
  readonly #connection: Connection;

  constructor(world: World, connection: Connection, onFrame: (peer: Peer) => void) {
    this.#connection = connection;
    const decoder = new FrameDecoder({ frameBytesMax: 1 << 20 });
    connection.start({
      data: (chunk) =>
        void decoder.push(chunk, (frame) => {
          if (this.connect === undefined) {
            this.connect = must(decodeConnectRequest(frame), "connect request");
          } else {
            const reader = new Reader(frame);
            const header = requestHeader.read(reader);
            this.requests.push({ ...header, body: Buffer.from(frame.subarray(8)), atMs: world.nowMs });
          }
          onFrame(this);
        }),
      close: () => {
        this.closed = true;
      },
    });
  }

  /** The requests of one kind so far. */
  of(type: OpCode): Request[] {
    return this.requests.filter((request) => request.type === type);
  }

  accept(answer: { readonly timeOut?: number; readonly id?: bigint } = {}): void {
    const id = sessionId(answer.id ?? session.id);
    this.raw(connectResponse.encode({ protocolVersion: 0, timeOut: answer.timeOut ?? 6000, sessionId: id, passwd: sessionPassword(id) }));
  }

  reply(xid: number, options: { readonly zxid?: number; readonly err?: number; readonly body?: Buffer } = {}): void {
    const header = replyHeader.encode({ xid, zxid: zxid(options.zxid ?? 1), err: options.err ?? 0 });
    this.raw(Buffer.concat([header, options.body ?? Buffer.alloc(0)]));
  }

  event(type: EventType, path: string): void {
    this.reply(Xid.notification, { zxid: -1, body: watcherEvent.encode({ type, state: 3, path }) });
  }

  raw(frame: Buffer, length = frame.length): void {
    const head = Buffer.alloc(4);
    head.writeInt32BE(length);
    this.#connection.write(Buffer.concat([head, frame]));
  }

  hangUp(): void {
    this.#connection.destroy();
  }
}

interface Scene {
  readonly world: World;
  readonly client: ZooKeeperClient;
  /** Connections in the order in which they came, with the member that took each. */
  readonly peers: readonly Peer[];
  readonly taken: string[];
  readonly nodes: readonly SimNode[];
  /** Waits for the connection with this number, from 0, to have sent its first packet. */
  readonly peer: (index: number) => Promise<Peer>;
  readonly until: (holds: () => boolean) => Promise<void>;
}

/** Two scripted members and a client that has started. `onFrame` sees each frame once it is noted. */
async function scene(options: Partial<ZooKeeperClientOptions> = {}, onFrame: (peer: Peer) => void = () => undefined): Promise<Scene> {
  const world = new World({ seed: 7, net: { splitsPerMille: 300 } });
  const [home, ...nodes] = [world.addNode("home"), world.addNode("z1"), world.addNode("z2")];
  const peers: Peer[] = [];
  const taken: string[] = [];
  for (const node of nodes) {
    await world.settle(
      node.host.net.listen({ port: 2181 }, (connection) => {
        taken.push(node.name);
        peers.push(new Peer(world, connection, onFrame));
      }),
    );
  }
  const client = new ZooKeeperClient(home.host, { connect: "z1:2181,z2:2181", sessionTimeoutMs: 9000, ...options });
  client.start();
  const until = (holds: () => boolean): Promise<void> => world.run({ until: holds, withinMs: 60_000 });
  const peer = async (index: number): Promise<Peer> => {
    await until(() => peers[index]?.connect !== undefined);
    return must(peers[index], "peer");
  };
  return { world, client, peers, taken, nodes, peer, until };
}

const noStat = statResponse.encode({
  stat: { czxid: zxid(1), mzxid: zxid(1), ctime: 0, mtime: 0, version: 0, cversion: 0, aversion: 0, ephemeralOwner: 0n, dataLength: 0, numChildren: 0, pzxid: zxid(1) },
});

describe("connecting", () => {
  test("asks for a session, takes the timeout that is granted and pings after a third of it", async () => {
    const { client, peer, until, world } = await scene();
    const first = await peer(0);
    expect(first.connect).toMatchObject({ protocolVersion: 0, lastZxidSeen: 0, timeOut: 9000, sessionId: NO_SESSION, readOnly: false });
    first.accept({ timeOut: 6000 });
    await until(() => client.state === "connected");
    expect([client.session?.id, client.sessionTimeoutMs]).toEqual([session.id, 6000]);
    const since = world.nowMs;
    await until(() => first.of(OpCode.ping).length > 0);
    const [ping] = first.of(OpCode.ping);
    expect(ping?.xid).toBe(Xid.ping);
    expect(ping && ping.atMs - since).toBeGreaterThanOrEqual(2000);
    expect(ping && ping.atMs - since).toBeLessThan(3100);
  });

  test("goes on with a session that is handed in", async () => {
    const { client, peer, until } = await scene({ session });
    const first = await peer(0);
    expect(first.connect).toMatchObject({ sessionId: session.id, passwd: session.password });
    const seen: unknown[] = [];
    client.listen({ connected: (now, resumed) => seen.push([now.id, resumed]) });
    first.accept();
    await until(() => client.state === "connected");
    expect(seen).toEqual([[session.id, true]]);
  });

  test("goes to the other member with the same session after two thirds of the timeout in silence", async () => {
    const { client, peer, until, taken, world } = await scene();
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    const since = world.nowMs;
    const second = await peer(1);
    expect(world.nowMs - since).toBeGreaterThanOrEqual(4000);
    expect(world.nowMs - since).toBeLessThan(5100);
    expect(first.closed).toBe(true);
    expect(second.connect).toMatchObject({ sessionId: session.id, passwd: session.password });
    expect(new Set(taken)).toEqual(new Set(["z1", "z2"]));
    second.accept();
    await until(() => client.state === "connected");
    expect(client.session?.id).toBe(session.id);
  });

  test("gives up a member that takes the connection and says nothing", async () => {
    const { peer } = await scene();
    await peer(0);
    const second = await peer(1);
    expect(second.connect?.sessionId).toBe(NO_SESSION);
  });

  test("pauses after a round in which nobody answered instead of asking without end", async () => {
    const { world, nodes, client } = await scene();
    for (const node of nodes) node.kill();
    await world.run({ forMs: 1000 });
    const before = world.events;
    await world.run({ forMs: 10_000 });
    expect(world.events - before).toBeLessThan(1000);
    expect(client.state).toBe("connecting");
  });
});

describe("requests", () => {
  test("are pipelined, answered in order, and an error code is a value", async () => {
    const { client, peer, until, world } = await scene();
    const [first] = [await peer(0)];
    first.accept();
    await until(() => client.state === "connected");
    const answers = Promise.all([client.create("/a", null), client.exists("/b"), client.delete("/c", 4)]);
    await until(() => first.requests.length === 3);
    expect(first.requests.map((request) => [request.xid, request.type])).toEqual([[1, OpCode.create], [2, OpCode.exists], [3, OpCode.delete]]);
    first.reply(1, { body: pathRecord.encode({ path: "/a" }) });
    first.reply(2, { err: ErrorCode.noNode });
    first.reply(3, { err: ErrorCode.badVersion });
    expect(await world.settle(answers)).toEqual([{ ok: true, value: "/a" }, { ok: false, code: ErrorCode.noNode }, { ok: false, code: ErrorCode.badVersion }]);
  });

  test("wait where more than the allowed number are under way", async () => {
    const { client, peer, until, world } = await scene({ requestsInFlightMax: 2 });
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    const answers = Promise.all(["/a", "/b", "/c"].map((path) => client.delete(path)));
    await world.run({ forMs: 100 });
    expect(first.requests).toHaveLength(2);
    first.reply(1);
    await until(() => first.requests.length === 3);
    first.reply(2);
    first.reply(3);
    expect(await world.settle(answers)).toEqual([1, 2, 3].map(() => ({ ok: true, value: undefined })));
  });

  test("made before there is a connection wait for it, and those under way when one breaks are sent again in order", async () => {
    const { client, peer, until, world } = await scene();
    const early = client.delete("/early");
    const first = await peer(0);
    first.accept();
    await until(() => first.requests.length === 1);
    const late = client.delete("/late");
    await until(() => first.requests.length === 2);
    first.reply(1, { zxid: 77 });
    expect(await world.settle(early)).toMatchObject({ ok: true });
    first.hangUp();
    const second = await peer(1);
    expect(second.connect?.lastZxidSeen).toBe(77);
    second.accept();
    await until(() => second.requests.length === 1);
    second.reply(must(second.requests[0], "request").xid);
    expect(await world.settle(late)).toMatchObject({ ok: true });
  });

  test.each([
    ["a reply out of order", (peer: Peer) => peer.reply(9)],
    ["a reply without its body", (peer: Peer) => peer.reply(1)],
    ["half a reply header", (peer: Peer) => peer.raw(Buffer.alloc(9))],
    ["a frame of negative length", (peer: Peer) => peer.raw(Buffer.alloc(0), -5)],
    ["a frame of impossible length", (peer: Peer) => peer.raw(Buffer.alloc(0), 0x7fff_ffff)],
    ["an event that breaks off", (peer: Peer) => peer.reply(Xid.notification, { zxid: -1, body: Buffer.alloc(6) })],
  ])("%s ends the connection, not the client", async (_what, send) => {
    const { client, peer, until } = await scene();
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    let settled = false;
    void client.exists("/a").finally(() => {
      settled = true;
    });
    await until(() => first.requests.length === 1);
    send(first);
    const second = await peer(1);
    expect(first.closed).toBe(true);
    second.accept();
    await until(() => client.state === "connected");
    if (!settled) {
      await until(() => second.requests.length === 1);
      second.reply(must(second.requests[0], "request").xid, { body: noStat });
      await until(() => settled);
    }
  });
});

describe("watches", () => {
  test("fire once, and an event that comes before the reply of a write is told first", async () => {
    const { client, peer, until, world } = await scene({ connect: "z1:2181,z2:2181/root" });
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    const told: string[] = [];
    const watched = client.exists("/a", (event) => told.push(`event ${event.type} ${event.path}`));
    const made = client.create("/a", null).then(() => told.push("created"));
    await until(() => first.requests.length === 2);
    first.reply(1, { err: ErrorCode.noNode });
    first.event(EventType.nodeCreated, "/root/a");
    first.reply(2, { body: pathRecord.encode({ path: "/root/a" }) });
    first.event(EventType.nodeDeleted, "/root/a");
    await world.settle(Promise.all([watched, made]));
    await world.run({ forMs: 100 });
    expect(told).toEqual(["event 1 /a", "created"]);
  });

  test("are set again on the next member, as of the last zxid seen, in packets that stay small", async () => {
    const { client, peer, until, world } = await scene({}, (member) => {
      const request = member.requests.at(-1);
      if (request?.type === OpCode.exists) member.reply(request.xid, { zxid: 500, err: ErrorCode.noNode });
    });
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    const paths = Array.from({ length: 200 }, (_, index) => `/${String(index).padStart(1000, "x")}`);
    const fired: string[] = [];
    await world.settle(Promise.all(paths.map((path) => client.exists(path, (event) => fired.push(event.path)))));
    first.hangUp();

    const second = await peer(1);
    second.accept();
    await until(() => second.of(OpCode.setWatches).length === 2);
    const packets = second.of(OpCode.setWatches).map((request) => must(setWatches.decode(request.body), "setWatches"));
    expect(packets.map((packet) => packet.relativeZxid)).toEqual([500, 500]);
    expect(packets.flatMap((packet) => packet.existWatches)).toEqual(paths);
    for (const request of second.of(OpCode.setWatches)) {
      expect(request.xid).toBe(Xid.setWatches);
      expect(request.body.length).toBeLessThan(140 * 1024);
    }
    second.event(EventType.nodeCreated, must(paths[3], "path"));
    second.reply(Xid.setWatches);
    await until(() => fired.length > 0);
    expect(fired).toEqual([paths[3]]);
  });
});

describe("the end of a session", () => {
  test("that has expired is told, ends its requests and watches, and a new session begins", async () => {
    const { client, peer, until, world } = await scene();
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    const told: string[] = [];
    client.listen({ disconnected: () => told.push("disconnected"), expired: () => told.push("expired"), connected: (now, resumed) => told.push(`connected ${now.id} ${resumed}`) });
    const watched = client.exists("/a", () => told.push("watch"));
    await until(() => first.requests.length === 1);
    first.reply(1, { err: ErrorCode.noNode });
    await world.settle(watched);
    const pending = client.delete("/b");
    await until(() => first.requests.length === 2);
    first.hangUp();
    (await peer(1)).accept({ timeOut: 0, id: 0n });
    expect(await world.settle(pending)).toEqual({ ok: false, code: ErrorCode.sessionExpired });
    const third = await peer(2);
    expect(third.connect).toMatchObject({ sessionId: NO_SESSION, lastZxidSeen: 0 });
    third.accept({ id: 99n });
    await until(() => client.state === "connected");
    await world.run({ forMs: 100 });
    expect(third.of(OpCode.setWatches)).toEqual([]);
    expect(told).toEqual(["disconnected", "expired", "connected 99 false"]);
  });

  test("by a refused login leaves the client without one, and says so", async () => {
    const { client, peer, until, world, peers } = await scene({ digest: { user: "u", password: "p" } });
    const first = await peer(0);
    first.accept();
    await until(() => first.of(OpCode.auth).length === 1);
    const [auth] = first.of(OpCode.auth);
    expect(auth?.xid).toBe(Xid.auth);
    expect(authPacket.decode(must(auth, "auth").body)).toMatchObject({ scheme: "digest", auth: Buffer.from("u:p") });
    const pending = client.exists("/a");
    first.reply(Xid.auth, { zxid: 0, err: ErrorCode.authFailed });
    expect(await world.settle(pending)).toEqual({ ok: false, code: ErrorCode.authFailed });
    expect(client.state).toBe("authFailed");
    expect(await client.exists("/a")).toEqual({ ok: false, code: ErrorCode.authFailed });
    await world.run({ forMs: 5000 });
    expect(peers).toHaveLength(1);
  });

  test("on close is said to the server, whose answer is waited for", async () => {
    const { client, peer, until, world, peers } = await scene();
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    let closed = false;
    const closing = client.close().finally(() => {
      closed = true;
    });
    await until(() => first.of(OpCode.closeSession).length === 1);
    expect(closed).toBe(false);
    first.reply(1);
    await world.settle(closing);
    expect(client.state).toBe("closed");
    await world.run({ forMs: 5000 });
    expect(peers).toHaveLength(1);
  });

  test("on close does not wait for a server that is gone", async () => {
    const { client, peer, until, world } = await scene();
    const first = await peer(0);
    first.accept();
    await until(() => client.state === "connected");
    const closing = client.close();
    await until(() => first.of(OpCode.closeSession).length === 1);
    first.hangUp();
    await world.settle(closing, 1000);
    expect(client.state).toBe("closed");
  });
});
