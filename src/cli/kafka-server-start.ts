import process from "node:process";
import { realHost } from "../host/real/host.ts";
import { startKafkaBroker } from "../node/kafka-broker.ts";
import { fail, runServer } from "./process.ts";

/** kafka-server-start.sh server.properties [--override property=value]... */
const [configPath, ...args] = process.argv.slice(2);
if (configPath === undefined) {
  fail(Object.assign(new Error("USAGE: kafka-server-start.sh [-daemon] server.properties [--override property=value]*"), { code: "ERR_USAGE" }));
}
for (const name of ["KAFKA_HEAP_OPTS", "KAFKA_JVM_PERFORMANCE_OPTS", "KAFKA_OPTS", "KAFKA_LOG4J_OPTS", "JMX_PORT"]) {
  if (process.env[name] !== undefined) console.error(`${name} is set and has no effect: there is no JVM here`);
}
const host = realHost({ logLevel: "info" });
await runServer(() => startKafkaBroker(host, configPath, args));
