import { expect, test } from "vitest";
import { ErrorCode } from "../../protocol/error-codes.ts";
import { describeLogDirs } from "../../protocol/messages/describe-log-dirs.ts";
import { append, PartitionBench } from "../../replication/testing/partition-bench.ts";
import { Served } from "../testing/served.ts";
import { describeLogDirsRoute } from "./describe-log-dirs.ts";

/** t-0 and t-1 of two records each in /data; u-0, a log without a replica, there too; another directory has failed. */
async function stage() {
  const bench = new PartitionBench();
  const partitions = [bench.led({}, "t", 0), bench.led({}, "t", 1)];
  for (const partition of partitions) for (let record = 0; record < 2; record++) append(partition);
  const stray = bench.create("u", 0);
  const logs = {
    directories: [{ path: "/data", failure: undefined }, { path: "/empty", failure: undefined }, { path: "/broken", failure: new Error("EIO") }],
    logs: [...partitions, stray].map(({ log }) => log),
    futureLogs: [bench.create("t", 0).log],
  };
  const replicas = { find: (topic: string, index: number) => (topic === "t" ? (partitions[index] ?? ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) : ErrorCode.UNKNOWN_TOPIC_OR_PARTITION) };
  return { served: await Served.start([describeLogDirsRoute({ logs, replicas })]), size: partitions[0]?.log.sizeBytes };
}

for (let version = 0; version <= 4; version++) {
  test(`DescribeLogDirs ${version}: the size and lag of each log, by directory; a failed one says so`, async () => {
    const { served, size } = await stage();
    expect(size).toBeGreaterThan(0);
    const answer = await served.ask(describeLogDirs, version, { topics: null });
    expect(answer.results).toMatchObject([
      {
        errorCode: 0,
        logDir: "/data",
        topics: [
          {
            name: "t",
            partitions: [
              { partitionIndex: 0, partitionSize: size, offsetLag: 0, isFutureKey: false },
              { partitionIndex: 1, partitionSize: size, offsetLag: 0, isFutureKey: false },
              { partitionIndex: 0, partitionSize: 0, offsetLag: 2, isFutureKey: true },
            ],
          },
          { name: "u", partitions: [{ partitionIndex: 0, partitionSize: 0, offsetLag: -1, isFutureKey: false }] },
        ],
      },
      { errorCode: 0, logDir: "/empty", topics: [] },
      { errorCode: ErrorCode.KAFKA_STORAGE_ERROR, logDir: "/broken", topics: [] },
    ]);
    if (version >= 4) expect(answer.results[0]).toMatchObject({ totalBytes: -1, usableBytes: -1 });
  });
}

test("DescribeLogDirs tells of the partitions that are asked for alone", async () => {
  const { served } = await stage();
  const { results } = await served.ask(describeLogDirs, 4, { topics: [{ topic: "t", partitions: [1, 7] }] });
  expect(results[0]?.topics).toMatchObject([{ name: "t", partitions: [{ partitionIndex: 1 }] }]);
});
