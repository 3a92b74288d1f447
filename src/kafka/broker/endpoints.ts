import type { BrokerEndpoint } from "../client/controller-link.ts";
import type { MetadataCache } from "./metadata-cache.ts";

/** Where a live broker listens for other brokers, under inter.broker.listener.name. */
export function endpointOf(metadata: MetadataCache, listenerName: string, id: number): BrokerEndpoint | undefined {
  const at = metadata.broker(id)?.endpoints.get(listenerName);
  return at === undefined ? undefined : { id, host: at.host, port: at.port };
}

/**
 * Where the controller listens. `watched`: its id as ZooKeeper tells it, -1 where that is not known; it is ahead of
 * what a controller says of itself, and stands unless it is a broker that the metadata does not hold yet.
 */
export function controllerEndpoint(metadata: MetadataCache, listenerName: string, watched: number): BrokerEndpoint | undefined {
  return endpointOf(metadata, listenerName, watched) ?? (metadata.controllerId === undefined ? undefined : endpointOf(metadata, listenerName, metadata.controllerId));
}
