import { expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import { writeConfig } from "../znodes/operations.ts";
import type { Elected } from "./elect-leaders.ts";
import { ClusterModel } from "./testing/cluster-model.ts";

function clusterOf(...ids: number[]): ClusterModel {
  const cluster = new ClusterModel({ autoLeaderRebalanceEnable: false });
  for (const id of ids) cluster.start(id);
  cluster.settle();
  return cluster;
}

/** By partition: the new leader, or the error's code. */
function elect(cluster: ClusterModel, strategy: "preferred" | "unclean", ...names: string[]): Record<string, number | string> {
  const ticket = cluster.electLeaders(names.map((name) => ({ topic: name.slice(0, -2), partition: Number(name.at(-1)) })), strategy);
  const { controller } = cluster;
  cluster.settle();
  const answer = controller.answers.get(ticket);
  const elected: readonly Elected[] = typeof answer === "object" && answer.api === "electLeaders" ? answer.elected : [];
  return Object.fromEntries(elected.map(({ topic, partition, outcome }) => [`${topic}-${partition}`, outcome.kind === "leader" ? outcome.leader : `error ${outcome.errorCode}`]));
}

test("preferred: leaders go back where the first replica is in sync; others say why not", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("t", [2, 3], [3, 1], [2, 1]);
  cluster.settle();
  cluster.stop(2);
  cluster.settle();
  cluster.start(2);
  cluster.settle();
  cluster.expandIsr("t", 0, [3, 2]);
  cluster.settle();
  expect(elect(cluster, "preferred", "t-0", "t-1", "t-2", "t-9", "u-0")).toEqual({
    "t-0": 2,
    "t-1": `error ${ErrorCode.ELECTION_NOT_NEEDED}`,
    "t-2": `error ${ErrorCode.PREFERRED_LEADER_NOT_AVAILABLE}`,
    "t-9": `error ${ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}`,
    "u-0": `error ${ErrorCode.UNKNOWN_TOPIC_OR_PARTITION}`,
  });
  expect(cluster.partitionState("t", 0)).toMatchObject({ leader: 2, leaderEpoch: 2 });
  expect(cluster.broker(1).metadata.get("t-0")).toMatchObject({ leader: 2 });
});

test("unclean: a replica out of sync leads at last, though neither topic nor broker allows it by itself", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("t", [2, 3], [3, 2], [1, 2], [2]);
  cluster.settle();
  cluster.stop(3);
  cluster.settle();
  cluster.stop(2);
  cluster.settle();
  cluster.start(3);
  cluster.settle();
  expect(cluster.partitionState("t", 0)).toMatchObject({ leader: -1, isr: [2] });
  expect(elect(cluster, "unclean", "t-0", "t-2", "t-3")).toEqual({ "t-0": 3, "t-2": `error ${ErrorCode.ELECTION_NOT_NEEDED}`, "t-3": `error ${ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE}` });
  expect(cluster.partitionState("t", 0)).toMatchObject({ leader: 3, isr: [3] });
  expect(cluster.partitionState("t", 1)).toMatchObject({ leader: -1 });
});

test("a topic that is being deleted elects nobody", () => {
  const cluster = clusterOf(1, 2);
  cluster.createTopic("t", [2, 1]);
  cluster.settle();
  cluster.stop(2);
  cluster.deleteTopic("t");
  cluster.settle();
  expect(elect(cluster, "preferred", "t-0")).toEqual({ "t-0": `error ${ErrorCode.INVALID_TOPIC_EXCEPTION}` });
});

test("a partition that has had no leader yet waits for a replica", () => {
  const cluster = clusterOf(1);
  cluster.createTopic("t", [2]);
  cluster.settle();
  expect(elect(cluster, "unclean", "t-0")).toEqual({ "t-0": `error ${ErrorCode.ELIGIBLE_LEADERS_NOT_AVAILABLE}` });
});

test("unclean election that is switched on for a topic brings its partitions online, and no others", () => {
  const cluster = clusterOf(1, 2, 3);
  cluster.createTopic("t", [2, 3]);
  cluster.createTopic("u", [2, 3]);
  cluster.settle();
  cluster.stop(3);
  cluster.settle();
  cluster.stop(2);
  cluster.settle();
  cluster.start(3);
  cluster.settle();
  for (const topic of ["t", "u"]) cluster.run(writeConfig({ type: "topics", name: topic }, new Map([["unclean.leader.election.enable", "true"]])));
  expect(cluster.partitionState("t", 0)).toMatchObject({ leader: -1 });
  cluster.controller.events.push({ kind: "uncleanElection", topic: "t" });
  cluster.settle();
  expect(cluster.partitionState("t", 0)).toMatchObject({ leader: 3, isr: [3] });
  expect(cluster.partitionState("u", 0)).toMatchObject({ leader: -1 });
});
