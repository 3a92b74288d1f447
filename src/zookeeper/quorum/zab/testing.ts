import { assert, assertNever, must } from "../../../lib/assert.ts";
import { Heap } from "../../../lib/heap.ts";
import { Prng } from "../../../lib/prng.ts";
import type { Ensemble } from "../../config/ensemble.ts";
import { juteLimits } from "../../jute/limits.ts";
import { epochOf, NO_SESSION, sessionId, ZXID_ZERO, zxid, type Zxid } from "../../protocol/ids.ts";
import { OpCode } from "../../protocol/op-codes.ts";
import { encodeTransaction, type Transaction } from "../../protocol/transactions.ts";
import { LeaderCore, type LeaderEffect, type LeaderInput } from "./leader-core.ts";
import { LearnerCore, type LearnerEffect, type LearnerInput } from "./learner-core.ts";
import { encodeLeaderPacket, encodeLearnerPacket, PacketStream } from "./packets.ts";
import { planSync } from "./sync-plan.ts";

/**
 * Leaders and learners against each other, stepped in one loop: links that delay, stall and break, disks that finish
 * late, members that crash and lose what was not on the disk, and elections that are sometimes wrong.
 */

const TICK_MS = 100;
const INIT_LIMIT = 10;
const SYNC_LIMIT = 5;
const EVENTS_MAX = 200_000;
const LIMITS = juteLimits();
const NO_BODY = Buffer.alloc(0);

export interface Options {
  readonly seed: number;
  readonly voters: number;
  readonly observers: number;
}

/** One connection. What is sent arrives in order, or never. */
interface Link {
  readonly id: number;
  readonly leader: Member;
  readonly learner: Member;
  open: boolean;
  readonly toLeader: Direction;
  readonly toLearner: Direction;
}

interface Direction {
  lastArrival: number;
}

/** A packet's bytes, or a whole snapshot. */
type Item = Buffer | Transaction[];

type Role =
  | { readonly kind: "looking" }
  | { readonly kind: "leading"; readonly core: LeaderCore; readonly links: Map<number, { readonly link: Link; readonly stream: ReturnType<typeof PacketStream.ofLearner> }>; next: Zxid | undefined }
  | { readonly kind: "following"; readonly core: LearnerCore; readonly link: Link; readonly stream: ReturnType<typeof PacketStream.ofLeader>; readonly inbox: Item[]; syncs: number[] };

interface Write {
  /** What the disk holds from then on. */
  readonly land: () => void;
  readonly after: () => void;
}

class Member {
  readonly id: number;
  readonly observer: boolean;
  up = true;
  /** Events of an earlier role or life are void. */
  generation = 0;
  timer = 0;
  role: Role = { kind: "looking" };
  // On the disk.
  accepted = 0;
  current = 0;
  log: Transaction[] = [];
  /** Length of what `log` and the committed transactions have in common. */
  match = 0;
  // In memory.
  tail: Transaction[] = [];
  tree: Transaction[] = [];
  flushing = false;
  writes: Write[] = [];
  readonly inputs: (() => void)[] = [];
  draining = false;

  constructor(id: number, observer: boolean) {
    this.id = id;
    this.observer = observer;
  }

  get last(): Zxid {
    return lastOf(this.log);
  }

  get serving(): boolean {
    return this.role.kind === "leading" ? this.role.next !== undefined : this.role.kind === "following" && this.role.core.serving;
  }
}

function lastOf(log: readonly Transaction[]): Zxid {
  return log.at(-1)?.header.zxid ?? ZXID_ZERO;
}

interface Event {
  readonly at: number;
  readonly order: number;
  readonly run: () => void;
}

