import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { errorCode } from "../../lib/error.ts";
import { apiVersions } from "../protocol/messages/api-versions.ts";
import { BrokerLink } from "./broker-link.ts";

test("a link that is closed while it connects rejects what waits at once, and leaves no connection", async () => {
  const world = new World({ seed: 9 });
  const far = world.addNode("far");
  const near = world.addNode("near");
  await world.settle(far.host.net.listen({ port: 9092 }, () => undefined));
  world.net.clog(near, far, 500);
  const link = new BrokerLink(near.host, { host: "far", port: 9092, clientId: "1", connectTimeoutMs: 30_000, requestTimeoutMs: 30_000 });
  const sent = link.send(apiVersions, 0, {}).then(String, errorCode);
  await world.run({ forMs: 100 });
  link.close();
  const before = world.nowMs;
  expect(await world.settle(sent)).toBe("ECONNABORTED");
  expect(world.nowMs).toBe(before);
  expect(await world.settle(link.send(apiVersions, 0, {}).then(String, errorCode))).toBe("ECONNABORTED");
  await world.run({ forMs: 5000 });
  expect(near.resources.connections).toBe(0);
});
