import process from "node:process";
import { existingCluster } from "../../cluster/cluster-directory.ts";
import { followNodeLog, lastLines, readableLine } from "../../cluster/node-log.ts";
import { OperationalError } from "../../lib/error.ts";
import { ExitCode, type CommandIo } from "./io.ts";

const LINES = 100;
const POLL_MS = 200;

export interface LogsOptions {
  readonly dir: string;
  readonly follow?: boolean;
  /** The lines as they are in the files. */
  readonly json?: boolean;
}

/** The last lines that nodes have printed, and with `follow` those to come, with the node's number in front. */
export async function logs(node: string | undefined, options: LogsOptions, io: CommandIo): Promise<number> {
  const { nodes } = await existingCluster(options.dir);
  const chosen = nodes.filter(({ id }) => node === undefined || String(id) === node);
  if (chosen.length === 0) throw new OperationalError("ERR_USAGE", `there is no node ${node ?? ""}: the cluster has ${nodes.map(({ id }) => id).join(", ")}`);
  const print = (id: number, line: string): void => io.out(options.json === true ? line : `${chosen.length > 1 ? `${id} ` : ""}${readableLine(line)}`);
  for (const { id, logFile } of chosen) for (const line of lastLines(logFile, LINES)) print(id, line);
  if (options.follow !== true) return ExitCode.ok;
  const ended = new AbortController();
  for (const signal of ["SIGINT", "SIGTERM"] as const) process.once(signal, () => ended.abort());
  process.stdout.once("error", () => ended.abort());
  await Promise.all(chosen.map(({ id, logFile }) => followNodeLog(logFile, (line) => print(id, line), { fromEnd: true, signal: ended.signal, pollMs: POLL_MS })));
  return ExitCode.ok;
}
