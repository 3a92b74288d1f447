import { describe, expect, test, vi } from "vitest";
import { offsetsIn, testBatch } from "../log/testing.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import type { Fetched } from "./fetch.ts";
import { epochAfter, FollowerSessions, type FollowerFetch, type FollowerFetched, type FollowerPartition } from "./follower-sessions.ts";
import { Partition } from "./partition.ts";
import { append, LAG_MS, Outcome, PartitionBench } from "./testing/partition-bench.ts";

const BATCH_BYTES = testBatch().length;
const BIG = 1e6;

/** What is asked of one partition: its offset, in epoch 0 unless told otherwise. */
type Asked = Partial<Omit<FollowerPartition, "topic" | "partition">>;
type Request = Partial<Omit<FollowerFetch, "partitions" | "forgotten">>;

function split(name: string): { topic: string; partition: number } {
  const at = name.lastIndexOf("-");
  return { topic: name.slice(0, at), partition: Number(name.slice(at + 1)) };
}

/** The offsets of what was read, or the error; HW and start behind it. */
function told({ error, chunks, highWatermark, logStartOffset, diverging }: Fetched): string {
  if (error !== ErrorCode.NONE) return `error ${error}`;
  if (diverging !== undefined) return `diverges ${diverging.epoch} ${diverging.endOffset}`;
  const offsets = offsetsIn(Buffer.concat(chunks)).map(([first]) => first);
  return `[${offsets.join(" ")}] hw ${highWatermark} from ${logStartOffset}`;
}

class Bench extends PartitionBench {
  readonly sessions: FollowerSessions;
  finds = 0;

  constructor({ slots = 10, tailBytesMax = 1e6 } = {}) {
    super({ tailBytesMax });
    const { random, clock, timers } = this.node.host;
    const find = (topic: string, partition: number): Partition | ErrorCode => {
      this.finds++;
      return this.partitions.get(`${topic}-${partition}`) ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION;
    };
    this.sessions = new FollowerSessions({ slots, random, clock, timers, find });
  }

  /** Begins a fetch of broker 2, without a session unless told otherwise. */
  start(partitions: Readonly<Record<string, Asked>>, request: Request = {}, forgotten: readonly string[] = []): Promise<FollowerFetched> {
    const asked = Object.entries(partitions).map(([name, one]) => ({ ...split(name), currentLeaderEpoch: 0, fetchOffset: 0, lastFetchedEpoch: -1, logStartOffset: 0, maxBytes: BIG, ...one }));
    return this.sessions.fetch({
      replicaId: 2,
      clientId: "broker-2-fetcher-0",
      sessionId: 0,
      sessionEpoch: -1,
      minBytes: 1,
      maxBytes: BIG,
      maxWaitMs: 0,
      partitions: asked,
      forgotten: forgotten.map(split),
      ...request,
    });
  }

  async fetch(...args: Parameters<Bench["start"]>): Promise<{ error: ErrorCode; id: number; told: Record<string, string> }> {
    return Bench.read(await this.settle(this.start(...args)));
  }

  static read({ errorCode, sessionId, partitions }: FollowerFetched): { error: ErrorCode; id: number; told: Record<string, string> } {
    return { error: errorCode, id: sessionId, told: Object.fromEntries(partitions.map(({ topic, partition, fetched }) => [`${topic}-${partition}`, told(fetched)])) };
  }

  /** A session of these partitions, at epoch 1. */
  async session(partitions: Readonly<Record<string, Asked>>, request: Request = {}): Promise<FollowerSession> {
    const { id } = await this.fetch(partitions, { ...request, sessionEpoch: 0 });
    return new FollowerSession(this, id, request);
  }
}

/** A follower that goes on in its session. */
class FollowerSession {
  readonly id: number;
  readonly #bench: Bench;
  readonly #request: Request;
  #epoch = 1;

  constructor(bench: Bench, id: number, request: Request) {
    this.#bench = bench;
    this.id = id;
    this.#request = request;
  }

