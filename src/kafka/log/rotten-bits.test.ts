import { expect, test } from "vitest";
import { errorCode } from "../../lib/error.ts";
import { BATCH_HEADER_BYTES, declaredBatchSize } from "../records/batch.ts";
import { LogBench } from "./testing.ts";

/** What a broker serves of a closed segment in which a bit has rotted: nobody checks it again before it is asked for. */

const BATCHES = 12;
const SEGMENT = "00000000000000000000.log";

/** A log of several segments of which nothing is in memory. */
function bench(): LogBench {
  const log = new LogBench({ segmentBytes: 600, indexIntervalBytes: 1 }, { tailBytesMax: 0, cacheBytesMax: 0 });
  for (let count = 0; count < BATCHES; count++) log.append({ count: 2, bytes: 40, timestamp: 1000 * count });
  return log;
}

/** All that clients and followers ask of a log; what came of it, errors by their codes. */
async function serve(log: LogBench): Promise<string[]> {
  const outcomes: string[] = [];
  const asked = async (question: Promise<unknown>): Promise<void> => {
    outcomes.push(await log.settle(question).then(() => "answered", (error: unknown) => errorCode(error) ?? `no code: ${String(error)}`));
  };
  for (let offset = 0; offset <= log.log.endOffset; offset++) {
    for (const maxBytes of [1, 200, 100_000]) for (const minOneMessage of [true, false]) await asked(log.log.read({ offset, maxBytes, maxOffset: log.log.endOffset, minOneMessage }));
  }
  for (const timestamp of [0, 1500, 100_000]) await asked(log.log.offsetForTimestamp(timestamp));
  return outcomes;
}

test.each([0, 1])("of batch %i of a closed segment, whichever bit of its header it is, every question is answered or refused by name, and other segments are served as ever", async (batch) => {
  const content = bench().content(SEGMENT);
  const sizeBytes = declaredBatchSize(content, 0, content.length);
  const problems: string[] = [];
  let changed = 0;
  for (let bit = 0; bit < 8 * BATCH_HEADER_BYTES; bit++) {
    const log = bench();
    const before = (await log.readAll()).join();
    const rotten = Buffer.from(content);
    const byte = batch * sizeBytes + (bit >> 3);
    rotten.writeUInt8(rotten.readUInt8(byte) ^ (1 << (bit & 7)), byte);
    log.write(SEGMENT, rotten);
    problems.push(...(await serve(log)).filter((outcome) => outcome.startsWith("no code")), ...log.context.ioErrors.map(String), ...log.world.failures.map(({ reason }) => String(reason)));
    const { endOffset } = log.log;
    const last = (await log.read(endOffset - 2)).join();
    if (last !== `${endOffset - 2},${endOffset - 1}`) problems.push(`bit ${bit}: the last segment reads ${last}`);
    if ((await log.readAll()).join() !== before) changed += 1;
  }
  expect(problems).toEqual([]);
  // Of the size, the format, or the offsets.
  expect(changed).toBeGreaterThan(50);
});
