import { assert, must } from "../../../lib/assert.ts";
import { subscribedTopics } from "../../protocol/consumer-protocol.ts";
import type { Deadline } from "./deadlines.ts";
import { GroupOffsets } from "./group-offsets.ts";
import type { Member } from "./member.ts";
import type { GroupProtocol, JoinResult, StoredGroup } from "./types.ts";

/** The names that DescribeGroups and ListGroups give. A group that dies leaves its partition in that turn, so no group is ever Dead. */
export type GroupState = "Empty" | "PreparingRebalance" | "CompletingRebalance" | "Stable";

const allowedFrom: Readonly<Record<GroupState, readonly GroupState[]>> = {
  Empty: ["PreparingRebalance"],
  PreparingRebalance: ["Stable", "CompletingRebalance", "Empty"],
  CompletingRebalance: ["PreparingRebalance"],
  Stable: ["CompletingRebalance"],
};

/** A partition of the offsets topic that this broker leads, with the groups that it keeps. */
export interface GroupsPartition {
  readonly partition: number;
  state: "loading" | "owned";
  epoch: number;
  readonly groups: Map<string, Group>;
}

/** What a deadline is for. */
export type Ring =
  | { readonly kind: "session"; readonly group: Group; readonly member: Member }
  | { readonly kind: "pending member"; readonly group: Group; readonly memberId: string }
  | { readonly kind: "join"; readonly group: Group }
  | { readonly kind: "sync"; readonly group: Group };

/**
 * What ends the phase in which members join. `join` ends as soon as all have joined, and at its deadline with whoever
 * has. `initial`, of a group that was empty, ends by time alone, and later as long as more members come.
 */
export type Rebalance =
  | { readonly kind: "join"; readonly deadline: Deadline<Ring> }
  | { readonly kind: "initial"; readonly deadline: Deadline<Ring>; readonly delayMs: number; readonly remainingMs: number };

/**
 * One group: its state, members and offsets. It keeps its own counts right and knows which moves are valid; what
 * follows from a move is told to members elsewhere (rebalance.ts, join.ts, sync.ts). Source: GroupMetadata.
 */
export class Group {
  readonly id: string;
  readonly home: GroupsPartition;
  readonly offsets = new GroupOffsets();
  /** In the order in which they came, which decides every tie: the next leader, equal votes, the order of answers. */
  readonly members = new Map<string, Member>();
  readonly pendingMembers = new Map<string, Deadline<Ring>>();
  /** Who has not sent a SyncGroup for this generation yet. */
  readonly pendingSync = new Set<Member>();
  syncDeadline: Deadline<Ring> | undefined;
  rebalance: Rebalance | undefined;
  /** The append of this generation's assignments, while it is under way. */
  assignmentToken: number | undefined;
  /** Somebody joined since the initial delay began. */
  newMemberAdded = false;
  #state: GroupState = "Empty";
  /** Undefined where an old record did not tell. */
  #stateWallMs: number | undefined;
  #generation = 0;
  #protocolType: string | undefined;
  #protocolName: string | undefined;
  #leaderId: string | undefined;
  #subscribedTopics: ReadonlySet<string> | undefined;
  #waiting = 0;
  readonly #staticMembers = new Map<string, string>();
  readonly #protocolCounts = new Map<string, number>();

  constructor(id: string, home: GroupsPartition, wallMs: number) {
    this.id = id;
    this.home = home;
    this.#stateWallMs = wallMs;
  }

  get state(): GroupState {
    return this.#state;
  }

  get stateWallMs(): number | undefined {
    return this.#stateWallMs;
  }

  get generation(): number {
    return this.#generation;
  }

  /** Undefined as long as the group never had a member; it stays when they leave. */
  get protocolType(): string | undefined {
    return this.#protocolType;
  }

  get protocolName(): string | undefined {
    return this.#protocolName;
  }

  get leaderId(): string | undefined {
    return this.#leaderId;
  }

  get isConsumerGroup(): boolean {
    return this.#protocolType === "consumer";
  }

  /** Of a group of consumers; undefined where it is not known. */
  get subscribedTopics(): ReadonlySet<string> | undefined {
    return this.#subscribedTopics;
  }