  start(partitions: Readonly<Record<string, Asked>> = {}, request: Request = {}, forgotten: readonly string[] = []): Promise<FollowerFetched> {
    return this.#bench.start(partitions, { sessionId: this.id, sessionEpoch: this.#epoch++, ...this.#request, ...request }, forgotten);
  }

  async fetch(...args: Parameters<FollowerSession["start"]>): Promise<Record<string, string>> {
    const { error, told: answer } = Bench.read(await this.#bench.settle(this.start(...args)));
    expect(error).toBe(ErrorCode.NONE);
    return answer;
  }
}

describe("sessions", () => {
  test("the first answer holds all that was asked for, later ones what is new", async () => {
    const bench = new Bench();
    const [t, u] = [bench.led(), bench.led({}, "u")];
    append(t);
    const first = await bench.fetch({ "t-0": {}, "u-0": {} }, { sessionEpoch: 0 });
    expect([first.error, first.told]).toEqual([ErrorCode.NONE, { "u-0": "[] hw 0 from 0", "t-0": "[0] hw 1 from 0" }]);
    expect(first.id).toBeGreaterThan(0);
    const session = new FollowerSession(bench, first.id, {});
    expect(await session.fetch({ "t-0": { fetchOffset: 1 } })).toEqual({});
    append(u);
    expect(await session.fetch()).toEqual({ "u-0": "[0] hw 0 from 0" });
    expect(await session.fetch({ "u-0": { fetchOffset: 1 } })).toEqual({ "u-0": "[] hw 1 from 0" });
    expect(await session.fetch()).toEqual({});
  });

  test("without a session every answer holds all, and nothing is remembered", async () => {
    const bench = new Bench();
    const t = bench.led();
    for (const sessionEpoch of [-1, 0]) {
      const answer = await bench.fetch({ "t-0": {} }, { sessionEpoch });
      expect(answer.told).toEqual({ "t-0": "[] hw 0 from 0" });
      expect(answer.id > 0).toBe(sessionEpoch === 0);
    }
    expect(bench.sessions.size).toBe(1);
    await bench.fetch({ "t-0": {} });
    expect(bench.sessions.size).toBe(0);
    let watching = 0;
    vi.spyOn(t, "watch").mockImplementation(() => {
      watching++;
      return () => watching--;
    });
    const waiting = bench.start({ "t-0": {} }, { maxWaitMs: 100 });
    expect(watching).toBe(1);
    await bench.settle(waiting);
    expect(watching).toBe(0);
  });

  test("an unknown session, one of somebody else's, and a wrong epoch are refused", async () => {
    const bench = new Bench();
    bench.led();
    const { id } = await bench.session({ "t-0": {} });
    const refused: [Request, ErrorCode][] = [
      [{ sessionId: id + 1, sessionEpoch: 1 }, ErrorCode.FETCH_SESSION_ID_NOT_FOUND],
      [{ sessionId: id, sessionEpoch: 2 }, ErrorCode.INVALID_FETCH_SESSION_EPOCH],
      [{ sessionId: id, sessionEpoch: 1, clientId: "broker-2-fetcher-1" }, ErrorCode.FETCH_SESSION_ID_NOT_FOUND],
      [{ sessionId: id, sessionEpoch: 1, replicaId: 3 }, ErrorCode.FETCH_SESSION_ID_NOT_FOUND],
    ];
    for (const [request, error] of refused) expect(await bench.fetch({ "t-0": {} }, request)).toEqual({ error, id: 0, told: {} });
    expect((await bench.fetch({}, { sessionId: id, sessionEpoch: 1 })).error).toBe(ErrorCode.NONE);
    expect((await bench.fetch({}, { sessionId: id, sessionEpoch: 1 })).error).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH);
  });

  test("after the greatest epoch comes 1", () => {
    expect([1, 0x7fff_fffe, 0x7fff_ffff].map(epochAfter)).toEqual([2, 0x7fff_ffff, 1]);
  });

  test("a follower has one session for each of its fetchers", async () => {
    const bench = new Bench();
    bench.led();
    const first = await bench.session({ "t-0": {} });
    await bench.session({ "t-0": {} }, { clientId: "broker-2-fetcher-1" });
    await bench.session({ "t-0": {} }, { replicaId: 3, clientId: "broker-3-fetcher-0" });
    expect(bench.sessions.size).toBe(3);
    await bench.session({ "t-0": {} });
    expect(bench.sessions.size).toBe(3);
    expect((await bench.fetch({}, { sessionId: first.id, sessionEpoch: 1 })).error).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND);
  });

