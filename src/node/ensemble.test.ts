import { beforeEach, describe, expect, test } from "vitest";
import type { SimNode } from "../host/sim/node.ts";
import { World } from "../host/sim/world.ts";
import { must } from "../lib/assert.ts";
import { parseProperties } from "../lib/properties.ts";
import { CreateFlag } from "../zookeeper/protocol/op-codes.ts";
import { ZooKeeperClient } from "../zookeeper/client/client.ts";
import { readMemberConfig } from "../zookeeper/config/member-config.ts";
import { MemberData } from "../zookeeper/server/member-data.ts";
import { QuorumMember } from "../zookeeper/server/quorum-member.ts";
import { StandaloneMember } from "../zookeeper/server/standalone-member.ts";
import { startZooKeeperMember } from "./zookeeper-member.ts";

const IDS = [1, 2, 3];

/** Three members in the simulated world, started from their files. */
class Ensemble {
  readonly world = new World({ seed: 1, eventsMax: 5_000_000 });
  readonly nodes = new Map<number, SimNode>();
  readonly client: SimNode;
  settings = "";

  constructor() {
    for (const id of IDS) this.nodes.set(id, this.world.addNode(`m${id}`));
    this.client = this.world.addNode("client");
  }

  node(id: number): SimNode {
    return must(this.nodes.get(id), `member ${id}`);
  }

  async start(...ids: readonly number[]): Promise<void> {
    for (const id of ids) {
      const node = this.node(id);
      const host = node.up ? node.host : node.start();
      const text = `dataDir=/zk\nclientPort=2181\ntickTime=500\ninitLimit=10\nsyncLimit=4\npreAllocSize=64\n${this.settings}\n${IDS.map((other) => `server.${other}=m${other}:2888:3888`).join("\n")}`;
      const write = async (path: string, content: string): Promise<void> => {
        const file = await host.disk.open(path, "truncate");
        await file.write([Buffer.from(content)], 0);
        await file.sync();
        await file.close();
      };
      await this.world.settle(host.disk.makeDirectory("/zk"));
      await this.world.settle(write("/zk/myid", `${id}\n`));
      await this.world.settle(write("/zoo.cfg", text));
      await this.world.settle(startZooKeeperMember(host, "/zoo.cfg"));
    }
  }

  lines(id: number): string {
    return this.node(id).log.lines().join("\n");
  }

  /** Of the present life. */
  async logged(id: number, pattern: RegExp): Promise<void> {
    const life = `m${id}/${this.node(id).lives}:`;
    await this.world.run({ until: () => this.node(id).log.lines().some((line) => line.includes(life) && pattern.test(line)), withinMs: 30_000 });
  }

  async connect(...ids: readonly number[]): Promise<ZooKeeperClient> {
    const client = new ZooKeeperClient(this.client.host, { connect: ids.map((id) => `m${id}:2181`).join(","), sessionTimeoutMs: 6000 });
    client.start();
    expect(await this.world.settle(client.whenConnected())).toBe(true);
    return client;
  }

  async write(client: ZooKeeperClient, prefix: string, count: number): Promise<void> {
    for (let n = 0; n < count; n++) expect(await this.world.settle(client.create(`/${prefix}-${n}`, Buffer.from(String(n))))).toMatchObject({ ok: true });
  }

  async children(id: number): Promise<readonly string[]> {
    const client = await this.connect(id);
    await this.world.settle(client.sync("/"));
    const answer = await this.world.settle(client.getChildren("/"));
    await this.world.settle(client.close());
    return answer.ok ? answer.value.children.filter((name) => name !== "zookeeper").toSorted() : [];
  }
}

let ensemble: Ensemble;

beforeEach(() => {
  ensemble = new Ensemble();
});

