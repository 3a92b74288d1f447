import process from "node:process";
import { realHost } from "../host/real/host.ts";
import { ObservedMember } from "../node/observed-member.ts";
import { fail, runServer, serverArguments, usage, warnOfJavaSettings } from "./process.ts";

/** zookeeper-server-start.sh zookeeper.properties */
const [configPath] = serverArguments(process.argv);
if (configPath === undefined) fail(usage("zookeeper-server-start.sh [-daemon] zookeeper.properties"));
warnOfJavaSettings();
const host = realHost({ logLevel: "info" });
void runServer(async () => {
  const member = await ObservedMember.start(host, configPath);
  return { stop: () => member.close() };
});
