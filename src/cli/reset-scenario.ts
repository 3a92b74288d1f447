import { parseDateTime, parseDuration } from "../admin/java-time.ts";
import type { ResetScenario } from "../admin/reset-plan.ts";
import { OperationalError } from "../lib/error.ts";

/** The flags of which one says where a group is to go on, without dashes. */
export const SCENARIO_FLAGS = ["to-offset", "shift-by", "to-datetime", "by-duration", "to-earliest", "to-latest", "to-current"] as const;

/** `argument`: of a flag, "" where it has none; undefined: it is not given. Undefined: none of them is. Throws ERR_USAGE, ERR_DATE_TIME, ERR_DURATION. */
export function resetScenario(argument: (flag: (typeof SCENARIO_FLAGS)[number]) => string | undefined, nowMs: number): ResetScenario | undefined {
  const flag = SCENARIO_FLAGS.find((one) => argument(one) !== undefined);
  const value = flag === undefined ? "" : (argument(flag) ?? "");
  switch (flag) {
    case undefined:
      return undefined;
    case "to-offset":
      return { kind: flag, offset: wholeNumber(flag, value) };
    case "shift-by":
      return { kind: flag, by: wholeNumber(flag, value) };
    case "to-datetime":
      return { kind: "to-time", time: parseDateTime(value) };
    case "by-duration":
      return { kind: "to-time", time: nowMs - parseDuration(value) };
    case "to-earliest":
    case "to-latest":
    case "to-current":
      return { kind: flag };
  }
}

function wholeNumber(flag: string, text: string): number {
  const value = Number(text);
  if (!/^[+-]?\d+$/.test(text) || !Number.isSafeInteger(value)) throw new OperationalError("ERR_USAGE", `--${flag}: "${text}" is no whole number that is exact here`);
  return value;
}
