import type { ConfigKey } from "../../lib/config/key.ts";
import { repeated } from "../../lib/repeated.ts";
import { ErrorCode } from "../protocol/error-codes.ts";
import { isInternalTopic } from "../protocol/internal-topics.ts";
import type { BrokerConfig } from "./broker-config.ts";
import { brokerKeys } from "./broker-keys.ts";
import { dynamicRefusal, type BrokerLayers, type DynamicScope } from "./dynamic.ts";
import { isTopicKey, topicKeys } from "./topic-config.ts";

/** One entry of CreateTopics or AlterConfigs. */
export interface NamedValue {
  readonly name: string;
  readonly value: string | null;
}

/** One entry of IncrementalAlterConfigs. */
export interface ConfigChange extends NamedValue {
  readonly configOperation: number;
}

/** AlterConfigOp.OpType */
export const ConfigOperation = { set: 0, delete: 1, append: 2, subtract: 3 } as const;

/** Either the whole new content of the resource's znode, or an error for the client. */
export type AlterOutcome =
  | { readonly kind: "settings"; readonly settings: ReadonlyMap<string, string> }
  | { readonly kind: "refused"; readonly code: ErrorCode; readonly message: string };

/** The settings with which a topic is created (kafka/zk/AdminZkClient.scala, validateTopicCreate). */
export function createTopicSettings(entries: readonly NamedValue[], topic: string): AlterOutcome {
  return refuseCompaction(withValues(entries, (settings) => checkTopic(settings, ErrorCode.INVALID_CONFIG)), true, topic);
}

/** AlterConfigs replaces all that the topic had. */
export function alterTopicSettings(entries: readonly NamedValue[], topic: string): AlterOutcome {
  return refuseCompaction(withValues(entries, (settings) => checkTopic(settings, ErrorCode.INVALID_REQUEST)), true, topic);
}

/** IncrementalAlterConfigs changes some of the topic's settings and keeps the others. */
export function changeTopicSettings(current: ReadonlyMap<string, string>, changes: readonly ConfigChange[], topic: string): AlterOutcome {
  const wanted = changes.some(({ name }) => name === "cleanup.policy");
  return refuseCompaction(withChanges(current, changes, topicKeys, (settings) => checkTopic(settings, ErrorCode.INVALID_REQUEST)), wanted, topic);
}

export interface BrokerTarget {
  readonly scope: DynamicScope;
  readonly layers: BrokerLayers;
  readonly config: BrokerConfig;
}

/** AlterConfigs of a broker or of all brokers' defaults. That the request is for this broker is the caller's to check. */
export function alterBrokerSettings(entries: readonly NamedValue[], target: BrokerTarget): AlterOutcome {
  return withValues(entries, (settings) => checkBroker(settings, target));
}

/** IncrementalAlterConfigs of a broker or of all brokers' defaults. */
export function changeBrokerSettings(changes: readonly ConfigChange[], target: BrokerTarget): AlterOutcome {
  const current = target.scope === "broker" ? target.layers.perBroker : target.layers.clusterDefault;
  return withChanges(current, changes, brokerKeys, (settings) => checkBroker(settings, target));
}

function refused(code: ErrorCode, message: string): AlterOutcome {
  return { kind: "refused", code, message };
}

type Check = (settings: ReadonlyMap<string, string>) => AlterOutcome;

function withValues(entries: readonly NamedValue[], check: Check): AlterOutcome {
  const settings = new Map<string, string>();
  for (const { name, value } of entries) {
    if (value === null) return refused(ErrorCode.INVALID_REQUEST, `${name} has no value`);
    settings.set(name, value);
  }
  return check(settings);
}

