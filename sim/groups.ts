import { withTripwires } from "../src/host/sim/tripwires.ts";
import type { RunOptions } from "./hunting.ts";
import { FAULTS_FROM_MS } from "./kafka/draw.ts";
import { BrokerTrouble, type FaultKind } from "./kafka/faults.ts";
import { drawGroups } from "./kafka/group-draw.ts";
import { GROUP_AMBUSHES, GROUP_TOPICS, GroupsWork, type GroupsOutcome } from "./kafka/groups-work.ts";
import { Stage } from "./kafka/stage.ts";
import { partOf, planEndMs } from "./trouble.ts";

/**
 * Three brokers on ZooKeeper, whole, on the simulated host, with groups of consumers that come and go, commit and are
 * looked at, while everything breaks. Then all heals, and each group has to come together, to have read everything and
 * to have lost no commit.
 */

export interface Outcome extends GroupsOutcome {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
  readonly faults: Readonly<Record<string, number>>;
}

export function runGroups(seed: string, options: RunOptions<FaultKind> = {}): Promise<Outcome> {
  return withTripwires(() => run(seed, options));
}

async function run(seed: string, options: RunOptions<FaultKind>): Promise<Outcome> {
  const drawn = drawGroups(seed);
  const plan = partOf(drawn.plan, options);
  const stage = new Stage({ seed, ...drawn, topics: GROUP_TOPICS, mayBeUnclean: () => false, print: options.print });
  const { world, convergence } = stage;
  const work = new GroupsWork(stage, drawn);

  await work.prepare();
  work.start();
  await world.run({ untilMs: Math.max(world.nowMs, FAULTS_FROM_MS) });
  const trouble = new BrokerTrouble(stage.scene({ leader: () => work.leader, coordinator: () => work.coordinator, ambushes: GROUP_AMBUSHES }));
  trouble.begin(plan);
  await world.run({ untilMs: Math.max(world.nowMs, planEndMs(plan)) });
  stage.endAmbushes();
  trouble.heal();
  await convergence.agreed({ preferred: true });
  await work.comeTogether();
  await convergence.quiet();
  await work.leave();
  await convergence.quiet();

  const [starts, znodes] = [convergence.starts(), convergence.znodes()];
  convergence.checkLogs(znodes, starts);
  stage.endLooking();
  await world.settle(stage.judgeClient.close());
  await convergence.stopAll();
  convergence.checkLogs(znodes, starts);
  return { ...work.check(), hash: world.hash, events: world.events, endedMs: world.nowMs, faults: Object.fromEntries(trouble.happened) };
}
