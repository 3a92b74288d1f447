import type { DescribedGroup, ListedGroup } from "../kafka/client/group-admin.ts";
import type { TopicPartition } from "../kafka/client/kafka-client.ts";
import { refusal } from "../kafka/client/kafka-client.ts";
import type { OffsetPlace } from "../kafka/client/partition-offsets.ts";
import { decodeAssignment } from "../kafka/protocol/consumer-protocol.ts";
import { ErrorCode, errorName } from "../kafka/protocol/error-codes.ts";
import { must } from "../lib/assert.ts";
import { errorCode, OperationalError } from "../lib/error.ts";
import type { Admin } from "./admin.ts";
import type { PlannedOffset } from "./csv.ts";
import { needsOf, planReset, type ResetFacts, type ResetScenario, type ResetWarning } from "./reset-plan.ts";

/** What the commands about groups mean. Source: core/…/admin/ConsumerGroupCommand.scala of Apache Kafka 2.7.1. */

export const GROUP_STATES = ["PreparingRebalance", "CompletingRebalance", "Stable", "Dead", "Empty"] as const;
export type GroupState = (typeof GROUP_STATES)[number];

export interface OffsetRow {
  readonly group: string;
  /** Undefined in any field: not known, or there is none. */
  readonly topic?: string | undefined;
  readonly partition?: number | undefined;
  readonly committed?: number | undefined;
  readonly end?: number | undefined;
  readonly consumerId?: string | undefined;
  readonly host?: string | undefined;
  readonly clientId?: string | undefined;
}

export interface MemberRow {
  readonly group: string;
  readonly consumerId: string;
  /** "": none. */
  readonly instanceId: string;
  readonly host: string;
  readonly clientId: string;
  readonly partitions: readonly TopicPartition[];
}

export interface StateRow {
  readonly group: string;
  /** `host:port (id)` */
  readonly coordinator: string;
  readonly strategy: string;
  readonly state: string;
  readonly members: number;
}

export interface GroupView<Row> {
  readonly group: string;
  readonly state: string;
  readonly rows: readonly Row[];
}

/** `error` undefined: it went well. */
export interface DeletedGroup {
  readonly group: string;
  readonly error: string | undefined;
}

/** `error` undefined: it went well; `partition` undefined: of a topic of which none is known. */
export interface DeletedOffset {
  readonly topic: string;
  readonly partition: number | undefined;
  readonly error: string | undefined;
}

/** Of consumers, by name; with a state each, where `states` is given those in one of them (none: in any). */
export async function listGroups({ groups }: Admin, { states }: { readonly states?: readonly GroupState[] } = {}): Promise<ListedGroup[]> {
  const listed = (await groups.list()).filter(({ protocolType }) => protocolType === "consumer" || protocolType === "");
  if (states === undefined) return listed;
  const silent = listed.filter(({ state }) => state === "").map(({ groupId }) => groupId);
  const told = new Map((await groups.describe(silent)).map(({ groupId, groupState }) => [groupId, groupState]));
  const withStates = listed.map((group) => ({ ...group, state: told.get(group.groupId) ?? group.state }));
  return states.length === 0 ? withStates : withStates.filter(({ state }) => states.some((one) => one === state));
}

/** Without regard to case. Throws ERR_USAGE. */
export function parseGroupStates(words: readonly string[], option: string): GroupState[] {
  return words.map((word) => {
    const state = GROUP_STATES.find((one) => one.toLowerCase() === word.trim().toLowerCase());
    if (state === undefined) throw new OperationalError("ERR_USAGE", `${option}: "${word}" is no state of a group: ${GROUP_STATES.join(", ")}`);
    return state;
  });
}

/** Members with partitions first, those with the most in front, each by number; then what is committed and nobody's. Groups by name, as in the other views. */
export async function groupOffsetRows(admin: Admin, groupIds: readonly string[]): Promise<GroupView<OffsetRow>[]> {
  return Promise.all(
    (await describe(admin, groupIds)).map(async ({ groupId: group, groupState: state, members }) => {
      const committed = new Map((await admin.groups.offsets(group)).filter(({ offset }) => offset >= 0).map((one) => [nameOf(one), one]));
      const owned = members
        .map((member) => ({ member, partitions: partitionsOf(member).toSorted((a, b) => a.partition - b.partition || byText(a.topic, b.topic)) }))
        .toSorted((a, b) => b.partitions.length - a.partitions.length)
        .flatMap(({ member, partitions }) => partitions.map((partition) => ({ partition, owner: { consumerId: member.memberId, host: member.clientHost, clientId: member.clientId } })));
      const taken = new Set(owned.map(({ partition }) => nameOf(partition)));
      const free = [...committed.values()].filter((one) => !taken.has(nameOf(one))).toSorted(byPlace);
      const all = [...owned, ...free.map((partition) => ({ partition, owner: {} }))];
      const ends = await admin.cluster.offsets(all.map(({ partition }) => partition), "latest");
      const rows = all.map(({ partition: { topic, partition }, owner }, index): OffsetRow => {
        const end = ends[index];
        return { group, topic, partition, committed: committed.get(nameOf({ topic, partition }))?.offset, end: end?.code === ErrorCode.NONE ? end.offset : undefined, ...owner };
      });
      return { group, state, rows };
    }),
  );
}

