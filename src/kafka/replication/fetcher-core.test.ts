import { describe, expect, test } from "vitest";
import { must } from "../../lib/assert.ts";
import { ErrorCode, errorName } from "../protocol/error-codes.ts";
import { fetch, fetchResponse } from "../protocol/messages/fetch.ts";
import { listOffsets, listOffsetsResponse } from "../protocol/messages/list-offsets.ts";
import { offsetForLeaderEpoch, offsetForLeaderEpochResponse } from "../protocol/messages/offset-for-leader-epoch.ts";
import { FetcherCore, type FetcherStep, type Followed } from "./fetcher-core.ts";
import { ModelLeader, ModelLog, ModelReplica, encodeBatches, overWire, type ModelBatch, type ModelLed } from "./testing/replica-model.ts";

const rules = { replicaId: 2, maxWaitMs: 500, minBytes: 1, maxBytes: 1000, partitionMaxBytes: 100, backoffMs: 50 };

type StepOf<K extends FetcherStep["kind"]> = Extract<FetcherStep, { kind: K }>;
type Answer = Partial<{ errorCode: number; highWatermark: number; logStartOffset: number; batches: readonly ModelBatch[]; records: Buffer[] | null }>;

let ids = 0;

/** One batch of `count` records for each epoch, from offset 0 on: `[epoch, count]`. */
function logOf(...runs: readonly (readonly [epoch: number, count: number])[]): ModelLog {
  const log = new ModelLog();
  for (const [epoch, count] of runs) log.append({ offset: log.endOffset, count, epoch, id: ids++ });
  log.writtenOffset = log.endOffset;
  return log;
}

/** A core on which the test plays driver and leader. */
class Bench {
  readonly core: FetcherCore;
  nowMs = 1000;
  sessionId = 9;

  constructor(backoffMs = rules.backoffMs) {
    this.core = new FetcherCore({ ...rules, backoffMs });
  }

  follow(replica: ModelReplica, epoch = 0): ModelReplica {
    replica.epoch = epoch;
    this.core.follow(replica.name, replica, epoch);
    return replica;
  }

  /** The next step, which must be of this kind. */
  step<K extends FetcherStep["kind"]>(kind: K): StepOf<K> {
    const step = this.core.next(this.nowMs);
    expect(step.kind).toBe(kind);
    return step as StepOf<K>;
  }

  async local(): Promise<void> {
    const step = this.core.next(this.nowMs);
    if (step.kind === "truncate") {
      for (const truncation of step.truncations) {
        await truncation.followed.replica.truncate(truncation.followed.leaderEpoch, truncation.offset);
        this.core.truncated(truncation, "done");
      }
    } else {
      expect(step.kind).toBe("restart");
      const { followed, offset } = step as StepOf<"restart">;
      await followed.replica.restartAt(followed.leaderEpoch, offset);
      this.core.restarted(followed, "done");
    }
  }

  epochs(name: string, answer: { leaderEpoch?: number; endOffset?: number; errorCode?: number } | undefined): void {
    const { asked } = this.step("epochs");
    this.core.epochsAnswered(asked, epochsOf(name, answer), this.nowMs);
  }

  offsets(name: string, answer: { offset?: number; errorCode?: number } | undefined): StepOf<"offsets"> {
    const step = this.step("offsets");
    this.core.offsetsAnswered(step.asked, offsetsOf(name, answer), this.nowMs);
    return step;
  }

  /** The answer to the fetch that is under way; what it brings is appended, and its offsets returned. */
  fetched(answers: Readonly<Record<string, Answer>>, top: { errorCode?: number; sessionId?: number } = {}): string[] {
    const response = fetchOf(answers, { sessionId: this.sessionId, ...top });
    return this.core.fetched(response, this.nowMs).map(({ followed, data }) => {
      const outcome = followed.replica.appendAsFollower(followed.leaderEpoch, data, () => undefined);
      expect(outcome.kind).not.toBe("restart");
      if (outcome.kind !== "restart") this.core.appended(followed, outcome, this.nowMs);
      return followed.name;
    });
  }

  /** Empty logs: fetched from offset 0 on, in a session that is one answer old. */
  async fetching(...replicas: readonly ModelReplica[]): Promise<void> {
    for (const replica of replicas) this.follow(replica);
    await this.local();
    this.step("fetch");
    this.fetched(Object.fromEntries(replicas.map(({ name }) => [name, {}])));
  }

  said(): string[] {
    return this.core.messages.splice(0).map(({ message }) => message);
  }
}

function epochsOf(name: string, answer: { leaderEpoch?: number; endOffset?: number; errorCode?: number } | undefined) {
  const [topic = "", partition = ""] = name.split("-");
  return overWire(offsetForLeaderEpochResponse, 3, { topics: answer === undefined ? [] : [{ topic, partitions: [{ partition: Number(partition), errorCode: 0, ...answer }] }] });
}

function offsetsOf(name: string, answer: { offset?: number; errorCode?: number } | undefined) {
  const [topic = "", partition = ""] = name.split("-");
  return overWire(listOffsetsResponse, 5, { topics: answer === undefined ? [] : [{ name: topic, partitions: [{ partitionIndex: Number(partition), errorCode: 0, oldStyleOffsets: [], ...answer }] }] });
}

