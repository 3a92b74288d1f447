import type { SimNode } from "../src/host/sim/node.ts";
import { withTripwires } from "../src/host/sim/tripwires.ts";
import { World } from "../src/host/sim/world.ts";
import { must } from "../src/lib/assert.ts";
import { GroupAdmin } from "../src/kafka/client/group-admin.ts";
import { fetchOffsets } from "../src/kafka/client/group-offsets.ts";
import { groupPartition } from "../src/kafka/coordinators/group/group-core.ts";
import { partitionName } from "../src/kafka/log/names.ts";
import { GROUP_METADATA_TOPIC } from "../src/kafka/protocol/internal-topics.ts";
import type { RunOptions } from "./hunting.ts";
import { checkGroups } from "./kafka/check-groups.ts";
import { checkCoordinators, checkReplicas, uncompacted } from "./kafka/check-group-state.ts";
import { checkOffsets } from "./kafka/check-offsets.ts";
import { ClusterClient } from "./kafka/client.ts";
import { BROKER_PORT, ClusterWorld, type HeardLine } from "./kafka/cluster-world.ts";
import { Convergence } from "./kafka/convergence.ts";
import { FAULTS_FROM_MS } from "./kafka/draw.ts";
import { BrokerTrouble, type BrokerFault, type FaultKind, type Scene } from "./kafka/faults.ts";
import { drawGroups, PASSING_TOPIC, SAFE_TOPIC, type GroupDraw } from "./kafka/group-draw.ts";
import { GroupHistory, TappedClient } from "./kafka/group-history.ts";
import { GroupMarks } from "./kafka/group-marks.ts";
import { GroupVisitor, SimpleCommitter } from "./kafka/group-visitors.ts";
import { Crew } from "./kafka/group-workload.ts";
import { Invariants } from "./kafka/invariants.ts";
import { IdempotentProducer } from "./kafka/producers.ts";
import { storedLogs } from "./kafka/stored-logs.ts";
import { makeTopic, removeTopic } from "./kafka/topic-churn.ts";
import { planEndMs } from "./trouble.ts";
import { Violation } from "./zookeeper/violation.ts";

/**
 * Three brokers on ZooKeeper, whole, on the simulated host, with groups of consumers that come and go, commit and are
 * looked at, while everything breaks. Then all heals, and each group has to come together, to have read everything and
 * to have lost no commit.
 */

export interface Outcome {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly incidents: number;
  readonly commits: number;
  readonly read: number;
  readonly groupsDeleted: number;
  /** Partitions in answers to OffsetFetch that were held against commits, and those of brokers that coordinated no more. */
  readonly offsets: { readonly judged: number; readonly outdated: number };
  /** Coordinators' partitions that were held against their logs. */
  readonly comparisons: number;
  /** By API and error code. */
  readonly answers: Readonly<Record<string, number>>;
  readonly marks: Readonly<Record<string, number>>;
}

const LOOK_EVERY_MS = 25;
const TIMEOUT_MS = 2500;
const SAFE_PARTITIONS = 3;
const PASSING_PARTITIONS = 2;
/** A group that is let alone is stable after so long, and stays it for as long as that. */
const STABLE_MS_MAX = 30_000;
const CALM_MS = 6000;

const SIMPLE = "simple";
const BRIEF = "brief";
/** At what a coordinator may be killed in the midst of. */
const AMBUSHES = ["group rebalances", "group has a new generation", "groups loaded", "groups unloaded", "static member replaced", "member failed", "group is empty", "group deleted", "log cleaned"];

export function runGroups(seed: string, options: RunOptions<FaultKind> = {}): Promise<Outcome> {
  return withTripwires(() => new Run(seed, drawGroups(seed), options).all());
}

