import type { Properties, Property } from "../../lib/properties.ts";
import { brokerKeys, type BrokerKey } from "./broker-keys.ts";

/** A setting for one listener, `listener.name.<name>.<key>` or, for logins, `listener.name.<name>.<mechanism>.<key>`. */
export interface ListenerKey {
  /** Upper case, as in `listeners`. */
  readonly listenerName: string;
  readonly mechanism: string | undefined;
  readonly key: BrokerKey;
}

const mechanismKeys: readonly BrokerKey[] = [
  "sasl.jaas.config",
  "sasl.login.callback.handler.class",
  "sasl.login.class",
  "sasl.server.callback.handler.class",
  "connections.max.reauth.ms",
];

/** Undefined where the name has another form or ends in a key that no broker knows. */
export function parseListenerKey(name: string): ListenerKey | undefined {
  const match = /^listener\.name\.([^.]*)\.(.*)$/.exec(name);
  if (match === null) return undefined;
  const [, listener = "", rest = ""] = match;
  const ending = mechanismKeys.find((known) => rest.endsWith(`.${known}`));
  const key = ending ?? rest;
  if (!isBrokerKey(key)) return undefined;
  return { listenerName: listener.toUpperCase(), mechanism: ending === undefined ? undefined : rest.slice(0, -ending.length - 1), key };
}

export function isBrokerKey(name: string): name is BrokerKey {
  return Object.hasOwn(brokerKeys, name);
}

export interface ListenerLimits {
  readonly maxConnections: number | undefined;
  readonly maxConnectionCreationRate: number | undefined;
}

/** Checks every setting that is for one listener, and gathers those that this broker acts on, by listener name. */
export function listenerLimits(properties: Properties, fault: (property: Property, message: string) => void): ReadonlyMap<string, ListenerLimits> {
  const limits = new Map<string, ListenerLimits>();
  for (const property of properties.values()) {
    const parsed = parseListenerKey(property.key);
    if (parsed === undefined) continue;
    const setting = brokerKeys[parsed.key].parse(property.value);
    if (setting === undefined) {
      fault(property, `expected ${brokerKeys[parsed.key].allowed}`);
      continue;
    }
    const before = limits.get(parsed.listenerName) ?? { maxConnections: undefined, maxConnectionCreationRate: undefined };
    if (parsed.key === "max.connections") limits.set(parsed.listenerName, { ...before, maxConnections: Number(setting.value) });
    if (parsed.key === "max.connection.creation.rate") limits.set(parsed.listenerName, { ...before, maxConnectionCreationRate: Number(setting.value) });
  }
  return limits;
}

