import { afterAll, beforeAll, describe, expect, test } from "vitest";
import { call, connectNodeClient, zookeeper, type NodeClient, type NodeStat } from "../support/node-zookeeper-client.ts";
import { ZooKeeperEnsemble } from "../support/zookeeper-ensemble.ts";

const { EPHEMERAL, PERSISTENT, PERSISTENT_SEQUENTIAL } = zookeeper.CreateMode;

function exists(client: NodeClient, path: string): Promise<NodeStat | null> {
  return call<NodeStat | null>((done) => client.exists(path, done));
}

function create(client: NodeClient, path: string, mode: number | undefined = PERSISTENT): Promise<string> {
  return call<string>((done) => client.create(path, Buffer.from(path), mode ?? 0, done));
}

describe("three members of ours", () => {
  let ensemble: ZooKeeperEnsemble;
  const clients: NodeClient[] = [];

  beforeAll(async () => {
    ensemble = await ZooKeeperEnsemble.plan(["odradek", "odradek", "odradek"]);
  });

  afterAll(async () => {
    for (const client of clients) client.close();
    await ensemble.close();
  });

  async function connected(...ids: readonly number[]): Promise<NodeClient> {
    const client = await connectNodeClient(ensemble.connect(...ids));
    clients.push(client);
    return client;
  }

  test("one that is alone says every few seconds whom it waits for and since when, and goes on by itself when they come", async () => {
    const first = ensemble.member(1);
    await first.start();
    const waits = /no quorum since (\d{4}-\d\d-\d\dT[\d:.]+Z), 2 of 3 voting members are needed: waiting for member 2 \(127\.0\.0\.1:\d+\) and member 3 \(127\.0\.0\.1:\d+\)/g;
    const said = await ensemble.eventually("it has said it twice", () => {
      const lines = [...first.output.matchAll(waits)];
      return lines.length >= 2 && lines;
    });
    expect(said[0]?.[1]).toBe(said[1]?.[1]);
    expect(await first.mode()).toBe("not serving");

    await ensemble.start();
    expect(first.output).toContain("serving clients");
    const client = await connected(1);
    expect(await create(client, "/formed")).toBe("/formed");
  });

  test("serve a client each, and all see the same", async () => {
    const three = await Promise.all([1, 2, 3].map((id) => connected(id)));
    for (const [index, client] of three.entries()) await create(client, `/of-${index}`);
    // This client has no sync: a member may be a moment behind.
    for (const client of three) for (const index of three.keys()) await ensemble.eventually(`/of-${index} is seen`, async () => (await exists(client, `/of-${index}`)) !== null);
  });

  test("go on after kill -9 of their leader, with the session, its ephemeral node and its numbers; the killed one comes back", async () => {
    const client = await connected();
    const session = client.getSessionId().toString("hex");
    await create(client, "/numbered");
    await create(client, "/mine", EPHEMERAL);
    for (let n = 0; n < 10; n++) await create(client, "/numbered/n-", PERSISTENT_SEQUENTIAL);

    const leader = await ensemble.leader();
    await leader.kill();
    // The client tells of lost connections, and leaves it to us to try again.
    await ensemble.eventually("the next one is made", () => create(client, "/numbered/n-", PERSISTENT_SEQUENTIAL).catch(() => false));
    expect((await ensemble.leader()).id).not.toBe(leader.id);
    expect(client.getSessionId().toString("hex")).toBe(session);
    expect(await exists(client, "/mine")).not.toBeNull();

    await ensemble.start();
    expect(await leader.mode()).toBe("follower");
    const atTheKilled = await connected(leader.id);
    const names = await call<string[]>((done) => atTheKilled.getChildren("/numbered", undefined, done));
    expect(names.length).toBeGreaterThanOrEqual(11);
    expect(names.toSorted().slice(0, 11)).toEqual(Array.from({ length: 11 }, (_, n) => `n-${String(n).padStart(10, "0")}`));
    expect(await exists(atTheKilled, "/mine")).not.toBeNull();
  });

  test("end at SIGTERM with exit code 0, without a quorum too", async () => {
    await ensemble.start();
    const codes: (number | null)[] = [];
    for (const member of ensemble.members) codes.push(await member.stop());
    expect(codes).toEqual([0, 0, 0]);
  });
});
