import { expect, test } from "vitest";
import { parseExposition, sampleOf } from "../../../test/support/exposition.ts";
import { World } from "../../host/sim/world.ts";
import { renderMetrics } from "../../lib/metrics.ts";
import { parseProperties } from "../../lib/properties.ts";
import { ZooKeeperClient } from "../client/client.ts";
import { readMemberConfig } from "../config/member-config.ts";
import { StandaloneMember } from "./standalone-member.ts";

test("what a client has done shows in its member's metrics, which a strict parser reads", async () => {
  const world = new World({ seed: 1 });
  const node = world.addNode("zk");
  const { config } = readMemberConfig({ main: parseProperties("dataDir=/zk\nclientPort=2181\n", "zoo.cfg"), origin: "zoo.cfg", myId: undefined, dynamic: undefined });
  const member = await world.settle(StandaloneMember.start(node.host, config));
  const scrape = () => parseExposition([...renderMetrics(member.families)].join(""));
  const before = scrape();
  const client = new ZooKeeperClient(world.addNode("client").host, { connect: "zk:2181", sessionTimeoutMs: 6000 });
  client.start();
  await world.settle(client.whenConnected());
  for (const name of ["a", "b", "c"]) await world.settle(client.create(`/${name}`, Buffer.alloc(10)));
  await world.settle(client.getData("/a", () => undefined));
  const after = scrape();
  const grown = (sample: string): number => (sampleOf(after, sample) ?? Number.NaN) - (sampleOf(before, sample) ?? Number.NaN);
  expect([grown("znode_count"), grown("zookeeper_inmemorydatatree_nodecount{memberType=\"Standalone\",replicaId=\"1\"}"), grown("watch_count")]).toEqual([3, 3, 1]);
  // The session's begin is a transaction too.
  expect([grown("commit_count"), grown("updatelatency_count"), grown("readlatency_count")]).toEqual([4, 4, 1]);
  expect(grown("fsynctime_count")).toBeGreaterThanOrEqual(4);
  expect([grown("num_alive_connections"), grown("connection_request_count"), grown("global_sessions")]).toEqual([1, 1, 1]);
  expect([sampleOf(after, 'odradek_member_state{state="standalone"}'), sampleOf(after, "quorum_size"), sampleOf(after, "learners")]).toEqual([1, 1, undefined]);
  expect(member.unready).toBeUndefined();
  await world.settle(member.close());
  expect(member.unready).toBe("it is stopping");
});
