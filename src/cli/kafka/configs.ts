import { ensureDone, type Admin } from "../../admin/admin.ts";
import { alterConfigs, describeConfigs, parseConfigs } from "../../admin/configs.ts";
import type { ConfigResourceType } from "../../kafka/client/cluster-admin.ts";
import { must } from "../../lib/assert.ts";
import { OperationalError, toError } from "../../lib/error.ts";
import { printText, withAdmin, type AdminIo } from "../admin-session.ts";
import { readProperties } from "../client-properties.ts";
import { configsText, updatedLine } from "../print/configs.ts";
import { conflict, type GivenOptions, type OptionSpec } from "./jopt.ts";
import { CONNECTION_OR_ZOOKEEPER_SPECS, exactlyOne, isUsage, adminOptions, sessionOptions, wrongUsage, type Script } from "./admin-script.ts";
import { ScriptExit } from "./script.ts";

/** kafka-configs.sh. Source of flags and outputs: core/…/admin/ConfigCommand.scala of Apache Kafka 2.7.1. */

const TYPES: ReadonlyMap<string, ConfigResourceType> = new Map([["topics", "topic"], ["brokers", "broker"], ["broker-loggers", "broker-logger"]]);
const NO_QUOTAS = "there are no users, quotas or client metrics here yet: topics, brokers and broker-loggers have settings";

/** One resource, or all of its type. */
interface Entity {
  readonly type: ConfigResourceType;
  /** "": what all share; undefined: not said. */
  readonly name: string | undefined;
}

/** Flags that name type and resource at once. */
const SHORT: readonly { readonly flag: string; readonly type: ConfigResourceType }[] = [
  { flag: "topic", type: "topic" },
  { flag: "broker", type: "broker" },
  { flag: "broker-logger", type: "broker-logger" },
  { flag: "broker-defaults", type: "broker" },
];
const LONG = ["entity-type", "entity-name", "entity-default"];

export const CONFIGS_SPECS: readonly OptionSpec[] = [
  ...CONNECTION_OR_ZOOKEEPER_SPECS,
  { name: "describe", arg: "none", help: "Print settings." },
  { name: "alter", arg: "none", help: "Change settings." },
  { name: "entity-type", arg: "required", list: true, help: "topics, brokers or broker-loggers." },
  { name: "entity-name", arg: "required", list: true, help: "A topic's name, or a broker's number." },
  { name: "entity-default", arg: "none", help: "What all brokers share." },
  { name: "topic", arg: "required", help: "The topic with this name." },
  { name: "broker", arg: "required", help: "The broker with this number." },
  { name: "broker-defaults", arg: "none", help: "What all brokers share." },
  { name: "broker-logger", arg: "required", help: "The loggers of the broker with this number." },
  { name: "add-config", arg: "required", onlyWith: ["alter"], help: "Settings, name=value with commas between; brackets around values with commas: a=1,b=[x,y]" },
  { name: "add-config-file", arg: "required", onlyWith: ["alter"], help: "A file with settings." },
  { name: "delete-config", arg: "required", split: true, onlyWith: ["alter"], help: "Names of settings that are to be as if they had never been set." },
  { name: "all", arg: "none", onlyWith: ["describe"], help: "With those that come from a file or are defaults." },
  { name: "force", arg: "none", ignored: true, help: "No effect." },
  ...["user", "client", "ip", "client-metrics"].map((name): OptionSpec => ({ name, arg: "required", refused: NO_QUOTAS, help: "Not supported." })),
  ...["user-defaults", "client-defaults", "ip-defaults"].map((name): OptionSpec => ({ name, arg: "none", refused: NO_QUOTAS, help: "Not supported." })),
  { name: "zk-tls-config-file", arg: "required", refused: "there is no TLS to ZooKeeper", help: "Not supported." },
  { name: "bootstrap-controller", arg: "required", refused: "controllers are brokers here: name them with --bootstrap-server", help: "Not supported." },
];

