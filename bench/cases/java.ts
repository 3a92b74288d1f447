import type { Case } from "../case.ts";
import { javaConsume, javaProduce } from "../drivers/java.ts";
import { drive } from "../drivers/run.ts";
import { scaled } from "../scale.ts";
import { createTopic, deleteTopic, withTopic } from "../topics.ts";

const RECORDS = 1_000_000;
const SIZE = 1024;
const CONSUMED = "java-consume";

export const javaCases: readonly Case[] = [
  {
    id: "java-produce-all-1024-none-12",
    title: "produce, acks=all, 1 KB, no compression, 12 partitions, Kafka's own Java client",
    topology: "three",
    core: false,
    rounds: 3,
    warmups: 1,
    figures: [
      { key: "megabytesPerSecond", title: "throughput", unit: "MB/s", better: "more", reach: 1 },
      { key: "cpu", title: "CPU of all brokers for each GB", unit: "s/GB", better: "less", reach: 1 },
    ],
    run: (contestant, meter) => withTopic(contestant, "java", 12, () => meter(() => javaProduce({ bootstrap: contestant.bootstrap, topic: "java", records: scaled(RECORDS), size: SIZE }))),
  },
  {
    id: "java-consume-cold-1",
    title: "consume, cold from the page cache, Kafka's own Java client",
    topology: "three",
    core: false,
    rounds: 3,
    warmups: 1,
    figures: [{ key: "megabytesPerSecond", title: "throughput", unit: "MB/s", better: "more", reach: 1 }],
    prepare: async (contestant) => {
      await createTopic(contestant, CONSUMED, 12);
      await drive("produce", { bootstrap: contestant.bootstrap, topic: CONSUMED, records: scaled(RECORDS), size: SIZE });
    },
    clean: (contestant) => deleteTopic(contestant, CONSUMED),
    run: (contestant, meter) => meter(() => javaConsume({ bootstrap: contestant.bootstrap, topic: CONSUMED, records: scaled(RECORDS) })),
  },
];
