import { makeDirectoryDurably } from "../../host/durable-directory.ts";
import type { Host } from "../../host/host.ts";
import { OperationalError, plainMessage } from "../../lib/error.ts";
import { fineBounds, Histogram } from "../../lib/metrics.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { JuteLimits } from "../jute/limits.ts";
import { counterOf, epochOf, toHex, ZXID_ZERO, type Zxid } from "../protocol/ids.ts";
import type { Transaction } from "../protocol/transactions.ts";
import { applyTransaction, type Applied } from "../tree/apply.ts";
import type { DataTree } from "../tree/tree.ts";
import { CommittedWindow } from "./committed-window.ts";
import { filesFrom, holdsAny, listFiles, VERSION_DIRECTORY, type NumberedFile } from "./file-names.ts";
import { LogFileReader } from "./log-format.ts";
import { dropAfter, purgeFiles, repairLog, truncateLogs, type Directories } from "./maintenance.ts";
import { loadNewestSnapshot, removeUnfinishedSnapshots, writeSnapshot } from "./snapshots.ts";
import { TransactionLog, type TransactionLogListener, type TransactionLogOptions } from "./transaction-log.ts";

export interface DatabaseOptions extends Omit<TransactionLogOptions, "directory"> {
  readonly dataDir: string;
  readonly dataLogDir: string;
  /** `zookeeper.datadir.autocreate`. */
  readonly autocreate: boolean;
  /** `zookeeper.snapshot.trust.empty`: a log without any snapshot is taken for whole. */
  readonly trustEmptySnapshot: boolean;
  readonly limits: JuteLimits;
  newTree(): DataTree;
}

export interface DatabaseListener {
  /** Everything appended up to here has reached the disk. */
  durable(zxid: Zxid): void;
}

const NOBODY: DatabaseListener = { durable: () => undefined };

/**
 * A member's state: the tree in memory, the log and the snapshots it can be made from again, and the last
 * transactions committed. Standalone members, leaders and learners append and apply through this.
 * Sources: ZKDatabase, FileTxnSnapLog, SyncRequestProcessor.
 *
 * Every transaction is appended before it is applied, and may be applied only once it is durable here, or on a quorum.
 */
export class Database {
  readonly window = new CommittedWindow();
  /** Syncs of the transaction log, in ms. */
  readonly syncTimes = new Histogram(fineBounds(0.01, 65_000));
  /** Snapshots written, in ms. */
  readonly snapshotTimes = new Histogram(fineBounds(1, 600_000));
  readonly #host: Host;
  readonly #options: DatabaseOptions;
  readonly #snapshotDirectory: string;
  readonly #logDirectory: string;
  readonly #tasks: TaskGroup;
  #tree: DataTree;
  #log: TransactionLog;
  #listener: DatabaseListener = NOBODY;
  #snapshotting = false;
  #logStart: Zxid = ZXID_ZERO;

  private constructor(host: Host, options: DatabaseOptions) {
    this.#host = host;
    this.#options = options;
    this.#snapshotDirectory = `${options.dataDir}/${VERSION_DIRECTORY}`;
    this.#logDirectory = `${options.dataLogDir}/${VERSION_DIRECTORY}`;
    this.#tasks = new TaskGroup((error) => this.#fail("ZK_SNAPSHOT", `a snapshot could not be written to ${this.#snapshotDirectory}: ${plainMessage(error)}. Mend that, then start this member again: nothing that was acknowledged is lost`, error));
    this.#tree = options.newTree();
    this.#log = this.#newLog();
  }

  /**
   * Loads the newest snapshot and replays the log over it; makes an empty database where there is none.
   * ZK_DATA_DIRECTORY, ZK_SNAPSHOT and ZK_LOG say what keeps that from being done.
   */
  static async open(host: Host, options: DatabaseOptions): Promise<Database> {
    const database = new Database(host, options);
    await database.#prepareDirectories();
    await database.#load();
    return database;
  }

  get tree(): DataTree {
    return this.#tree;
  }

