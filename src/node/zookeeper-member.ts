import { resolve } from "node:path";
import type { Host } from "../host/host.ts";
import { OperationalError } from "../lib/error.ts";
import { loadMemberConfig } from "../zookeeper/config/load.ts";
import { StandaloneMember } from "../zookeeper/server/member.ts";

/**
 * A member from its zookeeper.properties. Rejects with the errors of loadMemberConfig and StandaloneMember.start, and
 * with ERR_ENSEMBLE where the file names other members: ensembles are still to come.
 */
export async function startZooKeeperMember(host: Host, configPath: string): Promise<StandaloneMember> {
  const { config, warnings } = await loadMemberConfig(host.disk, configPath);
  for (const warning of warnings) host.log.warn(warning);
  if (config.mode === "quorum") {
    throw new OperationalError("ERR_ENSEMBLE", `${configPath}: its server lines make this member one of an ensemble, and only a member alone (no server lines, or one) works so far`);
  }
  return StandaloneMember.start(host, { ...config, dataDir: resolve(config.dataDir), dataLogDir: resolve(config.dataLogDir) });
}
