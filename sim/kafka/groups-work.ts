import { must } from "../../src/lib/assert.ts";
import type { SimNode } from "../../src/host/sim/node.ts";
import { GroupAdmin } from "../../src/kafka/client/group-admin.ts";
import { commitOffsets, fetchOffsets } from "../../src/kafka/client/group-offsets.ts";
import { groupPartition } from "../../src/kafka/coordinators/group/group-core.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import { ErrorCode } from "../../src/kafka/protocol/error-codes.ts";
import { GROUP_METADATA_TOPIC } from "../../src/kafka/protocol/internal-topics.ts";
import { filesOfNode } from "../stored-files.ts";
import { Violation } from "../zookeeper/violation.ts";
import { checkGroups } from "./check-groups.ts";
import { checkCoordinators, checkReplicas, uncompacted } from "./check-group-state.ts";
import { checkOffsets } from "./check-offsets.ts";
import { BROKER_PORT } from "./cluster-world.ts";
import { PASSING_TOPIC, SHARED_TOPIC, type GroupDraw } from "./group-draw.ts";
import { GroupHistory, TappedClient, type Owner } from "./group-history.ts";
import { GroupMarks } from "./group-marks.ts";
import { GroupVisitor, SimpleCommitter } from "./group-visitors.ts";
import { Crew, passing, type Ledger } from "./group-workload.ts";
import { IdempotentProducer } from "./producers.ts";
import type { Stage } from "./stage.ts";
import { storedLogs } from "./stored-logs.ts";
import { makeTopic, removeTopic } from "./topic-churn.ts";

export type GroupsDraw = Omit<GroupDraw, "shape" | "world" | "kinds" | "plan" | "synced">;

export interface GroupsOutcome {
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

const TIMEOUT_MS = 2500;
const RETRY_MS = 100;
const SHARED_PARTITIONS = 3;
const PASSING_PARTITIONS = 2;
/** A group that is let alone is stable after so long, and stays it for as long as that. */
const STABLE_MS_MAX = 30_000;
const CALM_MS = 6000;

const SIMPLE = "simple";
const BRIEF = "brief";
export const GROUP_TOPICS: readonly string[] = [SHARED_TOPIC, GROUP_METADATA_TOPIC];
/** At what a coordinator may be killed in the midst of. */
export const GROUP_AMBUSHES: readonly string[] = ["group rebalances", "group has a new generation", "groups loaded", "groups unloaded", "static member replaced", "member failed", "group is empty", "group deleted", "log cleaned"];

/** Groups of consumers that come and go, commit and are looked at, on a topic of their own that producers write. */
export class GroupsWork {
  readonly #stage: Stage;
  readonly #draw: GroupsDraw;
  readonly #history: GroupHistory;
  readonly #marks = new GroupMarks();
  readonly #crews: Crew[];
  readonly #committers: SimpleCommitter[];
  readonly #visitor: GroupVisitor;
  readonly #producers: IdempotentProducer[] = [];
  /** The latest epoch in which a partition of the offsets topic was led. */
  readonly #epochs = new Map<number, number>();
  #clients = 0;
  #churning = true;
  #churned: Promise<void> | undefined;
  #comparisons = 0;

  constructor(stage: Stage, drawn: GroupsDraw) {
    this.#stage = stage;
    this.#draw = drawn;
    const { world } = stage;
    stage.hearers.push((line) => this.#marks.hear(line));
    this.#history = new GroupHistory((group) => this.#ownerOf(group));
    this.#crews = [...drawn.crews, drawn.passingCrew].map((options, index) => {
      const node = stage.clientNode(index);
      return new Crew(node.host, world.prng(`crew/${options.group}`), () => this.#tapped(node), { ...options, lasting: (topic) => topic === SHARED_TOPIC });
    });
    const committer = (group: string, retentionMs?: number): SimpleCommitter => {
      const partitions = Array.from({ length: SHARED_PARTITIONS }, (_, partition) => ({ topic: SHARED_TOPIC, partition }));
      return new SimpleCommitter(this.#tapped(stage.clientNode(0)), world.prng(`committer/${group}`), { group, partitions, pauseMsMax: drawn.visitorPauseMsMax, retentionMs });
    };
    this.#committers = [committer(SIMPLE), committer(BRIEF, drawn.retentionMs)];
    const { group } = drawn.passingCrew;
    this.#visitor = new GroupVisitor(this.#tapped(stage.clientNode(1)), world.prng("visitor"), {
      groups: [...drawn.crews.map((crew) => crew.group), group, SIMPLE, "nobody's"],
      mayGo: [group, BRIEF],
      offsetsThatMayGo: [{ topic: SHARED_TOPIC, partition: 0 }, { topic: PASSING_TOPIC, partition: 0 }],
      pauseMsMax: drawn.visitorPauseMsMax * 2,
    });
  }

