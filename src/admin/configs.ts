import type { ClusterAdmin, ConfigAnswer, ConfigChange, ConfigResource, ConfigResourceType, DescribedConfig } from "../kafka/client/cluster-admin.ts";
import { must } from "../lib/assert.ts";
import { OperationalError } from "../lib/error.ts";
import { ensureDone } from "./admin.ts";

/** What the commands about settings mean. Source: core/…/admin/ConfigCommand.scala of Apache Kafka 2.7.1. */

export interface ConfigTarget {
  readonly type: ConfigResourceType;
  /** Without it: all topics, or all brokers and what they share. */
  readonly name?: string | undefined;
}

/** Topics by name, brokers by number and then what they share. */
export async function describeConfigs(admin: ClusterAdmin, target: ConfigTarget): Promise<ConfigAnswer[]> {
  return await admin.describeConfigs(await resourcesOf(admin, target), { synonyms: true });
}

async function resourcesOf(admin: ClusterAdmin, { type, name }: ConfigTarget): Promise<ConfigResource[]> {
  if (name !== undefined) return [{ type, name }];
  if (type === "topic") return (await admin.topics({ internal: true })).map((topic) => ({ type, name: topic.name }));
  const { brokers } = await admin.cluster();
  return [...brokers.map(({ id }) => ({ type, name: String(id) })), { type, name: "" }];
}

export interface ConfigEdit {
  readonly set: ReadonlyMap<string, string>;
  readonly unset: readonly string[];
}

/** All of it, or nothing. Throws where something is to be unset that was not set for this resource, and what is refused. */
export async function alterConfigs(admin: ClusterAdmin, resource: ConfigResource, { set, unset }: ConfigEdit): Promise<void> {
  const [told] = await admin.describeConfigs([resource], { synonyms: false });
  const answer = must(told, "the settings");
  ensureDone(answer);
  const loggers = resource.type === "broker-logger";
  const present = new Set(answer.entries.filter(({ source }) => loggers || source === ownSource(resource)).map(({ name }) => name));
  const missing = [...unset, ...(loggers ? set.keys() : [])].filter((name) => !present.has(name));
  if (missing.length > 0) throw new OperationalError("INVALID_CONFIG", `Invalid ${loggers ? "broker logger" : "config"}(s): ${missing.join(",")}`);
  const changes: ConfigChange[] = [...[...set].map(([name, value]) => ({ kind: "set" as const, name, value })), ...unset.map((name) => ({ kind: "delete" as const, name }))];
  ensureDone(await admin.alterConfigs(resource, changes));
}

/** The source of what was set for this very resource. */
export function ownSource({ type, name }: ConfigResource): DescribedConfig["source"] {
  if (type === "topic") return "DYNAMIC_TOPIC_CONFIG";
  return name === "" ? "DYNAMIC_DEFAULT_BROKER_CONFIG" : "DYNAMIC_BROKER_CONFIG";
}

/** `k=v,k2=[a,b],k3=`: brackets hold a value with commas or equals signs. Throws ERR_USAGE. */
export function parseConfigs(text: string, option: string): Map<string, string> {
  const outside = "(?=[^\\]]*(?:\\[|$))";
  const pairs = text.replace(/,+$/, "").split(new RegExp(`,${outside}`));
  return new Map(
    pairs.map((pair) => {
      const [name = "", value, ...rest] = pair.split(new RegExp(`\\s*=\\s*${outside}`));
      if (value === undefined || rest.length > 0) throw new OperationalError("ERR_USAGE", `${option}: "${pair}": expected name=value, with brackets around a value that has commas or equals signs in it`);
      return [name.trim(), value.replaceAll(/[[\]]/g, "").trim()];
    }),
  );
}
