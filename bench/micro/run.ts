import { mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import process from "node:process";
import { Bench } from "tinybench";
import { realHost } from "../../src/host/real/host.ts";
import { LogTimes } from "../../src/kafka/log/log-times.ts";
import { defaultLogConfig } from "../../src/kafka/log/log-config.ts";
import { OffsetIndex } from "../../src/kafka/log/offset-index.ts";
import { createLog } from "../../src/kafka/log/open-log.ts";
import { SegmentCache } from "../../src/kafka/log/segment-cache.ts";
import { TailBudget } from "../../src/kafka/log/tail-cache.ts";
import { fetch } from "../../src/kafka/protocol/messages/fetch.ts";
import { produce } from "../../src/kafka/protocol/messages/produce.ts";
import { buildBatch } from "../../src/kafka/records/build.ts";
import { crc32c } from "../../src/kafka/records/crc.ts";
import { RecordsValidator } from "../../src/kafka/records/validate.ts";
import { TaskGroup } from "../../src/lib/task-group.ts";

/** The versions that librdkafka and brokers of 2.7.1 speak. */
const PRODUCE_VERSION = 7;
const FETCH_VERSION = 11;

const PARTITIONS = 12;
const KB = 1024;

/** The log is begun anew before it fills a disk. */
const LOG_BYTES_MAX = 512 * KB * KB;

function batchOf(records: number, bytes: number): Buffer {
  return buildBatch(Array.from({ length: records }, () => ({ key: null, value: Buffer.alloc(bytes, "x"), timestamp: 1 })));
}

function addMessages(bench: Bench): void {
  const records = [batchOf(16, KB)];
  const partitions = Array.from({ length: PARTITIONS }, (_, index) => index);
  const produced = produce.request.encode({ transactionalId: null, acks: -1, timeoutMs: 30_000, topicData: [{ name: "topic", partitionData: partitions.map((index) => ({ index, records })) }] }, PRODUCE_VERSION);
  const acknowledged = { responses: [{ name: "topic", partitionResponses: partitions.map((index) => ({ index, errorCode: 0, baseOffset: 1_000_000, logStartOffset: 0 })) }] };
  const asked = fetch.request.encode(
    { maxWaitMs: 500, minBytes: 1, topics: [{ topic: "topic", partitions: partitions.map((partition) => ({ partition, fetchOffset: 1_000_000, partitionMaxBytes: KB * KB })) }], forgottenTopicsData: [] },
    FETCH_VERSION,
  );
  const answer = { responses: [{ topic: "topic", partitions: partitions.map((partitionIndex) => ({ partitionIndex, errorCode: 0, highWatermark: 1_000_000, records })) }] };
  bench
    .add(`decode a produce request, ${PARTITIONS} partitions of 16 KB`, () => void produce.request.decode(produced, PRODUCE_VERSION))
    .add(`encode its response`, () => void produce.response.encode(acknowledged, PRODUCE_VERSION))
    .add(`decode a fetch request, ${PARTITIONS} partitions`, () => void fetch.request.decode(asked, FETCH_VERSION))
    .add(`encode its response, 16 KB each, copied to one buffer`, () => void fetch.response.encode(answer, FETCH_VERSION));
}

function addChecksums(bench: Bench): void {
  for (const bytes of [100, KB, 16 * KB, KB * KB]) {
    const buffer = Buffer.alloc(bytes, "x");
    bench.add(`CRC-32C of ${bytes} B`, () => void crc32c(buffer));
  }
}

function addIndex(bench: Bench): void {
  const entries = 100_000;
  const index = new OffsetIndex(0, entries * 8, Buffer.alloc(0));
  for (let entry = 1; entry <= entries; entry++) index.append(entry * 10, entry * 4096);
  let offset = 0;
  bench.add(`look up an offset in an index of ${entries} entries`, () => {
    offset = (offset + 7919) % (entries * 10);
    index.positionFor(offset);
  });
}

/** Logs on this machine's disk, without the network; what they write goes with `end`. */
function addAppends(bench: Bench): { end(): void } {
  const host = realHost({ logLevel: "silent" });
  const directory = mkdtempSync(join(tmpdir(), "bench-micro-"));
  const tasks = new TaskGroup((error) => host.fail(error));
  const context = {
    clock: host.clock,
    timers: host.timers,
    disk: host.disk,
    random: host.random,
    log: host.log,
    tasks,
    buffers: host.buffers,
    tails: new TailBudget(16 * KB * KB, host.buffers),
    cache: new SegmentCache(KB * KB, tasks),
    validator: new RecordsValidator(),
    times: new LogTimes(),
    producerExpirationMs: Infinity,
    saveRecoveryPoints: () => Promise.resolve(),
    onIoError: (_logDirectory: string, error: Error) => host.fail(error),
  };
  let logs = 0;
  const newLog = (): ReturnType<typeof createLog> => createLog(context, { topic: "t", partition: logs, logDirectory: directory, name: `t-${logs++}`, config: defaultLogConfig });
  for (const bytes of [KB, 16 * KB]) {
    const batch = batchOf(1, bytes);
    let log = newLog();
    bench.add(`append a batch of ${bytes} B`, () => {
      if (log.sizeBytes > LOG_BYTES_MAX) log = newLog();
      const appended = log.appendAsLeader(Buffer.from(batch), { leaderEpoch: 0, origin: "client" }, () => undefined);
      if (appended.kind === "refused") throw new Error(appended.message);
    });
  }
  return { end: () => rmSync(directory, { recursive: true, force: true }) };
}

const bench = new Bench({ time: 1000, warmupTime: 200, throws: true });
addMessages(bench);
addChecksums(bench);
addIndex(bench);
const appends = addAppends(bench);
await bench.run();
console.table(bench.table());
appends.end();
// Logs have files open and timers running.
process.exit(0);
