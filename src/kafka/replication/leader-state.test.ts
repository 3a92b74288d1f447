import { expect, test } from "vitest";
import { toLeaderEpoch } from "../protocol/ids.ts";
import { LeaderState } from "./leader-state.ts";

const LAG = 100;

function leader(isr: readonly number[]): LeaderState {
  return new LeaderState({ localId: 1, epoch: toLeaderEpoch(0), epochStartOffset: 0, replicas: [1, 2, 3], isr, nowMs: 0 });
}

function fetch(fetchOffset: number, leaderEndOffset: number, nowMs: number) {
  return { fetchOffset, logStartOffset: 0, leaderEndOffset, nowMs };
}

test("alone in sync, and with nobody close, the high watermark is the end of the own log", () => {
  expect(leader([1]).highWatermark(7, 0, LAG)).toBe(7);
});

test("the high watermark waits for every replica in sync, and for none that is out of it", () => {
  const state = leader([1, 2]);
  expect(state.highWatermark(7, 1, LAG)).toBe(-1);
  state.fetched(2, fetch(5, 7, 1));
  expect(state.highWatermark(7, 1, LAG)).toBe(5);
  state.fetched(2, fetch(7, 7, 2));
  expect(state.highWatermark(7, 2, LAG)).toBe(7);
});

test("a replica that has caught up counts before it is in sync, until it has lagged too long", () => {
  const state = leader([1]);
  state.fetched(3, fetch(5, 5, 10));
  expect(state.highWatermark(9, 10, LAG)).toBe(5);
  expect(state.highWatermark(9, 111, LAG)).toBe(9);
});

test("reaching the end of the fetch before counts as having caught up then", () => {
  const state = leader([1]);
  state.fetched(3, fetch(0, 5, 10));
  state.fetched(3, fetch(5, 8, 20));
  expect(state.highWatermark(8, 110, LAG)).toBe(5);
  expect(state.highWatermark(8, 111, LAG)).toBe(8);
});

test("a broker that is no replica changes nothing", () => {
  const state = leader([1]);
  state.fetched(9, fetch(3, 5, 10));
  expect(state.isReplica(9)).toBe(false);
  expect(state.highWatermark(5, 10, LAG)).toBe(5);
});
