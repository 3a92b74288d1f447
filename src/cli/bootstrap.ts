import { resolve } from "node:path";
import type { Host } from "../host/host.ts";
import type { Endpoint, KafkaClient } from "../kafka/client/kafka-client.ts";
import { OperationalError, toError } from "../lib/error.ts";

const DEFAULT_PORT = 9092;
const PORT_MAX = 65_535;

/**
 * `host:port,[::1]:port,...`; without `defaultPort` each needs its port, as with Kafka's scripts. Throws ERR_USAGE
 * naming the option.
 */
export function parseBootstrap(text: string, option: string, { defaultPort }: { readonly defaultPort?: number } = {}): Endpoint[] {
  return text.split(",").map((part) => {
    const [, bracketed, plain, port] = /^(?:\[([^\]]+)\]|([^:[\]]+))(?::(\d+))?$/.exec(part.trim()) ?? [];
    const host = bracketed ?? plain;
    const number = port === undefined ? defaultPort : Number(port);
    if (host === undefined || number === undefined || number < 1 || number > PORT_MAX) throw new OperationalError("ERR_USAGE", `${option} ${text}: expected host:port, or several of them with commas between, not "${part}"`);
    return { host, port: number };
  });
}

/** Brokers to ask first: those that `--bootstrap` names, or those of the cluster in `--dir`. */
export async function bootstrapOf({ bootstrap, dir }: { readonly bootstrap?: string | undefined; readonly dir: string }): Promise<Endpoint[]> {
  if (bootstrap !== undefined) return parseBootstrap(bootstrap, "--bootstrap", { defaultPort: DEFAULT_PORT });
  // Kafka's scripts have no use for it, and would wait while it loads.
  const { existingCluster } = await import("../cluster/cluster-directory.ts");
  const { nodes } = await existingCluster(resolve(dir));
  return nodes.map(({ kafka }) => kafka);
}

export function endpointText({ host, port }: Endpoint): string {
  return `${host.includes(":") ? `[${host}]` : host}:${port}`;
}

/** How often what goes on being wrong is told. */
const AGAIN_MS = 5000;

/** Tells each trouble at once, and one that goes on every few seconds. */
export function troubleTeller({ clock }: Host, err: (line: string) => void): (error: Error) => void {
  const toldMs = new Map<string, number>();
  return ({ message }) => {
    const nowMs = clock.monotonicMs();
    if (nowMs - (toldMs.get(message) ?? -Infinity) < AGAIN_MS) return;
    toldMs.set(message, nowMs);
    err(message);
  };
}

const REACH_PAUSE_MS = 250;

/**
 * Resolves when a broker has answered. What keeps them from it is told at once and while it goes on; rejects with it
 * (ERR_UNREACHABLE) after `forMs`, and where the client is closed meanwhile.
 */
export async function reachCluster(client: KafkaClient, bootstrap: readonly Endpoint[], forMs: number, err: (line: string) => void): Promise<void> {
  const { clock } = client.host;
  const untilMs = clock.monotonicMs() + forMs;
  const tell = troubleTeller(client.host, err);
  const where = bootstrap.map(endpointText).join(", ");
  for (;;) {
    try {
      await client.metadata([]);
      return;
    } catch (error) {
      if (!client.isPassing(error)) throw error;
      const { message } = toError(error);
      if (clock.monotonicMs() + REACH_PAUSE_MS >= untilMs) throw new OperationalError("ERR_UNREACHABLE", `no broker answers at ${where} within ${forMs / 1000} s: ${message}`, { cause: error });
      tell(new OperationalError("ERR_UNREACHABLE", `no broker answers at ${where} yet, trying for ${forMs / 1000} s: ${message}`));
      await client.pause(REACH_PAUSE_MS);
    }
  }
}