class Run {
  readonly #draw: GroupDraw;
  readonly #plan: readonly BrokerFault[];
  readonly #world: World;
  readonly #cluster: ClusterWorld;
  readonly #judge: SimNode;
  readonly #judgeClient: ClusterClient;
  readonly #history: GroupHistory;
  readonly #invariants = new Invariants((topic) => topic === SAFE_TOPIC || topic === GROUP_METADATA_TOPIC);
  readonly #convergence: Convergence;
  readonly #marks = new GroupMarks();
  readonly #crews: Crew[];
  readonly #committers: SimpleCommitter[];
  readonly #visitor: GroupVisitor;
  readonly #producers: IdempotentProducer[] = [];
  /** The latest epoch in which a partition of the offsets topic was led. */
  readonly #epochs = new Map<number, number>();
  #ambushes: { readonly message: string; readonly hear: (broker: SimNode) => void }[] = [];
  #clients = 0;
  #looking = true;
  #churning = true;

  constructor(seed: string, drawn: GroupDraw, { only, without = [], print }: RunOptions<FaultKind>) {
    this.#draw = drawn;
    this.#plan = drawn.plan.filter(({ kind }, index) => !without.includes(kind) && (only === undefined || only.includes(index)));
    this.#world = new World({ seed, ...drawn.world, ...(print && { print }), expected: () => false });
    this.#cluster = new ClusterWorld(this.#world, drawn.shape);
    this.#cluster.onLine = (line) => this.#hear(line);
    this.#judge = this.#world.addNode("judge");
    this.#judgeClient = this.#clusterClient(this.#judge);
    this.#history = new GroupHistory((group) => this.#ownerOf(group));
    this.#convergence = new Convergence({ cluster: this.#cluster, client: this.#judgeClient, topics: [SAFE_TOPIC, GROUP_METADATA_TOPIC], mayBeUnclean: () => false });
    this.#crews = [...drawn.crews, drawn.passingCrew].map((options, index) => {
      const node = this.#clientNode(index);
      return new Crew(node.host, this.#world.prng(`crew/${options.group}`), () => this.#tapped(node), { ...options, lasting: (topic) => topic === SAFE_TOPIC });
    });
    const committer = (group: string, retentionMs?: number): SimpleCommitter => {
      const partitions = Array.from({ length: SAFE_PARTITIONS }, (_, partition) => ({ topic: SAFE_TOPIC, partition }));
      return new SimpleCommitter(this.#tapped(this.#clientNode(0)), this.#world.prng(`committer/${group}`), { group, partitions, pauseMsMax: drawn.visitorPauseMsMax, retentionMs });
    };
    this.#committers = [committer(SIMPLE), committer(BRIEF, drawn.retentionMs)];
    const { group } = drawn.passingCrew;
    this.#visitor = new GroupVisitor(this.#tapped(this.#clientNode(1)), this.#world.prng("visitor"), {
      groups: [...drawn.crews.map((crew) => crew.group), group, SIMPLE, "nobody's"],
      mayGo: [group, BRIEF],
      offsetsThatMayGo: [{ topic: SAFE_TOPIC, partition: 0 }, { topic: PASSING_TOPIC, partition: 0 }],
      pauseMsMax: drawn.visitorPauseMsMax * 2,
    });
  }

  async all(): Promise<Outcome> {
    const world = this.#world;
    const { crews } = this.#draw;
    this.#look();
    await world.settle(makeTopic(this.#judgeClient, { name: SAFE_TOPIC, partitions: SAFE_PARTITIONS, replicas: 3, settings: { "min.insync.replicas": "2" } }));
    this.#startWork();
    await world.run({ untilMs: Math.max(world.nowMs, FAULTS_FROM_MS) });
    const trouble = new BrokerTrouble(this.#scene());
    trouble.begin(this.#plan);
    await world.run({ untilMs: Math.max(world.nowMs, planEndMs(this.#plan)) });
    this.#ambushes = [];
    trouble.heal();
    await this.#comeTogether();
    const comparisons = await this.#lastLook();
    const lasting = new Set([...crews.map(({ group }) => group), SIMPLE]);
    checkGroups(this.#history.seen, (group) => lasting.has(group));
    const offsets = checkOffsets(this.#history.seen, { mayExpire: (group) => group === BRIEF, mayGo: (name) => name.startsWith(PASSING_TOPIC) });
    const commits = this.#crews.reduce((sum, crew) => sum + crew.commits, 0) + this.#committers.reduce((sum, committer) => sum + committer.commits, 0);
    world.mark(commits);
    return {
      hash: world.hash,
      events: world.events,
      endedMs: world.nowMs,
      faults: Object.fromEntries(trouble.happened),
      incidents: this.#crews.reduce((sum, { incidents }) => sum + incidents, 0),
      commits,
      read: this.#crews.reduce((sum, { ledger }) => sum + [...ledger.read.values()].reduce((total, values) => total + values.size, 0), 0),
      groupsDeleted: this.#visitor.deleted,
      offsets,
      comparisons,
      answers: Object.fromEntries([...this.#history.answers].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      marks: this.#marks.seen,
    };
  }

  #clientNode(index: number): SimNode {
    const { clients } = this.#cluster;
    return must(clients[index % clients.length], "client");
  }

  #clusterClient(node: SimNode): ClusterClient {
    this.#clients += 1;
    const name = `${node.name}-${this.#clients}`;
    return new ClusterClient({ host: node.host, name, brokers: this.#cluster.brokers.map((broker) => broker.name), draws: this.#world.prng(`client/${name}`), timeoutMs: 4000 });
  }

  #tapped(node: SimNode): TappedClient {
    this.#clients += 1;
    const name = `${node.name}-${this.#clients}`;
    const bootstrap = this.#cluster.brokers.map((broker) => ({ host: broker.name, port: BROKER_PORT }));
    return new TappedClient({ host: node.host, bootstrap, clientId: name, requestTimeoutMs: TIMEOUT_MS, random: this.#world.prng(`client/${name}`) }, this.#history);
  }

  #partitionOf(group: string): number {
    return groupPartition(group, this.#draw.offsetsPartitions);
  }

  /** Who leads the group's partition in the latest epoch that there ever was; its own word counts only as long as nobody has a later one. */
  #ownerOf(group: string): { readonly broker: number; readonly epoch: number } | undefined {
    const wanted = this.#partitionOf(group);
    let owner: { broker: number; epoch: number } | undefined;
    for (const { id, partitions } of this.#convergence.running) {
      for (const { topic, partition, isLeader, leaderEpoch } of partitions) {
        if (topic === GROUP_METADATA_TOPIC && partition === wanted && isLeader && leaderEpoch > (owner?.epoch ?? -1)) owner = { broker: id, epoch: leaderEpoch };
      }
    }
    const latest = Math.max(owner?.epoch ?? -1, this.#epochs.get(wanted) ?? -1);
    this.#epochs.set(wanted, latest);
    return owner?.epoch === latest ? owner : undefined;
  }

  #scene(): Scene {
    return {
      cluster: this.#cluster,
      controller: () => (this.#judgeClient.controllerId < 0 ? undefined : this.#judgeClient.controllerId),
      leader: () => this.#ownerOf(SIMPLE)?.broker,
      coordinator: () => this.#ownerOf(must(this.#draw.crews[0], "crew").group)?.broker,
      ambushes: AMBUSHES,
      synced: this.#draw.synced,
      onLine: (message, hear) => this.#ambushes.push({ message, hear }),
    };
  }

  #hear(line: HeardLine): void {
    this.#marks.hear(line);
    const ambush = this.#ambushes.findIndex(({ message }) => message === line.message);
    if (ambush >= 0) for (const { hear } of this.#ambushes.splice(ambush, 1)) hear(this.#cluster.node(line.broker));
  }

  #startWork(): void {
    for (let partition = 0; partition < SAFE_PARTITIONS; partition++) {
      const producer = new IdempotentProducer(this.#clusterClient(this.#clientNode(2)), { ...this.#draw.producers, name: `${partitionName(SAFE_TOPIC, partition)}/all`, topic: SAFE_TOPIC, partition });
      this.#producers.push(producer);
      producer.start();
    }
    for (const one of [...this.#crews, ...this.#committers, this.#visitor]) one.start();
    this.#churn().catch((error: unknown) => this.#judge.host.fail(error as Error));
  }

  /** Makes and deletes the topic that only some subscribe to; and so learns who the controller is. */
  async #churn(): Promise<void> {
    const client = this.#judgeClient;
    const isOver = (): boolean => !this.#churning;
    while (this.#churning) {
      await makeTopic(client, { name: PASSING_TOPIC, partitions: PASSING_PARTITIONS, replicas: 3 }, isOver);
      await client.pause(client.draws.between(300, 2500));
      await removeTopic(client, PASSING_TOPIC, isOver);
      await client.pause(client.draws.between(10, 600));
    }
  }

  #look(): void {
    if (!this.#looking) return;
    this.#invariants.look(this.#convergence.running);
    this.#world.after(LOOK_EVERY_MS, () => this.#look());
  }

  /** Nobody comes or goes any more: groups become stable, stay so, and read everything. */
  async #comeTogether(): Promise<void> {
    const convergence = this.#convergence;
    const lasting = this.#crews.slice(0, -1);
    await convergence.agreed({ preferred: true });
    this.#churning = false;
    await convergence.within("what churns comes to rest", removeTopic(this.#judgeClient, PASSING_TOPIC), () => PASSING_TOPIC);
    await convergence.within("visitors come to rest", Promise.all([...this.#committers, this.#visitor].map((one) => one.rest())), () => "a visitor");
    await convergence.within("crews are calm", Promise.all(this.#crews.map((crew) => crew.calm())), () => "a crew");
    await convergence.within("a group can be left", must(this.#crews.at(-1), "passing crew").leave(), () => "the passing group");
    await convergence.until("groups become stable", () => lasting.map((crew) => this.#unrest(crew)).find((one) => one !== undefined), STABLE_MS_MAX);
    const generations = lasting.map((crew) => crew.consumers.map(({ assignment }) => assignment?.generation).join());
    await this.#world.run({ forMs: CALM_MS });
    for (const [index, crew] of lasting.entries()) {
      const now = crew.consumers.map(({ assignment }) => assignment?.generation).join();
      if (now !== generations[index]) throw new Violation("a group that is let alone stays as it is", `${crew.options.group} went from ${generations[index]} to ${now}`);
    }
    await convergence.within("producers come to rest", Promise.all(this.#producers.map((one) => one.rest())), () => "a producer");
    await convergence.until("each group reads everything", () => lasting.map((crew) => this.#unread(crew)).find((one) => one !== undefined));
    for (const crew of lasting) crew.silence();
    await this.#agree(lasting);
  }

  /** Why the group is not stable, as its members and its coordinator see it. */
  #unrest({ options: { group, members }, consumers }: Crew): string | undefined {
    if (consumers.length !== members) return `${group} has ${consumers.length} of ${members} processes`;
    const generations = new Set(consumers.map(({ assignment }) => assignment?.generation));
    if (generations.size > 1 || generations.has(undefined)) return `members of ${group} are in the generations ${[...generations].join()}`;
    const owned = consumers.flatMap(({ assignment }) => assignment?.partitions ?? []).filter(({ topic }) => topic === SAFE_TOPIC);
    if (owned.length !== SAFE_PARTITIONS) return `members of ${group} own ${owned.length} partitions`;
    const owner = this.#ownerOf(group);
    const described = owner && this.#cluster.running(owner.broker)?.groups.describe(group);
    return described?.state === "Stable" && described.members.length === members ? undefined : `${group} is ${described?.state} with ${described?.members.length} of ${members} members`;
  }

  #unread({ ledger }: Crew): string | undefined {
    for (const { options, acknowledged } of this.#producers) {
      const name = partitionName(options.topic, options.partition);
      const values = ledger.read.get(name);
      for (const [index, offset] of acknowledged) {
        if (offset < 0) continue;
        const value = values?.get(offset);
        if (value === undefined) return `${ledger.group} has not read ${options.name}:${index} at ${offset} of ${name}`;
        if (value !== `${options.name}:${index}`) throw new Violation("a group reads what was written", `${ledger.group} read ${value} at ${offset} of ${name}, where ${options.name}:${index} was acknowledged`);
      }
    }
    return undefined;
  }

  /** Every broker lists its own groups, as they are described; members' own commits are what is committed. */
  async #agree(crews: readonly Crew[]): Promise<void> {
    const client = this.#tapped(this.#judge);
    const admin = new GroupAdmin(client);
    const listed = await this.#world.settle(admin.list());
    const described = await this.#world.settle(admin.describe(listed.map(({ groupId }) => groupId)));
    for (const [index, { groupId, state, coordinator, protocolType }] of listed.entries()) {
      const same = must(described[index], groupId);
      if (same.groupState !== state || same.protocolType !== protocolType) throw new Violation("what is listed is described", `${groupId} is listed as ${state} ${protocolType}, and described as ${same.groupState} ${same.protocolType}`);
      const owner = this.#ownerOf(groupId)?.broker;
      if (owner !== coordinator) throw new Violation("a coordinator lists its groups", `${groupId} is listed by broker ${coordinator}, and coordinated by ${owner}`);
    }
    const names = listed.map(({ groupId }) => groupId);
    if (new Set(names).size !== names.length) throw new Violation("a group has one coordinator", names.join());
    for (const { options } of crews) if (!names.includes(options.group)) throw new Violation("every group is listed", `${options.group} is not among ${names.join()}`);
    for (const group of [...names, SIMPLE, BRIEF]) await this.#world.settle(fetchOffsets(client, group, null));
    await this.#world.settle(client.close());
  }

  /** What coordinators know is what their logs say; all leave, all stop, and all replicas say the same. */
  async #lastLook(): Promise<number> {
    const convergence = this.#convergence;
    const { brokers, brokerIds } = this.#cluster;
    await convergence.quiet();
    const compared = checkCoordinators(brokerIds.map((id) => ({ broker: must(this.#cluster.running(id), `broker ${id}`), logs: storedLogs(this.#cluster.node(id)) })), (key, number) => this.#history.isUnknown(key, number));
    checkReplicas(brokers.map((node) => storedLogs(node)));
    await convergence.until("offsets logs are compacted", () => uncompacted(brokers.map((node) => storedLogs(node)), this.#draw.segmentBytes));
    await convergence.within("groups can be left", Promise.all(this.#crews.slice(0, -1).map((crew) => crew.leave())), () => "a group");
    await this.#clear();
    await convergence.quiet();
    const [starts, znodes] = [convergence.starts(), convergence.znodes()];
    convergence.checkLogs(znodes, starts);
    this.#looking = false;
    await this.#world.settle(this.#judgeClient.close());
    await convergence.stopAll();
    convergence.checkLogs(znodes, starts);
    checkReplicas(brokers.map((node) => storedLogs(node)));
    return compared;
  }

  /** Static members say nothing when they go, and offsets expire when they like: nothing may be appended while brokers stop. */
  async #clear(): Promise<void> {
    const client = this.#tapped(this.#judge);
    const admin = new GroupAdmin(client);
    for (const { options, instanceIds } of this.#crews.slice(0, -1)) {
      if (instanceIds.length > 0) await this.#world.settle(admin.removeMembers(options.group, instanceIds));
    }
    await this.#world.settle(admin.delete([BRIEF]));
    await this.#world.settle(client.close());
    await this.#convergence.until("groups become empty", () => {
      for (const { id } of this.#convergence.running) {
        for (const { id: group, state, offsets } of this.#cluster.running(id)?.groups.core.groups() ?? []) if (state !== "Empty" || offsets.isEmpty) return `${group} is ${state}`;
      }
      return undefined;
    });
  }
}
