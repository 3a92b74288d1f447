import { assert, must } from "../../../lib/assert.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import type { GroupContext } from "./context.ts";
import { syncError } from "./context.ts";
import type { Group, Rebalance } from "./group.ts";
import { noBytes, type Member } from "./member.ts";
import type { JoinResult, Now } from "./types.ts";

/**
 * From a change of members to the next generation: who joins is waited for, who does not join in time goes, then all
 * are answered at once and have to send their SyncGroups. Source: GroupCoordinator.prepareRebalance, onCompleteJoin,
 * onExpirePendingSync at 3.8.0, DelayedJoin, InitialDelayedJoin, DelayedSync.
 */

/** Where the group isn't rebalancing already. */
export function rebalanceIfNeeded(context: GroupContext, group: Group, reason: string, now: Now): void {
  if (group.state !== "PreparingRebalance") prepareRebalance(context, group, reason, now);
}

export function prepareRebalance(context: GroupContext, group: Group, reason: string, now: Now): void {
  if (group.state === "CompletingRebalance") giveUpAssignments(context, group, ErrorCode.REBALANCE_IN_PROGRESS, now);
  endPendingSync(context, group);
  group.assignmentToken = undefined;
  const from = group.state;
  group.moveTo("PreparingRebalance", now.wallMs);
  context.log("info", "group rebalances", { group: group.id, partition: group.home.partition, state: from, generation: group.generation, members: group.members.size, reason });
  if (from === "Empty") {
    group.newMemberAdded = false;
    const delayMs = context.rules.initialRebalanceDelayMs;
    group.rebalance = initial(context, group, delayMs, Math.max(group.rebalanceTimeoutMs - delayMs, 0), now);
    return;
  }
  group.rebalance = join(context, group, now.ms + group.rebalanceTimeoutMs);
  tryComplete(context, group, now);
}

function initial(context: GroupContext, group: Group, delayMs: number, remainingMs: number, now: Now): Rebalance {
  return { kind: "initial", deadline: context.deadlines.set(now.ms + delayMs, { kind: "join", group }), delayMs, remainingMs };
}

function join(context: GroupContext, group: Group, atMs: number): Rebalance {
  return { kind: "join", deadline: context.deadlines.set(atMs, { kind: "join", group }) };
}

/** Where somebody has joined, or somebody that was waited for has gone. */
export function tryComplete(context: GroupContext, group: Group, now: Now): void {
  if (group.rebalance?.kind === "join" && group.allJoined) complete(context, group, now);
}

/** The deadline of joining has come. */
export function onJoinDeadline(context: GroupContext, group: Group, now: Now): void {
  const rebalance = must(group.rebalance, `the rebalance of group ${group.id}`);
  if (rebalance.kind === "initial" && group.newMemberAdded && rebalance.remainingMs !== 0) {
    group.newMemberAdded = false;
    const delayMs = Math.min(context.rules.initialRebalanceDelayMs, rebalance.remainingMs);
    group.rebalance = initial(context, group, delayMs, Math.max(rebalance.remainingMs - rebalance.delayMs, 0), now);
    return;
  }
  complete(context, group, now);
}

function complete(context: GroupContext, group: Group, now: Now): void {
  assert(group.state === "PreparingRebalance", `group ${group.id} completes joining in ${group.state}`);
  context.deadlines.cancel(group.rebalance?.deadline);
  group.rebalance = undefined;
  for (const member of group.members.values()) {
    if (member.isStatic || member.joinTicket !== undefined) continue;
    context.log("info", "member failed", { group: group.id, member: member.id, reason: "it did not join again in time" });
    context.dropMember(group, member);
  }
  if (!group.electJoinedLeader() && group.members.size > 0) {
    context.log("warn", "no member has joined, so that the group waits for its static members", { group: group.id, generation: group.generation, members: group.members.size });
    // At least a tick later: a client may say that it needs no time at all.
    group.rebalance = join(context, group, now.ms + Math.max(group.rebalanceTimeoutMs, 1));
    return;
  }
  group.beginGeneration(now.wallMs);
  if (group.members.size === 0) storeEmpty(context, group);
  else answerJoins(context, group, now);
}

