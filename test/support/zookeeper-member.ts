import { join } from "node:path";
import { realHost } from "../../src/host/real/host.ts";
import { parseProperties } from "../../src/lib/properties.ts";
import { readMemberConfig, type MemberConfig } from "../../src/zookeeper/config/member-config.ts";
import { StandaloneMember } from "../../src/zookeeper/server/standalone-member.ts";
import { freePort, temporaryDirectory } from "./processes.ts";
import type { StandaloneServer } from "./zookeeper-client-suite.ts";

export interface OurZooKeeper extends StandaloneServer {
  readonly dataDir: string;
}

export function memberConfig(lines: Readonly<Record<string, string | number>>): MemberConfig {
  const text = Object.entries(lines).map(([key, value]) => `${key}=${value}\n`);
  return readMemberConfig({ main: parseProperties(text.join(""), "zoo.cfg"), origin: "zoo.cfg", myId: undefined, dynamic: undefined }).config;
}

/** A member of ours in this very process, on the real machine, in a temporary directory or the one given. */
export async function startOurZooKeeper(options: { readonly dataDir?: string; readonly settings?: Readonly<Record<string, string | number>> } = {}): Promise<OurZooKeeper> {
  const directory = temporaryDirectory();
  const port = await freePort();
  const dataDir = options.dataDir ?? join(directory.path, "data");
  const config = memberConfig({ dataDir, clientPort: port, tickTime: 500, "4lw.commands.whitelist": "*", ...options.settings });
  const host = realHost({ logLevel: "error" });
  let member: StandaloneMember | undefined;
  const start = async (): Promise<void> => {
    member = await StandaloneMember.start(host, config);
  };
  const kill = async (): Promise<void> => {
    await member?.close();
    member = undefined;
  };
  await start();
  return {
    port,
    dataDir,
    start,
    kill,
    stop: async () => {
      await kill();
      directory.remove();
    },
  };
}
