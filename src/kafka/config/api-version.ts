/**
 * The versions that `inter.broker.protocol.version` and `message.format.version` may name, oldest first, up to that
 * of Kafka 2.7.1 (core/src/main/scala/kafka/api/ApiVersion.scala).
 */
const versions = [
  "0.8.0", "0.8.1", "0.8.2", "0.9.0",
  "0.10.0-IV0", "0.10.0-IV1", "0.10.1-IV0", "0.10.1-IV1", "0.10.1-IV2", "0.10.2-IV0",
  "0.11.0-IV0", "0.11.0-IV1", "0.11.0-IV2",
  "1.0-IV0", "1.1-IV0", "2.0-IV0", "2.0-IV1", "2.1-IV0", "2.1-IV1", "2.1-IV2", "2.2-IV0", "2.2-IV1",
  "2.3-IV0", "2.3-IV1", "2.4-IV0", "2.4-IV1", "2.5-IV0", "2.6-IV0", "2.7-IV0", "2.7-IV1", "2.7-IV2",
] as const;

/** The full name of a version, such as "2.7-IV2". */
export type ApiVersion = (typeof versions)[number];

export const latestApiVersion: ApiVersion = "2.7-IV2";

/**
 * "2.7-IV1" is that version; "2.7" and "2.7.1" mean the last one of the 2.7 line. Undefined where there is none.
 * Of a version that starts with "0." three parts count, of others two.
 */
export function parseApiVersion(text: string): ApiVersion | undefined {
  const key = text.split(".").slice(0, text.startsWith("0.") ? 3 : 2).join(".");
  return versions.findLast((version) => version === key || version.startsWith(`${key}-`));
}

export function compareApiVersions(a: ApiVersion, b: ApiVersion): number {
  return versions.indexOf(a) - versions.indexOf(b);
}

/** The magic of the record batches that belong to a message format version. */
export function recordVersion(version: ApiVersion): 0 | 1 | 2 {
  if (compareApiVersions(version, "0.11.0-IV0") >= 0) return 2;
  return compareApiVersions(version, "0.10.0-IV0") >= 0 ? 1 : 0;
}

export const apiVersionCheck = {
  allowed: "a version such as 2.7 or 2.7-IV2, up to 2.7",
  test: (text: string): boolean => parseApiVersion(text) !== undefined,
};