function fetchOf(answers: Readonly<Record<string, Answer>>, top: { errorCode?: number; sessionId?: number }) {
  const responses = Object.entries(answers).map(([name, answer]) => {
    const [topic = "", partition = ""] = name.split("-");
    const { errorCode = 0, highWatermark = 0, logStartOffset = 0, batches = [], records = [encodeBatches(batches)] } = answer;
    return { topic, partitions: [{ partitionIndex: Number(partition), errorCode, highWatermark, logStartOffset, records }] };
  });
  return overWire(fetchResponse, 12, { ...top, responses });
}

/** What a request names, as `topic-partition@offset`. */
function namesIn(step: StepOf<"fetch">): string[] {
  return step.request.topics.flatMap(({ topic, partitions }) => partitions.map(({ partition, fetchOffset }) => `${topic}-${partition}@${fetchOffset}`));
}

function forgottenIn(step: StepOf<"fetch">): string[] {
  return step.request.forgottenTopicsData.flatMap(({ topic, partitions }) => partitions.map((partition) => `${topic}-${partition}`));
}

describe("truncation", () => {
  /** Follows with this log in epoch 9, and is told this end: where the log is cut, and what comes next. */
  async function told(log: ModelLog, highWatermark: number, answer: { leaderEpoch: number; endOffset: number }): Promise<[number | undefined, string]> {
    const bench = new Bench();
    log.setHighWatermark(highWatermark);
    const replica = bench.follow(new ModelReplica("t", 0, log), 9);
    bench.epochs("t-0", answer);
    const { truncations } = bench.step("truncate");
    const truncation = must(truncations[0], "a truncation");
    await replica.truncate(9, truncation.offset);
    bench.core.truncated(truncation, "done");
    const next = bench.core.next(bench.nowMs);
    return [truncation.offset, next.kind === "fetch" ? `fetch ${namesIn(next).join()}` : next.kind];
  }

  test("asks for the end of the latest epoch, in the epoch that it follows", () => {
    const bench = new Bench();
    bench.follow(new ModelReplica("t", 3, logOf([1, 2], [4, 2])), 9);
    bench.follow(new ModelReplica("u", 0, logOf([2, 2])), 8);
    expect(bench.step("epochs").request).toEqual({
      replicaId: 2,
      topics: [
        { topic: "t", partitions: [{ partition: 3, currentLeaderEpoch: 9, leaderEpoch: 4 }] },
        { topic: "u", partitions: [{ partition: 0, currentLeaderEpoch: 8, leaderEpoch: 2 }] },
      ],
    });
  });

  test("where the log knows no epoch, goes to the high watermark without asking", async () => {
    const bench = new Bench();
    const log = new ModelLog();
    log.endOffset = 5;
    log.setHighWatermark(3);
    const replica = bench.follow(new ModelReplica("t", 0, log));
    await bench.local();
    expect(replica.calls).toEqual(["truncate 3"]);
    expect(namesIn(bench.step("fetch"))).toEqual(["t-0@3"]);
  });

  test("where the leader knows no end, goes to the high watermark that there was at the beginning", async () => {
    expect(await told(logOf([1, 2], [1, 2], [1, 2]), 4, { leaderEpoch: -1, endOffset: -1 })).toEqual([4, "fetch t-0@4"]);
  });

  test("where the leader knows no epoch, goes to its end or stays at the own", async () => {
    expect(await told(logOf([1, 4], [1, 4]), 0, { leaderEpoch: -1, endOffset: 4 })).toEqual([4, "fetch t-0@4"]);
    expect(await told(logOf([1, 4], [1, 4]), 0, { leaderEpoch: -1, endOffset: 40 })).toEqual([8, "fetch t-0@8"]);
  });

  test("where the leader's epoch is older than any of the log's, goes to its end or stays at the own", async () => {
    // An epoch of which the log can't say where it ended: it knows none from then on.
    expect(await told(logOf([5, 2], [5, 2]), 0, { leaderEpoch: 7, endOffset: 2 })).toEqual([2, "fetch t-0@2"]);
    expect(await told(logOf([5, 2], [5, 2]), 0, { leaderEpoch: 7, endOffset: 20 })).toEqual([4, "fetch t-0@4"]);
  });

  test("where both know the epoch, goes to the least of its two ends and of the log's", async () => {
    // The leader's is longer, shorter, and the same; then the epoch is not the log's latest.
    expect(await told(logOf([1, 3], [2, 3]), 0, { leaderEpoch: 2, endOffset: 100 })).toEqual([6, "fetch t-0@6"]);
    expect(await told(logOf([1, 3], [2, 3], [2, 3]), 0, { leaderEpoch: 2, endOffset: 6 })).toEqual([6, "fetch t-0@6"]);
    expect(await told(logOf([1, 3], [2, 3]), 0, { leaderEpoch: 2, endOffset: 6 })).toEqual([6, "fetch t-0@6"]);
    expect(await told(logOf([1, 3], [2, 3]), 0, { leaderEpoch: 1, endOffset: 100 })).toEqual([3, "fetch t-0@3"]);
  });

  test("never aims behind the log's end, whatever its epochs say", async () => {
    const doctored = (): ModelLog => {
      const log = logOf([1, 3], [2, 3], [4, 3]);
      log.batches.splice(1);
      log.endOffset = 3;
      return log;
    };
    // Epoch 2 ends at 6, by the epochs alone.
    expect(await told(doctored(), 0, { leaderEpoch: 2, endOffset: 100 })).toEqual([3, "fetch t-0@3"]);
    expect((await told(doctored(), 0, { leaderEpoch: 3, endOffset: 100 }))[0]).toBe(3);
  });

  test("where the log does not know the leader's epoch, goes to the end of the one before, and asks again, as often as it takes", async () => {
    const bench = new Bench();
    const replica = bench.follow(new ModelReplica("t", 0, logOf([1, 2], [3, 2], [5, 2])), 9);
    bench.epochs("t-0", { leaderEpoch: 4, endOffset: 6 });
    await bench.local();
    expect(bench.step("epochs").request.topics[0]?.partitions[0]?.leaderEpoch).toBe(3);
    bench.epochs("t-0", { leaderEpoch: 2, endOffset: 3 });
    await bench.local();
    expect(bench.step("epochs").request.topics[0]?.partitions[0]?.leaderEpoch).toBe(1);
    bench.epochs("t-0", { leaderEpoch: 1, endOffset: 2 });
    await bench.local();
    expect(replica.calls).toEqual(["truncate 4", "truncate 2", "truncate 2"]);
    expect(namesIn(bench.step("fetch"))).toEqual(["t-0@2"]);
    expect(bench.said()).toEqual(["asks for an older leader epoch", "truncated", "asks for an older leader epoch", "truncated"]);
  });

  test("falls back to the last intermediate truncation where a later answer knows no end", async () => {
    const bench = new Bench();
    const log = logOf([1, 2], [3, 2], [5, 2]);
    log.setHighWatermark(1);
    const replica = bench.follow(new ModelReplica("t", 0, log), 9);
    bench.epochs("t-0", { leaderEpoch: 4, endOffset: 6 });
    await bench.local();
    bench.epochs("t-0", { leaderEpoch: -1, endOffset: -1 });
    await bench.local();
    expect(replica.calls).toEqual(["truncate 4", "truncate 4"]);
  });

  test("takes the next offset from the log, which ends where the batch begins that the cut lies in", async () => {
    expect(await told(logOf([1, 3], [1, 4]), 0, { leaderEpoch: 1, endOffset: 5 })).toEqual([5, "fetch t-0@3"]);
  });

  test("is done at the log's end too: epochs in which nobody wrote are forgotten", async () => {
    const bench = new Bench();
    const log = logOf([1, 2]);
    log.assignEpoch(4);
    const replica = bench.follow(new ModelReplica("t", 0, log), 9);
    expect(log.latestEpoch).toBe(4);
    bench.epochs("t-0", { leaderEpoch: 4, endOffset: 9 });
    await bench.local();
    expect([replica.calls, log.latestEpoch]).toEqual([["truncate 2"], 1]);
    expect(bench.said()).toEqual([]);
  });

  test("below the high watermark is carried out and warned about", async () => {
    const bench = new Bench();
    const log = logOf([1, 2], [2, 2]);
    log.setHighWatermark(4);
    bench.follow(new ModelReplica("t", 0, log), 9);
    bench.epochs("t-0", { leaderEpoch: 1, endOffset: 2 });
    await bench.local();
    expect(log.highWatermark).toBe(2);
    expect(bench.core.messages).toMatchObject([
      { level: "warn", message: "truncates below the high watermark", fields: { partition: "t-0", to: 2, highWatermark: 4 } },
      { level: "info", message: "truncated", fields: { partition: "t-0", from: 4, to: 2, removed: 2 } },
    ]);
  });

  test("fenced, a partition is given up; after any other error, or none, it is asked for again when the backoff is over", () => {
    const bench = new Bench();
    bench.follow(new ModelReplica("t", 0, logOf([1, 2])), 9);
    for (const answer of [{ errorCode: ErrorCode.KAFKA_STORAGE_ERROR }, { errorCode: ErrorCode.UNKNOWN_SERVER_ERROR }, undefined]) {
      bench.epochs("t-0", answer);
      expect(bench.step("idle").untilMs).toBe(bench.nowMs + 50);
      bench.nowMs += 50;
    }
    bench.epochs("t-0", { errorCode: ErrorCode.FENCED_LEADER_EPOCH });
    expect([bench.core.size, bench.step("idle").untilMs]).toEqual([0, Infinity]);
    expect(bench.said().at(-1)).toBe("fenced by its leader");
  });

  test("a leader that has not heard of it yet is asked again soon, and less and less often, up to the backoff; once it has served, soon again", async () => {
    const bench = new Bench();
    bench.follow(new ModelReplica("t", 0, logOf([1, 2])), 9);
    const answers = [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.NOT_LEADER_OR_FOLLOWER, ErrorCode.UNKNOWN_LEADER_EPOCH, ErrorCode.UNKNOWN_LEADER_EPOCH, ErrorCode.UNKNOWN_LEADER_EPOCH];
    for (const [index, errorCode] of answers.entries()) {
      bench.epochs("t-0", { errorCode });
      const pauseMs = Math.min(10 * 2 ** index, 50);
      expect(bench.step("idle").untilMs).toBe(bench.nowMs + pauseMs);
      bench.nowMs += pauseMs;
    }
    // Moments of it are nothing to be told of.
    expect(bench.said()).toEqual(["the leader does not serve this partition, trying again", "the leader does not serve this partition, trying again"]);
    bench.epochs("t-0", { leaderEpoch: 1, endOffset: 2 });
    await bench.local();
    bench.step("fetch");
    bench.fetched({ "t-0": { errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER } });
    bench.step("fetch");
    bench.fetched({}, { sessionId: 0 });
    expect(bench.step("idle").untilMs).toBe(bench.nowMs + 10);
  });

  test("that fails takes the partition out, until it is followed in another epoch", () => {
    const bench = new Bench();
    const replica = bench.follow(new ModelReplica("t", 0));
    const { truncations } = bench.step("truncate");
    bench.core.truncated(must(truncations[0], "a truncation"), "failed");
    expect([bench.core.size, bench.said(), replica.watchers]).toEqual([0, ["partition failed"], 0]);
    bench.follow(replica, 1);
    bench.step("truncate");
  });

  test("of several partitions is one step", () => {
    const bench = new Bench();
    for (const partition of [0, 1, 2]) bench.follow(new ModelReplica("t", partition));
    expect(bench.step("truncate").truncations.length).toBe(3);
  });
});

