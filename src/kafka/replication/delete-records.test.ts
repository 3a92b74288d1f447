import { expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import { deleteRecordsOf, type DeleteRecordsOptions, type RecordsDeleted } from "./delete-records.ts";
import type { Partition } from "./partition.ts";
import { append, Outcome, PartitionBench } from "./testing/partition-bench.ts";

const NOBODY = (): void => undefined;

/** Broker 1 leads, 2 and 3 follow; four records, all committed. */
function stage() {
  const bench = new PartitionBench();
  const partition = bench.led({ isr: [1, 2, 3] });
  const dead = new Set<number>();
  let brokersChanged: () => unknown = NOBODY;
  const fetched = (broker: number, logStartOffset: number, fetchOffset = 4): void => {
    partition.fetchedBy(broker, { fetchOffset, logStartOffset, clock: { ms: bench.nowMs } });
  };
  for (let record = 0; record < 4; record++) append(partition);
  for (const broker of [2, 3]) fetched(broker, 0);
  const remove = (offset: number, more: Partial<DeleteRecordsOptions> = {}, from: Partition = partition): Outcome<RecordsDeleted> =>
    Outcome.of(
      deleteRecordsOf(from, {
        offset,
        timeoutMs: 5000,
        timers: bench.node.host.timers,
        isAlive: (broker) => !dead.has(broker),
        onBrokers: (look) => {
          brokersChanged = look;
          return () => (brokersChanged = NOBODY);
        },
        ...more,
      }),
    );
  const die = (broker: number): void => {
    dead.add(broker);
    brokersChanged();
  };
  return { bench, partition, remove, fetched, die, isWatched: () => brokersChanged !== NOBODY };
}

test("records go here at once; the answer waits until every live follower's log starts behind them", async () => {
  const { bench, partition, remove, fetched, isWatched } = stage();
  const outcome = remove(3);
  expect(partition.log.startOffset).toBe(3);
  fetched(2, 3);
  await bench.run(10);
  expect(outcome.value).toBe("waiting");
  fetched(3, 4);
  await bench.run(10);
  expect(outcome.value).toEqual({ error: ErrorCode.NONE, lowWatermark: 3 });
  expect(isWatched()).toBe(false);
});

test("a follower that is dead, or dies meanwhile, is not waited for", async () => {
  const { bench, remove, fetched, die } = stage();
  fetched(2, 3);
  const outcome = remove(3);
  await bench.run(10);
  expect(outcome.value).toBe("waiting");
  die(3);
  await bench.run(10);
  expect(outcome.value).toEqual({ error: ErrorCode.NONE, lowWatermark: 3 });
});

test("-1 is the high watermark; what is gone already needs no wait", async () => {
  const { bench, partition, remove, fetched } = stage();
  append(partition);
  const outcome = remove(-1);
  expect(partition.log.startOffset).toBe(4);
  for (const broker of [2, 3]) fetched(broker, 4);
  const again = remove(2);
  await bench.run(10);
  expect(outcome.value).toEqual({ error: ErrorCode.NONE, lowWatermark: 4 });
  expect(again.value).toEqual({ error: ErrorCode.NONE, lowWatermark: 4 });
});

test("after the timeout the answer is REQUEST_TIMED_OUT, with where the replicas were", async () => {
  const { bench, remove, isWatched } = stage();
  const outcome = remove(3, { timeoutMs: 100 });
  await bench.run(200);
  expect(outcome.value).toEqual({ error: ErrorCode.REQUEST_TIMED_OUT, lowWatermark: 0 });
  expect(isWatched()).toBe(false);
});

test("offsets behind the high watermark and below -1 are out of range", async () => {
  const { bench, partition, remove } = stage();
  append(partition);
  const outcomes = [remove(5), remove(-2)];
  await bench.run(10);
  expect(outcomes.map(({ value }) => value)).toEqual([1, 2].map(() => ({ error: ErrorCode.OFFSET_OUT_OF_RANGE, lowWatermark: -1 })));
  expect(partition.log.startOffset).toBe(0);
});

test("a topic that is only compacted keeps its records", async () => {
  const { bench, remove } = stage();
  const outcome = remove(0, {}, bench.led({}, "c", 0, { cleanupPolicy: ["compact"] }));
  await bench.run(10);
  expect(outcome.value).toEqual({ error: ErrorCode.POLICY_VIOLATION, lowWatermark: -1 });
});

test("a broker that does not lead, or ceases to while it waits, says so", async () => {
  const { bench, partition, remove } = stage();
  const outcome = remove(3);
  partition.become({ leader: 2, leaderEpoch: 1, isr: [1, 2, 3], replicas: [1, 2, 3], zkVersion: 1 });
  const later = remove(3);
  await bench.run(10);
  expect([outcome.value, later.value]).toEqual([1, 2].map(() => ({ error: ErrorCode.NOT_LEADER_OR_FOLLOWER, lowWatermark: -1 })));
});
