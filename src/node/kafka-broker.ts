import { resolve } from "node:path";
import type { Host } from "../host/host.ts";
import { Broker } from "../kafka/broker/broker.ts";
import { loadBrokerConfig } from "../kafka/config/load.ts";

/**
 * A broker from its server.properties; `args` are `--override key=value`. Rejects with the errors of loadBrokerConfig
 * and Broker.start, which say in one or more lines what to mend.
 */
export async function startKafkaBroker(host: Host, configPath: string, args: readonly string[]): Promise<Broker> {
  const { config, warnings, static: properties } = await loadBrokerConfig(host.disk, configPath, args);
  for (const warning of warnings) host.log.warn(warning);
  return Broker.start({
    host,
    config: { ...config, logDirs: config.logDirs.map((directory) => resolve(directory)) },
    layers: { static: properties, clusterDefault: new Map(), perBroker: new Map() },
  });
}
