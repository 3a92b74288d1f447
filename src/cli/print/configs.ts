import type { ConfigResource, DescribedConfig } from "../../kafka/client/cluster-admin.ts";

/** What kafka-configs.sh prints. Source: core/…/admin/ConfigCommand.scala of Apache Kafka 2.7.1, ordered by name as 3.8.0 does. */
export function configsText(resource: ConfigResource, entries: readonly DescribedConfig[], { all }: { readonly all: boolean }): string {
  const shown = entries.filter(({ source }) => all || resource.type === "broker-logger" || source === dynamicSource(resource)).toSorted((a, b) => (a.name < b.name ? -1 : 1));
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

/** The source of what was set for this very resource. */
export function dynamicSource(resource: ConfigResource): DescribedConfig["source"] {
  if (resource.type === "topic") return "DYNAMIC_TOPIC_CONFIG";
  return isDefault(resource) ? "DYNAMIC_DEFAULT_BROKER_CONFIG" : "DYNAMIC_BROKER_CONFIG";
}

function isDefault({ type, name }: ConfigResource): boolean {
  return type === "broker" && name === "";
}
