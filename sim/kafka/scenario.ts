import { withTripwires } from "../../src/host/sim/tripwires.ts";
import { World } from "../../src/host/sim/world.ts";
import { must } from "../../src/lib/assert.ts";
import { errorCode } from "../../src/lib/error.ts";
import { produce } from "../../src/kafka/protocol/messages/produce.ts";
import { buildBatch } from "../../src/kafka/records/build.ts";
import type { Partition } from "../../src/kafka/replication/partition.ts";
import { ClusterClient } from "./client.ts";
import { ClusterWorld, type HeardLine } from "./cluster-world.ts";
import { Convergence } from "./convergence.ts";
import { Invariants } from "./invariants.ts";
import { makeTopic, type TopicToMake } from "./topic-churn.ts";

export interface ScenarioOptions {
  readonly members?: number;
  /** Lines of server.properties, beside and after the usual ones. */
  readonly settings?: readonly string[];
  /** Topics on which a replica that is not in sync may come to lead. */
  readonly unclean?: readonly string[];
  /** Topics that go, and come again under the same name. */
  readonly remade?: readonly string[];
  /** Topics that are there in the end. */
  readonly topics: readonly string[];
  readonly seed?: string;
  readonly print?: (line: string) => void;
}

const USUAL = [
  "zookeeper.session.timeout.ms=4000",
  "replica.lag.time.max.ms=2000",
  "replica.fetch.wait.max.ms=100",
  "replica.fetch.backoff.ms=100",
  "replica.socket.timeout.ms=2000",
  "request.timeout.ms=2000",
  "controller.socket.timeout.ms=2000",
  "controlled.shutdown.retry.backoff.ms=200",
  "log.segment.delete.delay.ms=1000",
  "log.index.size.max.bytes=4096",
  "auto.leader.rebalance.enable=false",
  "auto.create.topics.enable=false",
];

/** Three brokers, a member or more, and a client on a node of its own: everything is whole in the beginning, and again in the end. */
export class Scenario {
  readonly world: World;
  readonly cluster: ClusterWorld;
  readonly client: ClusterClient;
  readonly convergence: Convergence;
  readonly #invariants: Invariants;
  readonly #heard: HeardLine[] = [];
  #looking = true;
  #clients = 0;

  private constructor({ members = 1, settings = [], unclean = [], remade = [], topics, seed = "1", print }: ScenarioOptions) {
    this.world = new World({ seed, eventsMax: 4_000_000, ...(print && { print }), expected: () => false });
    this.cluster = new ClusterWorld(this.world, { members, brokers: 3, clients: 1, chroot: "", memberSettings: ["tickTime=500", "initLimit=20", "syncLimit=4", "maxClientCnxns=0"], brokerSettings: [...USUAL, ...settings] });
    this.cluster.onLine = (line) => this.#heard.push(line);
    this.client = this.newClient();
    this.convergence = new Convergence({ cluster: this.cluster, client: this.client, topics, mayBeUnclean: (topic) => unclean.includes(topic) });
    this.#invariants = new Invariants((topic) => !remade.includes(topic), (topic) => !unclean.includes(topic));
  }

  /** Brokers serve when `script` begins. In the end all is healed and started, comes together, is compared byte by byte, and stops. */
  static play(options: ScenarioOptions, script: (scenario: Scenario) => Promise<void>): Promise<void> {
    return withTripwires(async () => {
      const scenario = new Scenario(options);
      scenario.#look();
      await scenario.convergence.until("brokers serve", () => (scenario.convergence.running.length === 3 ? undefined : "brokers"));
      await script(scenario);
    });
  }

