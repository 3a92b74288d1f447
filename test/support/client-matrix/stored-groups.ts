import { existsSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { expect } from "vitest";
import { dumpLog } from "../apache-kafka.ts";
import type { ClusterBroker } from "../kafka-cluster.ts";

const TOPIC = "__consumer_offsets";

/** What a broker's files say of groups, as DumpLogSegments with Apache's own decoder reads them: the last value of each key, such as `offset_commit::group=g,partition=t-0` → `offset=5`, without what was deleted. */
export async function storedGroups(classPath: string, broker: ClusterBroker, partitions: number): Promise<Map<string, string>> {
  const { code, stdout, stderr } = await dumped(classPath, broker, partitions);
  expect({ code, stderr }).toMatchObject({ code: 0 });
  // Offsets are missing where a log has been cleaned.
  expect(stdout + stderr).not.toMatch(/Exception|Mismatch|isvalid: false/);
  const values = new Map<string, string>();
  for (const [, key = "", payload = ""] of stdout.matchAll(/ key: (\S+::.*?) payload: (.*)$/gm)) {
    if (payload === "<DELETE>") values.delete(key);
    else values.set(key, payload);
  }
  return values;
}

/** What DumpLogSegments says of the segments; asked again where the broker's cleaner took one of them away meanwhile. */
async function dumped(classPath: string, broker: ClusterBroker, partitions: number): ReturnType<typeof dumpLog> {
  for (;;) {
    const segments = Array.from({ length: partitions }, (_, partition) => broker.segments(TOPIC, partition)).flat();
    const answer = await dumpLog(classPath, "--offsets-decoder", "--files", segments.join(","));
    if (answer.code === 0 || segments.every((path) => existsSync(path))) return answer;
  }
}

/** By partition of the offsets topic, how far its log has been cleaned. */
export function cleanedOffsets(broker: ClusterBroker): Map<number, number> {
  const path = join(broker.logDir, "cleaner-offset-checkpoint");
  if (!existsSync(path)) return new Map();
  const entries = readFileSync(path, "utf8").matchAll(/^__consumer_offsets (\d+) (\d+)$/gm);
  return new Map(Array.from(entries, ([, partition, offset]) => [Number(partition), Number(offset)]));
}
