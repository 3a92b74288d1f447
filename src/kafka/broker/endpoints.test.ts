import { expect, test } from "vitest";
import type { Decoded } from "../../codec/schema.ts";
import type { updateMetadataRequest } from "../protocol/messages/update-metadata.ts";
import { controllerEndpoint, endpointOf } from "./endpoints.ts";
import { MetadataCache } from "./metadata-cache.ts";

function cache(controllerId: number, brokers: readonly number[]): MetadataCache {
  const metadata = new MetadataCache();
  const liveBrokers = brokers.map((id) => ({ id, rack: null, endpoints: [{ listener: "INTERNAL", host: `kafka${id}`, port: 9092 }, { listener: "EXTERNAL", host: "outside", port: 1 }] }));
  metadata.update({ controllerId, liveBrokers, topicStates: [] } as unknown as Decoded<typeof updateMetadataRequest>);
  return metadata;
}

test("a broker is reached by the listener between brokers, and only while it lives", () => {
  const metadata = cache(1, [1, 2]);
  expect(endpointOf(metadata, "INTERNAL", 2)).toEqual({ id: 2, host: "kafka2", port: 9092 });
  expect([endpointOf(metadata, "OTHER", 2), endpointOf(metadata, "INTERNAL", 3)]).toEqual([undefined, undefined]);
});

test("ZooKeeper's word on who the controller is goes before the last controller's own, where that broker is known", () => {
  const metadata = cache(1, [1, 2]);
  expect(controllerEndpoint(metadata, "INTERNAL", 2)?.id).toBe(2);
  expect(controllerEndpoint(metadata, "INTERNAL", 3)?.id).toBe(1);
  expect(controllerEndpoint(metadata, "INTERNAL", -1)?.id).toBe(1);
  expect(controllerEndpoint(cache(4, [1]), "INTERNAL", -1)).toBe(undefined);
  expect(controllerEndpoint(cache(-1, []), "INTERNAL", -1)).toBe(undefined);
});
