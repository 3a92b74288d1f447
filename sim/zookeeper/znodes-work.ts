import type { Host } from "../../src/host/host.ts";
import type { SimNode } from "../../src/host/sim/node.ts";
import type { World } from "../../src/host/sim/world.ts";
import { must } from "../../src/lib/assert.ts";
import { errorCode, toError } from "../../src/lib/error.ts";
import type { Prng } from "../../src/lib/prng.ts";
import { ZooKeeperClient } from "../../src/zookeeper/client/client.ts";
import { counterOf, epochOf, toHex } from "../../src/zookeeper/protocol/ids.ts";
import { CreateFlag, OpCode } from "../../src/zookeeper/protocol/op-codes.ts";
import type { Transaction } from "../../src/zookeeper/protocol/transactions.ts";
import { checkHistory, describe } from "./check-history.ts";
import { checkSessions, checkSyncs } from "./check-sessions.ts";
import { checkRegistrations, WatchCheck } from "./check-watches.ts";
import { CLIENT_PORT, type ClientTap } from "./client-tap.ts";
import type { Draw } from "./draw.ts";
import type { Histories } from "./history.ts";
import { Violation } from "./violation.ts";
import { Worker } from "./workload.ts";

export interface ZnodesOutcome {
  /** In which something was committed. */
  readonly epochs: number;
  readonly transactions: number;
  readonly acknowledged: number;
  readonly reads: number;
  readonly syncs: number;
  readonly watchEvents: number;
  readonly sessionsOpened: number;
  readonly sessionsExpired: number;
}

export interface ZnodesOptions {
  readonly world: World;
  readonly tap: ClientTap;
  readonly histories: Histories;
  /** In the order of their numbers in server.N lines, from 1 on. */
  readonly members: readonly { readonly node: SimNode; readonly isVoter: boolean }[];
  readonly judge: SimNode;
  readonly draw: Pick<Draw, "clients" | "ballast" | "tickMs">;
}

const CONVERGE_MS_MAX = 60_000;

/** Clients of an ensemble that do all that clients do, and the judgement on what they saw. */
export class ZnodesWork {
  readonly clients: readonly SimNode[];
  readonly #options: ZnodesOptions;
  readonly #workers = new Map<SimNode, Worker>();
  readonly #looks: Prng;
  #workerCount = 0;
  #visitors = 0;

  constructor(options: ZnodesOptions) {
    const { world, draw } = options;
    this.#options = options;
    this.clients = draw.clients.map((_, index) => world.addNode(`zclient${index + 1}`));
    this.#looks = world.prng("looks");
  }

  start(): void {
    for (const node of this.clients) this.#startClient(node);
  }

  /** Begins a client's next life. */
  restart(node: SimNode): void {
    node.start();
    this.#startClient(node);
  }

  /** Writes without waiting. */
  burst(dice: number, count: number): void {
    const node = must(this.clients[dice % this.clients.length], "client");
    if (node.up) void this.#workers.get(node)?.burst(count);
  }