describe("three members", () => {
  test("form an ensemble, take writes through each of them, and show them on each", async () => {
    await ensemble.start(1, 2, 3);
    for (const id of IDS) await ensemble.logged(id, /serving clients/);
    for (const id of IDS) await ensemble.write(await ensemble.connect(id), `by${id}`, 5);
    const expected = IDS.flatMap((id) => [0, 1, 2, 3, 4].map((n) => `by${id}-${n}`));
    for (const id of IDS) expect(await ensemble.children(id)).toEqual(expected);
  });

  test("one alone says whom it waits for and since when, again and again, and goes on by itself when one of them comes", async () => {
    await ensemble.start(1);
    await ensemble.logged(1, /no quorum since \d{4}-.*, 2 of 3 voting members are needed: waiting for member 2 \(m2:3888\) and member 3 \(m3:3888\)/);
    await ensemble.world.run({ until: () => ensemble.lines(1).split("no quorum since").length > 3, withinMs: 20_000 });
    await ensemble.start(3);
    await ensemble.logged(1, /serving clients.*follower/);
    await ensemble.logged(3, /serving clients.*leader/);
  });

  test("a session, its ephemeral and its watch live on when its member is killed, and end everywhere when its client is gone", async () => {
    await ensemble.start(1, 2, 3);
    for (const id of IDS) await ensemble.logged(id, /serving clients/);
    const client = await ensemble.connect(1, 2);
    const session = client.session?.id;
    await ensemble.world.settle(client.create("/alive", null, { flags: CreateFlag.ephemeral }));
    await ensemble.world.settle(client.create("/watched", null));
    const events: string[] = [];
    await ensemble.world.settle(client.getData("/watched", (event) => events.push(event.path ?? "")));
    // Whichever of the two it is at: it finds the other.
    ensemble.node(1).kill();
    const other = await ensemble.connect(3);
    await ensemble.world.settle(other.setData("/watched", Buffer.from("news")));
    await ensemble.world.run({ until: () => events.length === 1, withinMs: 10_000 });
    await ensemble.world.run({ forMs: 8000 });
    expect(client.session?.id).toBe(session);
    expect(await ensemble.children(3)).toEqual(["alive", "watched"]);
    await ensemble.world.settle(client.abandon());
    await ensemble.world.run({ forMs: 8000 });
    expect(await ensemble.children(3)).toEqual(["watched"]);
    expect(await ensemble.children(2)).toEqual(["watched"]);
  });
});

describe("a member that was away is brought up to date", () => {
  /** Leader is 3; 1 is away while `count` are written. */
  async function away(count: number): Promise<void> {
    await ensemble.start(1, 2, 3);
    for (const id of IDS) await ensemble.logged(id, /serving clients/);
    const client = await ensemble.connect(2, 3);
    await ensemble.write(client, "before", 10);
    ensemble.node(1).kill();
    await ensemble.write(client, "meanwhile", count);
    await ensemble.start(1);
    await ensemble.logged(1, /serving clients/);
    expect(await ensemble.children(1)).toEqual(await ensemble.children(3));
  }

  test("from the last transactions, where they reach back so far", async () => {
    await away(20);
    expect(ensemble.lines(3)).toMatch(/a learner is synchronized.*by: 'diff'/s);
  });

  test("from the log, where that is less than a snapshot", async () => {
    ensemble.settings = "snapshotSizeFactor=0";
    await away(550);
    expect(ensemble.lines(3)).toMatch(/a learner is synchronized.*by: 'log'/s);
    expect(ensemble.lines(1)).not.toMatch(/taking over a snapshot/);
  });

  test("with a snapshot, where it is not", async () => {
    await away(550);
    expect(ensemble.lines(1)).toMatch(/taking over a snapshot/);
  });

  test("with as many snapshots at once as allowed", async () => {
    ensemble.settings = "snapshotSizeFactor=-1\nleader.maxConcurrentSnapshots=1\nforceSnapshotSync=true";
    await away(20);
    expect(ensemble.lines(1)).toMatch(/taking over a snapshot/);
    expect(ensemble.lines(2)).toMatch(/taking over a snapshot/);
  });
});

