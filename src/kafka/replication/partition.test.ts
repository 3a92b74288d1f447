import { describe, expect, test } from "vitest";
import { testBatch, type TestBatch } from "../log/testing.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { Partition } from "./partition.ts";
import type { FollowerAppended, PartitionChange } from "./ports.ts";
import { produceTo, type Produced } from "./produce.ts";
import { append, FollowerClock, LAG_MS, Outcome, PartitionBench, SLOW_BYTES } from "./testing/partition-bench.ts";

const NEVER = 1e9;

function produce(bench: PartitionBench, partition: Partition, { inSyncMin = 1, timeoutMs = NEVER, bytes = 10 } = {}): Outcome<Produced> {
  return Outcome.of(produceTo(partition, testBatch({ bytes }), { acks: -1, timeoutMs, origin: "client" }, () => inSyncMin, bench.node.host.timers));
}

/** The code of a produce's outcome. */
function code({ value }: Outcome<Produced>): ErrorCode | "waiting" {
  return value === "waiting" ? value : value.error;
}

function changesOf(partition: Partition): PartitionChange[] {
  const changes: PartitionChange[] = [];
  partition.watch((change) => changes.push(change));
  return changes;
}

describe("the high watermark of a leader", () => {
  test("goes by what is written here, not by what is appended, however far a follower is", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const second = new FollowerClock(bench, 2);
    append(partition);
    second.fetch(partition, 1);
    expect(partition.log.highWatermark).toBe(1);
    append(partition, { bytes: SLOW_BYTES });
    expect([partition.log.endOffset, partition.log.writtenOffset]).toEqual([2, 1]);
    second.fetch(partition, 2);
    expect(partition.log.highWatermark).toBe(1);
    await bench.run(1000);
    expect(partition.log.highWatermark).toBe(2);
  });

  test("moves as soon as a shrink to the leader alone is committed, without another fetch or append", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const waiting = produce(bench, partition);
    await bench.run(LAG_MS + 1000);
    partition.maybeShrink();
    expect(bench.proposed.get(partition)).toEqual({ leaderEpoch: 0, isr: [1], zkVersion: 0 });
    expect([partition.log.highWatermark, partition.inSyncCount, partition.countedCount]).toEqual([0, 2, 2]);
    bench.commit(partition);
    await bench.run(0);
    expect([partition.log.highWatermark, partition.inSync, code(waiting)]).toEqual([1, [1], ErrorCode.NONE]);
  });

  test("is not held back by a replica that is in sync with nobody, nor by one that is none", () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    append(partition);
    expect(partition.log.highWatermark).toBe(1);
    expect(new FollowerClock(bench, 9).fetch(partition, 0)).toBe(false);
    expect(new FollowerClock(bench, 1).fetch(partition, 0)).toBe(false);
    append(partition);
    expect(partition.log.highWatermark).toBe(2);
  });
});

