import { ErrorCode } from "../../protocol/error-codes.ts";
import { checkMember, type GroupContext } from "./context.ts";
import type { Group } from "./group.ts";
import { removeMember, removePending } from "./rebalance.ts";
import type { MemberRef, Now } from "./types.ts";

/** Heartbeat, from the moment that its group is known. Source: GroupCoordinator.handleHeartbeat at 3.8.0. */
export function heartbeat(context: GroupContext, group: Group, request: MemberRef, now: Now): ErrorCode {
  const error = checkMember(context, group, request.memberId, request.instanceId, "Heartbeat");
  const member = group.members.get(request.memberId);
  if (error !== ErrorCode.NONE || member === undefined) return error;
  if (request.generation !== group.generation) return ErrorCode.ILLEGAL_GENERATION;
  context.restartSession(group, member, now);
  // While assignments are awaited there is nothing to do but to wait for one's own.
  return group.state === "PreparingRebalance" ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE;
}

/**
 * One member of a LeaveGroup. Without a member id an administrator takes a static member out, by its instance.
 * Source: GroupCoordinator.handleLeaveGroup at 3.8.0.
 */
export function leaveGroup(context: GroupContext, group: Group, leaving: { readonly memberId: string; readonly instanceId: string | null }, now: Now): ErrorCode {
  const { instanceId } = leaving;
  const memberId = leaving.memberId === "" && instanceId !== null ? (group.staticMemberId(instanceId) ?? "") : leaving.memberId;
  if (group.pendingMembers.has(memberId)) {
    removePending(context, group, memberId, now);
    return ErrorCode.NONE;
  }
  const error = checkMember(context, group, memberId, instanceId, "LeaveGroup");
  const member = group.members.get(memberId);
  if (error !== ErrorCode.NONE || member === undefined) return error;
  context.log("info", "member left", { group: group.id, member: memberId, instance: instanceId });
  removeMember(context, group, member, `member ${memberId} leaves`, now);
  return ErrorCode.NONE;
}
