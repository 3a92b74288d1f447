import { expect, test } from "vitest";
import { World } from "../../host/sim/world.ts";
import type { Decoded } from "../../codec/schema.ts";
import { route, type RequestContext } from "../network/request.ts";
import { fetch } from "../protocol/messages/fetch.ts";
import { listOffsets } from "../protocol/messages/list-offsets.ts";
import { metadata as metadataApi } from "../protocol/messages/metadata.ts";
import { offsetForLeaderEpoch } from "../protocol/messages/offset-for-leader-epoch.ts";
import type { updateMetadataRequest } from "../protocol/messages/update-metadata.ts";
import { MetadataCache } from "./metadata-cache.ts";
import { gateUntilMetadata, isFromReplica } from "./start-gate.ts";

const context: RequestContext = { listenerName: "PLAINTEXT", clientHost: "", clientId: null, apiVersion: 11, connectionId: "", connectionNumber: 0 };

function stage(topics: readonly string[]) {
  const world = new World({ seed: 5, timerLateMsMax: 0, clockDriftPpmMax: 0 });
  const { host } = world.addNode("one");
  const metadata = new MetadataCache();
  const answered: string[] = [];
  const routes = [metadataApi, fetch, listOffsets, offsetForLeaderEpoch].map((api) =>
    route(api, () => {
      answered.push(api.name);
      return {} as never;
    }),
  );
  const gate = gateUntilMetadata(routes, { metadata, timers: host.timers, topics, passes: isFromReplica });
  const ask = (api: { readonly key: number }, request: unknown): void => {
    void gate.routes.find((one) => one.api.key === api.key)?.handle(request as never, context);
  };
  return { world, metadata, gate, answered, ask };
}

function told(brokers: readonly number[], topics: readonly string[]): Decoded<typeof updateMetadataRequest> {
  const request = {
    controllerId: 1,
    liveBrokers: brokers.map((id) => ({ id, rack: null, endpoints: [] })),
    topicStates: topics.map((topicName) => ({ topicName, partitionStates: [{ partitionIndex: 0, leader: 1, leaderEpoch: 0, isr: [1], replicas: [1], offlineReplicas: [] }] })),
  };
  return request as unknown as Decoded<typeof updateMetadataRequest>;
}

test("a client waits until the controller has told of a broker and of every topic there was", async () => {
  const { world, metadata, answered, ask } = stage(["a", "b"]);
  ask(metadataApi, {});
  ask(fetch, { replicaId: -1, replicaState: { replicaId: -1 } });
  ask(listOffsets, { replicaId: -1 });
  ask(listOffsets, { replicaId: -2 });
  ask(offsetForLeaderEpoch, { replicaId: -1 });
  for (const update of [told([1], ["a"]), told([], ["b"])]) {
    metadata.update(update);
    await world.run({ forMs: 100 });
    expect(answered).toEqual([]);
  }
  metadata.update(told([1], []));
  await world.run({ forMs: 1 });
  expect(answered.length).toBe(5);
});

test("a replica's three requests do not wait", () => {
  const { answered, ask } = stage([]);
  ask(fetch, { replicaId: 2, replicaState: { replicaId: -1 } });
  ask(fetch, { replicaId: -1, replicaState: { replicaId: 2 } });
  ask(listOffsets, { replicaId: 2 });
  ask(offsetForLeaderEpoch, { replicaId: 0 });
  expect(answered).toEqual(["Fetch", "Fetch", "ListOffsets", "OffsetForLeaderEpoch"]);
});

test("without a controller the wait ends after ten seconds, and when the broker stops", async () => {
  const first = stage([]);
  first.ask(metadataApi, {});
  await first.world.run({ forMs: 9999 });
  expect(first.answered).toEqual([]);
  await first.world.run({ forMs: 1 });
  expect(first.answered).toEqual(["Metadata"]);
  const second = stage([]);
  second.ask(metadataApi, {});
  second.gate.close();
  await second.world.run({ forMs: 1 });
  expect(second.answered).toEqual(["Metadata"]);
});
