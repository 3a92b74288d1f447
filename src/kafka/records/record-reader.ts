import {
  BATCH_HEADER_BYTES,
  Codec,
  NO_TIMESTAMP,
  batchBaseOffset,
  batchCodec,
  batchMagic,
  batchMaxTimestamp,
  batchTimestampType,
  wholeBatchSize,
} from "./batch.ts";
import { decompress } from "./compression.ts";
import { LegacyFields } from "./legacy.ts";
import { RecordCursor } from "./record-cursor.ts";

export interface ReadProblem {
  readonly kind: "corrupt" | "too large";
  readonly message: string;
}

/**
 * Walks the records of a batch of any format and codec: a v2 batch, a message of format 0 or 1, or a wrapper of such.
 * One reader is opened again and again. Checksums are the caller's.
 * A wrapper (AbstractLegacyRecordBatch.DeepRecordsIterator): in format 0 the offsets of what it holds are the true ones;
 * in format 1 they count from the first, the wrapper having the offset of the last, or from 0 where it says 0, as old
 * librdkafka wrote. Each message is read in its own format, which in some logs is not the wrapper's (KAFKA-4298). A
 * message that is cut off ends the wrapper.
 */
export class RecordReader {
  /** Why the records can't be read, or not on; undefined while all is well. */
  problem: ReadProblem | undefined;

  readonly #cursor = new RecordCursor();
  readonly #fields = new LegacyFields();
  #v2 = false;
  /** Messages of formats 0 and 1, plain ones as they lie, wrapped ones unpacked. */
  #buffer: Buffer = EMPTY;
  #at = 0;
  #end = 0;
  #messageAt = 0;
  #baseOffset = 0;
  /** Of a wrapper in log append time, for each of its messages of format 1. */
  #appendTime: number | undefined;

