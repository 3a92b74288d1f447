import { mkdtempSync, readFileSync, readdirSync, rmSync, statSync, truncateSync, utimesSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { realHost } from "../../host/real/host.ts";
import { defaultLogConfig } from "./log-config.ts";
import { LogManager, logManagerDefaults, type LogManagerOptions } from "./log-manager.ts";
import type { PartitionLog } from "./log.ts";
import { offsetsIn, testBatch } from "./testing.ts";

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "log-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function open(options: Partial<LogManagerOptions> = {}): Promise<LogManager> {
  return LogManager.open({
    ...logManagerDefaults,
    host: realHost({ logLevel: "error" }),
    directories: [directory],
    failed: new Map(),
    producerExpirationMs: Infinity,
    tailBytesMax: 100_000,
    configOf: () => ({ ...defaultLogConfig, segmentBytes: 500_000 }),
    onDirectoryFailed: (_directory, error) => {
      throw error;
    },
    ...options,
  });
}

async function appendAll(log: PartitionLog, sizes: readonly number[]): Promise<void> {
  const appended = sizes.map(
    (bytes) =>
      new Promise<void>((resolve, reject) => {
        log.appendAsLeader(testBatch({ bytes }), { leaderEpoch: 0, origin: "client" }, (error) => (error === undefined ? resolve() : reject(error)));
      }),
  );
  await Promise.all(appended);
}

async function lastOffsets(log: PartitionLog): Promise<number[]> {
  const offsets: number[] = [];
  while (offsets.length < log.endOffset) {
    const read = await log.read({ offset: offsets.length, maxBytes: 100_000, maxOffset: log.endOffset, minOneMessage: true });
    if (read.kind === "refused" || read.bytes === 0) break;
    offsets.push(...offsetsIn(Buffer.concat(read.chunks)).map(([, last]) => last));
  }
  return offsets;
}

test("small and large batches, over segments, a clean stop and a crash, on this machine's disk", async () => {
  const sizes = Array.from({ length: 300 }, (_, index) => (index % 20 === 19 ? 80_000 : 200 + index));
  const all = sizes.map((_, index) => index);
  const first = await open();
  const log = await first.getOrCreate("t", 0);
  await appendAll(log, sizes);
  expect([log.endOffset, log.writtenOffset, log.segments.length]).toEqual([300, 300, 3]);
  expect(await lastOffsets(log)).toEqual(all);
  await first.close();

  const second = await open();
  const reopened = second.get("t", 0) as PartitionLog;
  expect(await lastOffsets(reopened)).toEqual(all);
  await appendAll(reopened, [100, 100]);
  const active = join(reopened.directory, `${String(reopened.segments.at(-1)?.baseOffset).padStart(20, "0")}.log`);
  const { size } = statSync(active);
  await second.close();
  rmSync(join(directory, ".kafka_cleanshutdown"));
  truncateSync(active, size - 1);

  const third = await open();
  expect(third.get("t", 0)?.endOffset).toBe(301);
  await third.close();
});

test("a compaction on this machine's disk keeps the last record of a key and the age of its segment, and a start finds nothing to do", async () => {
  const cleaner = { backoffMs: 15_000, dedupeBufferBytes: 1024 * 1024, ioBufferLoadFactor: 0.9, ioBufferBytes: 65_536 };
  const compacted: Partial<LogManagerOptions> = { cleaner, isCompacted: () => true, configOf: () => ({ ...defaultLogConfig, segmentBytes: 100_000, cleanupPolicy: ["compact"], fileDeleteDelayMs: 0 }) };
  const first = await open(compacted);
  const log = await first.getOrCreate("t", 0);
  await appendAll(
    log,
    Array.from({ length: 300 }, () => 1000),
  );
  log.setHighWatermark(300);
  await log.flush();
  const files = readdirSync(log.directory).filter((name) => name.endsWith(".log"));
  expect(files.length).toBe(4);
  for (const name of files.slice(0, -1)) utimesSync(join(log.directory, name), 1_600_000_000, 1_600_000_000);
  expect(await first.cleaner?.cleanOnce()).toBe(true);
  expect([log.segments.slice(0, -1).map((segment) => segment.sizeBytes > 0), log.endOffset]).toEqual([[false, false, true], 300]);
  for (const name of files.slice(0, -1)) expect(statSync(join(log.directory, name)).mtimeMs).toBe(1_600_000_000_000);
  await first.close();
  expect(readFileSync(join(directory, "cleaner-offset-checkpoint"), "utf8")).toBe(`0\n1\nt 0 ${log.segments.at(-1)?.baseOffset}\n`);

  const second = await open(compacted);
  expect([second.get("t", 0)?.endOffset, second.get("t", 0)?.segments.length, await second.cleaner?.cleanOnce()]).toEqual([300, 4, false]);
  expect(readdirSync(log.directory).filter((name) => /\.(cleaned|swap)$/.test(name))).toEqual([]);
  await second.close();
});