export class Model {
  readonly members: Member[];
  readonly marks = new Map<string, number>();
  readonly #prng: Prng;
  readonly #events = new Heap<Event>((a, b) => a.at < b.at || (a.at === b.at && a.order < b.order));
  readonly #ensemble: Ensemble;
  readonly #windowMax: number;
  readonly #useLog: boolean;
  readonly #slowness: number;
  readonly #links = new Set<Link>();
  /** All transactions that were ever committed, in order: histories are prefixes of it. */
  readonly #committed: Transaction[] = [];
  readonly #leaderOf = new Map<number, number>();
  #now = 0;
  #order = 0;
  #drawn = 0;
  #faulty = true;

  constructor({ seed, voters, observers }: Options) {
    this.#prng = new Prng(seed);
    this.#windowMax = this.#prng.pick([1, 3, 30]);
    this.#useLog = this.#prng.chance(1, 2);
    this.#slowness = this.#prng.pick([3, 20, 60]);
    this.members = Array.from({ length: voters + observers }, (_, index) => new Member(index + 1, index >= voters));
    this.#ensemble = {
      members: this.members.map(({ id, observer }) => ({ id, host: `h${id}`, quorumPort: 2888, electionPort: 3888, role: observer ? "observer" : "participant", clientAddress: undefined })),
      groups: undefined,
      version: 0,
    };
  }

  get summary(): string {
    return JSON.stringify([this.#now, this.#order, this.#committed.map(({ header }) => [header.zxid, header.cxid]), this.members.map((member) => [member.accepted, member.current, member.log.length])]);
  }

  get committed(): number {
    return this.#committed.length;
  }

  run(): void {
    this.#every([5, 40], () => this.#elect());
    this.#every([1, 30], () => this.#write());
    this.#every(this.#prng.pick([[40, 250], [100, 700], [200, 1500]] as const), () => this.#harm());
    this.#runUntil(() => this.#now >= 6000, "the faults were over");

    this.#faulty = false;
    for (const link of this.#links) this.#cut(link);
    for (const member of this.members) if (!member.up) this.#start(member);
    this.#runUntil(() => this.members.every((member) => member.serving), "all members served again");
    const wanted = this.#drawn + 10;
    this.#runUntil(() => this.#drawn >= wanted && this.#settled(), "all members had the same history");
  }

  #settled(): boolean {
    // Writing goes on for a while; it is the state between two writes that counts.
    return this.members.every(({ log, tail, tree }) => tail.length === 0 && log.length === this.#committed.length && tree.length === log.length);
  }

  #runUntil(holds: () => boolean, what: string): void {
    const deadline = this.#now + 60_000;
    while (!holds()) {
      const event = must(this.#events.pop(), "an event");
      assert(this.#order < EVENTS_MAX && event.at < deadline, `${what}, within the budget`);
      this.#now = event.at;
      event.run();
      this.#check();
    }
  }

  #mark(what: string): void {
    this.marks.set(what, (this.marks.get(what) ?? 0) + 1);
  }

  #after(ms: number, run: () => void): void {
    this.#at(this.#now + ms, run);
  }

  #at(at: number, run: () => void): void {
    this.#order += 1;
    this.#events.push({ at, order: this.#order, run });
  }

  /** Unless the member has another role, or none, by then. */
  #afterFor(member: Member, ms: number, run: () => void): void {
    const { generation } = member;
    this.#after(ms, () => {
      if (member.generation === generation) run();
    });
  }

  #every([least, most]: readonly [number, number], run: () => void): void {
    this.#after(this.#prng.between(least, most), () => {
      run();
      this.#every([least, most], run);
    });
  }

  // What has to hold, always.

  #check(): void {
    const majority = Math.floor(this.#ensemble.members.filter(({ role }) => role === "participant").length / 2) + 1;
    let holders = 0;
    for (const member of this.members) {
      const { log } = member;
      while (member.match < this.#committed.length && log[member.match]?.header.cxid === this.#committed[member.match]?.header.cxid) member.match += 1;
      if (!member.observer && member.match === this.#committed.length) holders += 1;
      assert(member.current <= member.accepted, "a member has accepted the epoch that it is in");
    }
    assert(holders >= majority, "what is committed is on the disks of a quorum");
  }

  /** A member that serves has a prefix of what is committed; a leader makes it longer. */
  #checkTree(member: Member, from: number): void {
    for (let at = from; at < member.tree.length; at++) {
      const transaction = must(member.tree[at], "a transaction");
      const other = this.#committed[at];
      if (other === undefined && member.role.kind === "leading") this.#committed.push(transaction);
      else assert(other?.header.cxid === transaction.header.cxid && other.header.zxid === transaction.header.zxid, "committed histories are prefixes of each other");
    }
  }

  // Faults.

  #harm(): void {
    if (!this.#faulty) return;
    const prng = this.#prng;
    const links = [...this.#links].filter((link) => link.open);
    const member = prng.pick(this.members);
    const [what, kind] = [prng.below(10), prng.below(3)];
    if (what < 4) {
      if (member.up) this.#crash(member);
      if (kind === 0) for (const other of this.members) if (other.up && prng.chance(1, 2)) this.#crash(other);
    } else if (links.length > 0) {
      const link = prng.pick(links);
      if (what < 7) this.#cut(link);
      else {
        const until = this.#now + prng.between(50, 1500);
        if (kind !== 0) link.toLeader.lastArrival = Math.max(link.toLeader.lastArrival, until);
        if (kind !== 1) link.toLearner.lastArrival = Math.max(link.toLearner.lastArrival, until);
      }
    }
  }

  #crash(member: Member): void {
    this.#mark("crash");
    member.up = false;
    // What was on its way to the disk may have come there, in the order in which it was written.
    for (const { land } of member.writes) {
      if (this.#prng.chance(1, 2)) break;
      land();
    }
    this.#saveTail(member, this.#prng.below(member.tail.length + 1));
    this.#endRole(member);
    this.#after(this.#prng.between(5, 1500), () => {
      if (!member.up) this.#start(member);
    });
  }

  #saveTail(member: Member, length: number): void {
    member.log.push(...member.tail.slice(0, length));
    member.tail = [];
  }

  #start(member: Member): void {
    member.up = true;
    this.#look(member);
  }

  /** All of the log is in the tree, and its last epoch counts as the member's, as EpochFiles has it. */
  #look(member: Member): void {
    member.tree = [...member.log];
    member.current = Math.max(member.current, epochOf(member.last));
    member.role = { kind: "looking" };
  }

  /** A role ends, and the member lives: what was begun is finished first. */
  #leave(member: Member): void {
    for (const { land } of member.writes) land();
    this.#saveTail(member, member.tail.length);
    this.#endRole(member);
    this.#look(member);
  }

  #endRole(member: Member): void {
    member.generation += 1;
    member.writes = [];
    member.flushing = false;
    member.inputs.length = 0;
    const { role } = member;
    if (role.kind === "leading") for (const { link } of role.links.values()) this.#cut(link);
    if (role.kind === "following") this.#cut(role.link);
    member.role = { kind: "looking" };
  }

  #cut(link: Link): void {
    if (!link.open) return;
    link.open = false;
    this.#links.delete(link);
    const { leader, learner } = link;
    this.#after(this.#prng.between(0, 300), () => {
      if (leader.role.kind === "leading" && leader.role.links.delete(link.id)) this.#lead(leader, { kind: "disconnected", learner: link.id });
    });
    this.#after(this.#prng.between(0, 300), () => {
      if (learner.role.kind === "following" && learner.role.link === link) this.#follow(learner, { kind: "disconnected" });
    });
  }

  // Elections, from above, and not always right.

  #elect(): void {
    const prng = this.#prng;
    const looking = prng.shuffle(this.members.filter((member) => member.up && member.role.kind === "looking"));
    const leaders = this.members.filter((member) => member.role.kind === "leading");
    const some = this.#faulty ? looking.slice(0, prng.below(looking.length + 1)) : looking;
    const candidates = some.filter((member) => !member.observer);
    const voters = this.#ensemble.members.filter(({ role }) => role === "participant").length;
    const hasLeader = leaders.length > 0 && (!this.#faulty || prng.chance(1, 2));
    if (candidates.length > voters / 2 && !hasLeader) {
      const best = candidates.toSorted((a, b) => b.current - a.current || b.last - a.last || b.id - a.id)[0];
      const leader = this.#faulty && prng.chance(1, 8) ? prng.pick(candidates) : must(best, "a candidate");
      this.#beginLeading(leader);
      for (const member of some) if (member !== leader) this.#beginFollowing(member, leader);
      return;
    }
    const newest = leaders.toSorted((a, b) => b.accepted - a.accepted)[0];
    for (const member of some) {
      if (newest !== undefined && prng.chance(2, 3)) this.#beginFollowing(member, this.#faulty ? prng.pick(leaders) : newest);
    }
  }

  #beginLeading(member: Member): void {
    const { id, accepted, current } = member;
    const core = new LeaderCore({ id, ensemble: this.#ensemble, tickMs: TICK_MS, initLimit: INIT_LIMIT, syncLimit: SYNC_LIMIT, acceptedEpoch: accepted, currentEpoch: current, lastZxid: member.last, config: "version=0" });
    member.role = { kind: "leading", core, links: new Map(), next: undefined };
    this.#lead(member, { kind: "start" });
  }

  #beginFollowing(member: Member, leader: Member): void {
    const { id, observer, accepted, current, last } = member;
    const core = new LearnerCore({ id, observer, tickMs: TICK_MS, initLimit: INIT_LIMIT, syncLimit: SYNC_LIMIT, acceptedEpoch: accepted, currentEpoch: current, lastZxid: last, configVersion: 0, wantsSnapshot: false });
    this.#order += 1;
    const link: Link = { id: this.#order, leader, learner: member, open: true, toLeader: { lastArrival: 0 }, toLearner: { lastArrival: 0 } };
    this.#links.add(link);
    member.role = { kind: "following", core, link, stream: PacketStream.ofLeader(LIMITS), inbox: [], syncs: [] };
    this.#afterFor(leader, this.#delay(), () => {
      if (!link.open || leader.role.kind !== "leading") return this.#cut(link);
      leader.role.links.set(link.id, { link, stream: PacketStream.ofLearner(LIMITS) });
      this.#lead(leader, { kind: "connected", learner: link.id });
      this.#afterFor(member, this.#delay(), () => this.#follow(member, { kind: "connected" }));
    });
    // A leader that goes before it accepts: the connection is refused.
    this.#afterFor(member, 400, () => {
      if (member.role.kind === "following" && (leader.role.kind !== "leading" || !leader.role.links.has(link.id))) this.#cut(link);
    });
  }

  // Links and disks.

  #delay(): number {
    return this.#prng.chance(1, 50) ? this.#prng.between(0, 200) : this.#prng.between(0, this.#slowness) / 3;
  }

  #transmit(link: Link, direction: Direction, arrive: () => void): void {
    direction.lastArrival = Math.max(direction.lastArrival, this.#now + this.#delay());
    this.#at(direction.lastArrival, () => {
      if (link.open) arrive();
    });
  }

  #toLearner(link: Link, item: Item): void {
    this.#transmit(link, link.toLearner, () => {
      const { learner } = link;
      if (learner.role.kind !== "following" || learner.role.link !== link) return;
      learner.role.inbox.push(item);
      this.#pump(learner);
    });
  }

  #pump(member: Member): void {
    if (member.role.kind !== "following") return;
    const { core, inbox, stream } = member.role;
    while (inbox.length > 0 && !core.busy && member.role.kind === "following") {
      stream.push(inbox.shift() as Buffer);
      const packet = stream.next();
      if (packet !== undefined) this.#follow(member, { kind: "received", packet });
    }
  }

  /** In order, one after the other. */
  #disk(member: Member, write: Write): void {
    member.writes.push(write);
    if (member.writes.length === 1) this.#nextWrite(member);
  }

  #nextWrite(member: Member): void {
    this.#afterFor(member, this.#prng.between(0, this.#slowness), () => {
      const write = must(member.writes.shift(), "a write");
      write.land();
      if (member.writes.length > 0) this.#nextWrite(member);
      write.after();
    });
  }

  #append(member: Member, transaction: Transaction): void {
    member.tail.push(transaction);
    this.#flush(member);
  }

  #flush(member: Member): void {
    if (member.flushing || member.tail.length === 0) return;
    member.flushing = true;
    const length = member.tail.length;
    this.#afterFor(member, this.#prng.between(0, this.#slowness), () => {
      member.flushing = false;
      member.log.push(...member.tail.splice(0, length));
      this.#flush(member);
      const input = { kind: "durable", zxid: member.last } as const;
      if (member.role.kind === "leading") this.#lead(member, input);
      else this.#follow(member, input);
    });
  }

  #accept(member: Member, epoch: number): void {
    assert(epoch > member.accepted, "an accepted epoch is never taken back");
    member.accepted = epoch;
  }

  #takeOver(member: Member, epoch: number): void {
    assert(epoch >= member.current, "the current epoch never goes back");
    member.current = epoch;
  }

  #replaceLog(member: Member, log: readonly Transaction[]): void {
    assert(member.tail.length === 0, "nothing is being logged while the history is replaced");
    member.log = [...log];
    member.tree = [...log];
    member.match = 0;
  }

  #commit(member: Member, transaction: Transaction): void {
    const logged = member.log[member.tree.length] ?? member.tail[member.tree.length - member.log.length];
    assert(logged?.header.cxid === transaction.header.cxid, "what is committed is the next in the log");
    member.tree.push(transaction);
    if (member.serving) this.#checkTree(member, member.tree.length - 1);
    else assert(member.tree.length <= member.log.length, "what is not known to be on a quorum's disks is on this one");
  }

  #arm(member: Member, at: number, run: () => void): void {
    member.timer += 1;
    const { timer } = member;
    this.#afterFor(member, Math.max(0, at - this.#now), () => {
      if (member.timer === timer) run();
    });
  }

  // Drivers.

  /** An input waits until the effects of the one before are carried out. */
  #queue(member: Member, step: () => void): void {
    member.inputs.push(step);
    if (member.draining) return;
    member.draining = true;
    for (let next = member.inputs.shift(); next !== undefined; next = member.inputs.shift()) next();
    member.draining = false;
  }

  #lead(member: Member, input: LeaderInput): void {
    this.#queue(member, () => {
      if (member.role.kind !== "leading") return;
      for (const effect of member.role.core.step(input, this.#now)) this.#leaderEffect(member, effect);
    });
  }

  #leaderEffect(member: Member, effect: LeaderEffect): void {
    const { role } = member;
    assert(role.kind === "leading", "effects of a leader");
    switch (effect.kind) {
      case "persistAcceptedEpoch":
        return this.#disk(member, { land: () => this.#accept(member, effect.epoch), after: () => this.#lead(member, { kind: "acceptedEpochPersisted" }) });
      case "persistCurrentEpoch":
        return this.#disk(member, { land: () => this.#takeOver(member, effect.epoch), after: () => this.#lead(member, { kind: "currentEpochPersisted" }) });
      case "send": {
        const to = role.links.get(effect.learner);
        if (to !== undefined) this.#toLearner(to.link, Buffer.concat(encodeLeaderPacket(effect.packet)));
        return;
      }
      case "synchronize": {
        const to = role.links.get(effect.learner);
        if (to !== undefined) this.#synchronize(member, to.link, effect.lastZxid);
        return;
      }
      case "close": {
        const to = role.links.get(effect.learner);
        role.links.delete(effect.learner);
        if (to !== undefined) this.#cut(to.link);
        return;
      }
      case "established":
        this.#mark("established");
        assert(!this.#leaderOf.has(effect.epoch), "an epoch has one leader");
        this.#leaderOf.set(effect.epoch, member.id);
        role.next = effect.zxid;
        this.#checkTree(member, 0);
        return;
      case "append":
        return this.#append(member, effect.transaction);
      case "commit":
        return this.#commit(member, effect.transaction);
      case "request":
        if (effect.request.type === OpCode.sync) this.#lead(member, { kind: "sync", learner: effect.learner });
        else this.#propose(member, effect.request.cxid);
        return;
      case "revalidate":
        return this.#lead(member, { kind: "revalidated", learner: effect.learner, sessionId: effect.sessionId, alive: effect.timeOut === 4000 });
      case "touch":
        if (effect.touched.length > 0) this.#mark("touch");
        return;
      case "synced":
        return this.#mark("own sync");
      case "stepDown":
        this.#mark("step down");
        return this.#leave(member);
      case "setTimer":
        return this.#arm(member, effect.at, () => this.#lead(member, { kind: "timer" }));
      default:
        assertNever(effect);
    }
  }

  #synchronize(member: Member, link: Link, lastZxid: Zxid): void {
    const entries = member.tree.slice(-this.#windowMax).map(({ header, payload }) => ({ zxid: header.zxid, payload }));
    const first = member.tree[0]?.header.zxid;
    const plan = planSync(lastZxid, {
      lastZxid: lastOf(member.tree),
      window: { min: entries[0]?.zxid, max: entries.at(-1)?.zxid, from: (id) => entries.filter((entry) => entry.zxid >= id) },
      logStart: this.#useLog ? first : undefined,
      forceSnapshot: false,
    });
    let head = plan.kind === "history" ? plan.head : undefined;
    let missing: ReadonlySet<Zxid> = new Set();
    if (plan.kind === "history") missing = new Set(plan.transactions.map((entry) => entry.zxid));
    if (plan.kind === "log") {
      const ids = [...member.tree.map(({ header }) => header.zxid).filter((id) => id <= plan.until), ...plan.rest.map((entry) => entry.zxid)];
      missing = new Set(ids.filter((id) => plan.walk.next(id) === "send"));
      if (plan.walk.end()) head = plan.walk.head;
      this.#mark("log");
    }
    this.#mark(head?.kind ?? "snap");
    if (head === undefined) {
      this.#toLearner(link, Buffer.concat(encodeLeaderPacket({ kind: "snap", zxid: lastOf(member.tree) })));
      this.#toLearner(link, [...member.tree]);
      return;
    }
    this.#toLearner(link, Buffer.concat(encodeLeaderPacket(head)));
    for (const transaction of member.tree.filter(({ header }) => missing.has(header.zxid))) {
      this.#toLearner(link, Buffer.concat(encodeLeaderPacket({ kind: "proposal", transaction })));
      this.#toLearner(link, Buffer.concat(encodeLeaderPacket({ kind: "commit", zxid: transaction.header.zxid })));
    }
  }

  #follow(member: Member, input: LearnerInput): void {
    this.#queue(member, () => {
      if (member.role.kind !== "following") return;
      for (const effect of member.role.core.step(input, this.#now)) this.#learnerEffect(member, effect);
    });
  }

  #learnerEffect(member: Member, effect: LearnerEffect): void {
    const { role } = member;
    assert(role.kind === "following", "effects of a learner");
    switch (effect.kind) {
      case "send": {
        const { link } = role;
        const bytes = Buffer.concat(encodeLearnerPacket(effect.packet));
        if (!link.open) return;
        return this.#transmit(link, link.toLeader, () => {
          const from = link.leader.role.kind === "leading" ? link.leader.role.links.get(link.id) : undefined;
          from?.stream.push(bytes);
          const packet = from?.stream.next();
          if (packet !== undefined) this.#lead(link.leader, { kind: "received", learner: link.id, packet });
        });
      }
      case "persistAcceptedEpoch":
        return this.#disk(member, { land: () => this.#accept(member, effect.epoch), after: () => this.#follow(member, { kind: "acceptedEpochPersisted" }) });
      case "persistCurrentEpoch":
        return this.#disk(member, { land: () => this.#takeOver(member, effect.epoch), after: () => this.#follow(member, { kind: "currentEpochPersisted" }) });
      case "truncate":
        return this.#disk(member, {
          land: () => {
            const end = member.log.findIndex(({ header }) => header.zxid === effect.zxid);
            assert(end >= 0 || effect.zxid === 0, "what the history is cut at is in the log");
            this.#replaceLog(member, member.log.slice(0, end + 1));
          },
          after: () => this.#replaced(member, { kind: "truncated" }),
        });
      case "installSnapshot":
        return this.#receiveSnapshot(member);
      case "append":
        return this.#append(member, effect.transaction);
      case "commit":
        return this.#commit(member, effect.transaction);
      case "upToDate":
        this.#checkTree(member, 0);
        return;
      case "synced": {
        this.#mark("sync");
        const seen = must(role.syncs.shift(), "a waiting sync");
        assert(member.tree.length >= seen, "what was committed before a sync is in the tree after it");
        return;
      }
      case "revalidated":
        return this.#mark(`revalidated ${effect.alive}`);
      case "fail":
        this.#mark(`fail: ${effect.failure}`);
        assert(effect.failure !== "diverged", effect.reason);
        return this.#leave(member);
      case "setTimer":
        return this.#arm(member, effect.at, () => this.#follow(member, { kind: "timer" }));
      default:
        assertNever(effect);
    }
  }

  #receiveSnapshot(member: Member): void {
    assert(member.role.kind === "following", "a learner takes snapshots over");
    const snapshot: Item | undefined = member.role.inbox.shift();
    if (snapshot === undefined) {
      this.#afterFor(member, 1, () => this.#receiveSnapshot(member));
      return;
    }
    assert(!Buffer.isBuffer(snapshot), "a snapshot follows SNAP");
    this.#disk(member, { land: () => this.#replaceLog(member, snapshot), after: () => this.#replaced(member, { kind: "snapshotInstalled" }) });
  }

  #replaced(member: Member, input: LearnerInput): void {
    this.#follow(member, input);
    this.#pump(member);
  }

  // Clients.

  #write(): void {
    const serving = this.members.filter((member) => member.up && member.serving);
    if (serving.length === 0) return;
    // A pause now and then lets histories come to rest.
    if (this.#now % 400 > 200) return;
    const member = this.#prng.pick(serving);
    const kind = this.#prng.below(8);
    this.#drawn += 1;
    const cxid = this.#drawn;
    if (member.role.kind === "leading") {
      if (kind === 0) this.#lead(member, { kind: "sync", learner: undefined });
      else this.#propose(member, cxid);
    } else if (member.role.kind === "following") {
      const { core, link, syncs } = member.role;
      if (!core.serving) return;
      if (kind === 0) {
        // A leader whose epoch is over, and that does not know it, answers for its own time only.
        syncs.push(this.#committed.filter(({ header }) => epochOf(header.zxid) <= link.leader.current).length);
        this.#follow(member, { kind: "request", request: { sessionId: NO_SESSION, cxid, type: OpCode.sync, body: NO_BODY, ids: null } });
      } else if (kind === 1) {
        this.#follow(member, { kind: "revalidate", sessionId: sessionId(1n), timeOut: this.#prng.pick([4000, 5000]) });
        this.#follow(member, { kind: "touch", sessionId: sessionId(1n), timeOut: 4000 });
      } else {
        this.#follow(member, { kind: "request", request: { sessionId: NO_SESSION, cxid, type: OpCode.setData, body: NO_BODY, ids: null } });
      }
    }
  }

  #propose(member: Member, cxid: number): void {
    assert(member.role.kind === "leading", "a leader proposes");
    const next = zxid(must(member.role.next, "a number to go on from") + 1);
    member.role.next = next;
    this.#lead(member, { kind: "propose", transaction: encodeTransaction({ clientId: NO_SESSION, cxid, zxid: next, time: 0 }, { type: OpCode.error, record: { err: -101 } }) });
  }
}