describe("histories", () => {
  /** Follows until it fetches; the leader answers by the rules. */
  async function catchUp(bench: Bench, replica: ModelReplica, led: ModelLed): Promise<string[]> {
    const leader = new ModelLeader(() => led);
    bench.follow(replica, led.epoch);
    for (let steps = 0; steps < 20; steps++) {
      const step = bench.core.next(bench.nowMs);
      if (step.kind === "epochs") {
        bench.core.epochsAnswered(step.asked, leader.answer(offsetForLeaderEpoch, 3, step.request), bench.nowMs);
      } else if (step.kind === "offsets") {
        bench.core.offsetsAnswered(step.asked, leader.answer(listOffsets, 5, step.request), bench.nowMs);
      } else if (step.kind === "fetch") {
        const answer = leader.answer(fetch, 12, step.request);
        for (const { followed, data } of bench.core.fetched(answer, bench.nowMs)) {
          const outcome = followed.replica.appendAsFollower(followed.leaderEpoch, data, () => undefined);
          if (outcome.kind !== "restart") bench.core.appended(followed, outcome, bench.nowMs);
        }
        if (answer.responses.length === 0) break;
      } else if (step.kind === "truncate") {
        for (const truncation of step.truncations) {
          await truncation.followed.replica.truncate(led.epoch, truncation.offset);
          bench.core.truncated(truncation, "done");
        }
      } else if (step.kind === "restart") {
        await step.followed.replica.restartAt(led.epoch, step.offset);
        bench.core.restarted(step.followed, "done");
      } else {
        break;
      }
    }
    expect(replica.log.batches).toEqual(led.log.batches);
    expect(replica.log.epochs).toEqual(led.log.epochs);
    return replica.calls.filter((call) => !call.startsWith("append"));
  }

  function copyOf(log: ModelLog, batches: number): ModelLog {
    const copy = new ModelLog();
    for (const batch of log.batches.slice(0, batches)) copy.append(batch);
    copy.writtenOffset = copy.endOffset;
    return copy;
  }

  test("KIP-101, scenario 1: a follower that restarts before it knew the high watermark loses nothing that it has", async () => {
    const leader = logOf([0, 1], [0, 1]);
    const log = copyOf(leader, 2);
    log.setHighWatermark(1);
    expect(await catchUp(new Bench(), new ModelReplica("t", 0, log), { log: leader, epoch: 0 })).toEqual(["truncate 2"]);
  });

  test("KIP-101, scenario 2: a log that went another way from the same offset on is cut there", async () => {
    const leader = logOf([0, 1], [1, 1]);
    const log = copyOf(leader, 1);
    log.append({ offset: 1, count: 1, epoch: 0, id: ids++ });
    expect(await catchUp(new Bench(), new ModelReplica("t", 0, log), { log: leader, epoch: 1 })).toEqual(["truncate 1"]);
  });

  test("KIP-279: epochs that the two logs do not share are passed one by one, and no record of them stays", async () => {
    // Two brokers led in turn without the other: the logs have the first two batches in common.
    const leader = logOf([0, 2], [1, 2], [4, 3], [6, 2]);
    const log = copyOf(leader, 2);
    for (const epoch of [3, 5]) log.append({ offset: log.endOffset, count: 2, epoch, id: ids++ });
    log.setHighWatermark(8);
    expect(await catchUp(new Bench(), new ModelReplica("t", 0, log), { log: leader, epoch: 6 })).toEqual(["truncate 6", "truncate 4"]);
  });

  test("an old leader that comes back longer, after an unclean election, ends with the new leader's log", async () => {
    const leader = logOf([0, 2], [2, 1]);
    const log = copyOf(leader, 1);
    for (let index = 0; index < 3; index++) log.append({ offset: log.endOffset, count: 2, epoch: 0, id: ids++ });
    log.setHighWatermark(8);
    await catchUp(new Bench(), new ModelReplica("t", 0, log), { log: leader, epoch: 2 });
    expect(log.highWatermark).toBeLessThanOrEqual(3);
  });

  test("a log that ends before its leader's starts begins there", async () => {
    const leader = logOf([0, 5], [0, 5], [0, 5]);
    leader.setHighWatermark(15);
    leader.setStart(10);
    expect(await catchUp(new Bench(), new ModelReplica("t", 0, logOf([0, 5])), { log: leader, epoch: 0 })).toEqual(["truncate 5", "restart 10"]);
  });
});

