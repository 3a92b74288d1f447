import type { Decoded, Input } from "../../../codec/schema.ts";
import { World } from "../../../host/sim/world.ts";
import { BrokerConnection } from "../../client/broker-connection.ts";
import type { Route } from "../../network/request.ts";
import { Server } from "../../network/server.ts";
import type { Api } from "../../protocol/api.ts";
import type { updateMetadataRequest } from "../../protocol/messages/update-metadata.ts";
import { MetadataCache } from "../metadata-cache.ts";

export const LISTENER = "INTERNAL";

/** Routes behind a listener of the simulated world, and a client that asks them over the wire. */
export class Served {
  readonly world: World;
  readonly #client: BrokerConnection;

  private constructor(world: World, client: BrokerConnection) {
    this.world = world;
    this.#client = client;
  }

  static async start(routes: readonly Route[], world: World = new World({ seed: 5 })): Promise<Served> {
    const limits = { requestBytesMax: 1_000_000, idleMsMax: 0, connectionsMax: 10 };
    const server = new Server(world.addNode("broker").host, { listenerName: LISTENER, host: undefined, port: 9092, ...limits }, routes);
    await world.settle(server.bind());
    server.process();
    const client = BrokerConnection.connect(world.addNode("client").host, { host: "broker", port: 9092, clientId: "client-7", connectTimeoutMs: 1000, requestTimeoutMs: 60_000 });
    return new Served(world, await world.settle(client));
  }

  ask<A extends Api>(api: A, version: number, request: Input<A["request"]>): Promise<Decoded<A["response"]>> {
    return this.world.settle(this.#client.send(api, version, request));
  }
}

export interface TestBroker {
  readonly id: number;
  readonly listener?: string;
  readonly rack?: string;
}

/** A cluster of these brokers with these topics, each partition led by the broker named. */
export function metadataOf(brokers: readonly TestBroker[], topics: Readonly<Record<string, readonly number[]>>): MetadataCache {
  const metadata = new MetadataCache();
  tell(metadata, brokers, topics);
  return metadata;
}

/** As a controller's UpdateMetadata would. */
export function tell(metadata: MetadataCache, brokers: readonly TestBroker[], topics: Readonly<Record<string, readonly number[]>>): void {
  const request = {
    controllerId: 1,
    liveBrokers: brokers.map(({ id, listener = LISTENER, rack = null }) => ({ id, rack, endpoints: [{ listener, host: `host${id}`, port: 9000 + id }] })),
    topicStates: Object.entries(topics).map(([topicName, leaders]) => ({
      topicName,
      partitionStates: leaders.map((leader, partitionIndex) => ({ partitionIndex, leader, leaderEpoch: 0, isr: [leader], replicas: [leader], offlineReplicas: [] })),
    })),
  };
  metadata.update(request as unknown as Decoded<typeof updateMetadataRequest>);
}
