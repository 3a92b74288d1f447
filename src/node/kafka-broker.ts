import { resolve } from "node:path";
import type { Host } from "../host/host.ts";
import { Broker } from "../kafka/broker/broker.ts";
import { loadBrokerConfig, type LoadedBroker } from "../kafka/config/load.ts";

/**
 * A broker from its server.properties; `args` are `--override key=value`. Rejects with the errors of loadBrokerConfig
 * and Broker.start, which say in one or more lines what to mend.
 */
export async function startKafkaBroker(host: Host, configPath: string, args: readonly string[]): Promise<Broker> {
  return startLoadedBroker(host, await loadBrokerConfig(host.disk, configPath, args));
}

/** The same where its server.properties has been read. */
export function startLoadedBroker(host: Host, { config, warnings, static: properties }: LoadedBroker): Promise<Broker> {
  for (const warning of warnings) host.log.warn(warning);
  return Broker.start({
    host,
    config: { ...config, logDirs: config.logDirs.map((directory) => resolve(directory)) },
    layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() },
  });
}
