import { assert, assertNever, must } from "../../../lib/assert.ts";
import type { Electorate } from "./electorate.ts";
import { beats, NOTHING, type Notification, type PeerState, type Vote } from "./notification.ts";

/**
 * Fast leader election, as FastLeaderElection.lookForLeader of 3.5.9 has it: a member votes for itself, takes over
 * whatever beats its vote, tells every voter of each change, and is done once a quorum has voted as it does and
 * nothing better came for 200 ms, or every voter has voted so; or once a quorum that is done already names one leader who says so itself.
 *
 * What it decides is no promise: two members may decide on different leaders. That the leader gets a quorum of
 * followers behind it, and that of any two quorums one member knows the newest epoch, is the broadcast's business.
 *
 * Two deviations. A non-voter's message is answered only where it is looking: 3.5.9 answers all, so that an observer
 * that is not looking and a voter that is can answer each other without end. And where all voters agree nobody is left
 * to bring a better vote: 3.5.9 waits for one all the same.
 */

/** Silence for so long ends the wait for a better vote. */
export const FINALIZE_MS = 200;
/** The silence after which a notification is sent again doubles from FINALIZE_MS to this. */
export const NOTIFICATION_TIMEOUT_MAX_MS = 60_000;

export type DecidedState = Exclude<PeerState, "looking">;

export type ElectionEffect =
  | { readonly kind: "send"; readonly to: number; readonly state: PeerState; readonly vote: Vote }
  | { readonly kind: "decided"; readonly state: DecidedState; readonly vote: Vote }
  /** Nothing was delivered to anybody: try to connect to those that messages wait for. */
  | { readonly kind: "reconnect" }
  /** Replaces the timer; undefined: none any more. */
  | { readonly kind: "timer"; readonly atMs: number | undefined };

/** What a member has when it begins to look: the last logged zxid, and the content of its currentEpoch file. */
export interface Candidacy {
  readonly lastZxid: number;
  readonly currentEpoch: number;
}

/** Of a member that says that it follows or leads. */
interface Settled {
  readonly vote: Vote;
  readonly version: number;
  readonly leading: boolean;
}

/** Times are in milliseconds of one monotonic clock. Each input clears `effects` and fills it anew. */
export class Election {
  readonly effects: ElectionEffect[] = [];
  readonly #id: number;
  readonly #role: "participant" | "observer";
  #electorate: Electorate;
  #state: PeerState = "looking";
  #round = 0;
  /** The outcome of the last election; until the first, a vote for itself. Undefined before the first start. */
  #current: Vote | undefined;
  #initial: Vote = { leader: NOTHING, zxid: NOTHING, round: 0, peerEpoch: NOTHING };
  #proposal: Vote = this.#initial;
  /** The votes of this round. */
  readonly #received = new Map<number, Vote>();
  /** What those who follow or lead have said since this member began to look, in whatever round. */
  readonly #settled = new Map<number, Settled>();
  readonly #agreeing = new Set<number>();
  #timeoutMs = FINALIZE_MS;
  #finalizing = false;
  #deadlineMs: number | undefined;
  #timerMs: number | undefined;
  #votedAnew = false;

  constructor(options: { readonly id: number; readonly role: "participant" | "observer"; readonly electorate: Electorate }) {
    this.#id = options.id;
    this.#role = options.role;
    this.#electorate = options.electorate;
  }

  get state(): PeerState {
    return this.#state;
  }

  get round(): number {
    return this.#round;
  }

  /** The outcome of the last election. */
  get vote(): Vote | undefined {
    return this.#current;
  }

