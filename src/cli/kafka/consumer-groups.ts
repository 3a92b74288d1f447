import type { Admin } from "../../admin/admin.ts";
import { formatCsv, parseResetPlan } from "../../admin/csv.ts";
import { deleteGroups, deleteOffsets, groupMemberRows, groupOffsetRows, groupStateRows, listGroups, parseGroupStates, resetGroup, type GroupReset, type PlannedReset, type ResetScope } from "../../admin/groups.ts";
import { warningText, type ResetScenario } from "../../admin/reset-plan.ts";
import { errorCode, OperationalError, toError } from "../../lib/error.ts";
import { printText, withAdmin, type AdminIo } from "../admin-session.ts";
import { resetScenario, SCENARIO_FLAGS } from "../reset-scenario.ts";
import { deletedGroups, deletedOffsetRows, errorLine, groupMembers, groupOffsets, groupState, groupStates, resetRows, stateNotice } from "../print/groups.ts";
import { conflict, type GivenOptions, type OptionSpec } from "./jopt.ts";
import { CONNECTION_SPECS, exactlyOne, isUsage, adminOptions, sessionOptions, wrongUsage, type Script } from "./admin-script.ts";

/** kafka-consumer-groups.sh. Source of flags and outputs: core/…/admin/ConsumerGroupCommand.scala of Apache Kafka 2.7.1. */

const ACTIONS = ["list", "describe", "delete", "reset-offsets", "delete-offsets"];
const SCENARIOS = [...SCENARIO_FLAGS, "from-file"];
const TIMEOUT_MS = 5000;

export const GROUPS_SPECS: readonly OptionSpec[] = [
  ...CONNECTION_SPECS,
  { name: "list", arg: "none", help: "Print the names of all groups of consumers." },
  { name: "describe", arg: "none", help: "Print what groups have committed, and who reads what." },
  { name: "delete", arg: "none", help: "Delete groups without members." },
  { name: "reset-offsets", arg: "none", help: "Set where groups without members go on." },
  { name: "delete-offsets", arg: "none", help: "Forget what a group has committed for topics." },
  { name: "group", arg: "required", list: true, help: "A group." },
  { name: "all-groups", arg: "none", onlyWith: ["describe", "delete", "reset-offsets"], help: "All groups." },
  { name: "topic", arg: "required", list: true, help: "A topic, or some of its partitions: t:0,1" },
  { name: "all-topics", arg: "none", onlyWith: ["reset-offsets"], help: "All partitions that the group has committed." },
  { name: "state", arg: "optional", onlyWith: ["describe", "list"], help: "With --describe the state of groups; with --list states too, or only groups in these, with commas between." },
  { name: "members", arg: "none", onlyWith: ["describe"], help: "The members of groups." },
  { name: "offsets", arg: "none", onlyWith: ["describe"], help: "What groups have committed, which is the default." },
  { name: "verbose", arg: "none", onlyWith: ["describe"], help: "With --members: who reads what." },
  { name: "timeout", arg: "required", type: "long", help: "How long the cluster may take to answer, in ms (default: 5000)." },
  { name: "to-offset", arg: "required", type: "long", onlyWith: ["reset-offsets"], help: "To this offset." },
  { name: "shift-by", arg: "required", type: "long", onlyWith: ["reset-offsets"], help: "By so many, forwards or backwards." },
  { name: "to-datetime", arg: "required", onlyWith: ["reset-offsets"], help: "To the first record at this time or after: 2026-11-22T14:05:00.000" },
  { name: "by-duration", arg: "required", onlyWith: ["reset-offsets"], help: "To the first record that is not older: P7D, PT1H30M" },
  { name: "to-earliest", arg: "none", onlyWith: ["reset-offsets"], help: "To the first record." },
  { name: "to-latest", arg: "none", onlyWith: ["reset-offsets"], help: "Behind the last record." },
  { name: "to-current", arg: "none", onlyWith: ["reset-offsets"], help: "To what is committed." },
  { name: "from-file", arg: "required", onlyWith: ["reset-offsets"], help: "As a file says that --export has printed." },
  { name: "dry-run", arg: "none", help: "Only print what would be set, which is the default." },
  { name: "execute", arg: "none", help: "Set it." },
  { name: "export", arg: "none", help: "Print it as CSV." },
  { name: "type", arg: "optional", refused: "all groups are classic ones here", help: "Not supported." },
];