describe("a leader's ISR", () => {
  test("grows by a follower that is at the high watermark and at the start of this epoch, and it counts from then on", () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const [second, third] = [new FollowerClock(bench, 2), new FollowerClock(bench, 3)];
    for (let count = 0; count < 4; count++) append(partition);
    second.fetch(partition, 2);
    partition.become({ leader: 1, leaderEpoch: 1, isr: [1, 2], replicas: [1, 2, 3], zkVersion: 5 });
    expect([partition.log.highWatermark, partition.epochStartOffset]).toEqual([2, 4]);
    third.fetch(partition, 1);
    third.fetch(partition, 3);
    expect(bench.proposed.size).toBe(0);
    third.fetch(partition, 4);
    expect(bench.proposed.get(partition)).toEqual({ leaderEpoch: 1, isr: [1, 2, 3], zkVersion: 5 });
    expect([partition.inSync, partition.inSyncCount, partition.countedCount]).toEqual([[1, 2], 2, 3]);
    append(partition);
    second.fetch(partition, 5);
    expect(partition.log.highWatermark).toBe(4);
    bench.commit(partition);
    expect(partition.inSync).toEqual([1, 2, 3]);
    expect(bench.node.log.lines().join("\n")).toContain("ISR expands");
  });

  test("takes nobody in below the high watermark, though it began behind this epoch", () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    append(partition);
    new FollowerClock(bench, 2).fetch(partition, 0);
    expect(bench.proposed.size).toBe(0);
    new FollowerClock(bench, 2).fetch(partition, 1);
    expect(bench.proposed.get(partition)).toMatchObject({ isr: [1, 2] });
  });

  test("loses those that lack what is written, not what is only appended", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    append(partition);
    new FollowerClock(bench, 2).fetch(partition, 1);
    await bench.run(2 * LAG_MS);
    append(partition, { bytes: SLOW_BYTES });
    partition.maybeShrink();
    expect(bench.proposed.size).toBe(0);
    await bench.run(1000);
    partition.maybeShrink();
    expect(bench.proposed.get(partition)).toMatchObject({ isr: [1] });
    expect(bench.node.log.lines().join("\n")).toContain("ISR shrinks");
  });

  test("takes in those that wanted to while another change was pending, as soon as that one is committed", () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    new FollowerClock(bench, 2).fetch(partition, 0);
    new FollowerClock(bench, 3).fetch(partition, 0);
    expect(bench.proposed.get(partition)).toMatchObject({ isr: [1, 2] });
    bench.commit(partition);
    expect(bench.proposed.get(partition)).toMatchObject({ isr: [1, 2, 3], zkVersion: 101 });
  });

  test("is not asked for by a session that has ended: its fetches count for nothing after that", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const second = new FollowerClock(bench, 2);
    second.fetch(partition, 0);
    partition.fetchEnded(2, second.clock);
    append(partition);
    await bench.run(LAG_MS + 1000);
    second.clock.ms = bench.nowMs;
    partition.maybeShrink();
    expect(bench.proposed.get(partition)).toMatchObject({ isr: [1] });
  });

  test("what an error does to a proposal is said, to the caller and in the log", () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    new FollowerClock(bench, 2).fetch(partition, 0);
    const proposal = bench.proposed.get(partition);
    if (proposal === undefined) throw new Error("nothing is proposed");
    expect(partition.isrDecided({ ...proposal }, { kind: "error", error: ErrorCode.UNKNOWN_SERVER_ERROR })).toBe("done");
    expect(bench.node.log.lines().join("\n")).not.toContain("ISR change");
    expect(partition.isrDecided(proposal, { kind: "error", error: ErrorCode.UNKNOWN_SERVER_ERROR })).toBe("again");
    expect(bench.node.log.lines().at(-1)).toContain("ISR change sent again");
    expect(partition.isrDecided(proposal, { kind: "error", error: ErrorCode.INVALID_UPDATE_VERSION })).toBe("done");
    expect(bench.node.log.lines().at(-1)).toContain("ISR change refused");
    expect(partition.countedCount).toBe(2);
  });

  test("is of no interest to one that leads no more: what was proposed is withdrawn, and an answer to it ignored", () => {
    const bench = new PartitionBench();
    for (const end of [
      (partition: Partition) => partition.become({ leader: 2, leaderEpoch: 1, isr: [2], replicas: [1, 2, 3], zkVersion: 5 }),
      (partition: Partition) => partition.become({ leader: 1, leaderEpoch: 1, isr: [1], replicas: [1, 2, 3], zkVersion: 5 }),
      (partition: Partition) => partition.stop(ErrorCode.KAFKA_STORAGE_ERROR),
    ]) {
      const partition = bench.led({}, "t", bench.partitions.size);
      new FollowerClock(bench, 2).fetch(partition, 0);
      const proposal = bench.proposed.get(partition);
      if (proposal === undefined) throw new Error("nothing is proposed");
      end(partition);
      expect(bench.proposed.has(partition)).toBe(false);
      expect(partition.isrDecided(proposal, { kind: "error", error: ErrorCode.UNKNOWN_SERVER_ERROR })).toBe("done");
      expect(partition.countedCount).toBe(partition.isLeader ? 1 : 0);
    }
  });
});

