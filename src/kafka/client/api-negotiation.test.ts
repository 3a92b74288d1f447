import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import { errorCode } from "../../lib/error.ts";
import { FrameDecoder } from "../../lib/frames.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { listGroups } from "../protocol/messages/list-groups.ts";
import { apiVersionsResponse } from "../protocol/messages/api-versions.ts";
import { commonVersion, NegotiatedConnection } from "./api-negotiation.ts";
import { ScriptedCluster } from "../../../test/support/scripted-cluster.ts";

function versionOf(range: readonly [number, number] | undefined, bounds = {}): number | string | undefined {
  try {
    return commonVersion(fetch, new Map(range === undefined ? [] : [[fetch.key, { first: range[0], last: range[1] }]]), bounds);
  } catch (error) {
    return errorCode(error);
  }
}

test("the version is the highest that the messages, the broker and the caller have", () => {
  expect(versionOf([0, 11])).toBe(11);
  expect(versionOf([0, 99])).toBe(fetch.request.versions.last);
  expect(versionOf([0, 11], { last: 10 })).toBe(10);
  expect(versionOf([4, 11], { first: 4, last: 4 })).toBe(4);
});

test("where there is no such version, or the broker does not have the API, it is ERR_UNSUPPORTED_VERSION", () => {
  for (const [range, bounds] of [[undefined, {}], [[12, 13], { last: 11 }], [[0, 3], { first: 4 }], [[99, 100], {}]] as const) expect(versionOf(range, bounds)).toBe("ERR_UNSUPPORTED_VERSION");
});

test("a connection asks ApiVersions 3 first, and sends what both have", async () => {
  const cluster = await ScriptedCluster.start(1);
  cluster.serve(listGroups, 0, 2);
  cluster.every(listGroups, () => ({ errorCode: 0, groups: [] }));
  const connection = await cluster.world.settle(NegotiatedConnection.connect(cluster.clientNode.host, { host: "kafka1", port: 9092, clientId: "c", connectTimeoutMs: 1000, requestTimeoutMs: 1000 }));
  const { version } = await cluster.world.settle(connection.send(listGroups, () => ({ statesFilter: [], typesFilter: [] }), { timeoutMs: 1000 }));
  expect([version, cluster.asked]).toEqual([2, ["1: ApiVersions 3", "1: ListGroups 2"]]);
});

test("a broker that answers ApiVersions 3 with version 0's body is asked for version 0", async () => {
  const world = new World({ seed: 3 });
  const [old, client] = [world.addNode("old"), world.addNode("client")];
  const asked: number[] = [];
  await world.settle(
    old.host.net.listen({ port: 9092 }, (connection) => {
      const decoder = new FrameDecoder({ frameBytesMax: 10_000 });
      connection.start({
        data: (chunk) => {
          decoder.push(chunk, (frame) => {
            const version = frame.readInt16BE(2);
            asked.push(version);
            const body = apiVersionsResponse.encode(version > 2 ? { errorCode: 35, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 2 }] } : { errorCode: 0, apiKeys: [{ apiKey: 16, minVersion: 0, maxVersion: 1 }] }, 0);
            const head = Buffer.alloc(8);
            head.writeInt32BE(4 + body.length, 0);
            head.writeInt32BE(frame.readInt32BE(4), 4);
            connection.write(Buffer.concat([head, body]));
          });
        },
        close: () => undefined,
      });
    }),
  );
  const connection = await world.settle(NegotiatedConnection.connect(client.host, { host: "old", port: 9092, clientId: "c", connectTimeoutMs: 1000, requestTimeoutMs: 1000 }));
  expect([asked, [...connection.served]]).toEqual([[3, 0], [[16, { first: 0, last: 1 }]]]);
  connection.close();
  await world.run({ forMs: 100 });
  expect(client.resources.connections).toBe(0);
});
