import { pbkdf2 } from "node:crypto";
import fs, { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, expect, test } from "vitest";
import { diskSyncingBy } from "./disk.ts";
import { dataSyncApart, type DataSync } from "./sync-thread.ts";

const directory = mkdtempSync(join(tmpdir(), "odradek-sync-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** Keeps every thread of libuv's pool busy until it is told to end. */
function busyPool(): () => Promise<void> {
  const ending = new AbortController();
  const one = async (): Promise<void> => {
    while (!ending.signal.aborted) await new Promise((done) => pbkdf2("a", "b", 50_000, 64, "sha512", done));
  };
  const all = Array.from({ length: 8 }, one);
  return async () => {
    ending.abort();
    await Promise.all(all);
  };
}

function apart(): (fd: number) => Promise<void> {
  return promised(dataSyncApart({ slowMs: 0 }));
}

function promised(sync: DataSync): (fd: number) => Promise<void> {
  return (fd) => new Promise((resolve, reject) => sync(fd, (error) => (error === null ? resolve() : reject(error))));
}

async function longestMs(sync: () => Promise<void>): Promise<number> {
  let longest = 0;
  for (let round = 0; round < 5; round++) {
    const from = performance.now();
    await sync();
    longest = Math.max(longest, performance.now() - from);
  }
  return longest;
}

test("after a slow sync, syncs no longer wait for a busy pool", async () => {
  const fd = fs.openSync(join(directory, "a"), "w");
  const sync = apart();
  await sync(fd);
  // The thread has begun when another round through it is quick; until then the pool serves.
  await new Promise((done) => setTimeout(done, 1000));
  const release = busyPool();
  const pool = await longestMs(() => promised(fs.fdatasync)(fd));
  const inThread = await longestMs(() => sync(fd));
  await release();
  fs.closeSync(fd);
  expect(inThread).toBeLessThan(pool / 2);
});

test("an error of the sync reaches who waits for it, in the pool and in the thread, and the next sync works", async () => {
  const path = join(directory, "b");
  const fd = fs.openSync(path, "w");
  const sync = apart();
  await expect(sync(999_999)).rejects.toMatchObject({ code: "EBADF" });
  await sync(fd);
  await new Promise((done) => setTimeout(done, 1000));
  await expect(sync(999_999)).rejects.toMatchObject({ code: "EBADF" });
  await sync(fd);
  fs.closeSync(fd);
});

test("a file's writes, syncs and its close keep their order with syncs apart", async () => {
  const disk = diskSyncingBy(dataSyncApart({ slowMs: 0 }));
  const file = await disk.open(join(directory, "c"), "write");
  await file.dataSync();
  await new Promise((done) => setTimeout(done, 1000));
  await Promise.all([file.write([Buffer.from("ab")], 0), file.dataSync(), file.write([Buffer.from("cd")], 2), file.dataSync(), file.close()]);
  expect((await disk.readFile(file.path)).toString()).toBe("abcd");
});
