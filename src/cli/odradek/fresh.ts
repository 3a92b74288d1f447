import { resolve } from "node:path";
import { freshen } from "../../cluster/fresh.ts";
import { OperationalError } from "../../lib/error.ts";
import { ExitCode, type CommandIo } from "./io.ts";

/** Makes a copied node directory one that has never run: what names the node, and its data, go. */
export async function fresh(nodeDirectory: string, options: { readonly yes?: boolean }, io: CommandIo): Promise<number> {
  const directory = resolve(nodeDirectory);
  if (options.yes !== true) throw new OperationalError("ERR_USAGE", `this removes the logs and the ZooKeeper data of ${directory}, and keeps its config and myid: say so with --yes`);
  const removed = await freshen(directory);
  if (removed.length === 0) io.out(`${directory} is fresh already`);
  for (const path of removed) io.out(`removed ${path}`);
  return ExitCode.ok;
}
