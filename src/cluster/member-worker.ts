import process from "node:process";
import { parentPort, workerData } from "node:worker_threads";
import { realHost } from "../host/real/host.ts";
import { must } from "../lib/assert.ts";
import { errorCode, toError } from "../lib/error.ts";
import { observed, type Observed } from "../node/metrics-endpoint.ts";
import { ObservedMember } from "../node/observed-member.ts";
import type { MemberCommand, MemberOrder, MemberReport } from "./member-thread.ts";

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
  const host = realHost({ logLevel: "info", syncsApart: true });
  const member = await ObservedMember.start(host, zookeeperProperties);
  let observer: Observed | undefined;
  const observe = async (): Promise<void> => {
    const { unready, families } = await (observer ??= observed(host, "member", () => member.member)).observe();
    report({ kind: "observed", unready, families: families.map((family) => ({ name: family.name, type: family.type, help: family.help, lines: [...family.lines()] })) });
  };
  const stop = async (): Promise<void> => {
    await member.close();
    report({ kind: "stopped" });
    process.exit(0);
  };
  port.on("message", (command: MemberCommand) => {
    (command === "observe" ? observe() : stop()).catch(fail);
  });
  report({ kind: "listening" });
}

start().catch(fail);