function check(options: GivenOptions): string | undefined {
  const entity = entityOf(options);
  if (typeof entity === "string") return entity;
  const { type, name } = entity;
  const changes = ["add-config", "add-config-file", "delete-config"];
  if (options.has("alter")) {
    if (name === undefined || (name === "" && type !== "broker")) return `--alter needs the name of one of the ${type}s${type === "broker" ? ", or --entity-default" : ""}`;
    if (!changes.some((change) => options.has(change))) return `--alter needs --${changes.join(" or --")}`;
  }
  if (type === "broker-logger" && (name === undefined || name === "")) return "loggers are those of a broker: name it";
  if (type !== "topic" && name !== undefined && name !== "" && !/^\d+$/.test(name)) return `"${name}" is no broker's number`;
  return exactlyOne(options, ["describe", "alter"]) ?? conflict(options, "zookeeper", ["bootstrap-server"]) ?? conflict(options, "add-config", ["add-config-file"]);
}

/** What is wrong, as text, or what is asked for. */
function entityOf(options: GivenOptions): Entity | string {
  const short = SHORT.filter(({ flag }) => options.has(flag));
  const [first] = short;
  if (first !== undefined) {
    if (short.length > 1) return `--${short.map(({ flag }) => flag).join(" and --")} can't be used together`;
    const long = LONG.find((flag) => options.has(flag));
    return long === undefined ? { type: first.type, name: options.one(first.flag) ?? "" } : `--${long} can't be used with --${first.flag}`;
  }
  const [typeName, ...others] = options.all("entity-type");
  if (typeName === undefined) return "--entity-type is required, or --topic, --broker, --broker-defaults or --broker-logger";
  const type = TYPES.get(typeName);
  if (type === undefined) return `--entity-type ${typeName}: ${["users", "clients", "ips", "client-metrics"].includes(typeName) ? NO_QUOTAS : `expected ${[...TYPES.keys()].join(", ")}`}`;
  if (others.length > 0) return "one --entity-type at a time";
  const names = options.inOrder.filter(({ name }) => name === "entity-name" || name === "entity-default").map(({ value }) => value ?? "");
  return names.length > 1 ? "one --entity-name or --entity-default at a time" : { type, name: names[0] };
}

const SCRIPT: Script = { name: "kafka-configs.sh", specs: CONFIGS_SPECS, check };

/** Whatever fails is told on stderr, with exit code 1. */
export async function kafkaConfigs(argv: readonly string[], io: AdminIo): Promise<number> {
  const options = adminOptions(SCRIPT, argv, io);
  if (typeof options === "number") return options;
  try {
    const action = options.has("alter") ? await alteration(options, io) : description(options, io);
    await withAdmin(io, await sessionOptions(options, io), action);
    return 0;
  } catch (thrown) {
    const error = toError(thrown);
    if (isUsage(error)) return wrongUsage(SCRIPT.name, error.message, io.err);
    io.err(error instanceof OperationalError ? error.message : (error.stack ?? error.message));
    return ScriptExit.failed;
  }
}

function description(options: GivenOptions, { out }: AdminIo): (admin: Admin) => Promise<void> {
  const { type, name } = checked(options);
  const all = options.has("all");
  return async ({ cluster }) => {
    for (const answer of await describeConfigs(cluster, { type, name })) {
      // One that is refused has its heading all the same, as Apache's.
      printText(out, configsText(answer.resource, answer.entries, { all }));
      ensureDone(answer);
    }
  };
}

async function alteration(options: GivenOptions, { host, out }: AdminIo): Promise<(admin: Admin) => Promise<void>> {
  const { type, name = "" } = checked(options);
  const path = options.one("add-config-file");
  const fromFile = path === undefined ? [] : [...(await readProperties({ disk: host.disk, file: { option: "--add-config-file", path } })).values()].map(({ key, value }) => [key, value] as const);
  const added = options.one("add-config");
  const set = new Map([...fromFile, ...(added === undefined ? [] : parseConfigs(added, "--add-config"))]);
  const unset = options.all("delete-config").map((key) => key.trim());
  return async ({ cluster }) => {
    await alterConfigs(cluster, { type, name }, { set, unset });
    printText(out, updatedLine({ type, name }));
  };
}

function checked(options: GivenOptions): Entity {
  const entity = entityOf(options);
  return must(typeof entity === "string" ? undefined : entity, "options that were checked");
}