describe("a fetch", () => {
  test("says what a replica of 2.7.1 says", async () => {
    const bench = new Bench();
    const log = logOf([3, 4]);
    log.setHighWatermark(4);
    log.setStart(2);
    bench.follow(new ModelReplica("t", 1, log), 7);
    bench.epochs("t-1", { leaderEpoch: 3, endOffset: 4 });
    await bench.local();
    const { request } = bench.step("fetch");
    expect(request).toEqual({
      replicaId: 2,
      maxWaitMs: 500,
      minBytes: 1,
      maxBytes: 1000,
      isolationLevel: 0,
      sessionId: 0,
      sessionEpoch: 0,
      topics: [{ topic: "t", partitions: [{ partition: 1, currentLeaderEpoch: 7, fetchOffset: 4, lastFetchedEpoch: -1, logStartOffset: 2, partitionMaxBytes: 100 }] }],
      forgottenTopicsData: [],
      rackId: "",
    });
  });

  test("goes on where the log ends, and names what moved, the last to be served at the end", async () => {
    const bench = new Bench();
    const [a, b, c] = [new ModelReplica("t", 0), new ModelReplica("u", 0), new ModelReplica("t", 1)];
    await bench.fetching(a, b, c);
    bench.step("fetch");
    bench.fetched({ "t-0": { batches: [{ offset: 0, count: 3, epoch: 0, id: 1 }], highWatermark: 2 } });
    expect([a.log.endOffset, a.log.highWatermark]).toEqual([3, 2]);
    const incremental = bench.step("fetch");
    expect([incremental.request.sessionEpoch, namesIn(incremental)]).toEqual([2, ["t-0@3"]]);
    bench.core.unreachable(bench.nowMs);
    bench.nowMs += 50;
    const full = bench.step("fetch");
    expect([full.request.sessionId, full.request.sessionEpoch, namesIn(full)]).toEqual([9, 0, ["u-0@0", "t-1@0", "t-0@3"]]);
  });

  test("brings a high watermark and a start without records too", async () => {
    const bench = new Bench();
    const replica = new ModelReplica("t", 0);
    await bench.fetching(replica);
    bench.step("fetch");
    bench.fetched({ "t-0": { batches: [{ offset: 0, count: 3, epoch: 0, id: 1 }] } });
    for (const [records, highWatermark, logStartOffset] of [[[], 2, 1], [null, 3, 2]] as const) {
      bench.step("fetch");
      expect(bench.fetched({ "t-0": { records: records as Buffer[] | null, highWatermark, logStartOffset } })).toEqual(["t-0"]);
      expect([replica.log.highWatermark, replica.log.startOffset]).toEqual([highWatermark, logStartOffset]);
    }
    // The start is the log's own, and the session hears of it.
    const step = bench.step("fetch");
    expect(step.request.topics[0]?.partitions).toMatchObject([{ fetchOffset: 3, logStartOffset: 2 }]);
  });

  test("tells the leader where the own log starts when retention moves that", async () => {
    const bench = new Bench();
    const replica = new ModelReplica("t", 0, logOf([0, 2], [0, 2]));
    replica.log.setHighWatermark(4);
    bench.follow(replica);
    bench.epochs("t-0", { leaderEpoch: 0, endOffset: 4 });
    await bench.local();
    bench.step("fetch");
    bench.fetched({ "t-0": { highWatermark: 4 } });
    bench.step("fetch");
    replica.moveStart(2);
    bench.fetched({});
    expect(bench.step("fetch").request.topics[0]?.partitions).toMatchObject([{ fetchOffset: 4, logStartOffset: 2 }]);
  });

  const delaying = [
    [ErrorCode.UNKNOWN_LEADER_EPOCH, 10],
    [ErrorCode.NOT_LEADER_OR_FOLLOWER, 10],
    [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, 10],
    [ErrorCode.KAFKA_STORAGE_ERROR, 50],
    [ErrorCode.CORRUPT_MESSAGE, 50],
    [ErrorCode.UNKNOWN_SERVER_ERROR, 50],
  ] as const;
  test.each(delaying.map(([code, pauseMs]) => [errorName(code), code, pauseMs] as const))("answered %s: the partition leaves the session, and comes back when the pause is over, for which no fetch of the others waits", async (_name, errorCode, pauseMs) => {
    const bench = new Bench();
    await bench.fetching(new ModelReplica("t", 0), new ModelReplica("t", 1));
    bench.step("fetch");
    bench.fetched({ "t-0": { errorCode } });
    const without = bench.step("fetch");
    expect([namesIn(without), forgottenIn(without), without.request.maxWaitMs]).toEqual([[], ["t-0"], pauseMs]);
    bench.nowMs += pauseMs - 1;
    bench.fetched({});
    expect(namesIn(bench.step("fetch"))).toEqual([]);
    bench.nowMs += 1;
    bench.fetched({});
    expect(namesIn(bench.step("fetch"))).toEqual(["t-0@0"]);
  });

  test("answered FENCED_LEADER_EPOCH: the partition is given up until it is followed in another epoch", async () => {
    const bench = new Bench();
    const replica = new ModelReplica("t", 0);
    await bench.fetching(replica);
    bench.step("fetch");
    bench.fetched({ "t-0": { errorCode: ErrorCode.FENCED_LEADER_EPOCH } });
    expect([bench.core.size, bench.said()]).toEqual([0, ["fenced by its leader"]]);
    expect(forgottenIn(bench.step("fetch"))).toEqual(["t-0"]);
    bench.fetched({}, { sessionId: 0 });
    bench.nowMs += 10_000;
    expect(bench.step("idle").untilMs).toBe(Infinity);
    bench.follow(replica, 1);
    bench.step("truncate");
  });

  test("that brings damaged records is repeated after the backoff", async () => {
    const bench = new Bench();
    const replica = new ModelReplica("t", 0);
    await bench.fetching(replica);
    bench.step("fetch");
    replica.refusal = ErrorCode.CORRUPT_MESSAGE;
    bench.fetched({ "t-0": { batches: [{ offset: 0, count: 1, epoch: 0, id: 1 }] } });
    expect([bench.core.size, bench.said()]).toEqual([1, ["the leader sent damaged records"]]);
    expect(forgottenIn(bench.step("fetch"))).toEqual(["t-0"]);
    bench.fetched({}, { sessionId: 0 });
    expect(bench.step("idle").untilMs).toBe(bench.nowMs + 50);
    bench.nowMs += 50;
    expect(namesIn(bench.step("fetch"))).toEqual(["t-0@0"]);
  });

  test("whose records the log refuses for any other reason, or can't write, takes the partition out", async () => {
    for (const refusal of [ErrorCode.KAFKA_STORAGE_ERROR, ErrorCode.UNKNOWN_SERVER_ERROR, undefined]) {
      const bench = new Bench();
      const replica = new ModelReplica("t", 0);
      await bench.fetching(replica);
      bench.step("fetch");
      replica.refusal = refusal;
      const [first] = bench.core.fetched(fetchOf({ "t-0": { batches: [{ offset: 0, count: 1, epoch: 0, id: 1 }] } }, { sessionId: 9 }), bench.nowMs);
      const { followed, data } = must(first, "data");
      const outcome = replica.appendAsFollower(0, data, () => undefined);
      bench.core.appended(followed, refusal === undefined ? "failed" : (outcome as never), bench.nowMs);
      expect([bench.core.size, bench.said()]).toEqual([0, ["partition failed"]]);
    }
  });

  test("that is not answered pauses all for the backoff, which is 10 ms at least", async () => {
    for (const [backoffMs, pauseMs] of [[50, 50], [0, 10]] as const) {
      const bench = new Bench(backoffMs);
      await bench.fetching(new ModelReplica("t", 0));
      bench.step("fetch");
      bench.follow(new ModelReplica("t", 1, logOf([0, 1])));
      bench.follow(new ModelReplica("t", 2));
      bench.core.unreachable(bench.nowMs);
      // What needs no leader goes on.
      await bench.local();
      expect(bench.step("idle").untilMs).toBe(bench.nowMs + pauseMs);
      bench.nowMs += pauseMs;
      bench.epochs("t-1", undefined);
      const { request } = bench.step("fetch");
      expect([request.sessionId, request.sessionEpoch]).toEqual([9, 0]);
    }
  });

  test("that is not answered pauses all no longer than until the controller tells of the leader again", async () => {
    const bench = new Bench();
    await bench.fetching(new ModelReplica("t", 0));
    bench.step("fetch");
    bench.core.unreachable(bench.nowMs);
    bench.step("idle");
    bench.follow(new ModelReplica("t", 1, logOf([0, 1])));
    bench.step("epochs");
  });

  test("answered with what can't be used is repeated at once, but for every third time", async () => {
    const bench = new Bench();
    await bench.fetching(new ModelReplica("t", 0));
    for (let round = 0; round < 2; round++) {
      for (let time = 1; time <= 3; time++) {
        bench.step("fetch");
        expect(bench.fetched({}, { errorCode: ErrorCode.FETCH_SESSION_ID_NOT_FOUND, sessionId: 0 })).toEqual([]);
      }
      expect(bench.step("idle").untilMs).toBe(bench.nowMs + 50);
      bench.nowMs += 50;
    }
    for (let time = 0; time < 10; time++) {
      bench.step("fetch");
      bench.fetched({}, { errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH });
      bench.step("fetch");
      bench.fetched({ "t-0": {} });
    }
    expect(bench.said().every((message) => message === "fetch session refused")).toBe(true);
  });
});

