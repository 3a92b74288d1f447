import { expect, test } from "vitest";
import type { Case } from "./case.ts";
import { rowsOf, type Row } from "./harness.ts";
import { digits, document, historyLine, table } from "./report.ts";

const run = { time: "2026-11-22T20:00:00.000Z", commit: "abc1234", full: false, machine: "2 cores" };

const example: Case = {
  id: "example",
  title: "an example",
  topology: "three",
  core: true,
  rounds: 3,
  warmups: 0,
  figures: [
    { key: "speed", title: "throughput", unit: "MB/s", better: "more", reach: 1.5 },
    { key: "speed", title: "beside nothing", unit: "MB/s", better: "more", reach: 0.5, against: "nothing" },
    { key: "delay", title: "delay", unit: "ms", better: "less" },
  ],
  run: () => Promise.reject(new Error("not run")),
};

const rounds = [
  { odradek: { speed: 300, delay: 1 }, apache: { speed: 100, delay: 2 }, references: { nothing: 1000 } },
  { odradek: { speed: 200, delay: 1 }, apache: { speed: 100, delay: 2 }, references: { nothing: 1000 } },
  { odradek: { speed: 100, delay: 1 }, apache: { speed: 100, delay: 2 }, references: { nothing: 1000 } },
];

test("a case gives a row a figure, compared with Apache or with what the figure names", () => {
  const [beside, reference, delay] = rowsOf(example, rounds);
  expect(beside).toMatchObject({ case: "example/speed", ours: { median: 200, min: 100, max: 300 }, theirs: { median: 100 }, ratio: { lower: 1.5, median: 2, upper: 2.5 }, holds: true });
  expect(reference).toMatchObject({ case: "example/speed/nothing", against: "nothing", ratio: { median: 0.2 }, holds: false });
  expect(delay).toMatchObject({ ratio: { median: 0.5 }, reach: undefined, holds: undefined });
});

test("a round without a figure is none, never a zero", () => {
  expect(() => rowsOf(example, [...rounds, { odradek: { speed: 1 }, apache: { speed: 1, delay: 1 }, references: { nothing: 1 } }])).toThrow("example gives no delay");
});

test("a line of history has run, case, unit, both sides, ratio, reach and holds", () => {
  const [row] = rowsOf(example, rounds) as [Row];
  expect(JSON.parse(historyLine(run, row))).toEqual({
    run: { time: run.time, commit: "abc1234", full: false },
    case: "example/speed",
    unit: "MB/s",
    ours: { median: 200, min: 100, max: 300 },
    apache: { median: 100, min: 100, max: 100 },
    ratio: { lower: 1.5, median: 2, upper: 2.5 },
    reach: 1.5,
    holds: true,
    rounds: 3,
  });
});

test("a failed case stays in the table and in the history, without a figure", () => {
  const failed = { case: "example", title: "an example", failed: "round 2 of apache: record | lost\nmore" };
  expect(table([failed])).toContain("| an example | | | | | | **failed**: round 2 of apache: record \\| lost more | |");
  expect(JSON.parse(historyLine(run, failed))).toEqual({ run: { time: run.time, commit: "abc1234", full: false }, case: "example", failed: "round 2 of apache: record | lost" });
});

test("the newest Kafka stands beside, and no mark is made of it", () => {
  const [row] = rowsOf(example, rounds.map((round) => ({ ...round, kraft: { speed: 150, delay: 3 } }))) as [Row];
  expect(row).toMatchObject({ kraft: { median: 150 }, ratio: { median: 2 } });
  expect(table([row])).toMatch(/\| 150 \(150 to 150\) \|\n$/);
  expect(JSON.parse(historyLine(run, row))).toMatchObject({ apache: { median: 100 }, kraft: { median: 150 } });
});

test("lost rows are marked as such", () => {
  const lines = table(rowsOf(example, rounds)).split("\n");
  expect(lines[2]).toMatch(/\| 2 \(1.5 to 2.5\) \| ≥ 1.5 \| holds \|  \|$/);
  expect(lines[3]).toMatch(/\| 1000 \(1000 to 1000\) \(nothing\) \| .* \| ≥ 0.5 \| \*\*lost\*\* \|  \|$/);
});

test("figures have three digits, and all of those before the point", () => {
  expect([0.012345, 1.2345, 12345.6].map(digits)).toEqual(["0.0123", "1.23", "12346"]);
});

test("the document names the settings, and keeps what people wrote", () => {
  const text = document({ core: { run, rows: rowsOf(example, rounds) }, full: undefined, notes: "Lost since …\n" });
  expect(text).toContain("min.insync.replicas=2");
  expect(text).toContain("commit abc1234, 2 cores");
  expect(text.endsWith("## Notes\nLost since …\n")).toBe(true);
});
