import type { LogFields } from "../../../host/log.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { Deadlines } from "./deadlines.ts";
import type { Group, Ring } from "./group.ts";
import type { OffsetEntry } from "./group-offsets.ts";
import { noBytes, type Member } from "./member.ts";
import type { CommittedOffset, GroupEffect, GroupProtocol, JoinResult, Now, StoredRecord, SyncResult } from "./types.ts";

/** The broker's settings that the coordinator keeps to. Source: GroupConfig and OffsetConfig. */
export interface GroupRules {
  readonly minSessionTimeoutMs: number;
  readonly maxSessionTimeoutMs: number;
  readonly initialRebalanceDelayMs: number;
  readonly maxSize: number;
  /** In UTF-16 units, as Java measures a string, though the setting is called offset.metadata.max.bytes. */
  readonly offsetMetadataCharsMax: number;
  readonly offsetsRetentionMs: number;
}

/** A static member under its new id, with what to go back to if that can't be stored. */
export interface Replacement {
  readonly group: Group;
  readonly member: Member;
  readonly ticket: number;
  readonly supportsSkipping: boolean;
  readonly before: {
    readonly memberId: string;
    readonly leaderId: string | undefined;
    readonly protocols: readonly GroupProtocol[];
    readonly rebalanceTimeoutMs: number;
    readonly sessionTimeoutMs: number;
  };
}

/** What an append is for, until its outcome is known. */
export type AppendUnderWay =
  | { readonly kind: "assignments"; readonly group: Group; readonly assignments: ReadonlyMap<string, Buffer> }
  | { readonly kind: "replacement"; readonly replacement: Replacement }
  | { readonly kind: "empty group"; readonly group: Group; readonly generation: number }
  | {
      readonly kind: "commit";
      readonly group: Group;
      readonly ticket: number;
      /** What is appended, and where it belongs. */
      readonly entries: readonly OffsetEntry[];
      readonly values: readonly CommittedOffset[];
      /** By the request's partitions: what was refused before, NONE for what waits for the append. */
      readonly errors: ErrorCode[];
    };

/** What the core's parts share: the effects that they fill, the deadlines, the appends whose outcome they wait for. */
export class GroupContext {
  readonly rules: GroupRules;
  readonly effects: GroupEffect[] = [];
  readonly deadlines = new Deadlines<Ring>();
  readonly #appends = new Map<number, AppendUnderWay>();
  #nextToken = 1;

  constructor(rules: GroupRules) {
    this.rules = rules;
  }

  log(level: "info" | "warn" | "error", message: string, fields: LogFields): void {
    this.effects.push({ kind: "log", level, message, fields });
  }

  /** The token comes before the append, so that what is being appended can carry it. */
  newToken(): number {
    return this.#nextToken++;
  }

  append(partition: number, records: readonly StoredRecord[], token: number, purpose: AppendUnderWay): void {
    this.#appends.set(token, purpose);
    this.effects.push({ kind: "append", partition, records, acks: "required", token });
  }

  /** Each token's outcome comes once. */
  takeAppend(token: number): AppendUnderWay | undefined {
    const purpose = this.#appends.get(token);
    this.#appends.delete(token);
    return purpose;
  }

  /** Members that speak, or are spoken to, live for another session. */
  restartSession(group: Group, member: Member, now: Now): void {
    this.expireAt(group, member, now.ms + member.sessionTimeoutMs);
  }

  expireAt(group: Group, member: Member, atMs: number): void {
    member.expiresAtMs = atMs;
    // What rings earlier sees then that the time has moved.
    if (member.deadline !== undefined && !member.deadline.cancelled && member.deadline.atMs <= atMs) return;
    this.deadlines.cancel(member.deadline);
    member.deadline = atMs === Infinity ? undefined : this.deadlines.set(atMs, { kind: "session", group, member });
  }

  answerJoin(group: Group, member: Member, result: JoinResult): void {
    const ticket = group.endJoin(member);
    if (ticket !== undefined) this.effects.push({ kind: "joined", ticket, result });
  }

  /** False where no SyncGroup waited. */
  answerSync(member: Member, result: SyncResult): boolean {
    const ticket = member.syncTicket;
    if (ticket === undefined) return false;
    member.syncTicket = undefined;
    this.effects.push({ kind: "synced", ticket, result });
    return true;
  }

  /** Out of its group; who waits is told, and joins again if it still lives. */
  dropMember(group: Group, member: Member): void {
    this.answerJoin(group, member, joinError(ErrorCode.UNKNOWN_MEMBER_ID, ""));
    this.answerSync(member, syncError(ErrorCode.UNKNOWN_MEMBER_ID));
    this.deadlines.cancel(member.deadline);
    group.remove(member.id);
  }

  dropPending(group: Group, memberId: string): boolean {
    this.deadlines.cancel(group.pendingMembers.get(memberId));
    return group.pendingMembers.delete(memberId);
  }

  /** Out of its partition, with everything that would ring. Whoever waits has been answered. */
  dropGroup(group: Group): void {
    for (const member of group.members.values()) this.deadlines.cancel(member.deadline);
    for (const deadline of group.pendingMembers.values()) this.deadlines.cancel(deadline);
    this.deadlines.cancel(group.rebalance?.deadline);
    this.deadlines.cancel(group.syncDeadline);
    group.assignmentToken = undefined;
    group.home.groups.delete(group.id);
  }
}

export function joinError(error: ErrorCode, memberId: string): JoinResult {
  return { error, memberId, generation: -1, protocolType: null, protocolName: null, leaderId: "", skipAssignment: false, members: [] };
}

export function syncError(error: ErrorCode): SyncResult {
  return { error, protocolType: null, protocolName: null, assignment: noBytes };
}

/**
 * Whether the request comes from the member that it names: a static one has one id at a time, and who comes with the
 * one before is fenced. Source: GroupCoordinator.validateCurrentMember at 3.8.0.
 */
export function checkMember(context: GroupContext, group: Group, memberId: string, instanceId: string | null, api: string): ErrorCode {
  if (instanceId !== null) {
    const current = group.staticMemberId(instanceId);
    if (current === undefined) return ErrorCode.UNKNOWN_MEMBER_ID;
    if (current !== memberId) {
      context.log("info", "member fenced", { group: group.id, instance: instanceId, member: memberId, current, api });
      return ErrorCode.FENCED_INSTANCE_ID;
    }
  }
  return group.members.has(memberId) ? ErrorCode.NONE : ErrorCode.UNKNOWN_MEMBER_ID;
}
