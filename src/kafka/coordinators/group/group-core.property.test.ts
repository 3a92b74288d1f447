import { expect, test } from "vitest";
import { assert, must } from "../../../lib/assert.ts";
import { Prng } from "../../../lib/prng.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { GroupCore } from "./group-core.ts";
import type { Group } from "./group.ts";
import { noBytes } from "./member.ts";
import { foldLog } from "./testing/group-script.ts";
import type { CommitPartition, CommittedOffset, GroupEffect, JoinResult, MemberRef, StoredRecord } from "./types.ts";

/**
 * Random clients, clocks, append outcomes and changes of leadership against one core, with what must hold after every
 * single operation. A failing seed is named by the test.
 */
const groupIds = ["g", "h"];
const instances = ["i", "j"];
const topics = ["t", "u"];

interface Append {
  readonly token: number;
  readonly records: readonly StoredRecord[];
  readonly baseOffset: number;
  readonly tickets: readonly number[];
  /** Decided already, since the partition has gone. */
  outcome: ErrorCode | undefined;
}

interface Client {
  readonly groupId: string;
  readonly instanceId: string | null;
  memberId: string;
  generation: number;
  leads: boolean;
}

/** What a ticket stands for, until it is settled. */
type Request =
  | { readonly kind: "join"; readonly client: Client }
  | { readonly kind: "sync"; readonly client: Client; readonly generation: number }
  | { readonly kind: "commit"; readonly partitions: readonly CommitPartition[]; token: number | undefined };

class World {
  readonly #prng: Prng;
  readonly #core: GroupCore;
  #ms = 0;
  #wallMs = 10_000_000;
  #epoch = 1;
  #role: "owned" | "loading" | "elsewhere" = "owned";
  #ticket = 0;
  readonly #open = new Map<number, Request>();
  readonly #clients: Client[] = [];
  #appends: Append[] = [];
  /** Durable: what the next coordinator reads. */
  readonly #log: { records: readonly StoredRecord[]; baseOffset: number }[] = [];
  /** The offsets among it. */
  readonly #durable = new Map<CommittedOffset, number>();
  /** Some appends fail to tell that they have succeeded. */
  readonly #hides: boolean;
  #endOffset = 0;
  /** Of the append that ends in this very operation. */
  #ending: Append | undefined;
  readonly #generations = new Map<string, number>();
  readonly seen = new Map<string, number>();

  constructor(seed: number) {
    this.#prng = new Prng(seed);
    const initialRebalanceDelayMs = this.#prng.pick([0, 0, 500]);
    this.#core = new GroupCore({ partitionCount: 1, rules: { minSessionTimeoutMs: 100, maxSessionTimeoutMs: 100_000, initialRebalanceDelayMs, maxSize: this.#prng.pick([3, 100]), offsetMetadataCharsMax: 4, offsetsRetentionMs: 20_000 } });
    this.#hides = this.#prng.chance(1, 2);
    this.#core.loading(0, this.#epoch);
    this.#core.loaded(0, this.#epoch, [], this.#now);
    for (let client = 0; client < 6; client++) {
      const instanceId = this.#prng.chance(1, 3) ? this.#prng.pick(instances) : null;
      this.#clients.push({ groupId: this.#prng.pick(groupIds), instanceId, memberId: "", generation: -1, leads: false });
    }
  }

  get #now(): { ms: number; wallMs: number } {
    return { ms: this.#ms, wallMs: this.#wallMs };
  }

