import type { File } from "../../host/disk.ts";
import type { Host } from "../../host/host.ts";
import { assert, must } from "../../lib/assert.ts";
import { toError } from "../../lib/error.ts";
import { TaskGroup } from "../../lib/task-group.ts";
import type { Zxid } from "../protocol/ids.ts";
import type { Transaction } from "../protocol/transactions.ts";
import { fileName } from "./file-names.ts";
import { ENTRY_FRAMING_BYTES, LOG_HEADER_BYTES, logHeader, putEntry } from "./log-format.ts";

export interface TransactionLogOptions {
  /** Must exist. */
  readonly directory: string;
  /** Space taken in advance; none where 0. */
  readonly preallocateBytes: number;
  /** A file is closed, and a snapshot due, after half as many transactions and a random part of the other half. */
  readonly snapCount: number;
  /** False trades the promise of `durable` for speed. */
  readonly forceSync: boolean;
  readonly syncWarningMs: number;
}

export interface TransactionLogListener {
  /** Everything appended up to here has reached the disk. In the order of appending, at most once a batch. */
  durable(zxid: Zxid): void;
  /** The file is full; the next transaction begins another. */
  rolled(): void;
  /** A sync of the file took so long. */
  synced?(elapsedMs: number): void;
  /** What is on the disk is unknown now: the member has to stop. */
  failed(error: Error): void;
}

/** What one batch may have; a torn write is never longer, whatever the disk did. */
export const BATCH_BYTES_MAX = 1024 * 1024;
const BATCH_TRANSACTIONS_MAX = 1000;
/** Up to here writing into the page cache takes microseconds, and handing it to another thread 40 of them. */
const SYNCHRONOUS_BYTES_MAX = 64 * 1024;
/** How near the end of the space taken a file may come before it takes more. Source: FilePadding. */
const PREALLOCATE_AHEAD_BYTES = 4096;

interface OpenLog {
  readonly file: File;
  position: number;
  /** Space taken, the part not yet written included. */
  size: number;
  /** Transactions written. */
  count: number;
  /** The directory has not been synced since the file was made. */
  fresh: boolean;
}

/**
 * Appends to the transaction log, in batches: what is appended while a batch is on its way to the disk goes with
 * the next one, in one write and one sync. Always begins a new file, named by its first transaction: an existing
 * one is never appended to. Sources: SyncRequestProcessor, FileTxnLog.
 *
 * Invariants: a batch is written only after the one before it is durable; a batch stays within one file.
 */
export class TransactionLog {
  readonly #host: Host;
  readonly #options: TransactionLogOptions;
  readonly #listener: TransactionLogListener;
  readonly #tasks: TaskGroup;
  #pending: Transaction[] = [];
  #last: Zxid | undefined;
  #log: OpenLog | undefined;
  #rollAt: number;
  #flushing = false;
  #closed = false;
  #batch = Buffer.allocUnsafeSlow(SYNCHRONOUS_BYTES_MAX);
  #slowSyncs = 0;

  constructor(host: Host, options: TransactionLogOptions, listener: TransactionLogListener) {
    assert(options.snapCount >= 2, "a log file holds a transaction at least");
    this.#host = host;
    this.#options = options;
    this.#listener = listener;
    this.#tasks = new TaskGroup((error) => this.#fail(error));
    this.#rollAt = this.#drawRoll();
  }

  /** Syncs over the warning threshold so far. */
  get slowSyncs(): number {
    return this.#slowSyncs;
  }

  /** Transactions appended and not durable yet. */
  get pending(): number {
    return this.#pending.length;
  }

