import type { Host } from "../src/host/host.ts";
import type { SimNode } from "../src/host/sim/node.ts";
import { withTripwires } from "../src/host/sim/tripwires.ts";
import { World } from "../src/host/sim/world.ts";
import { must } from "../src/lib/assert.ts";
import { errorCode, toError } from "../src/lib/error.ts";
import type { Prng } from "../src/lib/prng.ts";
import { parseProperties } from "../src/lib/properties.ts";
import { ZooKeeperClient } from "../src/zookeeper/client/client.ts";
import { readMemberConfig } from "../src/zookeeper/config/member-config.ts";
import { counterOf, epochOf, toHex } from "../src/zookeeper/protocol/ids.ts";
import { CreateFlag, OpCode } from "../src/zookeeper/protocol/op-codes.ts";
import type { Transaction } from "../src/zookeeper/protocol/transactions.ts";
import { QuorumMember } from "../src/zookeeper/server/quorum-member.ts";
import type { RunOptions } from "./hunting.ts";
import { checkHistory, describe } from "./zookeeper/check-history.ts";
import { checkSessions, checkSyncs } from "./zookeeper/check-sessions.ts";
import { checkRegistrations, WatchCheck } from "./zookeeper/check-watches.ts";
import { ClientTap } from "./zookeeper/client-tap.ts";
import { draw, FAULTS_UNTIL_MS, type Draw } from "./zookeeper/draw.ts";
import { MemberTrouble, type FaultKind, type MemberFault, type Scene } from "./zookeeper/faults.ts";
import { Histories, type MemberDisk } from "./zookeeper/history.ts";
import { tapQuorum, type SyncBegin, type SyncKind } from "./zookeeper/quorum-tap.ts";
import { Violation } from "./zookeeper/violation.ts";
import { Worker } from "./zookeeper/workload.ts";

/**
 * An ensemble, whole, on the simulated host, with clients that do all that clients do. Everything breaks for a while;
 * then all heals, and the ensemble has to come together, serve, and have kept every promise that ZooKeeper makes.
 */

export interface Outcome {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly synchronizations: Readonly<Record<SyncKind, number>>;
  /** In which something was committed. */
  readonly epochs: number;
  readonly transactions: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly syncs: number;
  readonly watchEvents: number;
  readonly sessionsOpened: number;
  readonly sessionsExpired: number;
  readonly convergedWithinMs: number;
}