  async prepare(): Promise<void> {
    const { world, judge, judgeClient } = this.#stage;
    await world.settle(makeTopic(judgeClient, { name: SHARED_TOPIC, partitions: SHARED_PARTITIONS, replicas: 3, settings: { "min.insync.replicas": "2" } }));
    const client = this.#tapped(judge);
    for (const { options, ledger } of this.#crews.slice(0, -1)) await world.settle(this.#found(client, options.group, ledger));
    await world.settle(client.close());
  }

  /** A group that is empty and has no offset goes by itself, and counts its generations anew when it comes again. */
  async #found(client: TappedClient, group: string, ledger: Ledger): Promise<void> {
    const offset = { topic: SHARED_TOPIC, partition: 0, offset: 0, metadata: String(ledger.nextNumber(partitionName(SHARED_TOPIC, 0))) };
    for (;;) {
      const codes = await passing(client, commitOffsets(client, group, [offset], { memberId: "", generation: -1 }));
      if (codes?.every((code) => code === ErrorCode.NONE) === true) return;
      await client.pause(RETRY_MS);
    }
  }

  /** Coordinates a group whose commits are simple; a group with members. */
  get leader(): number | undefined {
    return this.#ownerOf(SIMPLE)?.broker;
  }

  get coordinator(): number | undefined {
    return this.#ownerOf(must(this.#draw.crews[0], "crew").group)?.broker;
  }

