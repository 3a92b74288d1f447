import type { SimNode } from "../src/host/sim/node.ts";
import { withTripwires } from "../src/host/sim/tripwires.ts";
import { World } from "../src/host/sim/world.ts";
import { must } from "../src/lib/assert.ts";
import { partitionName } from "../src/kafka/log/names.ts";
import type { RunOptions } from "./hunting.ts";
import { checkRead, checkWritten, type FinalLog } from "./kafka/check-records.ts";
import { ClusterClient } from "./kafka/client.ts";
import { ClusterWorld, type HeardLine } from "./kafka/cluster-world.ts";
import { Convergence } from "./kafka/convergence.ts";
import { draw, FAULTS_FROM_MS, type Draw } from "./kafka/draw.ts";
import { BrokerTrouble, type BrokerFault, type FaultKind, type Scene } from "./kafka/faults.ts";
import { Invariants } from "./kafka/invariants.ts";
import { Marks } from "./kafka/marks.ts";
import { IdempotentProducer, PlainProducer, type ProducerOptions } from "./kafka/producers.ts";
import { PartitionReader } from "./kafka/reader.ts";
import { makeTopic, removeTopic, TopicChurn, type TopicToMake } from "./kafka/topic-churn.ts";
import type { ZnodeHistory } from "./kafka/znode-history.ts";
import { planEndMs } from "./trouble.ts";
import { Violation } from "./zookeeper/violation.ts";

/**
 * Three brokers on ZooKeeper, whole, on the simulated host, with clients that write, read, make topics and delete them.
 * Everything breaks for a while; then all heals, and the cluster has to come together and have kept every promise.
 */

export interface Outcome {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
  readonly convergedWithinMs: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly acknowledged: number;
  readonly read: number;
  readonly readFromFollowers: number;
  readonly topicsMade: number;
  readonly topicsDeleted: number;
  readonly comparisons: number;
  readonly znodes: Omit<ZnodeHistory, "topics" | "states" | "unclean">;
  /** Answers to producers by error code. */
  readonly answers: Readonly<Record<string, number>>;
  /** How often brokers logged what only rare branches log. */
  readonly marks: Readonly<Record<string, number>>;
  /** How often a follower was seen with appended bytes that were not written yet. */
  readonly asynchronousAppends: number;
}

const LOOK_EVERY_MS = 25;
const TIMEOUT_MS = 4000;

const SAFE = "safe";
const LOOSE = "loose";

export function runCluster(seed: string, options: RunOptions<FaultKind> = {}): Promise<Outcome> {
  return withTripwires(() => new Run(seed, draw(seed), options).all());
}

class Run {
  readonly #draw: Draw;
  readonly #plan: readonly BrokerFault[];
  readonly #world: World;
  readonly #cluster: ClusterWorld;
  readonly #judge: SimNode;
  readonly #topics: readonly TopicToMake[];
  readonly #producers: (IdempotentProducer | PlainProducer)[] = [];
  readonly #readers: PartitionReader[] = [];
  readonly #invariants: Invariants;
  readonly #convergence: Convergence;
  readonly #marks = new Marks();
  readonly #churn: TopicChurn;
  readonly #judgeClient: ClusterClient;
  /** Who waits for what a broker logs. */
  #ambushes: { readonly message: string; readonly hear: (broker: SimNode) => void }[] = [];
  #clients = 0;
  #violation: Violation | undefined;
  #looking = true;

