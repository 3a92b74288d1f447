import { readdirSync } from "node:fs";
import { connect as connectSocket } from "node:net";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realHost } from "../../src/host/real/host.ts";
import { StandaloneMember } from "../../src/zookeeper/server/standalone-member.ts";
import { call, connectNodeClient, zookeeper, type NodeClient, type NodeStat } from "../support/node-zookeeper-client.ts";
import { eventually, freePort, temporaryDirectory } from "../support/processes.ts";
import { memberConfig, startOurZooKeeper, type OurZooKeeper } from "../support/zookeeper-member.ts";

describe("node-zookeeper-client on our member", () => {
  let server: OurZooKeeper;
  const clients: NodeClient[] = [];

  beforeAll(async () => {
    server = await startOurZooKeeper();
  });

  afterAll(async () => {
    for (const client of clients) client.close();
    await server.stop();
  });

  async function connected(): Promise<NodeClient> {
    const client = await connectNodeClient(`127.0.0.1:${server.port}`);
    clients.push(client);
    return client;
  }

  test("makes, reads, lists and removes nodes, from the request with xid 0 on", async () => {
    const client = await connected();
    expect(await call<string>((done) => client.create("/n", Buffer.from("one"), zookeeper.CreateMode.PERSISTENT, done))).toBe("/n");
    await expect(call<string>((done) => client.create("/n", null, zookeeper.CreateMode.PERSISTENT, done))).rejects.toMatchObject({ name: "NODE_EXISTS" });
    const data = await new Promise<{ text: string | undefined; version: number }>((resolve, reject) => {
      client.getData("/n", undefined, (error, bytes, stat) => (error === null ? resolve({ text: bytes?.toString(), version: stat.version }) : reject(error)));
    });
    expect(data).toEqual({ text: "one", version: 0 });
    expect(await call<NodeStat>((done) => client.setData("/n", Buffer.from("two"), 0, done))).toMatchObject({ version: 1 });
    await expect(call<NodeStat>((done) => client.setData("/n", Buffer.from("x"), 0, done))).rejects.toMatchObject({ name: "BAD_VERSION" });
    expect(await call<string>((done) => client.mkdirp("/n/deep/er", done))).toBe("/n/deep/er");
    expect(await call<string>((done) => client.create("/n/s-", null, zookeeper.CreateMode.PERSISTENT_SEQUENTIAL, done))).toBe("/n/s-0000000001");
    await expect(call<void>((done) => client.remove("/n", -1, (error) => done(error, undefined)))).rejects.toMatchObject({ name: "NOT_EMPTY" });
    expect(await call<NodeStat | null>((done) => client.exists("/missing", done))).toBeNull();
  });

  test("hears of changes, and of ephemeral nodes that go with their client", async () => {
    const [watcher, owner] = [await connected(), await connected()];
    const events: string[] = [];
    const watch = (): void => watcher.getChildren("/", (event) => events.push(`${event.name} ${event.path}`), () => undefined);
    watch();
    await call<string>((done) => owner.create("/gone", null, zookeeper.CreateMode.EPHEMERAL, done));
    await eventually("the node's coming is heard of", () => events.length === 1);
    watch();
    owner.close();
    await eventually("the node's going is heard of", () => events.length === 2);
    expect(events).toEqual(["NODE_CHILDREN_CHANGED /", "NODE_CHILDREN_CHANGED /"]);
  });

  test("does transactions as a whole or not at all", async () => {
    const client = await connected();
    expect(await call<unknown[]>((done) => client.transaction().create("/t").setData("/t", Buffer.from("x")).commit(done))).toHaveLength(2);
    await expect(call<unknown[]>((done) => client.transaction().remove("/t").check("/missing", 0).commit(done))).rejects.toMatchObject({ name: "NO_NODE" });
    expect(await call<NodeStat | null>((done) => client.exists("/t", done))).toMatchObject({ version: 1 });
  });

  test("keeps others from its nodes with a digest", async () => {
    const [owner, other] = [await connected(), await connected()];
    owner.addAuthInfo("digest", Buffer.from("ada:secret"));
    await call<string>((done) => owner.create("/mine", Buffer.from("x"), zookeeper.ACL.CREATOR_ALL_ACL, done));
    await expect(call<Buffer | undefined>((done) => other.getData("/mine", undefined, done))).rejects.toMatchObject({ name: "NO_AUTH" });
    expect(await call<Buffer | undefined>((done) => owner.getData("/mine", undefined, done))).toEqual(Buffer.from("x"));
  });

  test("goes on with its session after the member was down for a moment", async () => {
    const client = await connected();
    await call<string>((done) => client.create("/stays", null, zookeeper.CreateMode.EPHEMERAL, done));
    const session = client.getSessionId().toString("hex");
    const back = new Promise<void>((resolve) => {
      client.once("disconnected", () => client.once("connected", resolve));
    });
    await server.kill();
    await server.start();
    await back;
    expect(client.getSessionId().toString("hex")).toBe(session);
    expect(await call<NodeStat | null>((done) => client.exists("/stays", done))).not.toBeNull();
  });
});

describe("a member on this machine", () => {
  test("answers a four-letter word with the end of the stream right behind it, as netcat sends it", async () => {
    const server = await startOurZooKeeper();
    const answer = await new Promise<string>((resolve, reject) => {
      let text = "";
      const socket = connectSocket({ port: server.port, host: "127.0.0.1", allowHalfOpen: true }, () => socket.end("srvr"));
      socket.on("data", (chunk) => (text += chunk.toString()));
      socket.on("end", () => resolve(text));
      socket.on("error", reject);
    });
    expect(answer).toContain("Mode: standalone\n");
    await server.stop();
  });

  test("does not start on directories that another one uses, nor on a port that is taken, and leaves nothing behind", async () => {
    const server = await startOurZooKeeper();
    const host = realHost({ logLevel: "silent" });
    await expect(StandaloneMember.start(host, memberConfig({ dataDir: server.dataDir, clientPort: await freePort() }))).rejects.toMatchObject({ code: "ZK_LOCKED" });
    const directory = temporaryDirectory();
    await expect(StandaloneMember.start(host, memberConfig({ dataDir: directory.path, clientPort: server.port }))).rejects.toMatchObject({ code: "EADDRINUSE" });
    const member = await StandaloneMember.start(host, memberConfig({ dataDir: directory.path, clientPort: await freePort() }));
    await member.close();
    await server.stop();
    directory.remove();
  });

  test("takes a snapshot and a new log after snapCount transactions, and purges the old ones at a start", async () => {
    const server = await startOurZooKeeper({ settings: { snapCount: 20, "autopurge.purgeInterval": 1, preAllocSize: 64 } });
    const client = await connectNodeClient(`127.0.0.1:${server.port}`);
    for (let n = 0; n < 200; n++) await call<string>((done) => client.create(`/n${n}`, Buffer.from(String(n)), zookeeper.CreateMode.PERSISTENT, done));
    client.close();
    const kinds = (): number[] => ["snapshot", "log"].map((kind) => readdirSync(`${server.dataDir}/version-2`).filter((name) => name.startsWith(`${kind}.`)).length);
    expect(Math.min(...kinds())).toBeGreaterThan(5);
    await server.kill();
    await server.start();
    await eventually("three snapshots are left", () => kinds()[0] === 3);
    await server.stop();
  });
});
