import { describe, expect, test } from "vitest";
import { ErrorCode } from "../protocol/errors.ts";
import { sessionId, type SessionId } from "../protocol/ids.ts";
import { SessionTracker } from "./session-tracker.ts";

function tracker(known: Iterable<readonly [SessionId, number]> = []): SessionTracker {
  return new SessionTracker(100, known, 0);
}

describe("a session", () => {
  const id = sessionId(7n);

  test("lives while it is touched, expires once, and is unknown when it was removed", () => {
    const sessions = tracker([[id, 1000]]);
    expect(sessions.touch(id, 1000, 900)).toBe(true);
    expect(sessions.expire(1500)).toEqual([]);
    expect(sessions.expire(2000)).toEqual([id]);
    expect(sessions.touch(id, 1000, 2000)).toBe(false);
    expect(sessions.expire(9000)).toEqual([]);
    sessions.remove(id);
    expect(sessions.touch(id, 1000, 9000)).toBe(false);
  });

  test("that is closing is neither touched nor expired a second time", () => {
    const sessions = tracker([[id, 1000]]);
    sessions.close(id);
    expect(sessions.touch(id, 1000, 10)).toBe(false);
    expect(sessions.check(id, "here")).toBe(ErrorCode.sessionExpired);
    expect(sessions.expire(5000)).toEqual([]);
  });

  test("belongs to whoever first speaks for it, until another takes it over", () => {
    const sessions = tracker([[id, 1000]]);
    expect(sessions.check(id, "here")).toBe(ErrorCode.ok);
    expect(sessions.check(id, "there")).toBe(ErrorCode.sessionMoved);
    sessions.setOwner(id, "there");
    expect(sessions.check(id, "there")).toBe(ErrorCode.ok);
    expect(sessions.check(id, "here")).toBe(ErrorCode.sessionMoved);
    expect(sessions.check(sessionId(8n), "here")).toBe(ErrorCode.sessionExpired);
  });
});
