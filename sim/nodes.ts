import { withTripwires } from "../src/host/sim/tripwires.ts";
import { must } from "../src/lib/assert.ts";
import type { RunOptions } from "./hunting.ts";
import { BrokerTrouble, type BrokerFault } from "./kafka/faults.ts";
import { GROUP_AMBUSHES, GROUP_TOPICS, GroupsWork, type GroupsOutcome } from "./kafka/groups-work.ts";
import { mayBeUnclean, RECORD_TOPICS, RecordsWork, type RecordsOutcome } from "./kafka/records-work.ts";
import { Stage } from "./kafka/stage.ts";
import { drawNodes, drawRounds, isMemberFault, type FaultKind, type NodesDraw, type NodesFault } from "./nodes-draw.ts";
import { partOf, planEndMs } from "./trouble.ts";
import { ClientTap } from "./zookeeper/client-tap.ts";
import { staleMsMax } from "./zookeeper/draw.ts";
import { MemberTrouble, type Scene as MemberScene } from "./zookeeper/faults.ts";
import type { SyncBegin } from "./zookeeper/quorum-tap.ts";
import { ZnodesWork, type ZnodesOutcome } from "./zookeeper/znodes-work.ts";

/**
 * Whole nodes, each a ZooKeeper member and a broker in one process on one machine, on the simulated host, with clients
 * of both kinds: producers, readers, groups of consumers, and clients of the ensemble. Rounds of faults, each followed
 * by healing and convergence; in the end everything that anybody saw is held against what is on the disks. What
 * brokers say to members is judged by the same rules as what other clients of the ensemble say.
 */

export interface Outcome {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
  readonly nodes: number;
  readonly rounds: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly records: RecordsOutcome;
  readonly groups: GroupsOutcome;
  readonly znodes: ZnodesOutcome;
  /** Of clients of both kinds, answered well. */
  readonly operationsPerSecond: number;
}

/** Work goes on so long before the first fault, and between a convergence and the next. */
const CALM_MS = 1500;

export function runNodes(seed: string, options: RunOptions<FaultKind> = {}): Promise<Outcome> {
  return withTripwires(() => new Run(seed, drawNodes(seed), options).all());
}

class Run {
  readonly #draw: NodesDraw;
  readonly #rounds: readonly (readonly NodesFault[])[];
  readonly #minutes: number;
  readonly #stage: Stage;
  readonly #records: RecordsWork;
  readonly #groups: GroupsWork;
  readonly #znodes: ZnodesWork;
  readonly #onSync: ((begin: SyncBegin) => void)[] = [];
  readonly #happened = new Map<string, number>();

