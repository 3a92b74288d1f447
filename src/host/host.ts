import type { BufferPool } from "../lib/buffer-pool.ts";
import type { Clock, Timers } from "./clock.ts";
import type { Disk } from "./disk.ts";
import type { Logger } from "./log.ts";
import type { Network } from "./net.ts";
import type { Random } from "./random.ts";

/**
 * The world as a parameter: everything that a component may reach outside itself. `host/real` is this machine,
 * `host/sim` a seeded world in which many nodes live in one process (docs/decisions/20261122-host.md).
 */
export interface Host {
  readonly clock: Clock;
  readonly timers: Timers;
  readonly net: Network;
  readonly disk: Disk;
  readonly random: Random;
  readonly log: Logger;
  /** Memory for what comes and goes in large pieces. */
  readonly buffers: BufferPool;
  /** This machine's own name, as `hostname` prints it. */
  readonly hostName: string;
  /** A broken invariant or a disk that can't be trusted: the node stops here, at once. Does not return to the caller's turn on a real host. */
  fail(reason: Error): void;
}
