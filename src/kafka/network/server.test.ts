import { afterEach, describe, expect, test } from "vitest";
import { realHost } from "../../host/real/host.ts";
import type { Connection } from "../../host/net.ts";
import { BrokerConnection } from "../client/broker-connection.ts";
import { apiVersions } from "../protocol/messages/api-versions.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { metadata } from "../protocol/messages/metadata.ts";
import { produce } from "../protocol/messages/produce.ts";
import { closeConnection, noResponse, route, type Route } from "./request.ts";
import { ConnectionQuotas } from "./connection-quotas.ts";
import { Server, type ServerOptions } from "./server.ts";

const host = realHost({ logLevel: "silent" });
const closing: (() => unknown)[] = [];
afterEach(async () => {
  for (const close of closing.splice(0).toReversed()) await close();
});

async function serve(routes: readonly Route[], limits?: Pick<ServerOptions, "quotas">): Promise<Server> {
  const server = new Server(
    host,
    { listenerName: "PLAINTEXT", host: "127.0.0.1", port: 0, requestBytesMax: 1000, idleMsMax: 0, connectionsMax: 100, ...limits },
    routes,
  );
  await server.bind();
  server.process();
  closing.push(() => server.close());
  return server;
}

async function connect(server: Server): Promise<BrokerConnection> {
  const connection = await BrokerConnection.connect(host, { host: "127.0.0.1", port: server.port, clientId: "test", connectTimeoutMs: 1000, requestTimeoutMs: 10_000 });
  closing.push(() => connection.close());
  return connection;
}

async function raw(server: Server): Promise<{ connection: Connection; received: () => string; closed: Promise<unknown> }> {
  const connection = await host.net.connect({ host: "127.0.0.1", port: server.port, timeoutMs: 1000 });
  closing.push(() => connection.destroy());
  let received = "";
  const closed = new Promise((resolve) => {
    connection.start({ data: (chunk) => (received += chunk.toString("hex")), close: resolve });
  });
  return { connection, received: () => received, closed };
}

const versions = route(apiVersions, (_request, context) => ({ errorCode: context.apiVersion > 3 ? 35 : 0, apiKeys: [{ apiKey: 18, minVersion: 0, maxVersion: 3 }] }));
const noTopics = { topics: [], includeClusterAuthorizedOperations: false, includeTopicAuthorizedOperations: false };

describe("order", () => {
  test("a request waits for the answer of the one before it", async () => {
    const order: string[] = [];
    let release = (): void => undefined;
    const server = await serve([
      versions,
      route(metadata, () => {
        order.push("metadata begun");
        return new Promise((resolve) => {
          release = () => {
            order.push("metadata answered");
            resolve({ brokers: [], topics: [] });
          };
        });
      }),
      route(produce, () => (order.push("produce begun"), { responses: [] })),
    ]);
    const connection = await connect(server);
    const first = connection.send(metadata, 9, noTopics);
    const second = connection.send(produce, 3, { acks: 1, timeoutMs: 1, topicData: [] });
    await (await connect(server)).send(apiVersions, 3, { clientSoftwareName: "x", clientSoftwareVersion: "1" });
    expect(order).toEqual(["metadata begun"]);
    release();
    await Promise.all([first, second]);
    expect(order).toEqual(["metadata begun", "metadata answered", "produce begun"]);
  });

  test("pipelined requests are begun at once and answered in order", async () => {
    const begun: number[] = [];
    const releases: (() => void)[] = [];
    const server = await serve([
      route(
        produce,
        (request) =>
          new Promise((resolve) => {
            begun.push(request.timeoutMs);
            releases.push(() => resolve({ responses: [], throttleTimeMs: request.timeoutMs }));
            if (begun.length === 3) for (const release of releases.toReversed()) release();
          }),
        { pipelinedFrom: 3 },
      ),
    ]);
    const connection = await connect(server);
    const answers = await Promise.all([1, 2, 3].map((timeoutMs) => connection.send(produce, 3, { acks: 1, timeoutMs, topicData: [] })));
    expect(begun).toEqual([1, 2, 3]);
    expect(answers.map((answer) => answer.throttleTimeMs)).toEqual([1, 2, 3]);
  });

  test("requests of versions before pipelinedFrom wait for their turn, and so does what follows them", async () => {
    const begun: number[] = [];
    const releases: (() => void)[] = [];
    const server = await serve([
      versions,
      route(
        produce,
        (request) =>
          new Promise((resolve) => {
            begun.push(request.timeoutMs);
            releases.push(() => resolve({ responses: [] }));
          }),
        { pipelinedFrom: 3 },
      ),
    ]);
    const connection = await connect(server);
    const asked = [3, 2, 2, 3, 4].map((version, index) => connection.send(produce, version, { acks: 1, timeoutMs: index + 1, topicData: [] }));
    const beginsWith = async (...expected: readonly number[]): Promise<void> => {
      await (await connect(server)).send(apiVersions, 3, { clientSoftwareName: "x", clientSoftwareVersion: "1" });
      expect(begun).toEqual(expected);
      for (const release of releases.splice(0)) release();
      await expect.poll(() => begun.length > expected.length || expected.length === 5, { timeout: 30_000 }).toBe(true);
    };
    await beginsWith(1);
    await beginsWith(1, 2);
    await beginsWith(1, 2, 3);
    await beginsWith(1, 2, 3, 4, 5);
    await Promise.all(asked);
  });

  test("a request without a response leaves the connection to the next one", async () => {
    const server = await serve([versions, route(produce, () => noResponse)]);
    const connection = await connect(server);
    const unanswered = connection.send(produce, 3, { acks: 0, timeoutMs: 1, topicData: [] }, 60_000);
    unanswered.catch(() => undefined);
    // The next answer carries the next correlation id, which this client takes for a stream out of step.
    await expect(connection.send(apiVersions, 0, {})).rejects.toMatchObject({ code: "EPROTO" });
  });
});