  step(): void {
    const prng = this.#prng;
    const client = prng.pick(this.#clients);
    const draw = prng.below(100);
    if (draw < 28) this.#join(client);
    else if (draw < 48) this.#sync(client);
    else if (draw < 56) this.#beat(client);
    else if (draw < 60) this.#leave(client);
    else if (draw < 70) this.#commit(client);
    else if (draw < 82) this.#endAppend();
    else if (draw < 92) this.#pass(prng.pick([1, 10, 100, 1000]));
    else if (draw < 94) this.#remove();
    else if (draw < 96) this.#forget(client);
    else if (draw < 97) this.#pass(30_000);
    else if (draw < 98) this.#wallMs += prng.between(-20_000, 20_000);
    else this.#changeRole();
    this.#settle();
    this.#check();
  }

  /** Everything that is still open is settled by the partition's going. */
  finish(): void {
    if (this.#role !== "elsewhere") this.#core.unloaded(0, this.#now);
    this.#role = "elsewhere";
    this.#settle();
    while (this.#appends.length > 0) {
      this.#endAppend();
      this.#settle();
    }
    expect([...this.#open.values()], "every ticket is settled").toEqual([]);
    expect(this.#core.nextDeadlineMs, "nothing rings any more").toBeUndefined();
  }

  #join(client: Client): void {
    const prng = this.#prng;
    const memberId = prng.chance(1, 10) ? "" : client.memberId;
    const protocols = prng.pick([["x", "y"], ["y", "x"], ["x"], ["y"], ["x", "x", "y"]]).map((name) => ({ name, metadata: Buffer.from(prng.pick(["a", "b"])) }));
    const ticket = this.#ask({ kind: "join", client });
    this.#core.join({
      groupId: client.groupId, memberId, instanceId: client.instanceId, clientId: "c", clientHost: "/h", rebalanceTimeoutMs: prng.pick([0, 300, 3000]), sessionTimeoutMs: prng.pick([50, 200, 2000, 2000]),
      protocolType: prng.chance(1, 20) ? "connect" : "consumer", protocols, requireKnownMemberId: client.instanceId === null && prng.chance(1, 2), supportsSkipping: prng.chance(1, 2), reason: null, memberSuffix: String(ticket),
    }, ticket, this.#now);
  }

  #sync(client: Client): void {
    const prng = this.#prng;
    const generation = prng.chance(1, 20) ? client.generation - 1 : client.generation;
    const ticket = this.#ask({ kind: "sync", client, generation });
    const assignments = client.leads ? this.#clients.filter(({ groupId, memberId }) => groupId === client.groupId && memberId !== "").map(({ memberId }) => ({ memberId, assignment: Buffer.from(`${memberId}/${generation}`) })) : [];
    this.#core.sync({ ...this.#ref(client), generation, protocolType: prng.pick([null, "consumer"]), protocolName: null, assignments }, ticket, this.#now);
  }

  #beat(client: Client): void {
    const error = this.#core.heartbeat(this.#ref(client), this.#now);
    const group = this.#group(client.groupId);
    if (this.#role !== "owned" || error !== ErrorCode.NONE) return;
    assert(group?.generation === client.generation && group.members.has(client.memberId), "a heartbeat is welcome from members of the generation");
  }

  #leave(client: Client): void {
    this.#core.leave(client.groupId, [this.#prng.chance(1, 3) ? { memberId: "", instanceId: this.#prng.pick(instances) } : { memberId: client.memberId, instanceId: client.instanceId }], this.#now);
  }

  #commit(client: Client): void {
    const prng = this.#prng;
    const partitions = Array.from({ length: prng.between(1, 3) }, () => ({ topic: prng.pick(topics), partition: prng.below(2), offset: this.#ticket, leaderEpoch: -1, metadata: prng.pick(["", "m", "too long"]), commitWallMs: undefined }));
    const alone = prng.chance(1, 3);
    const ticket = this.#ask({ kind: "commit", partitions, token: undefined });
    this.#core.commit({ ...(alone ? { groupId: client.groupId, memberId: "", instanceId: null, generation: -1 } : this.#ref(client)), retentionMs: prng.chance(1, 5) ? 5000 : undefined, partitions }, ticket, this.#now);
  }

  #endAppend(): void {
    const prng = this.#prng;
    const at = prng.chance(3, 4) ? 0 : prng.below(Math.max(1, this.#appends.length));
    const [append] = this.#appends.splice(at, 1);
    if (append === undefined) return;
    append.outcome ??= this.#outcomeOf(append);
    this.#ending = append;
    this.#core.appended(append.token, append.outcome, append.outcome === ErrorCode.NONE ? append.baseOffset : -1, this.#now);
  }

  #outcomeOf(append: Append): ErrorCode {
    const fails = this.#prng.chance(1, 5);
    if (!fails || (this.#hides && this.#prng.chance(1, 4))) this.#store(append);
    return fails ? this.#prng.pick([ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NOT_ENOUGH_REPLICAS]) : ErrorCode.NONE;
  }

  #store({ records, baseOffset }: Pick<Append, "records" | "baseOffset">): void {
    this.#log.push({ records, baseOffset });
    for (const record of records) if (record.kind === "offset" && record.value !== null) this.#durable.set(record.value, baseOffset);
  }

  #pass(ms: number): void {
    this.#ms += ms;
    this.#wallMs += ms;
    this.#core.expire(this.#now);
    const next = this.#core.nextDeadlineMs;
    assert(next === undefined || next > this.#ms, "what is due has rung");
  }

  #remove(): void {
    const prng = this.#prng;
    const groupId = prng.pick(groupIds);
    switch (prng.below(4)) {
      case 0:
        this.#core.deleteGroups([groupId], this.#now);
        break;
      case 1:
        this.#core.deleteOffsets(groupId, [{ topic: prng.pick(topics), partition: 0 }], this.#now);
        break;
      case 2:
        this.#core.partitionsDeleted([{ topic: prng.pick(topics), partition: 1 }], this.#now);
        break;
      default:
        this.#core.expireOffsets(0, this.#now);
    }
  }

  /** The process has died; another takes its place and instance. */
  #forget(client: Client): void {
    this.#clients[this.#clients.indexOf(client)] = { ...client, memberId: "", generation: -1, leads: false };
  }

  #changeRole(): void {
    this.#generations.clear();
    switch (this.#role) {
      case "owned":
        this.#core.unloaded(0, this.#now);
        this.#role = "elsewhere";
        // What the next coordinator reads is decided now, though it may be told later.
        for (const append of this.#appends) append.outcome ??= this.#outcomeOf(append);
        return;
      case "elsewhere":
        this.#core.loading(0, ++this.#epoch);
        this.#role = "loading";
        return;
      case "loading":
        this.#core.loaded(0, this.#epoch - 1, [], this.#now);
        assert(this.#core.ownedPartitions.length === 0, "a load of another epoch does not count");
        this.#core.loaded(0, this.#epoch, foldLog(this.#log), this.#now);
        this.#role = "owned";
    }
  }

  #ref({ groupId, memberId, instanceId, generation }: Client): MemberRef {
    return { groupId, memberId, instanceId, generation };
  }

  #ask(request: Request): number {
    this.#open.set(++this.#ticket, request);
    return this.#ticket;
  }

  #group(id: string): Group | undefined {
    for (const group of this.#core.groups()) if (group.id === id) return group;
    return undefined;
  }

  /** The effects, in order. */
  #settle(): void {
    for (const effect of this.#core.effects.splice(0)) this.#carryOut(effect);
    this.#ending = undefined;
  }

  #carryOut(effect: GroupEffect): void {
    switch (effect.kind) {
      case "log":
        this.#see(effect.message);
        return;
      case "append":
        this.#append(effect);
        return;
      case "superseded":
        this.#see("superseded");
        this.#close(effect.ticket);
        return;
      case "joined": {
        const request = this.#close(effect.ticket);
        if (request.kind !== "join") throw new Error(`ticket ${effect.ticket} is no join`);
        this.#joined(request.client, effect.result);
        return;
      }
      case "synced": {
        const request = this.#close(effect.ticket);
        if (request.kind !== "sync") throw new Error(`ticket ${effect.ticket} is no sync`);
        this.#see(`synced ${effect.result.error}`);
        if (effect.result.error !== ErrorCode.NONE) return;
        // Nobody is told an assignment that no log has.
        const group = must(this.#group(request.client.groupId), "the group of an assignment");
        assert(group.state === "Stable", "assignments are told when the group is stable");
        const isStored = this.#log.some(({ records: [record] }) => record?.kind === "group" && record.groupId === group.id && record.value?.generation === request.generation);
        assert(isStored, "assignments are told when they are stored");
        return;
      }
      case "committed": {
        const request = this.#close(effect.ticket);
        if (request.kind !== "commit") throw new Error(`ticket ${effect.ticket} is no commit`);
        assert(effect.errors.length === request.partitions.length, "each partition is told");
        for (const error of effect.errors) this.#see(`committed ${error}`);
        if (effect.errors.includes(ErrorCode.NONE)) assert(this.#ending?.tickets.includes(effect.ticket) === true && this.#ending.outcome === ErrorCode.NONE, "a commit is acknowledged when it is stored");
      }
    }
  }

  #append({ records, token, acks }: Extract<GroupEffect, { kind: "append" }>): void {
    assert(records.length > 0 && records.length <= 500, "appends are neither empty nor endless");
    assert((acks === "none") === (token === 0), "who waits has a token");
    const baseOffset = this.#endOffset;
    this.#endOffset += records.length;
    for (const record of records) {
      if (record.kind !== "group" || record.value === null) continue;
      const group = must(this.#group(record.groupId), "the group of a record");
      const { generation, leaderId, members, protocolName } = record.value;
      assert(generation === group.generation, "a record is of the generation");
      assert(members.map(({ memberId }) => memberId).join() === [...group.members.keys()].join(), "a record lists exactly the members");
      assert(members.length === 0 ? leaderId === null : members.some(({ memberId }) => memberId === leaderId), "a record's leader is a member");
      assert((protocolName === null) === (members.length === 0), "a record with members has a protocol");
    }
    if (token === 0) {
      this.#store({ records, baseOffset });
      return;
    }
    // The commit that has just been asked is the one that is appended.
    const last = this.#open.get(this.#ticket);
    this.#appends.push({ token, records, baseOffset, tickets: last?.kind === "commit" && records[0]?.kind === "offset" ? [this.#ticket] : [], outcome: undefined });
  }

  #joined(client: Client, result: JoinResult): void {
    this.#see(`joined ${result.error}`);
    if (result.error === ErrorCode.MEMBER_ID_REQUIRED || result.error === ErrorCode.NONE) {
      client.memberId = result.memberId;
      client.generation = result.generation;
      client.leads = result.leaderId === result.memberId && !result.skipAssignment;
    } else if (result.memberId === "" || result.error === ErrorCode.UNKNOWN_MEMBER_ID) {
      client.memberId = "";
    }
    assert((result.generation === -1) === (result.error !== ErrorCode.NONE && result.leaderId === ""), "a generation is told with its leader");
    if (result.members.length === 0) return;
    assert(result.leaderId === result.memberId && result.members.some(({ memberId }) => memberId === result.memberId), "the leader alone is told the members, itself among them");
  }

  #close(ticket: number): Request {
    const request = must(this.#open.get(ticket), `an open ticket ${ticket}`);
    this.#open.delete(ticket);
    return request;
  }

  #see(what: string): void {
    this.seen.set(what, (this.seen.get(what) ?? 0) + 1);
  }

