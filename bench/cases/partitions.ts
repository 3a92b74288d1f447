import type { Case } from "../case.ts";
import { createPartitionsEverywhere, deleteTopic } from "../topics.ts";
import { scaled } from "../scale.ts";

const PARTITIONS = 1000;

/** By contestant. */
const made = new Map<string, string[]>();

/**
 * From the request to the moment when every broker names the same leader of every partition. What a round has made stays
 * until the last one: ext4 without a journal passes by each inode that was deleted in the last minutes, one after the
 * other, for each file that it makes.
 */
export const partitionsCase: Case = {
  id: "partitions-1000",
  title: "1,000 partitions created, three replicas each",
  topology: "three",
  core: true,
  rounds: 3,
  warmups: 1,
  figures: [{ key: "seconds", title: "until every broker has every leader", unit: "s", better: "less", reach: 0.5 }],
  run: (contestant, meter) => {
    const topics = made.get(contestant.name) ?? [];
    made.set(contestant.name, topics);
    const topic = `many-${topics.length}`;
    topics.push(topic);
    return meter(async () => {
      const began = performance.now();
      await createPartitionsEverywhere(contestant, topic, scaled(PARTITIONS));
      return { seconds: (performance.now() - began) / 1000 };
    });
  },
  clean: async (contestant) => {
    for (const topic of made.get(contestant.name) ?? []) await deleteTopic(contestant, topic);
  },
};
