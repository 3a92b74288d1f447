import { hostname } from "node:os";
import type { Host } from "../host.ts";
import { realClock, realTimers } from "./clock.ts";
import { realDisk } from "./disk.ts";
import { realLogger, type LogLevel } from "./log.ts";
import { realNetwork } from "./net.ts";
import { realRandom } from "./random.ts";

/** Kept apart from Node's own codes, so that a supervisor can tell a broken invariant from a crash. */
const EXIT_CODE_FAILED = 70;

/** This machine. */
export function realHost(options: { readonly logLevel: LogLevel }): Host {
  const log = realLogger({ level: options.logLevel });
  return {
    clock: realClock,
    timers: realTimers,
    net: realNetwork,
    disk: realDisk,
    random: realRandom,
    log,
    hostName: hostname(),
    fail(reason) {
      log.error("the node stops: a broken invariant, or a disk that can't be trusted", { error: reason });
      process.exit(EXIT_CODE_FAILED);
    },
  };
}
