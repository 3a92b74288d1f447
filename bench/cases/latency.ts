import type { Case } from "../case.ts";
import { drive } from "../drivers/run.ts";
import { scaled } from "../scale.ts";
import { withTopic } from "../topics.ts";

function latency(rate: number, core: boolean): Case {
  return {
    id: `latency-${rate}`,
    title: `end-to-end latency, acks=all, 1 KB, ${rate.toLocaleString("en")} records/s, 12 partitions`,
    topology: "three",
    core,
    rounds: 5,
    warmups: 1,
    figures: [
      { key: "p50Ms", title: "p50", unit: "ms", better: "less", reach: 0.5 },
      { key: "p99Ms", title: "p99", unit: "ms", better: "less", reach: 0.5 },
      { key: "p999Ms", title: "p99.9", unit: "ms", better: "less", reach: 0.5 },
    ],
    run: (contestant, meter) => withTopic(contestant, "latency", 12, () => meter(() => drive("latency", { bootstrap: contestant.bootstrap, topic: "latency", rate, seconds: scaled(10), warmup: 2, size: 1024 }))),
  };
}

export const latencyCases: readonly Case[] = [latency(1000, true), latency(100, false), latency(10_000, false)];
