import process from "node:process";
import { realHost } from "../host/real/host.ts";
import { must } from "../lib/assert.ts";
import { errorCode, toError } from "../lib/error.ts";
import { ObservedBroker } from "../node/observed-broker.ts";
import { MemberThread } from "./member-thread.ts";
import type { NodeOrder, NodeReport } from "./node-messages.ts";

/**
 * The process of one node: a ZooKeeper member in a thread, a broker in the main one. It ends with its supervisor:
 * when the channel to it closes, it stops. Started with the paths of server.properties and
 * zookeeper.properties.
 */
const [serverProperties, zookeeperProperties] = process.argv.slice(2);
const host = realHost({ logLevel: "info" });
let member: MemberThread | undefined;
let broker: ObservedBroker | undefined;
let stopping = false;

function report(said: NodeReport, sent: () => void = () => undefined): void {
  if (process.connected) process.send?.(said, undefined, undefined, sent);
  else sent();
}

async function stopBroker(handOver: boolean): Promise<void> {
  const stopped = broker;
  broker = undefined;
  await stopped?.stop({ handOver });
}

async function stopMember(): Promise<void> {
  const stopped = member;
  member = undefined;
  await stopped?.stop();
}

/** Ends the process; what is still starting is not waited for: it can be killed at any time. */
function stop(handOver: boolean): void {
  if (stopping) return;
  stopping = true;
  if (broker === undefined) process.exit(0);
  stopBroker(handOver).then(stopMember).then(() => process.exit(0), fail);
}

function fail(thrown: unknown): void {
  const error = toError(thrown);
  const message = errorCode(error) === undefined ? (error.stack ?? error.message) : error.message;
  host.log.error("the node ends", { error });
  stopping = true;
  report({ kind: "failed", message }, () => process.exit(1));
}

/** A node without its member is none. Why the thread ended it has said itself. */
async function endWith(thread: MemberThread): Promise<void> {
  const code = await thread.ended;
  if (!stopping) process.exit(code === 0 ? 1 : code);
}

process.on("SIGTERM", () => stop(true));
// All the other nodes lose their supervisor too: there is nobody to take partitions over.
process.on("disconnect", () => stop(false));
// A terminal sends Ctrl-C to all of its foreground processes: the supervisor decides what becomes of it.
process.on("SIGINT", () => undefined);
process.on("message", (order: NodeOrder) => {
  stopping = true;
  if (order.kind === "stop broker") stopBroker(order.handOver).then(() => report({ kind: "broker stopped" }), fail);
  else stopMember().then(() => process.exit(0), fail);
});

async function start(): Promise<void> {
  member = await MemberThread.start({ zookeeperProperties: must(zookeeperProperties, "the path of zookeeper.properties") });
  void endWith(member);
  broker = await ObservedBroker.start(host, must(serverProperties, "the path of server.properties"), [], [member]);
  report({ kind: "serving" });
}

start().catch(fail);