export async function groupMemberRows(admin: Admin, groupIds: readonly string[]): Promise<GroupView<MemberRow>[]> {
  return (await describe(admin, groupIds)).map(({ groupId: group, groupState: state, members }) => ({
    group,
    state,
    rows: members.map((member): MemberRow => ({ group, consumerId: member.memberId, instanceId: member.groupInstanceId ?? "", host: member.clientHost, clientId: member.clientId, partitions: partitionsOf(member) })),
  }));
}

export async function groupStateRows(admin: Admin, groupIds: readonly string[]): Promise<StateRow[]> {
  return Promise.all(
    (await describe(admin, groupIds)).map(async ({ groupId: group, groupState: state, protocolData: strategy, members }) => {
      const { id, host, port } = await admin.groups.coordinator(group);
      return { group, coordinator: `${host}:${port} (${id})`, strategy, state, members: members.length };
    }),
  );
}

/** By name, each once. Throws for a group that is refused, or none of consumers. */
async function describe({ groups }: Admin, groupIds: readonly string[]): Promise<DescribedGroup[]> {
  const described = await groups.describe([...new Set(groupIds)].toSorted());
  for (const { groupId, errorCode: code, protocolType } of described) {
    if (code !== ErrorCode.NONE) throw refusal(`group ${groupId}`, code);
    if (protocolType !== "consumer" && protocolType !== "") throw new OperationalError("ERR_GROUP_TYPE", `group ${groupId} is of the protocol type ${protocolType}, and no group of consumers`);
  }
  return described;
}

/** What cannot be read as an assignment is none. */
function partitionsOf({ memberAssignment }: DescribedGroup["members"][number]): TopicPartition[] {
  const topics = decodeAssignment(memberAssignment)?.assignedPartitions ?? [];
  return topics.flatMap(({ topic, partitions }) => partitions.map((partition) => ({ topic, partition })));
}

/** In the order of `groupIds`. */
export async function deleteGroups({ groups }: Admin, groupIds: readonly string[]): Promise<DeletedGroup[]> {
  const codes = await groups.delete(groupIds);
  return groupIds.map((group, index) => ({ group, error: errorOf(codes[index]) }));
}

export interface DeletedOffsets {
  /** Of the whole request, or else the first partition's; undefined: it went well. */
  readonly error: string | undefined;
  readonly rows: readonly DeletedOffset[];
}

/** `topics`: names, or with partitions, `t:0,1`. */
export async function deleteOffsets(admin: Admin, group: string, topics: readonly string[]): Promise<DeletedOffsets> {
  const { partitions, unknown } = await resolvePartitions(admin, topics);
  const absent = unknown.map(({ topic, code }): DeletedOffset => ({ topic, partition: undefined, error: errorName(code) }));
  try {
    const codes = await admin.groups.deleteOffsets(group, partitions);
    const rows = partitions.map(({ topic, partition }, index): DeletedOffset => ({ topic, partition, error: errorOf(codes[index]) }));
    return { error: rows.find(({ error }) => error !== undefined)?.error, rows: [...absent, ...rows] };
  } catch (thrown) {
    const error = errorCode(thrown);
    if (error === undefined || !(error in ErrorCode)) throw thrown;
    return { error, rows: [...absent, ...partitions.map(({ topic, partition }) => ({ topic, partition, error }))] };
  }
}

export type ResetScope =
  | { readonly kind: "committed" }
  /** Names, or with partitions, `t:0,1`. */
  | { readonly kind: "topics"; readonly topics: readonly string[] }
  | { readonly kind: "plan"; readonly plan: readonly PlannedOffset[] };

export interface PlannedReset extends TopicPartition {
  readonly group: string;
  readonly offset: number;
}

export interface GroupReset {
  readonly group: string;
  /** Undefined: it can be reset; else what the group is in, and nothing is planned. */
  readonly active: string | undefined;
  /** Whether a plan was given that says nothing of this group. */
  readonly unplanned: boolean;
  readonly rows: readonly PlannedReset[];
  readonly warnings: readonly ResetWarning[];
}

/**
 * Where the group is to go on; `execute` sets it. Throws ERR_USAGE where the scenario does not fit (a partition without
 * a commit can't be shifted), the code's name for what is refused.
 */
