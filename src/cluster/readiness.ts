import type { Host } from "../host/host.ts";
import { KafkaClient, type Endpoint } from "../kafka/client/kafka-client.ts";

const POLL_MS = 20;
const REQUEST_TIMEOUT_MS = 5000;

/** So long a cluster that can be reached is given to bring its replicas in sync, before it counts as ready all the same. */
const SYNC_MS_MAX = 10_000;

/**
 * Resolves with the controller's number when a broker names all of them, and a controller. Errors on the way count as
 * "not yet"; false when `signal` is aborted.
 */
export async function whenReady(host: Host, brokers: readonly Endpoint[], signal: AbortSignal): Promise<number | false> {
  const client = new KafkaClient({ host, bootstrap: brokers, clientId: "odradek", requestTimeoutMs: REQUEST_TIMEOUT_MS, random: host.random });
  try {
    while (!signal.aborted) {
      const told = await client.metadata([]).catch(() => undefined);
      if (told !== undefined && told.brokers.length >= brokers.length && told.controllerId >= 0) return told.controllerId;
      await new Promise<void>((resolve) => host.timers.after(POLL_MS, resolve));
    }
    return false;
  } finally {
    await client.close();
  }
}

/**
 * Resolves when every partition has all its replicas in sync: until then a cluster that has just come back refuses
 * what wants min.insync.replicas, and clients that take this for a failure begin anew. At the latest after a while.
 */
export async function whenInSync(host: Host, brokers: readonly Endpoint[], signal: AbortSignal): Promise<void> {
  const client = new KafkaClient({ host, bootstrap: brokers, clientId: "odradek", requestTimeoutMs: REQUEST_TIMEOUT_MS, random: host.random });
  const untilMs = host.clock.monotonicMs() + SYNC_MS_MAX;
  try {
    while (!signal.aborted && host.clock.monotonicMs() < untilMs) {
      const told = await client.metadata(null).catch(() => undefined);
      if (told?.topics.every(({ partitions }) => partitions.every(({ isrNodes, replicaNodes }) => isrNodes.length === replicaNodes.length)) === true) return;
      await new Promise<void>((resolve) => host.timers.after(POLL_MS, resolve));
    }
  } finally {
    await client.close();
  }
}
