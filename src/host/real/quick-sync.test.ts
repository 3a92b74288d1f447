import fs, { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { quickDataSync } from "./quick-sync.ts";
import type { DataSync } from "./sync-thread.ts";

const directory = mkdtempSync(join(tmpdir(), "odradek-quick-sync-"));
afterAll(() => rmSync(directory, { recursive: true }));

function done(sync: DataSync, fd: number): Promise<void> {
  return new Promise((resolve, reject) => sync(fd, (error) => (error === null ? resolve() : reject(error))));
}

/** Counts what is not synced in place. */
function counted(): { readonly otherwise: DataSync; readonly count: () => number } {
  let count = 0;
  return {
    otherwise: (fd, ended) => {
      count += 1;
      fs.fdatasync(fd, ended);
    },
    count: () => count,
  };
}

test("after a quick sync the next one is done in the same turn, with its error", async () => {
  const fd = fs.openSync(join(directory, "a"), "w");
  const { otherwise, count } = counted();
  const sync = quickDataSync(otherwise, Infinity);
  await done(sync, fd);
  let inPlace = false;
  sync(fd, (error) => (inPlace = error === null));
  expect(inPlace).toBe(true);
  await expect(done(sync, 999_999)).rejects.toMatchObject({ code: "EBADF" });
  expect(count()).toBe(1);
  fs.closeSync(fd);
});

test("where the disk is not quick, no sync holds the loop", async () => {
  const fd = fs.openSync(join(directory, "b"), "w");
  const { otherwise, count } = counted();
  const sync = quickDataSync(otherwise, 0);
  for (let times = 0; times < 3; times++) await done(sync, fd);
  expect(count()).toBe(3);
  fs.closeSync(fd);
});
