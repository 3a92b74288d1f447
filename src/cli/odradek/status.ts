import { resolve } from "node:path";
import { existingCluster } from "../../cluster/cluster-directory.ts";
import { runningCluster } from "../../cluster/cluster-lock.ts";
import { clusterStatus, isHealthy, type ClusterStatus } from "../../cluster/status.ts";
import { realHost } from "../../host/real/host.ts";
import { tableLines } from "../print/table.ts";
import { ExitCode, type CommandIo } from "./io.ts";

/** What runs, who leads, and what is not in sync. Exit code 1 where something is not as it should be. */
export async function status(options: { readonly dir: string; readonly json?: boolean }, io: CommandIo): Promise<number> {
  const directory = resolve(options.dir);
  const host = realHost({ logLevel: "silent" });
  const { nodes } = await existingCluster(directory);
  const running = await runningCluster(host.disk, directory);
  const told = await clusterStatus(host, nodes, running?.nodes ?? {});
  if (options.json === true) io.out(JSON.stringify({ healthy: isHealthy(told), supervisor: running?.pid ?? null, ...told }));
  else for (const line of lines(told)) io.out(line);
  return isHealthy(told) ? ExitCode.ok : ExitCode.failed;
}

function lines({ nodes, underReplicated, offline }: ClusterStatus): string[] {
  const rows = nodes.map(({ id, pid, member, broker, controller }) => [String(id), pid === undefined ? "-" : String(pid), member ?? "down", broker ? (controller ? "up, controller" : "up") : "down"]);
  return [...tableLines(COLUMNS, rows), ...partitions("under-replicated", underReplicated), ...partitions("without a leader", offline)];
}

const COLUMNS = ["NODE", "PROCESS", "ZOOKEEPER", "BROKER"].map((title) => ({ title, width: title.length, grows: true }));

const SHOWN_MAX = 20;

function partitions(what: string, names: readonly string[] | undefined): string[] {
  if (names === undefined) return [`partitions ${what}: not known, no broker answers`];
  const more = names.length > SHOWN_MAX ? `, and ${names.length - SHOWN_MAX} more` : "";
  return [`partitions ${what}: ${names.length === 0 ? "none" : `${names.length} (${names.slice(0, SHOWN_MAX).join(", ")}${more})`}`];
}