  /** Stands before the first record of the whole batch of `size` bytes at `at`; unpacks it where it is packed. */
  open(bytes: Buffer, at: number, size: number, unpackedBytesMax: number): void {
    this.problem = undefined;
    this.#at = 0;
    this.#end = 0;
    this.#v2 = batchMagic(bytes, at) >= 2;
    if (this.#v2) this.#openBatch(bytes, at, size, unpackedBytesMax);
    else this.#openMessage(bytes, at, size, unpackedBytesMax);
  }

  /** Moves to the next record; false at the end and where `problem` tells what is wrong. */
  next(): boolean {
    if (this.problem !== undefined) return false;
    if (!this.#v2) return this.#nextMessage();
    if (this.#cursor.next()) return true;
    if (this.#cursor.problem !== undefined) this.#fail("corrupt", this.#cursor.problem);
    return false;
  }

  get offset(): number {
    return this.#v2 ? this.#cursor.offset : this.#baseOffset + batchBaseOffset(this.#buffer, this.#messageAt);
  }

  /** Milliseconds since the epoch, -1 where there is none. */
  get timestamp(): number {
    if (this.#v2) return this.#cursor.timestamp;
    return batchMagic(this.#buffer, this.#messageAt) === 0 ? NO_TIMESTAMP : (this.#appendTime ?? batchMaxTimestamp(this.#buffer, this.#messageAt));
  }

  /** Null, or a view of its bytes. */
  key(): Buffer | null {
    return this.#v2 ? this.#cursor.key() : view(this.#buffer, this.#fields.keyAt, this.#fields.keyLength);
  }

  value(): Buffer | null {
    return this.#v2 ? this.#cursor.value() : view(this.#buffer, this.#fields.valueAt, this.#fields.valueLength);
  }

  /** Messages of formats 0 and 1 have none. */
  headers(): ReturnType<RecordCursor["headers"]> {
    return this.#v2 ? this.#cursor.headers() : [];
  }

  /** Where the record lies, for copying it: buffer[recordAt, recordEnd), a v2 record with its length, a message with its offset. */
  get buffer(): Buffer {
    return this.#v2 ? this.#cursor.buffer : this.#buffer;
  }

  get recordAt(): number {
    return this.#v2 ? this.#cursor.recordAt : this.#messageAt;
  }

  get recordEnd(): number {
    return this.#v2 ? this.#cursor.recordEnd : this.#at;
  }

  #openBatch(bytes: Buffer, at: number, size: number, bytesMax: number): void {
    const codec = batchCodec(bytes, at);
    if (codec === Codec.none) {
      this.#cursor.open(bytes, at, size);
      return;
    }
    // Compaction leaves batches without records, and nothing to unpack.
    const packed = bytes.subarray(at + BATCH_HEADER_BYTES, at + size);
    const section = packed.length === 0 ? packed : this.#unpack(codec, packed, 2, bytesMax);
    if (section !== undefined) this.#cursor.openSection(bytes, at, section, 0, section.length);
  }

  #openMessage(bytes: Buffer, at: number, size: number, bytesMax: number): void {
    this.#buffer = bytes;
    this.#baseOffset = 0;
    this.#appendTime = undefined;
    const codec = batchCodec(bytes, at);
    if (codec === Codec.none) {
      this.#at = at;
      this.#end = at + size;
      return;
    }
    const magic = batchMagic(bytes, at);
    if (codec > Codec.lz4) return this.#fail("corrupt", `a message of format ${magic} can't have the codec ${codec}`);
    if (!this.#fields.read(bytes, at, size) || this.#fields.valueLength < 0) return this.#fail("corrupt", "a wrapper holds no messages");
    const messages = this.#unpack(codec, bytes.subarray(this.#fields.valueAt, this.#fields.valueAt + this.#fields.valueLength), magic, bytesMax);
    if (messages === undefined) return;
    const last = lastMessage(messages);
    if (last < 0) return this.#fail("corrupt", "a wrapper holds no messages");
    const offset = batchBaseOffset(bytes, at);
    if (magic === 1 && offset !== 0) {
      this.#baseOffset = offset - batchBaseOffset(messages, last);
      if (this.#baseOffset < 0) return this.#fail("corrupt", `a wrapper at offset ${offset} holds messages up to ${batchBaseOffset(messages, last)}`);
    }
    if (batchTimestampType(bytes, at) === "LogAppendTime" && magic === 1) this.#appendTime = batchMaxTimestamp(bytes, at);
    this.#buffer = messages;
    this.#end = messages.length;
  }

  #nextMessage(): boolean {
    const at = this.#at;
    const size = wholeBatchSize(this.#buffer, at, this.#end);
    if (size === 0) return false;
    if (size < 0 || batchMagic(this.#buffer, at) > 1 || !this.#fields.read(this.#buffer, at, size)) {
      this.#fail("corrupt", "a message has an impossible size or format number");
      return false;
    }
    if (batchCodec(this.#buffer, at) !== Codec.none) {
      this.#fail("corrupt", "a wrapper holds a wrapper");
      return false;
    }
    this.#messageAt = at;
    this.#at = at + size;
    return true;
  }

  #unpack(codec: number, packed: Buffer, magic: number, bytesMax: number): Buffer | undefined {
    const unpacked = decompress(codec, packed, { magic, bytesMax });
    if (unpacked === "too large") this.#fail(unpacked, `a batch unpacks to more than ${bytesMax} bytes`);
    else if (unpacked === "corrupt") this.#fail(unpacked, `a batch can't be unpacked with codec ${codec}`);
    else return unpacked;
    return undefined;
  }

  #fail(kind: ReadProblem["kind"], message: string): void {
    this.problem = { kind, message };
  }
}

const EMPTY = Buffer.alloc(0);

function view(bytes: Buffer, at: number, length: number): Buffer | null {
  return length < 0 ? null : bytes.subarray(at, at + length);
}

/** Where the last whole message begins; -1 where there is none. */
function lastMessage(messages: Buffer): number {
  let last = -1;
  for (let at = 0; ; ) {
    const size = wholeBatchSize(messages, at, messages.length);
    if (size <= 0) return last;
    last = at;
    at += size;
  }
}
