import { OperationalError } from "../lib/error.ts";

const DATE_TIME = /^(\d+)-(\d+)-(\d+)T(\d+):(\d+):(\d+)\.(\d+)(Z|[+-]\d{2}(?::?\d{2})?)?$/;

/**
 * Milliseconds since the epoch of `yyyy-MM-ddTHH:mm:ss.SSS` with a zone: `Z`, `+08`, `+0800` or `+08:00`, none for
 * UTC. Fields may have fewer digits, and run over as Java's lenient calendar lets them; what stands behind the dot are
 * milliseconds as a number. Throws ERR_DATE_TIME. Source: clients/…/common/utils/Utils.java, getDateTime.
 */
export function parseDateTime(text: string): number {
  const match = DATE_TIME.exec(text);
  if (match === null) throw new OperationalError("ERR_DATE_TIME", `"${text}" is no date and time of the form 2026-11-22T14:05:00.000, with a zone (Z, +08, +0800, +08:00) or without one`);
  const [year = 0, month = 0, day = 0, hour = 0, minute = 0, second = 0, millis = 0] = match.slice(1, 8).map(Number);
  const time = new Date(0);
  time.setUTCFullYear(year, month - 1, day);
  time.setUTCHours(hour, minute, second, millis);
  return time.getTime() - zoneMinutes(match[8] ?? "Z") * 60_000;
}

function zoneMinutes(zone: string): number {
  if (zone === "Z") return 0;
  const minutes = Number(zone.slice(1, 3)) * 60 + Number(zone.slice(3).replace(":", "") || 0);
  return zone.startsWith("-") ? -minutes : minutes;
}

const DURATION = /^([+-]?)P(?:([+-]?\d+)D)?(?:T(?=[+-]?\d)(?:([+-]?\d+)H)?(?:([+-]?\d+)M)?(?:([+-]?\d+)(?:[.,](\d{0,9}))?S)?)?$/i;

/** Milliseconds of an ISO 8601 duration of days and time (`P7D`, `PT1H30M`, `-PT0.5S`). Throws ERR_DURATION. Source: java.time.Duration.parse. */
export function parseDuration(text: string): number {
  const match = DURATION.exec(text);
  if (match === null || match.slice(2, 6).every((part) => part === undefined)) {
    throw new OperationalError("ERR_DURATION", `"${text}" is no duration of the form PnDTnHnMn.nS, such as P7D or PT1H30M`);
  }
  const [days, hours, minutes, seconds] = match.slice(2, 6).map((part) => Number(part ?? 0)) as [number, number, number, number];
  const fraction = Math.floor(Number(`0.${match[6] || "0"}`) * 1000);
  const millis = ((days * 24 + hours) * 60 + minutes) * 60_000 + seconds * 1000 + (match[5]?.startsWith("-") === true ? -fraction : fraction);
  return match[1] === "-" ? -millis : millis;
}
