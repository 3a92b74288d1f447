import { hostname } from "node:os";
import { isOperational, plainMessage } from "../../lib/error.ts";
import type { Host } from "../host.ts";
import { realClock, realTimers } from "./clock.ts";
import { realDisk } from "./disk.ts";
import { realLogger, type LogLevel } from "./log.ts";
import { realNetwork } from "./net.ts";
import { realRandom } from "./random.ts";

/** As Kafka's LogManager halts with where no log directory is left, and ZooKeeper's ExitCode.UNEXPECTED_ERROR. */
const EXIT_CODE_FAILED = 1;
/** Kept apart from Node's own codes, so that a supervisor can tell a broken invariant from a crash. */
const EXIT_CODE_BROKEN = 70;

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
      const foreseen = isOperational(reason);
      if (foreseen) log.error(`the node stops: ${plainMessage(reason)}`);
      else log.error("the node stops: a broken invariant", { error: reason });
      process.exit(foreseen ? EXIT_CODE_FAILED : EXIT_CODE_BROKEN);
    },
  };
}
