import { must } from "../../../lib/assert.ts";
import { errorName, ErrorCode } from "../../protocol/error-codes.ts";
import { commitAppendError } from "./append-errors.ts";
import { checkMember, type AppendUnderWay, type GroupContext } from "./context.ts";
import type { Group } from "./group.ts";
import type { OffsetEntry } from "./group-offsets.ts";
import type { CommitRequest, CommittedOffset, FetchedOffset, Now, StoredRecord } from "./types.ts";

/**
 * OffsetCommit and OffsetFetch, from the moment that their group is known.
 * Source: GroupCoordinator.doCommitOffsets, GroupMetadataManager.storeOffsets and getOffsets at 3.8.0.
 */
export function commitOffsets(context: GroupContext, group: Group, request: CommitRequest, ticket: number, now: Now): void {
  const error = check(context, group, request);
  if (error !== ErrorCode.NONE) {
    refuseCommit(context, request, ticket, error);
    return;
  }
  const member = group.members.get(request.memberId);
  if (member !== undefined) context.restartSession(group, member, now);
  store(context, group, request, ticket, now);
}

export function refuseCommit(context: GroupContext, request: CommitRequest, ticket: number, error: ErrorCode): void {
  context.effects.push({ kind: "committed", ticket, errors: request.partitions.map(() => error) });
}

/** A group without members takes offsets from everybody who claims to be none. Source: GroupCoordinator.validateOffsetCommit. */
function check(context: GroupContext, group: Group, { generation, memberId, instanceId }: CommitRequest): ErrorCode {
  if (generation < 0 && group.state === "Empty") return ErrorCode.NONE;
  if (generation < 0 && memberId === "" && instanceId === null) return ErrorCode.UNKNOWN_MEMBER_ID;
  const error = checkMember(context, group, memberId, instanceId, "OffsetCommit");
  if (error !== ErrorCode.NONE) return error;
  if (generation !== group.generation) return ErrorCode.ILLEGAL_GENERATION;
  // Who joins still commits for the generation before; who has joined has none to commit for.
  return group.state === "CompletingRebalance" ? ErrorCode.REBALANCE_IN_PROGRESS : ErrorCode.NONE;
}

function store(context: GroupContext, group: Group, request: CommitRequest, ticket: number, now: Now): void {
  const { partitions, retentionMs } = request;
  const expireWallMs = retentionMs === undefined ? undefined : now.wallMs + retentionMs;
  const token = context.newToken();
  const errors: ErrorCode[] = Array.from(partitions, () => ErrorCode.NONE);
  const entries: OffsetEntry[] = [];
  const values: CommittedOffset[] = [];
  for (const [at, { topic, partition, offset, leaderEpoch, metadata, commitWallMs }] of partitions.entries()) {
    if (metadata.length > context.rules.offsetMetadataCharsMax) {
      errors[at] = ErrorCode.OFFSET_METADATA_TOO_LARGE;
      continue;
    }
    const value = { offset, leaderEpoch, metadata, commitWallMs: commitWallMs ?? now.wallMs, expireWallMs };
    const entry = group.offsets.entry(topic, partition);
    // A partition that the request names twice has one record: the last counts.
    if (entry.lastToken === token) {
      values[entry.lastIndex] = value;
      continue;
    }
    entry.lastToken = token;
    entry.lastIndex = values.length;
    entry.underWay++;
    entries.push(entry);
    values.push(value);
  }
  if (entries.length === 0) {
    context.effects.push({ kind: "committed", ticket, errors });
    return;
  }
  const records = entries.map(({ topic, partition }, at): StoredRecord => ({ kind: "offset", groupId: group.id, topic, partition, value: must(values[at], "an offset") }));
  context.append(group.home.partition, records, token, { kind: "commit", group, ticket, entries, values, errors });
}

export function onCommitStored(context: GroupContext, commit: Extract<AppendUnderWay, { kind: "commit" }>, error: ErrorCode, baseOffset: number): void {
  const { group, ticket, entries, values, errors } = commit;
  const failed = error !== ErrorCode.NONE;
  for (const [at, entry] of entries.entries()) group.offsets.settle(entry, must(values[at], "an offset"), failed ? undefined : baseOffset);
  if (failed) {
    const told = commitAppendError(error);
    context.log("info", "commit failed", { group: group.id, partition: group.home.partition, error: errorName(error), answer: errorName(told) });
    for (const [at, before] of errors.entries()) if (before === ErrorCode.NONE) errors[at] = told;
  }
  context.effects.push({ kind: "committed", ticket, errors });
}

/** `wanted` null: all that are committed. Neither state nor generation matter: offsets outlive members. */
export function fetchOffsets(group: Group | undefined, wanted: readonly { readonly topic: string; readonly partitions: readonly number[] }[] | null, requireStable: boolean): FetchedOffset[] {
  const fetched: FetchedOffset[] = [];
  if (wanted !== null) {
    for (const { topic, partitions } of wanted) for (const partition of partitions) fetched.push(fetchOffset(group, topic, partition, requireStable));
  } else if (group !== undefined) {
    for (const entry of group.offsets.entries()) if (entry.committed !== undefined) fetched.push(fetchOffset(group, entry.topic, entry.partition, requireStable));
  }
  return fetched;
}

function fetchOffset(group: Group | undefined, topic: string, partition: number, requireStable: boolean): FetchedOffset {
  if (requireStable && group?.offsets.isUnstable(topic, partition) === true) return { topic, partition, offset: -1, leaderEpoch: -1, metadata: "", error: ErrorCode.UNSTABLE_OFFSET_COMMIT };
  const committed = group?.offsets.find(topic, partition)?.committed;
  return { topic, partition, offset: committed?.offset ?? -1, leaderEpoch: committed?.leaderEpoch ?? -1, metadata: committed?.metadata ?? "", error: ErrorCode.NONE };
}
