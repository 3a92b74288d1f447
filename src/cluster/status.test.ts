import { expect, test } from "vitest";
import { SimulatedBrokers } from "../../test/support/simulated-brokers.ts";
import { clusterStatus, isHealthy } from "./status.ts";

test("brokers are told apart by their addresses, whatever their broker.id; one that is down is missing", async () => {
  const brokers = await SimulatedBrokers.start(2);
  const { world, clientNode } = brokers;
  const zookeeper = { host: "zookeeper", port: 2181 };
  const nodes = [7, 8].map((id) => ({ id, kafka: { host: `kafka${id - 6}`, port: 9092 }, zookeeper }));
  const status = () => world.settle(clusterStatus(clientNode.host, nodes, { 7: 4711 }));
  const before = await status();
  expect(before.nodes).toMatchObject([{ id: 7, pid: 4711, member: "standalone", broker: true }, { id: 8, member: "standalone", broker: true }]);
  expect(before.nodes.filter(({ controller }) => controller)).toHaveLength(1);
  expect([isHealthy(before), before.underReplicated, before.offline]).toEqual([true, [], []]);
  brokers.kill(2);
  await world.run({ forMs: 20_000 });
  const after = await status();
  expect(after.nodes).toMatchObject([{ id: 7, broker: true, controller: true }, { id: 8, broker: false, controller: false }]);
  expect(isHealthy(after)).toBe(false);
});