export async function resetGroup(admin: Admin, group: string, scope: ResetScope, scenario: ResetScenario, { execute }: { readonly execute: boolean }): Promise<GroupReset> {
  const [described] = await describe(admin, [group]);
  const state = must(described, `group ${group}`).groupState;
  const nothing = { group, active: undefined, unplanned: false, rows: [], warnings: [] };
  if (state !== "Empty" && state !== "Dead") return { ...nothing, active: state };
  const planned = scope.kind === "plan" ? scope.plan.filter((one) => (one.group ?? group) === group) : [];
  if (scope.kind === "plan" && planned.length === 0) return { ...nothing, unplanned: true };
  const committed = new Map((await admin.groups.offsets(group)).filter(({ offset }) => offset >= 0).map((one) => [nameOf(one), one]));
  const partitions = scope.kind === "committed" ? [...committed.values()] : scope.kind === "topics" ? await knownPartitions(admin, scope.topics) : planned;
  const wanted = scope.kind === "plan" ? { kind: "planned" as const, offsets: new Map(planned.map((one) => [nameOf(one), one.offset])) } : scenario;
  const facts = await factsOf(admin, [...partitions].toSorted(byPlace), wanted);
  const { rows, warnings, uncommitted } = planReset(wanted, facts.map((fact) => ({ ...fact, committed: committed.get(nameOf(fact))?.offset })));
  const [first] = uncommitted;
  if (first !== undefined) throw new OperationalError("ERR_USAGE", `${nameOf(first)} can't be shifted: group ${group} has committed nothing for it`);
  if (execute && rows.length > 0) {
    const codes = await admin.groups.resetOffsets(group, rows);
    const refused = codes.findIndex((code) => code !== ErrorCode.NONE);
    if (refused >= 0) throw refusal(`the offset of ${nameOf(must(rows[refused], "row"))}`, must(codes[refused], "code"));
  }
  return { group, active: undefined, unplanned: false, rows: rows.map((row) => ({ group, ...row })), warnings };
}

async function factsOf({ cluster }: Admin, partitions: readonly TopicPartition[], scenario: ResetScenario): Promise<ResetFacts[]> {
  const needs = needsOf(scenario);
  const offsets = async (at: OffsetPlace, needed: boolean): Promise<readonly (number | undefined)[]> => {
    if (!needed || partitions.length === 0) return [];
    const ends = await cluster.offsets(partitions, at);
    return ends.map(({ topic, partition, code, offset }) => {
      if (code !== ErrorCode.NONE) throw refusal(`the offsets of ${topic}-${partition}`, code);
      return offset < 0 ? undefined : offset;
    });
  };
  const [starts, ends, times] = await Promise.all([offsets("earliest", needs.start), offsets("latest", needs.end), offsets(scenario.kind === "to-time" ? scenario.time : "latest", needs.time)]);
  return partitions.map(({ topic, partition }, index) => ({ topic, partition, start: starts[index] ?? 0, end: ends[index] ?? 0, atTime: times[index] }));
}

async function knownPartitions(admin: Admin, topics: readonly string[]): Promise<readonly TopicPartition[]> {
  const { partitions, unknown } = await resolvePartitions(admin, topics);
  const [first] = unknown;
  if (first !== undefined) throw refusal(`topic ${first.topic}`, first.code);
  return partitions;
}

/** Partitions that are named, each once, and all of the topics that are named without any. Throws ERR_USAGE. */
async function resolvePartitions({ client }: Admin, texts: readonly string[]): Promise<{ readonly partitions: readonly TopicPartition[]; readonly unknown: readonly { readonly topic: string; readonly code: number }[] }> {
  const found = new Map<string, TopicPartition>();
  const whole: string[] = [];
  for (const text of texts) {
    const [topic = "", numbers] = text.split(":");
    if (numbers === undefined) whole.push(topic);
    for (const number of numbers?.split(",") ?? []) {
      if (!/^\d+$/.test(number)) throw new OperationalError("ERR_USAGE", `--topic ${text}: "${number}" is no partition's number`);
      found.set(`${topic}-${Number(number)}`, { topic, partition: Number(number) });
    }
  }
  const told = whole.length === 0 ? [] : (await client.metadata(whole)).topics;
  for (const { name, errorCode: code, partitions } of told) {
    if (code !== ErrorCode.NONE) continue;
    for (const { partitionIndex: partition } of partitions) found.set(`${name ?? ""}-${partition}`, { topic: name ?? "", partition });
  }
  return { partitions: [...found.values()], unknown: told.filter(({ errorCode: code }) => code !== ErrorCode.NONE).map(({ name, errorCode: code }) => ({ topic: name ?? "", code })) };
}

function errorOf(code: number | undefined): string | undefined {
  return code === undefined || code === ErrorCode.NONE ? undefined : errorName(code);
}

function nameOf({ topic, partition }: TopicPartition): string {
  return `${topic}-${partition}`;
}

function byText(a: string, b: string): number {
  return a < b ? -1 : a > b ? 1 : 0;
}

function byPlace(a: TopicPartition, b: TopicPartition): number {
  return byText(a.topic, b.topic) || a.partition - b.partition;
}