  /** Where currentEpoch and acceptedEpoch stand too. */
  get snapshotDirectory(): string {
    return this.#snapshotDirectory;
  }

  get logDirectory(): string {
    return this.#logDirectory;
  }

  get slowSyncs(): number {
    return this.#log.slowSyncs;
  }

  /** From the transaction after this one on the log is known to hold each. */
  get logStart(): Zxid {
    return this.#logStart;
  }

  /** For a snapshot of another member to be read into. */
  newTree(): DataTree {
    return this.#options.newTree();
  }

  /** Who hears of durability from here on; nobody where undefined. */
  listen(listener: DatabaseListener | undefined): void {
    this.#listener = listener ?? NOBODY;
  }

  /** What is appended is on the disk when the promise is fulfilled. */
  flushed(): Promise<void> {
    return this.#log.flushed();
  }

  /** A reader has found transactions missing before this one. */
  logBrokenBefore(zxid: Zxid): void {
    if (zxid > this.#logStart) this.#logStart = zxid;
  }

  /** To the log; `durable` tells when it has reached the disk. */
  append(transaction: Transaction): void {
    this.#log.append(transaction);
  }

  /** A committed transaction takes effect. */
  apply(transaction: Transaction): Applied {
    const applied = applyTransaction(this.#tree, transaction);
    this.window.add(transaction);
    return applied;
  }

  /** Under the last transaction applied, while others go on, and after one that is being written. Rejects where the disk does. */
  async takeSnapshot(): Promise<Zxid> {
    await this.#tasks.settled();
    return this.#writeSnapshot();
  }

  /**
   * A leader's snapshot takes the place of everything here, in memory and, when the promise is fulfilled, on the disk.
   * A crash on the way leaves the old history or the new one: what the log holds after the snapshot's transaction
   * goes only once the snapshot is there.
   */
  async adopt(tree: DataTree): Promise<void> {
    await this.#log.close();
    await this.#tasks.settled();
    this.#tree = tree;
    this.#logStart = tree.lastZxid;
    this.window.clear();
    await this.#writeSnapshot();
    await dropAfter(this.#host.disk, this.#directories, tree.lastZxid, this.#options.limits.transactionBytesMax);
    this.#log = this.#newLog();
  }

  /** Forgets every transaction after `zxid`, in the log and in memory. ZK_TRUNCATE, and nothing has changed, where the log cannot be cut there. */
  async truncate(zxid: Zxid): Promise<void> {
    await this.#log.close();
    await this.#tasks.settled();
    try {
      await truncateLogs(this.#host.disk, this.#directories, zxid, this.#options.limits.transactionBytesMax);
    } finally {
      this.#log = this.#newLog();
    }
    this.window.clear();
    await this.#load();
    if (this.#tree.lastZxid !== zxid) throw new OperationalError("ZK_TRUNCATE", `the log ends at 0x${toHex(this.#tree.lastZxid)} after it was cut at 0x${toHex(zxid)}`);
  }

  /** Keeps the newest snapshots, `retain` of them, and the logs that belong to them. Returns the names of what went. */
  purge(retain: number): Promise<string[]> {
    return purgeFiles(this.#host.disk, this.#directories, retain);
  }

  /** Size of the newest snapshot in bytes; 0 where there is none. */
  async newestSnapshotBytes(): Promise<number> {
    const newest = (await listFiles(this.#host.disk, this.#snapshotDirectory, "snapshot")).at(-1);
    return newest === undefined ? 0 : ((await this.#host.disk.stat(`${this.#snapshotDirectory}/${newest.name}`))?.size ?? 0);
  }

  /** Bytes of the log files from which `readLog(from)` reads. */
  async logBytesFrom(from: Zxid): Promise<number> {
    let bytes = 0;
    for (const { name } of await this.#logFilesFrom(from)) bytes += (await this.#host.disk.stat(`${this.#logDirectory}/${name}`))?.size ?? 0;
    return bytes;
  }

  /**
   * What the log holds up to `until`, from the file on in which `from` is or would be: the first ones may come
   * before it. Some at a time.
   */
  async *readLog(from: Zxid, until: Zxid): AsyncGenerator<readonly Transaction[], void> {
    for (const { name } of await this.#logFilesFrom(from)) {
      const reader = await this.#openLog(name, { until });
      try {
        for (let batch = await reader.next(); batch !== undefined; batch = await reader.next()) yield batch;
      } finally {
        await reader.close();
      }
    }
  }

  /** What is appended is on the disk, and no file is held any more. */
  async close(): Promise<void> {
    await this.#log.close();
    await this.#tasks.settled();
  }

  get #directories(): Directories {
    return { snapshots: this.#snapshotDirectory, logs: this.#logDirectory };
  }

  #openLog(name: string, options: { readonly until?: Zxid } = {}): Promise<LogFileReader> {
    return LogFileReader.open(this.#host.disk, `${this.#logDirectory}/${name}`, { payloadBytesMax: this.#options.limits.transactionBytesMax, ...options });
  }

  async #logFilesFrom(from: Zxid): Promise<readonly NumberedFile[]> {
    return filesFrom(await listFiles(this.#host.disk, this.#logDirectory, "log"), from);
  }

  #newLog(): TransactionLog {
    const listener: TransactionLogListener = {
      durable: (zxid) => this.#listener.durable(zxid),
      rolled: () => this.#snapshotInBackground(),
      synced: (elapsedMs) => this.syncTimes.observe(elapsedMs),
      failed: (error) => this.#fail("ZK_LOG", `the transaction log in ${this.#logDirectory} could not be written: ${plainMessage(error)}. Mend that, then start this member again: nothing that was acknowledged is lost`, error),
    };
    return new TransactionLog(this.#host, { ...this.#options, directory: this.#logDirectory }, listener);
  }

  #snapshotInBackground(): void {
    if (this.#snapshotting) {
      this.#host.log.warn("a snapshot is due while the last one is still being written, and left out");
      return;
    }
    this.#tasks.run(async () => {
      await this.#writeSnapshot();
    });
  }

  async #writeSnapshot(): Promise<Zxid> {
    this.#snapshotting = true;
    const { clock } = this.#host;
    const startMs = clock.monotonicMs();
    try {
      const zxid = await writeSnapshot(this.#host, this.#snapshotDirectory, this.#tree);
      this.snapshotTimes.observe(clock.monotonicMs() - startMs);
      this.#host.log.info("wrote a snapshot", { zxid: `0x${toHex(zxid)}` });
      return zxid;
    } finally {
      this.#snapshotting = false;
    }
  }

  #fail(code: string, message: string, cause: Error): void {
    this.#host.fail(new OperationalError(code, message, { cause }));
  }

  async #prepareDirectories(): Promise<void> {
    const { disk } = this.#host;
    for (const directory of new Set([this.#snapshotDirectory, this.#logDirectory])) {
      if (!this.#options.autocreate && (await disk.stat(directory)) === undefined) throw new OperationalError("ZK_DATA_DIRECTORY", `${directory} does not exist and zookeeper.datadir.autocreate is false: make it, or restore the data that belongs there`);
      await makeDirectoryDurably(disk, directory);
    }
    if (this.#snapshotDirectory === this.#logDirectory) return;
    if (await holdsAny(disk, this.#logDirectory, "snapshot")) throw new OperationalError("ZK_DATA_DIRECTORY", `${this.#logDirectory} is for transaction logs, but holds snapshots: check dataDir and dataLogDir`);
    if (await holdsAny(disk, this.#snapshotDirectory, "log")) throw new OperationalError("ZK_DATA_DIRECTORY", `${this.#snapshotDirectory} is for snapshots, but holds transaction logs: check dataDir and dataLogDir`);
  }

  async #load(): Promise<void> {
    const { limits } = this.#options;
    await removeUnfinishedSnapshots(this.#host.disk, this.#snapshotDirectory);
    const snapshot = await loadNewestSnapshot(this.#host, this.#snapshotDirectory, { fieldBytesMax: limits.fieldBytesMax, newTree: () => this.#options.newTree() });
    const logs = await listFiles(this.#host.disk, this.#logDirectory, "log");
    this.#tree = snapshot?.tree ?? this.#options.newTree();
    this.#logStart = this.#tree.lastZxid;
    if (snapshot === undefined && logs.length > 0 && !this.#options.trustEmptySnapshot) {
      throw new OperationalError("ZK_SNAPSHOT", `${this.#logDirectory} holds transaction logs, but ${this.#snapshotDirectory} no snapshot: data is missing (zookeeper.snapshot.trust.empty=true starts from the logs alone)`);
    }
    if (snapshot === undefined && logs.length === 0) {
      await this.takeSnapshot();
      return;
    }
    await this.#replay(logs, snapshot?.damaged ?? []);
    // A killed process may have renamed and not synced: the next loss of power must not take back what is built on here.
    for (const directory of new Set([this.#snapshotDirectory, this.#logDirectory])) await this.#host.disk.syncDirectory(directory);
  }

  /**
   * Where snapshots are damaged the log has to stand in for them: without a gap, and through the very transactions
   * they were taken at. Otherwise they came from a leader whose history is not the log's.
   */
  async #replay(logs: readonly NumberedFile[], damagedSnapshots: readonly Zxid[]): Promise<void> {
    const from = this.#tree.lastZxid;
    const files = filesFrom(logs, (from + 1) as Zxid);
    const missing = new Set(damagedSnapshots);
    let cut = missing.size > 0;
    let replayed = 0;
    for (const [index, { name }] of files.entries()) {
      const reader = await this.#openLog(name);
      try {
        for (let batch = await reader.next(); batch !== undefined; batch = await reader.next()) {
          for (const transaction of batch) {
            missing.delete(transaction.header.zxid);
            if (this.#replayOne(transaction, name, cut)) replayed += 1;
          }
        }
      } finally {
        await reader.close();
      }
      const { end } = reader;
      const last = index === files.length - 1;
      if (end === undefined || end.kind === "end") {
        // A killed process may have written and not synced, to the last file only: a batch waits for the one before it.
        if (last) await this.#syncLog(name);
        continue;
      }
      if (end.kind === "cut" && !last) cut = true;
      else await repairLog(this.#host, `${this.#logDirectory}/${name}`, { validBytes: reader.position, last, what: end.what, entryBytesMax: this.#options.limits.transactionBytesMax });
    }
    for (const zxid of missing) throw new OperationalError("ZK_LOG", `${this.#snapshotDirectory}/snapshot.${toHex(zxid)} is damaged, and the log does not lead there: take this member's data from the others`);
    this.#host.log.info("loaded the database", { snapshot: `0x${toHex(from)}`, replayed, zxid: `0x${toHex(this.#tree.lastZxid)}` });
  }

  async #syncLog(name: string): Promise<void> {
    const file = await this.#host.disk.open(`${this.#logDirectory}/${name}`, "write");
    try {
      await file.sync();
    } finally {
      await file.close();
    }
  }

  /** False for what the snapshot, or an entry before it, holds already. */
  #replayOne(transaction: Transaction, name: string, incomplete: boolean): boolean {
    const { zxid } = transaction.header;
    const last = this.#tree.lastZxid;
    if (zxid <= last) return false;
    if (!follows(last, zxid)) {
      const what = `${this.#logDirectory}/${name}: 0x${toHex(zxid)} follows 0x${toHex(last)}, what was between is missing`;
      if (incomplete) throw new OperationalError("ZK_LOG", `${what}, because an earlier file is damaged: take this member's data from the others`);
      this.#host.log.warn(what);
      this.#logStart = zxid;
    }
    this.apply(transaction);
    return true;
  }
}

/** Transactions of an epoch are numbered without gaps, from 1. */
function follows(last: Zxid, next: Zxid): boolean {
  return next === last + 1 || (epochOf(next) > epochOf(last) && counterOf(next) <= 1);
}
