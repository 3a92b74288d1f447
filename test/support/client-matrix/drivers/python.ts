import { existsSync } from "node:fs";
import { join } from "node:path";
import { hasConfluentKafka } from "../../producer-history.ts";
import type { ClientUnderTest } from "../client.ts";
import { scriptedClient } from "./script.ts";

/** Debian's, whatever other Python is on the path. */
export const PYTHON = "/usr/bin/python3";
export const KAFKA_PYTHON = join(import.meta.dirname, "kafka-python.py");
const PACKAGES = "/usr/lib/python3/dist-packages";

export { hasConfluentKafka };

const missing = ["kafka", "snappy", "lz4", "zstandard", "xxhash"].filter((name) => !existsSync(`${PACKAGES}/${name}`));
export const hasKafkaPython = missing.length === 0;
if (!hasKafkaPython) console.warn(`SKIPPED kafka-python: no ${missing.join(", ")} in ${PACKAGES} (apt-get install ${missing.map((name) => `python3-${name}`).join(" ")})`);

/** Debian's confluent-kafka, librdkafka under Python. */
export function confluentKafka(bootstrap: string): ClientUnderTest {
  return scriptedClient({ name: "confluent-kafka", command: [PYTHON, join(import.meta.dirname, "confluent.py")], codecs: ["none", "gzip", "snappy", "lz4", "zstd"], bootstrap });
}

/** Debian's kafka-python, which finds out what the broker can. */
export function kafkaPython(bootstrap: string): ClientUnderTest {
  return scriptedClient({ name: "kafka-python", command: [PYTHON, KAFKA_PYTHON], codecs: ["none", "gzip", "snappy", "lz4", "zstd"], bootstrap });
}
