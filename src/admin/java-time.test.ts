import { expect, test } from "vitest";
import { errorCode } from "../lib/error.ts";
import { parseDateTime, parseDuration } from "./java-time.ts";

const codeOf = (task: () => unknown): string | undefined => {
  try {
    task();
    return undefined;
  } catch (error) {
    return errorCode(error);
  }
};

test("dates and times of every zone, with fewer digits, and running over", () => {
  const at = Date.UTC(2020, 0, 2, 3, 4, 5, 6);
  for (const text of ["2020-01-02T03:04:05.006", "2020-01-02T03:04:05.006Z", "2020-1-2T3:4:5.6", "2020-01-02T11:04:05.006+08", "2020-01-02T11:04:05.006+0800", "2020-01-02T11:04:05.006+08:00", "2020-01-01T21:34:05.006-0530"]) {
    expect([text, parseDateTime(text)]).toEqual([text, at]);
  }
  expect(parseDateTime("2020-13-32T25:61:61.1000")).toBe(Date.UTC(2020, 12, 32, 25, 61, 62));
  expect(parseDateTime("0050-01-01T00:00:00.000")).toBe(Date.parse("0050-01-01T00:00:00Z"));
});

test("without milliseconds, without a time, or with anything behind, it is no date and time", () => {
  for (const text of ["2020-01-02T03:04:05", "2020-01-02", "2020-01-02 03:04:05.006", "2020-01-02T03:04:05.006x", "2020-01-02T03:04:05.006+8", ""]) expect([text, codeOf(() => parseDateTime(text))]).toEqual([text, "ERR_DATE_TIME"]);
});

test("durations of days and time, with fractions of seconds and signs", () => {
  const cases: readonly (readonly [string, number])[] = [
    ["P7D", 604_800_000], ["PT1H30M", 5_400_000], ["P1DT1H", 90_000_000], ["PT0.5S", 500], ["PT1,25s", 1250], ["PT-0.5S", -500], ["-P1D", -86_400_000], ["PT-1H30M", -1_800_000], ["pt10s", 10_000], ["PT1.S", 1000], ["+PT0S", 0],
  ];
  for (const [text, millis] of cases) expect([text, parseDuration(text) + 0]).toEqual([text, millis]);
  for (const text of ["P", "PT", "P1DT", "1D", "P1M", "P1Y", "PT1.5H", "PT.5S", "P1D1H", ""]) expect([text, codeOf(() => parseDuration(text))]).toEqual([text, "ERR_DURATION"]);
});
