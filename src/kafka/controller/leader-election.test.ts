import { describe, expect, test } from "vitest";
import type { LeaderAndIsr, ReplicaAssignment } from "../znodes/topic.ts";
import { ControllerContext } from "./context.ts";
import { elections, type ElectionStrategy } from "./leader-election.ts";
import { registrationOf } from "./testing/cluster-model.ts";

interface Given {
  readonly replicas: readonly number[];
  readonly adding?: readonly number[];
  readonly removing?: readonly number[];
  readonly isr: readonly number[];
  readonly live: readonly number[];
  readonly shuttingDown?: readonly number[];
  readonly brokenDirs?: readonly number[];
  readonly uncleanAllowed?: boolean;
}

function elect(strategy: ElectionStrategy, given: Given): { leader: number | undefined; isr: readonly number[] | undefined; told: readonly number[] } {
  const context = new ControllerContext();
  for (const id of given.live) context.brokers.set(id, { ...registrationOf(id), epoch: id });
  for (const id of given.shuttingDown ?? []) context.shuttingDown.add(id);
  const assignment: ReplicaAssignment = { replicas: given.replicas, adding: given.adding ?? [], removing: given.removing ?? [] };
  const partition = context.addPartition("orders", 0, assignment);
  for (const id of given.brokenDirs ?? []) partition.offlineDirs.add(id);
  const current: LeaderAndIsr = { leader: given.isr[0] ?? -1, leaderEpoch: 4, isr: given.isr, zkVersion: 6, controllerEpoch: 1 };
  const { leadership, recipients } = elections[strategy](context, partition, current, given.uncleanAllowed ?? false);
  if (leadership !== undefined) expect(leadership).toMatchObject({ leaderEpoch: 5, zkVersion: 6 });
  return { leader: leadership?.leader, isr: leadership?.isr, told: recipients };
}

const nobody = { leader: undefined, isr: undefined };

describe("electing a leader", () => {
  test.each<[string, ElectionStrategy, Given, { leader: number | undefined; isr: readonly number[] | undefined; told: readonly number[] }]>([
    ["the first assigned replica in sync and online", "offline", { replicas: [3, 1, 2], isr: [2, 1, 3], live: [1, 2] }, { leader: 1, isr: [2, 1], told: [1, 2] }],
    ["a replica in sync rather than a first one out of sync", "offline", { replicas: [3, 1, 2], isr: [2], live: [1, 2, 3], uncleanAllowed: true }, { leader: 2, isr: [2], told: [3, 1, 2] }],
    ["nobody out of sync", "offline", { replicas: [1, 2], isr: [1], live: [2] }, { ...nobody, told: [2] }],
    ["a replica out of sync, alone, where that is allowed", "offline", { replicas: [1, 2, 3], isr: [1], live: [2, 3], uncleanAllowed: true }, { leader: 2, isr: [2], told: [2, 3] }],
    ["nobody whose log directory has failed", "offline", { replicas: [1, 2], isr: [1, 2], live: [1, 2], brokenDirs: [1] }, { leader: 2, isr: [2], told: [2] }],
    ["nobody who is shutting down", "offline", { replicas: [1, 2], isr: [1, 2], live: [1, 2], shuttingDown: [1] }, { leader: 2, isr: [2], told: [2] }],
    ["nobody unclean while a replica in sync is online that is not assigned", "offline", { replicas: [2], isr: [1], live: [1, 2], uncleanAllowed: true }, { ...nobody, told: [2] }],
    ["whoever is left, as an administrator asks", "unclean", { replicas: [1, 2], isr: [1], live: [2] }, { leader: 2, isr: [2], told: [2] }],
    ["nobody where none is online", "unclean", { replicas: [1, 2], isr: [1], live: [] }, { ...nobody, told: [] }],
    ["the first replica, with the ISR as it is", "preferred", { replicas: [1, 2], isr: [2, 1], live: [1, 2] }, { leader: 1, isr: [2, 1], told: [1, 2] }],
    ["not the first replica where it is out of sync", "preferred", { replicas: [1, 2], isr: [2], live: [1, 2] }, { ...nobody, told: [1, 2] }],
    ["not the first replica where it is offline", "preferred", { replicas: [1, 2], isr: [1, 2], live: [2] }, { ...nobody, told: [1, 2] }],
    ["a replica that stays, with the ISR as it is", "reassign", { replicas: [3, 4, 1, 2], adding: [3, 4], removing: [1, 2], isr: [1, 2, 4], live: [1, 2, 3, 4] }, { leader: 4, isr: [1, 2, 4], told: [3, 4] }],
    ["nobody where no replica that stays is in sync", "reassign", { replicas: [3, 1], adding: [3], removing: [1], isr: [1], live: [1, 3] }, { ...nobody, told: [3] }],
    ["a replica on a broker that stays, the others out of the ISR", "controlledShutdown", { replicas: [1, 2, 3], isr: [1, 2, 3], live: [1, 2, 3], shuttingDown: [1] }, { leader: 2, isr: [2, 3], told: [1, 2, 3] }],
    ["nobody where all in sync are shutting down", "controlledShutdown", { replicas: [1, 2], isr: [1], live: [1, 2], shuttingDown: [1] }, { ...nobody, told: [1, 2] }],
  ])("%s (%s)", (_title, strategy, given, expected) => {
    expect(elect(strategy, given)).toEqual(expected);
  });
});
