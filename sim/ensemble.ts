import type { SimNode } from "../src/host/sim/node.ts";
import { withTripwires } from "../src/host/sim/tripwires.ts";
import { World } from "../src/host/sim/world.ts";
import { must } from "../src/lib/assert.ts";
import { errorCode, toError } from "../src/lib/error.ts";
import { parseProperties } from "../src/lib/properties.ts";
import { readMemberConfig } from "../src/zookeeper/config/member-config.ts";
import { QuorumMember } from "../src/zookeeper/server/quorum-member.ts";
import type { RunOptions } from "./hunting.ts";
import { filesOfNode } from "./stored-files.ts";
import { partOf } from "./trouble.ts";
import { CLIENT_PORT, ClientTap } from "./zookeeper/client-tap.ts";
import { draw, FAULTS_UNTIL_MS, staleMsMax, type Draw } from "./zookeeper/draw.ts";
import { MemberTrouble, type FaultKind, type MemberFault, type Scene } from "./zookeeper/faults.ts";
import { Histories, type MemberDisk } from "./zookeeper/history.ts";
import { tapQuorum, type SyncBegin, type SyncKind } from "./zookeeper/quorum-tap.ts";
import { ZnodesWork, type ZnodesOutcome } from "./zookeeper/znodes-work.ts";

/**
 * An ensemble, whole, on the simulated host, with clients that do all that clients do. Everything breaks for a while;
 * then all heals, and the ensemble has to come together, serve, and have kept every promise that ZooKeeper makes.
 */

export interface Outcome extends ZnodesOutcome {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly synchronizations: Readonly<Record<SyncKind, number>>;
  readonly convergedWithinMs: number;
}

const QUORUM_PORT = 2888;
const DATA_DIR = "/zookeeper";

export function runEnsemble(seed: string, options: RunOptions<FaultKind> = {}): Promise<Outcome> {
  return withTripwires(() => new Run(seed, draw(seed), options).all());
}

interface Member {
  readonly id: number;
  readonly node: SimNode;
  readonly isVoter: boolean;
}

class Run {
  readonly #draw: Draw;
  readonly #plan: readonly MemberFault[];
  readonly #world: World;
  readonly #members: readonly Member[];
  readonly #work: ZnodesWork;
  readonly #histories: Histories;
  readonly #synchronizations: Record<SyncKind, number> = { diff: 0, trunc: 0, snap: 0 };
  readonly #onSync: ((begin: SyncBegin) => void)[] = [];
  #leader: number | undefined;

  constructor(seed: string, drawn: Draw, options: RunOptions<FaultKind>) {
    const { print } = options;
    this.#draw = drawn;
    this.#plan = partOf(drawn.plan, options);
    this.#world = new World({ seed, ...drawn.world, ...(print && { print }), expected: ({ node, reason }) => this.#isSick(node, reason) });
    this.#members = Array.from({ length: drawn.voters + drawn.observers }, (_, index) => ({
      id: index + 1,
      node: this.#world.addNode(`z${index + 1}`),
      isVoter: index < drawn.voters,
    }));
    const logs = `${drawn.separateLogs ? "/logs" : DATA_DIR}/version-2`;
    this.#histories = new Histories(this.#members.map(({ id, node }): MemberDisk => ({ id, files: filesOfNode(node), logs, snapshots: `${DATA_DIR}/version-2` })));
    this.#work = new ZnodesWork({ world: this.#world, tap: new ClientTap(this.#world), histories: this.#histories, members: this.#members, judge: this.#world.addNode("judge"), draw: drawn });
  }

  all(): Promise<Outcome> {
    return this.#work.alive(this.#all());
  }

  async #all(): Promise<Outcome> {
    const world = this.#world;
    for (const member of this.#members) this.#startMember(member);
    this.#work.start();
    const trouble = new MemberTrouble(this.#scene());
    trouble.begin(this.#plan);
    // The longest fault that begins last is over by then.
    await world.run({ untilMs: FAULTS_UNTIL_MS + 9000 });
    trouble.heal();
    this.#onSync.length = 0;
    const healedMs = world.nowMs;
    await this.#work.converge();
    const convergedWithinMs = world.nowMs - healedMs;
    await this.#work.calm();
    const seen = await this.#work.lastLook({ restart: () => this.#restartAll(), staleMsMax: staleMsMax(this.#draw, this.#plan) });
    return { ...seen, hash: world.hash, events: world.events, endedMs: world.nowMs, faults: Object.fromEntries(trouble.happened), synchronizations: this.#synchronizations, convergedWithinMs };
  }

  /** Whether a member may stop like this: its disk has told it that something can't be read or written. */
  #isSick(name: string, reason: Error): boolean {
    const node = this.#members.find((member) => member.node.name === name)?.node;
    return node !== undefined && node.disk.options.syncErrorsPerMillion > 0 && [reason, reason.cause].some((error) => errorCode(error) === "EIO");
  }

  #startMember({ id, node }: Member): void {
    const { host } = node;
    const tapped = tapQuorum(host, { id, quorumPort: QUORUM_PORT }, {
      epoch: (leader) => (this.#leader = leader),
      sync: (begin) => {
        this.#synchronizations[begin.kind] += 1;
        if (begin.kind === "snap") this.#histories.snapshotSent(begin.leader, begin.learner, begin.zxid);
        for (const hear of this.#onSync.splice(0)) hear(begin);
      },
    });
    const lines = [
      ...this.#draw.settings,
      `dataDir=${DATA_DIR}`,
      ...(this.#draw.separateLogs ? ["dataLogDir=/logs"] : []),
      `clientPort=${CLIENT_PORT}`,
      ...this.#members.map((member) => `server.${member.id}=${member.node.name}:${QUORUM_PORT}:3888${member.isVoter ? "" : ":observer"}`),
    ];
    const files = { main: parseProperties(lines.join("\n"), "zoo.cfg"), origin: "zoo.cfg", myId: String(id), dynamic: undefined };
    // A life that ends while it starts never settles; one that can't start says so by failing.
    QuorumMember.start(tapped, readMemberConfig(files).config).catch((error: unknown) => host.fail(toError(error)));
  }

  #scene(): Scene {
    const member = (id: number): Member => must(this.#members.find((one) => one.id === id), `member ${id}`);
    return {
      world: this.#world,
      members: this.#members.map(({ node }) => node),
      clients: this.#work.clients,
      leader: () => (this.#leader === undefined ? undefined : member(this.#leader).node),
      restart: (node) => this.#restart(node),
      powerLoss: (node) => node.powerLoss(),
      onSync: (hear) => this.#onSync.push(hear),
      memberOf: (id) => member(id).node,
      burst: (dice, count) => this.#work.burst(dice, count),
    };
  }

  #restart(node: SimNode): void {
    const member = this.#members.find((one) => one.node === node);
    if (member === undefined) {
      this.#work.restart(node);
      return;
    }
    node.start();
    this.#startMember(member);
  }

  #restartAll(): void {
    const { lastStart } = this.#draw;
    if (lastStart === "none") return;
    for (const { node } of this.#members) {
      if (lastStart === "power") node.powerLoss();
      else node.kill();
    }
    for (const { node } of this.#members) this.#restart(node);
  }
}
