import { describe, expect, test } from "vitest";
import { ErrorCode } from "../protocol/errors.ts";
import { sessionId, type SessionId } from "../protocol/ids.ts";
import { SessionTracker } from "./session-tracker.ts";

const WALL_MS = Date.UTC(2026, 10, 22);

function tracker(known: Iterable<readonly [SessionId, number]> = []): SessionTracker {
  return new SessionTracker({ serverId: 3, tickMs: 100, known, wallMs: WALL_MS }, 0);
}

describe("session ids", () => {
  test("carry the server in the top byte, follow each other, and begin later after a later start", () => {
    const first = tracker().newId();
    expect(BigInt.asUintN(64, first) >> 56n).toBe(3n);
    expect(first & 0xffffn).toBe(0n);
    const later = new SessionTracker({ serverId: 3, tickMs: 100, known: [], wallMs: WALL_MS + 1 }, 0);
    expect(later.newId() - first).toBe(0x10000n);
    expect(later.newId() - first).toBe(0x10001n);
  });

  test("never are those of a session that is known, even where the clock was set back", () => {
    const first = tracker().newId();
    expect(tracker([[first, 1000]]).newId()).toBe(first + 1n);
  });
});

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
