import { readBrokerConfig } from "./broker-config.ts";
import { brokerKeys } from "./broker-keys.ts";
import { brokerSynonyms, effectiveProperties, isDynamic, isDynamicOnly, type BrokerLayers } from "./dynamic.ts";
import { dynamicOnlyKeys } from "./keys/coordinator.ts";
import { isBrokerKey, parseListenerKey } from "./listener-keys.ts";
import { isTopicKey, topicKeys, type TopicConfig } from "./topic-config.ts";
import { camelCase, type ConfigKey, type ConfigType } from "../../lib/config/key.ts";

/** Where a value comes from. Source: clients/…/requests/DescribeConfigsResponse.java, ConfigSource. */
export const ConfigSource = { topic: 1, dynamicBroker: 2, dynamicDefaultBroker: 3, staticBroker: 4, default: 5, brokerLogger: 6 } as const;
export type ConfigSource = (typeof ConfigSource)[keyof typeof ConfigSource];

/** ConfigType of the same file; 0 is a key that nobody knows. */
const typeIds: Readonly<Record<ConfigType, number>> = {
  boolean: 1, string: 2, int: 3, short: 4, long: 5, double: 6, list: 7, class: 8, password: 9,
};

/** One element of a DescribeConfigs answer, complete for every version. */
export interface ConfigEntry {
  readonly name: string;
  readonly value: string | null;
  readonly readOnly: boolean;
  readonly isDefault: boolean;
  readonly configSource: ConfigSource;
  readonly isSensitive: boolean;
  readonly synonyms: readonly ConfigSynonym[];
  readonly configType: number;
  readonly documentation: string | null;
}

export interface ConfigSynonym {
  readonly name: string;
  readonly value: string | null;
  readonly source: ConfigSource;
}

export interface DescribeOptions {
  /** Null or empty: all. */
  readonly keys: readonly string[] | null;
  readonly synonyms: boolean;
  readonly documentation: boolean;
}

/** Every setting of this broker, those that nobody knows among them (kafka/server/AdminManager.scala, describeConfigs). */
export function describeBroker(layers: BrokerLayers, options: DescribeOptions): ConfigEntry[] {
  const properties = effectiveProperties(layers);
  const names = new Set([...Object.keys(brokerKeys), ...properties.keys()]);
  return wanted(names, options).map((name) => {
    const spec = specOf(name);
    const text = properties.get(name)?.value;
    const value = isBrokerKey(name) ? shown(brokerKeys[name], text) : (text ?? null);
    return entry(name, value, spec, brokerValues(layers, name), { readOnly: !isDynamic(name), options });
  });
}

/** What all brokers share: the settings in /config/brokers/<default> and no others. */
export function describeClusterDefaults(layers: BrokerLayers, options: DescribeOptions): ConfigEntry[] {
  return wanted(layers.clusterDefault.keys(), options).map((name) => {
    const made = brokerValues(layers, name).filter((synonym) => synonym.source === ConfigSource.dynamicDefaultBroker);
    return entry(name, layers.clusterDefault.get(name) ?? null, specOf(name), made, { readOnly: !isDynamic(name), options });
  });
}

/** Every setting of a topic with these overrides, which are the content of its znode under /config/topics. */
export function describeTopic(layers: BrokerLayers, overrides: ReadonlyMap<string, string>, options: DescribeOptions): ConfigEntry[] {
  const defaults = readBrokerConfig(effectiveProperties(layers), "the broker's configuration").config.topicDefaults;
  const names = new Set([...Object.keys(topicKeys), ...overrides.keys()]);
  return wanted(names, options).map((name) => {
    const spec = isTopicKey(name) ? topicKeys[name] : undefined;
    const text = overrides.get(name);
    const value = spec === undefined ? null : text === undefined ? inherited(defaults, name, spec) : shown(spec, text);
    const made: ConfigSynonym[] = text === undefined ? [] : [{ name, value, source: ConfigSource.topic }];
    if (spec?.brokerKey !== undefined) made.push(...brokerValues(layers, spec.brokerKey));
    return entry(name, value, spec, made, { readOnly: false, options });
  });
}

function wanted(names: Iterable<string>, options: DescribeOptions): string[] {
  const { keys } = options;
  return [...names].filter((name) => keys === null || keys.length === 0 || keys.includes(name));
}

function entry(
  name: string,
  value: string | null,
  spec: ConfigKey<unknown> | undefined,
  made: readonly ConfigSynonym[],
  facts: { readonly readOnly: boolean; readonly options: DescribeOptions },
): ConfigEntry {
  const isSensitive = spec === undefined || spec.type === "password";
  const configSource = made[0]?.source ?? ConfigSource.default;
  return {
    name,
    value: isSensitive ? null : value,
    readOnly: facts.readOnly,
    isDefault: configSource === ConfigSource.default,
    configSource,
    isSensitive,
    synonyms: facts.options.synonyms ? made.map((synonym) => (isSensitive ? { ...synonym, value: null } : synonym)) : [],
    configType: spec === undefined ? 0 : typeIds[spec.type],
    documentation: facts.options.documentation ? (spec?.doc ?? null) : null,
  };
}

/** The table's entry for a name, for that without a listener's prefix, or for one that only znodes hold. */
function specOf(name: string): ConfigKey<unknown> | undefined {
  if (isBrokerKey(name)) return brokerKeys[name];
  if (isDynamicOnly(name)) return dynamicOnlyKeys[name];
  const listener = parseListenerKey(name);
  return listener === undefined ? undefined : brokerKeys[listener.key];
}

/**
 * All the values that a setting has, the one in force first. What stands before the first value under the setting's
 * own name belongs to a stronger synonym and is left out.
 */
function brokerValues(layers: BrokerLayers, name: string): ConfigSynonym[] {
  const names = brokerSynonyms(name, true);
  const values: ConfigSynonym[] = [];
  const add = (source: ConfigSource, read: (synonym: string) => string | undefined): void => {
    for (const synonym of names) {
      const value = read(synonym);
      if (value !== undefined) values.push({ name: synonym, value, source });
    }
  };
  add(ConfigSource.dynamicBroker, (synonym) => layers.perBroker.get(synonym));
  add(ConfigSource.dynamicDefaultBroker, (synonym) => layers.clusterDefault.get(synonym));
  add(ConfigSource.staticBroker, (synonym) => layers.static.get(synonym)?.value);
  add(ConfigSource.default, (synonym) => (isBrokerKey(synonym) ? brokerKeys[synonym].default?.text : undefined));
  const first = values.findIndex((value) => value.name === name);
  return first === -1 ? [] : values.slice(first);
}

/** A value as Java prints it; as it was written where it is not allowed. */
function shown(spec: ConfigKey<unknown>, text: string | undefined): string | null {
  return (text === undefined ? spec.default?.text : (spec.parse(text)?.text ?? text)) ?? null;
}

function inherited(defaults: TopicConfig, name: string, spec: ConfigKey<unknown>): string | null {
  const value = (defaults as Readonly<Record<string, unknown>>)[camelCase(name)];
  return spec.show(value);
}
