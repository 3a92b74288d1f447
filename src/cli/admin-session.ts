import { adminOf, type Admin } from "../admin/admin.ts";
import type { Host } from "../host/host.ts";
import { KafkaClient, type Endpoint } from "../kafka/client/kafka-client.ts";
import { reachCluster } from "./bootstrap.ts";
import type { CommandIo } from "./odradek/io.ts";

/** What a command that asks a cluster has of the world. `out` and `err` take lines without their end. */
export interface AdminIo extends CommandIo {
  readonly host: Host;
}

export interface SessionOptions {
  readonly bootstrap: readonly Endpoint[];
  readonly clientId: string;
  /** How long one answer may take. */
  readonly requestTimeoutMs: number;
  /** How long everything that is tried again may take, the first connection too. */
  readonly totalTimeoutMs: number;
}

/** Runs `work` once a broker has answered, and closes the connections after it. Rejects as reachCluster does, and as `work`. */
export async function withAdmin<T>(io: AdminIo, { bootstrap, clientId, requestTimeoutMs, totalTimeoutMs }: SessionOptions, work: (admin: Admin) => Promise<T>): Promise<T> {
  const client = new KafkaClient({ host: io.host, bootstrap, clientId, requestTimeoutMs, retryTimeoutMs: totalTimeoutMs, random: io.host.random });
  try {
    await reachCluster(client, bootstrap, totalTimeoutMs, io.err);
    return await work(adminOf(client, requestTimeoutMs));
  } finally {
    await client.close();
  }
}

/** Text of whole lines, as the functions of print/ make it. */
export function printText(write: (line: string) => void, text: string): void {
  if (text !== "") write(text.replace(/\n$/, ""));
}
