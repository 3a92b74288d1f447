import type { SimNode } from "../src/host/sim/node.ts";
import { withTripwires } from "../src/host/sim/tripwires.ts";
import { World } from "../src/host/sim/world.ts";
import { must } from "../src/lib/assert.ts";
import { CLEAN_SHUTDOWN_FILE, partitionName } from "../src/kafka/log/names.ts";
import type { Partition } from "../src/kafka/replication/partition.ts";
import { checkRead, checkWritten, type FinalLog } from "./kafka/check-records.ts";
import { ClusterClient, orUndefined, type ClusterMetadata } from "./kafka/client.ts";
import { ClusterWorld, LOG_DIRECTORY } from "./kafka/cluster-world.ts";
import { draw, FAULTS_FROM_MS, type Draw } from "./kafka/draw.ts";
import { healAll, planEndMs, schedulePlan, type Fault, type FaultKind } from "./kafka/faults.ts";
import { Invariants, type RunningBroker } from "./kafka/invariants.ts";
import { countLine, type Mark } from "./kafka/marks.ts";
import { IdempotentProducer, PlainProducer, type ProducerOptions } from "./kafka/producers.ts";
import { PartitionReader } from "./kafka/reader.ts";
import { checkEqual, endOf, partitionDirectories, recordsOf, storedLogs } from "./kafka/stored-logs.ts";
import { makeTopic, removeTopic, TopicChurn, type TopicToMake } from "./kafka/topic-churn.ts";
import { readZnodes, type ZnodeHistory } from "./kafka/znode-history.ts";
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
  readonly marks: Readonly<Partial<Record<Mark, number>>>;
}

export interface RunOptions {
  /** Which faults of the plan come to pass; all of them where undefined. */
  readonly only?: readonly number[] | undefined;
  readonly without?: readonly FaultKind[];
  readonly print?: ((line: string) => void) | undefined;
}

const LOOK_EVERY_MS = 25;
const CONVERGE_MS_MAX = 120_000;
const TIMEOUT_MS = 4000;

const SAFE = "safe";
const LOOSE = "loose";

export function runCluster(seed: string, options: RunOptions = {}): Promise<Outcome> {
  return withTripwires(() => new Run(seed, draw(seed), options).all());
}

class Run {
  readonly #draw: Draw;
  readonly #plan: readonly Fault[];
  readonly #world: World;
  readonly #cluster: ClusterWorld;
  readonly #judge: SimNode;
  readonly #topics: readonly TopicToMake[];
  readonly #producers: (IdempotentProducer | PlainProducer)[] = [];
  readonly #readers: PartitionReader[] = [];
  readonly #invariants: Invariants;
  readonly #marks: Partial<Record<Mark, number>> = {};
  readonly #churn: TopicChurn;
  readonly #judgeClient: ClusterClient;
  #clients = 0;
  #looking = true;

