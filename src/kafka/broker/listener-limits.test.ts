import { expect, test } from "vitest";
import { SimulatedBrokers } from "../../../test/support/simulated-brokers.ts";

/** How many of ten connections a broker with these settings keeps. */
async function kept(settings: readonly string[]): Promise<number> {
  const { world, clientNode } = await SimulatedBrokers.start(1, settings);
  let open = 0;
  const connect = async (): Promise<void> => {
    const connection = await clientNode.host.net.connect({ host: "kafka1", port: 9092, timeoutMs: 1000 });
    open++;
    connection.start({ data: () => undefined, close: () => open-- });
  };
  await world.settle(Promise.all(Array.from({ length: 10 }, connect)));
  await world.run({ forMs: 1000 });
  return open;
}

test("a listener's own max.connections closes what comes beyond it", async () => {
  expect(await kept([])).toBe(10);
  expect(await kept(["listener.name.plaintext.max.connections=4"])).toBe(4);
});
