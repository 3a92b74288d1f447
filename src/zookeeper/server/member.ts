import type { Timer } from "../../host/clock.ts";
import type { FileLock } from "../../host/disk.ts";
import type { Host } from "../../host/host.ts";
import { assert } from "../../lib/assert.ts";
import { OperationalError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { juteLimits } from "../jute/limits.ts";
import { toHex } from "../protocol/ids.ts";
import { Database } from "../store/database.ts";
import { DataTree } from "../tree/tree.ts";
import { ClientServer } from "./server.ts";
import { Standalone } from "./standalone.ts";

const HOUR_MS = 3_600_000;

/**
 * A member that stands alone: one process, one data directory, no others to agree with.
 * Sources: ZooKeeperServerMain, DatadirCleanupManager.
 */
export class StandaloneMember {
  readonly #host: Host;
  readonly #config: MemberConfig;
  readonly #locks: readonly FileLock[];
  readonly #database: Database;
  readonly #server: ClientServer;
  readonly #tasks: TaskGroup;
  #purgeTimer: Timer | undefined;

  private constructor(host: Host, config: MemberConfig, parts: { readonly locks: readonly FileLock[]; readonly database: Database; readonly server: ClientServer }) {
    this.#host = host;
    this.#config = config;
    this.#locks = parts.locks;
    this.#database = parts.database;
    this.#server = parts.server;
    this.#tasks = new TaskGroup((error) => host.log.error("old snapshots and logs could not be purged", { error }));
  }

  /**
   * Serves clients when the promise is fulfilled. Rejects with ZK_LOCKED where another process has the directories,
   * with what `Database.open` finds wrong, and with EADDRINUSE and its like.
   */
  static async start(host: Host, config: MemberConfig): Promise<StandaloneMember> {
    assert(config.mode === "standalone", "a member of an ensemble does not commit by itself");
    const locks = await lockDirectories(host, config);
    try {
      const server = new ClientServer(host, config);
      const database = await openDatabase(host, config, server);
      try {
        const member = new StandaloneMember(host, config, { locks, database, server });
        await member.#start();
        return member;
      } catch (error) {
        await server.close();
        await database.close();
        throw error;
      }
    } catch (error) {
      await releaseAll(locks);
      throw error;
    }
  }

  /** Where clients find it; undefined where the configuration gives them no port. */
  get clientPort(): number | undefined {
    return this.#server.port;
  }

  /** What was acknowledged is on the disk; sessions live on, until they time out, for the next start. */
  async close(): Promise<void> {
    this.#purgeTimer?.cancel();
    await this.#server.close();
    await this.#tasks.settled();
    await this.#database.close();
    await releaseAll(this.#locks);
  }

  async #start(): Promise<void> {
    const { clientAddress } = this.#config;
    for (const session of this.#database.tree.closeUnknownSessions()) this.#host.log.warn("ephemeral znodes of an unknown session are gone", { session: `0x${toHex(session)}` });
    await this.#database.takeSnapshot();
    this.#server.serve(new Standalone(this.#host, { config: this.#config, database: this.#database, policy: this.#server.policy }));
    if (clientAddress !== undefined) await this.#server.listen(clientAddress);
    this.#host.log.info("serving clients", { port: this.#server.port, mode: "standalone" });
    if (this.#config.autopurgePurgeInterval > 0) this.#purge();
  }

  /** Now, and again each time the interval is over. */
  #purge(): void {
    const { autopurgePurgeInterval, autopurgeSnapRetainCount } = this.#config;
    this.#tasks.run(async () => {
      const files = await this.#database.purge(autopurgeSnapRetainCount);
      if (files.length > 0) this.#host.log.info("purged old snapshots and logs", { files });
    });
    this.#purgeTimer = this.#host.timers.after(autopurgePurgeInterval * HOUR_MS, () => this.#purge());
  }
}

function openDatabase(host: Host, config: MemberConfig, server: ClientServer): Promise<Database> {
  const owners = { extendedTypes: config.extendedTypesEnabled, emulate353Ttl: config.emulate353TTLNodes };
  return Database.open(host, {
    dataDir: config.dataDir,
    dataLogDir: config.dataLogDir,
    preallocateBytes: config.preAllocSize * 1024,
    snapCount: config.snapCount,
    forceSync: config.forceSync,
    syncWarningMs: config.fsyncWarningthresholdms,
    autocreate: config.datadirAutocreate,
    trustEmptySnapshot: config.snapshotTrustEmpty,
    limits: juteLimits(config.juteMaxbuffer, config.juteMaxbufferExtrasize),
    newTree: () => new DataTree(owners, server),
  });
}

/** Apache's server takes no lock; ours would not survive a second one on the same files. */
async function lockDirectories(host: Host, config: MemberConfig): Promise<FileLock[]> {
  const locks: FileLock[] = [];
  for (const directory of new Set([config.dataDir, config.dataLogDir])) {
    const lock = await host.disk.lock(`${directory}/.lock`);
    if (lock === undefined) {
      await releaseAll(locks);
      throw new OperationalError("ZK_LOCKED", `${directory} is in use by another ZooKeeper member: stop it first, or give this one its own dataDir and dataLogDir`);
    }
    locks.push(lock);
  }
  return locks;
}

async function releaseAll(locks: readonly FileLock[]): Promise<void> {
  for (const lock of locks) await lock.release();
}
