import type { DeletedGroup, DeletedOffset, MemberRow, OffsetRow, PlannedReset, StateRow } from "../../admin/groups.ts";
import { MISSING, tableLines, type Column } from "./table.ts";

/** What kafka-consumer-groups.sh prints, byte for byte. Source: core/…/admin/ConsumerGroupCommand.scala of Apache Kafka 2.7.1. */
const grows = (title: string, width: number): Column => ({ title, width, grows: true });
const fixed = (title: string, width: number): Column => ({ title, width });

const OFFSETS: readonly Column[] = [
  grows("GROUP", 15), grows("TOPIC", 15), fixed("PARTITION", 10), fixed("CURRENT-OFFSET", 15), fixed("LOG-END-OFFSET", 15), fixed("LAG", 15),
  grows("CONSUMER-ID", 15), grows("HOST", 15), fixed("CLIENT-ID", 0),
];

export function groupStates(rows: readonly { readonly group: string; readonly state: string }[]): string {
  return text(tableLines([grows("GROUP", 15), fixed("STATE", 0)], rows.map(({ group, state }) => [group, state])));
}

/** Of one group. */
export function groupOffsets(rows: readonly OffsetRow[]): string {
  const cells = rows.map(({ group, topic, partition, committed, end, consumerId, host, clientId }) => {
    const lag = committed === undefined || end === undefined ? undefined : end - committed;
    return [group, topic, partition, committed, end, lag, consumerId, host, clientId].map((cell) => (cell === undefined ? MISSING : String(cell)));
  });
  return `\n${text(tableLines(OFFSETS, cells))}`;
}

/** Of one group. */
export function groupMembers(rows: readonly MemberRow[], { verbose }: { readonly verbose: boolean }): string {
  const isStatic = rows.some(({ instanceId }) => instanceId !== "");
  const columns = [grows("GROUP", 15), grows("CONSUMER-ID", 15), ...(isStatic ? [grows("GROUP-INSTANCE-ID", 17)] : []), grows("HOST", 15), grows("CLIENT-ID", 15), fixed("#PARTITIONS", 15), fixed(verbose ? "ASSIGNMENT" : "", 0)];
  const cells = rows.map((row) => [row.group, row.consumerId, ...(isStatic ? [row.instanceId] : []), row.host, row.clientId, String(row.partitions.length), verbose ? assignmentText(row) : ""]);
  return `\n${text(tableLines(columns, cells))}`;
}

function assignmentText({ partitions }: MemberRow): string {
  const topics = [...new Set(partitions.map(({ topic }) => topic))].toSorted((a, b) => (a < b ? -1 : 1));
  const numbersOf = (wanted: string): number[] => partitions.filter(({ topic }) => topic === wanted).map(({ partition }) => partition).toSorted((a, b) => a - b);
  return topics.length === 0 ? MISSING : topics.map((topic) => `${topic}(${numbersOf(topic).join(",")})`).join(", ");
}

/** Of one group. The first column takes the width of the second one's value, as in Apache's tool. */
export function groupState({ group, coordinator, strategy, state, members }: StateRow): string {
  const columns = [fixed("GROUP", Math.max(25, coordinator.length)), fixed("COORDINATOR (ID)", 25), fixed("ASSIGNMENT-STRATEGY", 20), fixed("STATE", 15), fixed("#MEMBERS", 0)];
  return `\n${text(tableLines(columns, [[group, coordinator, strategy, state, String(members)]]))}`;
}

export function resetRows(rows: readonly PlannedReset[]): string {
  const columns = [fixed("GROUP", 30), fixed("TOPIC", 30), fixed("PARTITION", 10), fixed("NEW-OFFSET", 15)];
  return `\n${text(tableLines(columns, rows.map(({ group, topic, partition, offset }) => [group, topic, String(partition), String(offset)]), { padLast: true }))}`;
}

export function deletedOffsetRows(rows: readonly DeletedOffset[]): string {
  const columns = [fixed("TOPIC", 30), fixed("PARTITION", 15), fixed("STATUS", 15)];
  const sorted = rows.toSorted((a, b) => (`${a.topic}${a.partition ?? ""}` < `${b.topic}${b.partition ?? ""}` ? -1 : 1));
  const cells = sorted.map(({ topic, partition, error }) => [topic, partition === undefined ? "Not Provided" : String(partition), error === undefined ? "Successful" : `Error: ${error}`]);
  return `\n${text(tableLines(columns, cells, { padLast: true }))}`;
}

export function deletedGroups(results: readonly DeletedGroup[]): string {
  const names = (all: typeof results): string => all.map(({ group }) => `'${group}'`).join(", ");
  const done = results.filter(({ error }) => error === undefined);
  const failed = results.filter(({ error }) => error !== undefined);
  if (failed.length === 0) return `Deletion of requested consumer groups (${names(done)}) was successful.\n`;
  const lines = failed.map(({ group, error = "" }) => `* Group '${group}' could not be deleted due to: ${error}`);
  return errorLine("Deletion of some consumer groups failed:") + text(lines) + (done.length === 0 ? "" : `\nThese consumer groups were deleted successfully: ${names(done)}\n`);
}

/** On stdout, as all of the tool's errors. */
export function errorLine(message: string): string {
  return `\nError: ${message}\n`;
}

/** What stands in front of a group's table; `table`: whether one follows, where there are rows. */
export function stateNotice(group: string, state: string): { readonly out: string; readonly err: string; readonly table: boolean } {
  if (state === "Dead") return { out: errorLine(`Consumer group '${group}' does not exist.`), err: "", table: false };
  if (state === "Empty") return { out: "", err: `\nConsumer group '${group}' has no active members.\n`, table: true };
  const rebalancing = state === "PreparingRebalance" || state === "CompletingRebalance";
  return { out: "", err: rebalancing ? `\nWarning: Consumer group '${group}' is rebalancing.\n` : "", table: true };
}

function text(lines: readonly string[]): string {
  return lines.map((line) => `${line}\n`).join("");
}
