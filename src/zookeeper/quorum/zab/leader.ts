import { Alarm } from "../../../host/alarm.ts";
import type { Host } from "../../../host/host.ts";
import type { Connection, Listener } from "../../../host/net.ts";
import { assertNever } from "../../../lib/assert.ts";
import { errorCode, toError } from "../../../lib/error.ts";
import { TaskGroup } from "../../../lib/task-group.ts";
import { formatEnsemble, type Ensemble, type Member } from "../../config/ensemble.ts";
import type { JuteLimits } from "../../jute/limits.ts";
import type { SessionId, Zxid } from "../../protocol/ids.ts";
import { OpCode } from "../../protocol/op-codes.ts";
import type { Transaction } from "../../protocol/transactions.ts";
import { settleHistory, type History } from "./history.ts";
import { LeaderCore, type LeaderEffect, type LeaderInput, type LearnerId } from "./leader-core.ts";
import { LearnerLink } from "./learner-link.ts";
import { encodeLeaderPacket, type ForwardedRequest, type LeaderPacket, type Touch } from "./packets.ts";
import { Synchronizer, type SynchronizerOptions } from "./synchronizer.ts";

export interface LeaderDriverOptions extends Omit<SynchronizerOptions, "database"> {
  readonly self: Member;
  readonly ensemble: Ensemble;
  /** The key quorumListenOnAllIPs. */
  readonly listenOnAllAddresses: boolean;
  readonly tickMs: number;
  /** In ticks. */
  readonly initLimit: number;
  readonly syncLimit: number;
  readonly limits: JuteLimits;
}

/** What a leader's member does with its term. */
export interface LeaderListener {
  /** Serve, and propose from `zxid` + 1 on. */
  established(epoch: number, zxid: Zxid): void;
  commit(transaction: Transaction): void;
  /** The longest waiting sync of this member's own clients. */
  synced(): void;
  touched(touched: readonly Touch[]): void;
  /** Whether the session lives; if so, this learner speaks for it from now on. */
  revalidate(learner: LearnerId, sessionId: SessionId, timeoutMs: number): boolean;
  /** To be proposed. */
  request(learner: LearnerId, request: ForwardedRequest): void;
  /** The term is over: serve no more. Once, whether or not it was established. */
  ended(): void;
}

/** Learners that have not said who they are would otherwise hold connections without end. */
const LINKS_MAX = 1024;
/** How soon a member that could not open its quorum port looks for a leader again. */
const BIND_RETRY_MS = 1000;

/**
 * One term as a leader: the core's effects carried out on sockets, disk and timers. Sources: Leader, LearnerHandler.
 */
export class Leader {
  readonly #host: Host;
  readonly #history: History;
  readonly #options: LeaderDriverOptions;
  readonly #listener: LeaderListener;
  readonly #core: LeaderCore;
  readonly #synchronizer: Synchronizer;
  readonly #alarm: Alarm;
  readonly #tasks: TaskGroup;
  readonly #links = new Map<LearnerId, LearnerLink>();
  readonly #inputs: LeaderInput[] = [];
  readonly #over: Promise<string>;
  #end: (reason: string) => void = () => undefined;
  #stepping = false;
  #ended = false;
  #lastLearner = 0;
  /** What was sent last, and its bytes: one packet goes to many. */
  #packet: LeaderPacket | undefined;
  #bytes: readonly Buffer[] = [];