describe("out of range", () => {
  async function outOfRange(log: ModelLog): Promise<{ bench: Bench; replica: ModelReplica }> {
    const bench = new Bench();
    const replica = bench.follow(new ModelReplica("t", 0, log), 4);
    bench.epochs("t-0", { leaderEpoch: log.latestEpoch ?? 0, endOffset: log.endOffset });
    await bench.local();
    bench.step("fetch");
    bench.fetched({ "t-0": { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE } });
    replica.calls.length = 0;
    return { bench, replica };
  }

  /** In the session as it was: neither named nor forgotten. */
  function repeated(bench: Bench): [string[], string[]] {
    const step = bench.step("fetch");
    return [namesIn(step), forgottenIn(step)];
  }

  test("the leader ends before: the log is cut there, and the start is not asked for", async () => {
    const { bench, replica } = await outOfRange(logOf([0, 2], [0, 2]));
    expect(bench.said()).toEqual(["fetch offset out of range"]);
    const { request } = bench.offsets("t-0", { offset: 2 });
    expect(request).toEqual({ replicaId: 2, isolationLevel: 0, topics: [{ name: "t", partitions: [{ partitionIndex: 0, currentLeaderEpoch: 4, timestamp: -1 }] }] });
    await bench.local();
    expect(replica.calls).toEqual(["truncate 2"]);
    expect(namesIn(bench.step("fetch"))).toEqual(["t-0@2"]);
  });

  test("the leader ends where the log does: nothing is cut, the start is asked for, and the fetch repeated", async () => {
    const { bench, replica } = await outOfRange(logOf([0, 2], [0, 2]));
    bench.offsets("t-0", { offset: 4 });
    expect(bench.offsets("t-0", { offset: 4 }).request.topics[0]?.partitions[0]?.timestamp).toBe(-2);
    expect([...repeated(bench), replica.calls]).toEqual([[], [], []]);
  });

  test("the leader starts behind the log's end: the log starts anew there", async () => {
    const { bench, replica } = await outOfRange(logOf([0, 2], [0, 2]));
    bench.offsets("t-0", { offset: 40 });
    bench.offsets("t-0", { offset: 30 });
    await bench.local();
    expect([replica.calls, replica.log.startOffset]).toEqual([["restart 30"], 30]);
    expect(namesIn(bench.step("fetch"))).toEqual(["t-0@30"]);
  });

  test("a log that can't start anew takes the partition out, and one that was unfollowed meanwhile is left alone", async () => {
    const { bench } = await outOfRange(logOf([0, 2]));
    bench.offsets("t-0", { offset: 40 });
    bench.offsets("t-0", { offset: 30 });
    const { followed } = bench.step("restart");
    bench.said();
    bench.core.restarted(followed, "failed");
    expect([bench.core.size, bench.said()]).toEqual([0, ["partition failed"]]);

    const { bench: other } = await outOfRange(logOf([0, 2]));
    other.offsets("t-0", { offset: 40 });
    other.offsets("t-0", { offset: 30 });
    other.core.unfollow("t-0");
    expect(forgottenIn(other.step("fetch"))).toEqual(["t-0"]);
  });

  test("the leader has meanwhile what was asked for: the fetch is repeated", async () => {
    const { bench, replica } = await outOfRange(logOf([0, 2], [0, 2]));
    bench.offsets("t-0", { offset: 40 });
    bench.offsets("t-0", { offset: 1 });
    expect([...repeated(bench), replica.calls]).toEqual([[], [], []]);
  });

  test("errors delay, FENCED_LEADER_EPOCH gives up", async () => {
    const { bench } = await outOfRange(logOf([0, 2]));
    for (const [answer, pauseMs] of [[{ errorCode: ErrorCode.NOT_LEADER_OR_FOLLOWER }, 10], [{ errorCode: ErrorCode.UNKNOWN_SERVER_ERROR }, 50], [undefined, 50]] as const) {
      bench.offsets("t-0", answer);
      if (answer?.errorCode === ErrorCode.NOT_LEADER_OR_FOLLOWER) {
        expect(forgottenIn(bench.step("fetch"))).toEqual(["t-0"]);
        bench.fetched({}, { sessionId: 0 });
      }
      expect(bench.step("idle").untilMs).toBe(bench.nowMs + pauseMs);
      bench.nowMs += pauseMs;
    }
    bench.offsets("t-0", { errorCode: ErrorCode.FENCED_LEADER_EPOCH });
    expect(bench.core.size).toBe(0);
  });

  test("one request asks for all, each for what it needs", async () => {
    const bench = new Bench();
    await bench.fetching(new ModelReplica("t", 0), new ModelReplica("t", 1));
    bench.step("fetch");
    bench.fetched({ "t-0": { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE } });
    bench.offsets("t-0", { offset: 0 });
    bench.offsets("t-0", undefined);
    bench.step("fetch");
    bench.nowMs += 50;
    bench.fetched({ "t-1": { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE } });
    const asked = bench.step("offsets").request.topics[0]?.partitions.map(({ partitionIndex, timestamp }) => `${partitionIndex}: ${timestamp}`);
    expect(asked?.toSorted()).toEqual(["0: -2", "1: -1"]);
  });
});