const CONVERGE_MS_MAX = 60_000;
const CLIENT_PORT = 2181;
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
  readonly #clients: readonly SimNode[];
  readonly #judge: SimNode;
  readonly #tap: ClientTap;
  readonly #histories: Histories;
  readonly #workers = new Map<SimNode, Worker>();
  readonly #looks: Prng;
  readonly #synchronizations: Record<SyncKind, number> = { diff: 0, trunc: 0, snap: 0 };
  readonly #onSync: ((begin: SyncBegin) => void)[] = [];
  #leader: number | undefined;
  #workerCount = 0;
  #visitors = 0;

  constructor(seed: string, drawn: Draw, { only, without = [], print }: RunOptions<FaultKind>) {
    this.#draw = drawn;
    this.#plan = drawn.plan.filter(({ kind }, index) => !without.includes(kind) && (only === undefined || only.includes(index)));
    this.#world = new World({ seed, ...drawn.world, ...(print && { print }), expected: ({ node, reason }) => this.#isSick(node, reason) });
    this.#members = Array.from({ length: drawn.voters + drawn.observers }, (_, index) => ({
      id: index + 1,
      node: this.#world.addNode(`z${index + 1}`),
      isVoter: index < drawn.voters,
    }));
    this.#clients = drawn.clients.map((_, index) => this.#world.addNode(`client${index + 1}`));
    this.#judge = this.#world.addNode("judge");
    this.#tap = new ClientTap(this.#world);
    this.#looks = this.#world.prng("looks");
    const logs = `${drawn.separateLogs ? "/logs" : DATA_DIR}/version-2`;
    this.#histories = new Histories(this.#members.map(({ id, node }): MemberDisk => ({ id, node, logs, snapshots: `${DATA_DIR}/version-2` })));
  }

  async all(): Promise<Outcome> {
    try {
      return await this.#all();
    } catch (error) {
      if (errorCode(error) !== "ETIMEDOUT") throw error;
      const waiting = this.#tap.unanswered().map((call) => `  ${describe(call)}`);
      throw new Violation("liveness", `these were sent last, and not answered:\n${waiting.join("\n")}\n${toError(error).message}`);
    }
  }

  async #all(): Promise<Outcome> {
    const world = this.#world;
    for (const member of this.#members) this.#startMember(member);
    for (const node of this.#clients) this.#startClient(node);
    const trouble = new MemberTrouble(this.#scene());
    trouble.begin(this.#plan);
    // The longest fault that begins last is over by then.
    await world.run({ untilMs: FAULTS_UNTIL_MS + 9000 });
    trouble.heal();
    this.#onSync.length = 0;
    const healedMs = world.nowMs;
    await this.#converge();
    const convergedWithinMs = world.nowMs - healedMs;

    await this.#calm();
    const model = await this.#lastLook(convergedWithinMs);
    return { ...model, faults: Object.fromEntries(trouble.happened) };
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

  #startClient(node: SimNode): void {
    const drawn = must(this.#draw.clients[this.#clients.indexOf(node)], "draw of a client");
    this.#workerCount += 1;
    const name = `${node.name}#${this.#workerCount}`;
    const worker = new Worker(this.#tap.wrap(node.host, name), name, this.#world.prng(`workload/${name}`), {
      ...drawn,
      ballast: this.#draw.ballast,
      written: () => this.#look(node),
      connect: this.#members.map((member) => `${member.node.name}:${CLIENT_PORT}`).join(","),
      seen: () => this.#tap.seenBy(name),
    });
    this.#workers.set(node, worker);
    worker.start();
  }

  /** A client looks at once at what another has just written. */
  #look(writer: SimNode): void {
    const others = this.#clients.filter((node) => node !== writer && node.up && !node.paused);
    if (others.length > 0) void this.#workers.get(this.#looks.pick(others))?.look();
  }

  #scene(): Scene {
    const member = (id: number): Member => must(this.#members.find((one) => one.id === id), `member ${id}`);
    return {
      world: this.#world,
      members: this.#members.map(({ node }) => node),
      clients: this.#clients,
      leader: () => (this.#leader === undefined ? undefined : member(this.#leader).node),
      restart: (node) => this.#restart(node),
      onSync: (hear) => this.#onSync.push(hear),
      memberOf: (id) => member(id).node,
      burst: (dice, count) => {
        const node = must(this.#clients[dice % this.#clients.length], "client");
        if (node.up) void this.#workers.get(node)?.burst(count);
      },
    };
  }

  #restart(node: SimNode): void {
    node.start();
    const member = this.#members.find((one) => one.node === node);
    if (member === undefined) this.#startClient(node);
    else this.#startMember(member);
  }

  /** Every member serves, one of them leads, and each takes a write. */
  async #converge(): Promise<void> {
    const visitors = this.#members.map(({ node }) => this.#visitor(node));
    const written = visitors.map(async (visitor) => {
      while (!(await visitor.create("/visit-", Buffer.from("visited"), { flags: CreateFlag.persistentSequential })).ok);
      await visitor.close();
    });
    await this.#world.settle(Promise.all(written), CONVERGE_MS_MAX);
    const modes = await this.#world.settle(Promise.all(this.#members.map(({ node }) => modeOf(this.#judge.host, node.name))));
    const wrong = this.#members.filter(({ isVoter }, index) => (modes[index] === "observer") === isVoter);
    if (modes.filter((mode) => mode === "leader").length !== 1 || wrong.length > 0) throw new Violation("one leader", `the members are ${modes.join(", ")}`);
  }

  #visitor(node: SimNode): ZooKeeperClient {
    this.#visitors += 1;
    const visitor = new ZooKeeperClient(this.#tap.wrap(this.#judge.host, `judge#${this.#visitors}`), { connect: `${node.name}:${CLIENT_PORT}`, sessionTimeoutMs: this.#draw.tickMs * 20 });
    visitor.start();
    return visitor;
  }

  /** Nothing breaks: sessions live that are used, and those end that are not. */
  async #calm(): Promise<void> {
    const world = this.#world;
    await world.run({ forMs: 2000 });
    const [left, ...kept] = this.#clients;
    const before = kept.map((node) => ({ worker: this.#worker(node), session: this.#worker(node).client.session?.id, expired: this.#worker(node).expired }));
    must(left, "client").kill();
    this.#workers.delete(must(left, "client"));
    await world.settle(Promise.all(kept.map((node) => this.#worker(node).rest())));
    // Sessions whose clients went away during the faults have the longest timeout to go, and a tick; the others ping.
    await world.run({ forMs: this.#draw.tickMs * 24 + 2000 });
    for (const { worker, session, expired } of before) {
      if (worker.expired !== expired || worker.client.session?.id !== session) throw new Violation("sessions", `${worker.name} lost its session 0x${toHex(session ?? 0n)} while nothing was wrong`);
    }
  }

  #worker(node: SimNode): Worker {
    return must(this.#workers.get(node), `worker of ${node.name}`);
  }

  /** Everybody starts once more, perhaps, and all that was seen is held against what there is now. */
  async #lastLook(convergedWithinMs: number): Promise<Omit<Outcome, "faults">> {
    const world = this.#world;
    const quiet = must((await this.#agreedHistory()).at(-1), "transaction").header.zxid;
    const workers = [...this.#workers.values()];
    const alive = new Set(workers.map((worker) => must(worker.client.session, "session").id));
    await world.settle(Promise.all(workers.map((worker) => worker.client.close())));
    this.#restartAll();
    const dumps = await world.settle(Promise.all(this.#members.map(({ node }) => dump(this.#visitor(node)))), CONVERGE_MS_MAX);
    for (const [index, text] of dumps.entries()) if (text !== dumps[0]) throw new Violation("equal trees", `${this.#members[index]?.node.name} has\n${text}\nand ${this.#members[0]?.node.name}\n${dumps[0]}`);

    const history = await this.#agreedHistory();
    const { transcripts } = this.#tap;
    const watches = new WatchCheck();
    const model = checkHistory(history, transcripts, {
      reply: (reply, state) => watches.reply(reply, state),
      transaction: (zxid, state) => {
        if (zxid !== quiet) return;
        checkRegistrations(workers.flatMap((worker) => worker.registrations), state);
        for (const [session, { closed }] of state.sessions) if (closed === undefined && !alive.has(session)) throw new Violation("sessions", `0x${toHex(session)} has not expired`);
      },
    });
    watches.check(transcripts, model);
    checkSessions(transcripts, model);
    checkSyncs(transcripts, this.#staleMsMax());
    const replies = transcripts.flatMap((transcript) => transcript.heard).filter((heard) => heard.kind === "reply");
    for (const { zxid, err } of replies) {
      world.mark(counterOf(zxid));
      world.mark(err);
    }
    const count = (...types: readonly number[]): number => replies.filter(({ call, err }) => err === 0 && types.includes(call.type)).length;
    return {
      hash: world.hash,
      events: world.events,
      endedMs: world.nowMs,
      synchronizations: this.#synchronizations,
      epochs: new Set(history.map(({ header }) => epochOf(header.zxid))).size,
      transactions: history.length,
      acknowledged: count(OpCode.create, OpCode.delete, OpCode.setData, OpCode.multi, OpCode.setACL),
      reads: count(OpCode.exists, OpCode.getData, OpCode.getChildren2),
      syncs: count(OpCode.sync),
      watchEvents: watches.events,
      sessionsOpened: model.sessions.size,
      sessionsExpired: history.filter(({ header }) => header.type === OpCode.closeSession && header.cxid === 0).length,
      convergedWithinMs,
    };
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

  /** Every member's, once nothing is under way any more. */
  async #agreedHistory(): Promise<readonly Transaction[]> {
    for (let round = 0; ; round++) {
      await this.#world.run({ forMs: 1000 });
      const histories = [...this.#histories.all()];
      const [, first] = must(histories[0], "history");
      const other = histories.find(([, history]) => history.length !== first.length || history.some(({ header }, index) => header.zxid !== first[index]?.header.zxid));
      if (other === undefined) return first;
      if (round < 5) continue;
      const [id, history] = other;
      const at = history.findIndex(({ header }, index) => header.zxid !== first[index]?.header.zxid);
      const here = (transactions: readonly Transaction[]): string => `0x${toHex(transactions[at < 0 ? Math.min(first.length, history.length) : at]?.header.zxid ?? 0)}`;
      throw new Violation("equal histories", `z${id} has ${here(history)} (of ${history.length}) where z1 has ${here(first)} (of ${first.length})`);
    }
  }

  /** How long a leader may go on as one after it was replaced, where clocks and processes go on. */
  #staleMsMax(): number | undefined {
    const { tickMs, syncLimit, world } = this.#draw;
    const misled = this.#plan.some(({ kind }) => kind === "pause" || kind === "clog" || kind === "slowNet");
    return misled || (world.clockDriftPpmMax ?? 0) > 0 ? undefined : (syncLimit + 3) * tickMs + 500;
  }
}

/** What the word srvr says of a member. */
async function modeOf(host: Host, member: string): Promise<string> {
  const connection = await host.net.connect({ host: member, port: CLIENT_PORT, timeoutMs: 5000 });
  return new Promise((resolve) => {
    let text = "";
    connection.start({ data: (chunk) => (text += chunk.toString()), close: () => resolve(/^Mode: (.*)$/m.exec(text)?.[1] ?? text) });
    connection.write(Buffer.from("srvr"));
  });
}

/** The whole tree as one member shows it; the visitor leaves then. */
async function dump(visitor: ZooKeeperClient): Promise<string> {
  while (!(await visitor.sync("/")).ok);
  const lines: string[] = [];
  const visit = async (path: string): Promise<void> => {
    const [node, below] = await Promise.all([visitor.getData(path), visitor.getChildren(path)]);
    if (!node.ok || !below.ok) throw new Violation("equal trees", `${path} can't be read`);
    const { data, stat } = node.value;
    lines.push(`${path} ${data === null ? "null" : data.toString()} ${Object.values(stat).map(String).join(" ")}`);
    await Promise.all(below.value.children.filter((name) => name !== "zookeeper").map((name) => visit(path === "/" ? `/${name}` : `${path}/${name}`)));
  };
  await visit("/");
  await visitor.close();
  return lines.toSorted().join("\n");
}
