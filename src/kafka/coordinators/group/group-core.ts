import { assert, assertNever } from "../../../lib/assert.ts";
import { javaAbs, javaHash } from "../../../lib/java-hash.ts";
import { errorName, ErrorCode } from "../../protocol/error-codes.ts";
import { groupAppendError } from "./append-errors.ts";
import { GroupContext, joinError, syncError, type GroupRules } from "./context.ts";
import { Group, type GroupsPartition } from "./group.ts";
import { joinGroup } from "./join.ts";
import { Member } from "./member.ts";
import { heartbeat, leaveGroup } from "./membership.ts";
import { commitOffsets, fetchOffsets, onCommitStored, refuseCommit } from "./offset-commits.ts";
import { deleteGroup, deleteOffsets, expireOffsets, removeDeletedPartitions } from "./offset-removal.ts";
import { onJoinDeadline, onSessionRing, onSyncDeadline, prepareRebalance, removePending } from "./rebalance.ts";
import { onReplacementStored } from "./static-member.ts";
import { onAssignmentsStored, syncGroup } from "./sync.ts";
import type { CommitRequest, FetchedOffset, GroupEffect, JoinRequest, LoadedGroup, MemberRef, Now, StoredMember, SyncRequest, TopicPartition } from "./types.ts";

export type { GroupRules } from "./context.ts";

/** The partition of the offsets topic that keeps a group, and so its coordinator. Source: GroupMetadataManager.partitionFor. */
export function groupPartition(groupId: string, count: number): number {
  return javaAbs(javaHash(groupId)) % count;
}

export interface GroupDescription {
  readonly error: ErrorCode;
  /** "Dead" for a group that does not exist, "" beside an error. */
  readonly state: string;
  readonly protocolType: string;
  /** With the members' metadata and assignments only while the group is stable. */
  readonly protocolName: string;
  readonly members: readonly StoredMember[];
}

/**
 * The coordinator of the groups in the partitions of `__consumer_offsets` that this broker leads, without bytes, clock
 * and waiting: an input changes the state in place and adds to `effects`, which the driver carries out in order and
 * empties. A request that waits is a ticket, which is settled exactly once; an append is a token, whose outcome the
 * driver tells once. Source: core/src/main/scala/kafka/coordinator/group at 3.8.0, whose behaviour this is but for
 * what docs/decisions names.
 */
export class GroupCore {
  readonly #context: GroupContext;
  readonly #partitionCount: number;
  readonly #homes = new Map<number, GroupsPartition>();

  constructor(options: { rules: GroupRules; partitionCount: number }) {
    this.#context = new GroupContext(options.rules);
    this.#partitionCount = options.partitionCount;
  }

  /** In order; emptied by the driver. */
  get effects(): GroupEffect[] {
    return this.#context.effects;
  }

