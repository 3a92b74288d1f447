import { assert, assertNever } from "../../../lib/assert.ts";
import { makeZxid, toHex, type SessionId, type Zxid } from "../../protocol/ids.ts";
import type { Transaction } from "../../protocol/transactions.ts";
import type { ForwardedRequest, LeaderPacket, LearnerPacket } from "./packets.ts";
import { follows } from "./sync-plan.ts";

export interface LearnerOptions {
  readonly id: number;
  readonly observer: boolean;
  readonly tickMs: number;
  /** In ticks. */
  readonly initLimit: number;
  readonly syncLimit: number;
  readonly acceptedEpoch: number;
  readonly currentEpoch: number;
  /** Of the last transaction in the log, all of which is on the disk and in the tree. */
  readonly lastZxid: Zxid;
  /** Version of the ensemble as this member knows it. */
  readonly configVersion: number;
  /** Whether it asks for a snapshot, whatever it has. */
  readonly wantsSnapshot: boolean;
}

export type LearnerInput =
  /** To the leader. */
  | { readonly kind: "connected" }
  /** Not while `busy`. */
  | { readonly kind: "received"; readonly packet: LeaderPacket }
  | { readonly kind: "disconnected" }
  | { readonly kind: "acceptedEpochPersisted" }
  | { readonly kind: "currentEpochPersisted" }
  | { readonly kind: "truncated" }
  | { readonly kind: "snapshotInstalled" }
  /** The log is on the disk up to here. */
  | { readonly kind: "durable"; readonly zxid: Zxid }
  /** From this member's clients, while it serves. */
  | { readonly kind: "request"; readonly request: ForwardedRequest }
  | { readonly kind: "revalidate"; readonly sessionId: SessionId; readonly timeOut: number }
  /** The session has been heard of; the leader is told at its next ping. */
  | { readonly kind: "touch"; readonly sessionId: SessionId; readonly timeOut: number }
  | { readonly kind: "timer" };

export type LearnerFailure =
  /** The connection, or the leader's silence: back to the election. */
  | "lost"
  /** The leader's epoch is over, or it breaks the protocol: back to the election. */
  | "refused"
  /** The leader's history and this one do not fit together: back to the election, the next synchronization mends it. */
  | "diverged"
  /** The ensemble was changed while it ran, which this member cannot follow. */
  | "reconfigured";

/** To be carried out in this order; what they bring about comes back as inputs afterwards. */
export type LearnerEffect =
  | { readonly kind: "send"; readonly packet: LearnerPacket }
  | { readonly kind: "persistAcceptedEpoch"; readonly epoch: number }
  | { readonly kind: "persistCurrentEpoch"; readonly epoch: number }
  /** The log, its disk and the tree forget all after `zxid`; then "truncated". */
  | { readonly kind: "truncate"; readonly zxid: Zxid }
  /** The snapshot that follows in the stream takes the tree's place and is made durable under `zxid`; then "snapshotInstalled". */
  | { readonly kind: "installSnapshot"; readonly zxid: Zxid }
  | { readonly kind: "append"; readonly transaction: Transaction }
  /** Into the tree; before "upToDate" no client may see it, and a later leader may take it back. */
  | { readonly kind: "commit"; readonly transaction: Transaction }
  /** The tree is the leader's: serve. */
  | { readonly kind: "upToDate"; readonly epoch: number }
  /** The longest waiting sync of this member's clients. */
  | { readonly kind: "synced" }
  | { readonly kind: "revalidated"; readonly sessionId: SessionId; readonly alive: boolean }
  /**
   * Once, and the last of all: close the connection. The next election may begin when what was begun is done: epochs
   * written, history replaced, the log on the disk and all of it in the tree, currentEpoch not below its last epoch.
   */
  | { readonly kind: "fail"; readonly failure: LearnerFailure; readonly reason: string }
  /** In place of the one set before. */
  | { readonly kind: "setTimer"; readonly at: number };

/**
 * discovery: which epoch? sync: the leader's history replaces this one's end. takeover: all of it is on its way to
 * the disk, then the epoch. ready: until UPTODATE. following: serving.
 */
type Phase = "connecting" | "discovery" | "sync" | "takeover" | "ready" | "following" | "stopped";

