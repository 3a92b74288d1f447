import type { Case, Figure } from "../case.ts";
import type { Contestant } from "../contestants/contestant.ts";
import { drive, startDriver, type Printed } from "../drivers/run.ts";
import { scaled } from "../scale.ts";
import { createTopic, deleteTopic, withTopic } from "../topics.ts";
import type { Topology } from "../settings.ts";

/** What the same load costs as one thing grows: a case each step, which together are the curve. */
const load: readonly Figure[] = [
  { key: "megabytesPerSecond", title: "throughput", unit: "MB/s", better: "more" },
  { key: "cpu", title: "CPU of all brokers for each GB", unit: "s/GB", better: "less" },
  { key: "memory", title: "memory of the cluster", unit: "MB", better: "less" },
];

const SIZE = 1024;

function produced(contestant: Contestant, topic: string): Promise<Printed> {
  return drive("produce", { bootstrap: contestant.bootstrap, topic, seconds: scaled(8), size: SIZE, acks: "all", linger: 5 });
}

/** A step of a curve, by its id, what there is of what grows, and how the load is put on it. */
function step(id: string, what: string, run: Case["run"], more: Partial<Case> = {}): Case {
  return { id: `growth-${id}`, title: `cost as it grows: produce, 1 KB, ${what}`, topology: "three", core: false, rounds: 3, warmups: 1, figures: load, run, ...more };
}

function counted(count: number, one: string, many: string): string {
  return `${count.toLocaleString("en")} ${count === 1 ? one : many}`;
}

const partitions = [1, 10, 100, 1000, 3000].map((count) =>
  step(`partitions-${count}`, `acks=all, ${counted(count, "partition", "partitions")}`, (contestant, meter) => withTopic(contestant, "growth", count, () => meter(() => produced(contestant, "growth")))),
);

/** Beside the producer's, dealt out to the brokers; each asks for ApiVersions once a second. */
const connections = [1, 10, 100, 1000, 2000].map((count) =>
  step(`connections-${count}`, `acks=all, beside ${counted(count, "connection", "connections")}`, (contestant, meter) =>
    withTopic(contestant, "growth", 12, async () => {
      const held = await startDriver("connections", { bootstrap: contestant.bootstrap, open: count, every: 1000 });
      try {
        await held.ready;
        // It never ends by itself: that it does means that a connection failed.
        return await Promise.race([meter(() => produced(contestant, "growth")), held.result]);
      } finally {
        await held.stop();
      }
    }),
  ),
);

/** One broker, one partition: its segments are of 1 GB, as by default. */
const retained = [1, 2, 4, 8].map((gigabytes) => {
  const topic = `retained-${gigabytes}`;
  return step(`retained-${gigabytes}`, `acks=1, one broker, ${gigabytes} GB retained`, (contestant, meter) => meter(() => drive("produce", { bootstrap: contestant.bootstrap, topic, records: scaled(300_000), size: SIZE, acks: "1", linger: 5 })), {
    topology: "one",
    prepare: async (contestant) => {
      await createTopic(contestant, topic, 1);
      await drive("produce", { bootstrap: contestant.bootstrap, topic, records: scaled(gigabytes * 1_000_000), size: SIZE, acks: "1" });
    },
    clean: (contestant) => deleteTopic(contestant, topic),
  });
});

const topologies: readonly (readonly [brokers: number, topology: Topology])[] = [
  [1, "one"],
  [3, "three"],
  [5, "five"],
];

/** Each with a member; three replicas where there are as many brokers. */
const brokers = topologies.map(([count, topology]) =>
  step(`brokers-${count}`, `acks=all, ${counted(count, "broker", "brokers")}`, (contestant, meter) => withTopic(contestant, "growth", 12, () => meter(() => produced(contestant, "growth"))), { topology }),
);

export const growthCases: readonly Case[] = [...partitions, ...connections, ...retained, ...brokers];