  test("one that is left without partitions is gone, and so is one that the follower closes", async () => {
    const bench = new Bench();
    bench.led();
    const session = await bench.session({ "t-0": {} });
    expect(Bench.read(await session.start({}, {}, ["t-0", "x-1"]))).toEqual({ error: ErrorCode.NONE, id: 0, told: {} });
    expect(bench.sessions.size).toBe(0);
    const { id } = await bench.session({ "t-0": {} });
    await bench.fetch({}, { sessionId: id, sessionEpoch: -1 });
    expect(bench.sessions.size).toBe(0);
  });

  test("where the table is full the least recently used one goes, but none that is being answered", async () => {
    const bench = new Bench({ slots: 2 });
    bench.led();
    const of = (broker: number): Request => ({ replicaId: broker, clientId: `broker-${broker}` });
    const second = await bench.session({ "t-0": {} }, of(2));
    const third = await bench.session({ "t-0": {} }, of(3));
    await second.fetch();
    const fourth = await bench.session({ "t-0": {} }, of(4));
    expect([fourth.id > 0, bench.sessions.size]).toEqual([true, 2]);
    expect(Bench.read(await third.start()).error).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND);
    const waiting = [second, fourth].map((session) => Outcome.of(session.start({}, { maxWaitMs: 500 })));
    const without = await bench.fetch({ "t-0": {} }, { ...of(3), sessionEpoch: 0, maxWaitMs: 100 });
    expect([without.id, without.told, bench.sessions.size]).toEqual([0, { "t-0": "[] hw 0 from 0" }, 2]);
    expect(waiting.map(({ value }) => value)).toEqual(["waiting", "waiting"]);
    await bench.run(1000);
    expect(waiting.map(({ value }) => value !== "waiting" && value.errorCode)).toEqual([ErrorCode.NONE, ErrorCode.NONE]);
  });

  test("without slots there are none", async () => {
    const bench = new Bench({ slots: 0 });
    bench.led();
    expect((await bench.fetch({ "t-0": {} }, { sessionEpoch: 0 })).id).toBe(0);
  });

  test("a wait ends at once when its follower begins another session, or everything is closed; a second request in it is refused", async () => {
    const bench = new Bench();
    bench.led();
    const session = await bench.session({ "t-0": {} });
    const old = Outcome.of(session.start({}, { maxWaitMs: 10_000 }));
    await bench.run(10);
    expect(Bench.read(await session.start()).error).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH);
    const renewed = await bench.session({ "t-0": {} });
    await bench.run(0);
    expect(old.value).toMatchObject({ errorCode: ErrorCode.INVALID_FETCH_SESSION_EPOCH, partitions: [] });
    const waits = [renewed.start({}, { maxWaitMs: 10_000 }), bench.start({ "t-0": {} }, { replicaId: 3, maxWaitMs: 10_000 })].map((promise) => Outcome.of(promise));
    await bench.run(10);
    bench.sessions.close();
    await bench.run(0);
    expect(waits.map(({ value }) => value !== "waiting")).toEqual([true, true]);
    expect(bench.sessions.size).toBe(0);
  });
});