  append(transaction: Transaction): void {
    const { zxid } = transaction.header;
    assert(!this.#closed, "the log is open");
    assert(this.#last === undefined || zxid > this.#last, "transactions are appended in zxid order");
    this.#last = zxid;
    this.#pending.push(transaction);
    if (this.#flushing) return;
    this.#flushing = true;
    this.#host.timers.soon(() => this.#tasks.run(() => this.#flush()));
  }

  /** What is appended is on the disk when the promise is fulfilled. */
  async flushed(): Promise<void> {
    while (this.#flushing) {
      if (this.#tasks.size === 0) await new Promise<void>((resolve) => this.#host.timers.soon(resolve));
      await this.#tasks.settled();
    }
  }

  /** Waits for what is appended, then gives the file back. */
  async close(): Promise<void> {
    this.#closed = true;
    await this.flushed();
    await this.#closeFile();
  }

  async #flush(): Promise<void> {
    while (this.#pending.length > 0) {
      const log = this.#log ?? this.#open(must(this.#pending[0], "first transaction").header.zxid);
      const { count, bytes, last } = this.#fillBatch(log);
      await this.#write(log, bytes);
      log.count += count;
      this.#pending = this.#pending.slice(count);
      const full = log.count >= this.#rollAt;
      if (full) {
        await this.#closeFile();
        this.#rollAt = this.#drawRoll();
      }
      this.#listener.durable(last);
      if (full) this.#listener.rolled();
    }
    this.#flushing = false;
  }

  #open(first: Zxid): OpenLog {
    const file = this.#host.disk.openSync(`${this.#options.directory}/${fileName("log", first)}`, "truncate");
    file.writeSync([logHeader()], 0);
    return (this.#log = { file, position: LOG_HEADER_BYTES, size: LOG_HEADER_BYTES, count: 0, fresh: true });
  }

  /** Puts as many as may go together into #batch. */
  #fillBatch(log: OpenLog): { count: number; bytes: Buffer; last: Zxid } {
    const countMax = Math.min(BATCH_TRANSACTIONS_MAX, this.#rollAt - log.count, this.#pending.length);
    let count = 0;
    let length = 0;
    while (count < countMax) {
      const next = length + ENTRY_FRAMING_BYTES + must(this.#pending[count], "pending transaction").payload.length;
      if (count > 0 && next > BATCH_BYTES_MAX) break;
      length = next;
      count += 1;
    }
    const into = length <= this.#batch.length ? this.#batch : Buffer.allocUnsafeSlow(length);
    let end = 0;
    for (let at = 0; at < count; at++) end = putEntry(into, end, must(this.#pending[at], "pending transaction").payload);
    return { count, bytes: into.subarray(0, end), last: must(this.#pending[count - 1], "last transaction").header.zxid };
  }

  async #write(log: OpenLog, bytes: Buffer): Promise<void> {
    const { file } = log;
    this.#preallocate(log, bytes.length);
    if (bytes.length <= SYNCHRONOUS_BYTES_MAX) file.writeSync([bytes], log.position);
    else await file.write([bytes], log.position);
    log.position += bytes.length;
    if (this.#options.forceSync) await this.#sync(log);
  }

  async #sync(log: OpenLog): Promise<void> {
    const { clock, disk } = this.#host;
    const before = clock.monotonicMs();
    await log.file.dataSync();
    if (log.fresh) await disk.syncDirectory(this.#options.directory);
    log.fresh = false;
    const elapsedMs = clock.monotonicMs() - before;
    this.#listener.synced?.(elapsedMs);
    if (elapsedMs <= this.#options.syncWarningMs) return;
    this.#slowSyncs += 1;
    this.#host.log.warn("syncing the transaction log took long, which every write waits for", { elapsedMs: Math.round(elapsedMs), path: log.file.path });
  }

  /** One zero byte at the new end: space without content, so that syncs seldom have to write the file's size. */
  #preallocate(log: OpenLog, bytes: number): void {
    const { preallocateBytes } = this.#options;
    if (preallocateBytes <= 0) return;
    const before = log.size;
    while (log.position + bytes + PREALLOCATE_AHEAD_BYTES >= log.size) log.size += preallocateBytes;
    if (log.size !== before) log.file.writeSync([ZERO], log.size - 1);
  }

  async #closeFile(): Promise<void> {
    const log = this.#log;
    this.#log = undefined;
    await log?.file.close();
  }

  /** So that the members of an ensemble do not take their snapshots together. */
  #drawRoll(): number {
    const half = Math.floor(this.#options.snapCount / 2);
    return half + 1 + this.#host.random.below(half);
  }

  #fail(error: Error): void {
    this.#closed = true;
    this.#flushing = false;
    this.#pending = [];
    this.#listener.failed(toError(error));
  }
}

const ZERO = Buffer.alloc(1);
