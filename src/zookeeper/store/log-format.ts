import type { Disk, File } from "../../host/disk.ts";
import { assert } from "../../lib/assert.ts";
import type { Zxid } from "../protocol/ids.ts";
import { decodeTransaction, fileHeader, type Transaction } from "../protocol/transactions.ts";
import { adler32 } from "./adler32.ts";

/**
 * A transaction log: a header, then entries of a checksum (a long), a length, the payload and a closing byte;
 * behind them zeros, because space is taken in advance. Source: FileTxnLog.
 */

export const LOG_MAGIC = 0x5a4b4c47;
export const LOG_HEADER_BYTES = 16;
const LOG_VERSION = 2;

const ENTRY_HEAD_BYTES = 12;
const CLOSING_BYTE = 0x42;
/** What an entry takes beside its payload. */
export const ENTRY_FRAMING_BYTES = ENTRY_HEAD_BYTES + 1;

export function logHeader(): Buffer {
  return fileHeader.encode({ magic: LOG_MAGIC, version: LOG_VERSION, dbid: 0 });
}

/** Writes an entry at `at` and returns where it ends. */
export function putEntry(into: Buffer, at: number, payload: Buffer): number {
  assert(payload.length > 0, "a transaction has bytes");
  into.writeUInt32BE(0, at);
  into.writeUInt32BE(adler32(payload), at + 4);
  into.writeInt32BE(payload.length, at + 8);
  payload.copy(into, at + ENTRY_HEAD_BYTES);
  const end = at + ENTRY_HEAD_BYTES + payload.length;
  into.writeUInt8(CLOSING_BYTE, end);
  return end + 1;
}

/**
 * Why a log file has no further entry. `end`: nothing follows, or a zero length from space taken in advance, or
 * what was not asked for · `cut`: an entry was not written to its end, which the reference takes for the end too ·
 * `damaged`: bytes follow that are no entry.
 */
export type LogEnd = { readonly kind: "end" } | { readonly kind: "cut" | "damaged"; readonly what: string };

export interface LogReadOptions {
  readonly payloadBytesMax: number;
  /** Later transactions count as not there. */
  readonly until?: Zxid;
}

/** Reads one log file front to back. */
export class LogFileReader {
  readonly #file: File;
  readonly #options: LogReadOptions;
  #buffer = Buffer.alloc(0);
  /** Of #buffer in the file. */
  #bufferPosition = 0;
  #position = 0;
  #end: LogEnd | undefined;

  private constructor(file: File, options: LogReadOptions) {
    this.#file = file;
    this.#options = options;
  }

  static async open(disk: Disk, path: string, options: LogReadOptions): Promise<LogFileReader> {
    const reader = new LogFileReader(await disk.open(path, "read"), options);
    try {
      await reader.#readHeader();
      return reader;
    } catch (error) {
      await reader.close();
      throw error;
    }
  }

  /** Where the last entry ends, or the header where there is none; 0 where the header is damaged. */
  get position(): number {
    return this.#position;
  }

  /** Once `next` has returned undefined. */
  get end(): LogEnd | undefined {
    return this.#end;
  }

  /** Some transactions, at least one, in their order; undefined at the end. Payloads are views that may be kept. */
  async next(): Promise<Transaction[] | undefined> {
    const batch: Transaction[] = [];
    while (this.#end === undefined && batch.length === 0) {
      if (!(await this.#fill(ENTRY_HEAD_BYTES))) {
        this.#end = this.#unread > 0 && !this.#isZero() ? CUT_OFF : { kind: "end" };
        break;
      }
      for (let txn = this.#take(); txn !== undefined; txn = this.#take()) batch.push(txn);
      if (batch.length === 0 && this.#end === undefined) await this.#fillEntry();
    }
    return batch.length === 0 ? undefined : batch;
  }

  close(): Promise<void> {
    return this.#file.close();
  }

  async #readHeader(): Promise<void> {
    const whole = await this.#fill(LOG_HEADER_BYTES);
    const header = whole ? fileHeader.decode(this.#buffer) : undefined;
    if (header?.magic === LOG_MAGIC) this.#position = LOG_HEADER_BYTES;
    else this.#end = damaged("the header is not a transaction log's");
  }

  /** The next entry, if all of it is in the buffer. */
  #take(): Transaction | undefined {
    const at = this.#position - this.#bufferPosition;
    const buffer = this.#buffer;
    if (this.#end !== undefined || buffer.length - at < ENTRY_HEAD_BYTES) return undefined;
    const length = buffer.readInt32BE(at + 8);
    if (length === 0) this.#end = { kind: "end" };
    else if (length < 0 || length > this.#options.payloadBytesMax) this.#end = damaged(`an entry claims a length of ${length}`);
    if (this.#end !== undefined || buffer.length - at < ENTRY_FRAMING_BYTES + length) return undefined;
    const from = at + ENTRY_HEAD_BYTES;
    const payload = buffer.subarray(from, from + length);
    const txn = buffer.readUInt32BE(at) === 0 && buffer.readUInt32BE(at + 4) === adler32(payload) ? decodeTransaction(payload) : undefined;
    if (txn === undefined) this.#end = damaged("an entry does not match its checksum, or is of an unknown type");
    else if (buffer[from + length] !== CLOSING_BYTE) this.#end = { kind: "cut", what: "an entry has no closing byte" };
    else if (this.#options.until !== undefined && txn.header.zxid > this.#options.until) this.#end = { kind: "end" };
    if (this.#end !== undefined) return undefined;
    this.#position += ENTRY_FRAMING_BYTES + length;
    return txn;
  }

  async #fillEntry(): Promise<void> {
    const length = this.#buffer.readInt32BE(this.#position - this.#bufferPosition + 8);
    if (!(await this.#fill(ENTRY_FRAMING_BYTES + length))) this.#end = CUT_OFF;
  }

  get #unread(): number {
    return this.#bufferPosition + this.#buffer.length - this.#position;
  }

  #isZero(): boolean {
    return this.#buffer.subarray(this.#position - this.#bufferPosition).every((byte) => byte === 0);
  }

  /** Whether `bytes` from the position on are in the buffer; reads more where they are not. */
  async #fill(bytes: number): Promise<boolean> {
    if (this.#unread >= bytes) return true;
    const rest = this.#buffer.subarray(this.#position - this.#bufferPosition);
    const buffer = Buffer.allocUnsafeSlow(Math.max(READ_BYTES, bytes));
    rest.copy(buffer);
    const read = await this.#file.read(buffer.subarray(rest.length), this.#position + rest.length);
    this.#buffer = buffer.subarray(0, rest.length + read);
    this.#bufferPosition = this.#position;
    return this.#buffer.length >= bytes;
  }
}

/** Decoding so much takes a few milliseconds. */
const READ_BYTES = 256 * 1024;

const CUT_OFF: LogEnd = { kind: "cut", what: "an entry is cut off" };

function damaged(what: string): LogEnd {
  return { kind: "damaged", what };
}
