import { describe, expect, test } from "vitest";
import { assign } from "../znodes/topic.ts";
import { ControllerContext, type Partition } from "./context.ts";
import type { ControllerEffect } from "./effects.ts";
import { RequestBatch } from "./request-batch.ts";
import { rebalanceCandidates } from "./preferred-election.ts";
import { registrationOf } from "./testing/cluster-model.ts";

function given(...brokers: number[]): { context: ControllerContext; effects: ControllerEffect[]; batch: RequestBatch; partition: Partition } {
  const context = new ControllerContext();
  context.epoch = 3;
  for (const id of brokers) context.brokers.set(id, { ...registrationOf(id, "r"), epoch: 10 * id });
  const effects: ControllerEffect[] = [];
  const partition = context.addPartition("orders", 0, { replicas: [1, 2, 3], adding: [3], removing: [1] });
  partition.leadership = { leader: 1, leaderEpoch: 5, isr: [1, 2], zkVersion: 6, controllerEpoch: 2 };
  return { context, effects, batch: new RequestBatch({ brokerId: 1, interBrokerListener: "PLAINTEXT" }, context, effects), partition };
}

describe("a batch of requests", () => {
  test("goes out as LeaderAndIsr, then UpdateMetadata, then StopReplica, with each broker's own epoch, and none to brokers that are gone", () => {
    const { effects, batch, partition } = given(1, 2);
    batch.addStopReplica(2, partition, false);
    batch.addStopReplica(3, partition, false);
    batch.addLeaderAndIsr([1, 3, -1], partition, false);
    batch.send();
    expect(effects.map((effect) => (effect.kind === "send" ? [effect.request.api, effect.brokerId, effect.request.body.brokerEpoch] : []))).toEqual([
      ["leaderAndIsr", 1, 10],
      ["updateMetadata", 1, 10],
      ["updateMetadata", 2, 20],
      ["stopReplica", 2, 20],
    ]);
    expect(effects[0]).toMatchObject({ request: { body: { topicStates: [{ partitionStates: [{ addingReplicas: [3], removingReplicas: [1], isNew: false }] }], liveLeaders: [{ brokerId: 1 }] } } });
    expect(effects[1]).toMatchObject({ request: { body: { topicStates: [{ partitionStates: [{ offlineReplicas: [3] }] }], liveBrokers: [{ id: 1, rack: "r" }, { id: 2 }] } } });
    expect(batch.empty).toBe(true);
  });

  test("a replica that is new in one addition stays new, one that is deleted in one stays deleted", () => {
    const { effects, batch, partition } = given(1, 2);
    batch.addLeaderAndIsr([2], partition, true);
    batch.addLeaderAndIsr([1, 2], partition, false);
    batch.addStopReplica(2, partition, true);
    batch.addStopReplica(2, partition, false);
    batch.send();
    const flags = effects.flatMap((effect) => {
      if (effect.kind !== "send" || effect.request.api === "updateMetadata") return [];
      return effect.request.api === "leaderAndIsr" ? [effect.request.body.topicStates[0]?.partitionStates[0]?.isNew] : [effect.request.body.topicStates[0]?.partitionStates[0]?.deletePartition];
    });
    expect(flags).toEqual([true, false, true]);
  });

  test("StopReplica carries the leader epoch, -1 where there is none, -2 where the topic is being deleted", () => {
    const { context, effects, batch, partition } = given(1);
    const fresh = context.addPartition("fresh", 0, assign([1]));
    const deleted = context.addPartition("deleted", 0, assign([1]));
    context.deletionQueued.add("deleted");
    for (const one of [partition, fresh, deleted]) batch.addStopReplica(1, one, false);
    batch.send();
    expect(effects[0]).toMatchObject({ request: { body: { topicStates: [5, -1, -2].map((leaderEpoch) => ({ partitionStates: [{ leaderEpoch }] })) } } });
  });
});

describe("the partitions to rebalance", () => {
  const context = (): ControllerContext => {
    const made = new ControllerContext();
    for (const id of [1, 2, 3]) made.brokers.set(id, { ...registrationOf(id), epoch: id });
    for (let index = 0; index < 10; index++) {
      const partition = made.addPartition("orders", index, assign([1, 2]));
      partition.leadership = { leader: index < 2 ? 2 : 1, leaderEpoch: 0, isr: index === 1 ? [2] : [2, 1], zkVersion: 0, controllerEpoch: 1 };
    }
    return made;
  };
  const indexes = (made: ControllerContext, percentage: number): number[] => rebalanceCandidates(made, percentage).map(({ index }) => index);

  test("are those that the preferred replica could lead, of a broker that leads too few", () => {
    expect(indexes(context(), 10)).toEqual([0]);
    expect(indexes(context(), 20)).toEqual([]);
  });

  test("are none while a partition is being reassigned, and not of topics that are being deleted", () => {
    const reassigning = context();
    reassigning.addPartition("moving", 0, { replicas: [1, 3], adding: [3], removing: [] });
    expect(indexes(reassigning, 10)).toEqual([]);
    const deleting = context();
    deleting.deletionQueued.add("orders");
    expect(indexes(deleting, 10)).toEqual([]);
  });
});
