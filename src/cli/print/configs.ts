import { ownSource } from "../../admin/configs.ts";
import type { ConfigResource, DescribedConfig } from "../../kafka/client/cluster-admin.ts";

/** What kafka-configs.sh prints. Source: core/…/admin/ConfigCommand.scala of Apache Kafka 2.7.1, ordered by name as 3.8.0 does. */
export function configsText(resource: ConfigResource, entries: readonly DescribedConfig[], { all }: { readonly all: boolean }): string {
  const shown = entries.filter(({ source }) => all || resource.type === "broker-logger" || source === ownSource(resource)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
  const heading = isDefault(resource) ? "Default configs for brokers in the cluster are:" : `${all ? "All" : "Dynamic"} configs for ${resource.type} ${resource.name} are:`;
  const lines = shown.map(({ name, value, sensitive, synonyms }) => {
    const places = synonyms.map((synonym) => `${synonym.source}:${synonym.name}=${synonym.value ?? "null"}`).join(", ");
    return `  ${name}=${value ?? "null"} sensitive=${sensitive} synonyms={${places}}`;
  });
  return `${[heading, ...lines].join("\n")}\n`;
}

export function updatedLine(resource: ConfigResource): string {
  return isDefault(resource) ? "Completed updating default config for brokers in the cluster.\n" : `Completed updating config for ${resource.type} ${resource.name}.\n`;
}

function isDefault({ type, name }: ConfigResource): boolean {
  return type === "broker" && name === "";
}
