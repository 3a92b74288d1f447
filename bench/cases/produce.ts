import type { Case, Figure } from "../case.ts";
import { drive, startDriver } from "../drivers/run.ts";
import { rawAppend } from "../references/raw.ts";
import { withTopic } from "../topics.ts";
import { scaled } from "../scale.ts";

const RECORDS_OF_1_GB = 1_000_000;

interface Variant {
  readonly size: number;
  readonly codec: "none" | "lz4" | "zstd";
  readonly partitions: number;
  readonly reach: number;
  readonly core: boolean;
}

const variants: readonly Variant[] = [
  { size: 1024, codec: "none", partitions: 12, reach: 1.5, core: true },
  { size: 100, codec: "none", partitions: 12, reach: 1.5, core: true },
  { size: 1024, codec: "lz4", partitions: 12, reach: 1.5, core: true },
  { size: 100, codec: "lz4", partitions: 12, reach: 1.5, core: true },
  { size: 1024, codec: "none", partitions: 1, reach: 1, core: false },
  { size: 1024, codec: "zstd", partitions: 12, reach: 1, core: false },
];

function toCase({ size, codec, partitions, reach, core }: Variant): Case {
  const what = `${size === 1024 ? "1 KB" : `${size} B`}, ${codec === "none" ? "no compression" : codec}, ${partitions} ${partitions === 1 ? "partition" : "partitions"}`;
  const plain = size === 1024 && codec === "none" && partitions === 12;
  const derived: Figure[] = [
    { key: "cpu", title: "CPU of all brokers for each GB", unit: "s/GB", better: "less", reach: 1 },
    ...(plain ? [{ key: "memory", title: "memory of the cluster under load", unit: "MB", better: "less" as const, reach: 0.4 }] : []),
  ];
  return {
    id: `produce-all-${size}-${codec}-${partitions}`,
    title: `produce, acks=all, ${what}`,
    topology: "three",
    core,
    rounds: 5,
    warmups: plain ? 2 : 1,
    figures: [
      { key: "megabytesPerSecond", title: "throughput", unit: "MB/s", better: "more", reach },
      { key: "ackP99Ms", title: "acknowledged after, p99, at full rate", unit: "ms", better: "less" },
      ...derived,
    ],
    run: (contestant, meter) => withTopic(contestant, "produce", partitions, () => meter(() => drive("produce", { bootstrap: contestant.bootstrap, topic: "produce", seconds: scaled(8), size, acks: "all", codec, linger: 5 }))),
  };
}

const oneBroker: Case = {
  id: "produce-one-1024-none-12",
  title: "produce, acks=1, one broker, 1 KB, 1 GB",
  topology: "one",
  core: true,
  rounds: 5,
  warmups: 2,
  figures: [
    { key: "megabytesPerSecond", title: "throughput", unit: "MB/s", better: "more", reach: 1, against: "mark" },
    { key: "megabytesPerSecond", title: "throughput beside Apache", unit: "MB/s", better: "more" },
    { key: "cpu", title: "CPU of the broker for each GB", unit: "s/GB", better: "less", reach: 1 },
  ],
  run: (contestant, meter) => withTopic(contestant, "produce", 12, () => meter(() => drive("produce", { bootstrap: contestant.bootstrap, topic: "produce", records: scaled(RECORDS_OF_1_GB), size: 1024, acks: "1", linger: 5 }))),
  references: {
    mock: async () => {
      const mock = await startDriver("mock", { topic: "produce", partitions: 12 });
      try {
        const bootstrap = String((await mock.told)["bootstrap"]);
        return (await drive("produce", { bootstrap, topic: "produce", records: scaled(RECORDS_OF_1_GB), size: 1024, acks: "1", linger: 5 }))["megabytesPerSecond"] ?? Number.NaN;
      } finally {
        await mock.stop();
      }
    },
    append: () => rawAppend(scaled(RECORDS_OF_1_GB) * 1024),
  },
  marks: { mark: ({ mock = Number.NaN, append = Number.NaN }) => Math.min(0.6 * mock, 0.85 * append) },
};

export const produceCases: readonly Case[] = [...variants.map(toCase), oneBroker];
