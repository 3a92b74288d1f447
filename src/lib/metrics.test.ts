import * as fc from "fast-check";
import { describe, expect, test } from "vitest";
import { parseExposition, sampleOf } from "../../test/support/exposition.ts";
import { family, fineBounds, Histogram, histogram, labels, renderMetrics, single, summary, type Family } from "./metrics.ts";

const text = (families: readonly Family[]): string => [...renderMetrics(families)].join("");

describe("the text", () => {
  test("is read back by a strict parser, whatever stands in labels and help", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary" }), fc.double(), (value, number) => {
        const parsed = parseExposition(text([family("gauge", "g", `of ${value}`, () => [[labels({ topic: value }), number]])]));
        const [sample] = [...(parsed.get("g")?.samples ?? [])];
        expect(sample?.[1]).toBe(Object.is(number, -0) ? 0 : number);
      }),
      { seed: 1, numRuns: 500, examples: [["\r", 0], ["\n\\\"\u2028", 1]] },
    );
  });

  test("has a name once, under one help and type, where several families tell their samples apart", () => {
    const of = (loop: string): Family[] => [family("gauge", "lag", "Lag", () => [[labels({ loop }), 1]]), single("counter", `only_${loop}`, "Only", () => 2)];
    const parsed = parseExposition(text([...of("broker"), ...of("member")]));
    expect([...parsed.keys()]).toEqual(["lag", "only_broker", "only_member"]);
    expect([...(parsed.get("lag")?.samples.keys() ?? [])]).toEqual(['lag{loop="broker"}', 'lag{loop="member"}']);
  });

  test("leaves out what has no value, its heading too", () => {
    expect(text([single("gauge", "absent", "Absent", () => undefined), single("gauge", "g", "G", () => 1.5)])).toBe("# HELP g G\n# TYPE g gauge\ng 1.5\n");
  });

  test("comes in chunks of some KB, so that nobody waits for the whole", () => {
    const chunks = [...renderMetrics([family("gauge", "g", "G", () => Array.from({ length: 10_000 }, (_, n) => [labels({ n }), n]))])];
    expect(Math.max(...chunks.map((chunk) => chunk.length))).toBeLessThan(17_000);
    expect(parseExposition(chunks.join("")).get("g")?.samples.size).toBe(10_000);
  });

  test("of a histogram is cumulative, and ends with all", () => {
    const observed = new Histogram(Float64Array.of(1, 10));
    for (const value of [0.5, 1, 2, 100]) observed.observe(value);
    const parsed = parseExposition(text([histogram("h", "H", () => [['loop="x"', observed]])]));
    expect([...(parsed.get("h")?.samples ?? [])]).toEqual([
      ['h_bucket{loop="x",le="1"}', 2],
      ['h_bucket{loop="x",le="10"}', 3],
      ['h_bucket{loop="x",le="+Inf"}', 4],
      ['h_sum{loop="x"}', 103.5],
      ['h_count{loop="x"}', 4],
    ]);
  });
});

describe("a histogram", () => {
  test("counts each value in the first bucket that holds it", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0, max: 200, noNaN: true })), (values) => {
        const bounds = [0.1, 1, 3, 50];
        const observed = new Histogram(Float64Array.from(bounds));
        for (const value of values) observed.observe(value);
        const expected = [0, 0, 0, 0, 0];
        for (const value of values) {
          const at = bounds.findIndex((bound) => value <= bound);
          expected[at === -1 ? 4 : at] = (expected[at === -1 ? 4 : at] ?? 0) + 1;
        }
        expect([...observed.counts]).toEqual(expected);
        expect(observed.count).toBe(values.length);
      }),
    );
  });

  test("gives quantiles within a bucket's width of the truth", () => {
    fc.assert(
      fc.property(fc.array(fc.double({ min: 0.01, max: 1000, noNaN: true }), { minLength: 1, maxLength: 300 }), fc.double({ min: 0.01, max: 1, noNaN: true }), (values, q) => {
        const observed = new Histogram(fineBounds(0.001, 10_000));
        for (const value of values) observed.observe(value);
        const truth = values.toSorted((a, b) => a - b)[Math.ceil(q * values.length) - 1] ?? Number.NaN;
        const told = observed.recent(0).quantile(q);
        expect(told).toBeGreaterThan(truth / 2 ** 0.26);
        expect(told).toBeLessThan(truth * 2 ** 0.26);
      }),
    );
  });

  test("tells of the last one to two minutes where it is asked often, and of the start at first", () => {
    const observed = new Histogram(fineBounds(0.001, 10_000));
    const about = (value: number): unknown => expect.closeTo(value, -Math.log10(value / 3));
    const p50 = (nowMs: number): number => observed.recent(nowMs).quantile(0.5);
    for (let n = 0; n < 10; n++) observed.observe(1000);
    expect(p50(0)).toEqual(about(1000));
    for (let n = 0; n < 10; n++) observed.observe(1);
    expect(observed.recent(30_000).max).toBe(1000);
    expect(observed.recent(60_000).quantile(0.9)).toEqual(about(1));
    expect(observed.recent(60_000).max).toBe(1);
    expect(p50(90_000)).toEqual(about(1));
    expect(p50(120_000)).toBeNaN();
    expect(observed.recent(120_000).max).toBe(0);
    expect(observed.sum).toBe(10_010);
  });

  test("as a summary has quantiles of the last while, and the sum and count of all", () => {
    const observed = new Histogram(Float64Array.of(1, 2, 4));
    observed.observe(1.5);
    const parsed = parseExposition(text([summary("s", "S", { nowMs: () => 0, quantiles: ["0.50", "0.999"] }, () => [["", observed]])]));
    expect(parsed.get("s")?.type).toBe("summary");
    expect(sampleOf(parsed, 's{quantile="0.50"}')).toBe(1.5);
    expect(sampleOf(parsed, "s_count")).toBe(1);
  });
});
