import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { realHost } from "../host/real/host.ts";
import { must } from "../lib/assert.ts";
import { errorCode, toError } from "../lib/error.ts";
import { startZooKeeperMember } from "../node/zookeeper-member.ts";
import type { MemberOrder, MemberReport } from "./member-thread.ts";

/** The thread of `MemberThread`. It ends with 0 after a stop, with 1 where the member could not start or stop. */
const port = must(parentPort, "the thread that started this one");
const { zookeeperProperties } = workerData as MemberOrder;

function report(said: MemberReport): void {
  port.postMessage(said);
}

function fail(thrown: unknown): void {
  const error = toError(thrown);
  const code = errorCode(error);
  report({ kind: "failed", code, message: code === undefined ? (error.stack ?? error.message) : error.message });
  process.exitCode = 1;
  port.close();
}

async function start(): Promise<void> {
  const member = await startZooKeeperMember(realHost({ logLevel: "info", syncsApart: true }), zookeeperProperties);
  port.once("message", () => {
    member.close().then(() => {
      report({ kind: "stopped" });
      process.exit(0);
    }, fail);
  });
  report({ kind: "listening" });
}

start().catch(fail);