describe("a produce with acks=all", () => {
  test("is refused before the append by the ISR that is committed, whoever else was asked for", async () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    new FollowerClock(bench, 2).fetch(partition, 0);
    expect([partition.inSyncCount, partition.countedCount]).toEqual([1, 2]);
    const refused = produce(bench, partition, { inSyncMin: 2 });
    await bench.run(0);
    expect([code(refused), partition.log.endOffset]).toEqual([ErrorCode.NOT_ENOUGH_REPLICAS, 0]);
    bench.commit(partition);
    const waiting = produce(bench, partition, { inSyncMin: 2 });
    await bench.run(0);
    expect([code(waiting), partition.log.endOffset]).toEqual(["waiting", 1]);
  });

  test("is told so where the ISR has become too small after the append", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const waiting = produce(bench, partition, { inSyncMin: 2 });
    await bench.run(LAG_MS + 1000);
    partition.maybeShrink();
    bench.commit(partition);
    await bench.run(0);
    expect(code(waiting)).toBe(ErrorCode.NOT_ENOUGH_REPLICAS_AFTER_APPEND);
  });

  test("is acknowledged where only those whom the controller was asked to take in make up the number", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2, 3] });
    const [second, third] = [new FollowerClock(bench, 2), new FollowerClock(bench, 3)];
    append(partition);
    await bench.run(LAG_MS - 1000);
    second.fetch(partition, 1);
    const waiting = produce(bench, partition, { inSyncMin: 3 });
    await bench.run(2000);
    partition.maybeShrink();
    bench.commit(partition);
    expect([partition.inSync, partition.log.highWatermark]).toEqual([[1, 2], 1]);
    third.fetch(partition, 1);
    expect([partition.inSyncCount, partition.countedCount]).toEqual([2, 3]);
    second.fetch(partition, 2);
    await bench.run(0);
    expect(code(waiting)).toBe("waiting");
    third.fetch(partition, 2);
    await bench.run(0);
    expect(code(waiting)).toBe(ErrorCode.NONE);
  });

  test("waits through a new epoch of the same leader, whose followers it still knows", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const second = new FollowerClock(bench, 2);
    second.fetch(partition, 0);
    const waiting = produce(bench, partition);
    await bench.run(10);
    partition.become({ leader: 1, leaderEpoch: 1, isr: [1, 2], replicas: [1, 2, 3], zkVersion: 5 });
    await bench.run(10);
    expect(code(waiting)).toBe("waiting");
    second.fetch(partition, 1);
    await bench.run(0);
    expect(code(waiting)).toBe(ErrorCode.NONE);
  });

  test("is acknowledged at once where a new epoch of the same leader leaves out the one who lags", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2, 3] });
    const waiting = produce(bench, partition);
    new FollowerClock(bench, 2).fetch(partition, 1);
    partition.become({ leader: 1, leaderEpoch: 1, isr: [1, 2], replicas: [1, 2, 3], zkVersion: 5 });
    await bench.run(0);
    expect([code(waiting), partition.log.highWatermark]).toEqual([ErrorCode.NONE, 1]);
  });

  test("is settled when the leadership is lost, or the replica goes, with why", async () => {
    const bench = new PartitionBench();
    const [lost, gone] = [bench.led({ isr: [1, 2] }), bench.led({ isr: [1, 2] }, "u")];
    const outcomes = [produce(bench, lost), produce(bench, gone)];
    await bench.run(10);
    lost.become({ leader: 2, leaderEpoch: 1, isr: [2], replicas: [1, 2, 3], zkVersion: 5 });
    gone.stop(ErrorCode.KAFKA_STORAGE_ERROR);
    outcomes.push(produce(bench, lost));
    await bench.run(0);
    expect(outcomes.map(code)).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.NOT_LEADER_OR_FOLLOWER]);
  });

  test("is given up when its time is over, and only it", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const [short, long] = [produce(bench, partition, { timeoutMs: 100 }), produce(bench, partition)];
    await bench.run(200);
    expect([code(short), code(long)]).toEqual([ErrorCode.REQUEST_TIMED_OUT, "waiting"]);
    new FollowerClock(bench, 2).fetch(partition, 2);
    await bench.run(0);
    expect([code(short), code(long)]).toEqual([ErrorCode.REQUEST_TIMED_OUT, ErrorCode.NONE]);
  });

  test("that is written after the leadership was lost is not acknowledged", async () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    const outcome = produce(bench, partition, { bytes: SLOW_BYTES });
    partition.become({ leader: 2, leaderEpoch: 1, isr: [2], replicas: [1, 2], zkVersion: 5 });
    await bench.run(1000);
    expect([code(outcome), partition.log.writtenOffset]).toEqual([ErrorCode.NOT_LEADER_OR_FOLLOWER, 1]);
  });
});

describe("a leader's epoch", () => {
  test("is known for where it begins, though nothing was written in it", () => {
    const bench = new PartitionBench();
    const partition = bench.led();
    append(partition);
    partition.become({ leader: 1, leaderEpoch: 4, isr: [1], replicas: [1], zkVersion: 1 });
    expect(partition.log.endOffsetForEpoch(4)).toEqual({ epoch: 4, endOffset: 1 });
    expect(partition.log.endOffsetForEpoch(3)).toEqual({ epoch: 0, endOffset: 1 });
  });

  test("tells a reader that has fetched in another where they part", () => {
    const bench = new PartitionBench();
    const partition = bench.led({ leaderEpoch: 2 });
    append(partition, { count: 3 });
    partition.become({ leader: 1, leaderEpoch: 5, isr: [1], replicas: [1], zkVersion: 1 });
    append(partition, { count: 2 });
    // The reader's last epoch, its offset.
    const asked = [[-1, 99], [5, 4], [5, 5], [5, 6], [2, 3], [2, 4], [4, 3], [4, 1], [6, 1]] as const;
    expect(asked.map(([epoch, offset]) => partition.divergence(epoch, offset))).toEqual([
      undefined,
      undefined,
      undefined,
      { epoch: 5, endOffset: 5 },
      undefined,
      { epoch: 2, endOffset: 3 },
      { epoch: 2, endOffset: 3 },
      { epoch: 2, endOffset: 3 },
      "unknown",
    ]);
  });
});

