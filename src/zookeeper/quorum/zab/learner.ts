import { Alarm } from "../../../host/alarm.ts";
import type { Host } from "../../../host/host.ts";
import type { Connection } from "../../../host/net.ts";
import { assert, assertNever, must } from "../../../lib/assert.ts";
import { errorCode, toError } from "../../../lib/error.ts";
import { TaskGroup } from "../../../lib/task-group.ts";
import type { Address, Member } from "../../config/ensemble.ts";
import type { JuteLimits } from "../../jute/limits.ts";
import type { SessionId, Zxid } from "../../protocol/ids.ts";
import type { Transaction } from "../../protocol/transactions.ts";
import { settleHistory, type History } from "./history.ts";
import { LearnerCore, type LearnerEffect, type LearnerFailure, type LearnerInput } from "./learner-core.ts";
import { encodeLearnerPacket, PacketStream, type ForwardedRequest, type LeaderPacket } from "./packets.ts";
import { SnapshotReceiver } from "./snapshot-receiver.ts";

export interface LearnerDriverOptions {
  readonly self: Member;
  /** Where the leader takes learners' connections. */
  readonly leader: Address;
  /** Of the ensemble, as this member knows it. */
  readonly configVersion: number;
  /** Whether only a snapshot of the leader's will do, because an attempt to go back to its history has failed. */
  readonly wantsSnapshot: boolean;
  readonly tickMs: number;
  /** In ticks. */
  readonly initLimit: number;
  readonly syncLimit: number;
  readonly limits: JuteLimits;
}

/** What a learner's member does with its term. */
export interface LearnerListener {
  /** The tree is the leader's: serve. */
  upToDate(epoch: number): void;
  /** Only while it serves: before that a commit is between the learner and the tree. */
  commit(transaction: Transaction): void;
  /** The longest waiting sync of this member's clients. */
  synced(): void;
  revalidated(sessionId: SessionId, alive: boolean): void;
  /** The term is over: serve no more. Once, whether or not it ever served. */
  ended(): void;
}

export interface TermEnd {
  /** Undefined where this member closes. */
  readonly failure: LearnerFailure | undefined;
  readonly reason: string;
}

/** As Apache's learners, but the first tries sooner: who has just won an election opens its port in a moment. */
const RETRY_MS = [20, 50, 100, 200, 500, 1000, 1000, 1000, 1000];
/** What may wait for the leader. */
const UNSENT_BYTES_MAX = 256 * 1024 * 1024;

/**
 * One term as a follower or an observer: the core's effects carried out on socket, disk and timers. Sources: Learner,
 * Follower, Observer.
 */
export class Learner {
  readonly #host: Host;
  readonly #history: History;
  readonly #options: LearnerDriverOptions;
  readonly #listener: LearnerListener;
  readonly #core: LearnerCore;
  readonly #packets: PacketStream<LeaderPacket>;
  readonly #alarm: Alarm;
  /** While a snapshot comes in. */
  readonly #silence: Alarm;
  readonly #tasks: TaskGroup;
  readonly #inputs: LearnerInput[] = [];
  readonly #over: Promise<TermEnd>;
  #end: (end: TermEnd) => void = () => undefined;
  #connection: Connection | undefined;
  #snapshot: SnapshotReceiver | undefined;
  #wakeRetry: (() => void) | undefined;
  #serving = false;
  #stepping = false;
  #ended = false;

