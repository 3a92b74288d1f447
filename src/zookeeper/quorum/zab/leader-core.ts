import { assert, assertNever, must } from "../../../lib/assert.ts";
import { isQuorum, voters, type Ensemble } from "../../config/ensemble.ts";
import { COUNTER_MAX, counterOf, epochOf, makeZxid, toHex, type SessionId, type Zxid } from "../../protocol/ids.ts";
import type { Transaction } from "../../protocol/transactions.ts";
import type { ForwardedRequest, LeaderPacket, LearnerPacket, Touch } from "./packets.ts";

/** A learner's connection; never used again for another one. */
export type LearnerId = number;

export interface LeaderOptions {
  readonly id: number;
  readonly ensemble: Ensemble;
  readonly tickMs: number;
  /** In ticks. */
  readonly initLimit: number;
  readonly syncLimit: number;
  readonly acceptedEpoch: number;
  readonly currentEpoch: number;
  /** Of the last transaction in the log, all of which is on the disk and in the tree. */
  readonly lastZxid: Zxid;
  /** Text of the ensemble, for NEWLEADER. */
  readonly config: string;
}

export type LeaderInput =
  /** The election is won. */
  | { readonly kind: "start" }
  | { readonly kind: "connected"; readonly learner: LearnerId }
  | { readonly kind: "received"; readonly learner: LearnerId; readonly packet: LearnerPacket }
  | { readonly kind: "disconnected"; readonly learner: LearnerId }
  /** It has taken in more of what it is brought up to date with. */
  | { readonly kind: "streamed"; readonly learner: LearnerId }
  | { readonly kind: "acceptedEpochPersisted" }
  | { readonly kind: "currentEpochPersisted" }
  /** The log is on the disk up to here. */
  | { readonly kind: "durable"; readonly zxid: Zxid }
  /** The next transaction: only once "established", and numbered without gaps from `established.zxid` + 1. */
  | { readonly kind: "propose"; readonly transaction: Transaction }
  /** A sync request: a learner's, or of a client of this member. Follows what was proposed before it. */
  | { readonly kind: "sync"; readonly learner: LearnerId | undefined }
  | { readonly kind: "revalidated"; readonly learner: LearnerId; readonly sessionId: SessionId; readonly alive: boolean }
  | { readonly kind: "timer" };

/** To be carried out in this order; what they bring about comes back as inputs afterwards. */
export type LeaderEffect =
  | { readonly kind: "persistAcceptedEpoch"; readonly epoch: number }
  | { readonly kind: "persistCurrentEpoch"; readonly epoch: number }
  | { readonly kind: "send"; readonly learner: LearnerId; readonly packet: LeaderPacket }
  /**
   * What `planSync` decides now goes into the learner's queue: every commit before this is applied, none after it.
   * Later packets to this learner wait behind it.
   */
  | { readonly kind: "synchronize"; readonly learner: LearnerId; readonly observer: boolean; readonly lastZxid: Zxid }
  | { readonly kind: "close"; readonly learner: LearnerId; readonly reason: string }
  /** A quorum has this leader's history: it may serve, and propose from `zxid` + 1 on. */
  | { readonly kind: "established"; readonly epoch: number; readonly zxid: Zxid }
  | { readonly kind: "append"; readonly transaction: Transaction }
  | { readonly kind: "commit"; readonly transaction: Transaction }
  /** The longest waiting sync of this member's own clients. */
  | { readonly kind: "synced" }
  | { readonly kind: "touch"; readonly touched: readonly Touch[] }
  /** Whether the session lives, and its owner if so; answered by "revalidated". */
  | { readonly kind: "revalidate"; readonly learner: LearnerId; readonly sessionId: SessionId; readonly timeOut: number }
  /** To be proposed, or, if a sync, to come back as one, in the order of these effects. */
  | { readonly kind: "request"; readonly learner: LearnerId; readonly request: ForwardedRequest }
  /** Once, and the last of all: back to the election, when epochs are written, the log is on the disk and all of it in the tree. */
  | { readonly kind: "stepDown"; readonly reason: string }
  /** In place of the one set before. */
  | { readonly kind: "setTimer"; readonly at: number };

/** epoch: who follows? ackEpoch: is nobody ahead? sync: a quorum takes over the history. */
type Phase = "epoch" | "ackEpoch" | "sync" | "serving" | "stopped";

