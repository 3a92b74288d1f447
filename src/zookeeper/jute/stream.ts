import { Reader } from "../../codec/reader.ts";
import type { DecodedOf, Fields } from "../../codec/model.ts";
import type { Schema } from "../../codec/schema.ts";

/**
 * Records from an unframed stream that arrives in chunks: snapshots, in a file or from a leader, and quorum
 * packets. Bytes wait until a whole record is there; what does not become a record within `recordBytesMax` is
 * malformed, and stays so.
 */
export class RecordStream {
  readonly #recordBytesMax: number;
  #reader = new Reader(Buffer.alloc(0));
  #mark = 0;
  #malformed = false;

  constructor(recordBytesMax: number) {
    this.#recordBytesMax = recordBytesMax;
  }

  get malformed(): boolean {
    return this.#malformed;
  }

  /** Bytes that have arrived and are not read. */
  get buffered(): number {
    return this.#reader.remaining;
  }

  /** The chunk belongs to the stream from here on: decoded buffers are views of it. */
  push(chunk: Buffer): void {
    const rest = this.rest();
    this.#reader = new Reader(rest.length === 0 ? chunk : Buffer.concat([rest, chunk]));
    this.#mark = 0;
  }

  /** The next record, or undefined until more bytes arrive. */
  read<F extends Fields>(schema: Schema<F>): DecodedOf<F> | undefined {
    const reader = this.#reader;
    if (this.#malformed) return undefined;
    const at = reader.position;
    const value = schema.read(reader);
    if (!reader.bad) return value;
    this.#malformed = reader.end - at > this.#recordBytesMax;
    reader.bad = false;
    reader.position = at;
    return undefined;
  }

  /** The bytes read since the last call or `push`, whichever was later. */
  takeRead(): Buffer {
    const bytes = this.#reader.buffer.subarray(this.#mark, this.#reader.position);
    this.#mark = this.#reader.position;
    return bytes;
  }

  /** The bytes not read yet. */
  rest(): Buffer {
    return this.#reader.buffer.subarray(this.#reader.position);
  }
}
