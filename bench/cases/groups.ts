import type { Case } from "../case.ts";
import { drive, driveOurs } from "../drivers/run.ts";
import { scaled } from "../scale.ts";
import { withTopic } from "../topics.ts";

const MEMBERS = 10;

/** Each round's group is new, as the first round's is. */
let groups = 0;

/** Topology and rounds of both. */
const usual = { topology: "three", rounds: 5, warmups: 1 } as const;

/** Our own client, on both sides: librdkafka waits for half a second to two where one generation is overtaken by the next. */
const rebalance: Case = {
  ...usual,
  id: "group-rebalance-10",
  title: "a group of 10 members, 30 partitions",
  core: true,
  figures: [
    { key: "joinMs", title: "all join at once: until each has its share", unit: "ms", better: "less", reach: 0.5 },
    { key: "leaveMs", title: "one leaves: until the rest has its share again", unit: "ms", better: "less", reach: 0.5 },
  ],
  run: (contestant, meter) =>
    withTopic(contestant, "group", 3 * MEMBERS, () => meter(() => driveOurs("rebalance", { bootstrap: contestant.bootstrap, topic: "group", group: `bench-${++groups}`, members: MEMBERS, partitions: 3 * MEMBERS }))),
};

const commits: Case = {
  ...usual,
  id: "group-commits-10000",
  title: "10,000 commits, one after the other",
  core: false,
  figures: [{ key: "commitSeconds", title: "time", unit: "s", better: "less", reach: 0.5 }],
  run: (contestant, meter) => withTopic(contestant, "group", MEMBERS * 3, () => meter(() => drive("group", { bootstrap: contestant.bootstrap, topic: "group", group: `bench-${++groups}`, members: MEMBERS, commits: scaled(10_000) }))),
};

export const groupCases: readonly Case[] = [rebalance, commits];