  constructor(seed: string, drawn: NodesDraw, options: RunOptions<FaultKind>) {
    this.#draw = drawn;
    this.#minutes = options.minutes ?? 0;
    this.#rounds = partOfRounds(drawRounds(seed, this.#minutes), options);
    const topics = [...RECORD_TOPICS, ...GROUP_TOPICS];
    this.#stage = new Stage({
      seed,
      ...drawn,
      topics,
      mayBeUnclean: (topic) => mayBeUnclean(drawn.records, topic),
      print: options.print,
      tap: (world) => new ClientTap(world),
    });
    const { world, cluster, judge, tap } = this.#stage;
    cluster.onSync = (begin) => {
      for (const hear of this.#onSync.splice(0)) hear(begin);
    };
    this.#records = new RecordsWork(this.#stage, drawn.records);
    this.#groups = new GroupsWork(this.#stage, drawn.groups);
    this.#znodes = new ZnodesWork({ world, tap: must(tap, "tap"), histories: cluster.histories, members: cluster.members.map((node) => ({ node, isVoter: true })), judge, draw: drawn.znodes });
  }

  async all(): Promise<Outcome> {
    const { world, convergence } = this.#stage;
    this.#znodes.start();
    await this.#records.makeTopics();
    await this.#groups.prepare();
    this.#records.start();
    this.#groups.start();
    let rounds = 0;
    for (const plan of this.#rounds) {
      if (rounds > 0 && world.nowMs >= this.#minutes * 60_000) break;
      await world.run({ forMs: CALM_MS });
      await this.#round(plan);
      rounds += 1;
    }
    await this.#groups.comeTogether();
    await this.#records.rest();
    await this.#znodes.alive(this.#znodes.calm());
    await convergence.quiet();
    await this.#groups.leave();
    await convergence.quiet();
    return this.#lastLook(rounds);
  }

  /** Faults; then all heals, comes together, and goes on with its work. */
  async #round(plan: readonly NodesFault[]): Promise<void> {
    const { world, cluster, convergence } = this.#stage;
    const startMs = world.nowMs;
    const brokers = new BrokerTrouble(this.#stage.scene({ leader: () => this.#records.leader, coordinator: () => this.#groups.coordinator, ambushes: GROUP_AMBUSHES }));
    const members = new MemberTrouble(this.#memberScene());
    brokers.begin(plan.filter((fault): fault is BrokerFault => !isMemberFault(fault)), startMs);
    members.begin(plan.filter((fault) => isMemberFault(fault)), startMs);
    await world.run({ untilMs: startMs + planEndMs(plan) });
    this.#stage.endAmbushes();
    this.#onSync.length = 0;
    members.heal();
    brokers.heal();
    for (const [kind, count] of [...brokers.happened, ...members.happened]) this.#happened.set(kind, (this.#happened.get(kind) ?? 0) + count);
    await convergence.until("stops end", () => (cluster.stopping ? "a node that stops" : undefined));
    await convergence.agreed({ preferred: true });
    await this.#znodes.alive(this.#znodes.converge());
    await this.#records.progress();
  }

  #memberScene(): MemberScene {
    const { world, cluster } = this.#stage;
    return {
      world,
      members: cluster.members,
      clients: this.#znodes.clients,
      leader: () => cluster.quorumLeader,
      powerLoss: (node) => {
        if (this.#draw.synced) node.powerLoss();
        else node.kill();
      },
      restart: (node) => (cluster.machines.includes(node) ? cluster.restart(node) : this.#znodes.restart(node)),
      onSync: (hear) => this.#onSync.push(hear),
      memberOf: (id) => cluster.node(id),
      burst: (dice, count) => this.#znodes.burst(dice, count),
    };
  }

  /** Brokers stop, cleanly, then what is on the disks is held against all that was seen. */
  async #lastLook(rounds: number): Promise<Outcome> {
    const { world, convergence, judgeClient } = this.#stage;
    const [starts, znodes] = [convergence.starts(), convergence.znodes()];
    this.#records.check(convergence.checkLogs(znodes, starts));
    this.#stage.endLooking();
    await world.settle(judgeClient.close());
    await convergence.stopAll();
    convergence.checkLogs(znodes, starts);
    convergence.znodes();
    const groups = this.#groups.check();
    const members = await this.#znodes.alive(this.#znodes.lastLook({ restart: () => undefined, staleMsMax: staleMsMax(this.#draw.znodes, this.#rounds.flat()) }));
    const records = this.#records.outcome;
    const operations = records.acknowledged + records.read + groups.commits + groups.read + members.acknowledged + members.reads + members.syncs;
    return {
      hash: world.hash,
      events: world.events,
      endedMs: world.nowMs,
      nodes: this.#draw.shape.brokers,
      rounds,
      faults: Object.fromEntries(this.#happened),
      records,
      groups,
      znodes: members,
      operationsPerSecond: Math.round(operations / (world.nowMs / 1000)),
    };
  }
}

/** The numbers of faults go on from one round to the next. */
function partOfRounds(rounds: readonly (readonly NodesFault[])[], { only, without }: RunOptions<FaultKind>): NodesFault[][] {
  let first = 0;
  return rounds.map((plan) => {
    const from = first;
    first += plan.length;
    return partOf(plan, { only: only?.map((index) => index - from), ...(without && { without }) });
  });
}
