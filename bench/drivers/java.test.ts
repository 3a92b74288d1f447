import { expect, test } from "vitest";
import { parseConsumer, parseProducer } from "./java.ts";

test("the producer's summary is read, and one that sent less is none", () => {
  const printed = "9 records sent, 1.0 records/sec (0.00 MB/sec), 1.0 ms avg latency, 2.0 ms max latency.\n1000 records sent, 500.000000 records/sec (100.00 MB/sec), 1.50 ms avg latency, 80.00 ms max latency, 1 ms 50th, 3 ms 95th, 7 ms 99th, 9 ms 99.9th.\n";
  expect(parseProducer(printed, { records: 1000, size: 100 })).toEqual({ records: 1000, bytes: 100_000, megabytesPerSecond: 104.8576, ackP99Ms: 7 });
  expect(() => parseProducer(printed, { records: 1001, size: 100 })).toThrow("1001 records were wanted");
});

test("the consumer's line is read, and one that got less is none", () => {
  const printed = "2026-11-22 20:00:00:000, 2026-11-22 20:00:02:000, 97.6563, 48.8281, 100000, 50000.0, 1606000000000, -1605999998000, -0.0000, -0.0001\n";
  expect(parseConsumer(printed, 100_000)).toMatchObject({ records: 100_000, megabytesPerSecond: expect.closeTo(51.2, 1) as number });
  expect(() => parseConsumer(printed, 100_001)).toThrow("100001 records were wanted");
});
