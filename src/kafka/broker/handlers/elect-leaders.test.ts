import { expect, test } from "vitest";
import { World } from "../../../host/sim/world.ts";
import type { Elected, NamedPartition } from "../../controller/elect-leaders.ts";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { electLeaders } from "../../protocol/messages/elect-leaders.ts";
import { metadataOf, Served, tell } from "../testing/served.ts";
import { electLeadersRoute } from "./elect-leaders.ts";

const BROKERS = [{ id: 1 }, { id: 2 }];

/** Broker 1 leads all; the controller elects broker 2 for partition 0 of t and no other. */
async function stage({ isController = true } = {}) {
  const world = new World({ seed: 5 });
  const { host } = world.addNode("controller");
  const metadata = metadataOf(BROKERS, { t: [1, 1], u: [1] });
  const strategies: string[] = [];
  const controller = {
    electLeaders: (partitions: readonly NamedPartition[], strategy: string) => {
      strategies.push(strategy);
      const elected = partitions.map((named): Elected => ({ ...named, outcome: named.topic === "t" && named.partition === 0 ? { kind: "leader", leader: 2 } : { kind: "failed", errorCode: ErrorCode.ELECTION_NOT_NEEDED, message: null } }));
      return Promise.resolve(isController ? elected : undefined);
    },
  };
  const served = await Served.start([electLeadersRoute({ metadata, clock: host.clock, timers: host.timers, controller: () => controller })], world);
  return { served, metadata, strategies, world };
}

for (let version = 0; version <= 2; version++) {
  test(`ElectLeaders ${version}: answers once this broker has heard of the new leaders`, async () => {
    const { served, metadata, strategies, world } = await stage();
    world.after(500, () => tell(metadata, BROKERS, { t: [2, 1], u: [1] }));
    const beganMs = world.nowMs;
    const answer = await served.ask(electLeaders, version, { electionType: version === 0 ? 0 : 1, topicPartitions: [{ topic: "t", partitions: [0, 1] }], timeoutMs: 10_000 });
    expect(answer.replicaElectionResults).toEqual([
      { topic: "t", partitionResult: [{ partitionId: 0, errorCode: 0, errorMessage: null }, { partitionId: 1, errorCode: ErrorCode.ELECTION_NOT_NEEDED, errorMessage: null }] },
    ]);
    if (version >= 1) expect(answer.errorCode).toBe(0);
    expect(world.nowMs - beganMs).toBeGreaterThanOrEqual(500);
    expect(world.nowMs - beganMs).toBeLessThan(2000);
    expect(strategies).toEqual([version === 0 ? "preferred" : "unclean"]);
  });
}

test("ElectLeaders for all partitions tells of those with an election; one that nobody hears of in time is REQUEST_TIMED_OUT", async () => {
  const { served } = await stage();
  const answer = await served.ask(electLeaders, 2, { electionType: 0, topicPartitions: null, timeoutMs: 100 });
  expect(answer.replicaElectionResults).toEqual([{ topic: "t", partitionResult: [{ partitionId: 0, errorCode: ErrorCode.REQUEST_TIMED_OUT, errorMessage: null }] }]);
});

test("ElectLeaders: NOT_CONTROLLER for each partition elsewhere; an election of no known kind is refused", async () => {
  const { served } = await stage({ isController: false });
  const answer = await served.ask(electLeaders, 2, { electionType: 0, topicPartitions: [{ topic: "t", partitions: [0] }], timeoutMs: 100 });
  expect(answer).toMatchObject({ errorCode: 0, replicaElectionResults: [{ partitionResult: [{ errorCode: ErrorCode.NOT_CONTROLLER }] }] });
  expect(await served.ask(electLeaders, 2, { electionType: 2, topicPartitions: null, timeoutMs: 100 })).toMatchObject({ errorCode: ErrorCode.INVALID_REQUEST, replicaElectionResults: [] });
});
