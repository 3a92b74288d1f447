import { toError } from "../../lib/error.ts";
import type { Properties } from "../../lib/properties.ts";
import { readBrokerConfig, type BrokerConfig } from "./broker-config.ts";
import { brokerKeys, type BrokerKey } from "./broker-keys.ts";
import { dynamicOnlyKeys } from "./keys/coordinator.ts";
import { isBrokerKey, parseListenerKey } from "./listener-keys.ts";

/**
 * The places in which a broker's settings are made; a later one wins (kafka/server/DynamicBrokerConfig.scala). The
 * two dynamic ones are what the znodes hold, less what `acceptDynamic` ignores.
 */
export interface BrokerLayers {
  /** The file and the command line. */
  readonly static: Properties;
  /** /config/brokers/<default> */
  readonly clusterDefault: ReadonlyMap<string, string>;
  /** /config/brokers/<id> */
  readonly perBroker: ReadonlyMap<string, string>;
}

/** Which of the two znodes a setting is for. */
export type DynamicScope = "cluster default" | "broker";

const synonyms: readonly (readonly BrokerKey[])[] = [
  ["log.roll.ms", "log.roll.hours"],
  ["log.roll.jitter.ms", "log.roll.jitter.hours"],
  ["log.retention.ms", "log.retention.minutes", "log.retention.hours"],
];

/** The names under which a setting can be made, the strongest first; `listeners`: also that without the listener's prefix. */
export function brokerSynonyms(name: string, listeners: boolean): readonly string[] {
  if (name === "log.flush.interval.ms") return [name, "log.flush.scheduler.interval.ms"];
  const group = synonyms.find((names) => (names as readonly string[]).includes(name));
  if (group !== undefined) return group;
  const listener = listeners ? /^listener\.name\.[^.]*\.(.*)$/.exec(name) : null;
  return listener === null ? [name] : [name, parseListenerKey(name)?.key ?? listener[1] ?? ""];
}

/** What holds. A setting made in a stronger place displaces its synonyms from the weaker ones. */
export function effectiveProperties(layers: BrokerLayers): Properties {
  const effective = new Map(layers.static);
  const dynamic = [
    { settings: layers.clusterDefault, origin: "/config/brokers/<default>" },
    { settings: layers.perBroker, origin: "this broker's znode under /config/brokers" },
  ];
  for (const { settings, origin } of dynamic) {
    for (const [key, value] of settings) {
      for (const name of brokerSynonyms(key, false)) effective.delete(name);
      effective.set(key, { key, value, origin, line: undefined });
    }
  }
  return effective;
}

/** Whether a running broker takes new values of a setting. False for names with a listener's prefix, as in Kafka 2.7.1. */
export function isDynamic(name: string): boolean {
  return isBrokerKey(name) && brokerKeys[name].update !== "read-only";
}

/** Of a znode's settings those that can be used; the rest comes back in `ignored`, one sentence each. */
export function acceptDynamic(
  settings: ReadonlyMap<string, string>,
  scope: DynamicScope,
): { readonly accepted: ReadonlyMap<string, string>; readonly ignored: readonly string[] } {
  const accepted = new Map<string, string>();
  const ignored: string[] = [];
  for (const [name, value] of settings) {
    const problem = dynamicProblem(name, value, scope);
    if (problem === undefined) accepted.set(name, value);
    else ignored.push(problem);
  }
  return { accepted, ignored };
}

/**
 * Why these settings can't become the whole content of a znode, or undefined where they can. `current` is the
 * broker's configuration now, which limits how far thread counts may go at once.
 */
export function dynamicRefusal(settings: ReadonlyMap<string, string>, scope: DynamicScope, layers: BrokerLayers, current: BrokerConfig): string | undefined {
  for (const [name, value] of settings) {
    const problem = dynamicProblem(name, value, scope);
    if (problem !== undefined) return problem;
  }
  const next: BrokerLayers = scope === "broker" ? { ...layers, perBroker: settings } : { ...layers, clusterDefault: settings };
  try {
    return threadProblem(readBrokerConfig(effectiveProperties(next), "the broker's configuration").config, current);
  } catch (error) {
    return toError(error).message;
  }
}

function dynamicProblem(name: string, value: string, scope: DynamicScope): string | undefined {
  const listener = parseListenerKey(name);
  const key = listener?.key ?? name;
  if (isBrokerKey(name) && !isDynamic(name)) return `${name} can't be changed while the broker runs`;
  if (listener === undefined && isBrokerKey(name) && securityStores.has(name)) return `${name} can be changed for one listener only: listener.name.<name>.${name}`;
  const spec = isBrokerKey(key) ? brokerKeys[key] : isDynamicOnly(key) ? dynamicOnlyKeys[key] : undefined;
  if (spec !== undefined && spec.parse(value) === undefined) return `${name}=${spec.type === "password" ? "…" : value}: expected ${spec.allowed}`;
  if (spec?.type === "password") return `${name}: ${spec.reason ?? "passwords can't be stored"}`;
  const oneBroker = listener === undefined ? spec?.update === "per-broker" : spec?.update !== "cluster-wide";
  if (scope === "cluster default" && oneBroker) return `${name} can be set for one broker only, not for all of them`;
  return undefined;
}

export function isDynamicOnly(name: string): name is keyof typeof dynamicOnlyKeys {
  return Object.hasOwn(dynamicOnlyKeys, name);
}

const securityStores: ReadonlySet<BrokerKey> = new Set<BrokerKey>([
  "ssl.keystore.type", "ssl.keystore.location", "ssl.keystore.password", "ssl.key.password", "ssl.keystore.key",
  "ssl.keystore.certificate.chain", "ssl.truststore.type", "ssl.truststore.location", "ssl.truststore.password", "ssl.truststore.certificates",
]);

const threadCounts = {
  "num.io.threads": "numIoThreads",
  "num.network.threads": "numNetworkThreads",
  "num.replica.fetchers": "numReplicaFetchers",
  "num.recovery.threads.per.data.dir": "numRecoveryThreadsPerDataDir",
  "background.threads": "backgroundThreads",
  "log.cleaner.threads": "logCleanerThreads",
} as const;

function threadProblem(next: BrokerConfig, current: BrokerConfig): string | undefined {
  for (const [name, field] of Object.entries(threadCounts)) {
    const [now, then] = [current[field], next[field]];
    const least = Math.max(1, Math.floor(now / 2));
    if (then !== now && (then < least || then > now * 2)) return `${name}=${then}: expected ${least} to ${now * 2}, half to double of what it is`;
  }
  return undefined;
}
