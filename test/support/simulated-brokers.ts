import type { Host } from "../../src/host/host.ts";
import type { SimNode } from "../../src/host/sim/node.ts";
import { World } from "../../src/host/sim/world.ts";
import { Broker } from "../../src/kafka/broker/broker.ts";
import { KafkaClient, type KafkaClientOptions } from "../../src/kafka/client/kafka-client.ts";
import { readBrokerConfig } from "../../src/kafka/config/broker-config.ts";
import { must } from "../../src/lib/assert.ts";
import { parseProperties } from "../../src/lib/properties.ts";
import { readMemberConfig } from "../../src/zookeeper/config/member-config.ts";
import { StandaloneMember } from "../../src/zookeeper/server/standalone-member.ts";

/** Brokers of ours and one ZooKeeper member, whole, on simulated machines, and a machine for clients. */
export class SimulatedBrokers {
  readonly world: World;
  readonly clientNode: SimNode;
  readonly #settings: readonly string[];
  readonly #nodes = new Map<number, SimNode>();
  readonly #running = new Map<number, Broker>();

  private constructor(seed: number, count: number, settings: readonly string[]) {
    this.world = new World({ seed, eventsMax: 5_000_000, expected: () => false });
    this.#settings = settings;
    const zookeeper = this.world.addNode("zookeeper");
    this.clientNode = this.world.addNode("client");
    begin(zookeeper.host, (host) => {
      const main = parseProperties("dataDir=/zookeeper\nclientPort=2181\ntickTime=500\n", "zoo.cfg");
      return StandaloneMember.start(host, readMemberConfig({ main, origin: "zoo.cfg", myId: undefined, dynamic: undefined }).config);
    });
    for (let id = 1; id <= count; id++) this.#nodes.set(id, this.world.addNode(`kafka${id}`));
  }

  /** `settings`: lines of server.properties, for every broker. */
  static async start(count: number, settings: readonly string[] = [], seed = 11): Promise<SimulatedBrokers> {
    const brokers = new SimulatedBrokers(seed, count, settings);
    for (let id = 1; id <= count; id++) await brokers.start(id);
    return brokers;
  }

  node(id: number): SimNode {
    return must(this.#nodes.get(id), `node of broker ${id}`);
  }

  broker(id: number): Broker {
    return must(this.#running.get(id), `broker ${id}`);
  }

  /** In a new process where the last one has ended; resolves when it serves. */
  async start(id: number): Promise<void> {
    const node = this.node(id);
    const text = [
      `broker.id=${id}`,
      `listeners=PLAINTEXT://kafka${id}:9092`,
      "log.dirs=/kafka",
      "zookeeper.connect=zookeeper:2181",
      "zookeeper.session.timeout.ms=6000",
      "group.initial.rebalance.delay.ms=0",
      "offsets.topic.num.partitions=3",
      "offsets.topic.replication.factor=1",
      "num.partitions=2",
      ...this.#settings,
    ].join("\n");
    const properties = parseProperties(text, "server.properties");
    const { config } = readBrokerConfig(properties, "server.properties");
    begin(node.up ? node.host : node.start(), async (host) => {
      this.#running.set(id, await Broker.start({ host, config, layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() } }));
    });
    await this.world.run({ until: () => this.#running.has(id), withinMs: 60_000 });
  }

  kill(id: number): void {
    this.node(id).kill();
    this.#running.delete(id);
  }

  client(options: Partial<KafkaClientOptions> = {}): KafkaClient {
    const { host } = this.clientNode;
    const bootstrap = [...this.#nodes.keys()].map((id) => ({ host: `kafka${id}`, port: 9092 }));
    return new KafkaClient({ host, bootstrap, clientId: "test", requestTimeoutMs: 5000, retryTimeoutMs: 30_000, random: host.random, ...options });
  }
}

function begin(host: Host, start: (host: Host) => Promise<unknown>): void {
  // A life that ends while it starts never settles; one that can't start says so by failing.
  start(host).catch((error: unknown) => host.fail(error instanceof Error ? error : new Error(String(error))));
}
