import { expect, test } from "vitest";
import { must } from "../../../lib/assert.ts";
import { Heap } from "../../../lib/heap.ts";
import { Prng } from "../../../lib/prng.ts";
import { Election, type Candidacy } from "./election.ts";
import { electorateOf, type Electorate } from "./electorate.ts";
import { beats, type PeerState, type Vote } from "./notification.ts";
import { ensembleOf } from "./testing.ts";

/*
 * Cores alone, with messages between them that are delayed, lost, repeated and overtaken. A member that has decided
 * gives up after a while where its leader has no quorum behind it, as the broadcast would make it.
 */

const GIVE_UP_MS = 3000;

interface Event {
  readonly atMs: number;
  readonly order: number;
  act(): void;
}

interface Proposed {
  readonly id: number;
  readonly vote: Vote;
  readonly initial: Vote;
}

class Ensemble {
  readonly elections: readonly Election[];
  readonly candidacies: readonly Candidacy[];
  readonly electorate: Electorate;
  /** All LOOKING votes ever sent, by whom. */
  readonly proposed: Proposed[] = [];
  /** Leaders that decided by themselves, by the word of a quorum of looking members. */
  decisions = 0;
  nowMs = 0;
  lossPerMille = 0;
  delayMsMax = 50;
  /** Ids that hear and are heard. */
  connected: ReadonlySet<number>;
  readonly #prng: Prng;
  readonly #events = new Heap<Event>((a, b) => a.atMs < b.atMs || (a.atMs === b.atMs && a.order < b.order));
  #order = 0;
  readonly #timers: (number | undefined)[] = [];

  constructor(size: number, prng: Prng) {
    this.#prng = prng;
    this.electorate = electorateOf(ensembleOf(size));
    this.connected = this.electorate.voters;
    const ids = [...this.electorate.voters];
    this.elections = ids.map((id) => new Election({ id, role: "participant", electorate: this.electorate }));
    this.candidacies = ids.map(() => {
      const currentEpoch = prng.between(1, 3);
      return { currentEpoch, lastZxid: (currentEpoch - prng.below(2)) * 2 ** 32 + prng.below(3) };
    });
  }

  election(id: number): Election {
    return must(this.elections[id - 1], "election");
  }

  initial(id: number): Vote {
    const { lastZxid, currentEpoch } = must(this.candidacies[id - 1], "candidacy");
    return { leader: id, zxid: lastZxid, round: 0, peerEpoch: currentEpoch };
  }

  start(id: number): void {
    this.election(id).start(this.nowMs, must(this.candidacies[id - 1], "candidacy"));
    this.#perform(id, true);
  }

  after(ms: number, act: () => void): void {
    this.#events.push({ atMs: this.nowMs + ms, order: this.#order++, act });
  }

  run(untilMs: number): void {
    for (let event = this.#events.peek(); event !== undefined && event.atMs <= untilMs; event = this.#events.peek()) {
      this.#events.pop();
      this.nowMs = event.atMs;
      event.act();
    }
    this.nowMs = untilMs;
  }

  followersOf(leader: number): ReadonlySet<number> {
    const behind = [...this.electorate.voters].filter((id) => this.connected.has(id) && this.election(id).state !== "looking" && this.election(id).vote?.leader === leader);
    return new Set(behind);
  }

  /** A leader that leads and has a quorum behind it. */
  established(): number[] {
    return [...this.electorate.voters].filter((id) => this.connected.has(id) && this.election(id).state === "leading" && this.electorate.isQuorum(this.followersOf(id)));
  }

