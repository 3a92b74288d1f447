import type { Command } from "commander";
import { parseResetPlan } from "../../admin/csv.ts";
import { deleteGroups, deleteOffsets, groupMemberRows, groupOffsetRows, groupStateRows, listGroups, resetGroup, type ResetScope } from "../../admin/groups.ts";
import { warningText, type ResetScenario } from "../../admin/reset-plan.ts";
import { must } from "../../lib/assert.ts";
import { errorCode, OperationalError, toError } from "../../lib/error.ts";
import { printText, type AdminIo } from "../admin-session.ts";
import { resetScenario, SCENARIO_FLAGS } from "../reset-scenario.ts";
import { deletedOffsetRows, groupMembers, groupOffsets, groupState, groupStates, resetRows } from "../print/groups.ts";
import { clusterCommand, collect, withCluster, type ClusterOptions, type RunAdmin } from "./cluster-command.ts";
import { ExitCode } from "./io.ts";

export interface ListGroupsOptions extends ClusterOptions {
  readonly state?: boolean;
}

/** Names of groups of consumers, a line each, or with their states. */
export async function listNamedGroups(options: ListGroupsOptions, io: AdminIo): Promise<number> {
  const states = options.state === true || options.json === true;
  const rows = (await withCluster(options, io, (admin) => listGroups(admin, states ? { states: [] } : {}))).map(({ groupId: group, state }) => ({ group, state }));
  if (options.json === true) io.out(JSON.stringify(rows));
  else if (states) printText(io.out, groupStates(rows));
  else for (const { group } of rows) io.out(group);
  return ExitCode.ok;
}

export interface DescribeGroupsOptions extends ClusterOptions {
  readonly members?: boolean;
  readonly verbose?: boolean;
  readonly state?: boolean;
}

/** What groups have committed, or their members, or their state; 1 where one is not there. JSON has it all. */
export async function describeGroups(names: readonly string[], options: DescribeGroupsOptions, io: AdminIo): Promise<number> {
  if (options.members === true && options.state === true) throw new OperationalError("ERR_USAGE", "--members and --state can't be used together");
  return withCluster(options, io, async (admin) => {
    const states = await groupStateRows(admin, names);
    const there = states.filter(({ state }) => state !== "Dead").map(({ group }) => group);
    if (options.json === true) {
      const [members, offsets] = await Promise.all([groupMemberRows(admin, there), groupOffsetRows(admin, there)]);
      const rows = <Row>(views: readonly { readonly group: string; readonly rows: readonly Row[] }[], of: string): readonly Omit<Row, "group">[] => (views.find(({ group }) => group === of)?.rows ?? []).map((row) => ({ ...row, group: undefined }));
      io.out(JSON.stringify(states.map((state) => ({ ...state, members: rows(members, state.group), offsets: rows(offsets, state.group) }))));
    } else if (options.state === true) {
      for (const row of states) if (row.state !== "Dead") printText(io.out, groupState(row));
    } else if (options.members === true) {
      for (const { rows } of await groupMemberRows(admin, there)) if (rows.length > 0) printText(io.out, groupMembers(rows, { verbose: options.verbose === true }));
    } else {
      for (const { rows } of await groupOffsetRows(admin, there)) if (rows.length > 0) printText(io.out, groupOffsets(rows));
    }
    for (const { group, state } of states) {
      if (state === "Dead") io.err(`group ${group} does not exist`);
      else if (state === "Empty" && options.json !== true) io.err(`group ${group} has no members`);
      else if (state !== "Stable" && options.json !== true) io.err(`group ${group} is rebalancing`);
    }
    return there.length < states.length ? ExitCode.failed : ExitCode.ok;
  });
}

export interface ResetGroupOptions extends ClusterOptions {
  readonly topic?: readonly string[];
  readonly allTopics?: boolean;
  readonly toOffset?: string;
  readonly shiftBy?: string;
  readonly toDatetime?: string;
  readonly byDuration?: string;
  readonly toEarliest?: boolean;
  readonly toLatest?: boolean;
  readonly toCurrent?: boolean;
  readonly fromFile?: string;
  readonly execute?: boolean;
}

/** Prints where the group would go on; --execute sets it. */
export async function resetNamedGroup(group: string, options: ResetGroupOptions, io: AdminIo): Promise<number> {
  const scenario = scenarioOf(options, io.host.clock.wallMs());
  const scope = await scopeOf(options, io);
  const execute = options.execute === true;
  const { active, unplanned, rows, warnings } = await withCluster(options, io, (admin) => resetGroup(admin, group, scope, scenario, { execute }));
  for (const warning of warnings) io.err(warningText(warning));
  if (active !== undefined) io.err(`group ${group} has members (it is ${active}): stop them first`);
  else if (unplanned) io.err(`the plan says nothing of group ${group}`);
  else {
    if (options.json === true) io.out(JSON.stringify({ group, executed: execute, offsets: rows.map(({ topic, partition, offset }) => ({ topic, partition, offset })) }));
    else printText(io.out, resetRows(rows));
    if (!execute) io.err("nothing is set yet: --execute does it");
    return ExitCode.ok;
  }
  return ExitCode.failed;
}