describe("what can't be served", () => {
  test("ApiVersions of a version to come is answered in version 0 with UNSUPPORTED_VERSION", async () => {
    const server = await serve([versions]);
    const { connection, received, closed } = await raw(server);
    connection.write(Buffer.from("0000000f0012007f0000000700046162636400", "hex"));
    connection.write(Buffer.from("0000000e0012000000000008000461626364", "hex"));
    const wanted = "00000010000000070023000000010012000000030000001000000008000000000001001200000003";
    await expect.poll(received, { timeout: 30_000 }).toBe(wanted);
    connection.destroy();
    await closed;
  });

  test.each([
    ["an unknown API key", "0000000e03e7000000000007000461626364"],
    ["an unknown version", "0000000e0003007f00000007000461626364"],
    ["a body that does not parse", "0000001200030001000000070004616263647fffffff"],
    ["a negative frame length", "ffffffff"],
    ["a frame over the limit", "7fffffff"],
    ["a frame too short for a header", "00000003001200"],
  ])("%s closes the connection without an answer", async (_what, hex) => {
    const server = await serve([versions, route(metadata, () => ({ brokers: [], topics: [] }))]);
    const { connection, received, closed } = await raw(server);
    connection.write(Buffer.from(hex, "hex"));
    await closed;
    expect(received()).toBe("");
    await (await connect(server)).send(apiVersions, 3, { clientSoftwareName: "x", clientSoftwareVersion: "1" });
  });

  test("a handler that throws, or asks for it, closes only its own connection", async () => {
    const server = await serve([
      versions,
      route(metadata, () => {
        throw new Error("unforeseen");
      }),
      route(produce, () => Promise.resolve(closeConnection)),
    ]);
    await expect((await connect(server)).send(metadata, 9, noTopics)).rejects.toMatchObject({ code: "ECONNRESET" });
    await expect((await connect(server)).send(produce, 3, { acks: 0, timeoutMs: 1, topicData: [] })).rejects.toMatchObject({ code: "ECONNRESET" });
    await (await connect(server)).send(apiVersions, 3, { clientSoftwareName: "x", clientSoftwareVersion: "1" });
  });

  test("an answer that its version can't tell closes only its own connection, whether it came at once or later", async () => {
    const answer = { clusterId: "x".repeat(40_000), brokers: [], controllerId: 1, topics: [] };
    for (const handle of [() => answer, () => Promise.resolve(answer)]) {
      const server = await serve([versions, route(metadata, handle)]);
      await expect((await connect(server)).send(metadata, 8, noTopics)).rejects.toMatchObject({ code: "ECONNRESET" });
      expect(await (await connect(server)).send(metadata, 9, noTopics)).toMatchObject({ clusterId: answer.clusterId });
    }
  });

  test("what follows a request that is refused is not carried out; what came before is answered", async () => {
    const begun: number[] = [];
    let release = (): void => undefined;
    const server = await serve([
      route(
        produce,
        (request) => {
          begun.push(request.timeoutMs);
          return new Promise((resolve) => {
            release = () => resolve({ responses: [] });
          });
        },
        { pipelinedFrom: 3 },
      ),
    ]);
    const { connection, received, closed } = await raw(server);
    const request = (timeoutMs: string): string => `0000001a0000000300000009000461626364ffff0001${timeoutMs}00000000`;
    connection.write(Buffer.from(`${request("00000001")}0000000403e70000${request("00000002")}`, "hex"));
    await expect.poll(() => begun, { timeout: 30_000 }).toEqual([1]);
    release();
    await closed;
    expect(begun).toEqual([1]);
    expect(received()).toBe("0000000c000000090000000000000000");
  });

  test("before it processes requests a server takes in no more than a connection may hold", async () => {
    const server = new Server(host, { listenerName: "PLAINTEXT", host: "127.0.0.1", port: 0, requestBytesMax: 1 << 20, idleMsMax: 0, connectionsMax: 9 }, [versions]);
    await server.bind();
    closing.push(() => server.close());
    const { connection } = await raw(server);
    const frame = Buffer.alloc(4 + (1 << 20));
    frame.writeInt32BE(1 << 20);
    for (let i = 0; i < 64; i++) connection.write(frame);
    // What neither the server nor the system's own buffers take stays with the sender.
    let before = -1;
    const settled = (): boolean => {
      const unchanged = connection.bufferedBytes === before;
      before = connection.bufferedBytes;
      return unchanged;
    };
    await expect.poll(settled, { interval: 200, timeout: 30_000 }).toBe(true);
    expect(connection.bufferedBytes).toBeGreaterThan(20 << 20);
  });

  test("a connection over what its address may have is closed without a byte, whichever listener it goes to", async () => {
    const quotas = new ConnectionQuotas((address) => (address === "127.0.0.1" ? 1 : 0));
    const servers = [await serve([versions], { quotas }), await serve([versions], { quotas })] as const;
    const first = await connect(servers[0]);
    await first.send(apiVersions, 0, {});
    for (const server of servers) {
      const { received, closed } = await raw(server);
      await closed;
      expect(received()).toBe("");
    }
    first.close();
    await expect.poll(() => quotas.countOf("127.0.0.1"), { timeout: 30_000 }).toBe(0);
    await (await connect(servers[1])).send(apiVersions, 0, {});
  });
});

