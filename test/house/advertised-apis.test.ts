import { readFileSync } from "node:fs";
import { resolve } from "node:path";
import { expect, test } from "vitest";
import { apis } from "../../src/kafka/protocol/apis.ts";
import { apiVersions } from "../../src/kafka/protocol/messages/api-versions.ts";
import type { Api } from "../../src/kafka/protocol/api.ts";
import { SimulatedBrokers } from "../support/simulated-brokers.ts";

/** Declared for what our own client asks of others. */
const NOT_SERVED = new Set(["ListPartitionReassignments"]);

test("a broker advertises every version of what is declared, of what brokers tell each other the newest alone, and docs/compat.md says the same", async () => {
  const brokers = await SimulatedBrokers.start(1);
  const { response } = await brokers.world.settle(brokers.client().send(1, apiVersions, () => ({ clientSoftwareName: "test", clientSoftwareVersion: "1" })));
  const advertised = new Map(response.apiKeys.map(({ apiKey, minVersion, maxVersion }) => [apiKey, minVersion === maxVersion ? `${maxVersion}` : `${minVersion} to ${maxVersion}`]));
  const served = (Object.values(apis) as Api[]).filter(({ name }) => !NOT_SERVED.has(name));
  expect([...advertised.keys()].toSorted((a, b) => a - b)).toEqual(served.map(({ key }) => key).toSorted((a, b) => a - b));

  const documented = documentedVersions();
  const betweenBrokers = new Set(["LeaderAndIsr", "UpdateMetadata", "StopReplica", "ControlledShutdown"]);
  for (const { key, name, request } of served) {
    const { first, last } = request.versions;
    expect([name, advertised.get(key)]).toEqual([name, first === last || betweenBrokers.has(name) ? `${last}` : `${first} to ${last}`]);
    expect([name, documented.get(name)]).toEqual([name, advertised.get(key)]);
  }
  expect([...documented.keys()].toSorted()).toEqual(served.map(({ name }) => name).toSorted());
});

/** By name, from the table "Kafka: APIs", in whose rows several APIs may stand with as many versions. */
function documentedVersions(): ReadonlyMap<string, string> {
  const compat = readFileSync(resolve(import.meta.dirname, "../../docs/compat.md"), "utf8");
  const table = /^## Kafka: APIs\n(?:[^#]*?)\|---[^\n]*\n((?:\|[^\n]*\n)+)/m.exec(compat)?.[1] ?? "";
  const rows = table.trim().split("\n").map((row) => row.split("|").slice(1, 3).map((cell) => cell.trim().split(", ")));
  return new Map(rows.filter(([[name = ""] = []]) => name !== "every other API").flatMap(([names = [], versions = []]) => names.map((name, at) => [name, versions[at] ?? ""] as const)));
}