function storeEmpty(context: GroupContext, group: Group): void {
  const { id: groupId, generation } = group;
  context.log("info", "group is empty", { group: groupId, partition: group.home.partition, generation });
  const value = group.stored(() => noBytes);
  context.append(group.home.partition, [{ kind: "group", groupId, value }], context.newToken(), { kind: "empty group", group, generation });
}

function answerJoins(context: GroupContext, group: Group, now: Now): void {
  context.log("info", "group has a new generation", { group: group.id, partition: group.home.partition, generation: group.generation, members: group.members.size, leader: group.leaderId });
  for (const member of group.members.values()) {
    context.answerJoin(group, member, currentGeneration(group, member));
    context.restartSession(group, member, now);
    member.isNew = false;
    group.pendingSync.add(member);
  }
  group.syncDeadline = context.deadlines.set(now.ms + group.rebalanceTimeoutMs, { kind: "sync", group });
}

/** What a member of the current generation is told: the leader also who is to be given something. */
export function currentGeneration(group: Group, member: Member): JoinResult {
  return {
    error: ErrorCode.NONE,
    memberId: member.id,
    generation: group.generation,
    protocolType: group.protocolType ?? null,
    protocolName: group.protocolName ?? null,
    leaderId: group.leaderId ?? "",
    skipAssignment: false,
    members: group.leaderId === member.id ? group.memberMetadata() : [],
  };
}

/** Who waits for its assignment gets an error instead. */
export function giveUpAssignments(context: GroupContext, group: Group, error: ErrorCode, now: Now): void {
  for (const member of group.members.values()) {
    member.assignment = noBytes;
    // Its session may have rung while it waited, which did not count.
    if (context.answerSync(member, syncError(error))) context.restartSession(group, member, now);
  }
}

/** A member has synced. */
export function endPendingSyncOf(context: GroupContext, group: Group, member: Member): void {
  group.pendingSync.delete(member);
  if (group.pendingSync.size === 0) endPendingSync(context, group);
}

function endPendingSync(context: GroupContext, group: Group): void {
  group.pendingSync.clear();
  context.deadlines.cancel(group.syncDeadline);
  group.syncDeadline = undefined;
}

/** Members that never sent their SyncGroup hold all others up (KAFKA-12890). */
export function onSyncDeadline(context: GroupContext, group: Group, now: Now): void {
  assert(group.state === "CompletingRebalance" || group.state === "Stable", `group ${group.id} waits for SyncGroups in ${group.state}`);
  const overdue = [...group.pendingSync];
  if (overdue.length === 0) return;
  context.log("info", "pending sync overdue", { group: group.id, generation: group.generation, members: overdue.map((member) => member.id) });
  for (const member of overdue) context.dropMember(group, member);
  prepareRebalance(context, group, "members did not send their SyncGroup in time", now);
}

/** A member leaves, or is taken to have failed. */
export function removeMember(context: GroupContext, group: Group, member: Member, reason: string, now: Now): void {
  context.dropMember(group, member);
  if (group.state === "PreparingRebalance") tryComplete(context, group, now);
  else prepareRebalance(context, group, reason, now);
}

export function removePending(context: GroupContext, group: Group, memberId: string, now: Now): void {
  context.dropPending(group, memberId);
  if (group.state === "PreparingRebalance") tryComplete(context, group, now);
}

/** A session has ended, unless it was prolonged, or the member waits for us. Source: GroupCoordinator.onExpireHeartbeat. */
export function onSessionRing(context: GroupContext, group: Group, member: Member, now: Now): void {
  if (member.expiresAtMs > now.ms) return context.expireAt(group, member, member.expiresAtMs);
  if (!member.isNew && (member.joinTicket !== undefined || member.syncTicket !== undefined)) return context.expireAt(group, member, Infinity);
  context.log("info", "member failed", { group: group.id, member: member.id, reason: member.isNew ? "its JoinGroup has waited too long" : "its session has ended" });
  removeMember(context, group, member, `member ${member.id} has failed`, now);
}
