import type { Case } from "../case.ts";
import { drive } from "../drivers/run.ts";
import { scaled } from "../scale.ts";
import { withTopic } from "../topics.ts";

const PARTITIONS = [1, 10, 100, 1000, 3000] as const;

/** What the same load costs as a topic has more partitions: a row each, which together are the curve. */
export const growthCases: readonly Case[] = PARTITIONS.map((partitions) => ({
  id: `growth-partitions-${partitions}`,
  title: `cost as it grows: produce, acks=all, 1 KB, ${partitions.toLocaleString("en")} ${partitions === 1 ? "partition" : "partitions"}`,
  topology: "three" as const,
  core: false,
  rounds: 3,
  warmups: 1,
  figures: [
    { key: "megabytesPerSecond", title: "throughput", unit: "MB/s", better: "more" as const },
    { key: "cpu", title: "CPU of all brokers for each GB", unit: "s/GB", better: "less" as const },
    { key: "memory", title: "memory of the cluster", unit: "MB", better: "less" as const },
  ],
  run: (contestant, meter) => withTopic(contestant, "growth", partitions, () => meter(() => drive("produce", { bootstrap: contestant.bootstrap, topic: "growth", seconds: scaled(8), size: 1024, acks: "all", linger: 5 }))),
}));
