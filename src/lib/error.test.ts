import { expect, test } from "vitest";
import { AssertionFailure } from "./assert.ts";
import { isOperational, OperationalError, plainMessage } from "./error.ts";

const ofSystem = (code: string): Error => Object.assign(new Error(`${code}: it can't be, write '/data/log'`), { code });

test("what the system refused is told with what it means and what to do", () => {
  expect(plainMessage(ofSystem("ENOSPC"))).toBe("ENOSPC: it can't be, write '/data/log' (the disk is full: make room on it)");
  expect(plainMessage(ofSystem("EROFS"))).toContain("(the disk is mounted read-only: mount it for writing)");
  expect(plainMessage(ofSystem("ENOENT"))).toBe("ENOENT: it can't be, write '/data/log'");
  expect(plainMessage(new OperationalError("EIO", "its own words"))).toBe("its own words");
});

test("a broken invariant and a mistake in the code are no operational failures", () => {
  expect([ofSystem("EIO"), new OperationalError("ERR_ANY", "foreseen")].map(isOperational)).toEqual([true, true]);
  expect([new AssertionFailure("broken"), new TypeError("no function"), Object.assign(new RangeError("out of range"), { code: "ERR_OUT_OF_RANGE" })].map(isOperational)).toEqual([false, false, false]);
});