describe("a follower", () => {
  const LEADER = { leader: 2, leaderEpoch: 3, isr: [2], replicas: [1, 2], zkVersion: 0 };

  function follower(): { bench: PartitionBench; partition: Partition; take: (batches: TestBatch[], highWatermark: number, logStartOffset?: number, epoch?: number) => FollowerAppended; written: (Error | undefined)[] } {
    const bench = new PartitionBench();
    const partition = bench.create();
    partition.become(LEADER);
    const written: (Error | undefined)[] = [];
    return {
      bench,
      partition,
      written,
      take: (batches, highWatermark, logStartOffset = 0, epoch = 3) =>
        partition.appendAsFollower(epoch, { records: Buffer.concat(batches.map((batch) => testBatch(batch))), highWatermark, logStartOffset }, (error) => written.push(error)),
    };
  }

  test("takes the leader's high watermark once the records are there, and never more than it has", () => {
    const { partition, take, written } = follower();
    expect(take([{ baseOffset: 0, count: 4 }], 3)).toEqual({ kind: "appended" });
    expect([partition.log.highWatermark, written.length]).toEqual([3, 1]);
    take([{ baseOffset: 4 }], 99);
    expect(partition.log.highWatermark).toBe(5);
  });

  test("follows the leader's high watermark down too, and its start up, as far as its own high watermark reaches", () => {
    const { partition, take, written } = follower();
    take([{ baseOffset: 0, count: 4 }], 4);
    expect(take([], 2, 1)).toEqual({ kind: "nothing" });
    expect([partition.log.highWatermark, partition.log.startOffset]).toEqual([2, 1]);
    take([], 2, 3);
    expect([partition.log.highWatermark, partition.log.startOffset]).toEqual([2, 1]);
    take([], 3, 3);
    expect([partition.log.startOffset, written.length]).toEqual([3, 1]);
  });

  test("says when what it appended is written, which may be later", async () => {
    const { bench, partition, take, written } = follower();
    expect(take([{ baseOffset: 0, bytes: SLOW_BYTES }], 1)).toEqual({ kind: "appended" });
    expect([written, partition.log.endOffset]).toEqual([[], 1]);
    await bench.run(1000);
    expect(written).toEqual([undefined]);
  });

  test("appends nothing in another epoch than the one in force, nor after it has stopped, nor as a leader", async () => {
    const { partition, take, written } = follower();
    const refusal = { kind: "refused", error: ErrorCode.NOT_LEADER_OR_FOLLOWER };
    expect(take([{ baseOffset: 0 }], 1, 0, 2)).toMatchObject(refusal);
    expect(take([{ baseOffset: 0 }], 1, 0, 4)).toMatchObject(refusal);
    await expect(partition.truncate(2, 0)).rejects.toMatchObject({ code: "ERR_NOT_FOLLOWER" });
    await expect(partition.restartAt(4, 0)).rejects.toMatchObject({ code: "ERR_NOT_FOLLOWER" });
    partition.become({ ...LEADER, leader: 1, leaderEpoch: 4 });
    expect(take([{ baseOffset: 0 }], 1, 0, 4)).toMatchObject(refusal);
    partition.stop(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    expect(take([], 1, 0, 4)).toMatchObject(refusal);
    expect([written, partition.log.endOffset]).toEqual([[], 0]);
  });

  test("refuses damaged bytes, and what does not continue its log", () => {
    const { partition, take, written } = follower();
    take([{ baseOffset: 0, count: 4 }], 4);
    const damaged = testBatch({ baseOffset: 4 });
    damaged[70] = 99;
    expect(partition.appendAsFollower(3, { records: damaged, highWatermark: 5, logStartOffset: 2 }, () => undefined)).toMatchObject({ error: ErrorCode.CORRUPT_MESSAGE });
    expect(take([{ baseOffset: 3, count: 4 }], 5, 2)).toMatchObject({ kind: "refused", error: ErrorCode.UNKNOWN_SERVER_ERROR });
    expect([partition.log.endOffset, partition.log.highWatermark, partition.log.startOffset, written.length]).toEqual([4, 4, 0, 1]);
  });

  test("begins anew where the leader's start lies within a batch, and only there", async () => {
    const { bench, partition, take } = follower();
    await bench.settle(partition.restartAt(3, 7));
    expect(take([{ baseOffset: 2, count: 5 }], 9)).toMatchObject({ kind: "refused" });
    expect(take([{ baseOffset: 5, count: 4 }], 9)).toEqual({ kind: "restart", at: 5 });
    await bench.settle(partition.restartAt(3, 5));
    expect(take([{ baseOffset: 5, count: 4 }], 9)).toEqual({ kind: "appended" });
    expect([partition.log.startOffset, partition.log.endOffset, partition.log.highWatermark]).toEqual([5, 9, 9]);
  });

  test("drops what its leader lacks, and an epoch of its own in which nobody wrote", async () => {
    const { bench, partition, take } = follower();
    take([{ baseOffset: 0, count: 2, leaderEpoch: 2 }, { baseOffset: 2, count: 2, leaderEpoch: 3 }], 4);
    await bench.settle(partition.truncate(3, 2));
    expect([partition.log.endOffset, partition.log.highWatermark, partition.log.latestEpoch]).toEqual([2, 2, 2]);
  });
});

describe("who watches", () => {
  test("a leader hears of its end, its high watermark, its start, its followers' and its part, each by its name", async () => {
    const bench = new PartitionBench();
    const partition = bench.led({ isr: [1, 2] });
    const changes = changesOf(partition);
    append(partition, { bytes: SLOW_BYTES });
    expect(changes).toEqual([]);
    await bench.run(1000);
    expect(changes.splice(0)).toEqual(["end"]);
    new FollowerClock(bench, 2).fetch(partition, 1);
    expect(changes.splice(0)).toEqual(["highWatermark", "followerStart"]);
    partition.log.advanceStartOffset(1);
    expect(changes.splice(0)).toEqual(["logStart"]);
    partition.become({ leader: 2, leaderEpoch: 1, isr: [2], replicas: [1, 2], zkVersion: 0 });
    partition.stop(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    expect(changes).toEqual(["role", "role"]);
  });

  test("a follower too, until it stops to watch", async () => {
    const bench = new PartitionBench();
    const partition = bench.create();
    partition.become({ leader: 2, leaderEpoch: 0, isr: [2], replicas: [1, 2], zkVersion: 0 });
    const changes: PartitionChange[] = [];
    const stop = partition.watch((change) => changes.push(change));
    const take = (records: Buffer, highWatermark: number, logStartOffset: number) => partition.appendAsFollower(0, { records, highWatermark, logStartOffset }, () => undefined);
    take(testBatch({ baseOffset: 0, count: 3 }), 0, 0);
    expect(changes.splice(0)).toEqual(["end"]);
    take(Buffer.alloc(0), 3, 2);
    expect(changes.splice(0)).toEqual(["logStart", "highWatermark"]);
    take(Buffer.alloc(0), 3, 2);
    expect(changes).toEqual([]);
    await bench.settle(partition.truncate(0, 2));
    expect(changes.splice(0)).toEqual(["end"]);
    stop();
    partition.stop(ErrorCode.NOT_LEADER_OR_FOLLOWER);
    expect(changes).toEqual([]);
  });
});

test("a partition says what it is: nothing, a leader, a follower, stopped", () => {
  const bench = new PartitionBench();
  const partition = bench.create();
  const state = () => [partition.isRunning, partition.isLeader, partition.leaderId, partition.leaderEpoch, partition.inSync, partition.check({ currentLeaderEpoch: -1, leaderOnly: true })];
  expect(state()).toEqual([false, false, -1, -1, [], ErrorCode.NOT_LEADER_OR_FOLLOWER]);
  partition.become({ leader: 1, leaderEpoch: 1, isr: [2, 1], replicas: [1, 2], zkVersion: 0 });
  expect(state()).toEqual([true, true, 1, 1, [2, 1], ErrorCode.NONE]);
  expect([0, 1, 2].map((currentLeaderEpoch) => partition.check({ currentLeaderEpoch, leaderOnly: true }))).toEqual([ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.NONE, ErrorCode.UNKNOWN_LEADER_EPOCH]);
  partition.become({ leader: 2, leaderEpoch: 2, isr: [2], replicas: [1, 2], zkVersion: 0 });
  expect(state()).toEqual([true, false, 2, 2, [], ErrorCode.NOT_LEADER_OR_FOLLOWER]);
  partition.stop(ErrorCode.KAFKA_STORAGE_ERROR);
  expect(state()).toEqual([false, false, -1, 2, [], ErrorCode.KAFKA_STORAGE_ERROR]);
});