interface Learner {
  readonly id: LearnerId;
  /** Undefined until it has said, or if it has none. */
  serverId: number | undefined;
  observer: boolean;
  stage: "connected" | "introduced" | "leaderInfo" | "ackedEpoch" | "synchronizing" | "following";
  /** Of its log, from ACKEPOCH. */
  lastZxid: Zxid | undefined;
  /** Its log is durable up to here, as far as this connection has said. */
  acked: Zxid;
  /** Without a packet by then it is cut off. */
  deadline: number;
  /** A proposal that was sent to it and is not acknowledged. */
  awaited: Zxid | undefined;
  awaitedSince: number;
}

interface Proposal {
  readonly transaction: Transaction;
  readonly packet: LeaderPacket;
}

interface WaitingSync {
  readonly zxid: Zxid;
  readonly learner: LearnerId | undefined;
}

/**
 * The leader's half of Zab: a new epoch that a quorum has promised to follow, its history taken over by a quorum,
 * then transactions in order, each committed once a quorum has it on its disks. Times are ms of the monotonic clock.
 * Sources: Leader, LearnerHandler.
 *
 * committed ≤ what a quorum has acknowledged ≤ lastProposed. Acknowledgements count by connection, and only after
 * the learner has acknowledged NEWLEADER there: one that comes back may be told to forget what it once acknowledged,
 * and until its current epoch is this one, what it has would not win an election.
 */
export class LeaderCore {
  readonly #options: LeaderOptions;
  readonly #voters: ReadonlySet<number>;
  readonly #learners = new Map<LearnerId, Learner>();
  #effects: LeaderEffect[] = [];
  #phase: Phase = "epoch";
  #phaseDeadline = 0;
  #epoch = 0;
  #epochIsFixed = false;
  #epochIsAccepted = false;
  #epochIsCurrent = false;
  /** Voters that are counted on in the present phase. */
  readonly #introduced = new Set<number>();
  readonly #electors = new Set<number>();
  readonly #counted = new Set<number>();
  #lastProposed: Zxid;
  #committed: Zxid;
  #durable: Zxid;
  #outstanding: Proposal[] = [];
  #syncs: WaitingSync[] = [];
  #halfTicks = 0;

  constructor(options: LeaderOptions) {
    this.#options = options;
    this.#voters = new Set(voters(options.ensemble).map((member) => member.id));
    this.#lastProposed = options.lastZxid;
    this.#committed = options.lastZxid;
    this.#durable = options.lastZxid;
  }

  /** Meaningful once it is fixed, from "persistAcceptedEpoch" on. */
  get epoch(): number {
    return this.#epoch;
  }

  /** Followers that have the leader's history. */
  get following(): number {
    return [...this.#learners.values()].filter(({ stage, observer }) => stage === "following" && !observer).length;
  }

  get waitingSyncs(): number {
    return this.#syncs.length;
  }

  get lastProposed(): Zxid {
    return this.#lastProposed;
  }

  /** Proposed and not committed, oldest first: after "stepDown" they belong to this member's history all the same. */
  get uncommitted(): readonly Transaction[] {
    return this.#outstanding.map((proposal) => proposal.transaction);
  }

  /** The effects belong to the caller. */
  step(input: LeaderInput, now: number): readonly LeaderEffect[] {
    if (this.#phase !== "stopped") this.#take(input, now);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #take(input: LeaderInput, now: number): void {
    switch (input.kind) {
      case "start":
        return this.#start(now);
      case "connected":
        this.#learners.set(input.learner, {
          id: input.learner,
          serverId: undefined,
          observer: false,
          stage: "connected",
          lastZxid: undefined,
          acked: makeZxid(0, 0),
          deadline: now + this.#initMs,
          awaited: undefined,
          awaitedSince: 0,
        });
        return;
      case "received": {
        const learner = this.#learners.get(input.learner);
        // Gone already: what it had sent may still arrive.
        if (learner !== undefined) this.#received(learner, input.packet, now);
        return;
      }
      case "disconnected":
        this.#learners.delete(input.learner);
        return;
      case "streamed": {
        const learner = this.#learners.get(input.learner);
        if (learner !== undefined) this.#heard(learner, now);
        return;
      }
      case "acceptedEpochPersisted":
        return this.#epochAccepted(now);
      case "currentEpochPersisted":
        this.#epochIsCurrent = true;
        return this.#establish(now);
      case "durable":
        if (input.zxid <= this.#durable) return;
        this.#durable = input.zxid;
        return this.#commitWhatAQuorumHas();
      case "propose":
        return this.#propose(input.transaction, now);
      case "sync":
        if (this.#outstanding.length === 0) this.#synced(input.learner);
        else this.#syncs.push({ zxid: this.#lastProposed, learner: input.learner });
        return;
      case "revalidated":
        if (this.#learners.has(input.learner)) this.#send(input.learner, { kind: "revalidated", sessionId: input.sessionId, alive: input.alive });
        return;
      case "timer":
        return this.#timer(now);
      default:
        assertNever(input);
    }
  }

  get #initMs(): number {
    return this.#options.initLimit * this.#options.tickMs;
  }

  get #syncMs(): number {
    return this.#options.syncLimit * this.#options.tickMs;
  }

  #start(now: number): void {
    this.#epoch = this.#options.acceptedEpoch + 1;
    this.#introduced.add(this.#options.id);
    this.#enter("epoch", now);
    this.#setTimer(now);
    this.#fixEpoch(now);
  }