/**
 * The learner's half of Zab, of a follower or an observer. Times are ms of the monotonic clock.
 * Sources: Learner, Follower, Observer, FollowerZooKeeperServer.
 *
 * acceptedEpoch is on the disk before ACKEPOCH leaves; what the leader sent is, and then currentEpoch, before NEWLEADER
 * is acknowledged; each transaction is before it is acknowledged. (Apache's 3.5.9 has currentEpoch on the disk before
 * the transactions: after a crash it may win an election without them.)
 */
export class LearnerCore {
  readonly #options: LearnerOptions;
  #effects: LearnerEffect[] = [];
  #phase: Phase = "connecting";
  #busy = false;
  #epoch = 0;
  #accepted: number;
  #deadline = 0;
  /** Of the last transaction appended. */
  #last: Zxid;
  #durable: Zxid;
  /** From DIFF, TRUNC or SNAP: where the leader's history ended when the synchronization began. */
  #syncZxid: Zxid | undefined;
  /** What the leader may send once more after a snapshot, because it holds it already. */
  #snapshotZxid: Zxid | undefined;
  /** Of the last transaction that the leader had sent when it asked to be acknowledged. */
  #takeoverZxid: Zxid | undefined;
  /** Appended and not in the tree; the first `#committed` of them the leader has committed. */
  #pending: Transaction[] = [];
  #committed = 0;
  /** Appended after the synchronization, and to be acknowledged once they are durable. */
  #unacknowledged: Zxid[] = [];
  #touched = new Map<SessionId, number>();

  constructor(options: LearnerOptions) {
    this.#options = options;
    this.#accepted = options.acceptedEpoch;
    this.#last = options.lastZxid;
    this.#durable = options.lastZxid;
  }

  /** Truncating or taking over a snapshot: no packet may be given to it, and after "installSnapshot" what arrives is the snapshot. */
  get busy(): boolean {
    return this.#busy;
  }

  get serving(): boolean {
    return this.#phase === "following";
  }

  /** In the log and not in the tree, oldest first: after "fail" they belong to this member's history all the same. */
  get uncommitted(): readonly Transaction[] {
    return this.#pending;
  }

  /** The effects belong to the caller. */
  step(input: LearnerInput, now: number): readonly LearnerEffect[] {
    if (this.#phase !== "stopped") this.#take(input, now);
    const effects = this.#effects;
    this.#effects = [];
    return effects;
  }

  #take(input: LearnerInput, now: number): void {
    switch (input.kind) {
      case "connected":
        return this.#connected(now);
      case "received":
        assert(!this.#busy, "packets wait while the history is being replaced");
        this.#heard(now);
        return this.#received(input.packet, now);
      case "disconnected":
        return this.#fail("lost", "the connection to the leader broke");
      case "acceptedEpochPersisted":
        this.#accepted = this.#epoch;
        return this.#ackEpoch(this.#options.currentEpoch);
      case "currentEpochPersisted":
        return this.#tookOver();
      case "truncated":
      case "snapshotInstalled":
        assert(this.#busy, "the history was being replaced");
        this.#busy = false;
        return this.#heard(now);
      case "durable":
        return this.#logged(input.zxid);
      case "request":
        assert(this.serving, "only a member that serves has requests");
        return this.#send({ kind: "request", request: input.request });
      case "revalidate":
        assert(this.serving, "only a member that serves has sessions come back");
        return this.#send({ kind: "revalidate", sessionId: input.sessionId, timeOut: input.timeOut });
      case "touch":
        this.#touched.set(input.sessionId, input.timeOut);
        return;
      case "timer":
        return this.#timer(now);
      default:
        assertNever(input);
    }
  }

  #send(packet: LearnerPacket): void {
    this.#effects.push({ kind: "send", packet });
  }

  #fail(failure: LearnerFailure, reason: string): void {
    if (this.#phase === "stopped") return;
    this.#phase = "stopped";
    this.#effects.push({ kind: "fail", failure, reason });
  }

  #connected(now: number): void {
    const { id, observer, configVersion } = this.#options;
    this.#phase = "discovery";
    this.#heard(now);
    this.#effects.push({ kind: "setTimer", at: this.#deadline });
    this.#send({ kind: "info", observer, acceptedEpoch: this.#accepted, serverId: id, configVersion });
  }

