import type { VersionRange } from "../../src/codec/model.ts";
import type { Decoded, Input } from "../../src/codec/schema.ts";
import type { SimNode } from "../../src/host/sim/node.ts";
import { World } from "../../src/host/sim/world.ts";
import { closeConnection, route, type RequestContext, type Route } from "../../src/kafka/network/request.ts";
import { Server } from "../../src/kafka/network/server.ts";
import type { Api } from "../../src/kafka/protocol/api.ts";
import { apis } from "../../src/kafka/protocol/apis.ts";
import { apiVersions } from "../../src/kafka/protocol/messages/api-versions.ts";
import { metadata } from "../../src/kafka/protocol/messages/metadata.ts";
import { KafkaClient, type KafkaClientOptions } from "../../src/kafka/client/kafka-client.ts";

type AnswerOf<A extends Api> = (request: Decoded<A["request"]>, context: RequestContext) => Input<A["response"]> | typeof closeConnection | Promise<Input<A["response"]>>;

/** Brokers that say what a test tells them to say, and a client, each on a node of one simulated network. */
export class ScriptedCluster {
  readonly world = new World({ seed: 7, timerLateMsMax: 0, clockDriftPpmMax: 0 });
  readonly clientNode: SimNode;
  readonly brokers: readonly SimNode[];
  /** Each request by its place: `broker: API version`. */
  readonly asked: string[] = [];
  /** What the metadata says. */
  controllerId = 1;
  topics: Input<typeof metadata.response>["topics"] = [];
  readonly #answers = new Map<number, Map<number, AnswerOf<Api>>>();
  readonly #served = new Map<number, VersionRange>();

  private constructor(count: number) {
    this.clientNode = this.world.addNode("client");
    this.brokers = Array.from({ length: count }, (_, index) => this.world.addNode(`kafka${index + 1}`));
    this.every(metadata, () => ({ brokers: this.brokers.map((node, index) => ({ nodeId: index + 1, host: node.name, port: 9092 })), controllerId: this.controllerId, clusterId: "test", topics: this.topics }));
  }

  /** Every broker serves every declared API in all versions, where `serve` has not said less. */
  static async start(count: number): Promise<ScriptedCluster> {
    const cluster = new ScriptedCluster(count);
    for (const id of cluster.brokers.keys()) await cluster.world.settle(cluster.#listen(id + 1));
    return cluster;
  }

  /** A broker that was killed comes back. */
  async restart(id: number): Promise<void> {
    this.node(id).start();
    await this.world.settle(this.#listen(id));
  }

  node(id: number): SimNode {
    const node = this.brokers[id - 1];
    if (node === undefined) throw new RangeError(`there is no broker ${id}`);
    return node;
  }

  client(options: Partial<KafkaClientOptions> = {}): KafkaClient {
    return new KafkaClient({ host: this.clientNode.host, bootstrap: [{ host: "kafka1", port: 9092 }], clientId: "test", requestTimeoutMs: 1000, random: { below: () => 0 }, ...options });
  }

  /** What all brokers serve of an API; first above last: nothing. */
  serve(api: Api, first: number, last: number): void {
    this.#served.set(api.key, { first, last });
  }

  /** What one broker answers from now on. */
  on<A extends Api>(id: number, api: A, answer: AnswerOf<A>): void {
    const answers = this.#answers.get(id) ?? new Map<number, AnswerOf<Api>>();
    this.#answers.set(id, answers);
    answers.set(api.key, answer);
  }

  every<A extends Api>(api: A, answer: AnswerOf<A>): void {
    for (const index of this.brokers.keys()) this.on(index + 1, api, answer);
  }

  /** Requests so far, without those that every connection begins with; and forgets them. */
  takeAsked(): string[] {
    return this.asked.splice(0).filter((one) => !one.includes("ApiVersions") && !one.includes("Metadata"));
  }

  async #listen(id: number): Promise<void> {
    const routes: Route[] = Object.values(apis).map((api: Api) =>
      route(api, (request, context) => {
        this.asked.push(`${id}: ${api.name} ${context.apiVersion}`);
        if (api === (apiVersions as Api)) return this.#versions();
        return this.#answers.get(id)?.get(api.key)?.(request, context) ?? closeConnection;
      }),
    );
    const { host } = this.node(id);
    const server = new Server(host, { listenerName: "PLAINTEXT", host: undefined, port: 9092, requestBytesMax: 1_000_000, idleMsMax: 0, connectionsMax: 100 }, routes);
    await server.bind();
    server.process();
  }

  #versions(): Input<typeof apiVersions.response> {
    const apiKeys = Object.values(apis).flatMap(({ key, request }: Api) => {
      const { first, last } = this.#served.get(key) ?? request.versions;
      return first > last ? [] : [{ apiKey: key, minVersion: first, maxVersion: last }];
    });
    return { errorCode: 0, apiKeys };
  }
}

/** A topic of which each partition is led by the broker named in its place. */
export function topicLedBy(name: string, leaders: readonly number[], leaderEpoch = 0, topicId?: string): NonNullable<Input<typeof metadata.response>["topics"]>[number] {
  return {
    errorCode: 0,
    name,
    ...(topicId !== undefined && { topicId }),
    partitions: leaders.map((leaderId, partitionIndex) => ({ errorCode: leaderId < 0 ? 5 : 0, partitionIndex, leaderId, leaderEpoch, replicaNodes: [1, 2, 3], isrNodes: [1, 2, 3] }) as never),
  };
}
