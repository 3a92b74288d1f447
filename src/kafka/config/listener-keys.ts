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

interface Notes {
  /** A value that is not allowed. */
  fault(property: Property, message: string): void;
  warn(property: Property, message: string): void;
}

/** Checks every setting that is for one listener. Gives what max.connections is for those that have their own, by listener name. */
export function listenerConnectionsMax(properties: Properties, notes: Notes): ReadonlyMap<string, number> {
  const limits = new Map<string, number>();
  for (const property of properties.values()) {
    const parsed = parseListenerKey(property.key);
    if (parsed === undefined) continue;
    const key = brokerKeys[parsed.key];
    const setting = key.parse(property.value);
    if (setting === undefined) notes.fault(property, `expected ${key.allowed}`);
    else if (parsed.key === "max.connections") limits.set(parsed.listenerName, Number(setting.value));
    else notes.warn(property, `has no effect: ${key.reason ?? "no listener has this setting for itself"}`);
  }
  return limits;
}
