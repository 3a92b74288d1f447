import { hostname } from "node:os";
import { BufferPool } from "../../lib/buffer-pool.ts";
import { isOperational, plainMessage } from "../../lib/error.ts";
import type { Host } from "../host.ts";
import { CallbackTimes } from "./callbacks.ts";
import { realClock, realTimers } from "./clock.ts";
import { diskWith } from "./disk.ts";
import { realLogger, type LogLevel } from "./log.ts";
import { networkOf } from "./net.ts";
import { realRandom } from "./random.ts";
import { dataSyncApart } from "./sync-thread.ts";

/** As Kafka's LogManager halts with where no log directory is left, and ZooKeeper's ExitCode.UNEXPECTED_ERROR. */
const EXIT_CODE_FAILED = 1;
/** Kept apart from Node's own codes, so that a supervisor can tell a broken invariant from a crash. */
const EXIT_CODE_BROKEN = 70;

export interface RealHostOptions {
  readonly logLevel: LogLevel;
  /** Syncs of data are not held up by what else the process does with its files. */
  readonly syncsApart?: boolean;
}

export interface RealHost extends Host {
  /** Of what this host has called; measured once somebody has begun it. */
  readonly callbacks: CallbackTimes;
}

/** This machine. */
export function realHost(options: RealHostOptions): RealHost {
  const log = realLogger({ level: options.logLevel });
  const callbacks = new CallbackTimes();
  return {
    callbacks,
    clock: realClock,
    timers: realTimers(callbacks.enter),
    net: networkOf(callbacks.enter),
    disk: diskWith({ enter: callbacks.enter, ...(options.syncsApart === true && { dataSync: dataSyncApart() }) }),
    random: realRandom,
    log,
    buffers: new BufferPool({ later: (callback, ms) => setTimeout(callback, ms).unref() }),
    hostName: hostname(),
    fail(reason) {
      const foreseen = isOperational(reason);
      if (foreseen) log.error(`the node stops: ${plainMessage(reason)}`);
      else log.error("the node stops: a broken invariant", { error: reason });
      process.exit(foreseen ? EXIT_CODE_FAILED : EXIT_CODE_BROKEN);
    },
  };
}