  #heard(now: number): void {
    const { tickMs, initLimit, syncLimit } = this.#options;
    this.#deadline = now + tickMs * (this.#phase === "following" ? syncLimit : initLimit);
  }

  /** The deadline moves with every packet, the timer only when it has come. */
  #timer(now: number): void {
    // The leader waits for us here, not we for it.
    if (this.#busy) this.#heard(now);
    if (this.#deadline <= now) return this.#fail("lost", "the leader has been silent for too long");
    this.#effects.push({ kind: "setTimer", at: this.#deadline });
  }

  #received(packet: LeaderPacket, now: number): void {
    switch (packet.kind) {
      case "leaderInfo":
        return this.#leaderInfo(packet.epoch);
      case "diff":
      case "trunc":
      case "snap":
        return this.#beginSync(packet.kind, packet.zxid);
      case "newLeader":
        return this.#newLeader(packet.epoch);
      case "upToDate":
        return this.#upToDate(now);
      case "proposal":
        return this.#append(packet.transaction);
      case "commit":
        return this.#commit(packet.zxid);
      case "inform":
        return this.#inform(packet.transaction);
      case "commitAndActivate":
        this.#commit(packet.zxid);
        return this.#fail("reconfigured", RECONFIGURED);
      case "informAndActivate":
        this.#inform(packet.transaction);
        return this.#fail("reconfigured", RECONFIGURED);
      case "ping":
        return this.#ping(packet.zxid);
      case "revalidated":
        this.#effects.push({ kind: "revalidated", sessionId: packet.sessionId, alive: packet.alive });
        return;
      case "sync":
        if (!this.serving) return this.#unexpected(packet.kind);
        this.#effects.push({ kind: "synced" });
        return;
      default:
        assertNever(packet);
    }
  }

  #unexpected(what: string): void {
    this.#fail("refused", `the leader sent ${what} while this member was in ${this.#phase}`);
  }

  #leaderInfo(epoch: number): void {
    if (this.#phase !== "discovery" || this.#epoch !== 0) return this.#unexpected("LEADERINFO");
    if (epoch < this.#accepted) return this.#fail("refused", `the leader's epoch ${epoch} is over: this member has accepted ${this.#accepted}`);
    this.#epoch = epoch;
    if (epoch === this.#accepted) this.#ackEpoch(undefined);
    else this.#effects.push({ kind: "persistAcceptedEpoch", epoch });
  }

  #ackEpoch(currentEpoch: number | undefined): void {
    assert(this.#phase === "discovery" && this.#accepted === this.#epoch, "an epoch is acknowledged once it is accepted");
    this.#phase = "sync";
    // The number that begins an epoch to come is in nobody's history: leaders answer it with a snapshot.
    if (this.#options.wantsSnapshot) this.#send({ kind: "ackEpoch", lastZxid: makeZxid(this.#epoch + 1, 0), currentEpoch: undefined });
    else this.#send({ kind: "ackEpoch", lastZxid: this.#last, currentEpoch });
  }

  /** The first packet of the synchronization, and only that. */
  #beginSync(kind: "diff" | "trunc" | "snap", zxid: Zxid): void {
    if (this.#phase !== "sync" || this.#syncZxid !== undefined) return this.#unexpected(kind.toUpperCase());
    if (this.#options.wantsSnapshot && kind !== "snap") return this.#fail("diverged", "only a snapshot would do, and the leader sent none");
    this.#syncZxid = zxid;
    if (kind === "diff") return;
    this.#busy = true;
    this.#last = zxid;
    this.#durable = zxid;
    if (kind === "trunc") {
      this.#effects.push({ kind: "truncate", zxid });
    } else {
      this.#snapshotZxid = zxid;
      this.#effects.push({ kind: "installSnapshot", zxid });
    }
  }

  #append(transaction: Transaction): void {
    const { zxid } = transaction.header;
    if (this.#syncZxid === undefined) return this.#unexpected("a proposal");
    if (this.#snapshotZxid !== undefined && zxid <= this.#snapshotZxid) return;
    if (!follows(this.#last, zxid)) return this.#fail("diverged", `the leader proposed 0x${toHex(zxid)} after 0x${toHex(this.#last)}: what was between is missing`);
    this.#last = zxid;
    this.#pending.push(transaction);
    if (!this.#options.observer && zxid > this.#syncZxid) this.#unacknowledged.push(zxid);
    this.#effects.push({ kind: "append", transaction });
  }

  /** It is the next in line, or this history is not the leader's. */
  #commit(zxid: Zxid): void {
    if (this.#syncZxid === undefined) return this.#unexpected("a commit");
    if (this.#snapshotZxid !== undefined && zxid <= this.#snapshotZxid) return;
    const next = this.#pending[this.#committed]?.header.zxid;
    if (next !== zxid) {
      return this.#fail("diverged", `the leader committed 0x${toHex(zxid)}, but ${next === undefined ? "nothing is waiting here" : `0x${toHex(next)} is the next here`}`);
    }
    this.#committed += 1;
    this.#releaseCommitted();
  }

  #inform(transaction: Transaction): void {
    this.#append(transaction);
    if (this.#phase !== "stopped") this.#commit(transaction.header.zxid);
  }

  /** While it serves a commit says that a quorum's disks have it; before, this member's own has to. */
  #releaseCommitted(): void {
    let released = 0;
    for (const transaction of this.#pending) {
      if (released === this.#committed || (!this.serving && transaction.header.zxid > this.#durable)) break;
      released += 1;
      this.#effects.push({ kind: "commit", transaction });
    }
    if (released === 0) return;
    this.#pending.splice(0, released);
    this.#committed -= released;
  }

  #newLeader(epoch: number): void {
    if (this.#phase !== "sync" || this.#syncZxid === undefined) return this.#unexpected("NEWLEADER");
    if (epoch !== this.#epoch) return this.#fail("refused", `the leader took epoch ${this.#epoch} and leads with ${epoch}`);
    if (this.#last < this.#syncZxid) return this.#fail("diverged", `the leader's history ends at 0x${toHex(this.#syncZxid)}, and what it sent of it at 0x${toHex(this.#last)}`);
    this.#phase = "takeover";
    this.#takeoverZxid = this.#last;
    this.#takeOver();
  }

  #takeOver(): void {
    if (this.#phase !== "takeover" || this.#takeoverZxid === undefined || this.#durable < this.#takeoverZxid) return;
    this.#takeoverZxid = undefined;
    this.#effects.push({ kind: "persistCurrentEpoch", epoch: this.#epoch });
  }

  #tookOver(): void {
    assert(this.#phase === "takeover", "the epoch was being taken over");
    this.#phase = "ready";
    this.#send({ kind: "ack", zxid: makeZxid(this.#epoch, 0) });
    this.#acknowledge();
  }

  #logged(zxid: Zxid): void {
    if (zxid <= this.#durable) return;
    assert(zxid <= this.#last, "nothing is durable that was not appended");
    this.#durable = zxid;
    this.#releaseCommitted();
    this.#takeOver();
    if (this.#phase === "ready" || this.#phase === "following") this.#acknowledge();
  }

  /** One by one, as Apache's leaders count them. */
  #acknowledge(): void {
    let done = 0;
    for (const zxid of this.#unacknowledged) {
      if (zxid > this.#durable) break;
      done += 1;
      this.#send({ kind: "ack", zxid });
    }
    if (done > 0) this.#unacknowledged.splice(0, done);
  }

  #upToDate(now: number): void {
    if (this.#phase !== "ready") return this.#unexpected("UPTODATE");
    this.#phase = "following";
    this.#heard(now);
    this.#effects.push({ kind: "setTimer", at: this.#deadline });
    this.#send({ kind: "ack", zxid: makeZxid(this.#epoch, 0) });
    this.#releaseCommitted();
    this.#effects.push({ kind: "upToDate", epoch: this.#epoch });
  }

  /** Before UPTODATE Apache's learners do not answer, and its leaders count on that. */
  #ping(zxid: Zxid): void {
    if (!this.serving) return;
    const touched = Array.from(this.#touched, ([sessionId, timeOut]) => ({ sessionId, timeOut }));
    this.#touched = new Map();
    this.#send({ kind: "ping", zxid, touched });
  }
}

const RECONFIGURED = "the ensemble was changed while it ran: give this member the new configuration and start it again";
