import { ErrorCode } from "../protocol/error-codes.ts";
import {
  Codec,
  NO_TIMESTAMP,
  batchChecksumHolds,
  batchCodec,
  batchIsControl,
  batchLastOffset,
  batchMagic,
  batchMaxTimestamp,
  batchTimestampType,
  wholeBatchSize,
} from "./batch.ts";
import { BatchBuilder } from "./batch-builder.ts";
import { compress, decompress } from "./compression.ts";
import { LegacyFields, legacyMessage, legacyMessageBytes, writeLegacyMessage, type LegacyMagic, type LegacyMessage } from "./legacy.ts";
import { RecordReader } from "./record-reader.ts";
import { refused, type NoBatch, type Refusal } from "./validate.ts";

/**
 * The slow path: what old producers send becomes a v2 batch, and v2 batches become what old consumers can read.
 * Generators, which yield after every 128 KiB of work, so that a broker can do other things in between. One codec's call
 * can't be parted: a step may hold one as well.
 */
export interface ConversionLimits {
  /** up: of the batch (max.message.bytes) · down: at which no further output is begun. */
  readonly bytesMax: number;
  /** Of one batch or wrapper. */
  readonly unpackedBytesMax: number;
}

export interface Messages {
  readonly kind: "messages";
  readonly chunks: readonly Buffer[];
  readonly bytes: number;
  /** Behind the last batch looked at. */
  readonly nextOffset: number;
}

const STEP_BYTES = 128 * 1024;

/** Counts work: true when a step is full. */
class Pace {
  #left = STEP_BYTES;

