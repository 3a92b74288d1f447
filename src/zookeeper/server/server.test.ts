import { beforeEach, describe, expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import type { SimNode } from "../../host/sim/node.ts";
import { memberConfig } from "../../../test/support/zookeeper-member.ts";
import { describeEvent, Wire, type ConnectOptions } from "../../../test/support/zookeeper-wire.ts";
import { sessionPassword } from "../protocol/connect.ts";
import { ErrorCode } from "../protocol/errors.ts";
import { NO_SESSION, sessionId, ZXID_ZERO, type Zxid } from "../protocol/ids.ts";
import { AddWatchMode, CreateFlag, OpCode } from "../protocol/op-codes.ts";
import * as records from "../protocol/records.ts";
import { StandaloneMember } from "./standalone-member.ts";

const OPEN = [{ perms: 31, id: { scheme: "world", id: "anyone" } }];
const PORT = 2181;

/** A standalone member in a world of its own, and clients on another machine. */
class Scene {
  readonly world: World;
  readonly server: SimNode;
  readonly clients: SimNode;
  readonly #settings: Readonly<Record<string, string | number>>;
  member: StandaloneMember | undefined;

  constructor(settings: Readonly<Record<string, string | number>> = {}, mayFail = false) {
    this.world = new World({ seed: 1, expected: () => mayFail, net: { spikesPerMille: 0, resetsPerMillion: 0 }, disk: { spikesPerMille: 0 } });
    this.server = this.world.addNode("server");
    this.clients = this.world.addNode("clients");
    this.#settings = settings;
  }

  async start(): Promise<void> {
    const config = memberConfig({ dataDir: "/data", clientPort: PORT, tickTime: 1000, preAllocSize: 64, "4lw.commands.whitelist": "*", ...this.#settings });
    this.member = await this.world.settle(StandaloneMember.start(this.server.host, config));
  }

  async open(): Promise<Wire> {
    return this.world.settle(Wire.open(this.clients.host.net, "server", PORT));
  }

  async connect(options: ConnectOptions = {}): Promise<Wire> {
    const wire = await this.open();
    wire.connect(options);
    await this.until(() => wire.connected !== undefined || wire.closed);
    return wire;
  }

  until(holds: () => boolean, withinMs = 60_000): Promise<void> {
    return this.world.run({ until: holds, withinMs });
  }

  pass(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }

  /** Sends and waits for the answer. */
  async ask(wire: Wire, xid: number, type: number, body?: Buffer): Promise<number> {
    wire.request(xid, type, body);
    await this.until(() => wire.reply(xid) !== undefined);
    return wire.reply(xid)?.err ?? Number.NaN;
  }

  async word(text: string): Promise<string> {
    const wire = await this.open();
    wire.raw(text);
    await this.until(() => wire.closed);
    return wire.text;
  }

  async statistic(name: string): Promise<string> {
    return new RegExp(`^zk_${name}\t(.*)$`, "m").exec(await this.word("mntr"))?.[1] ?? "missing";
  }
}

const create = (path: string, flags: CreateFlag = CreateFlag.persistent): Buffer => records.createRequest.encode({ path, data: Buffer.from("x"), acl: OPEN, flags });
const read = (path: string, watch = false): Buffer => records.readRequest.encode({ path, watch });
const set = (path: string): Buffer => records.setDataRequest.encode({ path, data: Buffer.from("y"), version: -1 });
const remove = (path: string): Buffer => records.deleteRequest.encode({ path, version: -1 });

let scene: Scene;

beforeEach(async () => {
  scene = new Scene();
  await scene.start();
});

async function restage(settings: Readonly<Record<string, string | number>>): Promise<void> {
  scene = new Scene(settings);
  await scene.start();
}

describe("the first packet", () => {
  test("is answered with a session, its password and the timeout within the member's bounds", async () => {
    const [low, high] = [await scene.connect({ timeOut: 1 }), await scene.connect({ timeOut: 1_000_000 })];
    expect(low.connected).toMatchObject({ protocolVersion: 0, timeOut: 2000, readOnly: 0, frameBytes: 37 });
    expect(high.connected).toMatchObject({ timeOut: 20_000 });
    const id = low.connected?.sessionId ?? NO_SESSION;
    expect(BigInt.asUintN(64, id) >> 56n).toBe(1n);
    expect(high.connected?.sessionId).toBe(id + 1n);
    expect(low.connected?.passwd).toEqual(sessionPassword(id));
  });

  test("of an old client is answered without the byte that it does not know", async () => {
    const wire = await scene.connect({ readOnly: undefined });
    expect(wire.connected).toMatchObject({ readOnly: undefined, frameBytes: 36 });
  });

  test("of a client that has seen more than this member is not answered at all", async () => {
    const wire = await scene.connect({ lastZxidSeen: 1000 });
    expect(wire.closed).toBe(true);
    expect(wire.bytes).toEqual([]);
  });

  test("that makes no sense, or that promises a frame too long or negative, closes the connection", async () => {
    for (const bytes of [Buffer.from("00000003010203", "hex"), Buffer.from("00100000", "hex"), Buffer.from("ffffffff", "hex"), Buffer.from("abcd")]) {
      const wire = await scene.open();
      wire.raw(bytes);
      await scene.until(() => wire.closed);
      expect(wire.bytes).toEqual([]);
    }
  });

  test("may have requests right behind it: they wait for the session", async () => {
    const wire = await scene.open();
    wire.connect();
    wire.request(0, OpCode.create, create("/a"));
    wire.request(1, OpCode.getData, read("/a"));
    await scene.until(() => wire.replies.length === 2);
    expect(wire.connected?.timeOut).toBe(10_000);
    expect(wire.replies.map(({ xid, err }) => [xid, err])).toEqual([
      [0, 0],
      [1, 0],
    ]);
  });

  test("is awaited for no longer than nio.sessionlessCnxnTimeout allows", async () => {
    const wire = await scene.open();
    await scene.pass(9000);
    expect(wire.closed).toBe(false);
    await scene.pass(12_000);
    expect(wire.closed).toBe(true);
  });
});

describe("a session that comes back", () => {
  test("goes on with the same id, and its older connection closes", async () => {
    const first = await scene.connect();
    await scene.ask(first, 1, OpCode.create, create("/e", CreateFlag.ephemeral));
    const { sessionId: id, passwd } = first.connected ?? { sessionId: NO_SESSION, passwd: Buffer.alloc(0) };
    const second = await scene.connect({ sessionId: id, passwd, timeOut: 4000 });
    expect(second.connected).toMatchObject({ sessionId: id, timeOut: 4000 });
    expect(second.connected?.passwd).toEqual(passwd);
    await scene.until(() => first.closed);
    expect(await scene.ask(second, 1, OpCode.delete, remove("/e"))).toBe(ErrorCode.ok);
    // The zxids: two for session and node, one for the delete; none for coming back.
    expect(second.reply(1)?.zxid).toBe(3);
  });

  test("with a wrong password, or after its end, is told so with zeros, and closed", async () => {
    const first = await scene.connect();
    const id = first.connected?.sessionId ?? NO_SESSION;
    const unknown = sessionId(id + 100n);
    for (const options of [{ sessionId: id, passwd: Buffer.alloc(16, 1) }, { sessionId: id, passwd: null }, { sessionId: unknown, passwd: sessionPassword(unknown) }]) {
      const wire = await scene.connect(options);
      expect(wire.connected).toMatchObject({ timeOut: 0, sessionId: 0n, passwd: Buffer.alloc(16), frameBytes: 37 });
      await scene.until(() => wire.closed);
    }
  });

  test("finds itself after the member was killed, or lost its power", async () => {
    const first = await scene.connect({ timeOut: 20_000 });
    await scene.ask(first, 1, OpCode.create, create("/e", CreateFlag.ephemeral));
    const { sessionId: id, passwd } = first.connected ?? { sessionId: NO_SESSION, passwd: null };
    for (const end of ["kill", "powerLoss"] as const) {
      scene.server[end]();
      scene.server.start();
      await scene.start();
      const again = await scene.connect({ sessionId: id, passwd });
      expect(again.connected?.sessionId).toBe(id);
      expect(await scene.ask(again, 1, OpCode.exists, read("/e"))).toBe(ErrorCode.ok);
    }
  });
});

describe("a session's end", () => {
  test("that the client asks for takes its ephemerals first, is answered, and closes the connection", async () => {
    const [wire, other] = [await scene.connect(), await scene.connect()];
    await scene.ask(wire, 1, OpCode.create, create("/e", CreateFlag.ephemeral));
    expect(await scene.ask(wire, 2, OpCode.closeSession)).toBe(ErrorCode.ok);
    await scene.until(() => wire.closed);
    expect(await scene.ask(other, 1, OpCode.exists, read("/e"))).toBe(ErrorCode.noNode);
  });

  test("comes when nothing was heard for the timeout and at most a tick more; pings put it off", async () => {
    const [silent, pinging, watcher] = [await scene.connect({ timeOut: 4000 }), await scene.connect({ timeOut: 4000 }), await scene.connect({ timeOut: 20_000 })];
    await scene.ask(silent, 1, OpCode.create, create("/silent", CreateFlag.ephemeral));
    await scene.ask(pinging, 1, OpCode.create, create("/pinging", CreateFlag.ephemeral));
    await scene.ask(watcher, 1, OpCode.exists, read("/silent", true));
    for (let passed = 0; passed < 3900; passed += 1300) {
      await scene.pass(1300);
      pinging.request(-2, OpCode.ping);
    }
    expect(watcher.events).toEqual([]);
    await scene.pass(1300);
    expect(watcher.events).toEqual(["2 /silent"]);
    expect(silent.closed).toBe(true);
    expect(silent.replies).toHaveLength(1);
    expect(await scene.ask(watcher, 2, OpCode.exists, read("/pinging"))).toBe(ErrorCode.ok);
    expect(pinging.replies.at(-1)).toMatchObject({ xid: -2, err: 0 });
  });

  test("does not come for all when the member itself stood still", async () => {
    const wire = await scene.connect({ timeOut: 4000 });
    await scene.pass(3000);
    scene.server.pause();
    wire.request(-2, OpCode.ping);
    await scene.pass(10_000);
    scene.server.resume();
    await scene.pass(2000);
    expect(wire.closed).toBe(false);
    expect(await scene.ask(wire, 1, OpCode.exists, read("/"))).toBe(ErrorCode.ok);
  });
});

describe("a request", () => {
  test("is answered in its session's order: reads wait for the writes before them", async () => {
    const wire = await scene.connect();
    wire.request(1, OpCode.create, create("/a"));
    wire.request(2, OpCode.exists, read("/a"));
    wire.request(3, OpCode.delete, remove("/a"));
    wire.request(4, OpCode.exists, read("/a"));
    wire.request(5, OpCode.sync, records.pathRecord.encode({ path: "/a" }));
    wire.request(6, OpCode.ping);
    await scene.until(() => wire.replies.length === 6);
    expect(wire.replies.map(({ xid, err }) => [xid, err])).toEqual([
      [1, 0],
      [2, 0],
      [3, 0],
      [4, ErrorCode.noNode],
      [5, 0],
      [6, 0],
    ]);
  });

  test("that reads does not wait for another session's write", async () => {
    const [writer, reader] = [await scene.connect(), await scene.connect()];
    // Nothing reaches the disk any more, so that no write is ever done.
    scene.server.disk.options.syncMs = [1e6, 1e6];
    writer.request(1, OpCode.create, create("/a"));
    await scene.pass(100);
    expect(await scene.ask(reader, 1, OpCode.exists, read("/"))).toBe(ErrorCode.ok);
    expect(writer.replies).toEqual([]);
  });

  test("without a readable header closes the connection; without a readable body it is answered", async () => {
    const wire = await scene.connect();
    const zxid = Number(/Zxid: (0x\w+)/.exec(await scene.word("srvr"))?.[1]);
    expect(await scene.ask(wire, 1, OpCode.getData, Buffer.alloc(3))).toBe(ErrorCode.marshallingError);
    expect(wire.reply(1)?.zxid).toBe(zxid);
    expect(await scene.ask(wire, 2, OpCode.create, Buffer.alloc(3))).toBe(ErrorCode.marshallingError);
    expect(wire.reply(2)?.zxid).toBe(zxid + 1);
    expect(await scene.ask(wire, 3, OpCode.sync)).toBe(ErrorCode.marshallingError);
    expect(await scene.ask(wire, 4, OpCode.exists, read("/"))).toBe(ErrorCode.ok);
    wire.frame(Buffer.alloc(7));
    await scene.until(() => wire.closed);
  });

  test("of an unknown kind, or one that only members or multis may make, is refused and the connection closed", async () => {
    for (const type of [OpCode.notification, OpCode.check, OpCode.deleteContainer, OpCode.createSession, 99, 108, -5]) {
      const wire = await scene.connect();
      expect(await scene.ask(wire, 1, type, Buffer.alloc(4))).toBe(ErrorCode.unimplemented);
      expect(wire.reply(1)?.zxid).toBe(-1);
      await scene.until(() => wire.closed);
    }
  });

  test("to change the ensemble is refused, since there is none", async () => {
    const wire = await scene.connect();
    const body = records.reconfigRequest.encode({ joiningServers: "server.2=b:1:2", leavingServers: null, newMembers: null, curConfigId: -1 });
    expect(await scene.ask(wire, 1, OpCode.reconfig, body)).toBe(ErrorCode.reconfigDisabled);
  });

  test("waits in the socket while globalOutstandingLimit is exceeded, and none is lost", async () => {
    await restage({ globalOutstandingLimit: 2 });
    const wires = [await scene.connect(), await scene.connect()];
    for (const [index, wire] of wires.entries()) for (let xid = 1; xid <= 20; xid++) wire.request(xid, OpCode.create, create(`/${index}-${xid}`));
    let most = 0;
    for (let round = 0; round < 20; round++) {
      most = Math.max(most, Number(await scene.statistic("outstanding_requests")));
    }
    await scene.until(() => wires.every((wire) => wire.replies.length === 20));
    expect(most).toBeLessThanOrEqual(4);
    for (const wire of wires) expect(wire.replies.map(({ xid, err }) => err === 0 && xid)).toEqual(Array.from({ length: 20 }, (_, index) => index + 1));
  });

  test("of a client that reads nothing waits once 4 MiB are unread, and the answers come when it reads on", async () => {
    await restage({ "jute.maxbuffer": 2_000_000 });
    const wire = await scene.connect({ timeOut: 20_000 });
    const data = Buffer.alloc(1_000_000, 1);
    await scene.ask(wire, 1, OpCode.create, records.createRequest.encode({ path: "/big", data, acl: OPEN, flags: 0 }));
    wire.pause();
    for (let xid = 2; xid < 42; xid++) wire.request(xid, OpCode.getData, read("/big"));
    await scene.pass(2000);
    const sent = Number(await scene.statistic("packets_sent"));
    expect(sent).toBeLessThan(20);
    wire.resume();
    await scene.until(() => wire.replies.length === 41);
    expect(wire.replies.every(({ err }) => err === 0)).toBe(true);
  });
});

describe("hostile bytes", () => {
  test("end in an answer or a closed connection, and never harm the member", async () => {
    const draw = scene.world.prng("hostile");
    const types = [...Object.values(OpCode), 1000];
    const bodies = [create("/h"), read("/h"), set("/h"), records.setWatches.encode({ relativeZxid: ZXID_ZERO, dataWatches: ["/h"], existWatches: [], childWatches: [] }), records.authPacket.encode({ type: 0, scheme: "digest", auth: null })];
    for (let round = 0; round < 300; round++) {
      const wire = await scene.open();
      if (round % 3 > 0) wire.connect();
      for (let count = 0; count < 5; count++) {
        const body = Buffer.from(bodies[draw.below(bodies.length)] ?? []);
        for (let changes = draw.below(4); changes > 0; changes--) body[draw.below(body.length)] = draw.below(256);
        const cut = body.subarray(0, draw.below(3) === 0 ? draw.below(body.length) : body.length);
        if (round % 3 === 2) wire.frame(draw.bytes(draw.below(40)));
        else wire.request(count, types[draw.below(types.length)] ?? 0, cut);
      }
      await scene.pass(20);
      wire.destroy();
    }
    expect(await scene.ask(await scene.connect(), 1, OpCode.exists, read("/"))).toBe(ErrorCode.ok);
  });
});

describe("a disk that fails", () => {
  test("stops the member before it acknowledges anything", async () => {
    scene = new Scene({}, true);
    await scene.start();
    const wire = await scene.connect();
    scene.server.disk.options.syncErrorsPerMillion = 1_000_000;
    wire.request(1, OpCode.create, create("/a"));
    await scene.until(() => wire.closed);
    expect(wire.replies).toEqual([]);
    expect(scene.world.failures).toMatchObject([{ node: "server", reason: { code: "ZK_LOG" } }]);
  });
});

describe("who a client is", () => {
  const auth = (scheme: string, text: string): Buffer => records.authPacket.encode({ type: 0, scheme, auth: Buffer.from(text) });
  const whoAmI = async (wire: Wire, xid: number): Promise<string[]> => {
    await scene.ask(wire, xid, OpCode.whoAmI);
    return records.whoAmIResponse.decode(wire.reply(xid)?.body ?? Buffer.alloc(0))?.clientInfo.map(({ authScheme, user }) => `${authScheme}:${user}`) ?? [];
  };

  test("is its address, and each digest that it shows, under whatever xid", async () => {
    const wire = await scene.connect();
    for (const xid of [-4, 17, -4]) wire.request(xid, OpCode.auth, auth("digest", "ada:secret"));
    await scene.until(() => wire.replies.length === 3);
    expect(wire.replies.map(({ xid, zxid, err }) => [xid, zxid, err])).toEqual([
      [-4, 0, 0],
      [17, 0, 0],
      [-4, 0, 0],
    ]);
    expect(await whoAmI(wire, 1)).toEqual([`ip:${scene.clients.address}`, "digest:ada"]);
  });

  test("of an unknown scheme is refused and closed; without a readable packet just closed", async () => {
    const refused = await scene.connect();
    expect(await scene.ask(refused, -4, OpCode.auth, auth("kerberos", "ada"))).toBe(ErrorCode.authFailed);
    await scene.until(() => refused.closed);
    const garbled = await scene.connect();
    garbled.request(-4, OpCode.auth, Buffer.alloc(5));
    await scene.until(() => garbled.closed);
    expect(garbled.replies).toEqual([]);
  });

  test("decides what it may do; the super user may do everything", async () => {
    await restage({ "DigestAuthenticationProvider.superDigest": "super:D/InIHSb7yEEbrWz8b9l71RjZJU=" });
    const [owner, other, root] = [await scene.connect(), await scene.connect(), await scene.connect()];
    await scene.ask(owner, -4, OpCode.auth, auth("digest", "ada:secret"));
    const mine = records.createRequest.encode({ path: "/mine", data: null, acl: [{ perms: 31, id: { scheme: "auth", id: "" } }], flags: 0 });
    expect(await scene.ask(owner, 1, OpCode.create, mine)).toBe(ErrorCode.ok);
    expect(await scene.ask(owner, 2, OpCode.getData, read("/mine"))).toBe(ErrorCode.ok);
    expect(await scene.ask(other, 1, OpCode.getData, read("/mine"))).toBe(ErrorCode.noAuth);
    await scene.ask(root, -4, OpCode.auth, auth("digest", "super:test"));
    expect(await scene.ask(root, 1, OpCode.getData, read("/mine"))).toBe(ErrorCode.ok);
  });

  test("is not asked by SASL: an answer without a token, as Apache's where no login is configured", async () => {
    const wire = await scene.connect();
    expect(await scene.ask(wire, 5, OpCode.sasl, records.saslToken.encode({ token: Buffer.alloc(0) }))).toBe(ErrorCode.ok);
    expect(records.saslToken.decode(wire.reply(5)?.body ?? Buffer.alloc(0))).toEqual({ token: null });
  });
});

describe("watches", () => {
  test("are heard before the answer of the write that fired them, node before parent, once", async () => {
    const wire = await scene.connect();
    await scene.ask(wire, 1, OpCode.exists, read("/w", true));
    await scene.ask(wire, 2, OpCode.getChildren, read("/", true));
    await scene.ask(wire, 3, OpCode.create, create("/w"));
    await scene.ask(wire, 4, OpCode.setData, set("/w"));
    expect(wire.replies.map(({ xid, zxid, body }) => (xid === -1 ? `${describeEvent(body)} at ${zxid}` : xid))).toEqual([1, 2, "1 /w at -1", "4 / at -1", 3, 4]);
  });

  test("go with their connection, and setWatches tells what was missed before its own answer", async () => {
    const [first, other] = [await scene.connect(), await scene.connect()];
    for (const [xid, path] of ["/gone", "/changed", "/same"].entries()) await scene.ask(other, xid, OpCode.create, create(path));
    await scene.ask(first, 1, OpCode.getData, read("/gone", true));
    const seen = first.reply(1)?.zxid ?? 0;
    expect(await scene.statistic("watch_count")).toBe("1");
    first.destroy();
    await scene.pass(100);
    expect(await scene.statistic("watch_count")).toBe("0");
    for (const [xid, type, body] of [[10, OpCode.delete, remove("/gone")] as const, [11, OpCode.setData, set("/changed")] as const, [12, OpCode.create, create("/made")] as const]) await scene.ask(other, xid, type, body);
    const { sessionId: id, passwd } = first.connected ?? { sessionId: NO_SESSION, passwd: null };
    const second = await scene.connect({ sessionId: id, passwd, lastZxidSeen: seen });
    const lists = records.setWatches.encode({ relativeZxid: seen as Zxid, dataWatches: ["/gone", "/changed", "/same"], existWatches: ["/made", "/missing"], childWatches: ["/", "/same"] });
    await scene.ask(second, -8, OpCode.setWatches, lists);
    expect(second.replies.map(({ xid, body }) => (xid === -1 ? describeEvent(body) : xid))).toEqual(["2 /gone", "3 /changed", "1 /made", "4 /", -8]);
    expect(await scene.statistic("watch_count")).toBe("3");
  });

  test("that stay tell of every change below, but not to those who may not read it", async () => {
    const [watcher, writer] = [await scene.connect(), await scene.connect()];
    await scene.ask(watcher, 1, OpCode.addWatch, records.addWatchRequest.encode({ path: "/", mode: AddWatchMode.persistentRecursive }));
    await scene.ask(writer, 1, OpCode.create, create("/a"));
    await scene.ask(writer, 2, OpCode.setData, set("/a"));
    await scene.ask(writer, -4, OpCode.auth, records.authPacket.encode({ type: 0, scheme: "digest", auth: Buffer.from("ada:secret") }));
    await scene.ask(writer, 3, OpCode.create, records.createRequest.encode({ path: "/a/secret", data: null, acl: [{ perms: 31, id: { scheme: "auth", id: "" } }], flags: 0 }));
    await scene.ask(writer, 4, OpCode.create, create("/a/plain"));
    await scene.ask(watcher, 2, OpCode.sync, records.pathRecord.encode({ path: "/" }));
    expect(watcher.events).toEqual(["1 /a", "3 /a", "1 /a/plain"]);
  });
});

describe("nodes that go by themselves", () => {
  test("are containers whose children are gone, and TTL nodes whose time is over", async () => {
    await restage({ extendedTypesEnabled: "true" });
    const wire = await scene.connect({ timeOut: 20_000 });
    const ping = async (ms: number): Promise<void> => {
      for (let passed = 0; passed < ms; passed += 5000) {
        await scene.pass(5000);
        wire.request(-2, OpCode.ping);
      }
    };
    const ttl = records.createTTLRequest.encode({ path: "/ttl", data: null, acl: OPEN, flags: CreateFlag.persistentWithTtl, ttl: 90_000 });
    expect(await scene.ask(wire, 1, OpCode.createContainer, create("/used", CreateFlag.container))).toBe(ErrorCode.ok);
    expect(await scene.ask(wire, 2, OpCode.createContainer, create("/unused", CreateFlag.container))).toBe(ErrorCode.ok);
    expect(await scene.ask(wire, 3, OpCode.createTTL, ttl)).toBe(ErrorCode.ok);
    await scene.ask(wire, 4, OpCode.create, create("/used/child"));
    await ping(65_000);
    expect(await scene.ask(wire, 5, OpCode.exists, read("/used"))).toBe(ErrorCode.ok);
    await scene.ask(wire, 6, OpCode.delete, remove("/used/child"));
    await ping(120_000);
    expect(await scene.ask(wire, 7, OpCode.exists, read("/used"))).toBe(ErrorCode.noNode);
    expect(await scene.ask(wire, 8, OpCode.exists, read("/unused"))).toBe(ErrorCode.ok);
    expect(await scene.ask(wire, 9, OpCode.exists, read("/ttl"))).toBe(ErrorCode.noNode);
  });
});

describe("connections", () => {
  test("beyond maxClientCnxns of one address are reset at once", async () => {
    await restage({ maxClientCnxns: 2 });
    const [first, second, third] = [await scene.connect(), await scene.connect(), await scene.open()];
    await scene.until(() => third.closed);
    expect(third.error).toMatchObject({ code: "ECONNRESET" });
    first.destroy();
    await scene.pass(100);
    expect((await scene.connect()).connected).toBeDefined();
    expect(second.closed).toBe(false);
  });

  test("all close with the member, and none is leaked", async () => {
    const wires = [await scene.connect(), await scene.open()];
    await scene.world.settle(scene.member?.close() ?? Promise.resolve());
    await scene.until(() => wires.every((wire) => wire.closed));
    await scene.pass(5000);
    expect(scene.server.resources).toEqual({ files: [], connections: 0, listeners: 0 });
  });
});

describe("four-letter words", () => {
  test("are answered in whatever pieces they come", async () => {
    const wire = await scene.open();
    for (const letter of "ruok") {
      wire.raw(letter);
      await scene.pass(50);
    }
    await scene.until(() => wire.closed);
    expect(wire.text).toBe("imok");
    expect(await scene.word("srvr")).toMatch(/^Zookeeper version: 3\.5\.9-[^,\n]+, built on .+\nLatency min\/avg\/max: \d+\/\d+\/\d+\nReceived: \d+\nSent: \d+\nConnections: 1\nOutstanding: 0\nZxid: 0x0\nMode: standalone\nNode count: 5\n$/);
  });

  test("must be in the whitelist", async () => {
    await restage({ "4lw.commands.whitelist": "ruok, isro" });
    expect(await scene.word("isro")).toBe("rw");
    expect(await scene.word("stat")).toBe("stat is not executed because it is not in the whitelist.\n");
  });

  test("show connections, sessions, watches, settings and sizes", async () => {
    const wire = await scene.connect();
    await scene.ask(wire, 1, OpCode.create, create("/e", CreateFlag.ephemeral));
    await scene.ask(wire, 2, OpCode.getData, read("/e", true));
    const id = `0x${BigInt.asUintN(64, wire.connected?.sessionId ?? 0n).toString(16)}`;
    const connection = `/${scene.clients.address}:\\d+`;
    expect(await scene.word("cons")).toMatch(new RegExp(`^ ${connection}\\[1\\]\\(queued=0,recved=3,sent=3,sid=${id},lop=GETD,est=\\d+,to=10000,lcxid=0x2,lzxid=0x2,lresp=\\d+,llat=\\d+,minlat=\\d+,avglat=\\d+,maxlat=\\d+\\)\n`));
    expect(await scene.word("stat")).toMatch(new RegExp(`Clients:\n ${connection}\\[1\\]\\(queued=0,recved=3,sent=3\\)\n`));
    expect(await scene.word("wchs")).toBe("1 connections watching 1 paths\nTotal watches:1\n");
    expect(await scene.word("wchc")).toBe(`${id}\n\t/e\n\n`);
    expect(await scene.word("wchp")).toBe(`/e\n\t${id}\n\n`);
    expect(await scene.word("dump")).toMatch(new RegExp(`^SessionTracker dump:\nSession Sets \\(1\\)/\\(1\\):\n1 expire at .*:\n\t${id}\nephemeral nodes dump:\nSessions with Ephemerals \\(1\\):\n${id}:\n\t/e\nConnections dump:\n`));
    expect(await scene.word("conf")).toContain("clientPort=2181\nsecureClientPort=-1\ndataDir=/data/version-2\n");
    expect(await scene.word("dirs")).toMatch(/^datadir_size: \d+\nlogdir_size: \d+\n$/);
    expect(await scene.word("envi")).toContain("\nhost.name=server\n");
    expect(await scene.statistic("ephemerals_count")).toBe("1");
    expect(await scene.word("crst")).toBe("Connection stats reset.\n");
    expect(await scene.word("cons")).toContain("recved=0");
    expect(await scene.word("srst")).toBe("Server stats reset.\n");
  });

  test("may carry an argument: stmk is followed by eight bytes", async () => {
    expect(await scene.word("gtmk")).toBe("306");
    expect(await scene.word("stmk\0\0\0\0\0\0\x01\0")).toBe("256");
    expect(await scene.word("gtmk")).toBe("256");
  });
});