  #perform(id: number, looking: boolean): void {
    const election = this.election(id);
    for (const effect of election.effects) {
      if (effect.kind === "timer") {
        this.#timers[id] = effect.atMs;
        if (effect.atMs !== undefined) this.#timerAt(id, effect.atMs);
      } else if (effect.kind === "send") {
        if (effect.state === "looking") this.proposed.push({ id, vote: effect.vote, initial: this.initial(id) });
        this.#post(id, effect.to, effect.state, effect.vote);
      } else if (effect.kind === "decided") {
        this.#decided(id, effect.vote, looking);
      }
    }
  }

  #timerAt(id: number, atMs: number): void {
    this.after(atMs - this.nowMs, () => {
      if (this.#timers[id] !== atMs) return;
      this.election(id).timer(this.nowMs, this.#prng.chance(9, 10));
      this.#perform(id, true);
    });
  }

  #post(from: number, to: number, state: PeerState, vote: Vote): void {
    const copies = this.#prng.chance(this.lossPerMille, 1000) ? 0 : this.#prng.chance(1, 20) ? 2 : 1;
    for (let copy = 0; copy < copies; copy++) {
      this.after(1 + this.#prng.below(this.delayMsMax), () => {
        if (!this.connected.has(from) || !this.connected.has(to)) return;
        this.election(to).receive(this.nowMs, from, { state, vote, version: 2, config: undefined });
        this.#perform(to, state === "looking");
      });
    }
  }

  #decided(id: number, vote: Vote, byLooking: boolean): void {
    if (vote.leader === id && byLooking) {
      this.decisions++;
      // A quorum has voted so in this round, and none of them had anything better.
      const voters = this.proposed.filter((proposed) => proposed.vote.round === vote.round && proposed.vote.leader === id && proposed.vote.peerEpoch === vote.peerEpoch && proposed.vote.zxid === vote.zxid);
      expect(this.electorate.isQuorum(new Set([id, ...voters.map((voter) => voter.id)]))).toBe(true);
      for (const { initial } of voters) expect(beats(initial, vote), "a vote for somebody worse than the voter").toBe(false);
    }
    const { round } = this.election(id);
    this.after(GIVE_UP_MS, () => this.#check(id, round));
  }

  #check(id: number, round: number): void {
    const election = this.election(id);
    if (election.state === "looking" || election.round !== round) return;
    const leader = must(election.vote, "vote").leader;
    const alive = this.connected.has(id) && this.connected.has(leader) && this.election(leader).state === "leading" && this.electorate.isQuorum(this.followersOf(leader));
    if (alive) this.after(GIVE_UP_MS, () => this.#check(id, round));
    else this.start(id);
  }
}

test("of members that begin together and hear each other within 200 ms, all decide on the one with the best epoch and zxid", () => {
  for (let seed = 1; seed <= 300; seed++) {
    const prng = new Prng(seed);
    const ensemble = new Ensemble(prng.pick([1, 2, 3, 4, 5, 7]), prng);
    ensemble.delayMsMax = prng.between(1, 190);
    const ids = [...ensemble.electorate.voters];
    for (const id of ids) ensemble.start(id);
    ensemble.run(10_000);
    const best = ids.map((id) => ensemble.initial(id)).reduce((a, b) => (beats(b, a) ? b : a));
    expect(
      ids.map((id) => ensemble.election(id).vote?.leader),
      `seed ${seed}`,
    ).toEqual(ids.map(() => best.leader));
    expect(ensemble.established()).toEqual([best.leader]);
  }
});

test("whatever is lost, delayed, repeated or cut off: none decides to lead but with the best of a quorum that voted so; a majority left in peace has one leader", () => {
  let decisions = 0;
  for (let seed = 1; seed <= 500; seed++) {
    const prng = new Prng(seed);
    const ensemble = new Ensemble(prng.pick([3, 5, 7]), prng);
    const ids = [...ensemble.electorate.voters];
    for (const id of ids) ensemble.after(prng.below(2000), () => ensemble.start(id));
    for (let atMs = 0; atMs < 30_000; ) {
      atMs += prng.between(100, 3000);
      ensemble.run(atMs);
      ensemble.lossPerMille = prng.pick([0, 100, 500]);
      ensemble.delayMsMax = prng.pick([10, 190, 1500]);
      ensemble.connected = new Set(prng.chance(1, 3) ? ids : prng.shuffle([...ids]).slice(0, prng.between(1, ids.length)));
    }
    // A majority, a little loss still, and long enough for those that have become patient.
    const majority = new Set(prng.shuffle([...ids]).slice(0, prng.between((ids.length >> 1) + 1, ids.length)));
    ensemble.connected = majority;
    ensemble.lossPerMille = prng.pick([0, 50]);
    ensemble.delayMsMax = prng.between(1, 150);
    ensemble.run(ensemble.nowMs + 600_000);
    const leaders = ensemble.established();
    expect(leaders.length, `seed ${seed}: one leader`).toBe(1);
    expect([...ensemble.followersOf(must(leaders[0], "leader"))].toSorted((a, b) => a - b), `seed ${seed}: all that are connected follow it`).toEqual([...majority].toSorted((a, b) => a - b));
    decisions += ensemble.decisions;
  }
  expect(decisions).toBeGreaterThan(1000);
});
