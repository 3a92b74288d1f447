import type { Broker } from "../../src/kafka/broker/broker.ts";
import { GroupLoad } from "../../src/kafka/coordinators/group/group-load.ts";
import type { LoadedGroup, StoredGroup } from "../../src/kafka/coordinators/group/types.ts";
import { partitionName } from "../../src/kafka/log/names.ts";
import { GROUP_METADATA_TOPIC } from "../../src/kafka/protocol/internal-topics.ts";
import { BATCH_HEADER_BYTES } from "../../src/kafka/records/batch.ts";
import { Violation } from "../zookeeper/violation.ts";
import { isCompacted, type StoredLog } from "./stored-logs.ts";

/** What a replica's bytes of a partition of the offsets topic say, one line for each group and offset, in order. */
export function fold(log: StoredLog): ReadonlyMap<string, string> {
  const load = new GroupLoad();
  for (const { at, size } of log.batches) load.batch(log.bytes, at, size);
  if (load.problems > 0) throw new Violation("records of groups can be read", `${log.broker} has ${load.problems} in ${log.name} that can't: ${load.firstProblem}`);
  return linesOf(load.finish());
}

function linesOf(groups: readonly LoadedGroup[]): ReadonlyMap<string, string> {
  const lines = new Map<string, string>();
  for (const { groupId, group, offsets, transactional } of groups) {
    if (group !== undefined) lines.set(groupId, describe(group));
    for (const { topic, partition, committed } of offsets) lines.set(`${groupId} ${partitionName(topic, partition)}`, JSON.stringify(committed));
    if (transactional.length > 0) lines.set(`${groupId} in transactions`, String(transactional.length));
  }
  return new Map([...lines].toSorted(([a], [b]) => (a < b ? -1 : 1)));
}

function describe({ generation, protocolType, protocolName, leaderId, members }: StoredGroup): string {
  const each = members.map(({ memberId, instanceId, subscription, assignment }) => `${memberId}/${instanceId}/${subscription.toString("hex")}/${assignment.toString("hex")}`);
  return `${protocolType} ${generation} ${protocolName} ${leaderId} ${each.toSorted().join(" ")}`;
}

/**
 * All replicas of each partition of the offsets topic say the same, however differently they are compacted. Where
 * tombstones go within seconds, a replica that was away meanwhile never hears of them, and keeps what they deleted: what
 * log.cleaner.delete.retention.ms is for.
 */
export function checkReplicas(replicas: readonly ReadonlyMap<string, StoredLog>[], { deletionsMayBeMissed = false }: { readonly deletionsMayBeMissed?: boolean } = {}): void {
  const names = new Set(replicas.flatMap((logs) => [...logs.keys()].filter(isCompacted)));
  for (const name of names) {
    const [first, ...others] = replicas.flatMap((logs) => logs.get(name) ?? []);
    if (first === undefined) continue;
    const model = fold(first);
    const isExcused = (_key: string, one: string | undefined, another: string | undefined): boolean => deletionsMayBeMissed && (one === undefined || another === undefined);
    for (const other of others) compare(`${first.broker}'s and ${other.broker}'s ${name}`, "replicas say the same of groups", model, fold(other), isExcused);
  }
}

/** A log that is larger than what its live records and its last segments take; undefined: there is none. */
export function uncompacted(replicas: readonly ReadonlyMap<string, StoredLog>[], segmentBytes: number): string | undefined {
  for (const log of replicas.flatMap((logs) => [...logs.values()])) {
    if (!isCompacted(log.name)) continue;
    const live = [...fold(log)].reduce((sum, [key, line]) => sum + BATCH_HEADER_BYTES + key.length + line.length, 0);
    if (log.bytes.length > 4 * live + 3 * segmentBytes) return `${log.broker} has ${log.bytes.length} bytes of ${log.name}, of which about ${live} live`;
  }
  return undefined;
}

/**
 * What each broker knows of the groups that it coordinates is what its log says. A commit that its coordinator gave up
 * waiting for is unknown, not failed: the log may hold it, and memory learns of it with the next load only, as in
 * GroupMetadata.failPendingOffsetWrite.
 */
export function checkCoordinators(brokers: readonly { readonly broker: Broker; readonly logs: ReadonlyMap<string, StoredLog> }[], isUnknown: (groupAndPartition: string, number: number) => boolean = () => false): number {
  let compared = 0;
  for (const { broker, logs } of brokers) {
    for (const partition of broker.groups.core.ownedPartitions) {
      const log = logs.get(partitionName(GROUP_METADATA_TOPIC, partition));
      if (log === undefined) throw new Violation("a coordinator has a log", `nothing of partition ${partition}`);
      compare(`${log.broker}'s memory and log of ${log.name}`, "a coordinator knows what its log says", linesOf(inMemory(broker, partition)), fold(log), (key, known, logged) => {
        // The same number: clients send a commit again whose answer they have not heard.
        return logged !== undefined && numberOf(logged) >= (known === undefined ? -1 : numberOf(known)) && isUnknown(key, numberOf(logged));
      });
      compared += 1;
    }
  }
  return compared;
}

function inMemory(broker: Broker, partition: number): LoadedGroup[] {
  const loaded: LoadedGroup[] = [];
  for (const group of broker.groups.core.groups()) {
    if (group.home.partition !== partition) continue;
    const offsets = [...group.offsets.entries()].flatMap(({ topic, partition: of, committed, appendedOffset }) => (committed === undefined ? [] : [{ topic, partition: of, committed, appendedOffset }]));
    loaded.push({ groupId: group.id, group: group.generation === 0 ? undefined : group.stored(({ assignment }) => assignment), offsets, transactional: [] });
  }
  return loaded;
}

/** Of the commit that a line of offsets tells of; NaN: it tells of something else. */
function numberOf(line: string): number {
  const { metadata } = line.startsWith("{") ? (JSON.parse(line) as { metadata: string }) : { metadata: "none" };
  return Number(metadata);
}

function compare(what: string, rule: string, one: ReadonlyMap<string, string>, other: ReadonlyMap<string, string>, isExcused: (key: string, one: string | undefined, other: string | undefined) => boolean = () => false): void {
  for (const key of new Set([...one.keys(), ...other.keys()])) {
    if (one.get(key) !== other.get(key) && !isExcused(key, one.get(key), other.get(key))) throw new Violation(rule, `${what} differ in ${key}: ${one.get(key) ?? "nothing"} and ${other.get(key) ?? "nothing"}`);
  }
}