function withChanges(
  current: ReadonlyMap<string, string>,
  changes: readonly ConfigChange[],
  table: Readonly<Record<string, ConfigKey<unknown>>>,
  check: Check,
): AlterOutcome {
  const twice = repeated(changes.map((change) => change.name));
  if (twice.size > 0) return refused(ErrorCode.INVALID_REQUEST, `more than one change of ${[...twice].join(", ")}`);
  const settings = new Map(current);
  for (const { name, value, configOperation } of changes) {
    if (configOperation === ConfigOperation.delete) {
      settings.delete(name);
      continue;
    }
    if (value === null) return refused(ErrorCode.INVALID_REQUEST, `${name} has no value`);
    if (configOperation === ConfigOperation.set) {
      settings.set(name, value);
      continue;
    }
    const spec = Object.hasOwn(table, name) ? table[name] : undefined;
    if (spec === undefined) return refused(ErrorCode.INVALID_CONFIG, `unknown setting ${name}`);
    if (spec.type !== "list") return refused(ErrorCode.INVALID_REQUEST, `${name} is no list: nothing can be appended to it or taken from it`);
    const before = items(settings.get(name) ?? spec.default?.text ?? "");
    const given = items(value);
    if (configOperation === ConfigOperation.append) settings.set(name, [...before, ...given].join(","));
    else if (configOperation === ConfigOperation.subtract) settings.set(name, without(before, given).join(","));
    else return refused(ErrorCode.INVALID_REQUEST, `unknown operation ${configOperation} on ${name}`);
  }
  return check(settings);
}

function items(text: string): string[] {
  return text === "" ? [] : text.split(",");
}

/** Each item of `taken` removes one of its equals. */
function without(list: readonly string[], taken: readonly string[]): string[] {
  const left = new Map<string, number>();
  for (const item of taken) left.set(item, (left.get(item) ?? 0) + 1);
  return list.filter((item) => {
    const count = left.get(item) ?? 0;
    if (count > 0) left.set(item, count - 1);
    return count === 0;
  });
}

/** `badValue`: the code for a value that is not allowed, which differs between requests. */
function checkTopic(settings: ReadonlyMap<string, string>, badValue: ErrorCode): AlterOutcome {
  const unknown = [...settings.keys()].find((name) => !isTopicKey(name));
  if (unknown !== undefined) return refused(ErrorCode.INVALID_CONFIG, `unknown topic setting ${unknown}`);
  for (const [name, text] of settings) {
    if (isTopicKey(name) && topicKeys[name].parse(text) === undefined) return refused(badValue, `${name}=${text}: expected ${topicKeys[name].allowed}`);
  }
  const [least, most] = [lag(settings, "min.compaction.lag.ms"), lag(settings, "max.compaction.lag.ms")];
  if (least > most) return refused(ErrorCode.INVALID_CONFIG, `min.compaction.lag.ms=${least} is above max.compaction.lag.ms=${most}`);
  return { kind: "settings", settings };
}

/** `wanted`: the request itself sets the policy. A topic of another broker's making that has it can still be changed otherwise. */
function refuseCompaction(outcome: AlterOutcome, wanted: boolean, topic: string): AlterOutcome {
  if (outcome.kind === "refused" || !wanted || isInternalTopic(topic)) return outcome;
  const policy = outcome.settings.get("cleanup.policy") ?? "";
  if (topicKeys["cleanup.policy"].parse(policy)?.value.includes("compact") !== true) return outcome;
  return refused(ErrorCode.INVALID_CONFIG, `cleanup.policy=${policy}: topic ${topic} would grow without bound, since compaction is still to come for all but the brokers' own topics; use delete`);
}

function lag(settings: ReadonlyMap<string, string>, name: "min.compaction.lag.ms" | "max.compaction.lag.ms"): bigint {
  return BigInt(topicKeys[name].parse(settings.get(name) ?? "")?.text ?? topicKeys[name].default?.text ?? 0);
}

function checkBroker(settings: ReadonlyMap<string, string>, target: BrokerTarget): AlterOutcome {
  const problem = dynamicRefusal(settings, target.scope, target.layers, target.config);
  return problem === undefined ? { kind: "settings", settings } : refused(ErrorCode.INVALID_REQUEST, problem);
}