  /** Begins a new round. */
  start(now: number, { lastZxid, currentEpoch }: Candidacy): void {
    this.effects.length = 0;
    this.#current ??= { leader: this.#id, zxid: lastZxid, round: -1, peerEpoch: currentEpoch };
    this.#state = "looking";
    this.#round++;
    const votes = this.#role === "participant";
    this.#initial = {
      leader: this.#electorate.voters.has(this.#id) ? this.#id : NOTHING,
      zxid: votes ? lastZxid : NOTHING,
      round: this.#round,
      peerEpoch: votes ? currentEpoch : NOTHING,
    };
    this.#received.clear();
    this.#settled.clear();
    this.#timeoutMs = FINALIZE_MS;
    this.#finalizing = false;
    this.#deadlineMs = now + this.#timeoutMs;
    this.#propose(this.#initial);
    this.#finish(now);
  }

  /** A notification has come from another member. Before the first start nothing is heard. */
  receive(now: number, from: number, notification: Notification): void {
    this.effects.length = 0;
    if (this.#current === undefined) return;
    const asked = notification.state === "looking";
    if (!this.#electorate.voters.has(from)) {
      if (asked) this.#send(from, { ...this.#current, round: this.#round });
    } else if (this.#state !== "looking") {
      if (asked) this.#send(from, this.#current);
    } else {
      if (asked && notification.vote.round < this.#round) this.#send(from, this.#proposal);
      this.#take(now, from, notification);
      this.#finish(now);
    }
  }

  /** The timer has fired, or may have. `delivered`: some peer has taken all that was sent to it. */
  timer(now: number, delivered: boolean): void {
    this.effects.length = 0;
    if (this.#deadlineMs === undefined) return;
    if (now < this.#deadlineMs) {
      this.#timerMs = undefined;
    } else if (this.#finalizing) {
      this.#decide(this.#proposal);
    } else {
      this.#timeoutMs = Math.min(2 * this.#timeoutMs, NOTIFICATION_TIMEOUT_MAX_MS);
      this.#deadlineMs = now + this.#timeoutMs;
      if (delivered) this.#propose(this.#proposal);
      else this.effects.push({ kind: "reconnect" });
    }
    this.#finish(now);
  }

  /**
   * Leader and follower agree on `epoch`, which the leader has begun: from here on the stored vote names it, so that
   * members that come later find a quorum of equal votes. Source: QuorumPeer.updateElectionVote.
   */
  synced(epoch: number): void {
    assert(this.#state !== "looking", "only a member that has a leader is in sync with it");
    this.#current = { ...must(this.#current, "vote"), peerEpoch: epoch };
  }

  /** Another configuration counts from here on. A round under way wants a new `start`. */
  reconfigure(electorate: Electorate): void {
    this.#electorate = electorate;
  }

  #take(now: number, from: number, notification: Notification): void {
    const { vote, state } = notification;
    if (this.#finalizing) {
      if (!this.#beats(vote, this.#proposal)) {
        this.#deadlineMs = now + FINALIZE_MS;
        if (state === "looking" && sameVote(vote, this.#proposal)) this.#received.set(from, vote);
        this.#decideIfUnanimous();
        return;
      }
      this.#finalizing = false;
    }
    this.#deadlineMs = now + this.#timeoutMs;
    if (!this.#electorate.voters.has(vote.leader)) return;
    switch (state) {
      case "looking":
        this.#takeVote(now, from, vote);
        return;
      case "following":
      case "leading":
        this.#takeSettled(from, { vote, version: notification.version, leading: state === "leading" });
        return;
      case "observing":
        return;
      default:
        assertNever(state);
    }
  }

  #takeVote(now: number, from: number, vote: Vote): void {
    if (vote.round < this.#round) return;
    if (vote.round > this.#round) {
      this.#round = vote.round;
      this.#received.clear();
      this.#propose(this.#beats(vote, this.#initial) ? vote : { ...this.#initial, round: this.#round });
    } else if (this.#beats(vote, this.#proposal)) {
      this.#propose(vote);
    }
    this.#received.set(from, vote);
    if (!this.#isQuorumFor(this.#proposal)) return;
    this.#finalizing = true;
    this.#deadlineMs = now + FINALIZE_MS;
    this.#decideIfUnanimous();
  }

  #decideIfUnanimous(): void {
    if (this.#isQuorumFor(this.#proposal) && this.#agreeing.size === this.#electorate.voters.size) this.#decide(this.#proposal);
  }

  #takeSettled(from: number, settled: Settled): void {
    const { vote } = settled;
    if (vote.round === this.#round) {
      this.#received.set(from, vote);
      if (this.#isQuorumFor(vote) && this.#isLed(vote)) {
        this.#decide(vote);
        return;
      }
    }
    this.#settled.set(from, settled);
    if (!this.#isQuorumBehind(settled) || !this.#isLed(vote)) return;
    this.#round = vote.round;
    this.#decide(vote);
  }

  /** A leader that everybody names may have died: it must have said itself that it leads. */
  #isLed({ leader, round }: Vote): boolean {
    return leader === this.#id ? round === this.#round : this.#settled.get(leader)?.leading === true;
  }

  #isQuorumFor(vote: Vote): boolean {
    this.#agreeing.clear();
    for (const [id, other] of this.#received) {
      if (sameVote(other, vote)) this.#agreeing.add(id);
    }
    return this.#electorate.isQuorum(this.#agreeing);
  }

  /** Votes of those who are done differ in zxid and round for good reasons, and those of version 0 in the epoch too. */
  #isQuorumBehind({ vote, version }: Settled): boolean {
    this.#agreeing.clear();
    for (const [id, other] of this.#settled) {
      if (other.vote.leader === vote.leader && (other.version > 0 !== version > 0 || other.vote.peerEpoch === vote.peerEpoch)) this.#agreeing.add(id);
    }
    return this.#electorate.isQuorum(this.#agreeing);
  }

  #beats(vote: Vote, other: Vote): boolean {
    return this.#electorate.mayLead(vote.leader) && beats(vote, other);
  }

  /** Votes so, and tells every voter; itself once the present input has been handled. */
  #propose(vote: Vote): void {
    this.#proposal = vote;
    for (const id of this.#electorate.voters) if (id !== this.#id) this.#send(id, vote);
    this.#votedAnew = this.#electorate.voters.has(this.#id);
  }

  #send(to: number, vote: Vote): void {
    this.effects.push({ kind: "send", to, state: this.#state, vote });
  }

  #decide(vote: Vote): void {
    this.#state = vote.leader === this.#id ? "leading" : this.#role === "participant" ? "following" : "observing";
    this.#current = vote;
    this.#finalizing = false;
    this.#deadlineMs = undefined;
    this.effects.push({ kind: "decided", state: this.#state, vote });
  }

  #finish(now: number): void {
    if (this.#votedAnew) {
      this.#votedAnew = false;
      if (this.#state === "looking") this.#take(now, this.#id, { state: "looking", vote: this.#proposal, version: 2, config: undefined });
    }
    if (this.#deadlineMs === this.#timerMs) return;
    this.#timerMs = this.#deadlineMs;
    this.effects.push({ kind: "timer", atMs: this.#timerMs });
  }
}

function sameVote(one: Vote, other: Vote): boolean {
  return one.leader === other.leader && one.zxid === other.zxid && one.round === other.round && one.peerEpoch === other.peerEpoch;
}