  constructor(host: Host, history: History, options: LearnerDriverOptions, listener: LearnerListener) {
    const { database, epochs } = history;
    const { self } = options;
    this.#host = host;
    this.#history = history;
    this.#options = options;
    this.#listener = listener;
    this.#core = new LearnerCore({
      id: self.id,
      observer: self.role === "observer",
      tickMs: options.tickMs,
      initLimit: options.initLimit,
      syncLimit: options.syncLimit,
      acceptedEpoch: epochs.accepted,
      currentEpoch: epochs.current,
      lastZxid: database.tree.lastZxid,
      configVersion: options.configVersion,
      wantsSnapshot: options.wantsSnapshot,
    });
    this.#packets = PacketStream.ofLeader(options.limits);
    this.#alarm = new Alarm(host, () => this.#step({ kind: "timer" }));
    this.#silence = new Alarm(host, () => this.#step({ kind: "disconnected" }));
    this.#tasks = new TaskGroup((error) => host.fail(error));
    this.#over = new Promise((resolve) => (this.#end = resolve));
  }

  /** Follows until the term is over, and returns why; then this member may look for a leader again. */
  async follow(): Promise<TermEnd> {
    await this.#connect();
    const end = await this.#over;
    this.#connection?.destroy();
    await this.#tasks.settled();
    await settleHistory(this.#history, this.#core.uncommitted);
    return end;
  }

  /** A write or a sync of this member's clients, while it serves. */
  request(request: ForwardedRequest): void {
    this.#step({ kind: "request", request });
  }

  /** Whether the session lives; `revalidated` answers. */
  revalidate(sessionId: SessionId, timeoutMs: number): void {
    this.#step({ kind: "revalidate", sessionId, timeOut: timeoutMs });
  }

  touch(sessionId: SessionId, timeoutMs: number): void {
    this.#step({ kind: "touch", sessionId, timeOut: timeoutMs });
  }

  /** Gives the term up. */
  close(): void {
    this.#finish({ failure: undefined, reason: "this member closes" });
  }

  async #connect(): Promise<void> {
    const { net, timers, log, clock } = this.#host;
    const { leader, tickMs, initLimit, syncLimit } = this.#options;
    const deadline = clock.monotonicMs() + tickMs * initLimit;
    for (const retryMs of [...RETRY_MS, undefined]) {
      try {
        const timeoutMs = Math.max(1, Math.min(tickMs * syncLimit, deadline - clock.monotonicMs()));
        const connection = await net.connect({ ...leader, timeoutMs });
        if (this.#ended) connection.destroy();
        else this.#connected(connection);
        return;
      } catch (error) {
        if (errorCode(error) === undefined) throw error;
        if (this.#ended) return;
        const last = retryMs === undefined || clock.monotonicMs() + retryMs >= deadline;
        if (last) return this.#finish({ failure: "lost", reason: `the leader can't be reached at ${leader.host}:${leader.port}: ${toError(error).message}` });
        log.debug("the leader can't be reached; trying again", { ...leader, error });
        await new Promise<void>((resolve) => {
          this.#wakeRetry = resolve;
          timers.after(retryMs, resolve);
        });
        if (this.#ended) return;
      }
    }
  }

  #connected(connection: Connection): void {
    this.#connection = connection;
    this.#history.database.listen({ durable: (zxid) => this.#step({ kind: "durable", zxid }) });
    connection.start({
      data: (chunk) => this.#received(chunk),
      close: () => this.#step({ kind: "disconnected" }),
    });
    this.#step({ kind: "connected" });
  }

  #received(chunk: Buffer): void {
    if (this.#ended) return;
    if (this.#snapshot !== undefined) return this.#receivedSnapshot(this.#snapshot, chunk);
    this.#packets.push(chunk);
    this.#readPackets();
  }

  #readPackets(): void {
    this.#guarded(() => {
      while (!this.#ended && !this.#core.busy) {
        const packet = this.#packets.next();
        if (packet === undefined) return;
        this.#step({ kind: "received", packet });
      }
    });
  }

  #receivedSnapshot(snapshot: SnapshotReceiver, chunk: Buffer): void {
    const { clock } = this.#host;
    this.#guarded(() => {
      const rest = snapshot.push(chunk);
      this.#silence.set(rest === undefined ? clock.monotonicMs() + this.#options.tickMs * this.#options.initLimit : undefined);
      if (rest === undefined) return;
      this.#snapshot = undefined;
      this.#packets.push(rest);
      this.#replace(() => this.#history.database.adopt(snapshot.tree), { kind: "snapshotInstalled" });
    });
  }

  /** What makes no sense ends the term as a lost connection does. */
  #guarded(read: () => void): void {
    try {
      read();
    } catch (error) {
      if (errorCode(error) !== "ZK_PACKET") throw error;
      this.#host.log.warn("the leader's stream can't be read", { error });
      this.#step({ kind: "disconnected" });
    }
  }

  /** Inputs that effects bring about wait until all effects of this one are carried out. */
  #step(input: LearnerInput): void {
    if (this.#ended) return;
    this.#inputs.push(input);
    if (this.#stepping) return;
    this.#stepping = true;
    for (let next = this.#inputs.shift(); next !== undefined; next = this.#inputs.shift()) {
      for (const effect of this.#core.step(next, this.#host.clock.monotonicMs())) this.#perform(effect);
    }
    this.#stepping = false;
  }

  #perform(effect: LearnerEffect): void {
    const { database, epochs } = this.#history;
    switch (effect.kind) {
      case "send":
        return this.#send(encodeLearnerPacket(effect.packet));
      case "persistAcceptedEpoch":
        return this.#persist(() => epochs.setAccepted(effect.epoch), { kind: "acceptedEpochPersisted" });
      case "persistCurrentEpoch":
        return this.#persist(() => epochs.setCurrent(effect.epoch), { kind: "currentEpochPersisted" });
      case "truncate":
        this.#host.log.info("going back to the leader's history", { zxid: effect.zxid });
        return this.#replace(() => this.#truncate(effect.zxid), { kind: "truncated" });
      case "installSnapshot": {
        this.#host.log.info("taking over a snapshot of the leader's", { zxid: effect.zxid });
        const receiver = new SnapshotReceiver(database.newTree(), effect.zxid, this.#options.limits.fieldBytesMax);
        this.#snapshot = receiver;
        return this.#receivedSnapshot(receiver, this.#packets.takeRest());
      }
      case "append":
        return database.append(effect.transaction);
      case "commit":
        if (this.#serving) this.#listener.commit(effect.transaction);
        else database.apply(effect.transaction);
        return;
      case "upToDate":
        this.#serving = true;
        return this.#listener.upToDate(effect.epoch);
      case "synced":
        return this.#listener.synced();
      case "revalidated":
        return this.#listener.revalidated(effect.sessionId, effect.alive);
      case "fail":
        return this.#finish(effect);
      case "setTimer":
        return this.#alarm.set(effect.at);
      default:
        assertNever(effect);
    }
  }

  #send(chunks: readonly Buffer[]): void {
    const connection = must(this.#connection, "connection to the leader");
    for (const chunk of chunks) connection.write(chunk);
    if (connection.bufferedBytes > UNSENT_BYTES_MAX) this.#step({ kind: "disconnected" });
  }

  #persist(write: () => Promise<void>, then: LearnerInput): void {
    this.#tasks.run(async () => {
      await write();
      this.#step(then);
    });
  }

  /** The history changes under the learner: what arrives meanwhile waits. */
  #replace(change: () => Promise<void>, then: LearnerInput): void {
    this.#connection?.pause();
    this.#tasks.run(async () => {
      await change();
      if (this.#ended) return;
      this.#step(then);
      this.#connection?.resume();
      this.#readPackets();
    });
  }

  async #truncate(zxid: Zxid): Promise<void> {
    try {
      await this.#history.database.truncate(zxid);
    } catch (error) {
      if (errorCode(error) !== "ZK_TRUNCATE") throw error;
      this.#finish({ failure: "diverged", reason: toError(error).message });
    }
  }

  #finish(end: TermEnd): void {
    if (this.#ended) return;
    assert(end.reason !== "", "a term ends for a reason");
    this.#ended = true;
    this.#inputs.length = 0;
    this.#alarm.set(undefined);
    this.#silence.set(undefined);
    this.#wakeRetry?.();
    this.#listener.ended();
    this.#end(end);
  }
}