  #startClient(node: SimNode): void {
    const { world, tap, members, draw } = this.#options;
    const drawn = must(draw.clients[this.clients.indexOf(node)], "draw of a client");
    this.#workerCount += 1;
    const name = `${node.name}#${this.#workerCount}`;
    const worker = new Worker(tap.wrap(node.host, name), name, world.prng(`workload/${name}`), {
      ...drawn,
      ballast: draw.ballast,
      written: () => this.#look(node),
      connect: members.map((member) => `${member.node.name}:${CLIENT_PORT}`).join(","),
      seen: () => tap.seenBy(name),
    });
    this.#workers.set(node, worker);
    worker.start();
  }

  /** A client looks at once at what another has just written. */
  #look(writer: SimNode): void {
    const others = this.clients.filter((node) => node !== writer && node.up && !node.paused);
    if (others.length > 0) void this.#workers.get(this.#looks.pick(others))?.look();
  }

  /** What is told of a time that passed while somebody waited for members. */
  async alive<T>(promise: Promise<T>): Promise<T> {
    try {
      return await promise;
    } catch (error) {
      if (errorCode(error) !== "ETIMEDOUT") throw error;
      const waiting = this.#options.tap.unanswered().map((call) => `  ${describe(call)}`);
      throw new Violation("liveness", `these were sent last, and not answered:\n${waiting.join("\n")}\n${toError(error).message}`);
    }
  }

  /** Every member serves, one of them leads, and each takes a write. */
  async converge(): Promise<void> {
    const { world, members, judge } = this.#options;
    const visitors = members.map(({ node }) => this.#visitor(node));
    const written = visitors.map(async (visitor) => {
      while (!(await visitor.create("/visit-", Buffer.from("visited"), { flags: CreateFlag.persistentSequential })).ok);
      await visitor.close();
    });
    await world.settle(Promise.all(written), CONVERGE_MS_MAX);
    const modes = await world.settle(Promise.all(members.map(({ node }) => modeOf(judge.host, node.name))));
    const wrong = members.filter(({ isVoter }, index) => (modes[index] === "observer") === isVoter);
    if (modes.filter((mode) => mode === "leader").length !== 1 || wrong.length > 0) throw new Violation("one leader", `the members are ${modes.join(", ")}`);
  }

  #visitor(node: SimNode): ZooKeeperClient {
    this.#visitors += 1;
    const visitor = new ZooKeeperClient(this.#options.tap.wrap(this.#options.judge.host, `judge#${this.#visitors}`), { connect: `${node.name}:${CLIENT_PORT}`, sessionTimeoutMs: this.#options.draw.tickMs * 20 });
    visitor.start();
    return visitor;
  }

  /** Nothing breaks: sessions live that are used, and those end that are not. */
  async calm(): Promise<void> {
    const { world, draw } = this.#options;
    await world.run({ forMs: 2000 });
    const [left, ...kept] = this.clients;
    const before = kept.map((node) => ({ worker: this.#worker(node), session: this.#worker(node).client.session?.id, expired: this.#worker(node).expired }));
    must(left, "client").kill();
    this.#workers.delete(must(left, "client"));
    await world.settle(Promise.all(kept.map((node) => this.#worker(node).rest())));
    // Sessions whose clients went away during the faults have the longest timeout to go, and a tick; the others ping.
    await world.run({ forMs: draw.tickMs * 24 + 2000 });
    for (const { worker, session, expired } of before) {
      if (worker.expired !== expired || worker.client.session?.id !== session) throw new Violation("sessions", `${worker.name} lost its session 0x${toHex(session ?? 0n)} while nothing was wrong`);
    }
  }

  #worker(node: SimNode): Worker {
    return must(this.#workers.get(node), `worker of ${node.name}`);
  }

  /** All clients leave, `restart` is done, and all that was seen is held against what there is now. */
  async lastLook({ restart, staleMsMax }: { readonly restart: () => void; readonly staleMsMax: number | undefined }): Promise<ZnodesOutcome> {
    const { world, members, tap } = this.#options;
    const quiet = must((await this.#agreedHistory()).at(-1), "transaction").header.zxid;
    const workers = [...this.#workers.values()];
    const alive = new Set(workers.map((worker) => must(worker.client.session, "session").id));
    await world.settle(Promise.all(workers.map((worker) => worker.client.close())));
    restart();
    const dumps = await world.settle(Promise.all(members.map(({ node }) => dump(this.#visitor(node)))), CONVERGE_MS_MAX);
    for (const [index, text] of dumps.entries()) if (text !== dumps[0]) throw new Violation("equal trees", `${members[index]?.node.name} has\n${text}\nand ${members[0]?.node.name}\n${dumps[0]}`);

    const history = await this.#agreedHistory();
    const { transcripts } = tap;
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
    checkSyncs(transcripts, staleMsMax);
    const replies = transcripts.flatMap((transcript) => transcript.heard).filter((heard) => heard.kind === "reply");
    for (const { zxid, err } of replies) {
      world.mark(counterOf(zxid));
      world.mark(err);
    }
    const count = (...types: readonly number[]): number => replies.filter(({ call, err }) => err === 0 && types.includes(call.type)).length;
    return {
      epochs: new Set(history.map(({ header }) => epochOf(header.zxid))).size,
      transactions: history.length,
      acknowledged: count(OpCode.create, OpCode.delete, OpCode.setData, OpCode.multi, OpCode.setACL),
      reads: count(OpCode.exists, OpCode.getData, OpCode.getChildren2),
      syncs: count(OpCode.sync),
      watchEvents: watches.events,
      sessionsOpened: model.sessions.size,
      sessionsExpired: history.filter(({ header }) => header.type === OpCode.closeSession && header.cxid === 0).length,
    };
  }

  /** Every member's, once nothing is under way any more. */
  async #agreedHistory(): Promise<readonly Transaction[]> {
    for (let round = 0; ; round++) {
      await this.#options.world.run({ forMs: 1000 });
      const histories = [...this.#options.histories.all()];
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