  constructor(host: Host, history: History, options: LeaderDriverOptions, listener: LeaderListener) {
    const { database, epochs } = history;
    this.#host = host;
    this.#history = history;
    this.#options = options;
    this.#listener = listener;
    this.#core = new LeaderCore({
      id: options.self.id,
      ensemble: options.ensemble,
      tickMs: options.tickMs,
      initLimit: options.initLimit,
      syncLimit: options.syncLimit,
      acceptedEpoch: epochs.accepted,
      currentEpoch: epochs.current,
      lastZxid: database.tree.lastZxid,
      config: formatEnsemble(options.ensemble),
    });
    this.#synchronizer = new Synchronizer(host, { ...options, database });
    this.#alarm = new Alarm(host, () => this.#step({ kind: "timer" }));
    this.#tasks = new TaskGroup((error) => host.fail(error));
    this.#over = new Promise((resolve) => (this.#end = resolve));
  }

  /** How many learners are connected, how many followers have the leader's history, and how many syncs wait. */
  get learners(): { readonly connected: number; readonly following: number; readonly waitingSyncs: number } {
    return { connected: this.#links.size, following: this.#core.following, waitingSyncs: this.#core.waitingSyncs };
  }

  /** Leads until the term is over, and returns why; then this member may look for a leader again. */
  async lead(): Promise<string> {
    let quorumPort: Listener;
    try {
      quorumPort = await this.#listen();
    } catch (error) {
      if (errorCode(error) === undefined) throw error;
      const reason = `the quorum port ${this.#options.self.quorumPort} can't be opened: ${toError(error).message}`;
      this.#host.timers.after(BIND_RETRY_MS, () => this.#finish(reason));
      return this.#over;
    }
    this.#history.database.listen({ durable: (zxid) => this.#step({ kind: "durable", zxid }) });
    this.#step({ kind: "start" });
    const reason = await this.#over;
    await quorumPort.close();
    const links = Array.from(this.#links.values());
    for (const link of links) link.close();
    for (const link of links) await link.settled();
    await this.#tasks.settled();
    await settleHistory(this.#history, this.#core.uncommitted);
    return reason;
  }

  /** The next transaction, once established. */
  propose(transaction: Transaction): void {
    this.#step({ kind: "propose", transaction });
  }

  /** For a client of this member; `synced` answers. */
  sync(): void {
    this.#step({ kind: "sync", learner: undefined });
  }

  /** Gives the term up. */
  close(): void {
    this.#finish("this member closes");
  }

  #listen(): Promise<Listener> {
    const { self, listenOnAllAddresses } = this.#options;
    return this.#host.net.listen({ host: listenOnAllAddresses ? undefined : self.host, port: self.quorumPort }, (connection) => this.#accept(connection));
  }

  #accept(connection: Connection): void {
    if (this.#ended || this.#links.size >= LINKS_MAX) {
      connection.destroy();
      return;
    }
    const learner = (this.#lastLearner += 1);
    const link = new LearnerLink(connection, {
      timers: this.#host.timers,
      limits: this.#options.limits,
      received: (packet) => this.#step({ kind: "received", learner, packet }),
      streamed: () => this.#step({ kind: "streamed", learner }),
      closed: (reason) => {
        this.#host.log.info("a learner is gone", { learner, from: connection.remoteHost, reason });
        this.#links.delete(learner);
        this.#step({ kind: "disconnected", learner });
      },
      failed: (error) => this.#host.fail(error),
    });
    this.#links.set(learner, link);
    this.#step({ kind: "connected", learner });
  }

  /** Inputs that effects bring about wait until all effects of this one are carried out. */
  #step(input: LeaderInput): void {
    if (this.#ended) return;
    this.#inputs.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      for (const effect of this.#core.step(next, this.#host.clock.monotonicMs())) this.#perform(effect);
    }
    this.#stepping = false;
  }

  #perform(effect: LeaderEffect): void {
    const { database, epochs } = this.#history;
    switch (effect.kind) {
      case "persistAcceptedEpoch":
        return this.#persist(epochs.setAccepted(effect.epoch), { kind: "acceptedEpochPersisted" });
      case "persistCurrentEpoch":
        return this.#persist(epochs.setCurrent(effect.epoch), { kind: "currentEpochPersisted" });
      case "send":
        this.#links.get(effect.learner)?.send(this.#encode(effect.packet));
        return;
      case "synchronize": {
        const link = this.#links.get(effect.learner);
        if (link !== undefined) this.#synchronizer.synchronize(link, effect);
        return;
      }
      case "close":
        this.#host.log.warn("a learner is cut off", { learner: effect.learner, reason: effect.reason });
        this.#links.get(effect.learner)?.close();
        this.#links.delete(effect.learner);
        return;
      case "established":
        return this.#listener.established(effect.epoch, effect.zxid);
      case "append":
        return database.append(effect.transaction);
      case "commit":
        return this.#listener.commit(effect.transaction);
      case "synced":
        return this.#listener.synced();
      case "touch":
        return this.#listener.touched(effect.touched);
      case "revalidate": {
        const { learner, sessionId } = effect;
        return this.#step({ kind: "revalidated", learner, sessionId, alive: this.#listener.revalidate(learner, sessionId, effect.timeOut) });
      }
      case "request":
        if (effect.request.type === OpCode.sync) return this.#step({ kind: "sync", learner: effect.learner });
        return this.#listener.request(effect.learner, effect.request);
      case "stepDown":
        return this.#finish(effect.reason);
      case "setTimer":
        return this.#alarm.set(effect.at);
      default:
        assertNever(effect);
    }
  }

  #persist(written: Promise<void>, then: LeaderInput): void {
    this.#tasks.run(async () => {
      await written;
      this.#step(then);
    });
  }

  #encode(packet: LeaderPacket): readonly Buffer[] {
    if (packet !== this.#packet) {
      this.#packet = packet;
      this.#bytes = encodeLeaderPacket(packet);
    }
    return this.#bytes;
  }

  #finish(reason: string): void {
    if (this.#ended) return;
    this.#ended = true;
    this.#inputs.length = 0;
    this.#alarm.set(undefined);
    this.#listener.ended();
    this.#end(reason);
  }
}
