import type { Host } from "../host/host.ts";
import { KafkaClient, type ClusterMetadata, type Endpoint } from "../kafka/client/kafka-client.ts";

const POLL_MS = 20;
const REQUEST_TIMEOUT_MS = 5000;

/** So long a cluster that can be reached is given to bring its replicas in sync, before it counts as ready all the same. */
const SYNC_MS_MAX = 10_000;

/**
 * Resolves with the controller's address when a broker names all of them, and a controller. Errors on the way count as
 * "not yet"; undefined when `signal` is aborted.
 */
export async function whenReady(host: Host, brokers: readonly Endpoint[], signal: AbortSignal): Promise<Endpoint | undefined> {
  const told = await askUntil(host, brokers, { topics: [], goOn: () => !signal.aborted }, (answer) => answer.brokers.length >= brokers.length && controllerOf(answer) !== undefined);
  return told === undefined ? undefined : controllerOf(told);
}

function controllerOf({ brokers, controllerId }: ClusterMetadata): Endpoint | undefined {
  return brokers.find(({ nodeId }) => nodeId === controllerId);
}

/**
 * Resolves when every partition has all its replicas in sync: until then a cluster that has just come back refuses
 * what wants min.insync.replicas, and clients that take this for a failure begin anew. At the latest after a while.
 */
export async function whenInSync(host: Host, brokers: readonly Endpoint[], signal: AbortSignal): Promise<void> {
  const untilMs = host.clock.monotonicMs() + SYNC_MS_MAX;
  const goOn = (): boolean => !signal.aborted && host.clock.monotonicMs() < untilMs;
  await askUntil(host, brokers, { topics: null, goOn }, ({ topics }) => topics.every(({ partitions }) => partitions.every(({ isrNodes, replicaNodes }) => isrNodes.length === replicaNodes.length)));
}

/** The first answer that is as wanted; undefined where the asking was given up. */
async function askUntil(
  host: Host,
  bootstrap: readonly Endpoint[],
  { topics, goOn }: { readonly topics: readonly string[] | null; readonly goOn: () => boolean },
  isWanted: (answer: ClusterMetadata) => boolean,
): Promise<ClusterMetadata | undefined> {
  const client = new KafkaClient({ host, bootstrap, clientId: "odradek", requestTimeoutMs: REQUEST_TIMEOUT_MS, random: host.random });
  try {
    while (goOn()) {
      const answer = await client.metadata(topics).catch(() => undefined);
      if (answer !== undefined && isWanted(answer)) return answer;
      await new Promise<void>((resolve) => host.timers.after(POLL_MS, resolve));
    }
    return undefined;
  } finally {
    await client.close();
  }
}