describe("assignments", () => {
  test("followed again in the same epoch: nothing happens", async () => {
    const bench = new Bench();
    const replica = new ModelReplica("t", 0);
    await bench.fetching(replica);
    bench.follow(replica);
    expect([namesIn(bench.step("fetch")), bench.core.size, replica.watchers]).toEqual([[], 1, 1]);
    expect(replica.calls.filter((call) => call.startsWith("truncate")).length).toBe(1);
  });

  test("followed in another epoch: truncated again, from the high watermark of now", async () => {
    const bench = new Bench();
    const replica = new ModelReplica("t", 0);
    await bench.fetching(replica);
    bench.step("fetch");
    bench.fetched({ "t-0": { batches: [{ offset: 0, count: 4, epoch: 0, id: 1 }], highWatermark: 4 } });
    bench.follow(replica, 5);
    bench.epochs("t-0", { leaderEpoch: -1, endOffset: -1 });
    await bench.local();
    expect([replica.calls.at(-1), replica.watchers]).toEqual(["truncate 4", 1]);
    expect(bench.step("fetch").request.topics[0]?.partitions).toMatchObject([{ currentLeaderEpoch: 5, fetchOffset: 4 }]);
  });

  test("an answer to the assignment before counts for nothing, though it names the same offset", async () => {
    const bench = new Bench();
    const replica = new ModelReplica("t", 0);
    await bench.fetching(replica);
    bench.step("fetch");
    bench.core.unfollow("t-0");
    bench.follow(replica, 1);
    // The new assignment fetches from the same offset already.
    const { truncations } = { truncations: [{ followed: followedOf(bench), offset: 0, complete: true, endOffset: 0 }] };
    for (const truncation of truncations) bench.core.truncated(truncation, "done");
    expect(bench.fetched({ "t-0": { batches: [{ offset: 0, count: 1, epoch: 0, id: 1 }] } })).toEqual([]);
    expect(bench.fetched({ "t-0": { errorCode: ErrorCode.FENCED_LEADER_EPOCH } })).toEqual([]);
    expect([bench.core.size, replica.log.endOffset]).toEqual([1, 0]);
    expect(bench.step("fetch").request.topics[0]?.partitions).toMatchObject([{ currentLeaderEpoch: 1, fetchOffset: 0 }]);

    function followedOf(on: Bench): Followed {
      return must(on.step("truncate").truncations[0], "a truncation").followed;
    }
  });

  test("answers about epochs and offsets, and work that ends, count for nothing after an unfollow", async () => {
    const bench = new Bench();
    const replica = bench.follow(new ModelReplica("t", 0, logOf([0, 2])), 1);
    const epochs = bench.step("epochs");
    bench.core.unfollow("t-0");
    bench.core.epochsAnswered(epochs.asked, epochsOf("t-0", { leaderEpoch: 0, endOffset: 1 }), bench.nowMs);
    expect([bench.step("idle").untilMs, replica.calls, replica.watchers]).toEqual([Infinity, [], 0]);

    bench.follow(replica, 2);
    bench.epochs("t-0", { leaderEpoch: 0, endOffset: 2 });
    const truncation = must(bench.step("truncate").truncations[0], "a truncation");
    bench.core.unfollow("t-0");
    bench.core.truncated(truncation, "done");
    bench.core.truncated(truncation, "failed");
    bench.core.restarted(truncation.followed, "done");
    bench.core.appended(truncation.followed, { kind: "appended" }, bench.nowMs);
    expect([bench.step("idle").untilMs, bench.said()]).toEqual([Infinity, []]);
  });

  test("an answer about epochs or offsets that fences the assignment before leaves the new one alone", async () => {
    const bench = new Bench();
    const replica = bench.follow(new ModelReplica("t", 0, logOf([0, 2])), 1);
    const epochs = bench.step("epochs");
    bench.follow(replica, 2);
    bench.core.epochsAnswered(epochs.asked, epochsOf("t-0", { errorCode: ErrorCode.FENCED_LEADER_EPOCH }), bench.nowMs);
    bench.epochs("t-0", { leaderEpoch: 0, endOffset: 2 });
    await bench.local();
    bench.step("fetch");
    bench.fetched({ "t-0": { errorCode: ErrorCode.OFFSET_OUT_OF_RANGE } });
    const offsets = bench.step("offsets");
    bench.follow(replica, 3);
    bench.core.offsetsAnswered(offsets.asked, offsetsOf("t-0", { errorCode: ErrorCode.FENCED_LEADER_EPOCH }), bench.nowMs);
    expect(bench.step("epochs").request.topics[0]?.partitions).toMatchObject([{ currentLeaderEpoch: 3 }]);
  });

  test("work that was decided but not begun is dropped with an unfollow", () => {
    const bench = new Bench();
    bench.follow(new ModelReplica("t", 0, logOf([0, 2])), 1);
    bench.epochs("t-0", { leaderEpoch: 0, endOffset: 1 });
    bench.core.unfollow("t-0");
    bench.step("idle");
  });

  test("what is unfollowed is forgotten by the session, in a request of its own if need be", async () => {
    const bench = new Bench();
    await bench.fetching(new ModelReplica("t", 0), new ModelReplica("u", 4));
    bench.step("fetch");
    bench.core.unfollowAll();
    bench.fetched({});
    const step = bench.step("fetch");
    expect([namesIn(step), forgottenIn(step)]).toEqual([[], ["t-0", "u-4"]]);
    bench.fetched({}, { sessionId: 0 });
    expect(bench.step("idle").untilMs).toBe(Infinity);
  });

  test("a partition that has to truncate is not fetched meanwhile, the others are", async () => {
    const bench = new Bench();
    await bench.fetching(new ModelReplica("t", 0));
    const truncating = bench.follow(new ModelReplica("t", 1, logOf([0, 1])), 3);
    bench.epochs("t-1", { errorCode: ErrorCode.UNKNOWN_LEADER_EPOCH });
    // Nor because its own log's start moves.
    truncating.moveStart(0);
    expect(namesIn(bench.step("fetch"))).toEqual([]);
    bench.fetched({});
    bench.nowMs += 50;
    bench.epochs("t-1", { leaderEpoch: 0, endOffset: 1 });
    await bench.local();
    expect(namesIn(bench.step("fetch"))).toEqual(["t-1@1"]);
  });
});
