import * as fc from "fast-check";
import { expect, test } from "vitest";
import { toBrokerId, toLeaderEpoch } from "../protocol/ids.ts";
import { MetadataUpdates, type UpdateMetadataBody } from "./metadata-updates.ts";

interface Told {
  readonly live: number;
  readonly states: readonly { readonly topic: string; readonly partition: number; readonly leader: number }[];
}

function bodyOf({ live, states }: Told): UpdateMetadataBody {
  const topics = [...new Set(states.map(({ topic }) => topic))];
  return {
    controllerId: toBrokerId(1),
    controllerEpoch: 3,
    brokerEpoch: 9,
    ungroupedPartitionStates: [],
    topicStates: topics.map((topicName) => ({
      topicName,
      partitionStates: states
        .filter(({ topic }) => topic === topicName)
        .map(({ partition, leader }) => ({ partitionIndex: partition, controllerEpoch: 3, leader: toBrokerId(leader), leaderEpoch: toLeaderEpoch(4), isr: [], zkVersion: 0, replicas: [] })),
    })),
    liveBrokers: [{ id: live, rack: null }],
  };
}

/** As a broker: what it knows, and the partitions whose deletion it has heard of, as often as it has. */
class Cache {
  readonly partitions = new Map<string, number>();
  readonly deleted: string[] = [];
  live: readonly number[] = [];

  update(body: UpdateMetadataBody): void {
    this.live = body.liveBrokers.map(({ id }) => id);
    for (const { topicName, partitionStates } of body.topicStates) {
      for (const { partitionIndex, leader } of partitionStates) {
        const name = `${topicName}-${partitionIndex}`;
        if (leader !== -2) this.partitions.set(name, leader);
        else {
          this.partitions.delete(name);
          this.deleted.push(name);
        }
      }
    }
  }
}

const told: fc.Arbitrary<Told> = fc.record({
  live: fc.nat({ max: 9 }),
  states: fc.uniqueArray(fc.record({ topic: fc.constantFrom("a", "b"), partition: fc.nat({ max: 2 }), leader: fc.constantFrom(-2, -1, 1, 2) }), { selector: ({ topic, partition }) => `${topic}-${partition}` }),
});

test("a broker knows the same after them as after each, and has heard of every deletion before what was made again", () => {
  fc.assert(
    fc.property(fc.array(told, { minLength: 1, maxLength: 6 }), (requests) => {
      const [each, merged] = [new Cache(), new Cache()];
      const bodies = requests.map(bodyOf);
      for (const body of bodies) each.update(body);
      const groups: MetadataUpdates[] = [];
      for (const body of bodies) if (groups.at(-1)?.add(body) !== true) groups.push(new MetadataUpdates(body));
      for (const group of groups) merged.update(group.body());
      expect([merged.partitions, merged.live]).toEqual([each.partitions, each.live]);
      expect(new Set(merged.deleted)).toEqual(new Set(each.deleted));
    }),
  );
});

test("the last state of each partition and the last live brokers remain; what is given is not changed", () => {
  const first = bodyOf({ live: 1, states: [{ topic: "a", partition: 0, leader: 1 }, { topic: "a", partition: 1, leader: 1 }] });
  const before = structuredClone(first);
  const updates = new MetadataUpdates(first);
  expect(updates.add(bodyOf({ live: 2, states: [{ topic: "b", partition: 0, leader: 2 }, { topic: "a", partition: 1, leader: -2 }] }))).toBe(true);
  expect(updates.body()).toEqual(bodyOf({ live: 2, states: [{ topic: "a", partition: 0, leader: 1 }, { topic: "a", partition: 1, leader: -2 }, { topic: "b", partition: 0, leader: 2 }] }));
  expect(first).toEqual(before);
});

test("a partition that is made again after its deletion does not hide the deletion", () => {
  const updates = new MetadataUpdates(bodyOf({ live: 1, states: [{ topic: "a", partition: 0, leader: -2 }] }));
  expect(updates.add(bodyOf({ live: 2, states: [{ topic: "b", partition: 0, leader: 1 }, { topic: "a", partition: 0, leader: 1 }] }))).toBe(false);
  expect(updates.body()).toEqual(bodyOf({ live: 1, states: [{ topic: "a", partition: 0, leader: -2 }] }));
});
