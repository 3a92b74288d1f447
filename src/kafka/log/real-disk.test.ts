import { mkdtempSync, rmSync, statSync, truncateSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterEach, beforeEach, expect, test } from "vitest";
import { realHost } from "../../host/real/host.ts";
import { defaultLogConfig } from "./log-config.ts";
import { LogManager, logManagerDefaults } from "./log-manager.ts";
import type { PartitionLog } from "./log.ts";
import { offsetsIn, testBatch } from "./testing.ts";

let directory = "";

beforeEach(() => {
  directory = mkdtempSync(join(tmpdir(), "log-"));
});

afterEach(() => {
  rmSync(directory, { recursive: true });
});

function open(): Promise<LogManager> {
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
