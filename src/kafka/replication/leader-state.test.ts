import { describe, expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import { toLeaderEpoch } from "../protocol/ids.ts";
import { LeaderState, type FetchClock, type LeaderStateOptions } from "./leader-state.ts";
import type { IsrProposal } from "./ports.ts";

const LAG = 100;
const HOUR = 3_600_000;

function leader(isr: readonly number[], options: Partial<LeaderStateOptions> = {}): LeaderState {
  return new LeaderState({ localId: 1, epoch: toLeaderEpoch(5), epochStartOffset: 0, zkVersion: 7, replicas: [1, 2, 3], isr, endOffset: 0, nowMs: 0, ...options });
}

/** A follower's session that fetches one partition. */
class Session {
  readonly clock: FetchClock = { ms: Number.NEGATIVE_INFINITY };
  readonly #state: LeaderState;
  readonly #broker: number;

  constructor(state: LeaderState, broker: number) {
    this.#state = state;
    this.#broker = broker;
  }

  /** A fetch that names the partition, or finds it changed. */
  fetch(fetchOffset: number, leaderEndOffset: number, nowMs: number): boolean {
    const moved = this.#state.fetched(this.#broker, { fetchOffset, logStartOffset: 0, leaderEndOffset, clock: this.clock, nowMs });
    this.clock.ms = nowMs;
    return moved;
  }

  /** A fetch of other partitions. */
  fetchOthers(nowMs: number): void {
    this.clock.ms = nowMs;
  }

  end(): void {
    this.#state.fetchEnded(this.#broker, this.clock);
  }
}

function committed({ isr }: { readonly isr: readonly number[] }, zkVersion: number, leaderEpoch = 5) {
  return { kind: "state", leaderEpoch, isr, zkVersion } as const;
}

function must(proposal: IsrProposal | undefined): IsrProposal {
  if (proposal === undefined) throw new Error("nothing is proposed");
  return proposal;
}

describe("the high watermark", () => {
  test("is what is written here, alone in sync and with nobody close", () => {
    expect(leader([1]).highWatermark(7, 0, LAG)).toBe(7);
  });

  test("waits for every replica in sync, and for none that is out of it", () => {
    const state = leader([1, 2]);
    const second = new Session(state, 2);
    expect(state.highWatermark(7, 1, LAG)).toBe(-1);
    expect(second.fetch(5, 7, 1)).toBe(true);
    expect(state.highWatermark(7, 1, LAG)).toBe(5);
    expect(second.fetch(5, 7, 2)).toBe(false);
    expect(second.fetch(7, 7, 2)).toBe(true);
    expect(state.highWatermark(7, 2, LAG)).toBe(7);
    expect(state.highWatermark(7, HOUR, LAG)).toBe(7);
    expect(state.highWatermark(8, HOUR, LAG)).toBe(7);
  });

  test("waits for a replica that has caught up before it is in sync, until it has lagged too long", () => {
    const state = leader([1]);
    new Session(state, 3).fetch(5, 5, 10);
    expect(state.highWatermark(9, 10, LAG)).toBe(5);
    expect(state.highWatermark(9, 110, LAG)).toBe(5);
    expect(state.highWatermark(9, 111, LAG)).toBe(9);
  });

  test("does not wait for a replica out of sync that has never caught up, however lately it fetched", () => {
    const state = leader([1], { endOffset: 5 });
    const third = new Session(state, 3);
    third.fetch(2, 5, 10);
    expect(state.highWatermark(9, 10, LAG)).toBe(9);
  });

  test("reaching the end of the fetch before counts as having caught up then", () => {
    const state = leader([1], { endOffset: 5 });
    const third = new Session(state, 3);
    third.fetch(0, 5, 10);
    third.fetch(5, 8, 20);
    expect(state.highWatermark(8, 110, LAG)).toBe(5);
    expect(state.highWatermark(8, 111, LAG)).toBe(8);
  });

  test("goes on from where the followers were known to be, when the leader stays for another epoch", () => {
    const before = leader([1, 2]);
    new Session(before, 2).fetch(6, 6, 10);
    const state = leader([1, 2], { previous: before, endOffset: 6, nowMs: 20 });
    expect(state.highWatermark(6, 20, LAG)).toBe(6);
    expect(leader([1, 2], { endOffset: 6, nowMs: 20 }).highWatermark(6, 20, LAG)).toBe(-1);
  });

  test("a broker that is no replica changes nothing, nor does the leader itself", () => {
    const state = leader([1]);
    expect(new Session(state, 9).fetch(3, 5, 10)).toBe(false);
    expect(new Session(state, 1).fetch(3, 5, 10)).toBe(false);
    expect([state.isFollower(9), state.isFollower(1), state.isFollower(3)]).toEqual([false, false, true]);
    expect(state.highWatermark(5, 10, LAG)).toBe(5);
  });
});

describe("who is caught up", () => {
  test("a follower of a quiet partition stays in sync over the first append after an hour, as long as its session fetches", () => {
    const state = leader([1, 2]);
    const second = new Session(state, 2);
    second.fetch(5, 5, 1);
    second.fetchOthers(HOUR);
    expect(state.shrink(6, HOUR + LAG, LAG)).toBeUndefined();
    // The session's next fetch finds the partition changed: it had all a moment ago.
    second.fetch(5, 6, HOUR + 10);
    expect(state.shrink(6, HOUR + LAG, LAG)).toBeUndefined();
    second.fetch(5, 6, HOUR + 20);
    expect(state.shrink(6, HOUR + LAG + 1, LAG)).toMatchObject({ isr: [1] });
  });

  test("a follower whose session has stopped leaves, though it had all that there was", () => {
    const state = leader([1, 2]);
    const second = new Session(state, 2);
    second.fetch(5, 5, 1);
    second.fetchOthers(50);
    expect(state.shrink(5, HOUR, LAG)).toBeUndefined();
    expect(state.shrink(6, 50 + LAG, LAG)).toBeUndefined();
    expect(state.shrink(6, 51 + LAG, LAG)).toMatchObject({ isr: [1] });
  });

  test("so does one whose session goes on without this partition", () => {
    const state = leader([1, 2]);
    const second = new Session(state, 2);
    second.fetch(5, 5, 1);
    second.fetchOthers(50);
    second.end();
    second.fetchOthers(HOUR);
    expect(state.shrink(6, 50 + LAG, LAG)).toBeUndefined();
    expect(state.shrink(6, 51 + LAG, LAG)).toMatchObject({ isr: [1] });
  });

  test("the end of a session that is followed by another changes nothing", () => {
    const state = leader([1, 2]);
    const [old, second] = [new Session(state, 2), new Session(state, 2)];
    old.fetch(5, 5, 1);
    second.fetch(5, 5, 2);
    old.end();
    second.fetchOthers(HOUR);
    expect(state.shrink(6, HOUR + LAG, LAG)).toBeUndefined();
  });

  test("a new session does not forget when the one before had fetched", () => {
    const state = leader([1, 2]);
    const old = new Session(state, 2);
    old.fetch(5, 5, 1);
    old.fetchOthers(500);
    old.end();
    new Session(state, 2).fetch(5, 9, 510);
    expect(state.shrink(9, 500 + LAG, LAG)).toBeUndefined();
    expect(state.shrink(9, 501 + LAG, LAG)).toMatchObject({ isr: [1] });
  });

  test("a session of an earlier epoch counts for nothing in the next", () => {
    const before = leader([1, 2]);
    const second = new Session(before, 2);
    second.fetch(5, 5, 1);
    const state = leader([1, 2], { previous: before, endOffset: 5, nowMs: 10 });
    second.fetchOthers(HOUR);
    expect(state.shrink(6, 10 + LAG, LAG)).toBeUndefined();
    expect(state.shrink(6, 11 + LAG, LAG)).toMatchObject({ isr: [1] });
  });

  test("a follower whose log became shorter was caught up until its session last fetched", () => {
    const state = leader([1, 2]);
    const second = new Session(state, 2);
    second.fetch(5, 5, 1);
    second.fetchOthers(400);
    second.fetch(3, 5, 410);
    expect(state.shrink(5, 400 + LAG, LAG)).toBeUndefined();
    expect(state.shrink(5, 401 + LAG, LAG)).toMatchObject({ isr: [1] });
  });
});

describe("a change of the ISR", () => {
  test("takes a follower in at the high watermark, and not below", () => {
    const state = leader([1, 2], { zkVersion: 9 });
    const third = new Session(state, 3);
    third.fetch(4, 8, 1);
    expect(state.expansion(3, 5)).toBeUndefined();
    third.fetch(5, 8, 2);
    expect(state.expansion(3, 5)).toEqual({ leaderEpoch: 5, isr: [1, 2, 3], zkVersion: 9 });
  });

  test("takes nobody in that lacks something from before this epoch, whatever the high watermark", () => {
    const state = leader([1], { epochStartOffset: 6, endOffset: 6 });
    const third = new Session(state, 3);
    third.fetch(5, 8, 1);
    expect(state.expansion(3, 5)).toBeUndefined();
    third.fetch(6, 8, 2);
    expect(state.expansion(3, 5)).toMatchObject({ isr: [1, 3] });
  });

  test("is asked for once: not for members, not for strangers, not while one is pending", () => {
    const state = leader([1, 2]);
    for (const broker of [2, 3]) new Session(state, broker).fetch(5, 5, 1);
    expect(state.expansion(2, 5)).toBeUndefined();
    expect(state.expansion(1, 5)).toBeUndefined();
    expect(state.expansion(9, 5)).toBeUndefined();
    const proposal = state.expansion(3, 5);
    expect(proposal).toBeDefined();
    expect(state.pending).toBe(proposal);
    expect(state.expansion(3, 5)).toBeUndefined();
    expect(state.shrink(9, HOUR, LAG)).toBeUndefined();
    expect(state.pending).toBe(proposal);
  });

  test("while an expansion is pending, the new one counts, though it lags", () => {
    const state = leader([1, 2]);
    for (const broker of [2, 3]) new Session(state, broker).fetch(5, 5, 1);
    must(state.expansion(3, 5));
    new Session(state, 2).fetch(9, 9, HOUR);
    expect([state.inSyncCount, state.countedCount, state.isr]).toEqual([2, 3, [1, 2]]);
    expect(state.highWatermark(9, HOUR, LAG)).toBe(5);
  });

  test("while a shrink is pending, those who are to leave still count", () => {
    const state = leader([3, 1, 2]);
    new Session(state, 2).fetch(9, 9, HOUR);
    new Session(state, 3).fetch(5, 9, HOUR);
    expect(state.shrink(9, HOUR, LAG)).toEqual({ leaderEpoch: 5, isr: [1, 2], zkVersion: 7 });
    expect([state.inSyncCount, state.countedCount, state.isr]).toEqual([3, 3, [3, 1, 2]]);
    expect(state.highWatermark(9, HOUR, LAG)).toBe(5);
  });

  test("leaves out those that lag, not those that have all, not the leader itself", () => {
    const state = leader([1, 2, 3]);
    new Session(state, 2).fetch(9, 9, 1);
    expect(state.shrink(9, LAG, LAG)).toBeUndefined();
    expect(state.shrink(9, HOUR, LAG)).toMatchObject({ isr: [1, 2] });
    expect(leader([1]).shrink(9, HOUR, LAG)).toBeUndefined();
  });

  test("holds once it is committed, and the next one rests on its version", () => {
    const state = leader([1, 2, 3]);
    new Session(state, 2).fetch(9, 9, HOUR);
    const shrink = must(state.shrink(9, HOUR, LAG));
    expect(state.decided(shrink, committed(shrink, 8))).toBe("committed");
    expect([state.isr, state.inSyncCount, state.countedCount, state.pending]).toEqual([[1, 2], 2, 2, undefined]);
    expect(state.highWatermark(9, HOUR, LAG)).toBe(9);
    new Session(state, 3).fetch(9, 9, HOUR);
    expect(state.expansion(3, 9)).toEqual({ leaderEpoch: 5, isr: [1, 2, 3], zkVersion: 8 });
  });

  test("is what the controller says, whatever was proposed", () => {
    const state = leader([1, 2, 3]);
    const shrink = must(state.shrink(9, HOUR, LAG));
    expect(state.decided(shrink, committed({ isr: [1, 3] }, 8))).toBe("committed");
    expect([state.isr, state.countedCount]).toEqual([[1, 3], 2]);
  });

  test("is sent again after an error that may pass, and stays pending after one that will not", () => {
    for (const error of [ErrorCode.UNKNOWN_TOPIC_OR_PARTITION, ErrorCode.FENCED_LEADER_EPOCH, ErrorCode.INVALID_UPDATE_VERSION, ErrorCode.UNKNOWN_SERVER_ERROR, ErrorCode.INVALID_REQUEST]) {
      const state = leader([1, 2, 3]);
      const shrink = must(state.shrink(9, HOUR, LAG));
      const isFinal = [3, 74, 95].includes(error);
      expect([error, state.decided(shrink, { kind: "error", error })]).toEqual([error, isFinal ? "done" : "again"]);
      expect(state.pending).toBe(shrink);
    }
  });

  test("an answer that tells nothing newer, or of another epoch, is ignored", () => {
    const state = leader([1, 2, 3]);
    const shrink = must(state.shrink(9, HOUR, LAG));
    expect(state.decided(shrink, committed(shrink, 7))).toBe("done");
    expect(state.decided(shrink, committed(shrink, 8, 6))).toBe("done");
    expect([state.isr, state.pending]).toEqual([[1, 2, 3], shrink]);
  });

  test("the answer to a proposal that is not the pending one is ignored, though it says the same", () => {
    const state = leader([1, 2, 3]);
    const shrink = must(state.shrink(9, HOUR, LAG));
    expect(state.decided({ ...shrink }, committed(shrink, 8))).toBe("done");
    expect(state.decided({ ...shrink }, { kind: "error", error: ErrorCode.UNKNOWN_SERVER_ERROR })).toBe("done");
    expect(state.pending).toBe(shrink);
  });

  test("those that wanted in meanwhile are proposed after it, if they still fetch and have what is committed", () => {
    const state = leader([1], { replicas: [1, 2, 3, 4, 5, 6] });
    const sessions = [2, 3, 4, 5, 6].map((broker) => new Session(state, broker));
    for (const session of sessions) session.fetch(5, 5, 1000);
    const first = must(state.expansion(2, 5));
    for (const broker of [3, 4, 5, 6]) expect(state.expansion(broker, 5)).toBeUndefined();
    expect(state.expansions(5, 1000, LAG)).toBeUndefined();
    // 3 fetches on, 4 has stopped, 5 has given the partition up, 6 has fallen behind.
    sessions[1]?.fetchOthers(2000);
    sessions[3]?.fetchOthers(2000);
    sessions[3]?.end();
    sessions[4]?.fetch(4, 5, 2000);
    expect(state.decided(first, committed(first, 8))).toBe("committed");
    expect(state.expansions(5, 2000, LAG)).toEqual({ leaderEpoch: 5, isr: [1, 2, 3], zkVersion: 8 });
    expect(state.countedCount).toBe(3);
    expect(state.expansions(5, 2000, LAG)).toBeUndefined();
  });
});