describe("what a fetch costs", () => {
  test("of 1000 partitions only those are looked at that are named or have changed", async () => {
    const bench = new Bench();
    const names = Array.from({ length: 1000 }, (_, index) => `t-${index}`);
    const partitions = names.map((_, index) => bench.led({ isr: [1, 2] }, "t", index));
    const session = await bench.session(Object.fromEntries(names.map((name) => [name, {}])));
    const checks = vi.spyOn(Partition.prototype, "check");
    const fetches = vi.spyOn(Partition.prototype, "fetchedBy");
    try {
      bench.finds = 0;
      expect(await session.fetch()).toEqual({});
      expect([bench.finds, checks.mock.calls.length, fetches.mock.calls.length]).toEqual([0, 0, 0]);
      const [changed] = partitions;
      if (changed !== undefined) append(changed);
      expect(Object.keys(await session.fetch({ "t-500": {} }))).toEqual(["t-0"]);
      expect([bench.finds, checks.mock.calls.length, fetches.mock.calls.length]).toEqual([0, 4, 2]);
      await session.fetch({ "t-0": { fetchOffset: 1 } });
      const waiting = session.start({}, { maxWaitMs: 10_000 });
      if (changed !== undefined) append(changed);
      await bench.settle(waiting);
      expect(checks.mock.calls.length).toBeLessThan(10);
    } finally {
      vi.restoreAllMocks();
    }
  });

  test("what changes in one turn is looked at once", async () => {
    const bench = new Bench();
    const t = bench.led();
    const session = await bench.session({ "t-0": {} });
    const waiting = session.start({}, { maxWaitMs: 10_000, minBytes: BIG });
    await bench.run(10);
    const checks = vi.spyOn(Partition.prototype, "check");
    try {
      for (let count = 0; count < 50; count++) append(t);
      await bench.run(10);
      expect(checks.mock.calls.length).toBe(1);
    } finally {
      vi.restoreAllMocks();
    }
    await bench.settle(waiting);
  });
});

describe("an acknowledgement", () => {
  test("comes in the turn of the fetch, though the answer waits for a file", async () => {
    const bench = new Bench({ tailBytesMax: 0 });
    const t = bench.led({ isr: [1, 2] });
    for (let count = 0; count < 3; count++) append(t);
    const answer = Outcome.of(bench.start({ "t-0": { fetchOffset: 2 } }));
    expect(t.log.highWatermark).toBe(2);
    expect(answer.value).toBe("waiting");
    await bench.run(1000);
    expect(answer.value).toMatchObject({ partitions: [{ fetched: { highWatermark: 2 } }] });
  });

  test("is not made once more when the wait ends", async () => {
    const bench = new Bench();
    const t = bench.led();
    append(t);
    const session = await bench.session({ "t-0": { fetchOffset: 1 } });
    const fetches = vi.spyOn(Partition.prototype, "fetchedBy");
    try {
      const waiting = session.start({ "t-0": { fetchOffset: 1 } }, { maxWaitMs: 1000 });
      expect(fetches).toHaveBeenCalledTimes(1);
      await bench.run(10);
      append(t);
      await bench.settle(waiting);
      expect(fetches).toHaveBeenCalledTimes(1);
    } finally {
      vi.restoreAllMocks();
    }
  });

  test("keeps a follower of a quiet partition in sync, as long as its session fetches, and not when it has forgotten it", async () => {
    const bench = new Bench();
    const [t, u] = [bench.led({ isr: [1, 2] }), bench.led({ isr: [1, 2] }, "u")];
    const session = await bench.session({ "t-0": {}, "u-0": {} });
    await bench.run(5 * LAG_MS);
    await session.fetch({}, {}, ["u-0"]);
    await bench.run(LAG_MS - 1000);
    await session.fetch();
    await bench.run(2000);
    for (const partition of [t, u]) {
      append(partition);
      partition.maybeShrink();
    }
    expect(bench.proposed.has(t)).toBe(false);
    expect(bench.proposed.get(u)).toMatchObject({ isr: [1] });
  });

  test("ends with the session: one that is dropped keeps nobody in sync", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2] });
    const session = await bench.session({ "t-0": {} });
    await bench.fetch({}, { sessionId: session.id });
    await bench.run(LAG_MS + 1);
    append(t);
    t.maybeShrink();
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1] });
  });

  test("ends with an error, though the session goes on", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2] });
    const session = await bench.session({ "t-0": {} });
    expect(await session.fetch({ "t-0": { fetchOffset: 5 } })).toEqual({ "t-0": "error 1" });
    for (let ms = 0; ms < 2 * LAG_MS; ms += 1000) {
      await bench.run(1000);
      await session.fetch();
    }
    append(t);
    t.maybeShrink();
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1] });
  });

  test("counts from the fetch before, where records came in between", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2] });
    const session = await bench.session({ "t-0": {} });
    await bench.run(LAG_MS);
    await session.fetch();
    await bench.run(LAG_MS - 10);
    append(t);
    await session.fetch();
    t.maybeShrink();
    expect(bench.proposed.size).toBe(0);
    await bench.run(20);
    t.maybeShrink();
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1] });
  });

  test("takes a follower into the ISR, and settles what waits for it", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2] });
    const settled: ErrorCode[] = [];
    t.acknowledge(append(t), (error) => settled.push(error));
    const session = await bench.session({ "t-0": {} });
    const third = await bench.session({ "t-0": {} }, { replicaId: 3, clientId: "broker-3" });
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1, 2, 3] });
    await session.fetch({ "t-0": { fetchOffset: 1 } });
    expect(settled).toEqual([]);
    await third.fetch({ "t-0": { fetchOffset: 1 } });
    expect(settled).toEqual([ErrorCode.NONE]);
  });

  test("takes a follower back that fetched while it was being left out, though it has nothing more to say", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2, 3] });
    append(t);
    await bench.run(2 * LAG_MS);
    const third = await bench.session({ "t-0": { fetchOffset: 1 } }, { replicaId: 3, clientId: "broker-3" });
    t.maybeShrink();
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1, 3] });
    const session = await bench.session({ "t-0": { fetchOffset: 1 } });
    bench.commit(t);
    expect(bench.proposed.size).toBe(0);
    expect(await session.fetch()).toEqual({});
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1, 3, 2] });
    bench.commit(t);
    expect([await session.fetch(), await third.fetch()]).toEqual([{}, { "t-0": "[] hw 1 from 0" }]);
    const fetches = vi.spyOn(Partition.prototype, "fetchedBy");
    await session.fetch();
    await third.fetch();
    expect(fetches).not.toHaveBeenCalled();
    vi.restoreAllMocks();
  });

  test("takes a follower in that fell silent while another change was pending, when its session goes on", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1] });
    await bench.session({ "t-0": {} }, { replicaId: 3, clientId: "broker-3" });
    const session = await bench.session({ "t-0": {} });
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1, 3] });
    await bench.run(2 * LAG_MS);
    bench.commit(t);
    expect(bench.proposed.size).toBe(0);
    await session.fetch();
    expect(bench.proposed.get(t)).toMatchObject({ isr: [1, 3, 2] });
  });
});

