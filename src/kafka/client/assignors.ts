import type { TopicPartition } from "./kafka-client.ts";

/** A member as the leader sees it. */
export interface Subscriber {
  readonly memberId: string;
  readonly instanceId: string | null;
  readonly topics: readonly string[];
}

/** How a leader shares out partitions; `name` is what members agree on. */
export interface Assignor {
  readonly name: string;
  /** By member id, every member; of a topic without partitions nobody gets any. */
  assign(members: readonly Subscriber[], partitions: ReadonlyMap<string, readonly number[]>): Map<string, TopicPartition[]>;
}

/**
 * Topic by topic, each member a run of neighbours, the first ones one more where it does not come out even.
 * Source: clients/…/consumer/RangeAssignor.java.
 */
export const rangeAssignor: Assignor = {
  name: "range",
  assign(members, partitions) {
    const assigned = emptyFor(members);
    const ordered = inOrder(members);
    for (const topic of topicsOf(members)) {
      const numbers = partitions.get(topic) ?? [];
      const subscribers = ordered.filter(({ topics }) => topics.includes(topic));
      const [each, more] = [Math.floor(numbers.length / subscribers.length), numbers.length % subscribers.length];
      let at = 0;
      for (const [index, { memberId }] of subscribers.entries()) {
        const end = at + each + (index < more ? 1 : 0);
        for (const partition of numbers.slice(at, end)) assigned.get(memberId)?.push({ topic, partition });
        at = end;
      }
    }
    return assigned;
  },
};

/**
 * All partitions of all topics in turn to the next member that subscribes to the topic.
 * Source: clients/…/consumer/RoundRobinAssignor.java.
 */
export const roundRobinAssignor: Assignor = {
  name: "roundrobin",
  assign(members, partitions) {
    const assigned = emptyFor(members);
    const ordered = inOrder(members);
    let next = 0;
    for (const topic of topicsOf(members)) {
      for (const partition of partitions.get(topic) ?? []) {
        while (ordered[next % ordered.length]?.topics.includes(topic) === false) next++;
        const member = ordered[next++ % ordered.length];
        if (member !== undefined) assigned.get(member.memberId)?.push({ topic, partition });
      }
    }
    return assigned;
  },
};

function emptyFor(members: readonly Subscriber[]): Map<string, TopicPartition[]> {
  return new Map(members.map(({ memberId }) => [memberId, []]));
}

function topicsOf(members: readonly Subscriber[]): string[] {
  return [...new Set(members.flatMap(({ topics }) => topics))].toSorted(compare);
}

/** Static members first, by instance id, so that a restart changes nothing; the others by member id. Source: AbstractPartitionAssignor.MemberInfo. */
function inOrder(members: readonly Subscriber[]): Subscriber[] {
  return members.toSorted((a, b) => {
    if (a.instanceId !== null && b.instanceId !== null) return compare(a.instanceId, b.instanceId);
    if (a.instanceId !== null) return -1;
    if (b.instanceId !== null) return 1;
    return compare(a.memberId, b.memberId);
  });
}

function compare(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}
