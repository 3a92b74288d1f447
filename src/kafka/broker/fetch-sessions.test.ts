import { expect, test } from "vitest";
import { ErrorCode } from "../protocol/error-codes.ts";
import { FetchSessions, type FetchContext, type FetchedPartition, type FetchPartition, type SessionRequest } from "./fetch-sessions.ts";

const MINUTES = 60_000;

function sessions(slots = 10): FetchSessions {
  let next = 100;
  return new FetchSessions({ slots, random: { below: () => next++, bytes: (length) => Buffer.alloc(length) } });
}

function partition(topic: string, fetchOffset = 0): FetchPartition {
  return { topic, topicId: "", partition: 0, currentLeaderEpoch: -1, fetchOffset, lastFetchedEpoch: -1, logStartOffset: -1, maxBytes: 100 };
}

function request(sessionId: number, sessionEpoch: number, topics: readonly FetchPartition[], extra: Partial<SessionRequest> = {}): SessionRequest {
  return { sessionId, sessionEpoch, byTopicId: false, partitions: topics, forgotten: [], ...extra };
}

function result(extra: Partial<FetchedPartition> = {}): FetchedPartition {
  return { errorCode: 0, highWatermark: 5, logStartOffset: 0, recordBytes: 0, diverging: false, ...extra };
}

function begin(all: FetchSessions, asked: SessionRequest, nowMs = 0): FetchContext {
  const context = all.begin(asked, nowMs);
  if (typeof context === "number") throw new Error(`refused with ${context}`);
  return context;
}

function establish(all: FetchSessions, topics: readonly string[], extra: Partial<SessionRequest> = {}, nowMs = 0): number {
  return begin(all, request(0, 0, topics.map((topic) => partition(topic)), extra), nowMs).finish(topics.map(() => result())).sessionId;
}

test("a session reads what it was told once, and answers only with what is new", () => {
  const all = sessions();
  const id = establish(all, ["a", "b", "c"]);
  const second = begin(all, request(id, 1, []));
  expect(second.partitions.map((asked) => asked.topic)).toEqual(["a", "b", "c"]);
  expect(second.finish([result({ recordBytes: 9 }), result(), result({ highWatermark: 6 })])).toEqual({ sessionId: id, included: [true, false, true] });
  const third = begin(all, request(id, 2, [partition("b", 7), partition("d")], { forgotten: [partition("c")] }));
  expect(third.partitions.map((asked) => [asked.topic, asked.fetchOffset])).toEqual([["b", 7], ["a", 0], ["d", 0]]);
  expect(third.finish([result(), result(), result()]).included).toEqual([false, false, true]);
});

test("an error is told again until it is gone, and then the offsets once more", () => {
  const all = sessions();
  const id = establish(all, ["a"]);
  expect(begin(all, request(id, 1, [])).finish([result({ errorCode: 6, highWatermark: -1 })]).included).toEqual([true]);
  expect(begin(all, request(id, 2, [])).finish([result({ errorCode: 6, highWatermark: -1 })]).included).toEqual([true]);
  expect(begin(all, request(id, 3, [])).finish([result()]).included).toEqual([true]);
  expect(begin(all, request(id, 4, [])).finish([result()]).included).toEqual([false]);
});

test("a session by topic ids tells a topic from its namesake that came after", () => {
  const all = sessions();
  const byId = (topicId: string): FetchPartition => ({ ...partition(""), topicId });
  const id = begin(all, request(0, 0, [byId("one"), byId("two")], { byTopicId: true })).finish([result(), result()]).sessionId;
  const next = begin(all, request(id, 1, [byId("three")], { byTopicId: true, forgotten: [byId("one")] }));
  expect(next.partitions.map((asked) => asked.topicId)).toEqual(["two", "three"]);
});

test("an unknown session, a wrong epoch and a change from names to ids are refused", () => {
  const all = sessions();
  const id = establish(all, ["a"]);
  expect(all.begin(request(77, 1, []), 0)).toBe(ErrorCode.FETCH_SESSION_ID_NOT_FOUND);
  expect(all.begin(request(id, 2, []), 0)).toBe(ErrorCode.INVALID_FETCH_SESSION_EPOCH);
  expect(all.begin(request(id, 1, [], { byTopicId: true }), 0)).toBe(ErrorCode.FETCH_SESSION_TOPIC_ID_ERROR);
});

test("epoch -1 reads without a session and ends the one it names; epoch 0 replaces it", () => {
  const all = sessions();
  const first = establish(all, ["a"]);
  expect(begin(all, request(first, -1, [partition("a")])).finish([result()])).toEqual({ sessionId: 0, included: [true] });
  expect(all.size).toBe(0);
  const second = establish(all, ["a"]);
  const third = begin(all, request(second, 0, [partition("b")])).finish([result()]).sessionId;
  expect(third).not.toBe(second);
  expect(all.size).toBe(1);
});

test("a session that has nothing left is closed", () => {
  const all = sessions();
  const id = establish(all, ["a"]);
  expect(begin(all, request(id, 1, [], { forgotten: [partition("a")] })).finish([]).sessionId).toBe(0);
  expect(all.size).toBe(0);
});

test("with every slot taken: no session, unless one is idle, or smaller and old", () => {
  const all = sessions(1);
  establish(all, ["a", "b"]);
  expect(establish(all, ["c"], {}, 1)).toBe(0);
  expect(establish(all, ["c", "d", "e"], {}, 1)).toBe(0);
  expect(establish(all, ["c", "d", "e"], {}, 2 * MINUTES)).toBe(0);
  const id = establish(all, ["c", "d", "e"], {}, 2 * MINUTES + 1);
  expect(id).not.toBe(0);
  begin(all, request(id, 1, []), 4 * MINUTES + 1);
  expect(establish(all, ["a", "b", "c"], {}, 4 * MINUTES + 2)).toBe(0);
  expect(establish(all, ["a", "b", "c", "d"], {}, 4 * MINUTES + 2)).not.toBe(0);
});