describe("what is answered", () => {
  test("errors come at once and again with every answer, and what comes after them is news", async () => {
    const bench = new Bench();
    const t = bench.led({ leaderEpoch: 4 });
    const session = await bench.session({ "t-0": { currentLeaderEpoch: 4 } });
    const errors: [Asked, string][] = [
      [{ currentLeaderEpoch: 3 }, "error 74"],
      [{ currentLeaderEpoch: 5 }, "error 75"],
      [{ currentLeaderEpoch: 4, fetchOffset: 1 }, "error 1"],
      [{ currentLeaderEpoch: 4, lastFetchedEpoch: 5 }, "error 1"],
    ];
    for (const [asked, error] of errors) {
      expect(await session.fetch({ "t-0": asked }, { maxWaitMs: 10_000 })).toEqual({ "t-0": error });
      expect(await session.fetch({}, { maxWaitMs: 10_000 })).toEqual({ "t-0": error });
      expect(await session.fetch({ "t-0": { currentLeaderEpoch: 4 } })).toEqual({ "t-0": "[] hw 0 from 0" });
      expect(await session.fetch()).toEqual({});
    }
    append(t);
    expect(await session.fetch({ "t-0": { currentLeaderEpoch: 4, fetchOffset: 1 } })).toEqual({ "t-0": "[] hw 1 from 0" });
    t.log.advanceStartOffset(1);
    expect(await session.fetch({ "t-0": { currentLeaderEpoch: 4 } })).toEqual({ "t-0": "error 1" });
    t.become({ leader: 2, leaderEpoch: 5, isr: [2], replicas: [1, 2], zkVersion: 0 });
    expect(await session.fetch({ "t-0": { currentLeaderEpoch: 5, fetchOffset: 1 } })).toEqual({ "t-0": "error 6" });
    t.stop(ErrorCode.KAFKA_STORAGE_ERROR);
    expect(await session.fetch()).toEqual({ "t-0": "error 56" });
    expect(bench.world.nowMs).toBeLessThan(1000);
  });

  test("a reader of another history hears where to truncate, at once and until it has", async () => {
    const bench = new Bench();
    const t = bench.led({ leaderEpoch: 2 });
    append(t);
    t.become({ leader: 1, leaderEpoch: 4, isr: [1, 2], replicas: [1, 2], zkVersion: 0 });
    const session = await bench.session({ "t-0": { currentLeaderEpoch: 4, fetchOffset: 1 } });
    append(t);
    const asked = { currentLeaderEpoch: 4, fetchOffset: 2, lastFetchedEpoch: 3 };
    expect(await session.fetch({ "t-0": asked }, { maxWaitMs: 10_000 })).toEqual({ "t-0": "diverges 2 1" });
    expect(t.log.highWatermark).toBe(1);
    expect(await session.fetch({}, { maxWaitMs: 10_000 })).toEqual({ "t-0": "diverges 2 1" });
    expect(await session.fetch({ "t-0": { ...asked, fetchOffset: 1, lastFetchedEpoch: 2 } })).toEqual({ "t-0": "[1] hw 1 from 0" });
    expect(bench.world.nowMs).toBeLessThan(1000);
  });

  test("a follower that has to fetch another partition from here does not wait for news of the others: until it names that one, for a second at most", async () => {
    const bench = new Bench();
    bench.led();
    const [session, other] = [await bench.session({ "t-0": {} }), await bench.session({ "t-0": {} }, { replicaId: 3 })];
    const waited = async (asked: Parameters<FollowerSession["fetch"]>[0] = {}): Promise<number> => {
      const begunMs = bench.nowMs;
      expect(await session.fetch(asked, { maxWaitMs: 500 })).toEqual("u-0" in asked ? { "u-0": "[] hw 0 from 0" } : {});
      return Math.round(bench.nowMs - begunMs);
    };
    const waiting = Outcome.of(session.start({}, { maxWaitMs: 500 }));
    const elsewhere = Outcome.of(other.start({}, { maxWaitMs: 500 }));
    await bench.run(100);
    bench.led({}, "u");
    bench.sessions.expect("u-0", [2]);
    await bench.run(1);
    expect([waiting.value !== "waiting", elsewhere.value]).toEqual([true, "waiting"]);
    // The controller has not told it yet.
    expect([await waited(), await waited()]).toEqual([10, 10]);
    await waited({ "u-0": {} });
    expect(await waited()).toBe(500);
    // It never comes.
    bench.sessions.expect("v-0", [2]);
    expect(await waited()).toBe(10);
    await bench.run(1000);
    expect(await waited()).toBe(500);
  });

  test("who has no replica reads nothing, and does not spin: high watermark and start, when the time is over", async () => {
    const bench = new Bench({ tailBytesMax: 0 });
    const t = bench.led({ replicas: [1, 3] });
    for (let count = 0; count < 3; count++) append(t);
    const begunMs = bench.nowMs;
    expect((await bench.fetch({ "t-0": {} }, { maxWaitMs: 500 })).told).toEqual({ "t-0": "[] hw 3 from 0" });
    expect(bench.nowMs - begunMs).toBeGreaterThanOrEqual(500);
    const session = await bench.session({ "t-0": {} });
    const waiting = session.start({}, { maxWaitMs: 10_000 });
    t.become({ leader: 1, leaderEpoch: 1, isr: [1], replicas: [1, 2, 3], zkVersion: 0 });
    expect(Bench.read(await bench.settle(waiting)).told).toEqual({ "t-0": "error 74" });
    expect(await session.fetch({ "t-0": { currentLeaderEpoch: 1 } })).toEqual({ "t-0": "[0 1 2] hw 3 from 0" });
  });

  test("a partition that was deleted is unknown, and one that was made again is found, though nobody names it", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2] });
    append(t);
    const session = await bench.session({ "t-0": { fetchOffset: 1 } });
    bench.partitions.delete("t-0");
    t.stop(ErrorCode.UNKNOWN_TOPIC_OR_PARTITION);
    expect(await session.fetch()).toEqual({ "t-0": "error 3" });
    expect(await session.fetch()).toEqual({ "t-0": "error 3" });
    bench.partitions.set("t-0", t);
    const again = bench.led({ isr: [1, 2] });
    expect(await session.fetch()).toEqual({ "t-0": "error 1" });
    append(again);
    expect(await session.fetch({ "t-0": {} })).toEqual({ "t-0": "[0] hw 0 from 0" });
    const waiting = session.start({ "t-0": { fetchOffset: 1 } }, { maxWaitMs: 10_000 });
    await bench.run(10);
    append(again);
    expect(Bench.read(await bench.settle(waiting)).told).toEqual({ "t-0": "[1] hw 1 from 0" });
  });

  test("what does not fit comes with the next answer, in turn, though nobody names it", async () => {
    const bench = new Bench();
    for (const topic of ["t", "u", "v"]) {
      const partition = bench.led({ isr: [1, 2] }, topic);
      for (let count = 0; count < 3; count++) append(partition);
    }
    const session = await bench.session({ "t-0": {}, "u-0": {}, "v-0": {} }, { maxBytes: 2 * BATCH_BYTES });
    // The first answer held the first of each, as far as it went.
    const answers = [];
    for (let count = 0; count < 4; count++) answers.push(await session.fetch());
    const reads = answers.map((answer) => Object.entries(answer).filter(([, text]) => !text.startsWith("[]")).map(([name, text]) => `${name} ${text}`));
    expect(reads).toEqual([["u-0 [0 1] hw 0 from 0"], ["v-0 [0 1] hw 0 from 0"], ["t-0 [0 1] hw 0 from 0"], ["u-0 [0 1] hw 0 from 0"]]);
  });

  test("the first batch comes whole, however large; a limit of its own binds each partition", async () => {
    const bench = new Bench();
    const [t, u] = [bench.led(), bench.led({}, "u")];
    for (const partition of [t, u]) for (let count = 0; count < 3; count++) append(partition);
    expect((await bench.fetch({ "t-0": {}, "u-0": {} }, { maxBytes: 1 })).told).toEqual({ "t-0": "[0] hw 3 from 0", "u-0": "[] hw 3 from 0" });
    expect((await bench.fetch({ "t-0": { maxBytes: BATCH_BYTES }, "u-0": { maxBytes: 2 * BATCH_BYTES } })).told).toEqual({ "t-0": "[0] hw 3 from 0", "u-0": "[0 1] hw 3 from 0" });
  });

  test("a full response does not hide that an offset is out of range", async () => {
    const bench = new Bench();
    const [t, u] = [bench.led(), bench.led({}, "u")];
    append(t);
    append(u);
    expect((await bench.fetch({ "t-0": {}, "u-0": { fetchOffset: 2 } }, { maxBytes: 1 })).told).toEqual({ "t-0": "[0] hw 1 from 0", "u-0": "error 1" });
  });

  test("a change of the high watermark or of the start is told once", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2, 3] });
    append(t);
    const session = await bench.session({ "t-0": { fetchOffset: 1 } });
    await bench.session({ "t-0": { fetchOffset: 1 } }, { replicaId: 3, clientId: "broker-3" });
    expect(await session.fetch()).toEqual({ "t-0": "[] hw 1 from 0" });
    expect(await session.fetch()).toEqual({});
    t.log.advanceStartOffset(1);
    expect(await session.fetch()).toEqual({ "t-0": "[] hw 1 from 1" });
    expect(await session.fetch()).toEqual({});
  });
});

