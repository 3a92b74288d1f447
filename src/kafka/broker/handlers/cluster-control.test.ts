import { expect, test } from "vitest";
import { closeConnection, type RequestContext, type Route } from "../../network/request.ts";
import { leaderAndIsr } from "../../protocol/messages/leader-and-isr.ts";
import { stopReplica } from "../../protocol/messages/stop-replica.ts";
import { updateMetadata } from "../../protocol/messages/update-metadata.ts";
import { must } from "../../../lib/assert.ts";
import type { ReplicaManager } from "../../replication/replica-manager.ts";
import { MetadataCache } from "../metadata-cache.ts";
import { clusterControlRoutes } from "./cluster-control.ts";

const BROKER_EPOCH = 10;

function stage(onGone: (what: unknown) => void = () => undefined) {
  const replicas = { acceptsController: () => true, becomeLeaderOrFollower: () => Promise.resolve([]), stopReplicas: () => Promise.resolve([]) } as unknown as ReplicaManager;
  const routes = clusterControlRoutes({ metadata: new MetadataCache(), replicas, brokerEpoch: () => BROKER_EPOCH, onTopicGone: onGone, onPartitionsGone: onGone });
  const routeOf = (key: number): Route => must(routes.find(({ api }) => api.key === key), "route");
  return (api: { readonly key: number }, controllerId: number, connectionNumber: number, listenerName = "INTERNAL", topicStates: unknown[] = []): Promise<unknown> => {
    const context: RequestContext = { listenerName, clientHost: "", clientId: null, apiVersion: 4, connectionId: "", connectionNumber };
    return Promise.resolve(routeOf(api.key).handle({ controllerId, controllerEpoch: 1, brokerEpoch: -1, topicStates, liveBrokers: [] }, context));
  };
}

test("what a controller sent over a connection before its newest one comes late, and is not carried out", async () => {
  for (const api of [leaderAndIsr, stopReplica, updateMetadata]) {
    const ask = stage();
    expect(await ask(updateMetadata, 1, 5)).toMatchObject({ errorCode: 0 });
    expect(await ask(api, 1, 5)).toMatchObject({ errorCode: 0 });
    expect(await ask(api, 1, 7)).toMatchObject({ errorCode: 0 });
    expect(await ask(api, 1, 5)).toBe(closeConnection);
    expect(await ask(updateMetadata, 1, 6)).toBe(closeConnection);
    expect(await ask(api, 1, 7)).toMatchObject({ errorCode: 0 });
  }
});

test("each controller's connections, and each listener's, are counted on their own", async () => {
  const ask = stage();
  expect(await ask(updateMetadata, 1, 7)).toMatchObject({ errorCode: 0 });
  expect(await ask(updateMetadata, 2, 5)).toMatchObject({ errorCode: 0 });
  expect(await ask(updateMetadata, 1, 3, "OTHER")).toMatchObject({ errorCode: 0 });
});

test("partitions that are gone are told of together, and a topic once its last one is", async () => {
  const gone: unknown[] = [];
  const ask = stage((what) => gone.push(what));
  const led = (leader: number, ...indexes: readonly number[]) => [{ topicName: "t", partitionStates: indexes.map((partitionIndex) => ({ partitionIndex, leader, leaderEpoch: 0, isr: [], replicas: [], offlineReplicas: [] })) }];
  const DURING_DELETE = -2;
  await ask(updateMetadata, 1, 5, "INTERNAL", led(1, 0, 1, 2));
  await ask(updateMetadata, 1, 5, "INTERNAL", led(DURING_DELETE, 0, 1));
  expect(gone).toEqual([[{ topic: "t", partition: 0 }, { topic: "t", partition: 1 }]]);
  await ask(updateMetadata, 1, 5, "INTERNAL", led(DURING_DELETE, 0, 2));
  expect(gone.slice(1)).toEqual(["t", [{ topic: "t", partition: 2 }]]);
});
