import { readdirSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { realHost } from "../../src/host/real/host.ts";
import { ZooKeeperClient, type Session } from "../../src/zookeeper/client/client.ts";
import { createOp, OPEN_ACL, setDataOp } from "../../src/zookeeper/client/operations.ts";
import { CreateFlag } from "../../src/zookeeper/protocol/op-codes.ts";
import { digestOf } from "../../src/zookeeper/tree/acl.ts";
import { apacheKafkaClassPath } from "../support/apache-kafka.ts";
import { debianZooKeeperClassPath, hasDebianZooKeeper, printedBy, startApacheZooKeeper } from "../support/apache-zookeeper.ts";
import { hasKazoo, runKazoo } from "../support/kazoo.ts";
import { temporaryDirectory } from "../support/processes.ts";
import type { StandaloneServer } from "../support/zookeeper-client-suite.ts";
import { converseWithZkCli } from "../support/zkcli.ts";
import { startOurZooKeeper, type OurZooKeeper } from "../support/zookeeper-member.ts";

/** Kafka 2.7.1 brings ZooKeeper 3.5.9 along. */
const classPath359 = await apacheKafkaClassPath("2.7.1");
if (!hasDebianZooKeeper) console.warn("SKIPPED Apache's tools and server on our ZooKeeper member's data: no /usr/share/java/zookeeper.jar (apt-get install zookeeper)");

describe.runIf(hasKazoo)("kazoo, with its recipes", () => {
  test.each([
    ["our member", () => startOurZooKeeper()],
    ...(hasDebianZooKeeper ? [["Apache's server, which shows that the script asks for no more", () => startApacheZooKeeper()] as const] : []),
  ] as const)("gets what it wants from %s", { timeout: 120_000 }, async (_name, startServer: () => Promise<StandaloneServer>) => {
    const server = await startServer();
    try {
      await runKazoo(`127.0.0.1:${server.port}`);
    } finally {
      await server.stop();
    }
  });
});

describe.runIf(hasDebianZooKeeper)("zkCli on our member", () => {
  let server: OurZooKeeper;

  beforeAll(async () => {
    server = await startOurZooKeeper();
  });

  afterAll(() => server.stop());

  test("creates, reads, lists, changes ACLs, deletes, and is told what it may not", () => converseWithZkCli(`127.0.0.1:${server.port}`));
});

const JUDGES = [
  ...(hasDebianZooKeeper ? [{ version: "3.8.0", classPath: debianZooKeeperClassPath, logTool: ["persistence.TxnLogToolkit", "-d"] as const }] : []),
  // Its TxnLogToolkit stumbles over null data.
  ...(classPath359 === undefined ? [] : [{ version: "3.5.9", classPath: classPath359, logTool: ["LogFormatter"] as const }]),
];

describe.each(JUDGES)("a data directory, with Apache ZooKeeper $version,", ({ classPath, logTool }) => {
  const host = realHost({ logLevel: "silent" });
  const directories: { remove(): void }[] = [];

  afterAll(() => {
    for (const directory of directories) directory.remove();
  });

  async function withClient<T>(server: StandaloneServer, session: Session | undefined, use: (client: ZooKeeperClient) => Promise<T>): Promise<T> {
    const client = new ZooKeeperClient(host, { connect: `127.0.0.1:${server.port}`, sessionTimeoutMs: 10_000, session, digest: { user: "ada", password: "secret" } });
    client.start();
    expect(await client.whenConnected()).toBe(true);
    try {
      return await use(client);
    } finally {
      await client.abandon();
    }
  }

  /** Nodes of every kind, some changed and deleted since; returns the living session that owns the ephemeral one. */
  async function fill(client: ZooKeeperClient, root: string): Promise<Session | undefined> {
    await client.create(root, Buffer.from("root"));
    await client.create(`${root}/null`, null);
    await client.create(`${root}/empty`, Buffer.alloc(0));
    await client.create(`${root}/ephemeral`, Buffer.from("e"), { flags: CreateFlag.ephemeral });
    await client.create(`${root}/mine`, Buffer.from("m"), { acl: [{ perms: 31, id: { scheme: "auth", id: "" } }] });
    for (let n = 0; n < 20; n++) await client.create(`${root}/n-`, Buffer.from(`n${n}`), { flags: CreateFlag.persistentSequential });
    await client.setData(`${root}/n-0000000010`, Buffer.alloc(100_000, 7));
    await client.setData(`${root}/n-0000000010`, Buffer.alloc(50_000, 8));
    await client.delete(`${root}/n-0000000011`);
    await client.setACL(`${root}/null`, [{ perms: 1, id: { scheme: "world", id: "anyone" } }]);
    await client.multi([createOp(`${root}/multi`, Buffer.from("1")), createOp(`${root}/multi/child`, null), setDataOp(`${root}/multi`, Buffer.from("2"))]);
    await client.multi([createOp(`${root}/failed`, null), setDataOp(`${root}/missing`, null)]);
    expect((await client.getChildren(root)).ok).toBe(true);
    return client.session;
  }

  /** Everything that a client can see of a tree. */
  async function dump(client: ZooKeeperClient, path = "/"): Promise<string[]> {
    const [data, children, acl] = [await client.getData(path), await client.getChildren(path), await client.getACL(path)];
    if (!data.ok || !children.ok || !acl.ok) throw new Error(`${path} cannot be read`);
    const line = JSON.stringify({ path, data: data.value.data?.toString("base64") ?? null, stat: children.value.stat, acl: acl.value.acl }, (_key, value: unknown) => (typeof value === "bigint" ? String(value) : value));
    const below: string[] = [];
    for (const child of children.value.children.toSorted()) below.push(...(await dump(client, path === "/" ? `/${child}` : `${path}/${child}`)));
    return [line, ...below];
  }

  test("that our member wrote is read by Apache's tools to the end", async () => {
    const server = await startOurZooKeeper({ settings: { snapCount: 30 } });
    await withClient(server, undefined, (client) => fill(client, "/a"));
    await server.kill();
    const version2 = join(server.dataDir, "version-2");
    const files = readdirSync(version2);
    const logs = files.filter((name) => name.startsWith("log."));
    expect(logs.length).toBeGreaterThan(1);
    const transactions = await Promise.all(logs.map((name) => printedBy(classPath, logTool[0], ...logTool.slice(1), join(version2, name))));
    const text = transactions.join("");
    expect(text).not.toContain("CRC");
    for (const shape of [/createSession 10000\n/, /create '?\/a,/, /setData '?\/a\/n-0000000010,/, /delete '\/a\/n-0000000011\n/, /setACL '\/a\/null,/, /multi /, /EOF reached after \d+ txns/]) expect(text).toMatch(shape);
    const snapshots = files.filter((name) => name.startsWith("snapshot."));
    for (const name of snapshots) expect(await printedBy(classPath, "SnapshotFormatter", join(version2, name))).toContain("Session Details (sid, timeout, ephemeralCount):");
    await server.stop();
  });

  test("goes from our member to Apache's server and back with everything in it, living sessions too", { timeout: 60_000 }, async () => {
    const directory = temporaryDirectory();
    directories.push(directory);
    const dataDir = join(directory.path, "data");
    let session: Session | undefined;
    let before: string[] = [];

    const ours = await startOurZooKeeper({ dataDir });
    await withClient(ours, undefined, async (client) => {
      session = await fill(client, "/ours");
      before = await dump(client);
    });
    await ours.kill();

    const apache = await startApacheZooKeeper({ dataDir, classPath });
    await withClient(apache, session, async (client) => {
      expect(client.session?.id).toBe(session?.id);
      expect(await dump(client)).toEqual(before);
      expect(await client.create("/ours/n-", null, { flags: CreateFlag.persistentSequential })).toEqual({ ok: true, value: "/ours/n-0000000025" });
      await fill(client, "/theirs");
      before = await dump(client);
    });
    await apache.kill();

    const again = await startOurZooKeeper({ dataDir });
    await withClient(again, session, async (client) => {
      expect(client.session?.id).toBe(session?.id);
      expect(await dump(client)).toEqual(before);
      expect(await client.getACL("/theirs/mine")).toMatchObject({ ok: true, value: { acl: [{ perms: 31, id: { scheme: "digest", id: digestOf("ada:secret") } }] } });
      expect(await client.getACL("/ours/empty")).toMatchObject({ ok: true, value: { acl: OPEN_ACL } });
      // The session ends here: its ephemeral nodes of both times go.
      await client.close();
    });
    await withClient(again, undefined, async (client) => {
      for (const root of ["/ours", "/theirs"]) expect((await client.exists(`${root}/ephemeral`)).ok).toBe(false);
    });
    await again.stop();
    await apache.stop();
    await ours.stop();
  });
});