describe("the wait", () => {
  test("ends when there are min_bytes over all partitions, each counted once and within its limit", async () => {
    const bench = new Bench();
    const [t, u, v] = [bench.led(), bench.led({}, "u"), bench.led({}, "v")];
    const session = await bench.session({ "t-0": { maxBytes: BATCH_BYTES }, "u-0": {}, "v-0": {} });
    const outcome = Outcome.of(session.start({}, { minBytes: 3 * BATCH_BYTES, maxWaitMs: 10_000 }));
    for (const partition of [t, t, t, u]) {
      append(partition);
      await bench.run(10);
      expect(outcome.value).toBe("waiting");
    }
    append(v);
    await bench.run(10);
    expect(outcome.value).not.toBe("waiting");
    expect(bench.world.nowMs).toBeLessThan(1000);
  });

  test("ends with the time, with whatever is there", async () => {
    const bench = new Bench();
    const t = bench.led();
    const session = await bench.session({ "t-0": {} });
    const outcome = Outcome.of(session.start({}, { minBytes: BIG, maxWaitMs: 300 }));
    await bench.run(100);
    append(t);
    await bench.run(100);
    expect(outcome.value).toBe("waiting");
    await bench.run(150);
    expect(outcome.value === "waiting" ? outcome.value : Bench.read(outcome.value).told).toEqual({ "t-0": "[0] hw 0 from 0" });
  });

  test("tells at its end what was new when it began, though that was no reason to answer", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2] });
    const session = await bench.session({ "t-0": {} });
    append(t);
    expect(await session.fetch()).toEqual({ "t-0": "[0] hw 0 from 0" });
    expect(await session.fetch({ "t-0": { fetchOffset: 1 } }, { maxWaitMs: 300 })).toEqual({ "t-0": "[] hw 1 from 0" });
    expect(bench.world.nowMs).toBeGreaterThanOrEqual(300);
    expect(await session.fetch()).toEqual({});
  });

  test("does not end with the high watermark alone", async () => {
    const bench = new Bench();
    const t = bench.led({ isr: [1, 2, 3] });
    append(t);
    const [second, third] = [await bench.session({ "t-0": { fetchOffset: 1 } }), await bench.session({ "t-0": {} }, { replicaId: 3, clientId: "broker-3" })];
    const outcome = Outcome.of(second.start({}, { maxWaitMs: 300 }));
    await bench.run(10);
    await third.fetch({ "t-0": { fetchOffset: 1 } });
    expect(t.log.highWatermark).toBe(1);
    await bench.run(200);
    expect(outcome.value).toBe("waiting");
    await bench.run(200);
    expect(outcome.value === "waiting" ? outcome.value : Bench.read(outcome.value).told).toEqual({ "t-0": "[] hw 1 from 0" });
  });

  test("ends with a change of the part that this broker plays", async () => {
    const bench = new Bench();
    const [t, u] = [bench.led(), bench.led({}, "u")];
    for (const [partition, change, error] of [
      [t, () => t.become({ leader: 3, leaderEpoch: 1, isr: [3], replicas: [1, 2, 3], zkVersion: 0 }), "error 74"],
      [u, () => u.stop(ErrorCode.KAFKA_STORAGE_ERROR), "error 56"],
    ] as const) {
      const name = `${partition.topic}-0`;
      const session = await bench.session({ [name]: {} });
      const waiting = session.start({}, { maxWaitMs: 10_000, minBytes: BIG });
      await bench.run(10);
      change();
      expect(Bench.read(await bench.settle(waiting)).told).toEqual({ [name]: error });
    }
    expect(bench.world.nowMs).toBeLessThan(1000);
  });

  test("sees what came while a file was read", async () => {
    const bench = new Bench({ tailBytesMax: 0 });
    const [t, u] = [bench.led(), bench.led({}, "u")];
    append(t);
    const session = await bench.session({ "t-0": {}, "u-0": {} });
    const waiting = session.start({}, { minBytes: 2 * BATCH_BYTES, maxWaitMs: 10_000 });
    append(u);
    expect(Bench.read(await bench.settle(waiting)).told).toEqual({ "t-0": "[0] hw 1 from 0", "u-0": "[0] hw 0 from 0" });
    expect(bench.world.nowMs).toBeLessThan(1000);
  });
});
