import { resolve } from "node:path";
import process from "node:process";
import { runningCluster } from "../../cluster/cluster-lock.ts";
import { realHost } from "../../host/real/host.ts";
import { OperationalError } from "../../lib/error.ts";
import { ExitCode, type CommandIo } from "./io.ts";

const STOP_MS_MAX = 60_000;
const POLL_MS = 50;

/** Stops the cluster of a directory in good order. That nothing runs is no failure. */
export async function down(options: { readonly dir: string }, io: CommandIo): Promise<number> {
  const directory = resolve(options.dir);
  const host = realHost({ logLevel: "silent" });
  const running = await runningCluster(host.disk, directory);
  if (running === undefined) {
    io.out(`no cluster is running in ${directory}`);
    return ExitCode.ok;
  }
  process.kill(running.pid, "SIGTERM");
  const untilMs = performance.now() + STOP_MS_MAX;
  while ((await runningCluster(host.disk, directory)) !== undefined) {
    if (performance.now() > untilMs) throw new OperationalError("ERR_STOP", `process ${running.pid} has not stopped within ${STOP_MS_MAX / 1000} s: see ${directory}/odradek.log, or end it with kill -9 ${running.pid}`);
    await new Promise<void>((done) => host.timers.after(POLL_MS, done));
  }
  io.out(`stopped the cluster of ${directory}`);
  return ExitCode.ok;
}
