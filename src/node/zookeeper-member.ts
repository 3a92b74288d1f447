import { resolve } from "node:path";
import type { Host } from "../host/host.ts";
import { loadMemberConfig } from "../zookeeper/config/load.ts";
import type { MemberReading } from "../zookeeper/config/member-config.ts";
import { QuorumMember } from "../zookeeper/server/quorum-member.ts";
import { StandaloneMember } from "../zookeeper/server/standalone-member.ts";

export type ZooKeeperMember = StandaloneMember | QuorumMember;

/** A member from its zookeeper.properties, alone or of an ensemble. Rejects with the errors of loadMemberConfig and of the member's start. */
export async function startZooKeeperMember(host: Host, configPath: string): Promise<ZooKeeperMember> {
  return startLoadedMember(host, await loadMemberConfig(host.disk, configPath));
}

/** The same where its zookeeper.properties has been read. */
export function startLoadedMember(host: Host, { config: read, warnings }: MemberReading): Promise<ZooKeeperMember> {
  for (const warning of warnings) host.log.warn(warning);
  const config = { ...read, dataDir: resolve(read.dataDir), dataLogDir: resolve(read.dataLogDir) };
  return config.mode === "quorum" ? QuorumMember.start(host, config) : StandaloneMember.start(host, config);
}
