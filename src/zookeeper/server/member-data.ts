import type { Timer } from "../../host/clock.ts";
import type { FileLock } from "../../host/disk.ts";
import type { Host } from "../../host/host.ts";
import { OperationalError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { MemberConfig } from "../config/member-config.ts";
import { juteLimits } from "../jute/limits.ts";
import { Database } from "../store/database.ts";
import { DataTree, type TreeListener } from "../tree/tree.ts";

const HOUR_MS = 3_600_000;

/** What a member has on its disk: alone in its directories, loaded, and purged as configured. Sources: FileTxnSnapLog, DatadirCleanupManager. */
export class MemberData {
  readonly database: Database;
  readonly #host: Host;
  readonly #config: MemberConfig;
  readonly #locks: readonly FileLock[];
  readonly #tasks: TaskGroup;
  #purgeTimer: Timer | undefined;

  private constructor(host: Host, config: MemberConfig, database: Database, locks: readonly FileLock[]) {
    this.database = database;
    this.#host = host;
    this.#config = config;
    this.#locks = locks;
    this.#tasks = new TaskGroup((error) => host.log.error("old snapshots and logs could not be purged", { error }));
  }

  /** Rejects with ZK_LOCKED where another process has the directories, and with what `Database.open` finds wrong. */
  static async open(host: Host, config: MemberConfig, listener: TreeListener): Promise<MemberData> {
    const locks = await lockDirectories(host, config);
    try {
      return new MemberData(host, config, await openDatabase(host, config, listener), locks);
    } catch (error) {
      await releaseAll(locks);
      throw error;
    }
  }

  /** Purges now, and again each time autopurge.purgeInterval is over. */
  keepPurged(): void {
    const { autopurgePurgeInterval, autopurgeSnapRetainCount } = this.#config;
    if (autopurgePurgeInterval <= 0) return;
    this.#tasks.run(async () => {
      const files = await this.database.purge(autopurgeSnapRetainCount);
      if (files.length > 0) this.#host.log.info("purged old snapshots and logs", { files });
    });
    this.#purgeTimer = this.#host.timers.after(autopurgePurgeInterval * HOUR_MS, () => this.keepPurged());
  }

  /** What was appended is on the disk, and the directories are free for another process. */
  async close(): Promise<void> {
    this.#purgeTimer?.cancel();
    await this.#tasks.settled();
    await this.database.close();
    await releaseAll(this.#locks);
  }
}

function openDatabase(host: Host, config: MemberConfig, listener: TreeListener): Promise<Database> {
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
    newTree: () => new DataTree(owners, listener),
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