  spend(bytes: number): boolean {
    this.#left -= bytes;
    if (this.#left > 0) return false;
    this.#left = STEP_BYTES;
    return true;
  }
}

/**
 * Produced messages of format 0 or 1, one v2 batch of them all, with their codec. Messages are numbered anew: some
 * clients never got inner offsets right. A cut message at the end is ignored.
 * Source: LogValidator.validateMessagesAndAssignOffsets, Log.analyzeAndValidateRecords.
 */
export function* upConvert(records: Buffer, limits: ConversionLimits): Generator<undefined, { readonly kind: "batch"; readonly batch: Buffer } | NoBatch | Refusal> {
  const size = wholeBatchSize(records, 0, records.length);
  if (size === 0) return { kind: "empty" };
  const pace = new Pace();
  const outer = yield* checkMessages(records, limits.bytesMax, pace);
  if (outer.kind === "refused") return outer;
  const builder = new BatchBuilder(outer.codec);
  let messages = records.subarray(0, outer.size);
  if (outer.codec !== Codec.none) {
    const unpacked = unpackWrapper(messages, outer.codec, limits.unpackedBytesMax);
    if (!Buffer.isBuffer(unpacked)) return unpacked;
    if (pace.spend(unpacked.length)) yield;
    messages = unpacked;
  }
  const problem = yield* addMessages(builder, messages, { magic: outer.magic, wrapped: outer.codec !== Codec.none }, pace);
  if (problem !== undefined) return problem;
  if (builder.unpackedBytes > limits.unpackedBytesMax) return tooLarge(`The messages make a batch of ${builder.unpackedBytes} bytes`, limits.unpackedBytesMax);
  const batch = builder.finish();
  return batch.length > limits.bytesMax ? tooLarge(`The messages make a batch of ${batch.length} bytes`, limits.bytesMax) : { kind: "batch", batch };
}

interface Outer {
  readonly kind: "messages";
  readonly magic: number;
  /** Of the one wrapper, or none. */
  readonly codec: number;
  /** Of the whole messages. */
  readonly size: number;
}

/** What can be told without opening a wrapper. */
function* checkMessages(records: Buffer, messageBytesMax: number, pace: Pace): Generator<undefined, Outer | Refusal> {
  let magic = -1;
  let codec: number = Codec.none;
  let count = 0;
  let at = 0;
  for (;;) {
    const size = wholeBatchSize(records, at, records.length);
    if (size === 0) return codec !== Codec.none && count > 1 ? invalid("A wrapper must be alone in its message set.") : { kind: "messages", magic, codec, size: at };
    if (size < 0) return corrupt("A message has an impossible size or format number.");
    if (size > messageBytesMax) return tooLarge(`A message of ${size} bytes`, messageBytesMax);
    if (!batchChecksumHolds(records, at, size)) return corrupt("The checksum of a message does not hold.");
    if (count === 0) magic = batchMagic(records, at);
    if (batchMagic(records, at) !== magic) return invalid(`A message of format ${batchMagic(records, at)} follows one of format ${magic}.`);
    if (batchCodec(records, at) > Codec.lz4) return invalid(`A message of format ${magic} can't have the codec ${batchCodec(records, at)}.`);
    if (magic === 1 && batchTimestampType(records, at) === "LogAppendTime") {
      return refused(ErrorCode.INVALID_TIMESTAMP, "A producer must not set the timestamp type to LogAppendTime.");
    }
    if (batchCodec(records, at) !== Codec.none) codec = batchCodec(records, at);
    count++;
    at += size;
    if (pace.spend(size)) yield;
  }
}

function unpackWrapper(wrapper: Buffer, codec: number, bytesMax: number): Buffer | Refusal {
  const fields = new LegacyFields();
  if (!fields.read(wrapper, 0, wrapper.length) || fields.valueLength < 0) return invalid("A wrapper holds no messages.");
  const unpacked = decompress(codec, wrapper.subarray(fields.valueAt, fields.valueAt + fields.valueLength), { magic: batchMagic(wrapper, 0), bytesMax });
  if (unpacked === "too large") return tooLarge("A wrapper unpacks to more bytes", bytesMax);
  return unpacked === "corrupt" ? corrupt(`A wrapper can't be unpacked with codec ${codec}.`) : unpacked;
}

/** Wrapped messages have not been checked yet. */
function* addMessages(builder: BatchBuilder, messages: Buffer, { magic, wrapped }: { readonly magic: number; readonly wrapped: boolean }, pace: Pace): Generator<undefined, Refusal | undefined> {
  const fields = new LegacyFields();
  for (let at = 0; ; ) {
    const size = wholeBatchSize(messages, at, messages.length);
    if (size === 0) return builder.count === 0 ? invalid("A wrapper holds no messages.") : undefined;
    if (size < 0) return corrupt("A wrapped message has an impossible size or format number.");
    if (batchMagic(messages, at) !== magic) return invalid(`A wrapper of format ${magic} holds a message of format ${batchMagic(messages, at)}.`);
    if (wrapped && batchCodec(messages, at) !== Codec.none) return invalid("A wrapper holds a wrapper.");
    if (wrapped && !batchChecksumHolds(messages, at, size)) return corrupt("The checksum of a wrapped message does not hold.");
    if (!fields.read(messages, at, size)) return corrupt("A message's key or value is longer than the message.");
    const timestamp = batchMaxTimestamp(messages, at);
    builder.add(builder.count, timestamp, slice(messages, fields.keyAt, fields.keyLength), slice(messages, fields.valueAt, fields.valueLength));
    at += size;
    if (pace.spend(size)) yield;
  }
}

function slice(bytes: Buffer, at: number, length: number): Buffer | null {
  return length < 0 ? null : bytes.subarray(at, at + length);
}

function corrupt(message: string): Refusal {
  return refused(ErrorCode.CORRUPT_MESSAGE, message);
}

function invalid(message: string): Refusal {
  return refused(ErrorCode.INVALID_RECORD, message);
}

function tooLarge(what: string, bytesMax: number): Refusal {
  return refused(ErrorCode.MESSAGE_TOO_LARGE, `${what}, where ${bytesMax} are allowed.`);
}

/** Whether a consumer that knows formats up to `toMagic` can't read what is stored: whole batches, in chunks of such. */
export function needsDownConversion(chunks: readonly Buffer[], toMagic: LegacyMagic): boolean {
  for (const chunk of chunks) {
    for (let at = 0; ; ) {
      const size = wholeBatchSize(chunk, at, chunk.length);
      if (size <= 0) break;
      if (batchMagic(chunk, at) > toMagic) return true;
      at += size;
    }
  }
  return false;
}

/**
 * Stored batches as messages of format `magic` or below. Those that are so already stay as they are. Of a plain batch
 * comes one message a record, from `fetchOffset` on, since old librdkafka does not skip what it did not ask for; of a packed
 * one, one wrapper of all. Control batches and headers have no place in these formats. zstd has none either, nor has what
 * can't be read: there the messages end, and where there are none, so the error is the answer.
 * Source: RecordsUtil.downConvert, MemoryRecordsBuilder.appendLegacyRecord.
 */
export function* downConvert(
  chunks: readonly Buffer[],
  to: { readonly magic: LegacyMagic; readonly fetchOffset: number } & ConversionLimits,
): Generator<undefined, Messages | Refusal> {
  const out = new MessageSet(to.bytesMax);
  const reader = new RecordReader();
  const pace = new Pace();
  let nextOffset = to.fetchOffset;
  for (const chunk of chunks) {
    for (let at = 0; !out.full; ) {
      const size = wholeBatchSize(chunk, at, chunk.length);
      if (size === 0) break;
      const problem = size < 0 ? unreadable("a batch of an impossible size or format number") : yield* convertBatch(chunk, at, size, to, { out, reader, pace });
      if (problem !== undefined) return out.bytes === 0 ? problem : out.finish(nextOffset);
      nextOffset = batchLastOffset(chunk, at) + 1;
      at += size;
    }
  }
  return out.finish(nextOffset);
}

interface Tools {
  readonly out: MessageSet;
  readonly reader: RecordReader;
  readonly pace: Pace;
}

function* convertBatch(
  chunk: Buffer,
  at: number,
  size: number,
  to: { readonly magic: LegacyMagic; readonly fetchOffset: number } & ConversionLimits,
  { out, reader, pace }: Tools,
): Generator<undefined, Refusal | undefined> {
  if (batchIsControl(chunk, at)) return undefined;
  if (batchMagic(chunk, at) <= to.magic) {
    out.keep(chunk.subarray(at, at + size));
    return undefined;
  }
  const codec = batchCodec(chunk, at);
  if (codec === Codec.zstd) return refused(ErrorCode.UNSUPPORTED_COMPRESSION_TYPE, "Consumers of this version can't read zstd.");
  // What is rewritten gets a checksum of its own, under which damage would be hidden.
  if (!batchChecksumHolds(chunk, at, size)) return unreadable("a batch whose checksum does not hold");
  reader.open(chunk, at, size, to.unpackedBytesMax);
  const appendTime = batchTimestampType(chunk, at) === "LogAppendTime";
  const wrapper = codec === Codec.none ? undefined : new Wrapper(to.magic);
  while (!out.full && reader.next()) {
    const message = { magic: to.magic, offset: reader.offset, codec: Codec.none, timestamp: reader.timestamp, appendTime, key: reader.key(), value: reader.value() };
    if (wrapper !== undefined) wrapper.add(message);
    else if (message.offset >= to.fetchOffset) out.add(message);
    if (pace.spend(reader.recordEnd - reader.recordAt)) yield;
  }
  if (reader.problem !== undefined) return unreadable(reader.problem.message);
  // Of a batch that compaction has cut at its end nothing may be left for this consumer.
  if (wrapper === undefined || wrapper.lastOffset < to.fetchOffset) return undefined;
  const timestamp = appendTime ? batchMaxTimestamp(chunk, at) : wrapper.maxTimestamp;
  out.keep(legacyMessage({ magic: to.magic, offset: wrapper.lastOffset, codec, timestamp, appendTime, key: null, value: compress(codec, wrapper.messages(), to.magic) }));
  if (pace.spend(size)) yield;
  return undefined;
}

function unreadable(what: string): Refusal {
  return corrupt(`The log holds what can't be read: ${what}.`);
}

/** Messages, one behind the other, in memory that grows. */
class MessageBuffer {
  #buffer = Buffer.allocUnsafe(1024);
  length = 0;

