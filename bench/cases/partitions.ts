import type { Case } from "../case.ts";
import { createPartitionsEverywhere, withoutTopicAfter } from "../topics.ts";
import { scaled } from "../scale.ts";

const PARTITIONS = 1000;

/** From the request to the moment when every broker names the same leader of every partition. */
export const partitionsCase: Case = {
  id: "partitions-1000",
  title: "1,000 partitions created, three replicas each",
  topology: "three",
  core: true,
  rounds: 3,
  warmups: 1,
  figures: [{ key: "seconds", title: "until every broker has every leader", unit: "s", better: "less", reach: 0.5 }],
  run: (contestant, meter) =>
    withoutTopicAfter(contestant, "many", () =>
      meter(async () => {
        const began = performance.now();
        await createPartitionsEverywhere(contestant, "many", scaled(PARTITIONS));
        return { seconds: (performance.now() - began) / 1000 };
      }),
    ),
};
