import { must } from "../../lib/assert.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { offsetCommit } from "../protocol/messages/offset-commit.ts";
import { offsetFetch } from "../protocol/messages/offset-fetch.ts";
import { isCoordinatorMoving, refusal, type KafkaClient, type RetryOptions, type TopicPartition } from "./kafka-client.ts";

export interface OffsetToCommit extends TopicPartition {
  readonly offset: number;
  /** Of the record before; -1: not known. */
  readonly leaderEpoch?: number;
  readonly metadata?: string;
}

export interface PartitionOffset extends TopicPartition {
  /** -1: nothing is committed. */
  readonly offset: number;
  readonly leaderEpoch: number;
  readonly metadata: string;
}

/** Who commits: generation -1 is nobody in particular, which only a group without members allows. */
export interface Committer {
  readonly memberId: string;
  readonly generation: number;
  readonly instanceId?: string | undefined;
}

/** From here on OffsetFetch asks for several groups at once. */
const SEVERAL_GROUPS = 8;
/** From here on an empty list of topics is not all of them. */
const NULL_IS_ALL = 2;

/** Error codes in the order of `offsets`; asks again where the coordinator moves. */
export async function commitOffsets(client: KafkaClient, groupId: string, offsets: readonly OffsetToCommit[], { memberId, generation, instanceId }: Committer, options: RetryOptions = {}): Promise<number[]> {
  const { response } = await client.sendToCoordinator(
    groupId,
    offsetCommit,
    () => ({
      groupId,
      generationIdOrMemberEpoch: generation,
      memberId,
      groupInstanceId: instanceId ?? null,
      topics: perTopic(offsets, ({ partition, offset, leaderEpoch = -1, metadata = "" }) => ({ partitionIndex: partition, committedOffset: offset, committedLeaderEpoch: leaderEpoch, committedMetadata: metadata })),
    }),
    // Partitions that do not exist have errors of their own beside it.
    ({ topics }) => topics.flatMap(({ partitions }) => partitions.map(({ errorCode }) => errorCode)).find(isCoordinatorMoving) ?? ErrorCode.NONE,
    options,
  );
  const codes = new Map(response.topics.flatMap(({ name, partitions }) => partitions.map(({ partitionIndex, errorCode }) => [`${name}-${partitionIndex}`, errorCode] as const)));
  return offsets.map(({ topic, partition }) => must(codes.get(`${topic}-${partition}`), `the answer for ${topic}-${partition}`));
}

/** Null: all that are committed. Rejects with the error code's name. */
export async function fetchOffsets(client: KafkaClient, groupId: string, wanted: readonly TopicPartition[] | null, options: RetryOptions = {}): Promise<PartitionOffset[]> {
  const topics = wanted === null ? null : perTopic(wanted, ({ partition }) => partition).map(({ name, partitions }) => ({ name, partitionIndexes: partitions }));
  const { version, response } = await client.sendToCoordinator(
    groupId,
    offsetFetch,
    (asked) => (asked >= SEVERAL_GROUPS ? { groupId: "", topics: [], groups: [{ groupId, topics }] } : { groupId, topics, groups: [] }),
    (answer, asked) => (asked >= SEVERAL_GROUPS ? (answer.groups[0]?.errorCode ?? ErrorCode.NONE) : answer.errorCode),
    { ...options, versions: { ...options.versions, first: Math.max(options.versions?.first ?? 0, NULL_IS_ALL) } },
  );
  const told = version >= SEVERAL_GROUPS ? must(response.groups[0], "the group's answer") : response;
  if (told.errorCode !== ErrorCode.NONE) throw refusal(`the offsets of group ${groupId}`, told.errorCode);
  const found: PartitionOffset[] = [];
  for (const { name: topic, partitions } of told.topics) {
    for (const { partitionIndex: partition, committedOffset: offset, committedLeaderEpoch: leaderEpoch, metadata, errorCode } of partitions) {
      if (errorCode !== ErrorCode.NONE) throw refusal(`the offset of group ${groupId} in ${topic}-${partition}`, errorCode);
      found.push({ topic, partition, offset, leaderEpoch, metadata: metadata ?? "" });
    }
  }
  return found;
}

export function perTopic<P extends TopicPartition, T>(items: readonly P[], toValue: (item: P) => T): { name: string; partitions: T[] }[] {
  const topics = new Map<string, T[]>();
  for (const item of items) {
    const values = topics.get(item.topic) ?? [];
    topics.set(item.topic, values);
    values.push(toValue(item));
  }
  return [...topics].map(([name, partitions]) => ({ name, partitions }));
}

