import { expect, test } from "vitest";
import { Writer } from "../src/codec/writer.ts";
import { withTripwires } from "../src/host/sim/tripwires.ts";
import type { Api } from "../src/kafka/protocol/api.ts";
import { apis } from "../src/kafka/protocol/apis.ts";
import { encodeFrame } from "../src/kafka/protocol/frame.ts";
import { requestHeader, requestHeaderVersion } from "../src/kafka/protocol/header.ts";
import { apiVersions } from "../src/kafka/protocol/messages/api-versions.ts";
import { createTopics } from "../src/kafka/protocol/messages/create-topics.ts";
import { Codec } from "../src/kafka/records/batch.ts";
import { buildBatch } from "../src/kafka/records/build.ts";
import { must } from "../src/lib/assert.ts";
import { MessageDraw } from "../test/support/random-message.ts";
import { SimulatedBrokers } from "../test/support/simulated-brokers.ts";

/**
 * A broker under requests that are well formed and make no sense, that are damaged, and that are no requests at all: it
 * answers or closes the connection, never stops, and serves others as before.
 */

const REQUESTS = 4000;
/** Who is believed to be the controller may tell a broker anything: these come cut off. */
const FROM_CONTROLLERS = new Set([4, 5, 6]);
const ANSWER_MS = 100;

const batches = [Codec.none, Codec.gzip, Codec.snappy, Codec.lz4, Codec.zstd].map((codec) =>
  buildBatch([{ key: Buffer.from("k"), value: Buffer.from("v"), timestamp: 1 }, { key: null, value: null, timestamp: 2 }], { codec }),
);

function draw(messages: MessageDraw): Buffer {
  const { prng } = messages;
  if (prng.chance(1, 20)) return framed(prng.bytes(prng.below(200)));
  const served = Object.values(apis) as Api[];
  const api = must(served[prng.below(served.length)], "an API");
  const version = prng.between(api.request.versions.first, api.request.versions.last);
  const header = { requestApiKey: api.key, requestApiVersion: prng.chance(1, 30) ? prng.between(-1, 30) : version, correlationId: 1, clientId: prng.chance(1, 4) ? null : "hostile" };
  const bytes = Buffer.concat(encodeFrame({ schema: requestHeader, version: requestHeaderVersion(api, version), value: header }, { schema: api.request, version, value: messages.message(api.request, version) })).subarray(4);
  if (FROM_CONTROLLERS.has(api.key)) return framed(bytes.subarray(0, prng.below(bytes.length - 1)));
  return framed(prng.chance(1, 3) ? messages.damage(bytes) : bytes);
}

function framed(bytes: Buffer): Buffer {
  const writer = new Writer();
  writer.int32(bytes.length);
  writer.bytes(bytes);
  return writer.finishBuffer();
}

test.each([1, 2, 3])("a broker outlives hostile requests and serves others as before, seed %i", async (seed) => {
  await withTripwires(async () => {
    const brokers = await SimulatedBrokers.start(1, ["auto.create.topics.enable=false", "delete.topic.enable=true"], seed);
    const { world, clientNode } = brokers;
    const client = brokers.client();
    const create = client.send("controller", createTopics, () => ({ topics: ["one", "two"].map((name) => ({ name, numPartitions: 2, replicationFactor: 1, assignments: [], configs: [] })), timeoutMs: 5000, validateOnly: false }));
    await world.run({ until: settled(create), withinMs: 10_000 });
    const messages = new MessageDraw(seed, ["one", "two", "group", "member", "kafka1", "1"], batches);
    let answers = 0;
    let closes = 0;
    for (let sent = 0; sent < REQUESTS; ) {
      const connecting = clientNode.host.net.connect({ host: "kafka1", port: 9092, timeoutMs: 1000 });
      await world.run({ until: settled(connecting), withinMs: 2000 });
      const connection = await connecting;
      connection.start({ data: () => answers++, close: () => closes++ });
      for (let burst = 0; burst < 20 && !connection.closed && sent < REQUESTS; burst++, sent++) {
        connection.write(draw(messages));
        await world.run({ forMs: messages.prng.chance(1, 4) ? 0 : 1 });
        if (messages.prng.chance(1, 10)) await world.run({ forMs: ANSWER_MS });
      }
      if (connection.closed) continue;
      if (messages.prng.chance(1, 2)) connection.reset();
      else connection.end();
    }
    expect(answers).toBeGreaterThan(REQUESTS / 10);
    expect(closes).toBeGreaterThan(REQUESTS / 100);
    const after = client.send(1, apiVersions, () => ({ clientSoftwareName: "after", clientSoftwareVersion: "1" }));
    await world.run({ until: settled(after), withinMs: 10_000 });
    expect((await after).response.errorCode).toBe(0);
    expect(world.failures).toEqual([]);
  });
});

/** Whether the promise has been fulfilled or rejected; whoever awaits it learns which. */
function settled(promise: Promise<unknown>): () => boolean {
  let is = false;
  const settle = (): void => void (is = true);
  promise.then(settle, settle);
  return () => is;
}