  #look(): void {
    if (!this.#looking) return;
    this.#invariants.look(this.convergence.running);
    this.world.after(10, () => this.#look());
  }

  /** Another client, on the node of the first. */
  newClient(): ClusterClient {
    this.#clients += 1;
    return new ClusterClient({ host: must(this.cluster.clients[0], "client").host, name: `scenario-${this.#clients}`, brokers: this.cluster.brokers.map(({ name }) => name), draws: this.world.prng(`client-${this.#clients}`), timeoutMs: 4000 });
  }

  /** The controller's id, as soon as anybody knows it. */
  async controller(): Promise<number> {
    while (this.client.controllerId < 0) await this.world.settle(this.client.describe(1, []));
    return this.client.controllerId;
  }

  /** Two brokers beside this one. */
  others(broker: number): readonly [number, number] {
    const [one, two] = this.cluster.brokerIds.filter((id) => id !== broker);
    return [must(one, "another broker"), must(two, "a third broker")];
  }

  /** One partition on all brokers, broker 1 first, unless said otherwise. */
  async topic(name: string, topic: Partial<Omit<TopicToMake, "name">> = {}): Promise<void> {
    const { partitions = 1, replicas = 3, assignments = topic.partitions === undefined ? [[1, 2, 3]] : undefined, settings } = topic;
    await this.world.settle(makeTopic(this.client, { name, partitions, replicas, assignments, ...(settings && { settings }) }));
    await this.convergence.until("a topic is made", () => (this.replica(1, name)?.leaderEpoch === -1 ? name : undefined));
    await this.run(500);
  }

  /** Writes a batch a value to a broker, whether it leads or not. The last error code; undefined where no answer came. */
  async write(broker: number, topic: string, values: readonly string[], options: { readonly acks?: 1 | -1; readonly timeoutMs?: number; readonly partition?: number } = {}): Promise<number | undefined> {
    return this.world.settle(this.writing(broker, topic, values, options));
  }

  /** The same, without letting time pass. */
  async writing(broker: number, topic: string, values: readonly string[], { acks = -1, timeoutMs = 1500, partition = 0 }: { readonly acks?: 1 | -1; readonly timeoutMs?: number; readonly partition?: number } = {}): Promise<number | undefined> {
    let code: number | undefined;
    for (const value of values) {
      const batch = buildBatch([{ key: null, value: Buffer.from(`${value} `), timestamp: this.client.host.clock.wallMs() }]);
      try {
        const answer = await this.client.send(broker, produce, 8, { transactionalId: null, acks, timeoutMs, topicData: [{ name: topic, partitionData: [{ index: partition, records: [batch] }] }] }, timeoutMs + 3000);
        code = answer.responses[0]?.partitionResponses[0]?.errorCode;
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        code = undefined;
      }
    }
    return code;
  }

  replica(broker: number, topic: string, partition = 0): Partition | undefined {
    for (const one of this.cluster.running(broker)?.partitions ?? []) if (one.topic === topic && one.partition === partition) return one;
    return undefined;
  }

  /** Among brokers that run and think that they lead: who has the latest epoch. */
  leader(topic: string, partition = 0): number | undefined {
    const leaders = this.cluster.brokerIds.filter((id) => this.replica(id, topic, partition)?.isLeader === true);
    return leaders.toSorted((a, b) => (this.replica(b, topic, partition)?.leaderEpoch ?? 0) - (this.replica(a, topic, partition)?.leaderEpoch ?? 0))[0];
  }

  /** As the leader has it. */
  isr(topic: string, partition = 0): readonly number[] {
    const leader = this.leader(topic, partition);
    return leader === undefined ? [] : (this.replica(leader, topic, partition)?.inSync ?? []).toSorted((a, b) => a - b);
  }

  /** Lines with this message. */
  heard(message: string, broker?: number): readonly HeardLine[] {
    return this.#heard.filter((line) => line.message === message && (broker === undefined || line.broker === broker));
  }

  run(ms: number): Promise<void> {
    return this.world.run({ forMs: ms });
  }

  until(what: string, holds: () => boolean, withinMs = 30_000): Promise<void> {
    return this.convergence.until(what, () => (holds() ? undefined : what), withinMs);
  }

  kill(broker: number): void {
    this.cluster.node(broker).kill();
  }

  start(broker: number): void {
    this.cluster.restart(this.cluster.node(broker));
  }

  /** Resolves once the broker has stopped; it is down then. */
  async stop(broker: number): Promise<void> {
    this.cluster.terminate(broker);
    await this.until(`broker ${broker} stops`, () => !this.cluster.node(broker).up, 60_000);
  }

  /** Cuts a broker off from the other brokers and from ZooKeeper; clients still reach it. */
  cutOff(broker: number): void {
    const { members, brokers } = this.cluster;
    const node = this.cluster.node(broker);
    this.world.net.partition([node], [...members, ...brokers.filter((one) => one !== node)]);
  }

  /** All works again; the values of each partition, by name, as its leader has them, which is what all replicas have. */
  async finish(): Promise<ReadonlyMap<string, readonly string[]>> {
    const { cluster, convergence } = this;
    this.world.net.heal();
    for (const node of [...cluster.members, ...cluster.brokers]) {
      node.resume();
      cluster.restart(node);
    }
    await convergence.agreed({ preferred: false });
    await convergence.quiet();
    const [starts, znodes] = [convergence.starts(), convergence.znodes()];
    const finals = convergence.checkLogs(znodes, starts);
    this.#looking = false;
    await this.world.settle(this.client.close());
    await convergence.stopAll();
    convergence.checkLogs(znodes, starts);
    return new Map(finals.map(({ name, records }) => [name, [...records].toSorted(([a], [b]) => a - b).map(([, value]) => value)]));
  }
}