  #enter(phase: Phase, now: number): void {
    this.#phase = phase;
    this.#phaseDeadline = now + this.#initMs;
  }

  #setTimer(now: number): void {
    this.#effects.push({ kind: "setTimer", at: now + this.#options.tickMs / 2 });
  }

  #send(learner: LearnerId, packet: LeaderPacket): void {
    this.#effects.push({ kind: "send", learner, packet });
  }

  #close(learner: Learner, reason: string): void {
    this.#learners.delete(learner.id);
    this.#effects.push({ kind: "close", learner: learner.id, reason });
  }

  #stepDown(reason: string): void {
    for (const learner of this.#learners.values()) this.#effects.push({ kind: "close", learner: learner.id, reason });
    this.#learners.clear();
    this.#phase = "stopped";
    this.#effects.push({ kind: "stepDown", reason });
  }

  /** The server id of a learner whose word counts. */
  #voterOf(learner: Learner): number | undefined {
    return learner.observer || learner.serverId === undefined || !this.#voters.has(learner.serverId) ? undefined : learner.serverId;
  }

  #isQuorum(ids: ReadonlySet<number>): boolean {
    return isQuorum(this.#options.ensemble, ids);
  }

  /** Until there is an established leader, who has acknowledged everything has nothing to say. */
  #heard(learner: Learner, now: number): void {
    learner.deadline = now + (learner.stage === "following" && this.#phase === "serving" ? this.#syncMs : this.#initMs);
  }

  #received(learner: Learner, packet: LearnerPacket, now: number): void {
    this.#heard(learner, now);
    switch (packet.kind) {
      case "info":
        if (learner.stage !== "connected") return this.#close(learner, "it introduced itself twice");
        return this.#introduce(learner, packet, now);
      case "ackEpoch":
        if (learner.stage !== "leaderInfo") return this.#close(learner, "it acknowledged an epoch that it had not been told");
        return this.#ackEpoch(learner, packet.lastZxid, packet.currentEpoch, now);
      case "ack":
        return this.#ack(learner, packet.zxid, now);
      case "ping":
        this.#effects.push({ kind: "touch", touched: packet.touched });
        return;
      case "revalidate":
        if (learner.stage !== "following" || this.#phase !== "serving") return this.#close(learner, "it asked for a session before it was up to date");
        this.#effects.push({ kind: "revalidate", learner: learner.id, sessionId: packet.sessionId, timeOut: packet.timeOut });
        return;
      case "request":
        if (learner.stage !== "following" || this.#phase !== "serving") return this.#close(learner, "it sent a request before it was up to date");
        this.#effects.push({ kind: "request", learner: learner.id, request: packet.request });
        return;
      default:
        assertNever(packet);
    }
  }

  #introduce(learner: Learner, info: LearnerPacket & { readonly kind: "info" }, now: number): void {
    if (info.configVersion > this.#options.ensemble.version) return this.#close(learner, "it has a later configuration of the ensemble than this leader");
    const { serverId } = info;
    for (const other of this.#learners.values()) {
      // The member has given up that connection, and what it acknowledged there may not hold any more.
      if (serverId !== undefined && serverId >= 0 && other.serverId === serverId) this.#close(other, "the same member has connected again");
    }
    learner.serverId = serverId;
    learner.observer = info.observer;
    learner.stage = "introduced";
    if (this.#epochIsAccepted) return this.#tellEpoch(learner);
    if (this.#epochIsFixed) return;
    this.#epoch = Math.max(this.#epoch, info.acceptedEpoch + 1);
    const voter = this.#voterOf(learner);
    if (voter !== undefined) this.#introduced.add(voter);
    this.#fixEpoch(now);
  }

  #fixEpoch(now: number): void {
    if (this.#epochIsFixed || !this.#isQuorum(this.#introduced)) return;
    this.#epochIsFixed = true;
    this.#phaseDeadline = now + this.#initMs;
    this.#effects.push({ kind: "persistAcceptedEpoch", epoch: this.#epoch });
  }

  #epochAccepted(now: number): void {
    assert(this.#epochIsFixed && !this.#epochIsAccepted, "the epoch was to be accepted");
    this.#epochIsAccepted = true;
    this.#enter("ackEpoch", now);
    for (const learner of this.#learners.values()) {
      if (learner.stage === "introduced") this.#tellEpoch(learner);
    }
    this.#electors.add(this.#options.id);
    this.#endAckEpoch(now);
  }

  #tellEpoch(learner: Learner): void {
    learner.stage = "leaderInfo";
    this.#send(learner.id, { kind: "leaderInfo", epoch: this.#epoch });
  }

  #ackEpoch(learner: Learner, lastZxid: Zxid, currentEpoch: number | undefined, now: number): void {
    learner.stage = "ackedEpoch";
    learner.lastZxid = lastZxid;
    if (this.#phase !== "ackEpoch") return this.#synchronize(learner, now);
    if (currentEpoch === undefined) return;
    const own = this.#options;
    if (currentEpoch > own.currentEpoch || (currentEpoch === own.currentEpoch && lastZxid > own.lastZxid)) {
      return this.#close(learner, `its history (epoch ${currentEpoch}, 0x${toHex(lastZxid)}) is ahead of this leader's`);
    }
    const voter = this.#voterOf(learner);
    if (voter !== undefined) this.#electors.add(voter);
    this.#endAckEpoch(now);
  }

  #endAckEpoch(now: number): void {
    if (!this.#isQuorum(this.#electors)) return;
    this.#enter("sync", now);
    this.#effects.push({ kind: "persistCurrentEpoch", epoch: this.#epoch });
    for (const learner of this.#learners.values()) {
      if (learner.stage === "ackedEpoch") this.#synchronize(learner, now);
    }
  }

  /** From here on the learner hears of everything, in order. */
  #synchronize(learner: Learner, now: number): void {
    learner.stage = "synchronizing";
    this.#effects.push({ kind: "synchronize", learner: learner.id, observer: learner.observer, lastZxid: must(learner.lastZxid, "the learner's last transaction") });
    this.#send(learner.id, { kind: "newLeader", epoch: this.#epoch, config: this.#options.config });
    if (learner.observer) return;
    for (const { packet, transaction } of this.#outstanding) this.#sendProposal(learner, packet, transaction.header.zxid, now);
  }

  #sendProposal(learner: Learner, packet: LeaderPacket, zxid: Zxid, now: number): void {
    this.#send(learner.id, packet);
    if (learner.awaited !== undefined) return;
    learner.awaited = zxid;
    learner.awaitedSince = now;
  }

  #ack(learner: Learner, zxid: Zxid, now: number): void {
    if (counterOf(zxid) === 0) {
      // Sent for NEWLEADER, and once more for UPTODATE.
      if (learner.stage !== "synchronizing" || epochOf(zxid) !== this.#epoch) return;
      learner.stage = "following";
      this.#heard(learner, now);
      // What waits for it has not waited for the disk, but for the synchronization.
      learner.awaitedSince = now;
      if (this.#phase === "serving") {
        this.#send(learner.id, { kind: "upToDate" });
        return this.#commitWhatAQuorumHas();
      }
      return this.#establish(now);
    }
    if (learner.stage !== "synchronizing" && learner.stage !== "following") return this.#close(learner, "it acknowledged a transaction before it was synchronized");
    if (zxid > this.#lastProposed) return this.#close(learner, `it acknowledged 0x${toHex(zxid)}, which was never proposed`);
    if (zxid <= learner.acked) return;
    learner.acked = zxid;
    if (learner.awaited !== undefined && zxid >= learner.awaited) {
      learner.awaited = zxid < this.#lastProposed ? this.#lastProposed : undefined;
      learner.awaitedSince = now;
    }
    this.#commitWhatAQuorumHas();
  }

  #establish(now: number): void {
    if (this.#phase !== "sync" || !this.#epochIsCurrent) return;
    this.#count(() => true);
    if (!this.#isQuorum(this.#counted)) return;
    this.#enter("serving", now);
    this.#lastProposed = makeZxid(this.#epoch, 0);
    this.#halfTicks = 0;
    this.#effects.push({ kind: "established", epoch: this.#epoch, zxid: this.#lastProposed });
    for (const learner of this.#learners.values()) {
      if (learner.stage !== "following") continue;
      this.#heard(learner, now);
      this.#send(learner.id, { kind: "upToDate" });
    }
  }

  /** This member and the followers for which `holds`. */
  #count(holds: (learner: Learner) => boolean): void {
    this.#counted.clear();
    this.#counted.add(this.#options.id);
    for (const learner of this.#learners.values()) {
      const voter = this.#voterOf(learner);
      if (voter !== undefined && learner.stage === "following" && holds(learner)) this.#counted.add(voter);
    }
  }

  #propose(transaction: Transaction, now: number): void {
    const { zxid } = transaction.header;
    assert(this.#phase === "serving", "only an established leader proposes");
    assert(zxid === this.#lastProposed + 1, "transactions are proposed in order, without a gap");
    if (counterOf(zxid) === COUNTER_MAX) return this.#stepDown("the numbers of this epoch are used up");
    const packet: LeaderPacket = { kind: "proposal", transaction };
    this.#lastProposed = zxid;
    this.#outstanding.push({ transaction, packet });
    this.#effects.push({ kind: "append", transaction });
    for (const learner of this.#learners.values()) {
      if (!learner.observer && (learner.stage === "synchronizing" || learner.stage === "following")) this.#sendProposal(learner, packet, zxid, now);
    }
  }

  #commitWhatAQuorumHas(): void {
    if (this.#phase !== "serving") return;
    let done = 0;
    for (const { transaction } of this.#outstanding) {
      const { zxid } = transaction.header;
      if (!this.#quorumHas(zxid)) break;
      done += 1;
      this.#commit(transaction, zxid);
      // Before the next commit: it may be of a request that came after the sync, and is answered after it.
      while (this.#syncs[0] !== undefined && this.#syncs[0].zxid <= zxid) this.#synced(this.#syncs.shift()?.learner);
    }
    if (done > 0) this.#outstanding.splice(0, done);
  }

  #quorumHas(zxid: Zxid): boolean {
    this.#count((learner) => learner.acked >= zxid);
    if (this.#durable < zxid) this.#counted.delete(this.#options.id);
    return this.#isQuorum(this.#counted);
  }

  #commit(transaction: Transaction, zxid: Zxid): void {
    assert(zxid > this.#committed, "transactions are committed in order");
    this.#committed = zxid;
    const commit: LeaderPacket = { kind: "commit", zxid };
    const inform: LeaderPacket = { kind: "inform", transaction };
    for (const learner of this.#learners.values()) {
      if (learner.stage === "synchronizing" || learner.stage === "following") this.#send(learner.id, learner.observer ? inform : commit);
    }
    this.#effects.push({ kind: "commit", transaction });
  }

  #synced(learner: LearnerId | undefined): void {
    if (learner === undefined) this.#effects.push({ kind: "synced" });
    else if (this.#learners.has(learner)) this.#send(learner, { kind: "sync" });
  }

  #timer(now: number): void {
    for (const learner of this.#learners.values()) {
      if (learner.deadline <= now) this.#close(learner, "it has been silent for too long");
      else if (learner.stage === "following" && learner.awaited !== undefined && learner.awaitedSince + this.#syncMs <= now) this.#close(learner, "it has not acknowledged a transaction for too long");
    }
    if (this.#phase === "serving") this.#pingAndCheck();
    else if (this.#phaseDeadline <= now) this.#stepDown(this.#lacking());
    if (this.#phase !== "stopped") this.#setTimer(now);
  }

  /** Twice a tick; every other time a quorum has to be there still. */
  #pingAndCheck(): void {
    this.#halfTicks += 1;
    if (this.#halfTicks % 2 === 0 && !this.#isQuorum(this.#present())) return this.#stepDown("too few followers are there to make a quorum");
    for (const learner of this.#learners.values()) {
      if (learner.stage === "following") this.#send(learner.id, { kind: "ping", zxid: this.#lastProposed });
    }
  }

  /** Those who are being synchronized count, so that it may take its time. */
  #present(): ReadonlySet<number> {
    this.#counted.clear();
    this.#counted.add(this.#options.id);
    for (const learner of this.#learners.values()) {
      const voter = this.#voterOf(learner);
      if (voter !== undefined) this.#counted.add(voter);
    }
    return this.#counted;
  }

  #lacking(): string {
    const { initLimit } = this.#options;
    if (this.#phase === "sync") return `no quorum took over this leader's history within initLimit (${initLimit} ticks): raise it if there is much to send`;
    return `no quorum of followers came within initLimit (${initLimit} ticks)`;
  }
}
