import type { Case, Figure } from "../case.ts";
import { drive, startDriver } from "../drivers/run.ts";
import { rawSocket } from "../references/raw.ts";
import { scaled } from "../scale.ts";
import { createTopic, deleteTopic, withTopic } from "../topics.ts";

const PARTITIONS = 12;
const RECORDS = 1_000_000;
const SIZE = 1024;

/** As much as librdkafka takes at a time, so that the brokers are what is measured. */
const FETCH = { "set.fetch.message.max.bytes": 1_048_576, "set.queued.max.messages.kbytes": 262_144, "set.queued.min.messages": 1_000_000 };

const figures: readonly Figure[] = [
  { key: "megabytesPerSecond", title: "throughput", unit: "MB/s", better: "more", reach: 1 },
  { key: "cpu", title: "CPU of all brokers for each GB", unit: "s/GB", better: "less", reach: 1 },
];

/** What was written before the first round, read from the begin: longer ago than a broker's own buffers go. */
function cold(consumers: number, core: boolean): Case {
  const topic = `cold-${consumers}`;
  const one = consumers === 1;
  return {
    id: `consume-cold-${consumers}`,
    title: `consume, cold from the page cache, ${one ? "one consumer" : `${consumers} consumers`}`,
    topology: "three",
    core,
    rounds: 5,
    warmups: 1,
    figures: [...figures, ...(one ? [{ key: "megabytesPerSecond", title: "throughput beside raw socket writes", unit: "MB/s", better: "more" as const, reach: 0.5, against: "socket" }] : [])],
    prepare: async (contestant) => {
      await createTopic(contestant, topic, PARTITIONS);
      await drive("produce", { bootstrap: contestant.bootstrap, topic, records: scaled(RECORDS), size: SIZE });
    },
    clean: (contestant) => deleteTopic(contestant, topic),
    run: (contestant, meter) => meter(() => drive("consume", { bootstrap: contestant.bootstrap, topic, records: scaled(RECORDS), consumers, ...FETCH })),
    ...(one ? { references: { socket: () => rawSocket(scaled(RECORDS) * SIZE) } } : {}),
  };
}

/** A consumer at the end of a topic while a producer writes to it as fast as it can. */
const tail: Case = {
  id: "consume-tail-1",
  title: "consume, tail, one consumer behind a producer (acks=all)",
  topology: "three",
  core: true,
  rounds: 5,
  warmups: 1,
  figures,
  run: (contestant, meter) =>
    withTopic(contestant, "tail", PARTITIONS, async () => {
      const consumer = await startDriver("consume", { bootstrap: contestant.bootstrap, topic: "tail", records: scaled(RECORDS / 2), from: "end", ...FETCH });
      try {
        await consumer.ready;
        return await meter(async () => {
          const produced = drive("produce", { bootstrap: contestant.bootstrap, topic: "tail", records: scaled(RECORDS / 2), size: SIZE });
          const [consumed] = await Promise.all([consumer.result, produced]);
          return consumed;
        });
      } finally {
        await consumer.stop();
      }
    }),
};

export const consumeCases: readonly Case[] = [tail, cold(1, true), cold(3, false)];
