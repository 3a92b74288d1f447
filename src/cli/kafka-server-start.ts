import process from "node:process";
import { realHost } from "../host/real/host.ts";
import { ObservedBroker } from "../node/observed-broker.ts";
import { fail, runServer, serverArguments, usage, warnOfJavaSettings } from "./process.ts";

/** kafka-server-start.sh server.properties [--override property=value]... */
const [configPath, ...args] = serverArguments(process.argv);
if (configPath === undefined) fail(usage("kafka-server-start.sh [-daemon] server.properties [--override property=value]..."));
warnOfJavaSettings();
const host = realHost({ logLevel: "info" });
void runServer(() => ObservedBroker.start(host, configPath, args));
