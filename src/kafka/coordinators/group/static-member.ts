import { assert, must } from "../../../lib/assert.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { joinError, syncError, type GroupContext, type Replacement } from "./context.ts";
import type { Group } from "./group.ts";
import { copyProtocols } from "./member.ts";
import { currentGeneration, prepareRebalance } from "./rebalance.ts";
import type { JoinRequest, JoinResult, Now } from "./types.ts";

/**
 * A static member that has started again (KIP-345): it comes without a member id, takes the place of the one before,
 * which is fenced, and keeps its assignment. Only if the group would choose another protocol now, or waits for
 * assignments that name the old id, it rebalances. Source: GroupCoordinator.updateStaticMemberAndRebalance at 3.8.0.
 */
export function replaceStaticMember(context: GroupContext, group: Group, join: { request: JoinRequest; oldId: string; newId: string; ticket: number }, now: Now): void {
  const { request, oldId, newId, ticket } = join;
  const member = must(group.members.get(oldId), `static member ${oldId}`);
  context.log("info", "static member replaced", { group: group.id, instance: request.instanceId, member: oldId, by: newId, state: group.state });
  context.answerJoin(group, member, joinError(ErrorCode.FENCED_INSTANCE_ID, oldId));
  context.answerSync(member, syncError(ErrorCode.FENCED_INSTANCE_ID));
  const { protocols, rebalanceTimeoutMs, sessionTimeoutMs } = member;
  const before = { memberId: oldId, leaderId: group.leaderId, protocols, rebalanceTimeoutMs, sessionTimeoutMs };
  group.rename(member, newId);
  group.setProtocols(member, copyProtocols(request.protocols));
  member.rebalanceTimeoutMs = request.rebalanceTimeoutMs;
  member.sessionTimeoutMs = request.sessionTimeoutMs;
  group.awaitJoin(member, ticket);
  context.restartSession(group, member, now);
  switch (group.state) {
    case "Stable":
      if (group.selectProtocol() === group.protocolName) store(context, { group, member, ticket, supportsSkipping: request.supportsSkipping, before });
      else prepareRebalance(context, group, `static member ${newId} joins with other protocols`, now);
      return;
    case "CompletingRebalance":
      return prepareRebalance(context, group, `static member ${newId} joins while assignments are awaited`, now);
    case "PreparingRebalance":
      return;
    case "Empty":
      assert(false, `group ${group.id} is empty and has member ${oldId}`);
  }
}

function store(context: GroupContext, replacement: Replacement): void {
  const { group } = replacement;
  const value = group.stored((member) => member.assignment);
  context.append(group.home.partition, [{ kind: "group", groupId: group.id, value }], context.newToken(), { kind: "replacement", replacement });
}

/** `error` is already what a member may be told. */
export function onReplacementStored(context: GroupContext, replacement: Replacement, error: ErrorCode, now: Now): void {
  const { group, member, ticket } = replacement;
  // A rebalance that began meanwhile has taken this JoinGroup over, or the member is gone, or replaced once more.
  if (group.state !== "Stable" || member.joinTicket !== ticket) return;
  const result = error === ErrorCode.NONE ? stored(replacement) : revert(replacement, error);
  context.answerJoin(group, member, result);
  context.restartSession(group, member, now);
}

/**
 * Up to version 8 a leader is given the id that it had before as the leader's: it would else assign, in a group that
 * is stable and hears no assignment. From version 9 on it is told not to (KIP-814).
 */
function stored({ group, member, supportsSkipping, before }: Replacement): JoinResult {
  const result = currentGeneration(group, member);
  if (supportsSkipping) return { ...result, skipAssignment: group.leaderId === member.id };
  return { ...result, leaderId: before.leaderId ?? "", members: [] };
}

/** The log knows the old id only, so everything is as it was. */
function revert({ group, member, before }: Replacement, error: ErrorCode): JoinResult {
  group.rename(member, before.memberId);
  group.setProtocols(member, before.protocols);
  member.rebalanceTimeoutMs = before.rebalanceTimeoutMs;
  member.sessionTimeoutMs = before.sessionTimeoutMs;
  return { ...currentGeneration(group, member), error, memberId: "", leaderId: before.leaderId ?? "", members: [] };
}