  constructor(seed: string, drawn: Draw, { only, without = [], print }: RunOptions<FaultKind>) {
    this.#draw = drawn;
    this.#plan = drawn.plan.filter(({ kind }, index) => !without.includes(kind) && (only === undefined || only.includes(index)));
    this.#world = new World({ seed, ...drawn.world, ...(print && { print }), expected: () => false });
    this.#cluster = new ClusterWorld(this.#world, drawn.shape);
    this.#cluster.onLine = (line) => this.#hear(line);
    this.#judge = this.#world.addNode("judge");
    this.#judgeClient = this.#client(this.#judge);
    const loose = { "min.insync.replicas": "1", "unclean.leader.election.enable": String(drawn.unclean), ...(drawn.retained && { "retention.bytes": "12000", "segment.bytes": "4096" }) };
    const replicas = drawn.shape.brokers;
    this.#topics = [
      { name: SAFE, partitions: 3, replicas, settings: { "min.insync.replicas": String(Math.min(2, replicas)) } },
      { name: LOOSE, partitions: 2, replicas, settings: loose },
    ];
    this.#churn = new TopicChurn(this.#client(must(this.#cluster.clients[0], "client")), { brokers: drawn.shape.brokers, pauseMsMax: drawn.churnPauseMsMax });
    this.#convergence = new Convergence({ cluster: this.#cluster, client: this.#judgeClient, topics: this.#topics.map(({ name }) => name), mayBeUnclean: (topic) => topic === LOOSE && drawn.unclean });
    this.#invariants = new Invariants((topic) => this.#topics.some(({ name }) => name === topic));
  }

  async all(): Promise<Outcome> {
    const world = this.#world;
    this.#look();
    for (const topic of this.#topics) await world.settle(makeTopic(this.#judgeClient, topic));
    await world.run({ untilMs: Math.max(world.nowMs, FAULTS_FROM_MS - 1500) });
    this.#startWork();
    const trouble = new BrokerTrouble(this.#scene());
    trouble.begin(this.#plan);
    this.#keepKnowing();
    await world.run({ untilMs: Math.max(world.nowMs, planEndMs(this.#plan)) });
    this.#ambushes = [];
    trouble.heal();
    const healedMs = world.nowMs;
    await this.#convergence.agreed({ preferred: true });
    const convergedWithinMs = world.nowMs - healedMs;
    await this.#progress();
    const znodes = await this.#lastLook();
    const { elections, uncleanElections, shrinks, expansions, controllers, topicsMade } = znodes;
    const acknowledged = this.#producers.reduce((sum, producer) => sum + producer.acknowledged.size, 0);
    const answers: Record<string, number> = {};
    for (const producer of this.#producers) for (const [code, count] of producer.answers) answers[String(code ?? "none")] = (answers[String(code ?? "none")] ?? 0) + count;
    return {
      hash: world.hash,
      events: world.events,
      endedMs: world.nowMs,
      convergedWithinMs,
      faults: Object.fromEntries(trouble.happened),
      acknowledged,
      read: this.#readers.reduce((sum, reader) => sum + reader.seen.size, 0),
      readFromFollowers: this.#readers.reduce((sum, reader) => sum + reader.fromFollowers, 0),
      topicsMade: this.#churn.made,
      topicsDeleted: this.#churn.deleted,
      comparisons: this.#invariants.comparisons,
      znodes: { elections, uncleanElections, shrinks, expansions, controllers, topicsMade },
      answers,
      marks: this.#marks.seen,
      asynchronousAppends: this.#invariants.asynchronousAppends,
    };
  }

  #client(node: SimNode): ClusterClient {
    this.#clients += 1;
    const name = `${node.name}-${this.#clients}`;
    return new ClusterClient({ host: node.host, name, brokers: this.#cluster.brokers.map((broker) => broker.name), draws: this.#world.prng(`workload/${name}`), timeoutMs: TIMEOUT_MS });
  }

  #scene(): Scene {
    return {
      cluster: this.#cluster,
      controller: () => known(this.#judgeClient.controllerId),
      leader: () => known(this.#judgeClient.partition(SAFE, 0)?.leader),
      synced: this.#draw.synced,
      onLine: (message, hear) => this.#ambushes.push({ message, hear }),
    };
  }

  #hear(line: HeardLine): void {
    this.#marks.hear(line);
    const ambush = this.#ambushes.findIndex(({ message }) => message === line.message);
    if (ambush >= 0) for (const { hear } of this.#ambushes.splice(ambush, 1)) hear(this.#cluster.node(line.broker));
    if (line.message !== "truncates below the high watermark" || this.#mayGo(String(line.fields["partition"]))) return;
    // Thrown at the next look: here it would be the broker's.
    this.#violation ??= new Violation("what is committed stays", `broker ${line.broker} truncates ${JSON.stringify(line.fields)}`);
  }

  /**
   * Whether records that consumers have read may be gone: after an unclean election, or where a leader loses its power
   * before it has synced what all others have. What was acknowledged stays in the second case.
   */
  #mayGo(topic: string): boolean {
    return this.#draw.synced || (this.#draw.unclean && topic.startsWith(LOOSE));
  }

  #startWork(): void {
    const [first, second] = this.#cluster.clients.map((node) => () => this.#client(node));
    const [writer, readerClient] = [must(first, "client"), must(second, "client")];
    const { producers, readers, unclean, retained } = this.#draw;
    const add = (producer: IdempotentProducer | PlainProducer): void => {
      this.#producers.push(producer);
      producer.start();
    };
    for (const { name: topic, partitions } of this.#topics) {
      const lossy = topic !== SAFE;
      for (let partition = 0; partition < partitions; partition++) {
        const options = (name: string): ProducerOptions => ({ ...producers, ...(lossy && retained && { largeBytes: 0, valueBytesMax: 700 }), name: `${partitionName(topic, partition)}/${name}`, topic, partition });
        if (!lossy || (!unclean && partition === 0)) add(new IdempotentProducer(writer(), options("all")));
        if (lossy) add(new PlainProducer(writer(), options("one")));
        const reader = new PartitionReader(readerClient(), { ...readers, topic, partition, retained: lossy && retained, mayGo: this.#mayGo(topic) });
        this.#readers.push(reader);
        reader.start();
      }
    }
    this.#churn.start();
  }

  #look(): void {
    if (!this.#looking) return;
    if (this.#violation !== undefined) throw this.#violation;
    this.#invariants.look(this.#convergence.running);
    this.#world.after(LOOK_EVERY_MS, () => this.#look());
  }

  /** So that faults find the controller and a leader. */
  #keepKnowing(): void {
    const ask = async (): Promise<void> => {
      while (this.#looking) {
        await this.#judgeClient.refresh(SAFE);
        await this.#judgeClient.pause(500);
      }
    };
    ask().catch((error: unknown) => this.#judge.host.fail(error as Error));
  }

  /** Everybody who writes is heard; then all come to rest, and everything is read. */
  async #progress(): Promise<void> {
    const convergence = this.#convergence;
    const before = this.#producers.map((producer) => producer.acknowledged.size);
    await convergence.until("records are acknowledged", () => {
      const stuck = this.#producers.find((producer, index) => producer.acknowledged.size < (before[index] ?? 0) + 10);
      return stuck && `${stuck.options.name} (${JSON.stringify([...stuck.answers])})`;
    });
    await convergence.within("clients come to rest", Promise.all([...this.#producers, this.#churn].map((one) => one.rest())), () => "a producer");
    for (const name of this.#churn.names) await convergence.within("topics can be deleted", removeTopic(this.#judgeClient, name), () => name);
    await convergence.until("everything can be read", () => {
      const late = this.#readers.find(({ options, position }) => position < convergence.leaderOf(options.topic, options.partition).log.endOffset);
      return late && `${partitionName(late.options.topic, late.options.partition)} is read up to ${late.position}`;
    });
    await convergence.within("readers come to rest", Promise.all(this.#readers.map((reader) => reader.rest())), () => "a reader");
    await convergence.quiet();
  }

  /** All stop, cleanly, and what is on the disks is held against all that was seen. */
  async #lastLook(): Promise<ZnodeHistory> {
    const convergence = this.#convergence;
    const starts = convergence.starts();
    const znodes = convergence.znodes();
    for (const final of convergence.checkLogs(znodes, starts)) this.#checkClients(final);
    this.#looking = false;
    await convergence.stopAll();
    convergence.checkLogs(znodes, starts);
    // What stopping has made of it is held to the same rules.
    convergence.znodes();
    return znodes;
  }

  #checkClients(final: FinalLog): void {
    const { unclean, retained } = this.#draw;
    const promises = { unclean: final.topic !== SAFE && unclean, retained: final.topic !== SAFE && retained };
    const here = (options: { readonly topic: string; readonly partition: number }): boolean => options.topic === final.topic && options.partition === final.partition;
    checkWritten(final, this.#producers.filter((producer) => here(producer.options)), promises);
    checkRead(final, must(this.#readers.find((reader) => here(reader.options)), "reader"), { mayGo: this.#mayGo(final.topic) });
    this.#world.mark(final.endOffset);
  }
}

function known(id: number | undefined): number | undefined {
  return id === undefined || id < 0 ? undefined : id;
}
