import type { BufferPool } from "./buffer-pool.ts";

/** How much is set aside for a frame before its bytes have come: who announces much and sends nothing holds no more than this. */
const AHEAD_BYTES_MAX = 1024 * 1024;

/**
 * Cuts a byte stream into frames, each an int32 length (big-endian) and so many bytes: the framing of both Kafka and
 * ZooKeeper. A frame that lies within one chunk is a view of it; any other is copied once. Where there is a pool all are
 * copied, so that no chunk is kept, large ones into a buffer that is lent to whoever gets the frame.
 */
export class FrameDecoder {
  readonly #frameBytesMax: number;
  readonly #buffers: BufferPool | undefined;
  readonly #header = Buffer.alloc(4);
  #headerFilled = 0;
  /** What the frame under way has so far; grows as its bytes come. */
  #frame: Buffer | undefined;
  #frameBytes = 0;
  #frameFilled = 0;
  /** The length that was refused, where `push` has returned false. */
  refusedLength: number | undefined;

  constructor(options: { readonly frameBytesMax: number; readonly buffers?: BufferPool }) {
    this.#frameBytesMax = options.frameBytesMax;
    this.#buffers = options.buffers;
  }

  /** Hands each complete frame to `onFrame`, in order. False: a length is negative or too large, and the stream can't be read on. */
  push(chunk: Buffer, onFrame: (frame: Buffer) => void): boolean {
    let at = 0;
    while (at < chunk.length) {
      if (this.#frame !== undefined) {
        const take = Math.min(this.#frameBytes - this.#frameFilled, chunk.length - at);
        const frame = this.#withRoom(this.#frame, this.#frameFilled + take);
        chunk.copy(frame, this.#frameFilled, at, at + take);
        this.#frameFilled += take;
        at += take;
        if (this.#frameFilled < this.#frameBytes) return true;
        this.#frame = undefined;
        onFrame(frame.subarray(0, this.#frameBytes));
        continue;
      }
      let length: number;
      if (this.#headerFilled === 0 && chunk.length - at >= 4) {
        length = chunk.readInt32BE(at);
        at += 4;
      } else {
        const take = Math.min(4 - this.#headerFilled, chunk.length - at);
        chunk.copy(this.#header, this.#headerFilled, at, at + take);
        this.#headerFilled += take;
        at += take;
        if (this.#headerFilled < 4) return true;
        this.#headerFilled = 0;
        length = this.#header.readInt32BE(0);
      }
      if (length < 0 || length > this.#frameBytesMax) {
        this.refusedLength = length;
        return false;
      }
      if (length <= chunk.length - at && this.#buffers === undefined) {
        onFrame(chunk.subarray(at, at + length));
        at += length;
      } else {
        this.#frame = this.#allocate(Math.min(length, AHEAD_BYTES_MAX));
        this.#frameBytes = length;
        this.#frameFilled = 0;
      }
    }
    return true;
  }

  #allocate(bytes: number): Buffer {
    return this.#buffers?.take(bytes) ?? Buffer.allocUnsafeSlow(bytes);
  }

  /** Doubled where it is full, so that each byte is copied twice at most. */
  #withRoom(frame: Buffer, bytes: number): Buffer {
    if (bytes <= frame.length) return frame;
    const grown = this.#allocate(Math.min(this.#frameBytes, Math.max(bytes, 2 * frame.length)));
    frame.copy(grown, 0, 0, this.#frameFilled);
    this.#buffers?.release(frame);
    this.#frame = grown;
    return grown;
  }
}