describe("a leader that was cut off with transactions that nobody else has", () => {
  /** 3 leads, and proposes alone; 1 and 2 go on with a new epoch. */
  async function divergence(): Promise<void> {
    await ensemble.start(1, 2, 3);
    for (const id of IDS) await ensemble.logged(id, /serving clients/);
    await ensemble.write(await ensemble.connect(3), "common", 5);
    const lonely = await ensemble.connect(3);
    ensemble.world.net.partition([ensemble.node(3)], [ensemble.node(1), ensemble.node(2)]);
    for (let n = 0; n < 5; n++) lonely.create(`/lost-${n}`, null).catch(() => undefined);
    await ensemble.logged(3, /leads no more/);
    await ensemble.logged(2, /serving clients.*leader/);
  }

  const common = ["common-0", "common-1", "common-2", "common-3", "common-4"];

  test("goes back to the common history, and on with the others'", async () => {
    await divergence();
    ensemble.world.net.heal();
    await ensemble.logged(3, /serving clients.*follower/);
    expect(ensemble.lines(3)).toMatch(/going back to the leader's history/);
    for (const id of IDS) expect(await ensemble.children(id)).toEqual(common);
    await ensemble.write(await ensemble.connect(3), "after", 2);
    for (const id of IDS) expect(await ensemble.children(id)).toEqual(["after-0", "after-1", ...common]);
  });

  test("takes a snapshot where the others have gone on, because no transaction of their epoch follows its own", async () => {
    await divergence();
    await ensemble.write(await ensemble.connect(1, 2), "after", 2);
    ensemble.world.net.heal();
    await ensemble.logged(3, /serving clients.*follower/);
    expect(ensemble.lines(3)).toMatch(/taking over a snapshot/);
    for (const id of IDS) expect(await ensemble.children(id)).toEqual(["after-0", "after-1", ...common]);
  });

  test("takes a snapshot where its files do not reach back so far", async () => {
    await divergence();
    // Its only snapshot is of what it should forget.
    const node = ensemble.node(3);
    node.kill();
    const host = node.start();
    const config = readMemberConfig({ main: parseProperties("dataDir=/zk\nclientPort=2181", ""), origin: "", myId: undefined, dynamic: undefined });
    const data = await ensemble.world.settle(MemberData.open(host, config.config, { watchEvent: () => undefined, quotaExceeded: () => undefined }));
    await ensemble.world.settle(data.database.takeSnapshot());
    await ensemble.world.settle(data.close());
    await ensemble.world.settle(host.disk.remove("/zk/version-2/snapshot.0"));
    node.kill();
    ensemble.world.net.heal();
    await ensemble.start(3);
    await ensemble.logged(3, /taking over a snapshot/);
    await ensemble.logged(3, /serving clients.*follower/);
    expect(ensemble.lines(3)).toMatch(/cannot go back to transaction/);
    expect(await ensemble.children(3)).toEqual(await ensemble.children(1));
  });
});

test.each([
  ["the quorum port", 2888],
  ["the election port", 3888],
  ["the port for clients", 2181],
])("noise on %s ends its connection, and disturbs nobody", async (_name, port) => {
  await ensemble.start(1, 2, 3);
  for (const id of IDS) await ensemble.logged(id, /serving clients/);
  const { world, client: stranger } = ensemble;
  const draws = world.prng("noise");
  for (let round = 0; round < 30; round++) {
    const connection = await world.settle(stranger.host.net.connect({ host: "m3", port, timeoutMs: 1000 }));
    connection.start({ data: () => undefined, close: () => undefined });
    const bytes = Buffer.from(Array.from({ length: draws.between(1, 300) }, () => (draws.chance(1, 2) ? 0 : draws.below(256))));
    for (let at = 0; at < bytes.length; at += 50) connection.write(bytes.subarray(at, at + 50));
    await world.run({ forMs: draws.between(1, 100) });
    if (draws.chance(1, 2)) connection.reset();
  }
  await ensemble.write(await ensemble.connect(1), "undisturbed", 3);
  await world.run({ forMs: 20_000 });
  expect(ensemble.node(3).resources.connections).toBeLessThan(10);
  for (const id of IDS) expect(ensemble.lines(id).match(/serving clients/g)).toHaveLength(1);
});

test("a file without other members makes a member that stands alone", async () => {
  const world = new World({ seed: 1 });
  const node = world.addNode("alone");
  const file = await world.settle(node.host.disk.open("/zoo.cfg", "truncate"));
  await world.settle(file.write([Buffer.from("dataDir=/zk\nclientPort=2181\n")], 0));
  const member = await world.settle(startZooKeeperMember(node.host, "/zoo.cfg"));
  expect(member).toBeInstanceOf(StandaloneMember);
  expect(member).not.toBeInstanceOf(QuorumMember);
});
