import type { Input } from "../../../codec/schema.ts";
import { OperationalError } from "../../../lib/error.ts";
import type { GroupCoordinator } from "../../coordinators/group/group-coordinator.ts";
import type { FetchedOffset } from "../../coordinators/group/types.ts";
import { route, type Route } from "../../network/request.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { offsetFetch, type offsetFetchResponse } from "../../protocol/messages/offset-fetch.ts";
import { readConsumerOffset } from "../../znodes/operations.ts";
import type { ZooKeeperSession } from "../../znodes/zookeeper-session.ts";
import type { MetadataCache } from "../metadata-cache.ts";

export interface OffsetFetchServices {
  readonly groups: Pick<GroupCoordinator, "fetchOffsets">;
  readonly metadata: MetadataCache;
  readonly zookeeper: Pick<ZooKeeperSession, "run">;
}

type Topic = Input<typeof offsetFetchResponse>["topics"][number];
type Wanted = readonly { readonly topic: string; readonly partitions: readonly number[] }[];

/** Where a group's own error has a place of its own; before, each partition bears it. */
const GROUP_ERROR_FROM = 2;
/** KIP-709 */
const GROUPS_FROM = 8;

/**
 * OffsetFetch, 0 to 9. From version 2 on without topics: all that the group has; from 8 on many groups at once. Version 0
 * reads from ZooKeeper, at whichever broker it arrives, without a coordinator.
 * Source: KafkaApis.handleOffsetFetchRequest (2.7.1 and 3.8.0), KafkaZkClient.getConsumerOffset.
 */
export function offsetFetchRoute(services: OffsetFetchServices): Route {
  return route(offsetFetch, async (request, { apiVersion }) => {
    if (apiVersion >= GROUPS_FROM) {
      const groups = request.groups.map(({ groupId, topics }) => {
        const { error, offsets } = services.groups.fetchOffsets(groupId, wantedOf(topics), request.requireStable);
        return { groupId, topics: error === ErrorCode.NONE ? byTopic(offsets) : [], errorCode: error };
      });
      return { topics: [], groups };
    }
    const wanted = wantedOf(request.topics);
    if (apiVersion === 0) return { topics: byTopic(await stored(request.groupId, wanted ?? [])), groups: [] };
    const { error, offsets } = services.groups.fetchOffsets(request.groupId, wanted, request.requireStable);
    if (error === ErrorCode.NONE) return { topics: byTopic(offsets), groups: [] };
    if (apiVersion >= GROUP_ERROR_FROM) return { topics: [], errorCode: error, groups: [] };
    return { topics: byTopic((wanted ?? []).flatMap(({ topic, partitions }) => partitions.map((partition) => nothing(topic, partition, error)))), groups: [] };
  });

  function stored(group: string, wanted: Wanted): Promise<FetchedOffset[]> {
    return Promise.all(
      wanted.flatMap(({ topic, partitions }) =>
        partitions.map(async (partition) => {
          if (services.metadata.partition(topic, partition) === undefined) return nothing(topic, partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
          try {
            const offset = await services.zookeeper.run(readConsumerOffset(group, topic, partition));
            return offset === undefined ? nothing(topic, partition, ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) : { ...nothing(topic, partition, ErrorCode.NONE), offset };
          } catch (error) {
            if (error instanceof OperationalError) return nothing(topic, partition, ErrorCode.UNKNOWN_SERVER_ERROR);
            throw error;
          }
        }),
      ),
    );
  }
}

function wantedOf(topics: readonly { readonly name: string; readonly partitionIndexes: readonly number[] }[] | null): Wanted | null {
  return topics?.map(({ name, partitionIndexes }) => ({ topic: name, partitions: partitionIndexes })) ?? null;
}

function nothing(topic: string, partition: number, error: ErrorCode): FetchedOffset {
  return { topic, partition, offset: -1, leaderEpoch: -1, metadata: "", error };
}

function byTopic(offsets: readonly FetchedOffset[]): Topic[] {
  const topics = new Map<string, Topic["partitions"][number][]>();
  for (const { topic, partition, offset, leaderEpoch, metadata, error } of offsets) {
    const described = { partitionIndex: partition, committedOffset: offset, committedLeaderEpoch: leaderEpoch, metadata, errorCode: error };
    const partitions = topics.get(topic);
    if (partitions === undefined) topics.set(topic, [described]);
    else partitions.push(described);
  }
  return Array.from(topics, ([name, partitions]) => ({ name, partitions }));
}
