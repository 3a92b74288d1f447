import { withTripwires } from "../src/host/sim/tripwires.ts";
import type { RunOptions } from "./hunting.ts";
import { draw, FAULTS_FROM_MS } from "./kafka/draw.ts";
import { BrokerTrouble, type FaultKind } from "./kafka/faults.ts";
import { mayBeUnclean, RECORD_TOPICS, RecordsWork, type RecordsOutcome } from "./kafka/records-work.ts";
import { Stage } from "./kafka/stage.ts";
import type { ZnodeHistory } from "./kafka/znode-history.ts";
import { partOf, planEndMs } from "./trouble.ts";

/**
 * Three brokers on ZooKeeper, whole, on the simulated host, with clients that write, read, make topics and delete them.
 * Everything breaks for a while; then all heals, and the cluster has to come together and have kept every promise.
 */

export interface Outcome extends RecordsOutcome {
  readonly hash: string;
  readonly events: number;
  /** The world's time. */
  readonly endedMs: number;
  readonly convergedWithinMs: number;
  readonly faults: Readonly<Record<string, number>>;
  readonly comparisons: number;
  readonly znodes: Omit<ZnodeHistory, "topics" | "states" | "unclean">;
  /** How often a follower was seen with appended bytes that were not written yet. */
  readonly asynchronousAppends: number;
}

export function runCluster(seed: string, options: RunOptions<FaultKind> = {}): Promise<Outcome> {
  return withTripwires(() => run(seed, options));
}

async function run(seed: string, options: RunOptions<FaultKind>): Promise<Outcome> {
  const drawn = draw(seed);
  const plan = partOf(drawn.plan, options);
  const stage = new Stage({ seed, ...drawn, topics: RECORD_TOPICS, mayBeUnclean: (topic) => mayBeUnclean(drawn, topic), print: options.print });
  const { world, convergence, invariants } = stage;
  const work = new RecordsWork(stage, drawn);

  await work.makeTopics();
  await world.run({ untilMs: Math.max(world.nowMs, FAULTS_FROM_MS - 1500) });
  work.start();
  const trouble = new BrokerTrouble(stage.scene({ leader: () => work.leader }));
  trouble.begin(plan);
  await world.run({ untilMs: Math.max(world.nowMs, planEndMs(plan)) });
  stage.endAmbushes();
  trouble.heal();
  const healedMs = world.nowMs;
  await convergence.agreed({ preferred: true });
  const convergedWithinMs = world.nowMs - healedMs;
  await work.progress();
  await work.rest();
  await convergence.quiet();

  // All stop, cleanly, and what is on the disks is held against all that was seen.
  const [starts, znodes] = [convergence.starts(), convergence.znodes()];
  work.check(convergence.checkLogs(znodes, starts));
  stage.endLooking();
  await convergence.stopAll();
  convergence.checkLogs(znodes, starts);
  // What stopping has made of it is held to the same rules.
  convergence.znodes();
  const { elections, uncleanElections, shrinks, expansions, controllers, topicsMade } = znodes;
  return {
    hash: world.hash,
    events: world.events,
    endedMs: world.nowMs,
    convergedWithinMs,
    faults: Object.fromEntries(trouble.happened),
    ...work.outcome,
    comparisons: invariants.comparisons,
    znodes: { elections, uncleanElections, shrinks, expansions, controllers, topicsMade },
    asynchronousAppends: invariants.asynchronousAppends,
  };
}
