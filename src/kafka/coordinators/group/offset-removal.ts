import { ErrorCode } from "../../protocol/error-codes.ts";
import type { GroupContext } from "./context.ts";
import type { Group, GroupsPartition } from "./group.ts";
import type { CommittedOffset, Now, StoredRecord, TopicPartition } from "./types.ts";

/**
 * How offsets and groups go: deleted by somebody, with their topic, or because their time has passed. Tombstones tell
 * the log; nobody waits for them, since a coordinator that never hears of one finds the same again.
 * Source: GroupMetadataManager.cleanupGroupMetadata, GroupMetadata.removeExpiredOffsets, GroupCoordinator at 3.8.0.
 */

/** One batch could else become too large to be appended. */
const tombstonesMax = 500;

/** Gathers tombstones of one partition of the offsets topic. */
class Tombstones {
  readonly #context: GroupContext;
  readonly #partition: number;
  #records: StoredRecord[] = [];

  constructor(context: GroupContext, partition: number) {
    this.#context = context;
    this.#partition = partition;
  }

  offset(group: Group, { topic, partition }: TopicPartition): void {
    this.#add({ kind: "offset", groupId: group.id, topic, partition, value: null });
  }

  /** A group of generation 0 never had a record. */
  group(group: Group): void {
    if (group.generation > 0) this.#add({ kind: "group", groupId: group.id, value: null });
  }

  finish(): void {
    if (this.#records.length > 0) this.#context.effects.push({ kind: "append", partition: this.#partition, records: this.#records, acks: "none", token: 0 });
    this.#records = [];
  }

  #add(record: StoredRecord): void {
    this.#records.push(record);
    if (this.#records.length >= tombstonesMax) this.finish();
  }
}

/** A group that nobody is in and that keeps nothing goes. */
function dropIfVoid(context: GroupContext, group: Group, tombstones: Tombstones, reason: string): void {
  if (!group.isVoid) return;
  context.log("info", "group deleted", { group: group.id, partition: group.home.partition, generation: group.generation, reason });
  context.dropGroup(group);
  tombstones.group(group);
}

/** DeleteGroups: with what is being committed, so that it does not come back with the next coordinator. */
export function deleteGroup(context: GroupContext, group: Group): ErrorCode {
  if (group.state !== "Empty") return ErrorCode.NON_EMPTY_GROUP;
  const tombstones = new Tombstones(context, group.home.partition);
  let offsets = 0;
  for (const entry of group.offsets.entries()) {
    group.offsets.remove(entry.topic, entry.partition);
    tombstones.offset(group, entry);
    offsets++;
  }
  context.log("info", "group deleted", { group: group.id, partition: group.home.partition, generation: group.generation, reason: "on request", offsets });
  context.dropGroup(group);
  tombstones.group(group);
  tombstones.finish();
  return ErrorCode.NONE;
}

/** OffsetDelete: not what members consume. */
export function deleteOffsets(context: GroupContext, group: Group, partitions: readonly TopicPartition[]): { error: ErrorCode; partitions: readonly ErrorCode[] } {
  if (group.state !== "Empty" && !group.isConsumerGroup) return { error: ErrorCode.NON_EMPTY_GROUP, partitions: [] };
  const errors = partitions.map(({ topic }) => (group.state !== "Empty" && group.isSubscribedTo(topic) ? ErrorCode.GROUP_SUBSCRIBED_TO_TOPIC : ErrorCode.NONE));
  const tombstones = new Tombstones(context, group.home.partition);
  removeOffsets(context, group, partitions.filter((_, at) => errors[at] === ErrorCode.NONE), tombstones, "its offsets were deleted");
  tombstones.finish();
  return { error: ErrorCode.NONE, partitions: errors };
}

/** Topics were deleted: their offsets mean nothing any more. */
export function removeDeletedPartitions(context: GroupContext, home: GroupsPartition, partitions: readonly TopicPartition[]): number {
  const tombstones = new Tombstones(context, home.partition);
  let removed = 0;
  for (const group of home.groups.values()) removed += removeOffsets(context, group, partitions, tombstones, "its topics were deleted");
  tombstones.finish();
  return removed;
}

function removeOffsets(context: GroupContext, group: Group, partitions: readonly TopicPartition[], tombstones: Tombstones, reason: string): number {
  let removed = 0;
  for (const partition of partitions) {
    if (!group.offsets.remove(partition.topic, partition.partition)) continue;
    tombstones.offset(group, partition);
    removed++;
  }
  if (removed > 0) dropIfVoid(context, group, tombstones, reason);
  return removed;
}

/** Everything of one partition whose time has passed. Gives the number of offsets. */
export function expireOffsets(context: GroupContext, home: GroupsPartition, now: Now): number {
  const tombstones = new Tombstones(context, home.partition);
  let removed = 0;
  for (const group of home.groups.values()) {
    const expiry = expiryOf(group);
    if (expiry !== undefined) {
      const expired = group.offsets.expire((entry, committed) => !expiry.keeps(entry.topic) && isExpired(committed, expiry.sinceMs(committed), context.rules.offsetsRetentionMs, now));
      for (const entry of expired) tombstones.offset(group, entry);
      if (expired.length > 0) context.log("info", "offsets expired", { group: group.id, partition: home.partition, offsets: expired.length });
      removed += expired.length;
    }
    dropIfVoid(context, group, tombstones, "nothing of it is left");
  }
  tombstones.finish();
  return removed;
}

/** Old clients could ask for a time of their own. */
function isExpired(committed: CommittedOffset, sinceMs: number, retentionMs: number, now: Now): boolean {
  return committed.expireWallMs === undefined ? now.wallMs - sinceMs >= retentionMs : now.wallMs >= committed.expireWallMs;
}

interface Expiry {
  /** From when on an offset's time runs. */
  sinceMs(committed: CommittedOffset): number;
  keeps(topic: string): boolean;
}

/** Undefined: nothing expires while the group is as it is. */
function expiryOf(group: Group): Expiry | undefined {
  const { protocolType, stateWallMs, subscribedTopics } = group;
  const sinceCommit = (committed: CommittedOffset): number => committed.commitWallMs;
  // Offsets without a group: the commits alone tell that somebody is interested.
  if (protocolType === undefined) return { sinceMs: sinceCommit, keeps: () => false };
  if (group.state === "Empty") return { sinceMs: stateWallMs === undefined ? sinceCommit : () => stateWallMs, keeps: () => false };
  if (group.state !== "Stable" || !group.isConsumerGroup || subscribedTopics === undefined) return undefined;
  return { sinceMs: sinceCommit, keeps: (topic) => subscribedTopics.has(topic) };
}