function check(options: GivenOptions): string | undefined {
  const needsGroup = ["describe", "delete", "reset-offsets"].find((action) => options.has(action));
  const views = ["members", "offsets", "state"].filter((view) => options.has(view));
  const problem = exactlyOne(options, ACTIONS) ?? conflict(options, "all-groups", ["group"]);
  if (problem !== undefined) return problem;
  if (needsGroup !== undefined && !options.has("group") && !options.has("all-groups")) return `--${needsGroup} needs --group or --all-groups`;
  if (options.has("describe") && views.length > 1) return `--${views.join(" and --")} can't be used together`;
  if (options.has("describe") && options.one("state") !== undefined) return "--state has no argument with --describe";
  if (options.has("delete") && options.has("topic")) return "--delete is for whole groups; --delete-offsets for topics";
  if (options.has("delete-offsets")) {
    if (!options.has("group") || !options.has("topic")) return "--delete-offsets needs --group and --topic";
    if (options.all("group").length > 1) return "--delete-offsets is for one group at a time";
  }
  if (options.has("reset-offsets")) {
    const scoped = ["topic", "all-topics"].filter((scope) => options.has(scope));
    const wrong = exactlyOne(options, SCENARIOS) ?? conflict(options, "dry-run", ["execute"]);
    if (wrong !== undefined) return wrong;
    if (scoped.length > 1) return "--topic and --all-topics can't be used together";
    if (scoped.length === 0 && !options.has("from-file")) return "--reset-offsets needs --topic or --all-topics";
  }
  return options.has("topic") ? conflict(options, "list", ["topic"]) : undefined;
}

const SCRIPT: Script = { name: "kafka-consumer-groups.sh", specs: GROUPS_SPECS, check };

/** As Apache's tool: what fails is told on stdout and the exit code is 0 all the same; only wrong arguments are 1. */
export async function kafkaConsumerGroups(argv: readonly string[], io: AdminIo): Promise<number> {
  const options = adminOptions(SCRIPT, argv, io);
  if (typeof options === "number") return options;
  try {
    const action = await actionOf(options, io);
    await withAdmin(io, await sessionOptions(options, io, options.number("timeout") ?? TIMEOUT_MS), action);
  } catch (thrown) {
    const error = toError(thrown);
    if (isUsage(error)) return wrongUsage(SCRIPT.name, error.message, io.err);
    printText(io.out, errorLine(`Executing consumer group command failed due to ${error.message}`));
    io.err(error instanceof OperationalError ? `${error.code}: ${error.message}` : (error.stack ?? error.message));
  }
  return 0;
}

/** What is to be done, once the arguments are found to be right. */
async function actionOf(options: GivenOptions, io: AdminIo): Promise<(admin: Admin) => Promise<void>> {
  const groupsOf = async (admin: Admin): Promise<readonly string[]> => (options.has("all-groups") ? (await listGroups(admin)).map(({ groupId }) => groupId) : [...new Set(options.all("group"))].toSorted());
  if (options.has("list")) return listing(options, io);
  if (options.has("describe")) return async (admin) => describe(admin, await groupsOf(admin), options, io);
  if (options.has("delete")) return async (admin) => printText(io.out, deletedGroups(await deleteGroups(admin, await groupsOf(admin))));
  if (options.has("delete-offsets")) return (admin) => deletion(admin, options.one("group") ?? "", options.all("topic"), io);
  const scenario = resetScenario((flag) => (options.has(flag) ? (options.one(flag) ?? "") : undefined), io.host.clock.wallMs());
  const scope = await scopeOf(options, io);
  return async (admin) => reset(admin, await groupsOf(admin), scope, scenario, options, io);
}

function listing(options: GivenOptions, { out }: AdminIo): (admin: Admin) => Promise<void> {
  if (!options.has("state")) {
    return async (admin) => {
      for (const { groupId } of await listGroups(admin)) out(groupId);
    };
  }
  const text = options.one("state");
  const states = text === undefined || text === "" ? [] : parseGroupStates(text.split(","), "--state");
  return async (admin) => printText(out, groupStates((await listGroups(admin, { states })).map(({ groupId: group, state }) => ({ group, state }))));
}

