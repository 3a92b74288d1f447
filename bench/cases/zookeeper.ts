import type { Case, Measured } from "../case.ts";
import type { Contestant } from "../contestants/contestant.ts";
import { drive, startDriver } from "../drivers/run.ts";
import { memoryMegabytes } from "../processes.ts";
import { scaled } from "../scale.ts";
import { modes } from "../members.ts";

const OPERATIONS = 40_000;
const SERIAL = 3000;
const GAP_SECONDS = 8;
const KILL_AFTER_MS = 2000;

/** Each run has a part of the tree of its own. */
let runs = 0;

function root(): string {
  return `/bench-${++runs}`;
}

function inFlight(op: "create" | "set" | "get", reach: number): Case {
  return {
    id: `zookeeper-${op}`,
    title: `ZooKeeper: ${op} of 100 B, 300 in flight over 3 connections, one to each member`,
    topology: "ensemble",
    core: true,
    rounds: 5,
    warmups: 2,
    figures: [
      { key: "operationsPerSecond", title: "rate", unit: "/s", better: "more", reach },
      { key: "p99Ms", title: "p99", unit: "ms", better: "less" },
      ...(op === "create" ? [{ key: "memory", title: "memory of the ensemble under the load", unit: "MB", better: "less" as const, reach: 0.3 }] : []),
    ],
    run: (contestant, meter) => meter(() => drive("zookeeper", { connect: contestant.members.join(","), op, root: root(), inflight: 300, connections: 3, count: scaled(OPERATIONS) })),
  };
}

const serial: Case = {
  id: "zookeeper-serial",
  title: "ZooKeeper: one create of 100 B after another, through the leader",
  topology: "ensemble",
  core: true,
  rounds: 5,
  warmups: 1,
  figures: [
    { key: "p50Ms", title: "p50", unit: "ms", better: "less", reach: 0.6 },
    { key: "p99Ms", title: "p99", unit: "ms", better: "less" },
    { key: "after", title: "memory of the ensemble after all the load", unit: "MB", better: "less", reach: 0.3 },
  ],
  run: async (contestant, meter) => {
    const leader = contestant.members[await leaderOf(contestant)] ?? "";
    const measured = await meter(() => drive("zookeeper", { connect: leader, op: "create", root: root(), inflight: 1, connections: 1, count: scaled(SERIAL) }));
    return { ...measured, after: memoryMegabytes(contestant.roots) };
  },
};

const failover: Case = {
  id: "zookeeper-failover",
  title: "ZooKeeper: the leader killed with -9, a session on a follower",
  topology: "ensemble",
  core: true,
  rounds: 5,
  warmups: 1,
  figures: [{ key: "gapMs", title: "the longest time without a create", unit: "ms", better: "less", reach: 0.5 }],
  run: async (contestant): Promise<Measured> => {
    const leader = await leaderOf(contestant);
    const followers = contestant.members.filter((_, index) => index !== leader);
    const driver = await startDriver("zookeeper", { connect: followers.join(","), op: "gap", root: root(), seconds: GAP_SECONDS });
    try {
      await driver.ready;
      await new Promise((resolve) => setTimeout(resolve, KILL_AFTER_MS));
      await contestant.killNode(leader);
      return await driver.result;
    } finally {
      await driver.stop();
      contestant.startNode(leader);
      await contestant.serving();
    }
  },
};

async function leaderOf(contestant: Contestant): Promise<number> {
  const leader = (await modes(contestant.members)).indexOf("leader");
  if (leader < 0) throw new Error(`${contestant.name} has no leader`);
  return leader;
}

export const zookeeperCases: readonly Case[] = [inFlight("create", 2), inFlight("set", 2), inFlight("get", 3), serial, failover];