  constructor(seed: string, drawn: Draw, { only, without = [], print }: RunOptions) {
    this.#draw = drawn;
    this.#plan = drawn.plan.filter(({ kind }, index) => !without.includes(kind) && (only === undefined || only.includes(index)));
    this.#world = new World({ seed, ...drawn.world, ...(print && { print }), expected: () => false });
    this.#cluster = new ClusterWorld(this.#world, drawn.shape);
    this.#cluster.onLine = (line) => countLine(line, this.#marks);
    this.#judge = this.#world.addNode("judge");
    this.#judgeClient = this.#client(this.#judge);
    const loose = { "min.insync.replicas": "1", "unclean.leader.election.enable": String(drawn.unclean), ...(drawn.retained && { "retention.bytes": "12000", "segment.bytes": "4096" }) };
    const replicas = drawn.shape.brokers;
    this.#topics = [
      { name: SAFE, partitions: 3, replicas, settings: { "min.insync.replicas": String(Math.min(2, replicas)) } },
      { name: LOOSE, partitions: 2, replicas, settings: loose },
    ];
    this.#churn = new TopicChurn(this.#client(must(this.#cluster.clients[0], "client")), { brokers: drawn.shape.brokers, pauseMsMax: drawn.churnPauseMsMax });
    this.#invariants = new Invariants((topic) => this.#topics.some(({ name }) => name === topic));
  }

  async all(): Promise<Outcome> {
    const world = this.#world;
    this.#look();
    for (const topic of this.#topics) await world.settle(makeTopic(this.#judgeClient, topic));
    await world.run({ untilMs: Math.max(world.nowMs, FAULTS_FROM_MS - 1500) });
    this.#startWork();
    const happened = schedulePlan({ cluster: this.#cluster, controller: () => known(this.#judgeClient.controllerId), leader: () => known(this.#judgeClient.partition(SAFE, 0)?.leader) }, this.#plan);
    this.#keepKnowing();
    await world.run({ untilMs: Math.max(world.nowMs, planEndMs(this.#plan)) });
    healAll(this.#cluster);
    const healedMs = world.nowMs;
    await this.#converge();
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
      faults: Object.fromEntries(happened),
      acknowledged,
      read: this.#readers.reduce((sum, reader) => sum + reader.seen.size, 0),
      readFromFollowers: this.#readers.reduce((sum, reader) => sum + reader.fromFollowers, 0),
      topicsMade: this.#churn.made,
      topicsDeleted: this.#churn.deleted,
      comparisons: this.#invariants.comparisons,
      znodes: { elections, uncleanElections, shrinks, expansions, controllers, topicsMade },
      answers,
      marks: this.#marks,
    };
  }

  #client(node: SimNode): ClusterClient {
    this.#clients += 1;
    const name = `${node.name}-${this.#clients}`;
    return new ClusterClient({ host: node.host, name, brokers: this.#cluster.brokers.map((broker) => broker.name), draws: this.#world.prng(`workload/${name}`), timeoutMs: TIMEOUT_MS });
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
        const options = (name: string): ProducerOptions => ({ ...producers, ...(lossy && retained && { largeBytes: 0 }), name: `${partitionName(topic, partition)}/${name}`, topic, partition });
        if (!lossy || (!unclean && partition === 0)) add(new IdempotentProducer(writer(), options("all")));
        if (lossy) add(new PlainProducer(writer(), options("one")));
        const reader = new PartitionReader(readerClient(), { ...readers, topic, partition, retained: lossy && retained, unclean: lossy && unclean });
        this.#readers.push(reader);
        reader.start();
      }
    }
    this.#churn.start();
  }

  #running(): RunningBroker[] {
    return this.#cluster.brokerIds.flatMap((id) => {
      const broker = this.#cluster.running(id);
      return broker === undefined ? [] : [{ id, life: this.#cluster.node(id).lives, partitions: broker.partitions }];
    });
  }

  #look(): void {
    if (!this.#looking) return;
    this.#invariants.look(this.#running());
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

  /** Every broker says the same: all replicas in sync, the preferred one leads. */
  async #converge(): Promise<void> {
    let waitsFor = "anything";
    const agreed = async (): Promise<void> => {
      for (;;) {
        const answers = await Promise.all(this.#cluster.brokerIds.map((id) => orUndefined(this.#judgeClient.describe(id, this.#topics.map(({ name }) => name)))));
        const complaint = answers.map((answer, index) => (answer === undefined ? `broker ${index + 1} does not answer` : complaintOf(answer, index + 1, this.#draw.shape.brokers))).find((one) => one !== undefined);
        const controllers = new Set(answers.map((answer) => answer?.controllerId));
        if (complaint === undefined && controllers.size === 1) return;
        waitsFor = complaint ?? `the controller is ${[...controllers].join(" or ")}`;
        await this.#judgeClient.pause(250);
      }
    };
    await this.#within("the cluster comes together", agreed(), () => waitsFor);
  }

  /** Everybody who writes is heard; then all come to rest, and everything is read. */
  async #progress(): Promise<void> {
    const world = this.#world;
    const before = this.#producers.map((producer) => producer.acknowledged.size);
    const stuck = (): string => this.#producers.filter((producer, index) => producer.acknowledged.size < (before[index] ?? 0) + 10).map(({ options, answers }) => `${options.name} (${JSON.stringify([...answers])})`).join(", ");
    const all = async (): Promise<void> => {
      while (stuck() !== "") await this.#judgeClient.pause(50);
    };
    await this.#within("records are acknowledged", all(), stuck);
    await this.#within("clients come to rest", Promise.all([...this.#producers, this.#churn].map((one) => one.rest())), () => "a producer");
    for (const name of this.#churn.names) await this.#within("topics can be deleted", removeTopic(this.#judgeClient, name), () => name);
    const unread = (): string => this.#readers.filter((reader) => reader.position < this.#leaderOf(reader.options.topic, reader.options.partition).log.endOffset).map(({ options, position }) => `${partitionName(options.topic, options.partition)} at ${position}`).join(", ");
    const read = async (): Promise<void> => {
      while (unread() !== "") await this.#judgeClient.pause(50);
    };
    await this.#within("everything can be read", read(), unread);
    await this.#within("readers come to rest", Promise.all(this.#readers.map((reader) => reader.rest())), () => "a reader");
    await this.#within("followers hear the last high watermark and directories go", this.#quiet(), () => this.#unrest() ?? "");
    world.mark(this.#producers.length);
  }

  #leaderOf(topic: string, partition: number): Partition {
    for (const { partitions } of this.#running()) for (const one of partitions) if (one.topic === topic && one.partition === partition && one.isLeader) return one;
    throw new Violation("one leader", `nobody leads ${partitionName(topic, partition)}`);
  }

  async #quiet(): Promise<void> {
    while (this.#unrest() !== undefined) await this.#judgeClient.pause(100);
  }

  /** What is still on its way. */
  #unrest(): string | undefined {
    for (const { id, partitions } of this.#running()) {
      for (const { topic, partition, log } of partitions) {
        if (!this.#topics.some(({ name }) => name === topic)) return `broker ${id} still has ${partitionName(topic, partition)}`;
        const leader = this.#leaderOf(topic, partition).log;
        const [ours, theirs] = [log, leader].map(({ endOffset, highWatermark, writtenOffset }) => `${endOffset} ${highWatermark} ${writtenOffset}`);
        if (ours !== theirs || log.highWatermark !== log.endOffset) return `broker ${id} has ${partitionName(topic, partition)} at ${ours}, and its leader at ${theirs}`;
      }
      const passing = partitionDirectories(this.#cluster.node(id)).find((name) => !this.#topics.some((topic) => name.startsWith(`${topic.name}-`)) || name.endsWith("-delete"));
      if (passing !== undefined) return `broker ${id} still has the directory ${passing}`;
    }
    return undefined;
  }

  async #within(rule: string, promise: Promise<unknown>, waitsFor: () => string): Promise<void> {
    try {
      await this.#world.settle(promise, CONVERGE_MS_MAX);
    } catch (error) {
      if (error instanceof Error && "code" in error && error.code === "ETIMEDOUT") throw new Violation(rule, `not within ${CONVERGE_MS_MAX} ms: ${waitsFor()}\n${error.message}`);
      throw error;
    }
  }

  /** All stop, cleanly, and what is on the disks is held against all that was seen. */
  async #lastLook(): Promise<ZnodeHistory> {
    const world = this.#world;
    const cluster = this.#cluster;
    const starts = new Map(this.#running().flatMap(({ id, partitions }) => [...partitions].map(({ topic, partition, log }) => [`${id} ${partitionName(topic, partition)}`, log.startOffset] as const)));
    const znodes = readZnodes(must(cluster.histories.all().get(1), "history"), { chroot: this.#draw.shape.chroot, mayBeUnclean: (topic) => topic === LOOSE && this.#draw.unclean });
    for (const name of this.#churn.names) if (znodes.topics.has(name)) throw new Violation("topics can be deleted", `ZooKeeper still has ${name}`);
    this.#checkLogs(znodes, starts);

    this.#looking = false;
    for (const id of cluster.brokerIds) cluster.terminate(id);
    await world.run({ until: () => cluster.brokers.every((node) => !node.up), withinMs: CONVERGE_MS_MAX });
    for (const node of cluster.brokers) {
      if (node.disk.peek(`${LOG_DIRECTORY}/${CLEAN_SHUTDOWN_FILE}`) === undefined) throw new Violation("a stop is clean", `${node.name} has no ${CLEAN_SHUTDOWN_FILE}`);
    }
    this.#checkLogs(znodes, starts);
    return znodes;
  }

  #checkLogs(znodes: ZnodeHistory, starts: ReadonlyMap<string, number>): void {
    const stored = this.#cluster.brokers.map((node) => storedLogs(node));
    for (const { name: topic, partitions } of this.#topics) {
      for (let partition = 0; partition < partitions; partition++) {
        const name = partitionName(topic, partition);
        const { leader } = must(znodes.states.get(name), `state of ${name}`);
        const replicas = must(znodes.topics.get(topic)?.get(partition), `replicas of ${name}`);
        const startOf = (id: number): number => must(starts.get(`${id} ${name}`), `start of ${name} on broker ${id}`);
        const logOf = (id: number) => must(stored[id - 1]?.get(name), `${name} on broker ${id}`);
        checkEqual([leader, ...replicas.filter((id) => id !== leader)].map((id) => [logOf(id), startOf(id)]));
        const records = recordsOf(logOf(leader));
        for (const offset of records.keys()) if (offset < startOf(leader)) records.delete(offset);
        const final: FinalLog = { name, startOffset: startOf(leader), endOffset: Math.max(startOf(leader), endOf(logOf(leader))), records };
        const promises = { unclean: topic !== SAFE && this.#draw.unclean, retained: topic !== SAFE && this.#draw.retained };
        const here = (options: { readonly topic: string; readonly partition: number }): boolean => options.topic === topic && options.partition === partition;
        checkWritten(final, this.#producers.filter((producer) => here(producer.options)), promises);
        checkRead(final, must(this.#readers.find((reader) => here(reader.options)), "reader"), promises);
        this.#world.mark(final.endOffset);
      }
    }
  }
}

function known(id: number | undefined): number | undefined {
  return id === undefined || id < 0 ? undefined : id;
}

/** What is not as it is to be in the end. */
function complaintOf({ topics, brokers }: ClusterMetadata, id: number, count: number): string | undefined {
  if (brokers.length !== count) return `broker ${id} knows ${brokers.length} brokers`;
  for (const { name, errorCode, partitions } of topics) {
    if (errorCode !== 0) return `broker ${id} says ${errorCode} of ${name}`;
    for (const { partitionIndex, leaderId, replicaNodes, isrNodes } of partitions) {
      if (leaderId !== replicaNodes[0]) return `broker ${id} says that ${leaderId} leads ${name}-${partitionIndex} on ${replicaNodes.join()}`;
      if (isrNodes.length !== replicaNodes.length) return `broker ${id} says that ${isrNodes.join()} of ${replicaNodes.join()} are in sync for ${name}-${partitionIndex}`;
    }
  }
  return undefined;
}
