import type { Case } from "../case.ts";
import { drive } from "../drivers/run.ts";
import { scaled } from "../scale.ts";
import { withTopic } from "../topics.ts";

const MEMBERS = 10;

/** Each round's group is new, as the first round's is. */
let groups = 0;

/** Members look for a rebalance at every heartbeat: at librdkafka's 3 s the client's own waiting would be all there is to see. */
const HEARTBEAT_MS = 100;

function groupCase({ id, title, core, commits, figures }: Pick<Case, "id" | "title" | "core" | "figures"> & { readonly commits: number }): Case {
  return {
    id,
    title,
    topology: "three",
    core,
    rounds: 5,
    warmups: 1,
    figures,
    run: (contestant, meter) =>
      withTopic(contestant, "group", MEMBERS * 3, () =>
        meter(() => drive("group", { bootstrap: contestant.bootstrap, topic: "group", group: `bench-${++groups}`, members: MEMBERS, heartbeat: HEARTBEAT_MS, commits: commits === 0 ? 0 : scaled(commits) })),
      ),
  };
}

export const groupCases: readonly Case[] = [
  groupCase({
    id: "group-rebalance-10",
    title: "a group of 10 members, 30 partitions",
    core: true,
    commits: 0,
    figures: [
      { key: "joinMs", title: "all join at once: until each has its share", unit: "ms", better: "less", reach: 0.5 },
      { key: "leaveMs", title: "one leaves: until the rest has its share again", unit: "ms", better: "less", reach: 0.5 },
    ],
  }),
  groupCase({ id: "group-commits-10000", title: "10,000 commits, one after the other", core: false, commits: 10_000, figures: [{ key: "commitSeconds", title: "time", unit: "s", better: "less", reach: 0.5 }] }),
];