  start(): void {
    for (let partition = 0; partition < SHARED_PARTITIONS; partition++) {
      const producer = new IdempotentProducer(this.#stage.client(this.#stage.clientNode(2)), { ...this.#draw.producers, name: `${partitionName(SHARED_TOPIC, partition)}/all`, topic: SHARED_TOPIC, partition });
      this.#producers.push(producer);
      producer.start();
    }
    for (const one of [...this.#crews, ...this.#committers, this.#visitor]) one.start();
    this.#churned = this.#churn();
    this.#churned.catch((error: unknown) => this.#stage.judge.host.fail(error as Error));
  }

  /** Nobody comes or goes any more: groups become stable, stay so, and read everything. */
  async comeTogether(): Promise<void> {
    const { convergence } = this.#stage;
    const lasting = this.#crews.slice(0, -1);
    this.#churning = false;
    await convergence.within("what churns comes to rest", must(this.#churned, "churn"), () => PASSING_TOPIC);
    await convergence.within("topics can be deleted", removeTopic(this.#stage.judgeClient, PASSING_TOPIC), () => PASSING_TOPIC);
    await convergence.within("visitors come to rest", Promise.all([...this.#committers, this.#visitor].map((one) => one.rest())), () => "a visitor");
    await convergence.within("crews are calm", Promise.all(this.#crews.map((crew) => crew.calm())), () => "a crew");
    await convergence.within("a group can be left", must(this.#crews.at(-1), "passing crew").leave(), () => "the passing group");
    await convergence.until("groups become stable", () => lasting.map((crew) => this.#unrest(crew)).find((one) => one !== undefined), STABLE_MS_MAX);
    const generations = lasting.map((crew) => crew.consumers.map(({ assignment }) => assignment?.generation).join());
    await this.#stage.world.run({ forMs: CALM_MS });
    for (const [index, crew] of lasting.entries()) {
      const now = crew.consumers.map(({ assignment }) => assignment?.generation).join();
      if (now !== generations[index]) throw new Violation("a group that is let alone stays as it is", `${crew.options.group} went from ${generations[index]} to ${now}`);
    }
    await convergence.within("producers come to rest", Promise.all(this.#producers.map((one) => one.rest())), () => "a producer");
    await convergence.until("each group reads everything", () => lasting.map((crew) => this.#unread(crew)).find((one) => one !== undefined));
    for (const crew of lasting) crew.silence();
    await this.#agree(lasting);
  }

  /** What coordinators know is what their logs say, once nothing is written any more; then all leave. */
  async leave(): Promise<void> {
    const { convergence, cluster } = this.#stage;
    const { brokers, brokerIds } = cluster;
    this.#comparisons = checkCoordinators(brokerIds.map((id) => ({ broker: must(cluster.running(id), `broker ${id}`), logs: storedLogs(filesOfNode(cluster.node(id))) })), (key, number) => this.#history.isUnknown(key, number));
    checkReplicas(brokers.map((node) => storedLogs(filesOfNode(node))), { deletionsMayBeMissed: this.#draw.tombstonesGoSoon });
    await convergence.until("offsets logs are compacted", () => uncompacted(brokers.map((node) => storedLogs(filesOfNode(node))), this.#draw.segmentBytes));
    await convergence.within("groups can be left", Promise.all(this.#crews.slice(0, -1).map((crew) => crew.leave())), () => "a group");
    await this.#clear();
  }

  /** Once all brokers have stopped. */
  check(): GroupsOutcome {
    const { world, cluster } = this.#stage;
    checkReplicas(cluster.brokers.map((node) => storedLogs(filesOfNode(node))), { deletionsMayBeMissed: this.#draw.tombstonesGoSoon });
    const lasting = new Set([...this.#draw.crews.map(({ group }) => group), SIMPLE]);
    checkGroups(this.#history.seen, (group) => lasting.has(group));
    const offsets = checkOffsets(this.#history.seen, { mayExpire: (group) => group === BRIEF, mayGo: (name) => name.startsWith(PASSING_TOPIC) });
    const commits = this.#crews.reduce((sum, crew) => sum + crew.commits, 0) + this.#committers.reduce((sum, committer) => sum + committer.commits, 0);
    world.mark(commits);
    return {
      incidents: this.#crews.reduce((sum, { incidents }) => sum + incidents, 0),
      commits,
      read: this.#crews.reduce((sum, { ledger }) => sum + [...ledger.read.values()].reduce((total, values) => total + values.size, 0), 0),
      groupsDeleted: this.#visitor.deleted,
      offsets,
      comparisons: this.#comparisons,
      answers: Object.fromEntries([...this.#history.answers].toSorted(([a], [b]) => (a < b ? -1 : 1))),
      marks: this.#marks.seen,
    };
  }

  /** Makes and deletes the topic that only some subscribe to; and so learns who the controller is. */
  async #churn(): Promise<void> {
    const client = this.#stage.judgeClient;
    const isOver = (): boolean => !this.#churning;
    while (this.#churning) {
      await makeTopic(client, { name: PASSING_TOPIC, partitions: PASSING_PARTITIONS, replicas: 3 }, isOver);
      await client.pause(client.draws.between(300, 2500));
      await removeTopic(client, PASSING_TOPIC, isOver);
      await client.pause(client.draws.between(10, 600));
    }
  }

  /** Why the group is not stable, as its members and its coordinator see it. */
  #unrest({ options: { group, members }, consumers }: Crew): string | undefined {
    if (consumers.length !== members) return `${group} has ${consumers.length} of ${members} processes`;
    const generations = new Set(consumers.map(({ assignment }) => assignment?.generation));
    if (generations.size > 1 || generations.has(undefined)) return `members of ${group} are in the generations ${[...generations].join()}`;
    if (consumers.some(({ rejoins }) => rejoins)) return `a member of ${group} is about to join again`;
    const owned = consumers.flatMap(({ assignment }) => assignment?.partitions ?? []).filter(({ topic }) => topic === SHARED_TOPIC);
    if (owned.length !== SHARED_PARTITIONS) return `members of ${group} own ${owned.length} partitions`;
    const owner = this.#ownerOf(group);
    const described = owner && this.#stage.cluster.running(owner.broker)?.groups.describe(group);
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
    const client = this.#tapped(this.#stage.judge);
    const admin = new GroupAdmin(client);
    const listed = await this.#stage.world.settle(admin.list());
    const described = await this.#stage.world.settle(admin.describe(listed.map(({ groupId }) => groupId)));
    for (const [index, { groupId, state, coordinator, protocolType }] of listed.entries()) {
      const same = must(described[index], groupId);
      if (same.groupState !== state || same.protocolType !== protocolType) throw new Violation("what is listed is described", `${groupId} is listed as ${state} ${protocolType}, and described as ${same.groupState} ${same.protocolType}`);
      const owner = this.#ownerOf(groupId)?.broker;
      if (owner !== coordinator) throw new Violation("a coordinator lists its groups", `${groupId} is listed by broker ${coordinator}, and coordinated by ${owner}`);
    }
    const names = listed.map(({ groupId }) => groupId);
    if (new Set(names).size !== names.length) throw new Violation("a group has one coordinator", names.join());
    for (const { options } of crews) if (!names.includes(options.group)) throw new Violation("every group is listed", `${options.group} is not among ${names.join()}`);
    for (const group of [...names, SIMPLE, BRIEF]) await this.#stage.world.settle(fetchOffsets(client, group, null));
    await this.#stage.world.settle(client.close());
  }

  /** Static members say nothing when they go, and offsets expire when they like: nothing may be appended while brokers stop. */
  async #clear(): Promise<void> {
    const client = this.#tapped(this.#stage.judge);
    const admin = new GroupAdmin(client);
    for (const { options, instanceIds } of this.#crews.slice(0, -1)) {
      if (instanceIds.length > 0) await this.#stage.world.settle(admin.removeMembers(options.group, instanceIds));
    }
    await this.#stage.world.settle(admin.delete([BRIEF]));
    await this.#stage.world.settle(client.close());
    await this.#stage.convergence.until("groups become empty", () => {
      for (const { id } of this.#stage.convergence.running) {
        for (const { id: group, state, offsets } of this.#stage.cluster.running(id)?.groups.core.groups() ?? []) if (state !== "Empty" || offsets.isEmpty) return `${group} is ${state}`;
      }
      return undefined;
    });
  }

  #tapped(node: SimNode): TappedClient {
    this.#clients += 1;
    const name = `${node.name}-${this.#clients}`;
    const bootstrap = this.#stage.cluster.brokers.map((broker) => ({ host: broker.name, port: BROKER_PORT }));
    return new TappedClient({ host: node.host, bootstrap, clientId: name, requestTimeoutMs: TIMEOUT_MS, random: this.#stage.world.prng(`client/${name}`) }, this.#history);
  }

  #partitionOf(group: string): number {
    return groupPartition(group, this.#draw.offsetsPartitions);
  }

  /** Who leads the group's partition in the latest epoch that there ever was; its own word counts only as long as nobody has a later one. */
  #ownerOf(group: string): Owner | undefined {
    const wanted = this.#partitionOf(group);
    let owner: Owner | undefined;
    for (const { id, partitions } of this.#stage.convergence.running) {
      for (const { topic, partition, isLeader, leaderEpoch } of partitions) {
        if (topic === GROUP_METADATA_TOPIC && partition === wanted && isLeader && leaderEpoch > (owner?.epoch ?? -1)) owner = { broker: id, epoch: leaderEpoch, loaded: must(this.#stage.cluster.running(id), "broker").groups.core.ownedPartitions.includes(wanted) };
      }
    }
    const latest = Math.max(owner?.epoch ?? -1, this.#epochs.get(wanted) ?? -1);
    this.#epochs.set(wanted, latest);
    return owner?.epoch === latest ? owner : undefined;
  }
}