  /** How many JoinGroups wait. */
  get waiting(): number {
    return this.#waiting;
  }

  get allJoined(): boolean {
    return this.#waiting === this.members.size && this.pendingMembers.size === 0;
  }

  /** The greatest of the members', now. */
  get rebalanceTimeoutMs(): number {
    let greatest = 0;
    for (const member of this.members.values()) greatest = Math.max(greatest, member.rebalanceTimeoutMs);
    return greatest;
  }

  /** Nothing would be lost if it went. */
  get isVoid(): boolean {
    return this.#state === "Empty" && this.pendingMembers.size === 0 && this.offsets.isEmpty;
  }

  staticMemberId(instanceId: string): string | undefined {
    return this.#staticMembers.get(instanceId);
  }

  /** To be safe, an unknown subscription has every topic. */
  isSubscribedTo(topic: string): boolean {
    return this.#subscribedTopics?.has(topic) ?? true;
  }

  moveTo(state: GroupState, wallMs: number): void {
    assert(allowedFrom[state].includes(this.#state), `group ${this.id} moves from ${this.#state} to ${state}`);
    this.#state = state;
    this.#stateWallMs = wallMs;
  }

  /** As its log tells it. Sessions don't run yet. */
  restore(stored: StoredGroup, members: readonly Member[]): void {
    assert(this.members.size === 0 && this.#generation === 0, `group ${this.id} is restored once`);
    this.#protocolType = stored.protocolType === "" ? undefined : stored.protocolType;
    for (const member of members) {
      const sameInstance = member.instanceId === null ? undefined : this.#staticMembers.get(member.instanceId);
      this.remove(member.id);
      if (sameInstance !== undefined) this.remove(sameInstance);
      this.#insert(member);
    }
    this.#generation = stored.generation;
    this.#protocolName = stored.protocolName ?? (members.length === 0 ? undefined : "");
    if (stored.leaderId !== null && this.members.has(stored.leaderId)) this.#leaderId = stored.leaderId;
    this.#stateWallMs = stored.stateWallMs;
    this.#state = members.length === 0 ? "Empty" : "Stable";
    this.#subscribedTopics = this.#computeSubscribedTopics();
  }

  /** A new member, whose JoinGroup waits from now on. */
  add(member: Member, protocolType: string, ticket: number): void {
    if (this.members.size === 0) this.#protocolType = protocolType;
    assert(this.#protocolType === protocolType, `members of group ${this.id} have one protocol type`);
    this.#insert(member);
    this.awaitJoin(member, ticket);
  }

  #insert(member: Member): void {
    assert(!this.members.has(member.id) && !this.pendingMembers.has(member.id), `member ${member.id} joins group ${this.id} once`);
    if (member.instanceId !== null) {
      assert(!this.#staticMembers.has(member.instanceId), `instance ${member.instanceId} is in group ${this.id} once`);
      this.#staticMembers.set(member.instanceId, member.id);
    }
    this.members.set(member.id, member);
    this.#leaderId ??= member.id;
    this.#count(member, 1);
  }

  /** Out of everything that the group knows of it. Its tickets are settled before. */
  remove(memberId: string): Member | undefined {
    const member = this.members.get(memberId);
    if (member === undefined) return undefined;
    assert(member.joinTicket === undefined && member.syncTicket === undefined, `member ${memberId} leaves group ${this.id} without being answered`);
    this.members.delete(memberId);
    this.#count(member, -1);
    if (member.instanceId !== null) this.#staticMembers.delete(member.instanceId);
    this.pendingSync.delete(member);
    if (this.#leaderId === memberId) this.#leaderId = this.members.keys().next().value;
    return member;
  }

  /** Under another id, in the same place: a static member has come back. */
  rename(member: Member, memberId: string): void {
    const order = [...this.members.values()];
    if (this.#leaderId === member.id) this.#leaderId = memberId;
    this.#staticMembers.set(must(member.instanceId, "the instance of a static member"), memberId);
    member.id = memberId;
    this.members.clear();
    for (const each of order) this.members.set(each.id, each);
  }

  setProtocols(member: Member, protocols: readonly GroupProtocol[]): void {
    this.#count(member, -1);
    member.protocols = protocols;
    this.#count(member, 1);
  }

  /** The ticket that waited before, which is not answered any more. */
  awaitJoin(member: Member, ticket: number): number | undefined {
    const before = member.joinTicket;
    if (before === undefined) this.#waiting++;
    member.joinTicket = ticket;
    return before;
  }

  endJoin(member: Member): number | undefined {
    const ticket = member.joinTicket;
    if (ticket !== undefined) this.#waiting--;
    member.joinTicket = undefined;
    return ticket;
  }

  /** Makes a member the leader that has joined. False where nobody has. */
  electJoinedLeader(): boolean {
    const leader = this.#leaderId === undefined ? undefined : must(this.members.get(this.#leaderId), `leader of group ${this.id}`);
    if (leader === undefined) return false;
    if (leader.joinTicket !== undefined) return true;
    for (const member of this.members.values()) {
      if (member.joinTicket === undefined) continue;
      this.#leaderId = member.id;
      return true;
    }
    return false;
  }

  /** From joining to the next generation: of nobody, or one that waits for the leader's assignments. */
  beginGeneration(wallMs: number): void {
    this.#generation++;
    this.#protocolName = this.members.size === 0 ? undefined : this.selectProtocol();
    this.#subscribedTopics = this.#computeSubscribedTopics();
    this.moveTo(this.members.size === 0 ? "Empty" : "CompletingRebalance", wallMs);
  }

  /** Whether somebody with these protocols can be a member beside those that are. */
  supports(protocolType: string, protocols: readonly GroupProtocol[]): boolean {
    if (this.#state === "Empty") return protocolType !== "" && protocols.length > 0;
    if (this.#protocolType !== protocolType) return false;
    return protocols.some(({ name }) => (this.#protocolCounts.get(name) ?? 0) === this.members.size);
  }

  /** Of the protocols that all members have, the one that most of them prefer. */
  selectProtocol(): string {
    const candidates = new Set<string>();
    for (const [name, count] of this.#protocolCounts) if (count === this.members.size) candidates.add(name);
    const votes = new Map<string, number>();
    for (const member of this.members.values()) {
      const name = member.vote(candidates);
      votes.set(name, (votes.get(name) ?? 0) + 1);
    }
    let [chosen, most] = ["", 0];
    for (const [name, count] of votes) if (count > most) [chosen, most] = [name, count];
    assert(most > 0, `group ${this.id} has members that can vote`);
    return chosen;
  }

  /** What the leader gets, to assign: every member with its metadata for the chosen protocol. */
  memberMetadata(): JoinResult["members"] {
    const protocol = must(this.#protocolName, `protocol of group ${this.id}`);
    return Array.from(this.members.values(), (member) => ({ memberId: member.id, instanceId: member.instanceId, metadata: member.metadataFor(protocol) }));
  }

  /** The group's record, as it is now but for the assignments. */
  stored(assignmentOf: (member: Member) => Buffer): StoredGroup {
    const protocol = this.#protocolName;
    assert((protocol === undefined) === (this.members.size === 0), `group ${this.id} has a protocol if it has members`);
    return {
      protocolType: this.#protocolType ?? "",
      generation: this.#generation,
      protocolName: protocol ?? null,
      leaderId: this.#leaderId ?? null,
      stateWallMs: this.#stateWallMs,
      members: Array.from(this.members.values(), (member) => member.stored(protocol ?? "", assignmentOf(member))),
    };
  }

  #count(member: Member, change: 1 | -1): void {
    for (const name of member.protocolNames) {
      const count = (this.#protocolCounts.get(name) ?? 0) + change;
      if (count === 0) this.#protocolCounts.delete(name);
      else this.#protocolCounts.set(name, count);
    }
  }

  #computeSubscribedTopics(): ReadonlySet<string> | undefined {
    if (!this.isConsumerGroup) return undefined;
    const topics = new Set<string>();
    for (const member of this.members.values()) {
      const subscription = subscribedTopics(member.metadataFor(this.#protocolName ?? ""));
      if (subscription === undefined) return undefined;
      for (const topic of subscription) topics.add(topic);
    }
    return topics;
  }
}