  add(message: LegacyMessage): void {
    const end = this.length + legacyMessageBytes(message.magic, message.key, message.value);
    if (end > this.#buffer.length) {
      const larger = Buffer.allocUnsafe(Math.max(2 * this.#buffer.length, end));
      this.#buffer.copy(larger, 0, 0, this.length);
      this.#buffer = larger;
    }
    writeLegacyMessage(this.#buffer, this.length, message);
    this.length = end;
  }

  /** Nothing may be added afterwards. */
  get bytes(): Buffer {
    return this.#buffer.subarray(0, this.length);
  }
}

/** What a wrapper will hold. In format 1 its offsets count from the first. */
class Wrapper {
  lastOffset = -1;
  maxTimestamp = NO_TIMESTAMP;
  readonly #magic: LegacyMagic;
  readonly #messages = new MessageBuffer();
  #baseOffset: number | undefined;

  constructor(magic: LegacyMagic) {
    this.#magic = magic;
  }

  add(message: LegacyMessage): void {
    this.#baseOffset ??= this.#magic === 0 ? 0 : message.offset;
    this.lastOffset = message.offset;
    this.maxTimestamp = Math.max(this.maxTimestamp, message.timestamp);
    this.#messages.add({ ...message, offset: message.offset - this.#baseOffset });
  }

  messages(): Buffer {
    return this.#messages.bytes;
  }
}

/** The output: full once it reaches the limit, but never before the first message. */
class MessageSet {
  bytes = 0;
  readonly #bytesMax: number;
  readonly #chunks: Buffer[] = [];
  #plain: MessageBuffer | undefined;

  constructor(bytesMax: number) {
    this.#bytesMax = bytesMax;
  }

  get full(): boolean {
    return this.bytes > 0 && this.bytes >= this.#bytesMax;
  }

  add(message: LegacyMessage): void {
    const plain = (this.#plain ??= new MessageBuffer());
    const before = plain.length;
    plain.add(message);
    this.bytes += plain.length - before;
  }

  keep(bytes: Buffer): void {
    this.#flush();
    this.#chunks.push(bytes);
    this.bytes += bytes.length;
  }

  finish(nextOffset: number): Messages {
    this.#flush();
    return { kind: "messages", chunks: this.#chunks, bytes: this.bytes, nextOffset };
  }

  #flush(): void {
    if (this.#plain !== undefined) this.#chunks.push(this.#plain.bytes);
    this.#plain = undefined;
  }
}
