import { InvalidArgumentError, type Command } from "commander";
import type { Admin } from "../../admin/admin.ts";
import { bootstrapOf } from "../bootstrap.ts";
import { withAdmin, type AdminIo } from "../admin-session.ts";

/** What every command that asks a cluster is given. */
export interface ClusterOptions {
  readonly dir: string;
  readonly bootstrap?: string;
  readonly json?: boolean;
  readonly timeout: number;
}

/** Runs a command and ends the process with what it gives. */
export type RunAdmin = (command: (io: AdminIo) => Promise<number>) => Promise<void>;

const TIMEOUT_MS = 30_000;

/** A subcommand with the options that all have. */
export function clusterCommand(parent: Command, usage: string, description: string, directory: string): Command {
  return parent
    .command(usage)
    .description(description)
    .option("--bootstrap <host:port,...>", "brokers of any cluster (default: those of --dir)")
    .option("--dir <directory>", "the cluster's directory", directory)
    .option("--timeout <ms>", "how long the cluster may take", positive, TIMEOUT_MS)
    .option("--json", "print JSON");
}

export async function withCluster<T>(options: ClusterOptions, io: AdminIo, work: (admin: Admin) => Promise<T>): Promise<T> {
  return withAdmin(io, { bootstrap: await bootstrapOf(options), clientId: "odradek", requestTimeoutMs: options.timeout, totalTimeoutMs: options.timeout }, work);
}

export function positive(text: string): number {
  const value = Number(text);
  if (!/^\d+$/.test(text) || !Number.isSafeInteger(value) || value < 1) throw new InvalidArgumentError("expected a whole number above 0.");
  return value;
}

/** For options that may be given several times. */
export function collect(text: string, before: readonly string[] | undefined): readonly string[] {
  return [...(before ?? []), text];
}
