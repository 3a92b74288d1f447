import { execFileSync } from "node:child_process";
import fs, { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { afterAll, expect, test } from "vitest";
import { diskWith } from "./disk.ts";
import { dataSyncApart, type DataSync } from "./sync-thread.ts";

const directory = mkdtempSync(join(tmpdir(), "odradek-sync-"));
afterAll(() => rmSync(directory, { recursive: true }));

/** libuv's own maximum. */
const POOL_THREADS_MAX = 1024;
const poolThreads = Math.min(Number(process.env["UV_THREADPOOL_SIZE"] ?? 4), POOL_THREADS_MAX);

/** Holds every thread of libuv's pool, until it is told to let go: who opens a pipe to read waits for a writer. */
async function heldPool(): Promise<() => Promise<void>> {
  const pipes = Array.from({ length: poolThreads }, (_, at) => join(directory, `pipe-${at}`));
  execFileSync("mkfifo", pipes);
  const opened = pipes.map((path) => fs.promises.open(path, "r"));
  return async () => {
    const writers = pipes.map((path) => fs.openSync(path, "r+"));
    for (const file of await Promise.all(opened)) await file.close();
    for (const writer of writers) fs.closeSync(writer);
  };
}

/** Syncs that have gone through the pool once, and whose thread has begun. */
async function apart(fd: number): Promise<DataSync> {
  let sync: DataSync = fs.fdatasync;
  await new Promise<void>((serving) => {
    sync = dataSyncApart({ slowMs: 0, onServing: serving });
    sync(fd, () => undefined);
  });
  return sync;
}

function done(sync: DataSync, fd: number): Promise<void> {
  return new Promise((resolve, reject) => sync(fd, (error) => (error === null ? resolve() : reject(error))));
}

test.skipIf(process.platform === "win32")("after a slow sync, syncs no longer wait for the pool", async () => {
  const fd = fs.openSync(join(directory, "a"), "w");
  const sync = await apart(fd);
  const release = await heldPool();
  let throughPool = false;
  const pool = done(fs.fdatasync, fd).then(() => (throughPool = true));
  await done(sync, fd);
  expect(throughPool).toBe(false);
  await release();
  await pool;
  fs.closeSync(fd);
});

test("an error of the sync reaches who waits for it, in the pool and in the thread, and the next sync works", async () => {
  const fd = fs.openSync(join(directory, "b"), "w");
  await expect(done(dataSyncApart(), 999_999)).rejects.toMatchObject({ code: "EBADF" });
  const sync = await apart(fd);
  await expect(done(sync, 999_999)).rejects.toMatchObject({ code: "EBADF" });
  await done(sync, fd);
  fs.closeSync(fd);
});

test("a file's writes, syncs and its close keep their order with syncs apart", async () => {
  const other = fs.openSync(join(directory, "d"), "w");
  const disk = diskWith({ dataSync: await apart(other) });
  const file = await disk.open(join(directory, "c"), "write");
  await Promise.all([file.write([Buffer.from("ab")], 0), file.dataSync(), file.write([Buffer.from("cd")], 2), file.dataSync(), file.close()]);
  expect((await disk.readFile(file.path)).toString()).toBe("abcd");
  fs.closeSync(other);
});
