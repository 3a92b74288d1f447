import { hostname } from "node:os";
import type { Host } from "../host.ts";
import { CallbackTimes } from "./callbacks.ts";
import { realClock, realTimers } from "./clock.ts";
import { diskOf } from "./disk.ts";
import { realLogger, type LogLevel } from "./log.ts";
import { networkOf } from "./net.ts";
import { realRandom } from "./random.ts";

/** Kept apart from Node's own codes, so that a supervisor can tell a broken invariant from a crash. */
const EXIT_CODE_FAILED = 70;

export interface RealHost extends Host {
  /** Of what this host has called; measured once somebody has begun it. */
  readonly callbacks: CallbackTimes;
}

/** This machine. */
export function realHost(options: { readonly logLevel: LogLevel }): RealHost {
  const log = realLogger({ level: options.logLevel });
  const callbacks = new CallbackTimes();
  return {
    callbacks,
    clock: realClock,
    timers: realTimers(callbacks.enter),
    net: networkOf(callbacks.enter),
    disk: diskOf(callbacks.enter),
    random: realRandom,
    log,
    hostName: hostname(),
    fail(reason) {
      log.error("the node stops: a broken invariant, or a disk that can't be trusted", { error: reason });
      process.exit(EXIT_CODE_FAILED);
    },
  };
}