  #check(): void {
    const waiting = new Set<number>();
    const known = new Set<string>();
    for (const group of this.#core.groups()) {
      known.add(group.id);
      this.#checkGroup(group, waiting);
      this.#checkOffsets(group);
    }
    for (const id of groupIds) if (!known.has(id)) this.#generations.delete(id);
    for (const { tickets } of this.#appends) for (const ticket of tickets) waiting.add(ticket);
    for (const ticket of this.#open.keys()) assert(waiting.has(ticket), `ticket ${ticket} waits for something`);
    if (this.#ticket % 4 === 0 && this.#role === "owned" && !this.#hides && this.#appends.length === 0) this.#compareWithLog();
  }

  #checkGroup(group: Group, tickets: Set<number>): void {
    const { members, state } = group;
    let waiting = 0;
    for (const [id, member] of members) {
      const { joinTicket, syncTicket, deadline, expiresAtMs, instanceId, isStatic } = member;
      assert(member.id === id, "a member stands under its id");
      assert(joinTicket === undefined || syncTicket === undefined, "no member waits twice");
      for (const ticket of [joinTicket, syncTicket]) {
        if (ticket === undefined) continue;
        assert(this.#open.has(ticket), `ticket ${ticket} that waits is open`);
        tickets.add(ticket);
      }
      if (joinTicket !== undefined) waiting++;
      assert(syncTicket === undefined || state === "CompletingRebalance", "assignments are waited for while they are awaited");
      // In a stable group a static member waits whose new id is being stored.
      assert(joinTicket === undefined || state === "PreparingRebalance" || (state === "Stable" && isStatic), "generations are waited for while members join");
      if (expiresAtMs === Infinity) assert(joinTicket !== undefined || syncTicket !== undefined, "who does not wait for us has a session");
      else assert(deadline !== undefined && !deadline.cancelled && deadline.atMs <= expiresAtMs, "a session is looked at when it ends");
      if (instanceId !== null) assert(group.staticMemberId(instanceId) === id, "an instance is its member");
    }
    assert(group.waiting === waiting, "who waits is counted right");
    for (const instance of instances) {
      const id = group.staticMemberId(instance);
      assert(id === undefined || members.get(id)?.instanceId === instance, "an instance's member is there");
    }
    assert(members.size === 0 ? group.leaderId === undefined : members.has(group.leaderId ?? ""), "the leader is a member");
    for (const name of ["x", "y"]) {
      let all = true;
      for (const member of members.values()) all &&= member.protocols.some((protocol) => protocol.name === name);
      assert(state === "Empty" || group.supports(group.protocolType ?? "", [{ name, metadata: noBytes }]) === all, "protocols are counted right");
    }
    assert(state !== "Empty" || members.size === 0, "an empty group is empty");
    assert((group.rebalance !== undefined) === (state === "PreparingRebalance"), "joining ends at some time");
    assert((group.syncDeadline !== undefined) === group.pendingSync.size > 0, "SyncGroups are waited for as long as some are missing");
    assert(group.pendingSync.size === 0 || state === "CompletingRebalance" || state === "Stable", "SyncGroups are waited for in a generation");
    for (const member of group.pendingSync) assert(members.get(member.id) === member, "members are waited for");
    assert(group.generation >= (this.#generations.get(group.id) ?? 0), "generations never fall");
    this.#generations.set(group.id, group.generation);
  }

  /** Nothing is seen that the log does not have. */
  #checkOffsets(group: Group): void {
    for (const { committed, appendedOffset, underWay } of group.offsets.entries()) {
      assert(committed !== undefined || underWay > 0, "an entry has an offset, or waits for one");
      if (committed !== undefined) assert(this.#durable.get(committed) === appendedOffset, "offsets are seen when they are stored");
      assert(underWay >= 0 && (underWay === 0 || this.#appends.length > 0), "commits under way are counted right");
    }
  }

  /** With no append under way, and none that failed to tell, memory is what the next coordinator would read. */
  #compareWithLog(): void {
    const fold = new Map(foldLog(this.#log).map((loaded) => [loaded.groupId, loaded]));
    for (const group of this.#core.groups()) {
      const loaded = fold.get(group.id);
      fold.delete(group.id);
      let offsets = 0;
      for (const { topic, partition, committed } of group.offsets.entries()) {
        offsets++;
        assert(loaded?.offsets.some((offset) => offset.topic === topic && offset.partition === partition && offset.committed === committed) === true, "an offset is in the log");
      }
      assert((loaded?.offsets.length ?? 0) === offsets, "the log has no other offsets");
      if (group.state !== "Stable") continue;
      assert(loaded?.group?.generation === group.generation, "a stable generation is in the log");
      const assignments = Array.from(group.members.values(), ({ assignment }) => assignment.toString());
      assert(loaded.group.members.map(({ assignment }) => assignment.toString()).join() === assignments.join(), "the assignments are in the log");
    }
    for (const { groupId, offsets, group } of fold.values()) assert(offsets.length === 0 && (group?.members.length ?? 0) === 0, `group ${groupId} of the log is there`);
  }
}

const seeds = 500;
const steps = 300;

test(`what must hold holds after each of ${steps} operations, for ${seeds} seeds`, () => {
  const seen = new Map<string, number>();
  for (let seed = 0; seed < seeds; seed++) {
    const world = new World(seed);
    let step = 0;
    try {
      for (; step < steps; step++) world.step();
      world.finish();
    } catch (error) {
      throw new Error(`seed ${seed}, step ${step}: ${String(error)}`, { cause: error });
    }
    for (const [what, times] of world.seen) seen.set(what, (seen.get(what) ?? 0) + times);
  }
  const { NONE, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID, NOT_COORDINATOR, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID, GROUP_MAX_SIZE_REACHED } = ErrorCode;
  const expected = [
    "group rebalances", "member failed", "member fenced", "member left", "pending sync overdue", "static member replaced",
    "group is empty", "group record could not be stored", "commit failed", "offsets expired", "group deleted", "superseded",
    ...[NONE, MEMBER_ID_REQUIRED, FENCED_INSTANCE_ID, NOT_COORDINATOR, UNKNOWN_MEMBER_ID, GROUP_MAX_SIZE_REACHED].map((error) => `joined ${error}`),
    ...[NONE, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, NOT_COORDINATOR, FENCED_INSTANCE_ID].map((error) => `synced ${error}`),
    ...[NONE, REBALANCE_IN_PROGRESS, ILLEGAL_GENERATION, UNKNOWN_MEMBER_ID].map((error) => `committed ${error}`),
  ];
  // The seeds reach what they are for.
  expect(expected.filter((what) => (seen.get(what) ?? 0) < 20)).toEqual([]);
}, 120_000);
