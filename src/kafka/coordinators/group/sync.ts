import { ErrorCode } from "../../protocol/error-codes.ts";
import { checkMember, syncError, type GroupContext } from "./context.ts";
import type { Group } from "./group.ts";
import { noBytes, type Member } from "./member.ts";
import { endPendingSyncOf, giveUpAssignments, prepareRebalance } from "./rebalance.ts";
import type { Now, SyncRequest, SyncResult } from "./types.ts";

/** SyncGroup, from the moment that its group is known. Source: GroupCoordinator.doSyncGroup at 3.8.0. */
export function syncGroup(context: GroupContext, group: Group, request: SyncRequest, ticket: number, now: Now): void {
  const error = check(context, group, request);
  const member = group.members.get(request.memberId);
  if (error !== ErrorCode.NONE || member === undefined) {
    context.effects.push({ kind: "synced", ticket, result: syncError(error) });
    return;
  }
  if (group.state === "Stable") {
    endPendingSyncOf(context, group, member);
    context.effects.push({ kind: "synced", ticket, result: assigned(group, member) });
    context.restartSession(group, member, now);
    return;
  }
  if (member.syncTicket !== undefined) context.effects.push({ kind: "superseded", ticket: member.syncTicket });
  member.syncTicket = ticket;
  endPendingSyncOf(context, group, member);
  // One that the leader sends again waits for the append of the first.
  if (group.leaderId === member.id && group.assignmentToken === undefined) store(context, group, request);
}

function check(context: GroupContext, group: Group, request: SyncRequest): ErrorCode {
  const error = checkMember(context, group, request.memberId, request.instanceId, "SyncGroup");
  if (error !== ErrorCode.NONE) return error;
  if (request.generation !== group.generation) return ErrorCode.ILLEGAL_GENERATION;
  if (request.protocolType !== null && request.protocolType !== group.protocolType) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
  if (request.protocolName !== null && request.protocolName !== group.protocolName) return ErrorCode.INCONSISTENT_GROUP_PROTOCOL;
  switch (group.state) {
    case "Empty":
      return ErrorCode.UNKNOWN_MEMBER_ID;
    case "PreparingRebalance":
      return ErrorCode.REBALANCE_IN_PROGRESS;
    case "CompletingRebalance":
    case "Stable":
      return ErrorCode.NONE;
  }
}

/** The leader's assignments go to the log before anybody is told. */
function store(context: GroupContext, group: Group, request: SyncRequest): void {
  const assignments = new Map<string, Buffer>();
  for (const { memberId, assignment } of request.assignments) if (group.members.has(memberId)) assignments.set(memberId, Buffer.from(assignment));
  const without = [...group.members.keys()].filter((memberId) => !assignments.has(memberId));
  if (without.length > 0) context.log("warn", "the leader has left members without an assignment", { group: group.id, generation: group.generation, members: without });
  const value = group.stored((member) => assignments.get(member.id) ?? noBytes);
  const token = context.newToken();
  group.assignmentToken = token;
  context.append(group.home.partition, [{ kind: "group", groupId: group.id, value }], token, { kind: "assignments", group, assignments });
}

/** `error` is already what a member may be told. Of a generation that has passed nothing is wanted any more. */
export function onAssignmentsStored(context: GroupContext, group: Group, token: number, assignments: ReadonlyMap<string, Buffer>, error: ErrorCode, now: Now): void {
  if (group.assignmentToken !== token) return;
  group.assignmentToken = undefined;
  if (error !== ErrorCode.NONE) {
    giveUpAssignments(context, group, error, now);
    prepareRebalance(context, group, "the assignments could not be stored", now);
    return;
  }
  group.moveTo("Stable", now.wallMs);
  for (const member of group.members.values()) {
    member.assignment = assignments.get(member.id) ?? noBytes;
    // Its session may have rung while it waited, which did not count.
    if (context.answerSync(member, assigned(group, member))) context.restartSession(group, member, now);
  }
}

function assigned(group: Group, member: Member): SyncResult {
  return { error: ErrorCode.NONE, protocolType: group.protocolType ?? null, protocolName: group.protocolName ?? null, assignment: member.assignment };
}