async function describe(admin: Admin, groups: readonly string[], options: GivenOptions, { out, err }: AdminIo): Promise<void> {
  const show = (group: string, state: string, table: () => string | undefined): void => {
    const notice = stateNotice(group, state);
    printText(out, notice.out);
    printText(err, notice.err);
    if (notice.table) printText(out, table() ?? "");
  };
  if (options.has("state")) {
    for (const row of await groupStateRows(admin, groups)) show(row.group, row.state, () => groupState(row));
  } else if (options.has("members")) {
    for (const { group, state, rows } of await groupMemberRows(admin, groups)) show(group, state, () => (rows.length === 0 ? undefined : groupMembers(rows, { verbose: options.has("verbose") })));
  } else {
    for (const { group, state, rows } of await groupOffsetRows(admin, groups)) show(group, state, () => (rows.length === 0 ? undefined : groupOffsets(rows)));
  }
}

async function deletion(admin: Admin, group: string, topics: readonly string[], { out }: AdminIo): Promise<void> {
  const { error, rows } = await deleteOffsets(admin, group, topics);
  printText(out, error === undefined ? `Request succeed for deleting offsets with topic ${topics.join(", ")} group ${group}\n` : errorLine(deletionProblem(error, group)));
  printText(out, deletedOffsetRows(rows));
}

function deletionProblem(error: string, group: string): string {
  switch (error) {
    case "INVALID_GROUP_ID":
      return `'${group}' is not valid.`;
    case "GROUP_ID_NOT_FOUND":
      return `'${group}' does not exist.`;
    case "GROUP_AUTHORIZATION_FAILED":
      return `Access to '${group}' is not authorized.`;
    case "NON_EMPTY_GROUP":
      return `Deleting offsets of a consumer group '${group}' is forbidden if the group is not empty.`;
    case "GROUP_SUBSCRIBED_TO_TOPIC":
    case "TOPIC_AUTHORIZATION_FAILED":
    case "UNKNOWN_TOPIC_OR_PARTITION":
      return "Encounter some partition level error, see the follow-up details:";
    default:
      return `Encounter some unknown error: ${error}`;
  }
}

async function scopeOf(options: GivenOptions, { host }: AdminIo): Promise<ResetScope> {
  const path = options.one("from-file");
  if (path === undefined) return options.has("all-topics") ? { kind: "committed" } : { kind: "topics", topics: options.all("topic") };
  let text: string;
  try {
    text = (await host.disk.readFile(path)).toString("utf8");
  } catch (error) {
    throw new OperationalError(errorCode(error) ?? "ERR_FILE", `--from-file ${path} can't be read: ${toError(error).message}`, { cause: error });
  }
  return { kind: "plan", plan: parseResetPlan(text, { origin: path, single: options.all("group").length === 1 }) };
}

async function reset(admin: Admin, groups: readonly string[], scope: ResetScope, scenario: ResetScenario | undefined, options: GivenOptions, { out, err }: AdminIo): Promise<void> {
  const execute = options.has("execute");
  if (!execute && !options.has("dry-run")) err("WARN: nothing is set without --execute: this is what would be");
  const results: GroupReset[] = [];
  for (const group of groups) {
    const result = await resetGroup(admin, group, scope, scenario ?? { kind: "to-current" }, { execute });
    results.push(result);
    if (result.active !== undefined) printText(out, errorLine(`Assignments can only be reset if the group '${group}' is inactive, but the current state is ${result.active}.`));
    if (result.unplanned) printText(out, errorLine(`No reset plan for group ${group} found`));
    for (const warning of result.warnings) err(warningText(warning));
  }
  const rows = results.flatMap((result) => result.rows);
  if (options.has("export")) out(exported(rows, options.all("group").length === 1));
  else if (results.length > 0) printText(out, resetRows(rows));
}

/** One line more than there are rows, as Apache's tool prints it. */
function exported(rows: readonly PlannedReset[], single: boolean): string {
  return formatCsv(rows.map(({ group, topic, partition, offset }) => [...(single ? [] : [group]), topic, partition, offset]));
}
