import { readFileSync, writeFileSync } from "node:fs";
import { expect, test } from "vitest";
import { brokerKeys } from "../../src/kafka/config/broker-keys.ts";
import { ownKeys } from "../../src/kafka/config/keys/own.ts";
import { dynamicOnlyKeys } from "../../src/kafka/config/keys/coordinator.ts";
import { topicKeys } from "../../src/kafka/config/topic-config.ts";
import type { ConfigKey, ConfigTable } from "../../src/lib/config/key.ts";
import { memberKeys } from "../../src/zookeeper/config/member-keys.ts";

const page = new URL("../../docs/config.md", import.meta.url);

function cell(text: string): string {
  return text.replaceAll("|", "\\|").replaceAll("<", "&lt;");
}

function fallback(key: ConfigKey<unknown>): string {
  if (key.required) return "must be set";
  if (key.default === undefined) return "unset";
  const { text } = key.default;
  return text === "" ? "empty" : `\`${text}\``;
}

function effect(key: ConfigKey<unknown>): string {
  if (key.effect === "honoured") return "";
  return `**${key.effect}**: ${key.reason}`;
}

function rows(table: ConfigTable, column: (key: ConfigKey<unknown>, name: string) => string): string {
  return Object.entries(table)
    .map(([name, key]) => {
      const cells = [`\`${name}\``, key.type, fallback(key), column(key, name), `${key.doc}. ${effect(key)}`.trim()];
      return `| ${cells.map(cell).join(" | ")} |`;
    })
    .join("\n");
}

function heading(column: string): string {
  return `| Key | Type | Default | ${column} | Meaning |\n|---|---|---|---|---|`;
}

function render(): string {
  const brokers = Object.values(brokerKeys);
  const counted = (kind: string): number => brokers.filter((key) => key.effect === kind).length;
  return `# Configuration

Made from the tables in src/kafka/config and src/zookeeper/config by \`npm run docs:config\`; do not edit.

Both files are read as Apache Kafka 2.7.1 and Apache ZooKeeper 3.5.9 read them: names, types, defaults and limits are theirs.
Everything wrong in a file is reported at once, each with file, line, key, value and what is allowed. A key that nobody knows is
named in a warning and otherwise ignored.

- **no effect**: the key is read, checked and described, but nothing acts on it; a warning says so when it is set to something
  other than its default.
- **refused**: a value other than the default stops the start, because to ignore it would leave open what it was meant to close.
  The same goes for listeners with TLS or SASL.

## Brokers: server.properties

${brokers.length} keys, ${counted("honoured")} of them honoured, ${counted("no effect")} without effect, ${counted("refused")} refused. "Change" says whether a running broker takes a new value,
for itself or for all brokers as well. \`listener.name.<name>.<key>\` sets a key for one listener; of those,
\`max.connections\` alone has an effect.

${heading("Change")}
${rows(brokerKeys, (key) => key.update)}

This project's own, which Apache's broker ignores with a warning:

${heading("Change")}
${rows(ownKeys, (key) => key.update)}

Only in ZooKeeper, never in the file:

${heading("Change")}
${rows(dynamicOnlyKeys, (key) => key.update)}

## Topics

What a topic does not set, its brokers' key decides.

${heading("Broker's key")}
${rows(topicKeys, (_key, name) => topicKeys[name as keyof typeof topicKeys].brokerKey ?? "")}

## ZooKeeper members: zookeeper.properties

Besides these: \`server.N=host:port:port[:participant|observer][;[host:]port]\`, \`group.N=N:N:…\` and \`weight.N=n\`.

${heading("Allowed")}
${rows(memberKeys, (key) => key.allowed)}
`;
}

test("docs/config.md shows what the tables say (npm run docs:config rewrites it)", () => {
  if (process.env["UPDATE_DOCS"] === "1") writeFileSync(page, render());
  expect(readFileSync(page, "utf8")).toBe(render());
});

test("every key's documentation is one sentence without a final stop, and every key without effect says why", () => {
  for (const [name, key] of Object.entries({ ...brokerKeys, ...topicKeys, ...dynamicOnlyKeys, ...ownKeys, ...memberKeys } as ConfigTable)) {
    expect(`${name}: ${key.doc}`).toMatch(/: [A-Z].*[^.]$/);
    expect(key.effect === "honoured").toBe(key.reason === undefined);
  }
});