describe("memory that is lent", () => {
  const records = Buffer.alloc(50_000, 7);
  const producing = { transactionalId: null, acks: 1, timeoutMs: 1000, topicData: [{ name: "t", partitionData: [{ index: 0, records: [records] }] }] };
  const serveLarge = async (one: Route): Promise<BrokerConnection> => {
    const server = new Server(host, { listenerName: "PLAINTEXT", host: "127.0.0.1", port: 0, requestBytesMax: 1_000_000, idleMsMax: 0, connectionsMax: 100 }, [one]);
    await server.bind();
    server.process();
    closing.push(() => server.close());
    return connect(server);
  };

  test("a request's frame is used again for the next one once it is answered, if nothing of it is kept; never otherwise", async () => {
    for (const returnsFrame of [true, false]) {
      const seen = new Set<ArrayBufferLike>();
      const connection = await serveLarge(
        route(
          produce,
          ({ topicData }) => {
            for (const { partitionData } of topicData) for (const part of partitionData) if (part.records?.[0] !== undefined) seen.add(part.records[0].buffer);
            return { responses: [] };
          },
          { returnsFrame },
        ),
      );
      for (let times = 0; times < 5; times++) await connection.send(produce, 3, producing);
      expect(seen.size).toBe(returnsFrame ? 1 : 5);
    }
  });

  test("what an answer was lent is given back when it has left, not before", async () => {
    const { buffers } = host;
    const freeBytes = (): number => buffers.freeBytes;
    let lent: Buffer = Buffer.alloc(0);
    const connection = await serveLarge(
      route(
        fetch,
        () => {
          lent = buffers.copyOf(records);
          return { responses: [{ topic: "t", partitions: [{ partitionIndex: 0, errorCode: 0, highWatermark: 1, records: [lent] }] }] };
        },
        {
          returns: ({ responses }) => {
            expect(responses).toHaveLength(1);
            buffers.release(lent);
          },
        },
      ),
    );
    for (let times = 0; times < 5; times++) {
      const before = freeBytes();
      const { responses } = await connection.send(fetch, 11, { maxWaitMs: 0, minBytes: 0, topics: [], forgottenTopicsData: [] });
      expect(Buffer.concat(responses[0]?.partitions[0]?.records ?? []).equals(records)).toBe(true);
      expect(freeBytes()).toBeGreaterThanOrEqual(times === 0 ? before + records.length : before);
    }
  });
});