  /** This broker leads the partition since that epoch, and reads it. */
  loading(partition: number, epoch: number): void {
    assert(this.#homes.get(partition)?.state !== "owned", `partition ${partition} is loaded already`);
    this.#homes.set(partition, { partition, state: "loading", epoch, groups: new Map() });
  }

  /** It leads on in another epoch. A load of the old one does not count any more. */
  newEpoch(partition: number, epoch: number): void {
    const home = this.#homes.get(partition);
    if (home !== undefined) home.epoch = epoch;
  }

  /** The partition has been read. A load of another epoch than the last that was told changes nothing. */
  loaded(partition: number, epoch: number, groups: readonly LoadedGroup[], now: Now): void {
    const home = this.#homes.get(partition);
    if (home?.state !== "loading" || home.epoch !== epoch) return;
    home.state = "owned";
    let members = 0;
    for (const loaded of groups) members += this.#restore(home, loaded, now).members.size;
    this.#context.log("info", "groups loaded", { partition, epoch, groups: home.groups.size, members });
  }

  #restore(home: GroupsPartition, loaded: LoadedGroup, now: Now): Group {
    const group = new Group(loaded.groupId, home, now.wallMs);
    group.offsets.restore(loaded);
    if (loaded.group !== undefined) {
      const protocol = loaded.group.protocolName ?? "";
      group.restore(loaded.group, loaded.group.members.map((stored) => {
        const member = new Member(stored);
        member.protocols = [{ name: protocol, metadata: stored.subscription }];
        member.assignment = stored.assignment;
        return member;
      }));
    }
    home.groups.set(group.id, group);
    if (group.members.size > this.#context.rules.maxSize) prepareRebalance(this.#context, group, "the group is larger than group.max.size", now);
    for (const member of group.members.values()) this.#context.restartSession(group, member, now);
    return group;
  }

  /** Another broker leads it, or none: who waits looks for the coordinator anew. */
  unloaded(partition: number, _now: Now): void {
    const home = this.#homes.get(partition);
    if (home === undefined) return;
    this.#homes.delete(partition);
    const groups = home.groups.size;
    let waiting = 0;
    for (const group of home.groups.values()) {
      for (const member of group.members.values()) {
        if (member.joinTicket !== undefined || member.syncTicket !== undefined) waiting++;
        this.#context.answerJoin(group, member, joinError(ErrorCode.NOT_COORDINATOR, member.id));
        this.#context.answerSync(member, syncError(ErrorCode.NOT_COORDINATOR));
      }
      this.#context.dropGroup(group);
    }
    this.#context.log("info", "groups unloaded", { partition, epoch: home.epoch, groups, waiting });
  }

  join(request: JoinRequest, ticket: number, now: Now): void {
    const { rules, effects } = this.#context;
    const { groupId, memberId, sessionTimeoutMs } = request;
    const refuse = (error: ErrorCode): void => void effects.push({ kind: "joined", ticket, result: joinError(error, memberId) });
    const place = this.#place(groupId, "named");
    if (typeof place === "number") return refuse(place);
    if (sessionTimeoutMs < rules.minSessionTimeoutMs || sessionTimeoutMs > rules.maxSessionTimeoutMs) return refuse(ErrorCode.INVALID_SESSION_TIMEOUT);
    const known = place.groups.get(groupId);
    if (known === undefined && memberId !== "") return refuse(ErrorCode.UNKNOWN_MEMBER_ID);
    const group = known ?? newGroup(groupId, place, now);
    joinGroup(this.#context, group, request, ticket, now);
    if (known === undefined) this.#dropIfUnused(group);
  }

  sync(request: SyncRequest, ticket: number, now: Now): void {
    const refuse = (error: ErrorCode): void => void this.#context.effects.push({ kind: "synced", ticket, result: syncError(error) });
    const place = this.#place(request.groupId, "named");
    // Old clients don't know that a coordinator loads; the generation that they sync for is lost anyway.
    if (typeof place === "number") return refuse(place === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS ? ErrorCode.REBALANCE_IN_PROGRESS : place);
    const group = place.groups.get(request.groupId);
    if (group === undefined) return refuse(ErrorCode.UNKNOWN_MEMBER_ID);
    syncGroup(this.#context, group, request, ticket, now);
  }

  heartbeat(request: MemberRef, now: Now): ErrorCode {
    const place = this.#place(request.groupId, "named");
    // The session begins anew when the group is loaded.
    if (typeof place === "number") return place === ErrorCode.COORDINATOR_LOAD_IN_PROGRESS ? ErrorCode.NONE : place;
    const group = place.groups.get(request.groupId);
    return group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : heartbeat(this.#context, group, request, now);
  }

  /** `members` in the order of the request; none beside an error of the group. */
  leave(groupId: string, members: readonly { readonly memberId: string; readonly instanceId: string | null }[], now: Now): { readonly error: ErrorCode; readonly members: readonly ErrorCode[] } {
    const place = this.#place(groupId, "named");
    if (typeof place === "number") return { error: place, members: [] };
    const group = place.groups.get(groupId);
    return { error: ErrorCode.NONE, members: members.map((leaving) => (group === undefined ? ErrorCode.UNKNOWN_MEMBER_ID : leaveGroup(this.#context, group, leaving, now))) };
  }

  commit(request: CommitRequest, ticket: number, now: Now): void {
    const { groupId, generation } = request;
    const place = this.#place(groupId, "any");
    if (typeof place === "number") return refuseCommit(this.#context, request, ticket, place);
    const known = place.groups.get(groupId);
    if (known === undefined && generation >= 0) return refuseCommit(this.#context, request, ticket, ErrorCode.ILLEGAL_GENERATION);
    const group = known ?? newGroup(groupId, place, now);
    commitOffsets(this.#context, group, request, ticket, now);
    if (known === undefined) this.#dropIfUnused(group);
  }

  /** In the order that was asked for; `wanted` null: all that are committed. */
  fetchOffsets(
    groupId: string,
    wanted: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null,
    requireStable: boolean,
  ): { readonly error: ErrorCode; readonly offsets: readonly FetchedOffset[] } {
    const place = this.#place(groupId, "any");
    if (typeof place === "number") return { error: place, offsets: [] };
    return { error: ErrorCode.NONE, offsets: fetchOffsets(place.groups.get(groupId), wanted, requireStable) };
  }

  /** Names of states and types without regard to case; none given means all. While something loads, what is there and an error. */
  list(states: readonly string[], types: readonly string[]): { readonly error: ErrorCode; readonly groups: readonly { readonly groupId: string; readonly protocolType: string; readonly state: string }[] } {
    let error: ErrorCode = ErrorCode.NONE;
    const groups: { groupId: string; protocolType: string; state: string }[] = [];
    const wanted = states.map((state) => state.toLowerCase());
    const none = types.length > 0 && !types.some((type) => type.toLowerCase() === "classic");
    for (const home of this.#homes.values()) {
      if (home.state === "loading") error = ErrorCode.COORDINATOR_LOAD_IN_PROGRESS;
      if (none) continue;
      for (const { id, protocolType, state } of home.groups.values()) {
        if (wanted.length === 0 || wanted.includes(state.toLowerCase())) groups.push({ groupId: id, protocolType: protocolType ?? "", state });
      }
    }
    return { error, groups };
  }

  describe(groupId: string): GroupDescription {
    const place = this.#place(groupId, "any");
    const nothing = { protocolType: "", protocolName: "", members: [] };
    if (typeof place === "number") return { error: place, state: "", ...nothing };
    const group = place.groups.get(groupId);
    if (group === undefined) return { error: ErrorCode.NONE, state: "Dead", ...nothing };
    const { state, protocolType = "", protocolName = "" } = group;
    const members = [...group.members.values()];
    if (state !== "Stable") return { error: ErrorCode.NONE, state, protocolType, protocolName: "", members: members.map((member) => member.described) };
    return { error: ErrorCode.NONE, state, protocolType, protocolName, members: members.map((member) => member.stored(protocolName, member.assignment)) };
  }

  /** In the order of `ids`. */
  deleteGroups(ids: readonly string[], _now: Now): readonly ErrorCode[] {
    return ids.map((id) => {
      const place = this.#place(id, "any");
      if (typeof place === "number") return place;
      const group = place.groups.get(id);
      return group === undefined ? ErrorCode.GROUP_ID_NOT_FOUND : deleteGroup(this.#context, group);
    });
  }

  /** In the order of `partitions`; none beside an error of the group. */
  deleteOffsets(groupId: string, partitions: readonly TopicPartition[], _now: Now): { readonly error: ErrorCode; readonly partitions: readonly ErrorCode[] } {
    const place = this.#place(groupId, "named");
    if (typeof place === "number") return { error: place, partitions: [] };
    const group = place.groups.get(groupId);
    if (group === undefined) return { error: ErrorCode.GROUP_ID_NOT_FOUND, partitions: [] };
    return deleteOffsets(this.#context, group, partitions);
  }

  /** Partitions of any topic are gone for good. */
  partitionsDeleted(partitions: readonly TopicPartition[], _now: Now): void {
    if (partitions.length === 0) return;
    let offsets = 0;
    for (const home of this.#homes.values()) offsets += removeDeletedPartitions(this.#context, home, partitions);
    if (offsets > 0) this.#context.log("info", "offsets of deleted partitions removed", { partitions: partitions.length, offsets });
  }

  /** The outcome of an append, with the log's own error: what members are told of it is decided here. */
  appended(token: number, error: ErrorCode, baseOffset: number, now: Now): void {
    const context = this.#context;
    const append = context.takeAppend(token);
    assert(append !== undefined, `append ${token} is under way`);
    if (append.kind === "commit") return onCommitStored(context, append, error, baseOffset);
    const { group } = append.kind === "replacement" ? append.replacement : append;
    const told = groupAppendError(error);
    if (error !== ErrorCode.NONE) context.log("warn", "group record could not be stored", { group: group.id, partition: group.home.partition, error: errorName(error), answer: errorName(told) });
    switch (append.kind) {
      case "assignments":
        return onAssignmentsStored(context, group, token, append.assignments, told, now);
      case "replacement":
        return onReplacementStored(context, append.replacement, told, now);
      case "empty group":
        // Should this broker fail before the next generation, the one before comes back and its sessions end.
        return;
      default:
        return assertNever(append);
    }
  }

  /** Lets go what has expired in one partition of the offsets topic; gives the number of offsets. */
  expireOffsets(partition: number, now: Now): number {
    const home = this.#homes.get(partition);
    return home?.state === "owned" ? expireOffsets(this.#context, home, now) : 0;
  }

  get ownedPartitions(): readonly number[] {
    return [...this.#homes.values()].filter(({ state }) => state === "owned").map(({ partition }) => partition);
  }

  /** When `expire` has something to do; it may turn out then that it is not yet time. */
  get nextDeadlineMs(): number | undefined {
    return this.#context.deadlines.nextMs;
  }

  expire(now: Now): void {
    const context = this.#context;
    for (let ring = context.deadlines.take(now.ms); ring !== undefined; ring = context.deadlines.take(now.ms)) {
      switch (ring.kind) {
        case "session":
          onSessionRing(context, ring.group, ring.member, now);
          break;
        case "pending member":
          context.log("info", "member failed", { group: ring.group.id, member: ring.memberId, reason: "it never came back with the id that it was given" });
          removePending(context, ring.group, ring.memberId, now);
          break;
        case "join":
          onJoinDeadline(context, ring.group, now);
          break;
        case "sync":
          onSyncDeadline(context, ring.group, now);
          break;
        default:
          assertNever(ring);
      }
    }
  }

  /** Everything of the groups and offsets in the partitions that are owned, for whoever compares it with the log. */
  *groups(): Generator<Group, void> {
    for (const home of this.#homes.values()) yield* home.groups.values();
  }

  /**
   * What is looked at before everything else: the partition that has the group, if it has, or why nothing can be said of it here. Requests about offsets may name the group "": old clients without a
   * group do so. Source: GroupCoordinator.validateGroupStatus.
   */
  #place(groupId: string, allowed: "named" | "any"): GroupsPartition | ErrorCode {
    if (groupId === "" && allowed === "named") return ErrorCode.INVALID_GROUP_ID;
    const home = this.#homes.get(groupPartition(groupId, this.#partitionCount));
    if (home === undefined) return ErrorCode.NOT_COORDINATOR;
    return home.state === "loading" ? ErrorCode.COORDINATOR_LOAD_IN_PROGRESS : home;
  }

  /** A request that was refused leaves no group behind. */
  #dropIfUnused(group: Group): void {
    if (group.isVoid && group.generation === 0) this.#context.dropGroup(group);
  }
}

function newGroup(groupId: string, home: GroupsPartition, now: Now): Group {
  const group = new Group(groupId, home, now.wallMs);
  home.groups.set(groupId, group);
  return group;
}
