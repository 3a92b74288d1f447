import { ErrorCode } from "../../protocol/error-codes.ts";
import { checkMember, joinError, type GroupContext } from "./context.ts";
import type { Group } from "./group.ts";
import { copyProtocols, Member } from "./member.ts";
import { currentGeneration, rebalanceIfNeeded, removePending, tryComplete } from "./rebalance.ts";
import { replaceStaticMember } from "./static-member.ts";
import type { JoinRequest, Now } from "./types.ts";

/** JoinGroup, from the moment that its group is known. Source: GroupCoordinator.handleJoinGroup at 3.8.0 and what it calls. */

/** How long the JoinGroup of a new member may wait: a client that is gone sends no heartbeat that would be missed. */
const newMemberJoinTimeoutMs = 300_000;

/** Beyond that the oldest id that was given out and not used yet is forgotten. */
const pendingMembersMax = 10_000;

export function joinGroup(context: GroupContext, group: Group, request: JoinRequest, ticket: number, now: Now): void {
  const error = request.memberId === "" ? joinNew(context, group, request, ticket, now) : joinAgain(context, group, request, ticket, now);
  if (error !== undefined) context.effects.push({ kind: "joined", ticket, result: joinError(error.code, error.memberId) });
  if (group.state === "PreparingRebalance") tryComplete(context, group, now);
}

/** What is said at once instead of a generation. */
interface JoinRefusal {
  readonly code: ErrorCode;
  readonly memberId: string;
}

function refused(code: ErrorCode, memberId: string): JoinRefusal {
  return { code, memberId };
}

/**
 * Whether there is room. While members join, those that have joined count, since others may not come back: so a group
 * that is too large, of a time when the limit was higher, loses its last. Source: GroupCoordinator.acceptJoiningMember.
 */
function hasRoom(context: GroupContext, group: Group, memberId: string): boolean {
  const { maxSize } = context.rules;
  switch (group.state) {
    case "Empty":
      return true;
    case "PreparingRebalance":
      return group.members.get(memberId)?.joinTicket !== undefined || group.waiting < maxSize;
    case "CompletingRebalance":
    case "Stable":
      return group.members.has(memberId) || group.members.size < maxSize;
  }
}

function joinNew(context: GroupContext, group: Group, request: JoinRequest, ticket: number, now: Now): JoinRefusal | undefined {
  if (!hasRoom(context, group, "")) return refused(ErrorCode.GROUP_MAX_SIZE_REACHED, "");
  if (!group.supports(request.protocolType, request.protocols)) return refused(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, "");
  const { instanceId } = request;
  const memberId = `${instanceId ?? request.clientId}-${request.memberSuffix}`;
  if (instanceId === null) {
    if (!request.requireKnownMemberId) {
      add(context, group, request, memberId, ticket, now);
      return undefined;
    }
    addPending(context, group, memberId, request.sessionTimeoutMs, now);
    return refused(ErrorCode.MEMBER_ID_REQUIRED, memberId);
  }
  const current = group.staticMemberId(instanceId);
  if (current === undefined) add(context, group, request, memberId, ticket, now);
  else replaceStaticMember(context, group, { request, oldId: current, newId: memberId, ticket }, now);
  return undefined;
}

function joinAgain(context: GroupContext, group: Group, request: JoinRequest, ticket: number, now: Now): JoinRefusal | undefined {
  const { memberId, instanceId, protocols } = request;
  if (!hasRoom(context, group, memberId)) {
    const member = group.members.get(memberId);
    if (member === undefined) removePending(context, group, memberId, now);
    else context.dropMember(group, member);
    return refused(ErrorCode.GROUP_MAX_SIZE_REACHED, "");
  }
  if (!group.supports(request.protocolType, protocols)) return refused(ErrorCode.INCONSISTENT_GROUP_PROTOCOL, memberId);
  if (group.pendingMembers.has(memberId)) {
    // Only dynamic members are given an id to come back with.
    if (instanceId !== null) return refused(ErrorCode.UNKNOWN_SERVER_ERROR, memberId);
    context.dropPending(group, memberId);
    add(context, group, request, memberId, ticket, now);
    return undefined;
  }
  const error = checkMember(context, group, memberId, instanceId, "JoinGroup");
  const member = group.members.get(memberId);
  if (error !== ErrorCode.NONE || member === undefined) return refused(error, memberId);
  // Nothing new: either the answer was lost, or a follower looks whether it still belongs. A leader that joins again wants to assign anew.
  const same = member.matches(protocols);
  if ((group.state === "CompletingRebalance" && same) || (group.state === "Stable" && same && group.leaderId !== memberId)) {
    context.effects.push({ kind: "joined", ticket, result: currentGeneration(group, member) });
    return undefined;
  }
  update(context, group, member, request, ticket);
  rebalanceIfNeeded(context, group, `member ${memberId} joins again: ${reasonOf(request)}`, now);
  return undefined;
}

function add(context: GroupContext, group: Group, request: JoinRequest, memberId: string, ticket: number, now: Now): void {
  const member = new Member({ ...request, memberId });
  member.protocols = copyProtocols(request.protocols);
  member.isNew = true;
  if (group.state === "PreparingRebalance" && group.generation === 0) group.newMemberAdded = true;
  group.add(member, request.protocolType, ticket);
  context.expireAt(group, member, now.ms + newMemberJoinTimeoutMs);
  rebalanceIfNeeded(context, group, `member ${memberId} joins: ${reasonOf(request)}`, now);
}

function addPending(context: GroupContext, group: Group, memberId: string, sessionTimeoutMs: number, now: Now): void {
  if (group.pendingMembers.size >= pendingMembersMax) {
    for (const oldest of group.pendingMembers.keys()) {
      context.dropPending(group, oldest);
      break;
    }
  }
  group.pendingMembers.set(memberId, context.deadlines.set(now.ms + sessionTimeoutMs, { kind: "pending member", group, memberId }));
}

/** What the member says now is what holds, and this JoinGroup waits for the generation to come. */
function update(context: GroupContext, group: Group, member: Member, request: JoinRequest, ticket: number): void {
  if (!member.matches(request.protocols)) group.setProtocols(member, copyProtocols(request.protocols));
  member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
  member.sessionTimeoutMs = request.sessionTimeoutMs;
  const before = group.awaitJoin(member, ticket);
  if (before !== undefined) context.effects.push({ kind: "superseded", ticket: before });
}

/** The client's own words; Apache's clients cut them at 255 characters. */
function reasonOf({ reason }: Pick<JoinRequest, "reason">): string {
  return reason?.slice(0, 255) ?? "no reason given";
}
