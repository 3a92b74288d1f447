import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { CONFIGS_SPECS } from "../../src/cli/kafka/configs.ts";
import { CONSOLE_CONSUMER_OPTIONS } from "../../src/cli/kafka/console-consumer.ts";
import { CONSOLE_PRODUCER_OPTIONS } from "../../src/cli/kafka/console-producer.ts";
import { GROUPS_SPECS } from "../../src/cli/kafka/consumer-groups.ts";
import { TOPICS_SPECS } from "../../src/cli/kafka/topics.ts";

test("every option of Kafka's scripts that is refused, or has no effect, stands in docs/compat.md", () => {
  const compat = readFileSync(resolve(import.meta.dirname, "../../docs/compat.md"), "utf8");
  const specs = [...TOPICS_SPECS, ...CONFIGS_SPECS, ...GROUPS_SPECS, ...CONSOLE_CONSUMER_OPTIONS, ...CONSOLE_PRODUCER_OPTIONS].filter(({ refused, ignored }) => refused !== undefined || ignored !== undefined);
  const absent = specs.map(({ name }) => name).filter((name) => !new RegExp(`--${name}(?![\\w-])`).test(compat));
  expect(absent).toEqual([]);
});