function scenarioOf(options: ResetGroupOptions, nowMs: number): ResetScenario {
  const byFlag: Readonly<Record<(typeof SCENARIO_FLAGS)[number], string | boolean | undefined>> = {
    "to-offset": options.toOffset, "shift-by": options.shiftBy, "to-datetime": options.toDatetime, "by-duration": options.byDuration,
    "to-earliest": options.toEarliest, "to-latest": options.toLatest, "to-current": options.toCurrent,
  };
  const given = [...SCENARIO_FLAGS.filter((flag) => byFlag[flag] !== undefined), ...(options.fromFile === undefined ? [] : ["from-file"])];
  if (given.length !== 1) throw new OperationalError("ERR_USAGE", `exactly one of --${[...SCENARIO_FLAGS, "from-file"].join(", --")} is needed`);
  try {
    const scenario = resetScenario((flag) => {
      const value = byFlag[flag];
      return value === true ? "" : typeof value === "string" ? value : undefined;
    }, nowMs);
    // A plan brings its own offsets.
    return scenario ?? { kind: "to-current" };
  } catch (error) {
    if (errorCode(error) === undefined) throw error;
    throw new OperationalError("ERR_USAGE", toError(error).message, { cause: error });
  }
}

async function scopeOf({ topic, allTopics, fromFile }: ResetGroupOptions, { host }: AdminIo): Promise<ResetScope> {
  if (fromFile !== undefined) {
    if (topic !== undefined || allTopics === true) throw new OperationalError("ERR_USAGE", "--from-file says which partitions are meant: leave --topic and --all-topics out");
    try {
      return { kind: "plan", plan: parseResetPlan((await host.disk.readFile(fromFile)).toString("utf8"), { origin: fromFile, single: true }) };
    } catch (error) {
      if (errorCode(error) === undefined || errorCode(error) === "ERR_CSV") throw error;
      throw new OperationalError("ERR_USAGE", `--from-file ${fromFile} can't be read: ${toError(error).message}`, { cause: error });
    }
  }
  if ((topic === undefined) === (allTopics !== true)) throw new OperationalError("ERR_USAGE", "either --topic or --all-topics is needed");
  return topic === undefined ? { kind: "committed" } : { kind: "topics", topics: topic };
}

export interface DeleteGroupsOptions extends ClusterOptions {
  readonly offsets?: boolean;
  readonly topic?: readonly string[];
}

/** Groups without members, or with --offsets what one has committed for topics; 1 where something could not be deleted. */
export async function deleteNamedGroups(names: readonly string[], options: DeleteGroupsOptions, io: AdminIo): Promise<number> {
  if ((options.offsets === true) !== (options.topic !== undefined)) throw new OperationalError("ERR_USAGE", "--offsets and --topic belong together");
  const [first, ...others] = names;
  if (options.offsets === true) {
    if (others.length > 0) throw new OperationalError("ERR_USAGE", "--offsets is for one group at a time");
    const { error, rows } = await withCluster(options, io, (admin) => deleteOffsets(admin, must(first, "group"), options.topic ?? []));
    if (options.json === true) io.out(JSON.stringify(rows));
    else printText(io.out, deletedOffsetRows(rows));
    if (error !== undefined) io.err(`offsets of group ${first} can't be deleted: ${error}`);
    return error !== undefined || rows.some((row) => row.error !== undefined) ? ExitCode.failed : ExitCode.ok;
  }
  const results = await withCluster(options, io, (admin) => deleteGroups(admin, names));
  if (options.json === true) io.out(JSON.stringify(results));
  for (const { group, error } of results) {
    if (error !== undefined) io.err(`group ${group} can't be deleted: ${error}`);
    else if (options.json !== true) io.out(`deleted group ${group}`);
  }
  return results.some(({ error }) => error !== undefined) ? ExitCode.failed : ExitCode.ok;
}

export function addGroups(program: Command, directory: string, run: RunAdmin): void {
  const groups = program.command("groups").description("list, describe, reset or delete groups of consumers");
  clusterCommand(groups, "list", "print the names of groups", directory)
    .option("--state", "with their states")
    .action((options: ListGroupsOptions) => run((io) => listNamedGroups(options, io)));
  clusterCommand(groups, "describe <group...>", "print what groups have committed and how far behind they are", directory)
    .option("--members", "their members")
    .option("--verbose", "with --members: who reads what")
    .option("--state", "their state, coordinator and way of sharing partitions out")
    .action((names: readonly string[], options: DescribeGroupsOptions) => run((io) => describeGroups(names, options, io)));
  clusterCommand(groups, "reset <group>", "set where a group without members goes on", directory)
    .option("--topic <topic>", "of this topic, or of some of its partitions, t:0,1; may be given several times", collect)
    .option("--all-topics", "of all that it has committed")
    .option("--to-offset <n>", "to this offset")
    .option("--shift-by <n>", "by so many, forwards or backwards")
    .option("--to-datetime <time>", "to the first record at this time or after: 2026-11-22T14:05:00.000")
    .option("--by-duration <duration>", "to the first record that is not older: P7D, PT1H30M")
    .option("--to-earliest", "to the first record")
    .option("--to-latest", "behind the last record")
    .option("--to-current", "to what is committed, the end where nothing is")
    .option("--from-file <file>", "as a file says: topic,partition,offset a line")
    .option("--execute", "do it; without it, only print it")
    .action((name: string, options: ResetGroupOptions) => run((io) => resetNamedGroup(name, options, io)));
  clusterCommand(groups, "delete <group...>", "delete groups without members", directory)
    .option("--offsets", "only what a group has committed for --topic")
    .option("--topic <topic>", "with --offsets: this topic, or some of its partitions, t:0,1; may be given several times", collect)
    .action((names: readonly string[], options: DeleteGroupsOptions) => run((io) => deleteNamedGroups(names, options, io)));
}
