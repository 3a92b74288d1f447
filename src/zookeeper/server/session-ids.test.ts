import { expect, test } from "vitest";
import { SessionIds } from "./session-ids.ts";

const WALL_MS = Date.UTC(2026, 10, 22);

test("session ids carry the server in the top byte, follow each other, and begin later after a later start", () => {
  const first = new SessionIds(3, WALL_MS).next(new Set());
  expect(BigInt.asUintN(64, first) >> 56n).toBe(3n);
  expect(first & 0xffffn).toBe(0n);
  const later = new SessionIds(3, WALL_MS + 1);
  expect(later.next(new Set()) - first).toBe(0x10000n);
  expect(later.next(new Set()) - first).toBe(0x10001n);
});

test("session ids never are those of a session that is known, even where the clock was set back", () => {
  const first = new SessionIds(3, WALL_MS).next(new Set());
  expect(new SessionIds(3, WALL_MS).next(new Set([first]))).toBe(first + 1n);
});
